//! How a pair leaves its core while nothing is under way, and goes on where it
//! stopped on another.

use std::sync::Arc;

use super::{Carry, CarryFailure, End};
use crate::conn::Conn;
use crate::journey::{Journey, Travelling};
use crate::seat::Seat;

/// Whether a pair left its core.
pub enum Pause {
    /// It did, and this is the seat that knows where its first connection goes.
    Away(Paused, Arc<Seat>),
    /// One of the two cannot be taken off its reactor: a layer is on it.
    Here(Carry),
}

/// A pair that has left its core, without its first connection.
#[must_use = "nothing is carried unless it is resumed"]
pub struct Paused {
    carry: Carry,
    second: Travelling,
}

impl Paused {
    /// Goes on where it stopped, on the core of this thread.
    ///
    /// # Errors
    /// When the reactor takes the second connection no more.
    pub fn resume(self, first: Conn) -> Result<Carry, CarryFailure> {
        let Paused { mut carry, second } = self;
        match second.arrive() {
            Ok(second) => {
                carry.ends = Some((first, second));
                Ok(carry)
            }
            Err(failure) => Err(carry.lost(End::Second, failure)),
        }
    }
}

impl Carry {
    /// Takes both connections off this core. The first has departed then, and
    /// comes back on another, where [`Paused::resume`] goes on with it.
    pub fn pause(mut self) -> Result<Pause, CarryFailure> {
        let Some((first, second)) = self.ends.take() else {
            return Ok(Pause::Here(self));
        };
        let Some(seat) = first.seat().cloned() else {
            return Ok(self.stays(first, second));
        };
        let second = match second.travel() {
            Ok(Journey::Away(second)) => second,
            Ok(Journey::Here(second)) => return Ok(self.stays(first, second)),
            Err(failure) => return Err(self.lost(End::Second, failure)),
        };
        match first.depart() {
            Ok(None) => {
                let paused = Paused {
                    carry: self,
                    second,
                };
                Ok(Pause::Away(paused, seat))
            }
            Ok(Some(first)) => match second.arrive() {
                Ok(second) => Ok(self.stays(first, second)),
                Err(failure) => Err(self.lost(End::Second, failure)),
            },
            Err(failure) => Err(self.lost(End::First, failure)),
        }
    }

    fn stays(mut self, first: Conn, second: Conn) -> Pause {
        self.ends = Some((first, second));
        Pause::Here(self)
    }
}
