//! A connected socket as a carrier of bytes.

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::{SockAddr, SockRef, Socket as Raw};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::place::Place;
use crate::conn::{Close, ConnFacts, Io, Peer};
use crate::ready::Ready;
use crate::socket::Socket;

/// One end of a connection.
pub(super) struct Stream {
    io: Ready,
    facts: ConnFacts,
}

impl Stream {
    /// `socket` is connected and does not block.
    pub(super) fn new(socket: Raw) -> Self {
        let named = |addr: io::Result<SockAddr>| name(&addr.ok()?);
        let facts = ConnFacts {
            local: named(socket.local_addr()),
            peer: named(socket.peer_addr()),
        };
        Stream {
            io: Ready::new(OwnedFd::from(socket)),
            facts,
        }
    }
}

/// `vsock:3:1024`
pub(super) fn name(addr: &SockAddr) -> Option<Peer> {
    let (cid, port) = addr.as_vsock_address()?;
    Some(Peer::Named(format!("vsock:{}", Place { cid, port }).into()))
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = self
            .io
            .fd()
            .map_or(Ok(()), |fd| SockRef::from(&fd).shutdown(Shutdown::Write));
        // The peer may have gone before we said goodbye; then there is nobody to tell.
        Poll::Ready(match shut {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            other => other,
        })
    }
}

impl Io for Stream {
    fn facts(&self) -> ConnFacts {
        self.facts.clone()
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self)
    }

    fn close(self: Box<Self>, _: Close) {}
}
