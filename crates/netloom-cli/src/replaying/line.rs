//! What a conversation is replayed over: a stream, or datagrams.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use netloom_base::{Failure, Stage};
use netloom_transport::{Batch, Conn, Datagrams, Outgoing, Peer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::watch::{Seen, Watch};

pub(super) enum Line {
    Stream(Conn),
    Datagrams(Box<Socket>),
}

/// A socket, and with whom it talks.
pub(super) struct Socket {
    pub(super) below: Box<dyn Datagrams>,
    pub(super) batch: Batch,
    /// Taken from the batch up to here.
    pub(super) taken: usize,
    /// The peer, unless the socket is connected to it, and our address.
    pub(super) peer: Option<(Peer, Option<IpAddr>)>,
    /// Whether anybody may be the peer.
    pub(super) waits: bool,
    pub(super) watch: Watch,
    pub(super) seen: Seen,
}

impl Line {
    /// What comes next; `None` for the end.
    pub(super) fn poll_recv(
        &mut self,
        task: &mut Context<'_>,
    ) -> Poll<Result<Option<Vec<u8>>, Failure>> {
        match self {
            Line::Stream(conn) => {
                let mut block = [0; 16 * 1024];
                let mut buf = ReadBuf::new(&mut block);
                let read = ready!(Pin::new(&mut *conn).poll_read(task, &mut buf));
                read.map_err(|error| conn.failure(Stage::Recv, error))?;
                let came = buf.filled();
                Poll::Ready(Ok((!came.is_empty()).then(|| came.to_vec())))
            }
            Line::Datagrams(socket) => socket.poll_recv(task),
        }
    }

    /// Sends from the beginning of `bytes`, and says how far.
    pub(super) fn poll_send(
        &mut self,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Failure>> {
        match self {
            Line::Stream(conn) => {
                let sent = ready!(Pin::new(&mut *conn).poll_write(task, bytes));
                Poll::Ready(sent.map_err(|error| conn.failure(Stage::Send, error)))
            }
            Line::Datagrams(socket) => {
                let (to, from) = match &socket.peer {
                    Some((peer, from)) => (Some(peer), *from),
                    None if socket.waits => return Poll::Pending, // woken by the first to come
                    None => (None, None),
                };
                let out = Outgoing { to, from, bytes };
                ready!(socket.below.poll_send(task, &[out]))?;
                socket.watch.saw(&mut socket.seen, false, bytes);
                Poll::Ready(Ok(bytes.len()))
            }
        }
    }

    pub(super) fn poll_flush(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Line::Stream(conn) = self else {
            return Poll::Ready(Ok(()));
        };
        let flushed = ready!(Pin::new(&mut *conn).poll_flush(task));
        Poll::Ready(flushed.map_err(|error| conn.failure(Stage::Send, error)))
    }

    /// Says that this side has no more to say.
    pub(super) fn poll_end(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Line::Stream(conn) = self else {
            return Poll::Ready(Ok(()));
        };
        let shut = ready!(Pin::new(&mut *conn).poll_shutdown(task));
        Poll::Ready(shut.map_err(|error| conn.failure(Stage::Close, error)))
    }
}

impl Socket {
    fn poll_recv(&mut self, task: &mut Context<'_>) -> Poll<Result<Option<Vec<u8>>, Failure>> {
        loop {
            let next = self.batch.iter().nth(self.taken);
            if let Some((of, bytes)) = next {
                self.taken += 1;
                if self.waits && self.peer.is_none() {
                    self.peer = Some((of.from.clone(), of.to));
                }
                if self.peer.as_ref().is_some_and(|(peer, _)| *peer != of.from) {
                    continue; // somebody else's
                }
                let bytes = bytes.to_vec();
                self.watch.saw(&mut self.seen, true, &bytes);
                return Poll::Ready(Ok(Some(bytes)));
            }
            self.taken = 0;
            ready!(self.below.poll_recv(task, &mut self.batch))?;
        }
    }
}
