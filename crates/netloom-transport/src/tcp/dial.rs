//! Opening a TCP connection, and hearing why it cannot be opened.

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::OnceLock;
use std::time::Duration;

use netloom_base::failure::{Errno, Fact, Icmp};
use netloom_base::{Code, Failure, Side, Stack, Stage};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::dialled::Dialled;
use super::options::{DialOptions, make};
use crate::cx::Cx;
use crate::errqueue;
use crate::net::{Opened, mistakes};
use crate::race;

pub(super) async fn dial(stack: &Stack, cx: &Cx) -> Result<Opened, Failure> {
    let settings = &stack.transport().settings;
    let options = DialOptions::read(settings).map_err(|e| mistakes(stack, &e))?;
    let probes_asked = settings.last("keepalive").is_some();
    let source = options.source.map(|source| source.0);
    let for_a_person = cx.is_for_a_person();
    race::connect(stack, source, cx, |addr| {
        attempt(addr, &options, probes_asked, for_a_person)
    })
    .await
}

async fn attempt(
    addr: SocketAddr,
    options: &DialOptions,
    probes_asked: bool,
    for_a_person: bool,
) -> Result<Dialled, Failure> {
    let loopback = addr.ip().to_canonical().is_loopback();
    let socket = make(addr)?;
    let mut common = options.common();
    if loopback && !probes_asked {
        // The peer's kernel is ours: it cannot fall silent and leave us be.
        common.keepalive = Duration::ZERO;
    }
    common.set(&socket)?;
    if let Some(source) = options.source {
        socket
            .bind(&source.0.into())
            .map_err(|error| Failure::from_io(Stage::Bind, error).fact(Fact::Local(source.0)))?;
    }
    // Where there is no queue, nothing will be heard of it; on loopback there is
    // no router to speak, and what this host's own rules say a second dial hears.
    let armed = for_a_person && !loopback && errqueue::arm(errqueue::fd(&socket), addr).is_ok();
    let stream = match connect(socket, addr, loopback).await {
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
    let may_meet_itself = loopback && (options.source.is_some() || is_for_clients(addr.port()));
    if may_meet_itself && stream.local_addr().is_ok_and(|local| local == addr) {
        return Err(Failure::new(Stage::Connect, Side::Us, Code::CONNECT_SELF));
    }
    Ok(Dialled::new(stream, options.nodelay))
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

/// Whether the kernel gives this port to clients. The range is read once.
fn is_for_clients(port: u16) -> bool {
    static RANGE: OnceLock<Option<RangeInclusive<u16>>> = OnceLock::new();
    let range = RANGE.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
        let mut ends = text.split_whitespace().map(str::parse);
        Some(ends.next()?.ok()?..=ends.next()?.ok()?)
    });
    range.as_ref().is_none_or(|range| range.contains(&port))
}

/// As `TcpSocket::connect` does, but gives the socket back when it fails.
async fn connect(
    socket: socket2::Socket,
    addr: SocketAddr,
    loopback: bool,
) -> Result<TcpStream, (io::Error, Option<Unconnected>)> {
    match socket.connect(&addr.into()) {
        Ok(()) => {}
        #[cfg(unix)]
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        #[cfg(not(unix))]
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err((error, Some(Unconnected::Raw(socket)))),
    }
    let at_once = loopback && is_connected(&socket);
    let stream = TcpStream::from_std(socket.into()).map_err(|error| (error, None))?;
    if at_once {
        // Whoever dials in a loop waits for nothing; others are to run too.
        tokio::task::coop::consume_budget().await;
        return Ok(stream);
    }
    let ended = match stream.ready(Interest::WRITABLE).await {
        // Linux reports whatever ended an attempt as a hang-up (poll(2)).
        Ok(ready) if cfg!(target_os = "linux") && !ready.is_write_closed() => Ok(None),
        Ok(_) => stream.take_error(),
        Err(error) => Err(error),
    };
    match ended {
        Ok(None) => Ok(stream),
        Ok(Some(error)) | Err(error) => Err((error, Some(Unconnected::Watched(stream)))),
    }
}

/// Whether it is connected already. On loopback the handshake is over when
/// `connect` returns, though that cannot say so (`EINPROGRESS`); to ask costs
/// less than to wait for the reactor. `getpeername` fails while it is not.
fn is_connected(socket: &socket2::Socket) -> bool {
    cfg!(target_os = "linux") && socket.peer_addr().is_ok()
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

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a peer that shares no reactor with whoever dials it"
)]
mod tests {
    use std::sync::Arc;

    use netloom_base::failure::Step;
    use netloom_base::{Role, Stage};

    use crate::conn::{Close, Conn};
    use crate::cx::Cx;
    use crate::net::{Assembly, SystemResolver};
    use crate::tcp::Tcp;

    async fn dialled(cx: &Cx, to: std::net::SocketAddr) -> Conn {
        let endpoint = format!("tcp://{to}").parse().unwrap();
        let stack = cx.net().stack(&endpoint, Role::Dial).unwrap();
        cx.net().dial(&stack, cx).await.unwrap().stream().unwrap()
    }

    fn cx() -> Cx {
        let net = Assembly::new(vec![Arc::new(Tcp)], Vec::new(), Arc::new(SystemResolver));
        Cx::os(Arc::new(net))
    }

    #[tokio::test]
    async fn the_step_that_led_here_comes_before_those_that_follow() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = server.local_addr().unwrap();
        let mut conn = dialled(&cx(), to).await;
        let later = Step {
            stage: Stage::Tls,
            to: "a layer".to_owned(),
            failed: None,
            took: std::time::Duration::ZERO,
        };
        conn.remember([later.clone()]);
        let [first, second] = conn.trail() else {
            panic!("{:?}", conn.trail());
        };
        assert_eq!((first.stage, &first.to), (Stage::Connect, &to.to_string()));
        assert_eq!((first.failed, second), (None, &later));
    }

    /// Such a dial never waits; whoever makes many must not keep the thread.
    #[tokio::test]
    async fn dials_to_loopback_let_others_run() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (to, cx) = (server.local_addr().unwrap(), cx());
        let (told, mut ran) = tokio::sync::oneshot::channel();
        cx.spawn(async { told.send(()).unwrap() });
        for _ in 0..1000 {
            dialled(&cx, to).await.close(Close::Abort);
            server.accept().unwrap();
            if ran.try_recv().is_ok() {
                return;
            }
        }
        panic!("no other task ran");
    }
}
