//! The error queue of a socket: which router or host rejected a connect, and
//! how it said so (ip(7), `IP_RECVERR`; ipv6(7), `IPV6_RECVERR`).
//!
//! Arm a socket before `connect`; after a failure, read it while the socket is
//! open; after success, disarm it, because from then on ICMP would end the
//! connection.

use std::io;
use std::net::SocketAddr;

use netloom_base::failure::Icmp;

#[cfg(not(target_os = "linux"))]
use super::absent as os;
#[cfg(target_os = "linux")]
use super::linux as os;

/// What a socket is to the system.
#[cfg(unix)]
pub type Fd<'a> = std::os::fd::BorrowedFd<'a>;
/// What a socket is to the system.
#[cfg(windows)]
pub type Fd<'a> = std::os::windows::io::BorrowedSocket<'a>;

/// Switches the queue on, for a connect to `addr`: one system call.
pub fn arm(socket: Fd<'_>, addr: SocketAddr) -> io::Result<()> {
    os::dial::arm(socket, addr, true)
}

/// Switches it off again: one system call.
pub fn disarm(socket: Fd<'_>, addr: SocketAddr) -> io::Result<()> {
    os::dial::arm(socket, addr, false)
}

/// What the network said, if it said anything. Never waits.
pub fn read(socket: Fd<'_>) -> Option<Icmp> {
    os::dial::read(socket)
}
