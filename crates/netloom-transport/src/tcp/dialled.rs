//! A dialled connection that is told as late as possible not to gather what it
//! sends.
//!
//! Whoever says one small thing and waits for the answer loses nothing by the
//! gathering of RFC 9293 §3.7.4: while nothing is under way, what is said leaves
//! at once. So `TCP_NODELAY` is set before the second thing is said, or before
//! one that takes more than a segment, and a conversation of one question is one
//! system call cheaper.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use netloom_base::failure::Flow;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::BoxFuture;
use crate::conn::{Close, ConnFacts, Io};
use crate::socket::Socket;

/// What every peer takes as one segment (RFC 9293 §3.7.1).
const SEGMENT: usize = 536;

/// The client's end of a TCP connection.
pub(super) struct Dialled {
    socket: Socket,
    said: Said,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    /// One small thing.
    One,
    /// What is said now leaves as the user chose.
    Settled,
}

impl Dialled {
    /// `nodelay` says whether it shall not gather.
    pub(super) fn new(stream: TcpStream, nodelay: bool) -> Self {
        let said = if nodelay {
            Said::Nothing
        } else {
            Said::Settled
        };
        Dialled {
            socket: Socket::Tcp(stream),
            said,
        }
    }

    fn settle(&mut self) {
        if self.said != Said::Settled {
            self.said = Said::Settled;
            match &self.socket {
                Socket::Tcp(stream) => {
                    // It fails only where the connection has, which the write tells.
                    let _ = stream.set_nodelay(true);
                }
                #[cfg(unix)]
                Socket::Unix(_) => {}
            }
        }
    }

    fn says(&mut self, bytes: usize) -> Pin<&mut Socket> {
        if self.said != Said::Nothing || bytes > SEGMENT {
            self.settle();
        }
        Pin::new(&mut self.socket)
    }

    fn has_said(&mut self, written: &Poll<io::Result<usize>>) {
        if self.said == Said::Nothing && matches!(written, Poll::Ready(Ok(1..))) {
            self.said = Said::One;
        }
    }
}

impl AsyncRead for Dialled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Dialled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.says(buf.len()).poll_write(cx, buf);
        self.has_said(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = bufs.iter().map(|buf| buf.len()).sum();
        let written = self.says(bytes).poll_write_vectored(cx, bufs);
        self.has_said(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl Io for Dialled {
    fn facts(&self) -> ConnFacts {
        self.socket.facts()
    }

    fn socket_mut(&mut self) -> Option<&mut Socket> {
        self.settle();
        Some(&mut self.socket)
    }

    fn flow(&self) -> Option<Flow> {
        self.socket.flow()
    }

    fn ends_by_closing(&self) -> bool {
        self.socket.ends_by_closing()
    }

    fn gone(&mut self) -> BoxFuture<'_, io::Error> {
        self.socket.gone()
    }

    fn into_socket(mut self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        self.settle();
        Ok(self.socket)
    }

    fn close(self: Box<Self>, how: Close) {
        self.socket.end(how);
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a peer that shares no reactor with whoever dials it"
)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn dialled(nodelay: bool) -> (Dialled, std::net::TcpListener) {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(server.local_addr().unwrap());
        (Dialled::new(stream.await.unwrap(), nodelay), server)
    }

    fn gathers(dialled: &Dialled) -> bool {
        match &dialled.socket {
            Socket::Tcp(stream) => !stream.nodelay().unwrap(),
            Socket::Unix(_) => panic!("not dialled here"),
        }
    }

    #[tokio::test]
    async fn the_second_thing_said_leaves_at_once() {
        let (mut conn, _server) = dialled(true).await;
        conn.write_all(b"a question").await.unwrap();
        assert!(gathers(&conn), "the first leaves at once anyway");
        conn.write_all(b"another").await.unwrap();
        assert!(!gathers(&conn));
    }

    #[tokio::test]
    async fn so_does_what_takes_more_than_a_segment() {
        let (mut conn, _server) = dialled(true).await;
        conn.write_all(&[0; SEGMENT + 1]).await.unwrap();
        assert!(!gathers(&conn));
    }

    #[tokio::test]
    async fn whoever_takes_the_socket_gets_it_settled() {
        let (mut conn, _server) = dialled(true).await;
        conn.socket_mut();
        assert!(!gathers(&conn));
    }

    #[tokio::test]
    async fn who_chose_to_gather_gathers() {
        let (mut conn, _server) = dialled(false).await;
        conn.write_all(b"one").await.unwrap();
        conn.write_all(b"two").await.unwrap();
        conn.socket_mut();
        assert!(gathers(&conn));
    }
}
