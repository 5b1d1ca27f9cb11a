//! Single datagrams, each of which may be lost, doubled or late.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use netloom_base::failure::Fact;
use netloom_base::{Code, Endpoint, Failure};

use crate::conn::{ConnFacts, Peer};

/// A socket for datagrams. It never pretends to be a stream: the borders of
/// what was sent are the borders of what is received.
///
/// It is polled, so that a loop over many small datagrams allocates nothing;
/// [`recv`] and [`send`] wait for whoever is not in such a hurry.
pub trait Datagrams: Send {
    /// Takes what has come into `batch`, at least one datagram and at most as
    /// many as have room; what was in the batch is gone.
    ///
    /// # Errors
    /// What the network said about an earlier datagram (`send.*`), or what the
    /// kernel said. The socket can be used further.
    fn poll_recv(&mut self, task: &mut Context<'_>, batch: &mut Batch)
    -> Poll<Result<(), Failure>>;

    /// Sends a run, from its beginning, as far as the kernel has room, and says
    /// how many went. Waits only when not one could go.
    ///
    /// # Errors
    /// About the first one that could not be sent; those before it went.
    fn poll_send(
        &mut self,
        task: &mut Context<'_>,
        run: &[Outgoing<'_>],
    ) -> Poll<Result<usize, Failure>>;

    /// This end, and the other one where it is connected to one.
    fn facts(&self) -> ConnFacts;

    /// What was lost at this socket so far.
    fn lost(&self) -> Lost {
        Lost::default()
    }

    /// How much room a receive should have: less than what a datagram can be,
    /// only where somebody asked for it.
    fn room(&self) -> usize {
        LARGEST
    }

    /// What was noticed when it was opened, though it did not end it.
    fn learned(&self) -> &[Fact] {
        &[]
    }
}

/// The most bytes in one datagram (RFC 768).
pub const LARGEST: usize = 65_535;

/// An address for datagrams that is held.
pub trait BoundDatagrams: Send + Sync {
    /// The address with its real port.
    fn endpoint(&self) -> Endpoint;

    /// One more socket on this address for the current runtime; `None` where it
    /// cannot be shared. The kernel gives all datagrams of one peer to one of them.
    ///
    /// # Errors
    /// As binding.
    fn socket(&self) -> Result<Option<Box<dyn Datagrams>>, Failure>;

    /// Holds `sockets` sockets from now on, where the address can be shared, so
    /// that the kernel divides the peers among them before the first one speaks.
    /// [`BoundDatagrams::socket`] gives them out.
    ///
    /// # Errors
    /// As binding.
    fn share_among(&self, sockets: usize) -> Result<(), Failure> {
        let _ = sockets;
        Ok(())
    }

    /// How to reach it with a tool that many have.
    fn try_with(&self) -> Option<String> {
        None
    }

    /// What was noticed when it was taken: the interfaces a group was joined on.
    fn learned(&self) -> &[Fact] {
        &[]
    }

    /// Whether datagrams of many senders come here by their nature, as to a group.
    fn is_shared(&self) -> bool {
        false
    }
}

/// What a socket's kernel counted as lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lost {
    /// Datagrams that came and were dropped, because nobody read them in time.
    pub dropped: u64,
    /// Datagrams that were larger than the room there was.
    pub truncated: u64,
}

impl Lost {
    /// What was lost since `before`, each in words with its code. `room` is what
    /// one receive has.
    pub fn since(self, before: Lost, room: usize) -> impl Iterator<Item = String> {
        let dropped = self.dropped - before.dropped;
        let truncated = self.truncated - before.truncated;
        let dropped = (dropped > 0).then(|| {
            let (were, code) = (count(dropped), Code::RECV_DROPPED);
            format!(
                "{code}: {were} dropped by the kernel, because they came faster than they were read and the receive buffer was full: rcvbuf= makes it larger"
            )
        });
        let truncated = (truncated > 0).then(|| {
            let (were, code) = (count(truncated), Code::RECV_TRUNCATED);
            format!("{code}: {were} cut, being larger than {room} bytes: buffer= gives more room")
        });
        dropped.into_iter().chain(truncated)
    }
}

fn count(n: u64) -> String {
    match n {
        1 => "1 datagram was".to_owned(),
        n => format!("{n} datagrams were"),
    }
}

/// A datagram on its way out.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// To whom; `None` is the connected peer.
    pub to: Option<&'a Peer>,
    /// From which of this host's addresses; `None` lets the kernel choose.
    pub from: Option<IpAddr>,
    /// The datagram.
    pub bytes: &'a [u8],
}

impl<'a> Outgoing<'a> {
    /// A datagram to the connected peer.
    pub fn connected(bytes: &'a [u8]) -> Self {
        Outgoing {
            to: None,
            from: None,
            bytes,
        }
    }

    /// A datagram to `peer`.
    pub fn to(peer: &'a Peer, bytes: &'a [u8]) -> Self {
        Outgoing {
            to: Some(peer),
            from: None,
            bytes,
        }
    }
}

/// What the kernel said of a datagram that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Who sent it.
    pub from: Peer,
    /// To which of this host's addresses, where the kernel says so.
    pub to: Option<IpAddr>,
    /// Through which interface, by its number, where the kernel says so.
    pub interface: Option<u32>,
    /// Its real length, when it was larger than the room there was.
    pub truncated_from: Option<usize>,
}

/// The bytes that a processor fetches at once, on most.
const CACHE_LINE: usize = 64;

/// Room for datagrams, used again and again.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    room: usize,
    stride: usize,
    items: Vec<Item>,
}

#[derive(Debug)]
struct Item {
    slot: usize,
    start: usize,
    len: usize,
    of: Received,
}

impl Batch {
    /// Room for `slots` receives of `room` bytes each, at least 1 of each.
    pub fn new(slots: usize, room: usize) -> Self {
        let (slots, room) = (slots.max(1), room.max(1));
        // An odd number of cache lines from one to the next: with a power of
        // two, the beginnings of all slots would compete for the same few lines.
        let stride = (room.div_ceil(CACHE_LINE) | 1) * CACHE_LINE;
        Batch {
            bytes: vec![0; slots * stride],
            room,
            stride,
            items: Vec::with_capacity(slots),
        }
    }

    /// How many receives have room.
    pub fn slots(&self) -> usize {
        self.bytes.len() / self.stride
    }

    /// How many bytes each has.
    pub fn room(&self) -> usize {
        self.room
    }

    /// How many datagrams there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The datagrams, in the order they came.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Received, &[u8])> {
        self.items.iter().map(|item| {
            let at = item.slot * self.stride + item.start;
            (&item.of, &self.bytes[at..at + item.len])
        })
    }

    /// Forgets the datagrams. For whoever fills a batch.
    pub fn clear(&mut self) {
        self.items.clear();
    }

    /// The room of all slots, one after the other, to be filled.
    pub fn slots_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let room = self.room;
        self.bytes
            .chunks_exact_mut(self.stride)
            .map(move |slot| &mut slot[..room])
    }

    /// Says what came into a slot: one datagram of `len` bytes, as far as there
    /// was room.
    pub fn came_whole(&mut self, slot: usize, len: usize, of: Received) {
        self.items.push(Item {
            slot,
            start: 0,
            len: len.min(self.room),
            of,
        });
    }

    /// Says what came into a slot: `len` bytes in datagrams of `segment` bytes,
    /// of which the last may be shorter (what the kernel joined, UDP_GRO).
    pub fn came(&mut self, slot: usize, len: usize, segment: usize, of: &Received) {
        let len = len.min(self.room);
        let segment = segment.max(1);
        let mut start = 0;
        loop {
            let part = segment.min(len - start);
            self.items.push(Item {
                slot,
                start,
                len: part,
                of: of.clone(),
            });
            start += part;
            if start >= len {
                return;
            }
        }
    }
}

/// Waits for datagrams, then takes what is there. Cancel-safe.
///
/// # Errors
/// As [`Datagrams::poll_recv`].
pub async fn recv(socket: &mut dyn Datagrams, batch: &mut Batch) -> Result<(), Failure> {
    poll_fn(|task| socket.poll_recv(task, batch)).await
}

/// Sends a run, waiting while the kernel has no room.
///
/// # Errors
/// As [`Datagrams::poll_send`]; the rest of the run was not sent.
pub async fn send(socket: &mut dyn Datagrams, run: &[Outgoing<'_>]) -> Result<(), Failure> {
    let mut sent = 0;
    poll_fn(|task| {
        while sent < run.len() {
            sent += ready!(socket.poll_send(task, &run[sent..]))?;
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// Every address of an endpoint, held for datagrams.
pub type HeldDatagrams = Vec<Arc<dyn BoundDatagrams>>;

#[cfg(test)]
mod tests {
    use super::*;

    fn received() -> Received {
        Received {
            from: Peer::Named("a".into()),
            to: None,
            interface: None,
            truncated_from: None,
        }
    }

    #[test]
    fn what_the_kernel_joined_comes_apart_again() {
        let mut batch = Batch::new(2, 8);
        for (i, slot) in batch.slots_mut().enumerate() {
            slot.copy_from_slice(&[[1, 1, 1, 2, 2, 2, 3, 0], [9; 8]][i]);
        }
        batch.came(0, 7, 3, &received());
        batch.came(1, 8, 8, &received());
        let all: Vec<&[u8]> = batch.iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(all, [&[1, 1, 1][..], &[2, 2, 2], &[3], &[9; 8]]);
    }

    #[test]
    fn an_empty_datagram_is_one_too() {
        let mut batch = Batch::new(1, 8);
        batch.came(0, 0, 8, &received());
        assert_eq!(batch.len(), 1);
        assert!(batch.iter().all(|(_, bytes)| bytes.is_empty()));
        batch.clear();
        assert!(batch.is_empty());
    }
}
