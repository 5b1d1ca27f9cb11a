//! What routers and hosts say about packets that went nowhere.

use std::fmt;
use std::net::IpAddr;

/// What the network said about a packet of ours (RFC 792, RFC 4443).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmp {
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// Who said it; our own address when this host could not reach a neighbour.
    pub from: IpAddr,
}

impl Icmp {
    /// What it means.
    pub fn meaning(&self) -> &'static str {
        match (self.from.is_ipv6(), self.kind, self.code) {
            (false, 3, 0) => "network unreachable",
            (false, 3, 1) => "host unreachable",
            (false, 3, 2) => "protocol unreachable",
            (false, 3, 3) | (true, 1, 4) => "port unreachable",
            (false, 3, 4) => "fragmentation needed",
            (false, 3, 9) => "network prohibited",
            (false, 3, 10) => "host prohibited",
            (false, 3, 13) | (true, 1, 1) => "administratively prohibited",
            (false, 11, _) | (true, 3, _) => "time exceeded",
            (true, 1, 0) => "no route",
            (true, 1, 3) => "address unreachable",
            (true, 1, 5) => "source address refused",
            (true, 1, 6) => "route refused",
            (true, 2, _) => "packet too big",
            _ => "unreachable",
        }
    }

    /// Whether a rule, and not the lack of a way, speaks here.
    pub fn is_policy(&self) -> bool {
        matches!(
            (self.from.is_ipv6(), self.kind, self.code),
            (false, 3, 2 | 3 | 9 | 10 | 13) | (true, 1, 1 | 4 | 5 | 6)
        )
    }

    /// Whether a router says that the packet's hops were used up.
    pub fn is_time_exceeded(&self) -> bool {
        matches!((self.from.is_ipv6(), self.kind), (false, 11) | (true, 3))
    }
}

impl fmt::Display for Icmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = if self.from.is_ipv6() {
            "ICMPv6"
        } else {
            "ICMP"
        };
        let Icmp { kind, code, from } = self;
        write!(
            f,
            "{version} {kind}/{code} ({}) from {from}",
            self.meaning()
        )
    }
}
