//! Carrying bytes between two connections, both ways at once.
//!
//! Each direction has three gears and shifts by itself ([`Gear`]). A pair at
//! rest owns no buffer; one that is busy borrows its thread's scratch or a pipe
//! of its thread's pool for as long as one poll lasts, and keeps one only while
//! the receiver is slower than the sender.

mod direction;
mod pause;
mod shift;
#[cfg(target_os = "linux")]
mod splice;
#[cfg(not(target_os = "linux"))]
#[path = "unspliced.rs"]
mod splice;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Stage};

use crate::conn::{Close, Conn};
use crate::over::stuck;
use crate::seat::Notice;
use direction::{Direction, Trouble};

pub use crate::gear::Gear;
pub use pause::{Pause, Paused};

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
    /// How many of all these the kernel moved by itself.
    pub spliced: u64,
    /// The highest gear that either direction was in.
    pub gear: Gear,
    /// Which end was the first to say that it will say no more.
    pub ended_first: Option<End>,
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The first.
    First,
    /// The second.
    Second,
}

impl End {
    /// The one at the other side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            End::First => End::Second,
            End::Second => End::First,
        }
    }
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
    /// The first end, where the second was reset before either had said
    /// anything. Nobody has heard of the second, and another may take its place.
    pub spared: Option<Box<Conn>>,
}

/// Carries bytes between `first` and `second` until both have ended, or as
/// `until` says. The end of one direction is passed on and the other goes on:
/// half-close is kept. Then both are closed in order.
///
/// When one breaks, so does the other: whoever has not got all that was said to
/// it sees a reset where the transport can, and not an end in order. The same
/// happens when the future is dropped while bytes are under way. Only when the
/// second is reset before a word was said, the first is given back.
pub fn carry(first: Conn, second: Conn, until: Until) -> Carry {
    Carry {
        ends: Some((first, second)),
        forth: Direction::default(),
        back: Direction::default(),
        until,
        ended_first: None,
        shown: (Gear::Idle, Gear::Idle),
    }
}

/// Two connections whose bytes are being carried.
#[must_use = "nothing is carried unless it is polled"]
pub struct Carry {
    /// Until it is over.
    ends: Option<(Conn, Conn)>,
    forth: Direction,
    back: Direction,
    until: Until,
    ended_first: Option<End>,
    /// The gears that the seats were told of.
    shown: (Gear, Gear),
}

impl Carry {
    /// What was carried up to now.
    pub fn so_far(&self) -> Carried {
        Carried {
            forth: self.forth.carried(),
            back: self.back.carried(),
            spliced: self.forth.spliced() + self.back.spliced(),
            gear: self.forth.top_gear().max(self.back.top_gear()),
            ended_first: self.ended_first,
        }
    }

    /// The gears that both directions are in now: forth and back. The seats of
    /// both connections tell the same, to whoever does not own this.
    pub fn gears(&self) -> (Gear, Gear) {
        (self.forth.gear(), self.back.gear())
    }

    /// Carries until it is over, or until the pair is to leave this core and
    /// nothing is under way: then [`Carry::pause`].
    pub fn poll_here(
        &mut self,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Carried, CarryFailure>>> {
        match Pin::new(&mut *self).poll(task) {
            Poll::Pending if self.is_called_away() => Poll::Ready(None),
            ended => ended.map(Some),
        }
    }

    /// Asked last of all: whoever is told to move has been counted as moving.
    fn is_called_away(&self) -> bool {
        let Some((first, _)) = &self.ends else {
            return false;
        };
        self.forth.is_at_rest()
            && self.back.is_at_rest()
            && !first.is_wrapped()
            && first.notice() == Some(Notice::Move)
    }

    fn lost(&self, end: End, failure: Failure) -> CarryFailure {
        CarryFailure {
            end,
            carried: self.so_far(),
            failure,
            spared: None,
        }
    }

    fn go_on(&mut self, task: &mut Context<'_>) -> Poll<Result<(), (End, Stage, io::Error)>> {
        let Some((first, second)) = &mut self.ends else {
            return Poll::Pending;
        };
        // Whoever ends last is not told so: both are closed at once.
        let closes = |other: &Direction| self.until == Until::BothEnd && other.is_over();
        let forth = self
            .forth
            .poll(first, second, closes(&self.back), task)
            .map_err(|trouble| seen(trouble, End::First, End::Second))?;
        if self.ended_first.is_none() && self.forth.has_heard_all() {
            self.ended_first = Some(End::First);
        }
        let back = self
            .back
            .poll(second, first, closes(&self.forth), task)
            .map_err(|trouble| seen(trouble, End::Second, End::First))?;
        if self.ended_first.is_none() && self.back.has_heard_all() {
            self.ended_first = Some(End::Second);
        }
        let over = match self.until {
            Until::BothEnd => forth.is_ready() && back.is_ready(),
            Until::SecondEnds => back.is_ready(),
        };
        if over {
            return Poll::Ready(Ok(()));
        }
        // A direction that is over, or whose receiver does not read, asks
        // nothing of the other end: its limits pass all the same.
        for (end, conn) in [(End::First, &mut *first), (End::Second, &mut *second)] {
            conn.heed(task).map_err(|error| (end, Stage::Recv, error))?;
        }
        let gears = (self.forth.gear(), self.back.gear());
        if gears != self.shown {
            self.shown = gears;
            if let Some(seat) = first.seat() {
                seat.shifted(gears.0, gears.1);
            }
            if let Some(seat) = second.seat() {
                seat.shifted(gears.1, gears.0);
            }
        }
        Poll::Pending
    }

    /// A limit that passed while one end did not read, or neither did, is told
    /// with that end and that reason.
    fn held_up(&self, end: End, failure: Failure) -> (End, Failure) {
        if failure.code() != Code::LIMIT_IDLE && failure.stage() != Stage::Stuck {
            return (end, failure);
        }
        let (Some((first, second)), there) = (&self.ends, end.other()) else {
            return (end, failure);
        };
        let other = match there {
            End::First => first.held_up(),
            End::Second => second.held_up(),
        };
        let Some((flow, code)) = other.and_then(|flow| Some((flow, flow.stuck()?))) else {
            return (end, failure);
        };
        let neither = failure.stage() == Stage::Stuck;
        let (end, told) = if neither {
            let told = stuck(Code::STUCK_BOTH_WRITING)
                .message("both ends write, and neither reads: nothing can be carried either way");
            (end, told)
        } else {
            (there, stuck(code))
        };
        // What was known is known still.
        let told = failure.facts().iter().cloned().fold(told, Failure::fact);
        (end, told.fact(Fact::Flow(flow)))
    }

    fn close(&mut self) {
        if let Some((first, second)) = self.ends.take() {
            first.close(Close::Orderly);
            second.close(Close::Orderly);
        }
    }

    /// The first end, where `failure` of the second ended what had not begun.
    fn spare(&mut self, end: End, failure: &Failure) -> Option<Box<Conn>> {
        let unsaid = self.forth.is_unsaid() && self.back.is_unsaid();
        if end == End::First || failure.code() != Code::RECV_RESET || !unsaid {
            return None;
        }
        let (first, second) = self.ends.take()?;
        second.close(Close::Abort);
        Some(Box::new(first))
    }

    /// `broken` says that a connection broke; limits and whoever has had enough
    /// break nothing.
    fn cut(&mut self, broken: bool) {
        if let Some((first, second)) = self.ends.take() {
            first.close(self.back.parting(broken));
            second.close(self.forth.parting(broken));
        }
    }
}

impl Future for Carry {
    type Output = Result<Carried, CarryFailure>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        match self.go_on(task) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => {
                self.close();
                Poll::Ready(Ok(self.so_far()))
            }
            Poll::Ready(Err((end, stage, error))) => {
                let has_had_enough = error.kind() == io::ErrorKind::BrokenPipe;
                let failure = match (&self.ends, end) {
                    (Some((conn, _)), End::First) | (Some((_, conn)), End::Second) => {
                        conn.failure(stage, error)
                    }
                    (None, _) => Failure::from_io(stage, error),
                };
                let (end, failure) = self.held_up(end, failure);
                let spared = self.spare(end, &failure);
                self.cut(!has_had_enough && !is_ours(failure.code()));
                Poll::Ready(Err(CarryFailure {
                    spared,
                    ..self.lost(end, failure)
                }))
            }
        }
    }
}

impl Drop for Carry {
    fn drop(&mut self) {
        self.cut(false);
    }
}

/// Whether it is we who end it, by a limit.
fn is_ours(code: Code) -> bool {
    [
        Code::LIMIT_IDLE,
        Code::LIMIT_LIFETIME,
        Code::GREET_TIMEOUT,
        Code::STOPPED,
        Code::STUCK_BOTH_WRITING,
        Code::STUCK_READER_STOPPED,
    ]
    .contains(&code)
}

fn seen(trouble: Trouble, from: End, to: End) -> (End, Stage, io::Error) {
    match trouble {
        Trouble::Reading(error) => (from, Stage::Recv, error),
        Trouble::Writing(stage, error) => (to, stage, error),
    }
}
