//! Carrying bytes between two connections, both ways at once.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use netloom_base::{Failure, Stage};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::conn::{Close, Conn};
use crate::scratch::with_scratch;

/// When a carried pair ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When both sides have said everything.
    BothEnd,
    /// When the second side has said everything, whatever the first may still say.
    SecondEnds,
}

/// What was carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Bytes from the first to the second.
    pub forth: u64,
    /// Bytes from the second to the first.
    pub back: u64,
}

/// Carries bytes between `first` and `second` until both have ended, or as
/// `until` says. The end of one direction is passed on and the other goes on:
/// half-close is kept. Then both are closed in order.
pub async fn carry(first: Conn, second: Conn, until: Until) -> Result<Carried, CarryFailure> {
    let mut pair = Pair {
        first,
        second,
        forth: Direction::default(),
        back: Direction::default(),
        until,
    };
    let result = std::future::poll_fn(|task| pair.poll(task)).await;
    let carried = Carried {
        forth: pair.forth.carried,
        back: pair.back.carried,
    };
    match result {
        Ok(()) => {
            pair.first.close(Close::Orderly);
            pair.second.close(Close::Orderly);
            Ok(carried)
        }
        Err((side, stage, error)) => {
            let conn = if side == End::First {
                &pair.first
            } else {
                &pair.second
            };
            Err(CarryFailure {
                end: side,
                carried,
                failure: conn.failure(stage, error),
            })
        }
    }
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The first.
    First,
    /// The second.
    Second,
}

/// How carrying failed.
#[derive(Debug)]
pub struct CarryFailure {
    /// At which end.
    pub end: End,
    /// What was carried before.
    pub carried: Carried,
    /// Why.
    pub failure: Failure,
}

struct Pair {
    first: Conn,
    second: Conn,
    forth: Direction,
    back: Direction,
    until: Until,
}

impl Pair {
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<Result<(), (End, Stage, io::Error)>> {
        let forth = self
            .forth
            .poll(&mut self.first, &mut self.second, task)
            .map_err(|e| e.seen(End::First, End::Second))?;
        let back = self
            .back
            .poll(&mut self.second, &mut self.first, task)
            .map_err(|e| e.seen(End::Second, End::First))?;
        let done = match self.until {
            Until::BothEnd => forth.is_ready() && back.is_ready(),
            Until::SecondEnds => back.is_ready(),
        };
        if done {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}

/// One direction. It owns a buffer only while the receiver is slower than the sender.
#[derive(Default)]
struct Direction {
    tail: Vec<u8>,
    sent: usize,
    carried: u64,
    state: State,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The sender has said everything; the receiver is being told.
    Ending,
    Ended,
}

enum Trouble {
    Reading(io::Error),
    Writing(Stage, io::Error),
}

impl Trouble {
    fn seen(self, from: End, to: End) -> (End, Stage, io::Error) {
        match self {
            Trouble::Reading(error) => (from, Stage::Recv, error),
            Trouble::Writing(stage, error) => (to, stage, error),
        }
    }
}

impl Direction {
    fn poll(
        &mut self,
        from: &mut Conn,
        to: &mut Conn,
        task: &mut Context<'_>,
    ) -> Poll<Result<(), Trouble>> {
        let sending = |error| Trouble::Writing(Stage::Send, error);
        loop {
            while self.sent < self.tail.len() {
                match ready!(Pin::new(&mut *to).poll_write(task, &self.tail[self.sent..]))
                    .map_err(sending)?
                {
                    0 => return Poll::Ready(Err(sending(io::ErrorKind::WriteZero.into()))),
                    n => self.sent += n,
                }
            }
            self.tail = Vec::new();
            self.sent = 0;
            match self.state {
                State::Ended => return Poll::Ready(Ok(())),
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(task))
                        .map_err(|e| Trouble::Writing(Stage::Close, e))?;
                    self.state = State::Ended;
                }
                State::Open => {
                    match with_scratch(|scratch| self.pass_on(from, to, task, scratch)) {
                        Poll::Ready(result) => result?,
                        Poll::Pending => {
                            // What was passed on must not wait for more to come.
                            let _ = Pin::new(&mut *to).poll_flush(task).map_err(sending)?;
                            return Poll::Pending;
                        }
                    }
                }
            }
        }
    }

    fn pass_on(
        &mut self,
        from: &mut Conn,
        to: &mut Conn,
        task: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<Result<(), Trouble>> {
        let mut buf = ReadBuf::new(scratch);
        ready!(Pin::new(from).poll_read(task, &mut buf)).map_err(Trouble::Reading)?;
        let read = buf.filled();
        if read.is_empty() {
            self.state = State::Ending;
            return Poll::Ready(Ok(()));
        }
        self.carried += read.len() as u64;
        let mut sent = 0;
        while sent < read.len() {
            match Pin::new(&mut *to).poll_write(task, &read[sent..]) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(Trouble::Writing(
                        Stage::Send,
                        io::ErrorKind::WriteZero.into(),
                    )));
                }
                Poll::Ready(Ok(n)) => sent += n,
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(Trouble::Writing(Stage::Send, error)));
                }
                Poll::Pending => {
                    self.tail = read[sent..].to_vec();
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
