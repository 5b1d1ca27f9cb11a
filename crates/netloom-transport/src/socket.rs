//! Kernel sockets as carriers: on a reactor, and off it.

use std::io;
use std::net::SocketAddr;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
#[cfg(target_os = "linux")]
use std::task::ready;
use std::task::{Context, Poll};

use netloom_base::failure::Flow;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use crate::BoxFuture;
use crate::conn::{Close, ConnFacts, Io, Peer};

/// A connected stream socket, registered with the reactor of its core.
#[derive(Debug)]
pub enum Socket {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpStream),
    /// A unix stream socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

/// The same, registered nowhere: it may cross to another core.
#[derive(Debug)]
pub enum RawSocket {
    /// TCP, non-blocking.
    Tcp(std::net::TcpStream),
    /// A unix stream socket, non-blocking.
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
}

impl RawSocket {
    /// Registers it with the reactor of the current runtime.
    pub fn attach(self) -> io::Result<Socket> {
        match self {
            RawSocket::Tcp(socket) => TcpStream::from_std(socket).map(Socket::Tcp),
            #[cfg(unix)]
            RawSocket::Unix(socket) => UnixStream::from_std(socket).map(Socket::Unix),
        }
    }

    /// Resets a TCP connection: what the peer sent is thrown away and it is told.
    pub fn reset(self) {
        match self {
            RawSocket::Tcp(socket) => {
                // When the kernel will not, an ordinary close is all that is left.
                let _ = socket2::SockRef::from(&socket).set_linger(Some(std::time::Duration::ZERO));
            }
            #[cfg(unix)]
            RawSocket::Unix(_) => {}
        }
    }
}

impl Socket {
    /// Takes it off its reactor.
    pub fn into_raw(self) -> io::Result<RawSocket> {
        match self {
            Socket::Tcp(socket) => socket.into_std().map(RawSocket::Tcp),
            #[cfg(unix)]
            Socket::Unix(socket) => socket.into_std().map(RawSocket::Unix),
        }
    }

    pub(crate) fn end(self, how: Close) {
        if how == Close::Abort
            && let Ok(raw) = self.into_raw()
        {
            raw.reset();
        }
    }
}

#[cfg(target_os = "linux")]
impl Socket {
    /// Calls `take` whenever the socket may have something to read, until it
    /// does not say that it would block.
    pub(crate) fn poll_read_by(
        &self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let taken = match self {
                Socket::Tcp(socket) => {
                    ready!(socket.poll_read_ready(cx))?;
                    socket.try_io(Interest::READABLE, || take(socket.as_fd()))
                }
                Socket::Unix(socket) => {
                    ready!(socket.poll_read_ready(cx))?;
                    socket.try_io(Interest::READABLE, || take(socket.as_fd()))
                }
            };
            if !again(&taken) {
                return Poll::Ready(taken);
            }
        }
    }

    /// Calls `put` whenever the socket may have room, until it does not say
    /// that it would block.
    pub(crate) fn poll_write_by(
        &self,
        cx: &mut Context<'_>,
        mut put: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let taken = match self {
                Socket::Tcp(socket) => {
                    ready!(socket.poll_write_ready(cx))?;
                    socket.try_io(Interest::WRITABLE, || put(socket.as_fd()))
                }
                Socket::Unix(socket) => {
                    ready!(socket.poll_write_ready(cx))?;
                    socket.try_io(Interest::WRITABLE, || put(socket.as_fd()))
                }
            };
            if !again(&taken) {
                return Poll::Ready(taken);
            }
        }
    }
}

/// Whether to ask the reactor again: it has cleared what was not so.
#[cfg(target_os = "linux")]
fn again(taken: &io::Result<usize>) -> bool {
    taken.as_ref().is_err_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
        )
    })
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            #[cfg(unix)]
            Socket::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(socket) => Pin::new(socket).poll_write(cx, buf),
            #[cfg(unix)]
            Socket::Unix(socket) => Pin::new(socket).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            #[cfg(unix)]
            Socket::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // a socket keeps nothing back
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = match self.get_mut() {
            Socket::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            #[cfg(unix)]
            Socket::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
        };
        // The peer may have gone before we said goodbye; then there is nobody to tell.
        shut.map(|result| match result {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            other => other,
        })
    }
}

impl Io for Socket {
    fn facts(&self) -> ConnFacts {
        let ip = |addr: io::Result<SocketAddr>| addr.ok().map(|a| Peer::Ip(canonical(a)));
        match self {
            Socket::Tcp(socket) => ConnFacts {
                local: ip(socket.local_addr()),
                peer: ip(socket.peer_addr()),
            },
            #[cfg(unix)]
            Socket::Unix(socket) => {
                // A client has no address of its own: its process is its name.
                let client = || {
                    let who = socket.peer_cred().ok()?;
                    let pid = who
                        .pid()
                        .map(|pid| format!("pid {pid} "))
                        .unwrap_or_default();
                    Some(Peer::Named(format!("unix:{pid}uid {}", who.uid()).into()))
                };
                ConnFacts {
                    local: unix_name(socket.local_addr()),
                    peer: unix_name(socket.peer_addr()).or_else(client),
                }
            }
        }
    }

    fn flow(&self) -> Option<Flow> {
        match self {
            #[cfg(target_os = "linux")]
            Socket::Tcp(socket) => crate::flow::of(socket),
            #[cfg(not(target_os = "linux"))]
            Socket::Tcp(_) => None,
            #[cfg(unix)]
            Socket::Unix(_) => None,
        }
    }

    fn socket_mut(&mut self) -> Option<&mut Socket> {
        Some(self)
    }

    fn ends_by_closing(&self) -> bool {
        true
    }

    fn gone(&mut self) -> BoxFuture<'_, io::Error> {
        Box::pin(async move {
            // A reset is an error that waits in the socket (epoll_ctl(2), EPOLLERR).
            let (ready, error) = match self {
                Socket::Tcp(socket) => (
                    socket.ready(Interest::ERROR).await.err(),
                    socket.take_error(),
                ),
                #[cfg(unix)]
                Socket::Unix(socket) => (
                    socket.ready(Interest::ERROR).await.err(),
                    socket.take_error(),
                ),
            };
            let told = ready.or_else(|| error.unwrap_or_else(Some));
            told.unwrap_or_else(|| io::ErrorKind::ConnectionReset.into())
        })
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Ok(*self)
    }

    fn close(self: Box<Self>, how: Close) {
        self.end(how);
    }
}

#[cfg(unix)]
fn unix_name(addr: io::Result<tokio::net::unix::SocketAddr>) -> Option<Peer> {
    let addr = addr.ok()?;
    let path = addr
        .as_pathname()
        .map(|path| path.to_string_lossy().into_owned());
    #[cfg(target_os = "linux")]
    let path = path.or_else(|| {
        addr.as_abstract_name()
            .map(|name| format!("@{}", name.escape_ascii()))
    });
    path.map(|path| Peer::Named(format!("unix:{path}").into()))
}

/// `::ffff:a.b.c.d`, as a dual-stack listener reports IPv4 peers, becomes `a.b.c.d`.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        ip if ip == addr.ip() => addr,
        ip => SocketAddr::new(ip, addr.port()),
    }
}
