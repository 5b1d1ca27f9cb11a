//! Streams over descriptors that do not block and are no sockets of tokio's:
//! pipes with names, terminals, sockets of other families.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A descriptor that does not block. It joins the reactor of whoever first
/// reads or writes, so until then it may cross to another core.
pub(crate) struct Ready(State);

enum State {
    Free(File),
    Watched(AsyncFd<File>),
    /// It could not be watched.
    Lost,
}

impl Ready {
    /// `fd` must have been set non-blocking.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Ready(State::Free(fd.into()))
    }

    fn watched(&mut self) -> io::Result<&AsyncFd<File>> {
        if let State::Free(_) = self.0
            && let State::Free(file) = std::mem::replace(&mut self.0, State::Lost)
        {
            self.0 = State::Watched(crate::sys::watch(file)?);
        }
        match &self.0 {
            State::Watched(file) => Ok(file),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The descriptor.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "only rooms of Linux ask for it")
    )]
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.0 {
            State::Free(file) => Some(file.as_fd()),
            State::Watched(file) => Some(file.get_ref().as_fd()),
            State::Lost => None,
        }
    }
}

impl AsyncRead for Ready {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let watched = self.watched()?;
        loop {
            let mut guard = ready!(watched.poll_read_ready(cx))?;
            let into = buf.initialize_unfilled();
            match guard.try_io(|file| file.get_ref().read(into)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(read) => {
                    buf.advance(read?);
                    return Poll::Ready(Ok(()));
                }
                Err(_) => {} // not ready after all
            }
        }
    }
}

impl AsyncWrite for Ready {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let watched = self.watched()?;
        loop {
            let mut guard = ready!(watched.poll_write_ready(cx))?;
            match guard.try_io(|file| file.get_ref().write(buf)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(written) => return Poll::Ready(written),
                Err(_) => {} // not ready after all
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // a descriptor keeps nothing back
    }

    /// What that means is for the owner to say.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
