//! One end of a simulated connection, as a program holds it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::world::World;
use crate::BoxFuture;
use crate::conn::{Close, ConnFacts, Io, Peer};
use crate::socket::Socket;

/// One end of a simulated connection.
pub(super) struct SimIo {
    world: Arc<World>,
    id: u64,
    side: usize,
    /// What happens when it is dropped, as it is when a process ends.
    dropped: Close,
}

impl SimIo {
    pub(super) fn new(world: Arc<World>, id: u64, side: usize) -> Self {
        SimIo {
            world,
            id,
            side,
            dropped: Close::Orderly,
        }
    }

    /// Until it is established, whoever drops it never was connected.
    pub(super) fn connecting(mut self) -> Self {
        self.dropped = Close::Abort;
        self
    }

    pub(super) fn established(mut self) -> Self {
        self.dropped = Close::Orderly;
        self
    }
}

impl AsyncRead for SimIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.world.lock().read(self.id, self.side, buf, cx.waker());
        read.transpose().map_or(Poll::Pending, Poll::Ready)
    }
}

impl AsyncWrite for SimIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.world.lock().write(self.id, self.side, buf, cx.waker());
        written.transpose().map_or(Poll::Pending, Poll::Ready)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.world.lock().shut(self.id, self.side);
        Poll::Ready(Ok(()))
    }
}

impl Io for SimIo {
    fn facts(&self) -> ConnFacts {
        let state = self.world.lock();
        let Some(stream) = state.streams.get(&self.id) else {
            return ConnFacts::default();
        };
        let addr = |side: usize| Some(Peer::Ip(stream.address(side)));
        ConnFacts {
            local: addr(self.side),
            peer: addr(1 - self.side),
        }
    }

    fn gone(&mut self) -> BoxFuture<'_, io::Error> {
        Box::pin(std::future::poll_fn(|cx| {
            let reset = self.world.lock().is_reset(self.id, self.side, cx.waker());
            if reset {
                Poll::Ready(io::ErrorKind::ConnectionReset.into())
            } else {
                Poll::Pending
            }
        }))
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self)
    }

    fn close(mut self: Box<Self>, how: Close) {
        self.dropped = how;
    }
}

impl Drop for SimIo {
    fn drop(&mut self) {
        self.world.lock().close(self.id, self.side, self.dropped);
    }
}
