//! One client's session: its socket to a target, and what waits for that.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use netloom_base::{Code, Failure, Moment};
use netloom_transport::datagrams::Lost;
use netloom_transport::{Batch, BoxFuture, Cx, Datagrams, Outgoing, Peer, Permit};

use super::upstream::Dialled;
use crate::balance::Pick;

/// So many bytes wait in one session while its target is not dialled yet, or
/// does not read: as many as a client may well send at once.
const MOST_BYTES: usize = 128 * 1024;

/// So many bytes wait in all sessions of a forwarder: many clients may come
/// while a name is looked up.
const MOST_OF_ALL: usize = 16 * 1024 * 1024;

/// What a datagram that waits takes beside its bytes.
const BESIDE: usize = 64;

/// What a datagram that waits counts.
fn weight(bytes: &[u8]) -> usize {
    bytes.len() + BESIDE
}

/// A client and its target.
pub(super) struct Session {
    /// Who it is.
    pub(super) client: Peer,
    /// Which of our addresses it asked, where that is known.
    pub(super) asked: Option<IpAddr>,
    /// The number under which it is told of.
    pub(super) conn: u64,
    pub(super) began: Moment,
    /// The round in which something moved last.
    pub(super) stirred: u64,
    /// Bytes from the client and to it.
    pub(super) received: u64,
    pub(super) sent: u64,
    _permit: Permit,
    upstream: Upstream,
    /// Its target has said something.
    has_answered: bool,
    waiting: VecDeque<Box<[u8]>>,
    waiting_bytes: usize,
    /// The bytes that wait in all sessions.
    waiting_of_all: Arc<AtomicUsize>,
    lost: Lost,
}

enum Upstream {
    Dialling(BoxFuture<'static, Dialled>),
    Open(Box<dyn Datagrams>, Pick),
    /// It was not reached, and is not tried again before this.
    Resting(Moment),
}

/// How a session ended before its time.
pub(super) struct Broken {
    pub(super) failure: Failure,
    /// The target was never reached: what comes meanwhile is not worth a dial each.
    pub(super) unreached: bool,
}

/// What became of datagrams that a client sent.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) sent: u64,
    pub(super) dropped: u64,
}

impl AddAssign for Passed {
    fn add_assign(&mut self, more: Passed) {
        self.sent += more.sent;
        self.dropped += more.dropped;
    }
}

/// Who has a session, and since when.
pub(super) struct Client {
    pub(super) peer: Peer,
    pub(super) asked: Option<IpAddr>,
    pub(super) conn: u64,
    pub(super) began: Moment,
    pub(super) permit: Permit,
}

impl Session {
    /// The session of a client whose target is being dialled. `waiting_of_all`
    /// counts the bytes that wait, in this one and in others.
    pub(super) fn new(
        client: Client,
        dialling: BoxFuture<'static, Dialled>,
        waiting_of_all: Arc<AtomicUsize>,
    ) -> Self {
        Session {
            client: client.peer,
            asked: client.asked,
            conn: client.conn,
            began: client.began,
            stirred: 0,
            received: 0,
            sent: 0,
            _permit: client.permit,
            upstream: Upstream::Dialling(dialling),
            has_answered: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            waiting_of_all,
            lost: Lost::default(),
        }
    }

    /// Where its datagrams go, once that is known.
    pub(super) fn pick(&self) -> Option<&Pick> {
        match &self.upstream {
            Upstream::Open(_, pick) => Some(pick),
            Upstream::Dialling(_) | Upstream::Resting(_) => None,
        }
    }

    /// Until when nothing is tried, if no target was reached.
    pub(super) fn rests_until(&self) -> Option<Moment> {
        match &self.upstream {
            Upstream::Resting(until) => Some(*until),
            _ => None,
        }
    }

    /// No target was reached: none is tried before `until`, and what waited is
    /// dropped. Says how many that were.
    pub(super) fn rest(&mut self, until: Moment) -> u64 {
        self.upstream = Upstream::Resting(until);
        self.gone(self.waiting_bytes);
        std::mem::take(&mut self.waiting).len() as u64
    }

    /// So many bytes wait no longer.
    fn gone(&mut self, bytes: usize) {
        self.waiting_bytes -= bytes;
        self.waiting_of_all.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Keeps a datagram until it can go, where there is room for it.
    fn keep(&mut self, bytes: &[u8]) -> bool {
        let weight = weight(bytes);
        if self.waiting_bytes + weight > MOST_BYTES || self.rests_until().is_some() {
            return false;
        }
        let before = self.waiting_of_all.fetch_add(weight, Ordering::Relaxed);
        self.waiting_bytes += weight;
        if before + weight > MOST_OF_ALL {
            self.gone(weight);
            return false;
        }
        self.waiting.push_back(bytes.into());
        true
    }

    /// Tries again.
    pub(super) fn redial(&mut self, dialling: BoxFuture<'static, Dialled>) {
        self.upstream = Upstream::Dialling(dialling);
    }

    /// Its target said something: the first time tells how fast it is.
    pub(super) fn answered(&mut self, cx: &Cx) {
        if !std::mem::replace(&mut self.has_answered, true)
            && let Upstream::Open(_, pick) = &self.upstream
        {
            pick.answered(cx.now() - self.began);
        }
    }

    /// What its socket lost since the last call.
    pub(super) fn newly_lost(&mut self) -> u64 {
        let Upstream::Open(socket, _) = &self.upstream else {
            return 0;
        };
        let before = std::mem::replace(&mut self.lost, socket.lost());
        (self.lost.dropped - before.dropped) + (self.lost.truncated - before.truncated)
    }

    /// Goes on dialling, and sends what waits, as far as it can.
    pub(super) fn advance(&mut self, task: &mut Context<'_>) -> Result<Passed, Broken> {
        if let Upstream::Dialling(dialling) = &mut self.upstream {
            match dialling.as_mut().poll(task) {
                Poll::Pending => return Ok(Passed::default()),
                Poll::Ready(Ok((socket, pick))) => self.upstream = Upstream::Open(socket, pick),
                Poll::Ready(Err(failure)) => {
                    // Until it is said for how long.
                    self.upstream = Upstream::Resting(Moment::default());
                    return Err(Broken {
                        failure,
                        unreached: true,
                    });
                }
            }
        }
        self.flush(task)
    }

    fn flush(&mut self, task: &mut Context<'_>) -> Result<Passed, Broken> {
        let mut passed = Passed::default();
        let Upstream::Open(socket, _) = &mut self.upstream else {
            return Ok(passed);
        };
        let mut gone = 0;
        let flushed = loop {
            let Some(first) = self.waiting.front() else {
                break Ok(());
            };
            match socket.poll_send(task, &[Outgoing::connected(first)]) {
                Poll::Pending => break Ok(()),
                Poll::Ready(Ok(_)) => passed.sent += 1,
                Poll::Ready(Err(failure)) => match spared(failure) {
                    Ok(dropped) => passed.dropped += dropped,
                    Err(broken) => break Err(broken),
                },
            }
            gone += weight(first);
            self.waiting.pop_front();
        };
        self.gone(gone);
        flushed.map(|()| passed)
    }

    /// Sends what the client sent, in order. What the target's socket has no
    /// room for waits, and what there is no room to wait for is dropped.
    pub(super) fn send(
        &mut self,
        task: &mut Context<'_>,
        run: &[Outgoing<'_>],
    ) -> Result<Passed, Broken> {
        self.received += run.iter().map(|out| out.bytes.len() as u64).sum::<u64>();
        let mut passed = self.flush(task)?;
        let mut at = 0;
        if let Upstream::Open(socket, _) = &mut self.upstream
            && self.waiting.is_empty()
        {
            while at < run.len() {
                match socket.poll_send(task, &run[at..]) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(sent)) => {
                        at += sent.max(1);
                        passed.sent += sent as u64;
                    }
                    Poll::Ready(Err(failure)) => {
                        passed.dropped += spared(failure)?;
                        at += 1;
                    }
                }
            }
        }
        for out in &run[at..] {
            passed.dropped += u64::from(!self.keep(out.bytes));
        }
        Ok(passed)
    }

    /// Takes what the target sent.
    pub(super) fn receive(
        &mut self,
        task: &mut Context<'_>,
        batch: &mut Batch,
    ) -> Poll<Result<(), Broken>> {
        batch.clear();
        let Upstream::Open(socket, _) = &mut self.upstream else {
            return Poll::Pending;
        };
        socket.poll_recv(task, batch).map_err(|failure| Broken {
            failure,
            unreached: false,
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.gone(self.waiting_bytes);
    }
}

/// One dropped, where the failure is about that datagram alone.
fn spared(failure: Failure) -> Result<u64, Broken> {
    if failure.code() == Code::SEND_TOO_LARGE {
        return Ok(1);
    }
    Err(Broken {
        failure,
        unreached: false,
    })
}
