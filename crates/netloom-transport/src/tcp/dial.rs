//! Opening a TCP connection, and hearing why it cannot be opened.

use std::io;
use std::net::SocketAddr;

use netloom_base::failure::{Errno, Fact, Icmp};
use netloom_base::{Code, Failure, Side, Stack, Stage};
use tokio::net::TcpStream;

use super::options::{DialOptions, make};
use crate::cx::Cx;
use crate::errqueue;
use crate::net::{Opened, mistakes};
use crate::race;
use crate::socket::Socket;

pub(super) async fn dial(stack: &Stack, cx: &Cx) -> Result<Opened, Failure> {
    let options =
        DialOptions::read(&stack.transport().settings).map_err(|e| mistakes(stack, &e))?;
    let source = options.source.map(|source| source.0);
    let for_a_person = cx.is_for_a_person();
    race::connect(stack, source, cx, |addr| {
        attempt(addr, &options, for_a_person)
    })
    .await
}

async fn attempt(
    addr: SocketAddr,
    options: &DialOptions,
    for_a_person: bool,
) -> Result<Socket, Failure> {
    let socket = make(addr)?;
    options.common().set(&socket)?;
    if let Some(source) = options.source {
        socket
            .bind(&source.0.into())
            .map_err(|error| Failure::from_io(Stage::Bind, error).fact(Fact::Local(source.0)))?;
    }
    // Where there is no queue, nothing will be heard of it.
    let armed = for_a_person && errqueue::arm(errqueue::fd(&socket), addr).is_ok();
    let stream = match connect(socket, addr).await {
        Ok(stream) => stream,
        Err((error, socket)) => {
            let icmp = || socket.and_then(Unconnected::heard);
            let heard = armed.then(|| icmp().map_or(Fact::NoIcmp, Fact::Icmp));
            return Err(unconnected(error, heard));
        }
    };
    if armed {
        errqueue::disarm(errqueue::fd(&stream), addr)
            .map_err(|error| Failure::from_io(Stage::Connect, error))?;
    }
    // A client of an ephemeral port on this host can meet itself (RFC 9293 §3.5).
    if addr.ip().is_loopback() && stream.local_addr().is_ok_and(|local| local == addr) {
        return Err(Failure::new(Stage::Connect, Side::Us, Code::CONNECT_SELF));
    }
    Ok(Socket::Tcp(stream))
}

/// A socket that did not connect, while it can still be asked why.
enum Unconnected {
    Raw(socket2::Socket),
    Watched(TcpStream),
}

impl Unconnected {
    fn heard(self) -> Option<Icmp> {
        match self {
            Unconnected::Raw(socket) => errqueue::read(errqueue::fd(&socket)),
            Unconnected::Watched(stream) => errqueue::read(errqueue::fd(&stream)),
        }
    }
}

/// As `TcpSocket::connect` does, but gives the socket back when it fails.
async fn connect(
    socket: socket2::Socket,
    addr: SocketAddr,
) -> Result<TcpStream, (io::Error, Option<Unconnected>)> {
    match socket.connect(&addr.into()) {
        Ok(()) => {}
        #[cfg(unix)]
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        #[cfg(not(unix))]
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err((error, Some(Unconnected::Raw(socket)))),
    }
    let stream = TcpStream::from_std(socket.into()).map_err(|error| (error, None))?;
    let ended = match stream.writable().await {
        Ok(()) => stream.take_error(),
        Err(error) => Err(error),
    };
    match ended {
        Ok(None) => Ok(stream),
        Ok(Some(error)) | Err(error) => Err((error, Some(Unconnected::Watched(stream)))),
    }
}

/// What the kernel answered, and what the network said about it, where
/// somebody listened.
fn unconnected(error: io::Error, heard: Option<Fact>) -> Failure {
    let failure = match (&heard, error.raw_os_error()) {
        // The kernel calls it refused or unreachable; the network knew better.
        (Some(Fact::Icmp(icmp)), Some(errno)) if icmp.is_policy() => {
            Failure::new(Stage::Connect, Side::Path, Code::CONNECT_REJECTED)
                .fact(Fact::Errno(Errno(errno)))
        }
        _ => Failure::from_io(Stage::Connect, error),
    };
    heard.into_iter().fold(failure, Failure::fact)
}
