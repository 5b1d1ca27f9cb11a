//! What answers datagrams.

use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use netloom_base::{Failure, Moment};
use netloom_transport::datagrams::{Lost, Received};
use netloom_transport::{Batch, BoxFuture, Cx, Datagrams, Outgoing, Peer};

use crate::measures::Measures;

/// Serves an address for datagrams.
pub trait DatagramService: Send + Sync {
    /// Serves one socket, until the service is told to stop.
    fn serve<'a>(
        &'a self,
        socket: Box<dyn Datagrams>,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<(), Failure>>;

    /// Whether several sockets of one address may be served at once: nothing
    /// is remembered from one datagram to the next.
    fn is_stateless(&self) -> bool {
        false
    }

    /// Whether several sockets of one address may be served at once as long as
    /// each peer keeps to one of them: what is remembered is remembered for each
    /// peer alone.
    fn is_per_peer(&self) -> bool {
        false
    }

    /// Tells the figures it keeps. Whoever gave it asks, as part of
    /// [`Service::measure`](crate::Service::measure): nobody else does.
    fn measure(&self, to: &mut dyn Measures) {
        let _ = to;
    }
}

/// Answers every datagram on its own, and remembers nobody.
pub trait Answer: Send + Sync + 'static {
    /// What is said to `request`; `None` is nothing.
    fn answer<'r>(&'r self, request: &'r [u8], cx: &Cx) -> Option<Cow<'r, [u8]>>;
}

/// The service of an [`Answer`].
pub fn each(answer: impl Answer) -> Arc<dyn DatagramService> {
    Arc::new(Each(answer))
}

/// How many receives one look at the socket has room for.
const SLOTS: usize = 32;

/// As many as come at once where clients wait for their answers.
const FEW: usize = 2;

/// Ports whose servers answer whatever comes: an answer to them is answered
/// again, for ever. Nobody honest asks from there (RFC 862-868).
const ANSWERING: [u16; 6] = [7, 13, 17, 19, 37, 123];

/// An answer may be so much longer than its question, and so many bytes
/// besides, when a stranger asks: whoever forges the address of a third could
/// make more of a small flood otherwise (RFC 9000 §8.1 takes the same factor).
const MOST_TIMES: usize = 3;
const MOST_BESIDES: usize = 512;

/// How often it is told that datagrams were lost.
const TELL_LOST: Duration = Duration::from_secs(1);

/// An answer, beside what it answers.
type Answered<'a> = (&'a Received, Cow<'a, [u8]>);

struct Each<A>(A);

impl<A: Answer> DatagramService for Each<A> {
    fn serve<'a>(
        &'a self,
        mut socket: Box<dyn Datagrams>,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let mut batch = Batch::new(SLOTS, socket.room());
            let mut losses = Losses::default();
            let mut drained = cx.shutdown().watch_drain();
            loop {
                let came = poll_fn(|task| {
                    if drained.poll(task).is_ready() {
                        return Poll::Ready(None);
                    }
                    socket.poll_recv(task, &mut batch).map(Some)
                });
                let Some(came) = came.await else {
                    return Ok(());
                };
                losses.tell(&*socket, cx);
                // What the network says of an earlier answer is for whoever asks.
                if came.is_err() {
                    continue;
                }
                // Room for few costs less to make ready than room for many.
                if batch.len() <= FEW {
                    self.answer_all::<FEW>(&mut *socket, &batch, cx).await;
                } else {
                    self.answer_all::<SLOTS>(&mut *socket, &batch, cx).await;
                }
            }
        })
    }

    fn is_stateless(&self) -> bool {
        true
    }
}

impl<A: Answer> Each<A> {
    /// Answers a batch, `N` at a time. This is the hot
    /// path of every datagram service: nothing is allocated on it.
    async fn answer_all<const N: usize>(&self, socket: &mut dyn Datagrams, batch: &Batch, cx: &Cx) {
        let mut answers = batch
            .iter()
            .filter(|(of, _)| of.truncated_from.is_none() && may_ask(&of.from))
            .filter_map(|(of, request)| {
                let answer = self.0.answer(request, cx)?;
                let fits =
                    is_near(&of.from) || answer.len() <= request.len() * MOST_TIMES + MOST_BESIDES;
                fits.then_some((of, answer))
            });
        loop {
            let mut held: [Option<Answered<'_>>; N] = [const { None }; N];
            let mut count = 0;
            for (place, answer) in held.iter_mut().zip(&mut answers) {
                *place = Some(answer);
                count += 1;
            }
            if count == 0 {
                return;
            }
            let mut run = [Outgoing::connected(&[]); N];
            for (out, (of, bytes)) in run.iter_mut().zip(held.iter().flatten()) {
                *out = Outgoing {
                    to: Some(&of.from),
                    from: of.to,
                    bytes,
                };
            }
            let run = &run[..count];
            let mut sent = 0;
            while sent < count {
                let next = poll_fn(|task| socket.poll_send(task, &run[sent..]));
                // One that cannot go is left out; the others are for others.
                sent += next.await.unwrap_or(1).max(1);
            }
        }
    }
}

fn may_ask(from: &Peer) -> bool {
    match from {
        Peer::Ip(addr) => addr.port() != 0 && !ANSWERING.contains(&addr.port()),
        Peer::Named(name) => !name.is_empty(),
    }
}

fn is_near(from: &Peer) -> bool {
    match from {
        Peer::Ip(addr) => addr.ip().to_canonical().is_loopback(),
        Peer::Named(_) => true,
    }
}

/// Tells what a socket dropped or cut, not more often than once a second.
#[derive(Debug, Default)]
pub struct Losses {
    told: Lost,
    at: Option<Moment>,
}

impl Losses {
    /// Tells what `socket` lost since that was told last, where it is time.
    pub fn tell(&mut self, socket: &dyn Datagrams, cx: &Cx) {
        let lost = socket.lost();
        if lost == self.told {
            return;
        }
        let now = cx.now();
        if self.at.is_some_and(|at| now - at < TELL_LOST) {
            return;
        }
        for words in lost.since(self.told, socket.room()) {
            cx.remark(cx.service(), words);
        }
        (self.told, self.at) = (lost, Some(now));
    }
}

/// What answers at one address: connections or datagrams.
#[derive(Clone)]
pub enum Answering {
    /// Connections.
    Conns(Arc<dyn crate::Service>),
    /// Datagrams.
    Datagrams(Arc<dyn DatagramService>),
}

impl std::fmt::Debug for Answering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Answering::Conns(_) => "Conns",
            Answering::Datagrams(_) => "Datagrams",
        })
    }
}
