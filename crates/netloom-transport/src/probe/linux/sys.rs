//! The error queue of a socket, limits and the clock: what no safe crate wraps.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::probe::health::ClockHealth;

/// Sets an option whose value is an int.
fn set(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the kernel reads one int from where `value` lives.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Switches a socket's error queue on or off (ip(7), ipv6(7)).
pub(super) fn set_error_queue(fd: BorrowedFd<'_>, v6: bool, on: bool) -> io::Result<()> {
    if v6 {
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, i32::from(on))
    } else {
        set(fd, libc::IPPROTO_IP, libc::IP_RECVERR, i32::from(on))
    }
}

/// Room for control messages, aligned as their headers must be.
#[repr(C, align(8))]
struct Control([u8; 512]);

/// The control messages of the oldest entry of a socket's error queue; never waits.
pub(super) fn read_error_queue(fd: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let mut data = [0u8; 256];
    let mut control = Control([0; 512]);
    let mut part = libc::iovec {
        iov_base: data.as_mut_ptr().cast(),
        iov_len: data.len(),
    };
    // SAFETY: all-zero is a valid msghdr: no pointers, no lengths.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    // SAFETY: the header points to buffers that live until after the call, and gives their lengths.
    let got = unsafe {
        libc::recvmsg(
            fd.as_raw_fd(),
            &raw mut message,
            libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
        )
    };
    if got < 0 {
        return Err(io::Error::last_os_error());
    }
    #[allow(
        clippy::unnecessary_cast,
        reason = "its type differs between C libraries"
    )]
    let len = (message.msg_controllen as usize).min(control.0.len());
    Ok(control.0[..len].to_vec())
}

/// Waits through the reactor until a socket is connected, or failed to.
pub(super) fn watch(socket: socket2::Socket) -> io::Result<AsyncFd<socket2::Socket>> {
    // SAFETY: the socket owns its descriptor: it stays open and the same for as
    // long as the value lives.
    let watched = unsafe { AsyncFd::register_with_interest(socket, Interest::WRITABLE) };
    watched.map_err(Into::into)
}

/// The soft and the hard limit of descriptors.
pub(super) fn descriptor_limits() -> Option<(u64, u64)> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid rlimit for the kernel to fill.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    (result == 0).then_some((limit.rlim_cur, limit.rlim_max))
}

/// Whether the kernel was told of late that its clock is right (adjtimex(2)).
pub(super) fn clock_is_synchronised() -> Option<bool> {
    // SAFETY: all-zero is a valid timex: no mode is set, so that nothing is changed.
    let mut clock: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `clock` is a valid timex for the kernel to fill.
    let state = unsafe { libc::adjtimex(&raw mut clock) };
    (state >= 0).then_some(clock.status & libc::STA_UNSYNC == 0)
}

/// The user this process acts as.
#[expect(
    clippy::unnecessary_wraps,
    reason = "other systems have no such number"
)]
pub(in crate::probe) fn effective_user() -> Option<u32> {
    // SAFETY: geteuid touches no memory and cannot fail.
    Some(unsafe { libc::geteuid() })
}

/// Whether a time service keeps the calendar clock, and how wrong it may be.
pub(super) fn clock() -> Option<ClockHealth> {
    // SAFETY: all-zero is a valid timex that asks and changes nothing.
    let mut asked: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `asked` is a valid timex for the kernel to fill.
    let state = unsafe { libc::adjtimex(&raw mut asked) };
    let micros = u64::try_from(asked.maxerror).unwrap_or(0);
    (state >= 0).then_some(ClockHealth {
        kept: state != libc::TIME_ERROR && asked.status & libc::STA_UNSYNC == 0,
        error: Duration::from_micros(micros),
    })
}
