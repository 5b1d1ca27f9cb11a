//! What can only be written, and what can only be read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use netloom_base::{Code, Failure, Side, Stage};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::conn::{Close, ConnFacts, Io};
use crate::ready::Ready;
use crate::socket::Socket;

/// A stream that takes bytes and has none to give. It is at its end when
/// everything was said to it, and not before: whoever waits for its answer
/// waits until all is written.
pub(super) struct Sink<W> {
    to: Option<W>,
    facts: ConnFacts,
    reader: Option<Waker>,
}

impl<W> Sink<W> {
    pub(super) fn new(to: W, facts: ConnFacts) -> Self {
        Sink {
            to: Some(to),
            facts,
            reader: None,
        }
    }
}

impl<W: Unpin> AsyncRead for Sink<W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.to.is_none() {
            return Poll::Ready(Ok(()));
        }
        self.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Sink<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.to {
            Some(to) => Pin::new(to).poll_write(cx, buf),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.to
            .as_mut()
            .map_or(Poll::Ready(Ok(())), |to| Pin::new(to).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(to) = &mut self.to {
            let shut = ready!(Pin::new(to).poll_shutdown(cx));
            self.to = None; // closed: the reader of a pipe sees its end
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
            shut?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Send + Unpin + 'static> Io for Sink<W> {
    fn facts(&self) -> ConnFacts {
        self.facts.clone()
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self)
    }

    fn close(self: Box<Self>, _: Close) {}
}

/// A pipe with a name, of which this end reads.
pub(super) struct Source {
    from: Ready,
    facts: ConnFacts,
}

impl Source {
    pub(super) fn new(from: Ready, facts: ConnFacts) -> Self {
        Source { from, facts }
    }
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.from).poll_read(cx, buf)
    }
}

impl AsyncWrite for Source {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        let failure = Failure::new(Stage::Send, Side::Us, Code::FD_NOT_USABLE);
        let failure = failure.message("this pipe was opened to be read; `append` writes to it");
        Poll::Ready(Err(failure.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Io for Source {
    fn facts(&self) -> ConnFacts {
        self.facts.clone()
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self)
    }

    fn close(self: Box<Self>, _: Close) {}
}
