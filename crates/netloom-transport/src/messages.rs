//! Whole messages in order.

use netloom_base::Failure;

use crate::BoxFuture;
use crate::conn::ConnFacts;

/// A conversation in messages: WebSocket, framed streams, one per line.
///
/// The parts of a message never show: a message is given whole or, when it
/// is larger than the carrier's limit, refused with `recv.frame-too-large`.
pub trait Messages: Send {
    /// The next message; `None` when the peer has said goodbye in order.
    /// Cancel-safe.
    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, Failure>>;

    /// Sends one message, waiting while the peer reads slowly.
    fn send<'a>(&'a mut self, message: &'a [u8]) -> BoxFuture<'a, Result<(), Failure>>;

    /// Says goodbye and waits, within the carrier's own limit, for the answer.
    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Failure>>;

    /// Ends it without a word, where the carrier can: the peer is not to take
    /// what it got for all there was.
    fn abort(self: Box<Self>) {
        drop(self);
    }

    /// Who is at both ends.
    fn facts(&self) -> ConnFacts;
}
