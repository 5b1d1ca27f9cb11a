//! Pipes that the kernel moves bytes through (splice(2)), and each thread's
//! pool of them.
//!
//! What others have learned the hard way: a pipe is emptied before it is filled
//! again, so that "would block" can only mean that the socket is empty and not
//! that the pipe has no slot left; no more is asked for than the pipe holds;
//! `SPLICE_F_MORE` is never set, since it holds back the last segment; a pipe
//! that still holds bytes is closed, not used again; and a pipe that the kernel
//! made smaller than asked for, as it does when a user has many, is not used.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

use crate::conn::Conn;

/// Bytes that one pipe may hold: what an ordinary user may ask for (pipe(7)).
const SIZE: usize = 1 << 20;

/// Pipes of this process, in the pools and in use. Each is two descriptors.
const MOST: usize = 256;

/// Pipes that a thread keeps for the next who needs one.
const KEPT: usize = 16;

static OPEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static POOL: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

/// Both ends of a pipe; one of [`MOST`].
struct Ends {
    out: OwnedFd,
    into: OwnedFd,
}

impl Ends {
    fn open() -> Option<Self> {
        if OPEN.fetch_add(1, Ordering::Relaxed) >= MOST {
            OPEN.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let Ok((out, into)) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        else {
            OPEN.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        let ends = Ends { out, into };
        // The answer is the size it has now.
        rustix::pipe::fcntl_setpipe_size(&ends.into, SIZE)
            .is_ok_and(|size| size >= SIZE)
            .then_some(ends)
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A pipe in use. Dropped when empty, it goes back to its thread's pool.
pub(super) struct Pipe {
    /// Until it is dropped.
    ends: Option<Ends>,
    held: usize,
}

impl Pipe {
    /// One of this thread's pool, or a new one; `None` when there are enough,
    /// or when the user or the process may have no more.
    pub(super) fn take() -> Option<Self> {
        let pooled = POOL.with_borrow_mut(Vec::pop);
        pooled.or_else(Ends::open).map(|ends| Pipe {
            ends: Some(ends),
            held: 0,
        })
    }

    /// How many there are in this process.
    #[cfg(test)]
    pub(super) fn open() -> usize {
        OPEN.load(Ordering::Relaxed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Fills the empty pipe from `from`: how many bytes, 0 at the end.
    pub(super) fn fill(
        &mut self,
        from: &mut Conn,
        task: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(ends) = &self.ends else {
            return Poll::Ready(Err(Errno::BADF.into()));
        };
        debug_assert!(self.held == 0, "it is emptied first");
        let filled = ready!(from.poll_read_by(task, |socket| splice(socket, &ends.into, SIZE)));
        if let Ok(bytes) = &filled {
            self.held = *bytes;
        }
        Poll::Ready(filled)
    }

    /// Empties it into `to`.
    pub(super) fn drain(&mut self, to: &mut Conn, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(ends) = &self.ends else {
            return Poll::Ready(Err(Errno::BADF.into()));
        };
        while self.held > 0 {
            let held = self.held;
            match ready!(to.poll_write_by(task, |socket| splice(&ends.out, socket, held)))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => self.held -= bytes,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what is in it.
    pub(super) fn rescue(&mut self) -> io::Result<Vec<u8>> {
        let Some(ends) = &self.ends else {
            return Err(Errno::BADF.into());
        };
        let mut bytes = vec![0; self.held];
        while self.held > 0 {
            let at = bytes.len() - self.held;
            match rustix::io::read(&ends.out, &mut bytes[at..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.held -= read,
            }
        }
        Ok(bytes)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let Some(ends) = self.ends.take() else { return };
        if self.held == 0 {
            // A thread that ends has no pool any more: then it is closed.
            let _ = POOL.try_with(|pool| {
                if let Ok(mut pool) = pool.try_borrow_mut()
                    && pool.len() < KEPT
                {
                    pool.push(ends);
                }
            });
        }
    }
}

fn splice(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    Ok(rustix::pipe::splice(from, None, to, None, most, flags)?)
}

/// Whether it says that these two cannot be spliced, rather than that one of
/// them is broken.
pub(super) fn is_unable(error: &io::Error) -> bool {
    const UNABLE: [Errno; 5] = [
        Errno::INVAL,
        Errno::NOSYS,
        Errno::PERM,
        Errno::OPNOTSUPP,
        Errno::BADF,
    ];
    Errno::from_io_error(error).is_some_and(|errno| UNABLE.contains(&errno))
}
