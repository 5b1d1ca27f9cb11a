//! Bytes that were read already, before the rest of the stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use netloom_base::failure::Flow;
use tokio::io::{AsyncRead, ReadBuf};

use crate::BoxFuture;
use crate::below::writes_to_below;
use crate::conn::{Close, ConnFacts, Io};
use crate::socket::Socket;

/// A carrier of which some bytes were read already.
pub(crate) struct Ahead {
    bytes: Vec<u8>,
    given: usize,
    io: Box<dyn Io>,
}

impl Ahead {
    pub(crate) fn new(bytes: Vec<u8>, io: Box<dyn Io>) -> Self {
        Ahead {
            bytes,
            given: 0,
            io,
        }
    }

    fn is_read(&self) -> bool {
        self.given == self.bytes.len()
    }
}

impl AsyncRead for Ahead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_read() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let left = &self.bytes[self.given..];
        let n = left.len().min(buf.remaining());
        buf.put_slice(&left[..n]);
        self.given += n;
        if self.is_read() {
            self.bytes = Vec::new(); // it may live long
            self.given = 0;
        }
        Poll::Ready(Ok(()))
    }
}

writes_to_below!(Ahead, io);

impl Io for Ahead {
    fn facts(&self) -> ConnFacts {
        self.io.facts()
    }

    fn alpn(&self) -> Option<&[u8]> {
        self.io.alpn()
    }

    fn server_name(&self) -> Option<&str> {
        self.io.server_name()
    }

    fn encrypts(&self) -> bool {
        self.io.encrypts()
    }

    fn flow(&self) -> Option<Flow> {
        self.io.flow()
    }

    fn gone(&mut self) -> BoxFuture<'_, io::Error> {
        self.io.gone()
    }

    fn socket_mut(&mut self) -> Option<&mut Socket> {
        if self.is_read() {
            self.io.socket_mut()
        } else {
            None
        }
    }

    fn ends_by_closing(&self) -> bool {
        self.is_read() && self.io.ends_by_closing()
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        if self.is_read() {
            self.io.into_socket()
        } else {
            Err(self)
        }
    }

    fn close(self: Box<Self>, how: Close) {
        self.io.close(how);
    }
}
