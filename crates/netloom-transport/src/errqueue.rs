//! The error queue of a socket: which router or host rejected a connect, and
//! how it said so (ip(7), `IP_RECVERR`; ipv6(7), `IPV6_RECVERR`).
//!
//! Arm a socket before `connect`; after a failure, read it while the socket is
//! open; after success, disarm it, because from then on ICMP would end the
//! connection. Other systems than Linux have no such queue: there nothing is
//! armed, and nothing said.

use std::io;
use std::net::SocketAddr;

use netloom_base::failure::Icmp;

/// What a socket is to the system.
#[cfg(unix)]
pub type Fd<'a> = std::os::fd::BorrowedFd<'a>;
/// What a socket is to the system.
#[cfg(windows)]
pub type Fd<'a> = std::os::windows::io::BorrowedSocket<'a>;

/// Switches the queue on, for a connect to `addr`: one system call.
pub fn arm(socket: Fd<'_>, addr: SocketAddr) -> io::Result<()> {
    os::switch(socket, addr, true)
}

/// Switches it off again: one system call.
pub fn disarm(socket: Fd<'_>, addr: SocketAddr) -> io::Result<()> {
    os::switch(socket, addr, false)
}

/// What the network said, if it said anything. Never waits.
pub fn read(socket: Fd<'_>) -> Option<Icmp> {
    os::read(socket)
}

/// A socket as [`arm`], [`disarm`] and [`read`] take it.
#[cfg(unix)]
pub(crate) fn fd<T: std::os::fd::AsFd>(socket: &T) -> Fd<'_> {
    socket.as_fd()
}

/// A socket as [`arm`], [`disarm`] and [`read`] take it.
#[cfg(windows)]
pub(crate) fn fd<T: std::os::windows::io::AsSocket>(socket: &T) -> Fd<'_> {
    socket.as_socket()
}

#[cfg(target_os = "linux")]
mod os {
    use std::net::IpAddr;

    use super::{Fd, Icmp, SocketAddr, io};
    use crate::sys;

    pub(super) fn switch(socket: Fd<'_>, addr: SocketAddr, on: bool) -> io::Result<()> {
        sys::set_error_queue(socket, addr.is_ipv6(), on)
    }

    pub(super) fn read(socket: Fd<'_>) -> Option<Icmp> {
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
            let level = i32_at(control, HEADER - 8)?;
            let kind = i32_at(control, HEADER - 4)?;
            let body = control.get(HEADER..len)?;
            let v4 = (level, kind) == (libc::IPPROTO_IP, libc::IP_RECVERR);
            let v6 = (level, kind) == (libc::IPPROTO_IPV6, libc::IPV6_RECVERR);
            if v4 || v6 {
                let from = match i32_at(body, 16).map(|word| word & 0xffff) {
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

    fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
        let word = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(i32::from_ne_bytes(word))
    }

    fn ip<const N: usize>(body: &[u8], at: usize) -> Option<IpAddr>
    where
        IpAddr: From<[u8; N]>,
    {
        let octets: [u8; N] = body.get(at..at + N)?.try_into().ok()?;
        Some(IpAddr::from(octets))
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
}

#[cfg(not(target_os = "linux"))]
mod os {
    use super::{Fd, Icmp, SocketAddr, io};

    pub(super) fn switch(_: Fd<'_>, _: SocketAddr, _: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn read(_: Fd<'_>) -> Option<Icmp> {
        None
    }
}
