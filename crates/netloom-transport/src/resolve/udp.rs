//! Sockets for questions that hear what the network says about them.
//!
//! hickory's own are not connected to the server, so that nobody tells them of
//! an ICMP error, and it forgets what the kernel answered.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hickory_resolver::net::runtime::{
    DnsUdpSocket, RuntimeProvider, TokioHandle, TokioRuntimeProvider, TokioTime,
};
use netloom_base::failure::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{Interest, ReadBuf};
use tokio::net::UdpSocket;

/// The network of one server's resolver, and what the kernel said last.
#[derive(Clone, Default)]
pub(super) struct Hearing {
    tokio: TokioRuntimeProvider,
    heard: Heard,
}

/// The last error of a socket; 0 before there is one.
#[derive(Clone, Default)]
struct Heard(Arc<AtomicI32>);

impl Heard {
    fn keep<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && let Some(errno) = error.raw_os_error()
        {
            self.0.store(errno, Ordering::Relaxed);
        }
        result
    }
}

impl Hearing {
    /// Why the server could not be asked, where the kernel said so.
    pub(super) fn heard(&self) -> Option<Errno> {
        let errno = self.heard.0.load(Ordering::Relaxed);
        (errno != 0).then_some(Errno(errno))
    }
}

impl RuntimeProvider for Hearing {
    type Handle = TokioHandle;
    type Timer = TokioTime;
    type Udp = Connected;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> Self::Handle {
        self.tokio.create_handle()
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        from: Option<SocketAddr>,
        within: Option<Duration>,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Self::Tcp>>>> {
        let (connecting, heard) = (
            self.tokio.connect_tcp(server, from, within),
            self.heard.clone(),
        );
        Box::pin(async move { heard.keep(connecting.await) })
    }

    fn bind_udp(
        &self,
        local: SocketAddr,
        server: SocketAddr,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Self::Udp>>>> {
        let heard = self.heard.clone();
        Box::pin(async move {
            let socket = connected(local, server);
            let socket = heard.keep(socket)?;
            Ok(Connected { socket, heard })
        })
    }
}

fn connected(local: SocketAddr, server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(server),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    socket.bind(&local.into())?;
    socket.connect(&server.into())?;
    UdpSocket::from_std(socket.into())
}

/// A socket that has one server as its peer.
pub(super) struct Connected {
    socket: UdpSocket,
    heard: Heard,
}

impl DnsUdpSocket for Connected {
    type Time = TokioTime;

    fn poll_recv_from(
        &self,
        task: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut buf = ReadBuf::new(buf);
        let from = ready!(self.socket.poll_recv_from(task, &mut buf));
        let len = buf.filled().len();
        Poll::Ready(self.heard.keep(from).map(|from| (len, from)))
    }

    /// The same, and it wakes for an error too, which tokio does not call readable.
    fn recv_from<'s, 'b, 'f>(
        &'s self,
        buf: &'b mut [u8],
    ) -> Pin<Box<dyn Future<Output = io::Result<(usize, SocketAddr)>> + Send + 'f>>
    where
        's: 'f,
        'b: 'f,
    {
        Box::pin(async move {
            let mut interest = Interest::READABLE.add(Interest::ERROR);
            loop {
                let ready = self.socket.ready(interest).await?;
                let mut read = || (&*SockRef::from(&self.socket)).read(buf);
                let read = if ready.is_error() {
                    // Of an error tokio cannot be told that it is over: it is looked at once.
                    interest = Interest::READABLE;
                    read()
                } else {
                    self.socket.try_io(Interest::READABLE, read)
                };
                match read {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return Ok((self.heard.keep(read)?, self.socket.peer_addr()?)),
                }
            }
        })
    }

    fn poll_send_to(
        &self,
        task: &mut Context<'_>,
        buf: &[u8],
        _server: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(self.socket.poll_send(task, buf));
        Poll::Ready(self.heard.keep(sent))
    }
}
