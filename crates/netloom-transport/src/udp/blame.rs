//! What an error of a datagram socket means, with whatever was said about it.

use std::io;
use std::net::SocketAddr;

use netloom_base::failure::{Fact, Icmp};
use netloom_base::{Code, Failure, Side, Stage};

/// The most bytes that one datagram carries over IPv4 and over IPv6: what 16
/// bits can say, without the headers that they count.
pub(super) const fn largest(v6: bool) -> usize {
    if v6 { 65_527 } else { 65_507 }
}

/// What is known when a send or a receive fails.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Known {
    /// To whom.
    pub(super) to: Option<SocketAddr>,
    /// How many bytes, when it was a send.
    pub(super) bytes: Option<usize>,
    /// What the network said.
    pub(super) icmp: Option<Icmp>,
    /// The path MTU, where the kernel tells it.
    pub(super) mtu: Option<u64>,
    /// Whether datagrams must not be split.
    pub(super) df: bool,
    /// Whether broadcast was not allowed.
    #[cfg_attr(not(unix), expect(dead_code, reason = "no error there says so"))]
    pub(super) no_broadcast: bool,
}

impl Known {
    /// The failure behind `error`.
    pub(super) fn failure(self, error: io::Error) -> Failure {
        let failure = match self.code(&error) {
            Some((side, code)) => {
                let failure = Failure::new(Stage::Send, side, code);
                match error.raw_os_error() {
                    Some(errno) => failure.fact(Fact::Errno(netloom_base::failure::Errno(errno))),
                    None => failure.source(error),
                }
            }
            None => Failure::from_io(Stage::Send, error),
        };
        let failure = match self.icmp {
            Some(icmp) => failure.fact(Fact::Icmp(icmp)),
            None => failure,
        };
        let failure = if failure.code() == Code::SEND_TOO_LARGE {
            self.too_large(failure)
        } else {
            failure
        };
        match self.to {
            Some(to) => failure.fact(Fact::Tried(to)),
            None => failure,
        }
    }

    #[cfg(unix)]
    fn code(&self, error: &io::Error) -> Option<(Side, Code)> {
        let from_peer = self
            .icmp
            .is_none_or(|icmp| self.to.is_none_or(|to| same(to.ip(), icmp.from)));
        let forbidden = self.icmp.is_some_and(|icmp| icmp.is_policy());
        let group = self.to.is_some_and(|to| to.ip().is_multicast());
        Some(match error.raw_os_error()? {
            libc::EMSGSIZE => (Side::Us, Code::SEND_TOO_LARGE),
            // A closed port is answered by the host itself; whoever else says so is a rule.
            libc::ECONNREFUSED if from_peer => (Side::Peer, Code::SEND_REFUSED),
            libc::ECONNREFUSED => (Side::Path, Code::SEND_REJECTED),
            libc::EHOSTUNREACH | libc::EACCES | libc::ENOPROTOOPT | libc::EPROTO if forbidden => {
                (Side::Path, Code::SEND_REJECTED)
            }
            libc::EHOSTUNREACH => (Side::Path, Code::CONNECT_NEIGHBOUR),
            libc::ENETUNREACH | libc::ENODEV if group => (Side::Us, Code::JOIN_NO_INTERFACE),
            libc::ENETUNREACH => (Side::Path, Code::CONNECT_NO_ROUTE),
            libc::EACCES if self.no_broadcast => (Side::Us, Code::SEND_DENIED_BROADCAST),
            libc::EPERM => (Side::Us, Code::SEND_DENIED_FIREWALL),
            _ => return None,
        })
    }

    #[cfg(not(unix))]
    fn code(&self, error: &io::Error) -> Option<(Side, Code)> {
        // Windows answers a receive with what the network said of an earlier send.
        match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {
                Some((Side::Peer, Code::SEND_REFUSED))
            }
            _ => None,
        }
    }

    fn too_large(&self, failure: Failure) -> Failure {
        let v6 = self.to.is_some_and(|to| to.ip().to_canonical().is_ipv6());
        let most = largest(v6);
        let version = if v6 { "IPv6" } else { "IPv4" };
        if let Some(bytes) = self.bytes.filter(|bytes| *bytes > most) {
            let message = format!(
                "a datagram of {bytes} bytes is too large: UDP over {version} carries at most {most}"
            );
            return failure.message(message).fact(Fact::Limit {
                name: "a datagram",
                allows: most as u64,
            });
        }
        let what = match self.bytes {
            Some(bytes) => format!("a datagram of {bytes} bytes"),
            None => "an earlier datagram".to_owned(),
        };
        let failure = match self.mtu {
            Some(mtu) => {
                let headers = if v6 { 48 } else { 28 };
                let message = format!(
                    "{what} is too large for the way there: it carries packets of {mtu} bytes, {} of them for the datagram",
                    mtu.saturating_sub(headers)
                );
                failure.message(message).fact(Fact::Limit {
                    name: "the path MTU",
                    allows: mtu,
                })
            }
            None => failure.message(format!("{what} is too large for the way there")),
        };
        if self.df {
            failure.fact(Fact::said(
                "splitting it into fragments was forbidden (df)",
                "IP_MTU_DISCOVER",
            ))
        } else {
            failure
        }
    }
}

#[cfg(unix)]
fn same(a: std::net::IpAddr, b: std::net::IpAddr) -> bool {
    a.to_canonical() == b.to_canonical()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn known(to: &str) -> Known {
        Known {
            to: Some(to.parse().unwrap()),
            ..Known::default()
        }
    }

    fn icmp(kind: u8, code: u8, from: &str) -> Icmp {
        Icmp {
            kind,
            code,
            from: from.parse().unwrap(),
        }
    }

    fn code(known: Known, errno: i32) -> &'static str {
        known
            .failure(io::Error::from_raw_os_error(errno))
            .code()
            .name()
    }

    #[test]
    fn each_signal_has_its_code() {
        let to = "192.0.2.1:9";
        let with = |icmp| Known {
            icmp: Some(icmp),
            ..known(to)
        };
        assert_eq!(
            code(known(to), libc::ECONNREFUSED),
            "send.refused.no-listener"
        );
        let own = with(icmp(3, 3, "192.0.2.1"));
        assert_eq!(code(own, libc::ECONNREFUSED), "send.refused.no-listener");
        let router = with(icmp(3, 3, "10.0.0.1"));
        assert_eq!(code(router, libc::ECONNREFUSED), "send.rejected.firewall");
        let policy = with(icmp(3, 13, "10.0.0.1"));
        assert_eq!(code(policy, libc::EHOSTUNREACH), "send.rejected.firewall");
        let no_way = with(icmp(3, 1, "10.0.0.1"));
        assert_eq!(
            code(no_way, libc::EHOSTUNREACH),
            "connect.unreachable.neighbour"
        );
        let v6 = Known {
            icmp: Some(icmp(1, 1, "2001:db8::1")),
            ..known("[2001:db8::9]:9")
        };
        assert_eq!(code(v6, libc::EACCES), "send.rejected.firewall");
        assert_eq!(code(known(to), libc::EPERM), "send.denied.local-firewall");
        assert_eq!(code(known(to), libc::EMSGSIZE), "send.too-large");
        assert_eq!(
            code(known(to), libc::ENETUNREACH),
            "connect.unreachable.no-route"
        );
        assert_eq!(
            code(known("239.1.1.1:9"), libc::ENETUNREACH),
            "join.no-interface"
        );
        let denied = Known {
            no_broadcast: true,
            ..known("255.255.255.255:9")
        };
        assert_eq!(code(denied, libc::EACCES), "send.denied.broadcast");
        assert_eq!(code(known(to), libc::EACCES), "send.other");
    }

    #[test]
    fn too_large_names_the_limit_that_was_passed() {
        let said = |known: Known| {
            known
                .failure(io::Error::from_raw_os_error(libc::EMSGSIZE))
                .to_string()
        };
        let over = Known {
            bytes: Some(65_508),
            ..known("127.0.0.1:9")
        };
        assert!(said(over).contains("at most 65507"), "{}", said(over));
        let over = Known {
            bytes: Some(65_528),
            ..known("[::1]:9")
        };
        assert!(said(over).contains("at most 65527"), "{}", said(over));
        let path = Known {
            bytes: Some(1473),
            mtu: Some(1500),
            df: true,
            ..known("192.0.2.1:9")
        };
        assert!(
            said(path).contains("1500 bytes, 1472 of them"),
            "{}",
            said(path)
        );
    }
}
