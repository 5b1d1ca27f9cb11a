//! Addresses and control messages as the kernel writes them: read and written
//! byte by byte, so that nothing here can go wrong (ip(7), ipv6(7), unix(7)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::sys::{UDP_GRO, UDP_SEGMENT};
use crate::conn::Peer;

/// What stands before the name of a unix datagram socket.
const UNIX: &str = "unixgram:";

/// Where a name begins in `sockaddr_un`.
const PATH: usize = 2;

/// Who sent a datagram. A socket without a name is an empty one.
pub(super) fn read(name: &[u8]) -> Option<Peer> {
    let family = i32::from(u16::from_ne_bytes(part(name, 0)?));
    let port = || Some(u16::from_be_bytes(part(name, 2)?));
    Some(match family {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(part::<4>(name, 4)?);
            Peer::Ip(SocketAddr::from((ip, port()?)))
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(part::<16>(name, 8)?);
            let scope = u32::from_ne_bytes(part(name, 24)?);
            if let Some(ip) = ip.to_ipv4_mapped() {
                return Some(Peer::Ip(SocketAddr::from((ip, port()?))));
            }
            Peer::Ip(SocketAddrV6::new(ip, port()?, 0, scope).into())
        }
        libc::AF_UNIX => Peer::Named(unix_name(&name[PATH.min(name.len())..]).into()),
        _ => return None,
    })
}

fn unix_name(path: &[u8]) -> String {
    match path.split_first() {
        None => String::new(),
        Some((0, name)) => format!("{UNIX}@{}", name.escape_ascii()),
        Some(_) => {
            let end = path
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(path.len());
            format!("{UNIX}{}", String::from_utf8_lossy(&path[..end]))
        }
    }
}

/// Writes an address for a socket of IPv6 (`v6`) or IPv4, or of unix datagrams;
/// says how long it is. `None`: such a socket cannot send there.
pub(super) fn write(to: &Peer, v6: bool, name: &mut [u8]) -> Option<usize> {
    match to {
        Peer::Ip(SocketAddr::V4(to)) if !v6 => {
            put(name, 0, &(libc::AF_INET as u16).to_ne_bytes())?;
            put(name, 2, &to.port().to_be_bytes())?;
            put(name, 4, &to.ip().octets())?;
            put(name, 8, &[0; 8])?;
            Some(16)
        }
        Peer::Ip(to) if v6 => {
            let (ip, scope) = match to {
                SocketAddr::V4(to) => (to.ip().to_ipv6_mapped(), 0),
                SocketAddr::V6(to) => (*to.ip(), to.scope_id()),
            };
            put(name, 0, &(libc::AF_INET6 as u16).to_ne_bytes())?;
            put(name, 2, &to.port().to_be_bytes())?;
            put(name, 4, &[0; 4])?;
            put(name, 8, &ip.octets())?;
            put(name, 24, &scope.to_ne_bytes())?;
            Some(28)
        }
        Peer::Ip(_) => None,
        Peer::Named(to) => {
            let to = to.strip_prefix(UNIX)?;
            put(name, 0, &(libc::AF_UNIX as u16).to_ne_bytes())?;
            if let Some(to) = to.strip_prefix('@') {
                put(name, PATH, &[0])?;
                let to = unescaped(to);
                put(name, PATH + 1, &to)?;
                return Some(PATH + 1 + to.len());
            }
            put(name, PATH, to.as_bytes())?;
            put(name, PATH + to.len(), &[0])?;
            Some(PATH + to.len() + 1)
        }
    }
}

/// The bytes of an abstract name as it was shown: only `\xNN`, `\\`, quotes
/// and white space were written otherwise.
fn unescaped(shown: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(shown.len());
    let mut rest = shown.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = |at: usize| (*after.get(at)? as char).to_digit(16).map(|n| n as u8);
        let (byte, taken) = match (first, after.first()) {
            (b'\\', Some(b'x')) if hex(1).is_some() && hex(2).is_some() => (
                hex(1).unwrap_or_default() * 16 + hex(2).unwrap_or_default(),
                4,
            ),
            (b'\\', Some(b't')) => (b'\t', 2),
            (b'\\', Some(b'r')) => (b'\r', 2),
            (b'\\', Some(b'n')) => (b'\n', 2),
            (b'\\', Some(quoted)) => (*quoted, 2),
            (byte, _) => (*byte, 1),
        };
        bytes.push(byte);
        rest = &rest[taken.min(rest.len())..];
    }
    bytes
}

/// What the control messages of a datagram say.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    /// How many datagrams were dropped at this socket in all.
    pub(super) dropped: Option<u32>,
    /// The address of this host that an answer should come from.
    pub(super) to: Option<IpAddr>,
    /// The interface it came through.
    pub(super) interface: Option<u32>,
    /// How long each datagram is, where several came as one.
    pub(super) segment: Option<usize>,
}

const WORD: usize = size_of::<usize>();
const HEADER: usize = size_of::<libc::cmsghdr>();

pub(super) fn said(mut control: &[u8]) -> Said {
    let mut said = Said::default();
    while let Some((level, kind, body, rest)) = message(control) {
        match (level, kind) {
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                said.dropped = part(body, 0).map(u32::from_ne_bytes);
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // The interface, the address to answer from, the one in the header.
                said.interface = part(body, 0).map(u32::from_ne_bytes);
                said.to = part::<4>(body, 4).map(IpAddr::from);
            }
            (libc::SOL_UDP, UDP_GRO) => {
                let len = part(body, 0).map(i32::from_ne_bytes);
                said.segment = len.and_then(|len| usize::try_from(len).ok());
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if said.to.is_none() => {
                said.interface = part(body, 16).map(u32::from_ne_bytes);
                let to = part::<16>(body, 0).map(|ip| IpAddr::from(ip).to_canonical());
                said.to = to.filter(|ip| !ip.is_multicast());
            }
            _ => {}
        }
        control = rest;
    }
    said
}

fn message(control: &[u8]) -> Option<(i32, i32, &[u8], &[u8])> {
    let len = usize::from_ne_bytes(part(control, 0)?);
    let level = i32::from_ne_bytes(part(control, HEADER - 8)?);
    let kind = i32::from_ne_bytes(part(control, HEADER - 4)?);
    let body = control.get(HEADER..len)?;
    let rest = control.get(len.next_multiple_of(WORD)..).unwrap_or(&[]);
    Some((level, kind, body, rest))
}

/// Writes the control message that chooses the interface (0 leaves that to the
/// routes) and the address a datagram leaves from; says how long it is.
pub(super) fn leave_by(
    interface: u32,
    from: Option<IpAddr>,
    v6: bool,
    control: &mut [u8],
) -> Option<usize> {
    let from = from.filter(|ip| !ip.is_unspecified());
    if interface == 0 && from.is_none() {
        return Some(0);
    }
    let (level, kind, len) = if v6 {
        let ip = match from {
            Some(IpAddr::V4(ip)) => ip.to_ipv6_mapped(),
            Some(IpAddr::V6(ip)) => ip,
            None => Ipv6Addr::UNSPECIFIED,
        };
        put(control, HEADER, &ip.octets())?;
        put(control, HEADER + 16, &interface.to_ne_bytes())?;
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, HEADER + 20)
    } else {
        let ip = match from {
            Some(IpAddr::V4(ip)) => ip,
            Some(IpAddr::V6(_)) => return None,
            None => Ipv4Addr::UNSPECIFIED,
        };
        put(control, HEADER, &interface.to_ne_bytes())?;
        put(control, HEADER + 4, &ip.octets())?;
        put(control, HEADER + 8, &[0; 4])?;
        (libc::IPPROTO_IP, libc::IP_PKTINFO, HEADER + 12)
    };
    put(control, 0, &len.to_ne_bytes())?;
    put(control, HEADER - 8, &level.to_ne_bytes())?;
    put(control, HEADER - 4, &kind.to_ne_bytes())?;
    Some(len.next_multiple_of(WORD))
}

/// Writes the control message that has the kernel take a message apart into
/// datagrams of `len` bytes, of which the last may be shorter; says how long it is.
pub(super) fn segments(len: usize, control: &mut [u8]) -> Option<usize> {
    let len = u16::try_from(len).ok()?;
    let said = HEADER + size_of::<u16>();
    put(control, 0, &said.to_ne_bytes())?;
    put(control, HEADER - 8, &libc::SOL_UDP.to_ne_bytes())?;
    put(control, HEADER - 4, &UDP_SEGMENT.to_ne_bytes())?;
    put(control, HEADER, &len.to_ne_bytes())?;
    Some(said.next_multiple_of(WORD))
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) -> Option<()> {
    bytes.get_mut(at..at + what.len())?.copy_from_slice(what);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::Ip(text.parse().unwrap())
    }

    #[test]
    fn addresses_come_back_as_they_were_written() {
        let mut name = [0; 112];
        for (text, v6) in [
            ("192.0.2.1:7", false),
            ("192.0.2.1:7", true),
            ("[2001:db8::1]:65535", true),
            ("[fe80::1%3]:9", true),
        ] {
            let len = write(&peer(text), v6, &mut name).unwrap();
            assert_eq!(read(&name[..len]), Some(peer(text)), "{text}");
        }
        assert_eq!(write(&peer("[::1]:7"), false, &mut name), None);
        for text in [
            "unixgram:/run/x.sock",
            "unixgram:@name",
            r"unixgram:@a\x00b\\c",
        ] {
            let named = Peer::Named(text.into());
            let len = write(&named, false, &mut name).unwrap();
            assert_eq!(read(&name[..len]), Some(named), "{text}");
        }
        let long = Peer::Named(format!("unixgram:/{}", "x".repeat(200)).into());
        assert_eq!(write(&long, false, &mut name), None);
    }

    #[test]
    fn no_cut_or_strange_name_is_read_beyond_its_end() {
        let mut name = [0; 112];
        let len = write(&peer("[::1]:7"), true, &mut name).unwrap();
        for cut in 0..len {
            assert_eq!(read(&name[..cut]), None, "{cut}");
        }
        assert_eq!(
            read(&(libc::AF_UNIX as u16).to_ne_bytes()),
            Some(Peer::Named("".into()))
        );
        assert_eq!(read(&[0xff; 112]), None);
    }

    #[test]
    fn where_a_datagram_leaves_is_read_as_it_was_written() {
        let mut control = [0; 128];
        for (from, v6) in [
            ("192.0.2.1", false),
            ("192.0.2.1", true),
            ("2001:db8::1", true),
        ] {
            let from: IpAddr = from.parse().unwrap();
            let len = leave_by(3, Some(from), v6, &mut control).unwrap();
            let read = said(&control[..len]);
            assert_eq!((read.interface, read.to), (Some(3), Some(from)));
            for cut in 0..len - 4 {
                assert_eq!(said(&control[..cut]), Said::default(), "{cut}");
            }
        }
        assert_eq!(leave_by(0, None, false, &mut control), Some(0));
        let other = "2001:db8::1".parse().unwrap();
        assert_eq!(leave_by(0, Some(other), false, &mut control), None);
    }

    #[test]
    fn several_messages_are_read_and_endless_ones_are_not() {
        let mut control = [0; 128];
        let first = leave_by(2, Some(IpAddr::from([10, 0, 0, 1])), false, &mut control).unwrap();
        let mut drops = Vec::new();
        drops.extend((HEADER + 4).to_ne_bytes());
        drops.extend(libc::SOL_SOCKET.to_ne_bytes());
        drops.extend(libc::SO_RXQ_OVFL.to_ne_bytes());
        drops.extend(48_u32.to_ne_bytes());
        control[first..first + drops.len()].copy_from_slice(&drops);
        let read = said(&control[..first + drops.len()]);
        assert_eq!(
            (read.dropped, read.to),
            (Some(48), Some(IpAddr::from([10, 0, 0, 1])))
        );
        for len in [0, 1, HEADER - 1, usize::MAX] {
            control[..WORD].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(said(&control), Said::default(), "{len}");
        }
    }
}
