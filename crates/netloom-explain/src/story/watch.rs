//! What goes through a connection, counted and timed while a protocol has it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use netloom_base::Moment;
use netloom_transport::conn::{ConnFacts, Io};
use netloom_transport::socket::Socket;
use netloom_transport::{Close, Conn, Cx};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What was seen of a connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// Bytes received.
    pub(super) received: u64,
    /// Bytes sent.
    pub(super) sent: u64,
    /// Since when it is watched.
    pub(super) since: Moment,
    /// When the first byte came.
    pub(super) first_byte: Option<Moment>,
    /// When the last byte came.
    pub(super) last_byte: Option<Moment>,
    /// When the peer's end was read.
    pub(super) peer_ended: Option<Moment>,
    /// When this end was shut.
    pub(super) we_ended: Option<Moment>,
    /// When reading or writing failed.
    pub(super) failed: Option<Moment>,
}

/// The same, while more is seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Seeing(Arc<Mutex<Seen>>);

impl Seeing {
    /// What was seen by now.
    pub(super) fn so_far(&self) -> Seen {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The connection, and what is seen of it from now on.
pub(super) fn watched(conn: Conn, cx: &Cx) -> (Conn, Seeing) {
    let seeing = Seeing::default();
    seeing.note(|seen| seen.since = cx.now());
    let (seen, cx) = (seeing.clone(), cx.clone());
    let conn = conn.wrap(|below| Box::new(Watch { below, seen, cx }));
    (conn, seeing)
}

struct Watch {
    below: Box<dyn Io>,
    seen: Seeing,
    cx: Cx,
}

impl Watch {
    fn noted<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(_)) = &polled {
            let now = self.cx.now();
            self.seen
                .note(|seen| seen.failed = seen.failed.or(Some(now)));
        }
        polled
    }
}

impl AsyncRead for Watch {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        let polled = Pin::new(&mut self.below).poll_read(task, buf);
        let came = buf.filled().len() - before;
        if polled.is_ready() {
            let now = self.cx.now();
            let ended = came == 0 && room > 0 && matches!(polled, Poll::Ready(Ok(())));
            self.seen.note(|seen| {
                seen.received += came as u64;
                if came > 0 {
                    seen.first_byte = seen.first_byte.or(Some(now));
                    seen.last_byte = Some(now);
                } else if ended {
                    seen.peer_ended = seen.peer_ended.or(Some(now));
                }
            });
        }
        self.noted(polled)
    }
}

impl AsyncWrite for Watch {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.below).poll_write(task, bytes);
        if let Poll::Ready(Ok(n)) = polled {
            self.seen.note(|seen| seen.sent += n as u64);
        }
        self.noted(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.below).poll_flush(task);
        self.noted(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.below).poll_shutdown(task);
        if let Poll::Ready(Ok(())) = polled {
            let now = self.cx.now();
            self.seen
                .note(|seen| seen.we_ended = seen.we_ended.or(Some(now)));
        }
        self.noted(polled)
    }
}

impl Io for Watch {
    fn facts(&self) -> ConnFacts {
        self.below.facts()
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self) // past it nothing would be seen
    }

    fn close(self: Box<Self>, how: Close) {
        self.below.close(how);
    }
}
