//! The host of an endpoint.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::error::{EndpointError, Wrong};
use super::mask;

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// Nothing written: loopback of both families, the same port on both.
    Loopback,
    /// `*` or `any`: every interface, both families.
    Any,
    /// An IPv4 address, four decimal numbers.
    V4(Ipv4Addr),
    /// An IPv6 address, written in brackets.
    V6 {
        /// The address.
        addr: Ipv6Addr,
        /// The interface's name or number after `%` (RFC 4007 §11).
        zone: Option<String>,
    },
    /// A name, mapped as in UTS 46: lower case, `xn--` for what is not ASCII.
    Name(String),
}

impl Host {
    /// The address, where the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::V4(addr) => Some(IpAddr::V4(*addr)),
            Host::V6 { addr, .. } => Some(IpAddr::V6(*addr)),
            _ => None,
        }
    }

    /// The name, where the host is one: for DNS, SNI and `Host:`.
    pub fn name(&self) -> Option<&str> {
        match self {
            Host::Name(name) => Some(name),
            _ => None,
        }
    }

    /// Whether it can only be this host: loopback as such, its addresses, and
    /// `localhost` (RFC 6761 §6.3).
    pub fn is_loopback(&self) -> bool {
        match self {
            Host::Loopback => true,
            Host::Any => false,
            Host::V4(addr) => addr.is_loopback(),
            Host::V6 { addr, .. } => addr.to_canonical().is_loopback(),
            Host::Name(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                name == "localhost" || name.ends_with(".localhost")
            }
        }
    }

    /// Reads a host that stands at `at` in the whole text.
    pub(super) fn read(text: &str, at: usize) -> Result<Self, Wrong> {
        let span = at..at + text.len();
        if text.is_empty() {
            return Ok(Host::Loopback);
        }
        if text == "*" || text.eq_ignore_ascii_case("any") {
            return Ok(Host::Any);
        }
        if let Some(inside) = text.strip_prefix('[') {
            let Some(inside) = inside.strip_suffix(']') else {
                return Err(Wrong::new(at..at + 1, "this bracket is never closed")
                    .edit(span.end..span.end, "]"));
            };
            return in_brackets(inside, at + 1);
        }
        if let Some(bracketed) = bracketed(text) {
            return Err(Wrong::new(span, BARE_V6).replace(bracketed));
        }
        if let Some((i, c)) = text
            .char_indices()
            .find(|(_, c)| c.is_ascii() && !in_name(*c))
        {
            let wrong = Wrong::new(at + i..at + i + 1, format!("`{c}` cannot stand in a host"));
            return Err(match c {
                '*' => wrong.edit(span, "*"),
                _ => wrong,
            });
        }
        named(text, at)
    }
}

pub(super) const BARE_V6: &str =
    "an IPv6 address stands in brackets, so that its colons are not taken for a port's";

/// The bracketed form of an IPv6 address written bare, a port after it told apart where one can be.
pub(super) fn bracketed(text: &str) -> Option<String> {
    if text.matches(':').count() < 2 {
        return None;
    }
    if let Some((front, port)) = text.rsplit_once(':') {
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        if digits && port.parse::<u16>().is_ok() && is_v6(front) {
            return Some(format!("[{front}]:{port}"));
        }
    }
    is_v6(text).then(|| format!("[{text}]"))
}

fn is_v6(text: &str) -> bool {
    let (addr, zone) = text.split_once('%').unwrap_or((text, "1"));
    addr.parse::<Ipv6Addr>().is_ok() && zone_error(zone).is_none()
}

fn in_brackets(text: &str, at: usize) -> Result<Host, Wrong> {
    let (front, zone) = match text.split_once('%') {
        Some((front, zone)) => (front, Some(zone)),
        None => (text, None),
    };
    let span = at..at + front.len();
    let Ok(addr) = front.parse::<Ipv6Addr>() else {
        let wrong = Wrong::new(span, "this is not an IPv6 address");
        let whole = at - 1..at + text.len() + 1;
        // Brackets belong to IPv6 alone; another host inside them stands without.
        return Err(match (zone, Host::read(front, at)) {
            (None, Ok(Host::V4(_) | Host::Name(_))) => wrong.edit(whole, front),
            _ => wrong,
        });
    };
    let Some(written) = zone else {
        return Ok(Host::V6 { addr, zone: None });
    };
    // RFC 6874 writes the `%` itself as %25; a zone that is just `25` is a number.
    let zone = written
        .strip_prefix("25")
        .filter(|rest| !rest.is_empty())
        .unwrap_or(written);
    let zone_at = at + text.len() - zone.len();
    match zone_error(zone) {
        Some(message) => Err(Wrong::new(zone_at..zone_at + zone.len(), message)),
        None => Ok(Host::V6 {
            addr,
            zone: Some(zone.to_owned()),
        }),
    }
}

fn zone_error(zone: &str) -> Option<&'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '~');
    if zone.is_empty() {
        Some("the interface after `%` is missing")
    } else if zone.len() > 64 || !zone.chars().all(plain) {
        Some("an interface's name is at most 64 letters, digits, and `.` `-` `_` `:`")
    } else {
        None
    }
}

fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')
}

fn named(text: &str, at: usize) -> Result<Host, Wrong> {
    let span = at..at + text.len();
    // No hyphen rule: names such as `r3---sn-x` exist. Lengths are DNS's own.
    let mapped = Uts46::new().to_ascii(
        text.as_bytes(),
        AsciiDenyList::URL,
        Hyphens::Allow,
        DnsLength::VerifyAllowRootDot,
    );
    let name = match mapped {
        Ok(name) if name.chars().all(in_name) => name,
        _ => return Err(unmapped(text, at)),
    };
    if name == "any" {
        return Ok(Host::Any);
    }
    if let Ok(addr) = name.parse::<Ipv4Addr>() {
        return Ok(Host::V4(addr));
    }
    let body = name.strip_suffix('.').unwrap_or(&name);
    let last = body.rsplit('.').next().unwrap_or_default();
    if is_number(last) {
        let wrong = Wrong::new(
            span,
            "an IPv4 address is four numbers from 0 to 255, without leading zeros",
        );
        return Err(match in_full(body) {
            Some(addr) => wrong.replace(addr.to_string()),
            None if body.parse::<u16>().is_ok() => wrong.replace(format!(":{body}")),
            None => wrong,
        });
    }
    Ok(Host::Name(name.into_owned()))
}

fn unmapped(text: &str, at: usize) -> Wrong {
    let span = at..at + text.len();
    let trimmed = text.trim_end_matches('.');
    if trimmed.is_empty() || text.starts_with('.') || text.contains("..") {
        let i = if text.starts_with('.') {
            0
        } else {
            text.find("..").map_or(0, |i| i + 1)
        };
        let wrong = Wrong::new(
            at + i..at + i + 1,
            "a part of the name is missing at this dot",
        );
        let joined: Vec<&str> = text.split('.').filter(|label| !label.is_empty()).collect();
        return if joined.is_empty() {
            wrong
        } else {
            wrong.edit(span, joined.join("."))
        };
    }
    let mut start = 0;
    for label in text.split('.') {
        if label.len() > 63 {
            return Wrong::new(
                at + start..at + start + label.len(),
                "a part of a name is at most 63 bytes long",
            );
        }
        start += label.len() + 1;
    }
    if text.len() > 253 {
        return Wrong::new(span, "a name is at most 253 bytes long");
    }
    Wrong::new(span, "this cannot be mapped to a name in DNS")
}

fn is_number(label: &str) -> bool {
    let hex = label
        .strip_prefix("0x")
        .is_some_and(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
    hex || (!label.is_empty() && label.bytes().all(|b| b.is_ascii_digit()))
}

/// `127.1` and `010.0.0.1` in full, all numbers taken as decimal.
fn in_full(text: &str) -> Option<Ipv4Addr> {
    let numbers: Vec<u8> = text
        .split('.')
        .map(|n| n.parse().ok())
        .collect::<Option<_>>()?;
    match numbers[..] {
        [a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d)),
        [a, b, d] => Some(Ipv4Addr::new(a, b, 0, d)),
        [a, d] => Some(Ipv4Addr::new(a, 0, 0, d)),
        _ => None,
    }
}

impl FromStr for Host {
    type Err = EndpointError;

    /// Reads a host alone, an IPv6 address in brackets or without.
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let bare = is_v6(text);
        let text: Cow<'_, str> = if bare {
            format!("[{text}]").into()
        } else {
            text.into()
        };
        Host::read(&text, 0).map_err(|wrong| mask::complain(&text, wrong, Some(&[])))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Loopback => Ok(()),
            Host::Any => f.write_str("*"),
            Host::V4(addr) => write!(f, "{addr}"),
            Host::V6 { addr, zone: None } => write!(f, "[{addr}]"),
            Host::V6 {
                addr,
                zone: Some(zone),
            } => {
                // A zone that begins with 25 would read as an escaped `%`.
                let escape = if zone.starts_with("25") && zone.len() > 2 {
                    "25"
                } else {
                    ""
                };
                write!(f, "[{addr}%{escape}{zone}]")
            }
            Host::Name(name) => f.write_str(name),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(addr) => Host::V4(addr),
            IpAddr::V6(addr) => Host::V6 { addr, zone: None },
        }
    }
}

impl From<SocketAddr> for Host {
    /// The scope of an IPv6 address becomes its zone, as a number.
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => Host::V6 {
                addr: *v6.ip(),
                zone: Some(v6.scope_id().to_string()),
            },
            other => Host::from(other.ip()),
        }
    }
}
