//! A datagram socket where there is no system call for many at once: one by one.

use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use netloom_base::failure::Fact;
use netloom_base::{Failure, Side, Stage};
use socket2::Socket;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use super::blame::Known;
use super::manner::{Manner, peer};
use crate::conn::{ConnFacts, Peer};
use crate::datagrams::{Batch, Datagrams, Outgoing, Received};

/// A datagram socket.
pub(crate) struct Mailbox {
    socket: UdpSocket,
    manner: Manner,
}

impl Mailbox {
    /// Takes the current runtime's reactor.
    pub(crate) fn new(socket: Socket, manner: Manner) -> Result<Self, Failure> {
        let socket = UdpSocket::from_std(socket.into())
            .map_err(|error| Failure::from_io(Stage::Create, error))?;
        Ok(Mailbox { socket, manner })
    }

    fn target(&self, to: Option<&Peer>) -> Option<SocketAddr> {
        to.or(self.manner.default_to.as_ref())?.addr()
    }

    fn failed(&self, error: std::io::Error, bytes: Option<usize>) -> Failure {
        let known = Known {
            to: self.target(self.manner.connected.as_ref()),
            bytes,
            df: self.manner.df,
            no_broadcast: !self.manner.broadcast,
            ..Known::default()
        };
        known.failure(error)
    }
}

impl Datagrams for Mailbox {
    fn poll_recv(
        &mut self,
        task: &mut Context<'_>,
        batch: &mut Batch,
    ) -> Poll<Result<(), Failure>> {
        batch.clear();
        let mut came = None;
        if let Some(slot) = batch.slots_mut().next() {
            let mut buf = ReadBuf::new(slot);
            let from = ready!(self.socket.poll_recv_from(task, &mut buf));
            came = Some((from, buf.filled().len()));
        }
        let Some((from, len)) = came else {
            return Poll::Ready(Ok(()));
        };
        let from = from.map_err(|error| self.failed(error, None))?;
        let of = Received {
            from: peer(from),
            to: None,
            interface: None,
            truncated_from: None,
        };
        batch.came(0, len, usize::MAX, &of);
        Poll::Ready(Ok(()))
    }

    fn poll_send(
        &mut self,
        task: &mut Context<'_>,
        run: &[Outgoing<'_>],
    ) -> Poll<Result<usize, Failure>> {
        let Some(first) = run.first() else {
            return Poll::Ready(Ok(0));
        };
        let sent = match self.target(first.to) {
            Some(to) => self.socket.poll_send_to(task, first.bytes, to),
            None if self.manner.connected.is_some() => self.socket.poll_send(task, first.bytes),
            None => {
                let failure = Failure::new(Stage::Send, Side::Us, Stage::Send.other());
                return Poll::Ready(Err(failure.message("this socket cannot send there")));
            }
        };
        match ready!(sent) {
            Ok(_) => Poll::Ready(Ok(1)),
            Err(error) => Poll::Ready(Err(self.failed(error, Some(first.bytes.len())))),
        }
    }

    fn facts(&self) -> ConnFacts {
        self.manner.facts()
    }

    fn room(&self) -> usize {
        self.manner.room
    }

    fn learned(&self) -> &[Fact] {
        &self.manner.learned
    }
}
