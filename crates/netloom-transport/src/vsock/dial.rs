//! Opening a connection to another machine.

use std::io;
use std::time::Duration;

use netloom_base::failure::{Fact, Step};
use netloom_base::{Code, Failure, Side, Stack, Stage};
use socket2::{Domain, SockAddr, Socket as Raw, Type};

use super::place::Place;
use super::stream::Stream;
use crate::conn::Conn;
use crate::cx::Cx;
use crate::net::Opened;

/// How long the other machine may take to answer. The kernel gives up sooner,
/// after two seconds, unless somebody set another time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn dial(stack: &Stack, cx: &Cx) -> Result<Opened, Failure> {
    let place = Place::of(stack)?;
    let began = cx.now();
    let connecting = cx.timeout(CONNECT_TIMEOUT, connect(place));
    let connected = connecting.await.unwrap_or_else(|| Err(silent()));
    let step = Step {
        stage: Stage::Connect,
        to: format!("vsock:{place}"),
        failed: connected.as_ref().err().map(Failure::code),
        took: cx.now() - began,
    };
    match connected {
        Ok(socket) => {
            let mut conn = Conn::new(Box::new(Stream::new(socket)));
            conn.remember([step]);
            Ok(Opened::Stream(conn))
        }
        Err(failure) => Err(failure.after([step])),
    }
}

/// A socket that does not block.
pub(super) fn make() -> Result<Raw, Failure> {
    let made = Raw::new(Domain::VSOCK, Type::STREAM, None).and_then(|socket| {
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    made.map_err(|error| {
        let failure = Failure::from_io(Stage::Create, error);
        failure.message("this kernel has no sockets of virtual machines (AF_VSOCK)")
    })
}

async fn connect(place: Place) -> Result<Raw, Failure> {
    let socket = make()?;
    let address = SockAddr::vsock(place.cid, place.port);
    match socket.connect(&address) {
        Ok(()) => return Ok(socket),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(explain(error, place)),
    }
    let failed = |error| Failure::from_io(Stage::Connect, error);
    let other = socket.try_clone().map_err(failed)?;
    let watched = crate::sys::watch(std::os::fd::OwnedFd::from(other).into());
    let watched = watched.map_err(failed)?;
    watched.writable().await.map_err(failed)?.retain_ready();
    match socket.take_error() {
        Ok(None) => Ok(socket),
        Ok(Some(error)) | Err(error) => Err(explain(error, place)),
    }
}

fn silent() -> Failure {
    Failure::new(Stage::Connect, Side::Path, Code::CONNECT_TIMEOUT)
        .fact(Fact::Waited(CONNECT_TIMEOUT))
        .retry()
}

/// What the kernel's answer means between machines.
fn explain(error: io::Error, place: Place) -> Failure {
    let errno = error.raw_os_error().unwrap_or(0);
    let failed = |side, code| {
        Failure::new(Stage::Connect, side, code)
            .fact(Fact::Errno(netloom_base::failure::Errno(errno)))
    };
    match errno {
        libc::ECONNRESET | libc::ECONNREFUSED => failed(Side::Peer, Code::CONNECT_REFUSED)
            .message(format!("nothing listens on vsock port {}", place.port)),
        libc::ENODEV | libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EADDRNOTAVAIL => {
            failed(Side::Us, Code::CONNECT_NO_ROUTE).message(format!(
                "there is no way to machine {}: no driver of this kernel reaches it",
                place.cid
            ))
        }
        libc::ETIMEDOUT => failed(Side::Path, Code::CONNECT_TIMEOUT).retry(),
        _ => Failure::from_io(Stage::Connect, error),
    }
}
