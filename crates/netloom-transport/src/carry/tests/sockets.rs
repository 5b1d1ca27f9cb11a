//! Two pairs of sockets, and a carrier that is in the splice gear from the start.

use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use socket2::SockRef;

use super::super::{Carry, Until, carry};
use crate::conn::Conn;
use crate::socket::{RawSocket, Socket};
use crate::tcp::Tcp;
use crate::trial::{bind, cx, dial};

/// Which sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp,
    Unix,
}

pub(super) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// The pipes are of the process: who counts them, or what was spliced, is alone.
pub(super) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pair of connected sockets with small buffers, so that they fill.
pub(super) async fn pair(kind: Kind) -> (Conn, Conn) {
    match kind {
        Kind::Tcp => {
            let cx = cx(Tcp);
            let bound = bind(&cx, "tcp://127.0.0.1:0").await.unwrap().remove(0);
            let mut listener = bound.listener().unwrap().unwrap();
            let mut one = dial(&cx, &bound.endpoint().to_string()).await.unwrap();
            let mut other = listener.accept().await.unwrap().attach().unwrap();
            for conn in [&mut one, &mut other] {
                match conn.socket_mut() {
                    Some(Socket::Tcp(socket)) => narrow(socket),
                    _ => panic!("a TCP connection has its socket"),
                }
            }
            (one, other)
        }
        Kind::Unix => {
            let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
            let conn = |socket: std::os::unix::net::UnixStream| {
                socket.set_nonblocking(true).unwrap();
                narrow(&socket);
                Conn::new(Box::new(RawSocket::Unix(socket).attach().unwrap()))
            };
            (conn(one), conn(other))
        }
    }
}

fn narrow(socket: &impl AsFd) {
    let socket = SockRef::from(socket);
    socket.set_send_buffer_size(64 * 1024).unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
}

/// A client, what carries it, and the server it is carried to.
pub(super) async fn carried(client: Kind, server: Kind) -> (Conn, Carry, Conn) {
    let (client, first) = pair(client).await;
    let (second, server) = pair(server).await;
    (client, carry(first, second, Until::BothEnd), server)
}

impl Carry {
    /// Splices from the first byte on.
    pub(super) fn at_once(mut self) -> Self {
        self.forth.hurry();
        self.back.hurry();
        self
    }
}
