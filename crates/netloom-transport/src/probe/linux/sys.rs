//! Sockets on their way, limits and the clock: what no safe crate wraps.

use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::probe::data::ClockState;

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

/// The user this process acts as.
#[expect(
    clippy::unnecessary_wraps,
    reason = "other systems have no such number"
)]
pub(in crate::probe) fn effective_user() -> Option<u32> {
    // SAFETY: geteuid touches no memory and cannot fail.
    Some(unsafe { libc::geteuid() })
}

/// Whether somebody keeps the calendar clock in time, and how wrong it may be (adjtimex(2)).
pub(in crate::probe) fn clock() -> Option<ClockState> {
    // SAFETY: all-zero is a valid timex that asks and changes nothing.
    let mut asked: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `asked` is a valid timex for the kernel to fill.
    let state = unsafe { libc::adjtimex(&raw mut asked) };
    let micros = u64::try_from(asked.maxerror).unwrap_or(0);
    (state >= 0).then_some(ClockState {
        synchronised: state != libc::TIME_ERROR && asked.status & libc::STA_UNSYNC == 0,
        error: Duration::from_micros(micros),
    })
}
