//! Opening a unix socket.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use netloom_base::failure::{Fact, Step};
use netloom_base::{Code, Failure, Side, Stack, Stage};
use socket2::{SockAddr, Socket as Raw, Type};

use super::place::{Place, make, permissions, what};
use crate::conn::Conn;
use crate::cx::Cx;
use crate::net::Opened;
use crate::socket::RawSocket;

/// How long a server whose queue is full may take to make room.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn dial(stack: &Stack, cx: &Cx) -> Result<Opened, Failure> {
    let place = Place::of(stack)?;
    let began = cx.now();
    let connected = connect(&place).await;
    let failed = connected.as_ref().err().map(Failure::code);
    let step = Step {
        stage: Stage::Connect,
        to: place.to_string(),
        failed,
        took: cx.now() - began,
    };
    let socket = match connected {
        Ok(socket) => RawSocket::Unix(UnixStream::from(socket)).attach(),
        Err(failure) => return Err(failure.after([step])),
    };
    let mut conn = Conn::new(Box::new(
        socket.map_err(|error| Failure::from_io(Stage::Connect, error))?,
    ));
    conn.remember([step]);
    Ok(Opened::Stream(conn))
}

async fn connect(place: &Place) -> Result<Raw, Failure> {
    let address = place
        .address()
        .map_err(|error| Failure::from_io(Stage::Connect, error))?;
    let socket = make(Type::STREAM)?;
    match socket.connect(&address) {
        Ok(()) => Ok(socket),
        // The queue is full. Only a call that blocks can wait for room in it.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let waiting = tokio::task::spawn_blocking(move || wait_in_line(socket, &address));
            match waiting
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error)))
            {
                Ok(socket) => Ok(socket),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let failure =
                        Failure::new(Stage::Connect, Side::Peer, Code::CONNECT_QUEUE_FULL);
                    Err(failure.fact(Fact::Waited(QUEUE_TIMEOUT)).retry())
                }
                Err(error) => Err(explain(error, place)),
            }
        }
        Err(error) => Err(explain(error, place)),
    }
}

fn wait_in_line(socket: Raw, address: &SockAddr) -> io::Result<Raw> {
    socket.set_nonblocking(false)?;
    socket.set_write_timeout(Some(QUEUE_TIMEOUT))?;
    socket.connect(address)?;
    socket.set_write_timeout(None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// What the kernel's answer means for a path; the same errno says less of an IP address.
pub(crate) fn explain(error: io::Error, place: &Place) -> Failure {
    let errno = error.raw_os_error().unwrap_or(0);
    let file = place.path().map(std::fs::metadata).and_then(Result::ok);
    let failed = |side, code| {
        Failure::new(Stage::Connect, side, code)
            .fact(Fact::Errno(netloom_base::failure::Errno(errno)))
    };
    match (errno, file) {
        (libc::ENOENT | libc::ENOTDIR, _) => failed(Side::Us, Code::CONNECT_NO_SUCH_PATH),
        (libc::EACCES | libc::EPERM, file) => {
            let failure = failed(Side::Us, Code::CONNECT_DENIED_PATH);
            match file {
                Some(file) => failure.fact(permissions(&file)),
                None => {
                    failure.message("a folder on the way to the socket file may not be entered")
                }
            }
        }
        (libc::ECONNREFUSED | libc::ENOTSOCK, Some(file)) if !file.file_type().is_socket() => {
            failed(Side::Us, Code::CONNECT_NOT_A_SOCKET)
                .message(format!("`{place}` is {}, not a socket", what(&file)))
        }
        (libc::ECONNREFUSED, Some(_)) => failed(Side::Peer, Code::CONNECT_STALE_SOCKET),
        (libc::ECONNREFUSED, None) => failed(Side::Peer, Code::CONNECT_REFUSED)
            .message(format!("nothing listens on `{place}`")),
        (libc::EPROTOTYPE, _) => failed(Side::Us, Stage::Connect.other()).message(format!(
            "the socket at `{place}` takes datagrams or packets, not a stream"
        )),
        _ => Failure::from_io(Stage::Connect, error),
    }
}
