//! Opening a serial port, and why it was not opened.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use netloom_base::failure::{Errno, Fact, Step};
use netloom_base::{Code, Failure, Side, Stack, Stage};
use serial2::{CharSize, FlowControl, SerialPort, Settings};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{DialOptions, Flow, Parity, options};
use crate::conn::{Close, Conn, ConnFacts, Io, Peer};
use crate::cx::Cx;
use crate::net::Opened;
use crate::ready::Ready;
use crate::socket::Socket;

/// How long opening may take: what another program left unsent is waited for.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// The most ports that are named where one is missing.
const MOST_NAMED: usize = 8;

pub(super) async fn dial(stack: &Stack, cx: &Cx) -> Result<Opened, Failure> {
    let options = options(stack)?;
    let path = PathBuf::from(stack.endpoint.opaque().unwrap_or_default());
    let began = cx.now();
    let name: Box<str> = format!("serial:{}", path.display()).into();
    let to = path.display().to_string();
    let opening = tokio::task::spawn_blocking(move || open(&path, &options));
    let opened = match cx.timeout(OPEN_TIMEOUT, opening).await {
        Some(Ok(opened)) => opened,
        Some(Err(error)) => Err(Failure::from_io(Stage::Create, io::Error::other(error))),
        None => Err(stands_still()),
    };
    let step = Step {
        stage: Stage::Create,
        to,
        failed: opened.as_ref().err().map(Failure::code),
        took: cx.now() - began,
    };
    match opened {
        Ok(port) => {
            let mut conn = Conn::new(Box::new(Line { port, name }));
            conn.remember([step]);
            Ok(Opened::Stream(conn))
        }
        Err(failure) => Err(failure.after([step])),
    }
}

fn open(path: &Path, options: &DialOptions) -> Result<Ready, Failure> {
    // It is opened without waiting for a carrier, and does not block.
    let port = SerialPort::open(path, |mut settings: Settings| {
        settings.set_raw();
        apply(options, &mut settings)?;
        Ok(settings)
    });
    let port = port.map_err(|error| explain(error, path, options))?;
    // Two programs on one line would each hear a part. A system without that
    // lets them.
    let _ = rustix::termios::ioctl_tiocexcl(&port);
    Ok(Ready::new(port.into()))
}

fn apply(options: &DialOptions, settings: &mut Settings) -> io::Result<()> {
    let bits = |_| io::Error::from(io::ErrorKind::InvalidInput);
    settings.set_baud_rate(options.baud.0)?;
    settings.set_char_size(CharSize::try_from(options.data.0).map_err(bits)?);
    let stop = serial2::StopBits::try_from(options.stop.0);
    settings.set_stop_bits(stop.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?);
    settings.set_parity(match options.parity {
        Parity::None => serial2::Parity::None,
        Parity::Odd => serial2::Parity::Odd,
        Parity::Even => serial2::Parity::Even,
    });
    settings.set_flow_control(match options.flow {
        Flow::None => FlowControl::None,
        Flow::Hardware => FlowControl::RtsCts,
        Flow::Software => FlowControl::XonXoff,
    });
    Ok(())
}

/// What the answer means for a path.
fn explain(error: io::Error, path: &Path, options: &DialOptions) -> Failure {
    let shown = path.display();
    let failed = |side, code, message: String| {
        let failure = Failure::new(Stage::Create, side, code).message(message);
        match error.raw_os_error() {
            Some(errno) => failure.fact(Fact::Errno(Errno(errno))),
            None => failure,
        }
    };
    match error.raw_os_error() {
        Some(libc::ENOENT) => {
            let comma = match path.to_str().and_then(|text| text.split_once('?')) {
                Some((before, options)) => {
                    format!(": options follow a comma: serial:{before},{options}")
                }
                None => String::new(),
            };
            let code = Code::CONNECT_NO_SUCH_PATH;
            failed(Side::Us, code, format!("there is no `{shown}`{comma}"))
                .fact(Fact::said(here(), "/sys/class/tty"))
                .retry()
        }
        Some(libc::EACCES | libc::EPERM) => failed(
            Side::Us,
            Code::CONNECT_DENIED_PATH,
            format!("`{shown}` may not be used by this user"),
        ),
        Some(libc::EBUSY) => failed(
            Side::Os,
            Code::FD_NOT_USABLE,
            format!("another program has `{shown}` for itself"),
        )
        .retry(),
        Some(libc::ENOTTY | libc::EISDIR | libc::ENODEV | libc::ENXIO | libc::EIO) => failed(
            Side::Us,
            Code::FD_NOT_USABLE,
            format!("`{shown}` is no serial port, or nothing is behind it"),
        ),
        // It was asked, and keeps other settings.
        None | Some(libc::EINVAL) => failed(
            Side::Us,
            Code::FD_NOT_USABLE,
            format!("`{shown}` does not take {options}"),
        ),
        Some(_) => {
            Failure::from_io(Stage::Create, error).message(format!("`{shown}` cannot be opened"))
        }
    }
}

/// The serial ports of this host.
fn here() -> String {
    let mut ports = SerialPort::available_ports().unwrap_or_default();
    ports.sort();
    let named: Vec<_> = ports
        .iter()
        .take(MOST_NAMED)
        .map(|port| port.display().to_string())
        .collect();
    if named.is_empty() {
        return "this host has no serial port now".to_owned();
    }
    format!("serial ports of this host: {}", named.join(", "))
}

fn stands_still() -> Failure {
    Failure::new(Stage::Create, Side::Peer, Stage::Create.other())
        .message("the port is still sending what was written to it before, and is told to wait")
        .fact(Fact::Waited(OPEN_TIMEOUT))
        .retry()
}

/// An open port as a carrier of bytes.
struct Line {
    port: Ready,
    name: Box<str>,
}

/// A line does not end by itself.
fn gone() -> Failure {
    Failure::new(Stage::Recv, Side::Peer, Stage::Recv.other())
        .message("the serial port is gone: it was unplugged, or its other end closed")
}

fn or_gone(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(errno @ (libc::EIO | libc::ENXIO | libc::ENODEV)) => {
            gone().fact(Fact::Errno(Errno(errno))).into()
        }
        _ => error,
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.port).poll_read(cx, buf)).map_err(or_gone)?;
        if buf.filled().len() == before && buf.remaining() > 0 {
            return Poll::Ready(Err(gone().into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.port)
            .poll_write(cx, buf)
            .map_err(or_gone)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // what was written is sent at the line's own pace
    }

    /// There is no word for it on a wire.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Io for Line {
    fn facts(&self) -> ConnFacts {
        ConnFacts {
            local: None,
            peer: Some(Peer::Named(self.name.clone())),
        }
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self)
    }

    fn close(self: Box<Self>, _: Close) {}
}
