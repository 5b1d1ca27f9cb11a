//! Dials that listen to what the network says about them: ICMP by way of the
//! error queue (ip(7), `IP_RECVERR`), and hop by hop.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::netlink::u32_at;
use super::sys;
use crate::cx::Cx;
use netloom_base::failure::Icmp;

use crate::probe::data::{DialEnd, Dialled, Path};

/// How far is looked.
const MOST_HOPS: u8 = 24;

pub(in crate::probe) fn arm(socket: BorrowedFd<'_>, addr: SocketAddr, on: bool) -> io::Result<()> {
    sys::set_error_queue(socket, addr.is_ipv6(), on)
}

pub(in crate::probe) fn read(socket: BorrowedFd<'_>) -> Option<Icmp> {
    // Each entry is one packet that somebody sent back; the first that ICMP brought decides.
    for _ in 0..8 {
        let control = sys::read_error_queue(socket).ok()?;
        if let Some(icmp) = first_icmp(&control) {
            return Some(icmp);
        }
    }
    None
}

/// Reads `struct sock_extended_err` and the address after it out of control messages.
fn first_icmp(mut control: &[u8]) -> Option<Icmp> {
    const WORD: usize = size_of::<usize>();
    const HEADER: usize = size_of::<libc::cmsghdr>();
    loop {
        let len = usize::from_ne_bytes(control.get(..WORD)?.try_into().ok()?);
        let level = u32_at(control, HEADER - 8)?.cast_signed();
        let kind = u32_at(control, HEADER - 4)?.cast_signed();
        let body = control.get(HEADER..len)?;
        let v4 = (level, kind) == (libc::IPPROTO_IP, libc::IP_RECVERR);
        let v6 = (level, kind) == (libc::IPPROTO_IPV6, libc::IPV6_RECVERR);
        if v4 || v6 {
            let from = match u32_at(body, 16).map(|word| (word & 0xffff).cast_signed()) {
                Some(libc::AF_INET) => ip::<4>(body, 20),
                Some(libc::AF_INET6) => ip::<16>(body, 24),
                _ => None,
            };
            // 2 and 3: ICMP and ICMPv6; what this host says itself has no address.
            if let (2 | 3, Some(from)) = (*body.get(4)?, from) {
                return Some(Icmp {
                    kind: *body.get(5)?,
                    code: *body.get(6)?,
                    from: from.to_canonical(),
                });
            }
        }
        control = control.get(len.next_multiple_of(WORD)..)?;
    }
}

fn ip<const N: usize>(body: &[u8], at: usize) -> Option<IpAddr>
where
    IpAddr: From<[u8; N]>,
{
    let octets: [u8; N] = body.get(at..at + N)?.try_into().ok()?;
    Some(IpAddr::from(octets))
}

/// A dial on its way.
struct Dial(AsyncFd<Socket>);

impl Dial {
    /// Begins one, with at most `hops` if that is said. `Err` when it failed at once.
    fn begin(addr: SocketAddr, hops: Option<u8>) -> Result<Self, Dialled> {
        let at_once = |error: &io::Error, icmp| Dialled {
            end: DialEnd::Failed(error.raw_os_error().unwrap_or(libc::EIO)),
            icmp,
            took: Duration::ZERO,
        };
        let made = || {
            let domain = Domain::for_address(addr);
            let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
            arm(socket.as_fd(), addr, true)?;
            match hops {
                Some(hops) if addr.is_ipv4() => socket.set_ttl_v4(hops.into())?,
                Some(hops) => socket.set_unicast_hops_v6(hops.into())?,
                None => {}
            }
            Ok(socket)
        };
        let socket = made().map_err(|error| at_once(&error, None))?;
        match socket.connect(&addr.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(at_once(&error, read(socket.as_fd()))),
        }
        sys::watch(socket)
            .map(Dial)
            .map_err(|error| at_once(&error, None))
    }

    async fn end(&self, cx: &Cx, within: Duration) -> (DialEnd, Option<Icmp>) {
        let ready = cx.timeout(within, self.0.writable()).await;
        let socket = self.0.get_ref();
        let end = match ready {
            None => DialEnd::Silent,
            Some(_) => match socket.take_error() {
                Ok(None) => DialEnd::Connected,
                Ok(Some(error)) | Err(error) => {
                    DialEnd::Failed(error.raw_os_error().unwrap_or(libc::EIO))
                }
            },
        };
        (end, read(socket.as_fd()))
    }
}

pub(in crate::probe) async fn dial(addr: SocketAddr, within: Duration, cx: &Cx) -> Option<Dialled> {
    let began = cx.now();
    let (end, icmp) = match Dial::begin(addr, None) {
        Ok(dial) => dial.end(cx, within).await,
        Err(ended) => (ended.end, ended.icmp),
    };
    Some(Dialled {
        end,
        icmp,
        took: cx.now() - began,
    })
}

/// Dials with 1, 2, 3 … hops, all at once, and sees who answers.
pub(in crate::probe) async fn path(addr: SocketAddr, within: Duration, cx: &Cx) -> Option<Path> {
    let over = cx.now() + within;
    let mut path = Path::default();
    let mut dials = Vec::new();
    for hops in 1..=MOST_HOPS {
        match Dial::begin(addr, Some(hops)) {
            Ok(dial) => dials.push((hops, dial)),
            Err(ended) if hops == 1 => {
                ended.icmp?; // nothing leaves this host
            }
            Err(_) => break,
        }
    }
    for (hops, dial) in dials {
        let (end, icmp) = dial.end(cx, over - cx.now()).await;
        path.tried = hops;
        match (end, icmp) {
            (_, Some(icmp)) if icmp.is_time_exceeded() => path.hops.push((hops, icmp.from)),
            (DialEnd::Silent, None) => {}
            (DialEnd::Failed(_), Some(icmp)) => {
                path.hops.push((hops, icmp.from)); // whoever rejects it is the last on the way
                break;
            }
            _ => {
                path.arrived = Some(hops);
                break;
            }
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_messages_are_read_and_cut_ones_are_not() {
        let mut bytes = Vec::new();
        bytes.extend((size_of::<libc::cmsghdr>() + 32).to_ne_bytes());
        bytes.extend(libc::IPPROTO_IP.to_ne_bytes());
        bytes.extend(libc::IP_RECVERR.to_ne_bytes());
        bytes.extend((libc::EHOSTUNREACH as u32).to_ne_bytes());
        bytes.extend([2, 3, 13, 0]); // ICMP, prohibited
        bytes.extend([0; 8]);
        bytes.extend((libc::AF_INET as u16).to_ne_bytes());
        bytes.extend([0, 0, 10, 0, 1, 1]);
        bytes.extend([0; 8]);
        let icmp = first_icmp(&bytes).unwrap();
        assert_eq!(
            icmp.to_string(),
            "ICMP 3/13 (administratively prohibited) from 10.0.1.1"
        );
        assert!(icmp.is_policy());
        for cut in 0..bytes.len() {
            assert_eq!(first_icmp(&bytes[..cut]), None);
        }
    }
}
