//! A connection's bytes through a TLS session.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use netloom_base::event::Remark;
use netloom_base::failure::Flow;
use netloom_base::{Event, Failure, Side, Stage};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use super::blame::Late;
use super::codes;
use super::sniff::Sniff;
use crate::BoxFuture;
use crate::conn::{Close, ConnFacts, Io};
use crate::cx::Events;
use crate::socket::Socket;

/// What carries the bytes of a TLS connection.
///
/// Shutting it sends close_notify and then shuts the direction below, so each
/// direction ends by itself (RFC 8446 §6.1). An end without close_notify is
/// taken for the end, as browsers do, and remarked; with `strict-end` it fails.
pub(super) struct TlsIo {
    stream: TlsStream<Sniff>,
    /// A writer was told to wait, and will go on by itself.
    writer_waits: bool,
    strict: bool,
    ended: bool,
    late: Late,
    events: Events,
}

impl TlsIo {
    pub(super) fn new(
        mut stream: TlsStream<Sniff>,
        strict: bool,
        late: Late,
        events: Events,
    ) -> Self {
        match &mut stream {
            TlsStream::Client(stream) => stream.get_mut().0.settle(),
            TlsStream::Server(stream) => stream.get_mut().0.settle(),
        }
        TlsIo {
            stream,
            writer_waits: false,
            strict,
            ended: false,
            late,
            events,
        }
    }

    /// Sends on what was written and is still here, also when nobody writes:
    /// a program that wrote and now reads must not wait for what it keeps back.
    /// Not when a writer waits, whose waker this would replace.
    fn push(&mut self, cx: &mut Context<'_>) {
        if !self.writer_waits && self.stream.get_ref().1.wants_write() {
            // An error is told to whoever writes next.
            let _ = Pin::new(&mut self.stream).poll_flush(cx);
        }
    }

    fn cut(&mut self) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        self.ended = true;
        let failure = Failure::new(Stage::Recv, Side::Peer, codes::TRUNCATED);
        if self.strict {
            return Err(failure.into());
        }
        let who = self
            .facts()
            .peer
            .map(|peer| format!("{peer}: "))
            .unwrap_or_default();
        self.events.tell_connection(|| {
            Event::Note(Box::new(Remark {
                service: Arc::from(""),
                text: format!("{who}{}", codes::TRUNCATED.sentence()),
            }))
        });
        Ok(())
    }

    fn wrote<T>(&mut self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.writer_waits = polled.is_pending();
        polled.map_err(|error| self.late.explain(error))
    }
}

impl Io for TlsIo {
    fn facts(&self) -> ConnFacts {
        self.stream.get_ref().0.facts()
    }

    fn alpn(&self) -> Option<&[u8]> {
        self.stream.get_ref().1.alpn_protocol()
    }

    fn encrypts(&self) -> bool {
        true
    }

    fn server_name(&self) -> Option<&str> {
        let asked_for = match &self.stream {
            TlsStream::Server(stream) => stream.get_ref().1.server_name(),
            TlsStream::Client(_) => None,
        };
        asked_for.or_else(|| self.stream.get_ref().0.below.server_name())
    }

    fn flow(&self) -> Option<Flow> {
        self.stream.get_ref().0.below.flow()
    }

    fn gone(&mut self) -> BoxFuture<'_, io::Error> {
        match &mut self.stream {
            TlsStream::Client(stream) => stream.get_mut().0.below.gone(),
            TlsStream::Server(stream) => stream.get_mut().0.below.gone(),
        }
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self) // the socket alone would speak in cipher
    }

    fn close(self: Box<Self>, how: Close) {
        let sniff = match self.stream {
            TlsStream::Client(stream) => stream.into_inner().0,
            TlsStream::Server(stream) => stream.into_inner().0,
        };
        sniff.below.close(how);
    }
}

impl AsyncRead for TlsIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        this.push(cx);
        match polled {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Poll::Ready(this.cut())
            }
            other => other.map_err(|error| this.late.explain(error)),
        }
    }
}

impl AsyncWrite for TlsIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.wrote(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.wrote(polled)
    }
}

/// Stands for the bytes while a handshake has them: what reads it waits, and
/// hears from the connection's seat.
pub(super) struct Away;

impl Io for Away {
    fn facts(&self) -> ConnFacts {
        ConnFacts::default()
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self)
    }

    fn close(self: Box<Self>, _: Close) {}
}

impl AsyncRead for Away {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Away {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
