//! Taking connections from a kernel socket that listens.
//!
//! What is accepted is registered with no reactor: it may belong on another
//! core than the one that accepted it. That is why tokio's own accept is not
//! used where there is another way.

use std::io;

use netloom_base::{Failure, Stage};

use crate::BoxFuture;
use crate::conn::Peer;
use crate::listener::{Accepted, Listener};
use crate::socket::{RawSocket, canonical};

/// Accepts on a TCP socket that listens and does not block.
pub(crate) fn tcp(socket: std::net::TcpListener) -> io::Result<Box<dyn Listener>> {
    #[cfg(unix)]
    return Ok(Box::new(Acceptor {
        _keep: (),
        socket: crate::sys::watch_listener(socket.into())?,
        take: take_tcp,
    }));
    #[cfg(not(unix))]
    return Ok(Box::new(TcpAcceptor(tokio::net::TcpListener::from_std(
        socket,
    )?)));
}

/// Accepts on a unix socket that listens and does not block. `keep` lives as
/// long as the listener and ends while its socket is still open.
#[cfg(unix)]
pub(crate) fn unix(
    socket: std::os::unix::net::UnixListener,
    keep: impl Send + 'static,
) -> io::Result<Box<dyn Listener>> {
    Ok(Box::new(Acceptor {
        _keep: keep,
        socket: crate::sys::watch_listener(socket.into())?,
        take: take_unix,
    }))
}

/// What an accepted descriptor becomes, and who came.
#[cfg(unix)]
type Take = fn(std::os::fd::OwnedFd, &socket2::SockAddr) -> (RawSocket, Peer);

/// One listening socket on one reactor.
#[cfg(unix)]
struct Acceptor<K> {
    // Before the socket, so that it ends first.
    _keep: K,
    socket: tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
    take: Take,
}

#[cfg(unix)]
impl<K: Send> Listener for Acceptor<K> {
    fn accept(&mut self) -> BoxFuture<'_, Result<Accepted, Failure>> {
        use std::os::fd::AsFd;

        let (socket, take) = (&self.socket, self.take);
        Box::pin(async move {
            let accepted = socket
                .async_io(tokio::io::Interest::READABLE, |fd| {
                    crate::sys::accept(fd.as_fd())
                })
                .await;
            let (fd, from) = accepted.map_err(|error| Failure::from_io(Stage::Accept, error))?;
            let (raw, from) = take(fd, &from);
            Ok(Accepted::socket(raw, from))
        })
    }
}

#[cfg(unix)]
fn take_tcp(fd: std::os::fd::OwnedFd, from: &socket2::SockAddr) -> (RawSocket, Peer) {
    let from = from
        .as_socket()
        .unwrap_or_else(|| std::net::SocketAddr::from(([0, 0, 0, 0], 0)));
    (RawSocket::Tcp(fd.into()), Peer::Ip(canonical(from)))
}

/// Clients of a unix socket have no name of their own as a rule. Who they are
/// is one cheap call away, and later, when they have gone, it is not.
#[cfg(unix)]
fn take_unix(fd: std::os::fd::OwnedFd, from: &socket2::SockAddr) -> (RawSocket, Peer) {
    use std::os::fd::AsFd;

    let name = match (crate::sys::peer_credentials(fd.as_fd()), from.as_pathname()) {
        // A process outside of our pid namespace has the number 0.
        (Some((0, uid)), _) => format!("unix:uid {uid}"),
        (Some((pid, uid)), _) => format!("unix:pid {pid} uid {uid}"),
        (None, Some(path)) => format!("unix:{}", path.display()),
        (None, None) => "unix:".to_owned(),
    };
    (RawSocket::Unix(fd.into()), Peer::Named(name.into()))
}

#[cfg(not(unix))]
struct TcpAcceptor(tokio::net::TcpListener);

#[cfg(not(unix))]
impl Listener for TcpAcceptor {
    fn accept(&mut self) -> BoxFuture<'_, Result<Accepted, Failure>> {
        Box::pin(async move {
            let failed = |error| Failure::from_io(Stage::Accept, error);
            let (socket, from) = self.0.accept().await.map_err(failed)?;
            let socket = socket.into_std().map_err(failed)?;
            Ok(Accepted::socket(
                RawSocket::Tcp(socket),
                Peer::Ip(canonical(from)),
            ))
        })
    }
}
