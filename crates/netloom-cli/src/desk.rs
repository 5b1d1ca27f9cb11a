//! Where a person or a script sits: what is typed comes from here and what
//! comes is shown here. It outlives connections, so that the next one goes on
//! with what the last one did not take.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use netloom_base::failure::Flow;
use netloom_base::{Endpoint, Failure, Role};
use netloom_transport::conn::{ConnFacts, Io};
use netloom_transport::net::complaint;
use netloom_transport::socket::Socket;
use netloom_transport::{Close, Conn, Cx};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::editor::Harmless;
use crate::view::Face;

/// Something to read typed bytes from and to write received ones to.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A desk. Its clones are one.
#[derive(Clone)]
pub(crate) struct Desk(Arc<Mutex<Inner>>);

struct Inner {
    stream: Box<dyn Stream>,
    /// Each read is one entry of a person.
    entries: bool,
    /// Whether what was not sent is given again to the next connection.
    keeps: bool,
    /// What was given and is not known to be sent.
    given: VecDeque<Vec<u8>>,
    /// How many of them the connection of now has been given.
    again: usize,
    /// How many bytes were read and how many of them need not be given again.
    read: u64,
    settled: u64,
    ended: bool,
}

impl Desk {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Desk(Arc::new(Mutex::new(Inner {
            stream,
            entries: false,
            keeps: false,
            given: VecDeque::new(),
            again: 0,
            read: 0,
            settled: 0,
            ended: false,
        })))
    }

    /// Standard input and output. What bytes a terminal gets are made harmless,
    /// unless they are to be `raw`.
    pub(crate) async fn stdio(raw: bool, face: &Face, cx: &Cx) -> Result<Self, Failure> {
        let harmless = io::stdout().is_terminal() && !raw && !face.is_json();
        let stdio: Endpoint = "-".parse().map_err(|error| complaint(&error))?;
        let stack = cx.net().stack(&stdio, Role::Dial)?;
        let stdio = cx.net().dial(&stack, cx).await?.stream()?;
        Ok(Desk::new(if harmless {
            Box::new(Shown {
                stdio,
                harmless: Harmless::default(),
                text: String::new(),
                written: 0,
            })
        } else {
            Box::new(stdio)
        }))
    }

    /// The same, of which each read is one entry of a person.
    pub(crate) fn of_entries(self) -> Self {
        self.lock().entries = true;
        self
    }

    /// The same, for several connections one after the other.
    pub(crate) fn keeping(self) -> Self {
        self.lock().keeps = true;
        self
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has_entries(&self) -> bool {
        self.lock().entries
    }

    /// Whether another connection may go on here.
    pub(crate) fn is_kept(&self) -> bool {
        self.lock().keeps
    }

    /// How many bytes of what was read were sent, from the first on. A new
    /// connection is given what comes after them.
    pub(crate) fn settled(&self) -> u64 {
        self.lock().settled
    }

    /// So many bytes of what was read, counted from the first, were sent.
    pub(crate) fn settle(&self, through: u64) {
        let mut inner = self.lock();
        let mut more = through.saturating_sub(inner.settled) as usize;
        inner.settled = inner.settled.max(through);
        while more > 0 {
            let Some(first) = inner.given.front_mut() else {
                return;
            };
            if more < first.len() {
                first.drain(..more);
                return;
            }
            more -= first.len();
            inner.given.pop_front();
            inner.again = inner.again.saturating_sub(1);
        }
    }

    /// Gives again what was not sent; how many bytes that is.
    pub(crate) fn rewind(&self) -> usize {
        let mut inner = self.lock();
        inner.again = 0;
        inner.given.iter().map(Vec::len).sum()
    }

    /// Whether everything was typed and sent.
    pub(crate) fn is_done(&self) -> bool {
        let inner = self.lock();
        inner.ended && inner.given.is_empty()
    }
}

impl AsyncRead for Desk {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let inner = &mut *self.lock();
        let at = inner.again;
        if let Some(chunk) = inner.given.get_mut(at) {
            let rest = chunk.split_off(chunk.len().min(buf.remaining()));
            buf.put_slice(chunk);
            if !rest.is_empty() {
                inner.given.insert(at + 1, rest);
            }
            inner.again += 1;
            return Poll::Ready(Ok(()));
        }
        if inner.ended {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut inner.stream).poll_read(task, buf))?;
        let came = &buf.filled()[before..];
        inner.ended = came.is_empty();
        inner.read += came.len() as u64;
        if !inner.keeps {
            inner.settled = inner.read;
        } else if !inner.ended {
            inner.given.push_back(came.to_vec());
            inner.again += 1;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Desk {
    fn poll_write(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.lock().stream).poll_write(task, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_flush(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_shutdown(task)
    }
}

/// Standard input and output, where the output is a terminal that is to obey
/// nobody.
struct Shown {
    stdio: Conn,
    harmless: Harmless,
    text: String,
    written: usize,
}

impl Shown {
    fn poll_written(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.text.len() {
            let left = &self.text.as_bytes()[self.written..];
            self.written += ready!(Pin::new(&mut self.stdio).poll_write(task, left))?;
        }
        self.text.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Shown {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdio).poll_read(task, buf)
    }
}

impl AsyncWrite for Shown {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_written(task))?;
        this.harmless.feed(bytes, &mut this.text);
        let _ = this.poll_written(task)?; // what is left goes with the next
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_written(task))?;
        Pin::new(&mut self.stdio).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.harmless.end(&mut this.text);
        ready!(this.poll_written(task))?;
        Pin::new(&mut this.stdio).poll_shutdown(task)
    }
}

/// A connection that tells the desk what it took.
pub(crate) struct Settling {
    io: Box<dyn Io>,
    desk: Desk,
    sent: u64,
}

impl Settling {
    /// All that is sent on `conn` comes from `desk`, as it is.
    pub(crate) fn on(conn: Conn, desk: &Desk) -> Conn {
        let (desk, sent) = (desk.clone(), desk.settled());
        conn.wrap(|io| Box::new(Settling { io, desk, sent }))
    }
}

impl AsyncRead for Settling {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(task, buf)
    }
}

impl AsyncWrite for Settling {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.io).poll_write(task, bytes))?;
        self.sent += n as u64;
        self.desk.settle(self.sent);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(task)
    }
}

impl Io for Settling {
    fn facts(&self) -> ConnFacts {
        self.io.facts()
    }

    fn flow(&self) -> Option<Flow> {
        self.io.flow()
    }

    fn alpn(&self) -> Option<&[u8]> {
        self.io.alpn()
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self)
    }

    fn close(self: Box<Self>, how: Close) {
        self.io.close(how);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_was_not_sent_is_given_again_in_order() {
        let (ours, theirs) = tokio::io::duplex(64);
        let mut desk = Desk::new(Box::new(ours)).keeping();
        let (_, mut typed) = tokio::io::split(theirs);
        let mut buf = [0; 16];
        for part in [b"one ", b"two "] {
            tokio::io::AsyncWriteExt::write_all(&mut typed, part)
                .await
                .unwrap();
            assert_eq!(desk.read(&mut buf).await.unwrap(), 4);
        }
        desk.settle(6);
        assert_eq!(desk.rewind(), 2);
        tokio::io::AsyncWriteExt::write_all(&mut typed, b"three")
            .await
            .unwrap();
        tokio::io::AsyncWriteExt::shutdown(&mut typed)
            .await
            .unwrap();
        let mut rest = Vec::new();
        desk.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"o three");
        assert!(!desk.is_done());
        assert_eq!(desk.settled(), 6); // the end settles nothing
        desk.settle(desk.settled() + rest.len() as u64);
        assert!(desk.is_done());
    }
}
