//! What a datagram socket is and was asked to be, whatever reads and writes it.

use std::net::SocketAddr;

use netloom_base::failure::Fact;

use crate::conn::{ConnFacts, Peer};
use crate::datagrams::LARGEST;

/// What kind of socket it is, and what was asked of it.
pub(crate) struct Manner {
    /// Its own address.
    pub(crate) local: Option<Peer>,
    /// Whom the kernel sends to when nobody is named.
    pub(crate) connected: Option<Peer>,
    /// Whom this sends to when nobody is named and the socket is not connected.
    pub(crate) default_to: Option<Peer>,
    /// The interfaces a datagram to `default_to` leaves by, one after the other.
    pub(crate) interfaces: Vec<u32>,
    /// Whether its addresses are of IPv6.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "only the kernel that sends in batches is told")
    )]
    pub(crate) v6: bool,
    /// Whether the network's answers are kept for it (IP_RECVERR).
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "no other kernel keeps them")
    )]
    pub(crate) armed: bool,
    /// Whether datagrams must not be split.
    pub(crate) df: bool,
    /// Whether broadcast is allowed.
    pub(crate) broadcast: bool,
    /// Room for one datagram.
    pub(crate) room: usize,
    /// What was noticed when it was opened.
    pub(crate) learned: Vec<Fact>,
}

impl Default for Manner {
    fn default() -> Self {
        Manner {
            local: None,
            connected: None,
            default_to: None,
            interfaces: Vec::new(),
            v6: false,
            armed: false,
            df: false,
            broadcast: false,
            room: LARGEST,
            learned: Vec::new(),
        }
    }
}

impl Manner {
    /// The addresses of both ends, as far as there are such.
    pub(super) fn facts(&self) -> ConnFacts {
        ConnFacts {
            local: self.local.clone(),
            peer: self.connected.clone().or_else(|| self.default_to.clone()),
        }
    }
}

/// An address of an IP socket, with `::ffff:` taken off.
pub(super) fn peer(addr: SocketAddr) -> Peer {
    Peer::Ip(crate::socket::canonical(addr))
}
