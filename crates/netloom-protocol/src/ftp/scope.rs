//! How far an address reaches.

use std::fmt;
use std::net::IpAddr;

/// How far an address reaches, by the block it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// No address: `0.0.0.0`, `::`.
    Unspecified,
    /// This host only.
    Loopback,
    /// This link only (RFC 3927, RFC 4291).
    Link,
    /// A private network (RFC 1918, RFC 4193).
    Private,
    /// Between a provider and its customers (RFC 6598).
    Shared,
    /// Everywhere.
    Public,
}

impl Scope {
    /// The scope of an address.
    pub fn of(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        match ip {
            _ if ip.is_unspecified() => Scope::Unspecified,
            _ if ip.is_loopback() => Scope::Loopback,
            IpAddr::V4(ip) if ip.is_link_local() => Scope::Link,
            IpAddr::V4(ip) if ip.is_private() => Scope::Private,
            IpAddr::V4(ip) if ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64 => Scope::Shared,
            IpAddr::V6(ip) if ip.is_unicast_link_local() => Scope::Link,
            IpAddr::V6(ip) if ip.is_unique_local() => Scope::Private,
            _ => Scope::Public,
        }
    }

    /// Whether nobody at `peer`'s distance can use such an address.
    pub fn is_out_of_reach_from(self, peer: Scope) -> bool {
        match self {
            Scope::Unspecified => true,
            Scope::Loopback => peer != Scope::Loopback,
            Scope::Link | Scope::Private | Scope::Shared => peer == Scope::Public,
            Scope::Public => false,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::Unspecified => "no address at all",
            Scope::Loopback => "an address of the host itself",
            Scope::Link => "an address of one link (RFC 3927)",
            Scope::Private => "a private address (RFC 1918)",
            Scope::Shared => "an address inside a provider's network (RFC 6598)",
            Scope::Public => "a public address",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_their_scope() {
        let cases = [
            ("0.0.0.0", Scope::Unspecified),
            ("127.3.2.1", Scope::Loopback),
            ("::1", Scope::Loopback),
            ("169.254.1.1", Scope::Link),
            ("10.0.0.1", Scope::Private),
            ("172.31.0.1", Scope::Private),
            ("::ffff:192.168.1.1", Scope::Private),
            ("100.64.0.1", Scope::Shared),
            ("100.127.255.255", Scope::Shared),
            ("100.128.0.1", Scope::Public),
            ("172.32.0.1", Scope::Public),
            ("fd00::1", Scope::Private),
            ("2001:db8::1", Scope::Public),
        ];
        for (ip, scope) in cases {
            assert_eq!(Scope::of(ip.parse().unwrap()), scope, "{ip}");
        }
    }
}
