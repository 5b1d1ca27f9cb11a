//! Single datagrams, each of which may be lost, doubled or late.

use netloom_base::Failure;

use crate::BoxFuture;
use crate::conn::Peer;

/// A socket for datagrams. It never pretends to be a stream: the borders of
/// what was sent are the borders of what is received.
pub trait Datagrams: Send {
    /// Waits for at least one datagram, then takes what is there, at most
    /// `batch.len()`. Returns how many. Cancel-safe.
    fn recv<'a>(&'a mut self, batch: &'a mut [Datagram]) -> BoxFuture<'a, Result<usize, Failure>>;

    /// Sends a run of datagrams to one peer; `None` is the connected one.
    /// Each slice of `run` is one datagram.
    fn send<'a>(
        &'a mut self,
        to: Option<&'a Peer>,
        run: &'a [&'a [u8]],
    ) -> BoxFuture<'a, Result<(), Failure>>;

    /// This end's address.
    fn local(&self) -> Option<Peer>;
}

/// One datagram and what the kernel said of it.
#[derive(Debug, Clone, Default)]
pub struct Datagram {
    /// The bytes. Its length before a receive is the room there is.
    pub bytes: Vec<u8>,
    /// Who sent it.
    pub from: Option<Peer>,
    /// Its real length, when it was larger than the room there was.
    pub truncated_from: Option<usize>,
}
