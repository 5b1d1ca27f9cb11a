//! Sockets on their way, and limits: what no safe crate wraps.

use std::io;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

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
