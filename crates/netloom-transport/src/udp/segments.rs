//! Runs of datagrams that go to the kernel as one message, which takes them
//! apart again (udp(7), `UDP_SEGMENT`): the way through its stack is gone once
//! for all of them.
//!
//! This crate already sends and receives whole batches, with control messages
//! of its own for interfaces and addresses; so that one more message is written
//! here costs less than a second library (quinn-udp) that owns the socket's
//! options and knows neither unix datagrams nor the error queue.

use std::io;

use super::sys::PARTS;
use crate::datagrams::Outgoing;

/// Fewer are as cheap on their own, and more of them are lost at once when one is.
const FEWEST: usize = 16;

/// The most bytes of one message: the most that one datagram carries over IPv4.
const MOST_BYTES: usize = 65_507;

/// How long datagrams may be that go in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Joining(usize);

impl Joining {
    /// Never.
    pub(super) const OFF: Joining = Joining(0);

    /// As long as they may be.
    pub(super) const ON: Joining = Joining(MOST_BYTES / FEWEST);

    /// What is left of it after the kernel refused datagrams of `len` bytes;
    /// `None` where that is no reason to give up: the message was no such one.
    ///
    /// A message whose parts do not fit the way is refused, while as datagrams
    /// they would be split into fragments; a device that cannot do it at all
    /// says so (EIO).
    pub(super) fn after(self, error: &io::Error, len: usize) -> Option<Joining> {
        match error.raw_os_error()? {
            libc::EIO | libc::ENOPROTOOPT | libc::EOPNOTSUPP => Some(Joining::OFF),
            libc::EINVAL | libc::EMSGSIZE => Some(Joining(len.saturating_sub(1).min(self.0))),
            _ => None,
        }
    }

    /// Whether a run is long enough for anything of it to go together.
    pub(super) fn is_worth(self, run: &[Outgoing<'_>]) -> bool {
        run.len() >= FEWEST && self != Joining::OFF
    }

    /// `run`, message by message: each is one datagram, or several.
    pub(super) fn messages<'r, 'a>(self, run: &'r [Outgoing<'a>]) -> Messages<'r, 'a> {
        Messages {
            left: run,
            longest: self.0,
            alone: 0,
        }
    }
}

/// See [`Joining::messages`].
pub(super) struct Messages<'r, 'a> {
    left: &'r [Outgoing<'a>],
    longest: usize,
    /// So many are known to go on their own.
    alone: usize,
}

impl<'r, 'a> Iterator for Messages<'r, 'a> {
    type Item = &'r [Outgoing<'a>];

    fn next(&mut self) -> Option<Self::Item> {
        if self.left.is_empty() {
            return None;
        }
        if self.alone == 0 {
            match self.alike() {
                many @ FEWEST.. => {
                    let (message, left) = self.left.split_at(many);
                    self.left = left;
                    return Some(message);
                }
                few => self.alone = few, // as many from each of them to the same border
            }
        }
        self.alone -= 1;
        let (message, left) = self.left.split_at(1);
        self.left = left;
        Some(message)
    }
}

impl Messages<'_, '_> {
    /// How many from the first can go in one message: of one length, the last
    /// may be shorter, to the same receiver from the same address.
    fn alike(&self) -> usize {
        let first = &self.left[0];
        let len = first.bytes.len();
        if self.left.len() < FEWEST || len == 0 || len > self.longest {
            return 1;
        }
        let most = self.left.len().min(PARTS).min(MOST_BYTES / len);
        let same = |other: &Outgoing<'_>| {
            other.from == first.from
                && match (other.to, first.to) {
                    (Some(other), Some(first)) => std::ptr::eq(other, first) || other == first,
                    (other, first) => other.is_none() && first.is_none(),
                }
        };
        let mut count = 1;
        for other in &self.left[1..most] {
            let shorter = other.bytes.len() < len;
            if other.bytes.len() > len || other.bytes.is_empty() || !same(other) {
                break;
            }
            count += 1;
            if shorter {
                break;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::Peer;

    fn counts(joining: Joining, run: &[Outgoing<'_>]) -> Vec<usize> {
        joining.messages(run).map(<[_]>::len).collect()
    }

    #[test]
    fn only_long_runs_of_one_length_to_one_receiver_go_together() {
        let bytes = [7; 3000];
        let of = |len: usize| Outgoing::connected(&bytes[..len]);
        let many = |len: usize, count: usize| vec![of(len); count];
        assert_eq!(counts(Joining::ON, &many(100, 15)), [1; 15]);
        assert_eq!(counts(Joining::ON, &many(100, 16)), [16]);
        assert_eq!(counts(Joining::ON, &many(100, 100)), [64, 36]);
        assert_eq!(counts(Joining::OFF, &many(100, 20)), [1; 20]);
        // 65,507 bytes have room for 21 of these.
        assert_eq!(counts(Joining::ON, &many(3000, 45)), [21, 21, 1, 1, 1]);
        assert_eq!(counts(Joining::ON, &many(0, 20)), [1; 20]);

        let mut shorter_last = many(100, 20);
        shorter_last.push(of(99));
        shorter_last.extend(many(99, 16));
        assert_eq!(counts(Joining::ON, &shorter_last), [21, 16]);
        let mut longer_last = many(100, 16);
        longer_last.push(of(101));
        assert_eq!(counts(Joining::ON, &longer_last), [16, 1]);
        let mut broken = many(100, 10);
        broken.push(of(5));
        broken.extend(many(100, 16));
        assert_eq!(
            counts(Joining::ON, &broken),
            [vec![1; 11], vec![16]].concat()
        );
    }

    #[test]
    fn another_receiver_or_address_is_another_message() {
        let (a, b) = (Peer::Named("a".into()), Peer::Named("b".into()));
        let mut run = vec![Outgoing::to(&a, b"xx"); 16];
        run.extend(vec![Outgoing::to(&b, b"xx"); 16]);
        assert_eq!(counts(Joining::ON, &run), [16, 16]);
        run[20].from = Some([10, 0, 0, 1].into());
        assert_eq!(counts(Joining::ON, &run), [vec![16], vec![1; 16]].concat());
    }

    #[test]
    fn what_the_kernel_refuses_is_not_tried_again() {
        let said = |errno| io::Error::from_raw_os_error(errno);
        assert_eq!(Joining::ON.after(&said(libc::EIO), 100), Some(Joining::OFF));
        let shorter = Joining::ON.after(&said(libc::EMSGSIZE), 1473).unwrap();
        let bytes = [7; 1473];
        assert_eq!(counts(shorter, &[Outgoing::connected(&bytes); 16]), [1; 16]);
        assert_eq!(
            counts(shorter, &[Outgoing::connected(&bytes[1..]); 16]),
            [16]
        );
        assert_eq!(Joining::ON.after(&said(libc::ECONNREFUSED), 100), None);
    }
}
