//! One direction of a carried pair.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use netloom_base::Stage;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Gear;
use super::shift::Shift;
use super::splice::{self, Pipe};
use crate::conn::{Close, Conn};
use crate::scratch::{with_large_scratch, with_scratch};

/// After so many bytes of one poll the others of this thread have their turn:
/// what is spliced and copied at once costs no budget of the runtime's.
const TURN: usize = 1 << 20;

/// What went wrong, and with whom.
pub(super) enum Trouble {
    Reading(io::Error),
    Writing(Stage, io::Error),
}

impl Trouble {
    fn sending(error: io::Error) -> Self {
        Trouble::Writing(Stage::Send, error)
    }
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The sender has said everything; the receiver is being told.
    Ending,
    Ended,
}

/// What came and could not be passed on yet.
#[derive(Default)]
enum Held {
    #[default]
    Nothing,
    /// Bytes, and how many of them were sent.
    Tail(Box<[u8]>, usize),
    /// A pipe, which may be empty.
    Pipe(Pipe),
}

/// From one connection to the other.
#[derive(Default)]
pub(super) struct Direction {
    carried: u64,
    spliced: u64,
    held: Held,
    shift: Shift,
    state: State,
}

impl Direction {
    pub(super) fn carried(&self) -> u64 {
        self.carried
    }

    pub(super) fn spliced(&self) -> u64 {
        self.spliced
    }

    pub(super) fn gear(&self) -> Gear {
        self.shift.gear()
    }

    pub(super) fn top_gear(&self) -> Gear {
        self.shift.top()
    }

    /// Whether the sender has said nothing yet, and not that it is done.
    pub(super) fn is_unsaid(&self) -> bool {
        self.carried == 0 && self.state == State::Open
    }

    /// Whether the sender has said everything.
    pub(super) fn has_heard_all(&self) -> bool {
        self.state != State::Open
    }

    /// Whether nothing is under way.
    pub(super) fn is_at_rest(&self) -> bool {
        matches!(self.held, Held::Nothing) && self.state != State::Ending
    }

    /// Whether the receiver has got everything, and was told so.
    pub(super) fn is_over(&self) -> bool {
        self.state == State::Ended
    }

    /// Splices as soon as there is something to splice.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn hurry(&mut self) {
        self.shift.hurry();
    }

    fn holds(&self) -> bool {
        match &self.held {
            Held::Nothing => false,
            Held::Tail(bytes, sent) => *sent < bytes.len(),
            Held::Pipe(pipe) => !pipe.is_empty(),
        }
    }

    /// How the receiver is left before its time. It must not take the part it
    /// got for the whole.
    pub(super) fn parting(&self, broken: bool) -> Close {
        if self.holds() || (broken && self.state != State::Ended) {
            Close::Abort
        } else {
            Close::Orderly
        }
    }

    /// Passes on what there is. `closes` says that the receiver will be closed
    /// as soon as this direction is over.
    pub(super) fn poll(
        &mut self,
        from: &mut Conn,
        to: &mut Conn,
        closes: bool,
        task: &mut Context<'_>,
    ) -> Poll<Result<(), Trouble>> {
        let mut turn = TURN;
        loop {
            ready!(self.pass_on_held(to, task))?;
            match self.state {
                State::Ended => return Poll::Ready(Ok(())),
                State::Ending => {
                    // To close it says the same with one call less.
                    if !(closes && to.ends_by_closing()) {
                        ready!(Pin::new(&mut *to).poll_shutdown(task))
                            .map_err(|error| Trouble::Writing(Stage::Close, error))?;
                    }
                    self.state = State::Ended;
                }
                State::Open if turn == 0 => {
                    self.held = Held::Nothing;
                    give_way(task);
                    return Poll::Pending;
                }
                State::Open => match self.take(from, to, task) {
                    Poll::Ready(moved) => turn = turn.saturating_sub(moved?),
                    Poll::Pending => {
                        // What was passed on must not wait for more to come.
                        let _ = Pin::new(&mut *to)
                            .poll_flush(task)
                            .map_err(Trouble::sending)?;
                        return Poll::Pending;
                    }
                },
            }
        }
    }

    /// Takes bytes of the sender, and passes on what the receiver takes at once.
    fn take(
        &mut self,
        from: &mut Conn,
        to: &mut Conn,
        task: &mut Context<'_>,
    ) -> Poll<Result<usize, Trouble>> {
        if self.shift.gear() != Gear::Splice && self.shift.wants_splice() {
            self.shift_up(from, to);
        }
        match self.shift.gear() {
            Gear::Splice => self.splice(from, task),
            Gear::Copy => with_large_scratch(|scratch| self.copy(from, to, task, scratch)),
            Gear::Idle => with_scratch(|scratch| self.copy(from, to, task, scratch)),
        }
    }

    fn shift_up(&mut self, from: &mut Conn, to: &mut Conn) {
        if from.socket_mut().is_none() || to.socket_mut().is_none() {
            self.shift.cannot();
        } else if let Some(pipe) = Pipe::take() {
            self.held = Held::Pipe(pipe);
            self.shift.splices();
        } else {
            self.shift.refused();
        }
    }

    fn splice(&mut self, from: &mut Conn, task: &mut Context<'_>) -> Poll<Result<usize, Trouble>> {
        // At rest it has none: they are few, and others may need one.
        if !matches!(self.held, Held::Pipe(_)) {
            let Some(pipe) = Pipe::take() else {
                self.shift.refused();
                return Poll::Ready(Ok(0));
            };
            self.held = Held::Pipe(pipe);
        }
        let Held::Pipe(pipe) = &mut self.held else {
            return Poll::Ready(Ok(0));
        };
        match pipe.fill(from, task) {
            Poll::Pending => {
                self.held = Held::Nothing;
                self.shift.dry();
                Poll::Pending
            }
            Poll::Ready(Ok(0)) => {
                self.held = Held::Nothing;
                self.state = State::Ending;
                Poll::Ready(Ok(0))
            }
            Poll::Ready(Ok(moved)) => {
                self.carried += moved as u64;
                self.spliced += moved as u64;
                self.shift.spliced(moved);
                Poll::Ready(Ok(moved))
            }
            Poll::Ready(Err(error)) if splice::is_unable(&error) => {
                self.held = Held::Nothing;
                self.shift.cannot();
                Poll::Ready(Ok(0))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(Trouble::Reading(error))),
        }
    }

    fn pass_on_held(&mut self, to: &mut Conn, task: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        loop {
            match &mut self.held {
                Held::Nothing => return Poll::Ready(Ok(())),
                Held::Tail(bytes, sent) => {
                    while *sent < bytes.len() {
                        *sent += ready!(write(to, task, &bytes[*sent..]))?;
                    }
                    self.held = Held::Nothing;
                }
                Held::Pipe(pipe) => match ready!(pipe.drain(to, task)) {
                    Ok(()) => return Poll::Ready(Ok(())),
                    Err(error) if splice::is_unable(&error) => {
                        // The receiver takes no pipe: what is in it goes by hand.
                        let bytes = pipe.rescue().map_err(Trouble::Reading)?;
                        self.spliced -= bytes.len() as u64;
                        self.held = Held::Tail(bytes.into(), 0);
                        self.shift.cannot();
                    }
                    Err(error) => return Poll::Ready(Err(Trouble::sending(error))),
                },
            }
        }
    }

    fn copy(
        &mut self,
        from: &mut Conn,
        to: &mut Conn,
        task: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<Result<usize, Trouble>> {
        let mut buf = ReadBuf::new(scratch);
        ready!(Pin::new(from).poll_read(task, &mut buf)).map_err(Trouble::Reading)?;
        let read = buf.filled();
        if read.is_empty() {
            self.state = State::Ending;
            return Poll::Ready(Ok(0));
        }
        self.carried += read.len() as u64;
        self.shift.read(read.len());
        let mut sent = 0;
        while sent < read.len() {
            match write(to, task, &read[sent..])? {
                Poll::Ready(more) => sent += more,
                Poll::Pending => {
                    self.held = Held::Tail(read[sent..].into(), 0);
                    break;
                }
            }
        }
        Poll::Ready(Ok(read.len()))
    }
}

fn write(to: &mut Conn, task: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Trouble>> {
    match ready!(Pin::new(to).poll_write(task, bytes)) {
        Ok(0) => Poll::Ready(Err(Trouble::sending(io::ErrorKind::WriteZero.into()))),
        written => Poll::Ready(written.map_err(Trouble::sending)),
    }
}

/// Lets the others of this thread run, and its reactor look, before the task
/// goes on. Waking it at once would put it before the reactor.
fn give_way(task: &mut Context<'_>) {
    let _ = pin!(tokio::task::yield_now()).poll(task);
}
