//! What targets sent, on its way back: gathered from many sessions, so that one
//! system call sends it.

use std::task::{Context, Poll, ready};

use netloom_transport::datagrams::LARGEST;
use netloom_transport::{Batch, Datagrams, Outgoing, Peer};

use super::session::Passed;
use super::table::Table;

/// How many batches there are of how many receives: for one target that sends
/// much, for a few, and for many of which each sends little.
const SHELVES: [(usize, usize); 3] = [(1, 32), (4, 8), (16, 2)];

/// How many datagrams are sent at once.
const RUN: usize = 64;

/// As many as come at once where clients wait for their answers.
const FEW: usize = 2;

/// Batches, and whose targets filled them.
pub(super) struct Back {
    shelves: [Vec<Batch>; 3],
    /// Which of them is in use.
    shelf: usize,
    /// Whose each is that was filled, in order.
    whose: Vec<u32>,
    /// How many datagrams of these have gone, or never will.
    done: usize,
    passed: Passed,
}

impl Default for Back {
    fn default() -> Self {
        let shelf = |(batches, slots)| (0..batches).map(|_| Batch::new(slots, LARGEST)).collect();
        Back {
            shelves: SHELVES.map(shelf),
            shelf: 0,
            whose: Vec::with_capacity(16),
            done: 0,
            passed: Passed::default(),
        }
    }
}

impl Back {
    pub(super) fn is_empty(&self) -> bool {
        self.whose.is_empty()
    }

    /// Chooses room for so many sessions, and says how many have some. For when
    /// it is empty.
    pub(super) fn make_room_for(&mut self, sessions: usize) -> usize {
        let fits = |shelf: &Vec<Batch>| shelf.len() >= sessions;
        let last = self.shelves.len() - 1;
        self.shelf = self.shelves.iter().position(fits).unwrap_or(last);
        self.shelves[self.shelf].len()
    }

    /// Room for what the next session's target sent.
    pub(super) fn room(&mut self) -> Option<&mut Batch> {
        self.shelves[self.shelf].get_mut(self.whose.len())
    }

    /// What was given by `room` was filled for this session.
    pub(super) fn filled(&mut self, number: u32) {
        self.whose.push(number);
    }

    /// Sends all of it, as far as there is room; what cannot be sent to one
    /// client holds up no other.
    pub(super) fn send(
        &mut self,
        socket: &mut dyn Datagrams,
        table: &Table,
        task: &mut Context<'_>,
    ) -> Poll<Passed> {
        let whose = self.whose.len();
        let all = self.shelves[self.shelf][..whose]
            .iter()
            .map(Batch::len)
            .sum::<usize>();
        // Room for few costs less to make ready than room for many.
        while if all <= FEW {
            ready!(self.send_some::<FEW>(socket, table, task))
        } else {
            ready!(self.send_some::<RUN>(socket, table, task))
        } {}
        self.whose.clear();
        self.done = 0;
        Poll::Ready(std::mem::take(&mut self.passed))
    }

    /// Sends the next `N`; whether there were any.
    fn send_some<const N: usize>(
        &mut self,
        socket: &mut dyn Datagrams,
        table: &Table,
        task: &mut Context<'_>,
    ) -> Poll<bool> {
        let mut run = [Outgoing::connected(&[]); N];
        let mut count = 0;
        for (place, out) in run.iter_mut().zip(self.outgoing(table).skip(self.done)) {
            *place = out;
            count += 1;
        }
        let (mut sent, mut passed) = (0, Passed::default());
        let mut full = false;
        while sent < count && !full {
            match socket.poll_send(task, &run[sent..count]) {
                Poll::Pending => full = true,
                Poll::Ready(Ok(some)) => {
                    passed.sent += some as u64;
                    sent += some.max(1);
                }
                Poll::Ready(Err(_)) => {
                    passed.dropped += 1;
                    sent += 1;
                }
            }
        }
        self.passed += passed;
        self.done += sent;
        if full {
            return Poll::Pending;
        }
        Poll::Ready(count > 0)
    }

    /// What there is to send, in order, whatever of it has gone.
    fn outgoing<'t>(&'t self, table: &'t Table) -> impl Iterator<Item = Outgoing<'t>> {
        let batches = self.whose.iter().zip(&self.shelves[self.shelf]);
        batches
            .filter_map(|(number, batch)| Some((table.peek(*number)?, batch)))
            .filter(|(session, _)| has_address(&session.client))
            .flat_map(|(session, batch)| {
                let whole = batch.iter().filter(|(of, _)| of.truncated_from.is_none());
                whole.map(|(_, bytes)| Outgoing {
                    to: Some(&session.client),
                    from: session.asked,
                    bytes,
                })
            })
    }
}

/// A unix socket without a name hears no answer.
fn has_address(client: &Peer) -> bool {
    match client {
        Peer::Ip(addr) => addr.port() != 0,
        Peer::Named(name) => !name.is_empty(),
    }
}
