//! epoll, as thin as it can be.
#![allow(
    unsafe_code,
    reason = "the generator must cost less than any server it measures: no runtime between it and epoll"
)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Events taken with one call.
const BATCH: i32 = 256;

pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// What a connection waits for.
#[derive(Clone, Copy)]
pub(crate) enum Interest {
    Read,
    ReadWrite,
}

impl Interest {
    fn event(self, index: usize) -> libc::epoll_event {
        let events = match self {
            Self::Read => libc::EPOLLIN,
            Self::ReadWrite => libc::EPOLLIN | libc::EPOLLOUT,
        };
        libc::epoll_event {
            events: events as u32,
            u64: index as u64,
        }
    }
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: epoll_create1 takes no pointer; a non-negative answer is a
        // descriptor nobody else owns.
        let epoll = unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Self {
            epoll,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; BATCH as usize],
        })
    }

    pub(crate) fn add(&self, fd: RawFd, index: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, index, Interest::Read)
    }

    pub(crate) fn change(&self, fd: RawFd, index: usize, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, index, interest)
    }

    pub(crate) fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, Interest::Read)
    }

    fn control(&self, op: i32, fd: RawFd, index: usize, interest: Interest) -> io::Result<()> {
        let mut event = interest.event(index);
        // SAFETY: `event` lives through the call, which copies it.
        let answer = unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), op, fd, &raw mut event) };
        if answer < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Waits until something is ready, at most so long, and says how many
    /// events [`Poller::ready`] now has.
    pub(crate) fn wait(&mut self, most: Duration) -> io::Result<usize> {
        let most = libc::timespec {
            tv_sec: most.as_secs().cast_signed(),
            tv_nsec: most.subsec_nanos().into(),
        };
        loop {
            // SAFETY: the kernel writes at most BATCH events into a vector of
            // that length, and `most` lives through the call.
            let n = unsafe {
                libc::epoll_pwait2(
                    self.epoll.as_raw_fd(),
                    self.events.as_mut_ptr(),
                    BATCH,
                    &raw const most,
                    std::ptr::null(),
                )
            };
            if n >= 0 {
                return Ok(n as usize);
            }
            let problem = io::Error::last_os_error();
            if problem.kind() != io::ErrorKind::Interrupted {
                return Err(problem);
            }
        }
    }

    /// The connection of the event at `slot`.
    pub(crate) fn ready(&self, slot: usize) -> usize {
        self.events[slot].u64 as usize
    }
}

/// Throws away what a TCP socket received, without copying it: how many bytes,
/// 0 at the end (MSG_TRUNC in tcp(7)).
pub(crate) fn discard(fd: RawFd, most: usize) -> io::Result<usize> {
    // SAFETY: with MSG_TRUNC TCP writes nothing to the buffer, which is none.
    let n = unsafe { libc::recv(fd, std::ptr::null_mut(), most, libc::MSG_TRUNC) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// Lets waits of this thread end at the microsecond instead of 50 later.
pub(crate) fn be_punctual() {
    // SAFETY: this option takes a number of nanoseconds and no pointer.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
}

/// Raises the soft limit of open descriptors to the hard one, and says it.
pub(crate) fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` lives through both calls; the first fills it.
    let answer = unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) < 0 {
            -1
        } else {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit)
        }
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit.rlim_max)
}
