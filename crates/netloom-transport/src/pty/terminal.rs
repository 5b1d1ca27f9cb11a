//! A running program behind a terminal as a carrier of bytes.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use netloom_base::{Failure, Stack, Stage};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{DialOptions, sys};
use crate::BoxFuture;
use crate::conn::{Close, Conn, ConnFacts, Io, Peer};
use crate::cx::Cx;
use crate::exec::running::{End, Running};
use crate::exec::spawn;
use crate::net::{Opened, mistakes};
use crate::ready::Ready;
use crate::socket::Socket;

pub(super) fn open(stack: &Stack, cx: &Cx) -> Result<Opened, Failure> {
    let options = DialOptions::read(&stack.transport().settings)
        .map_err(|errors| mistakes(stack, &errors))?;
    let of_program = options.of_program();
    let (mut command, program) = spawn::prepare(stack, &of_program)?;
    let failed = |error| Failure::from_io(Stage::Create, error);
    let (ours, theirs) = sys::open().map_err(failed)?;
    sys::set_size(theirs.as_fd(), options.size).map_err(failed)?;
    if options.raw {
        sys::make_raw(theirs.as_fd()).map_err(failed)?;
    }
    let other = || theirs.try_clone().map_err(failed);
    command.stdin(other()?).stdout(other()?).stderr(other()?);
    sys::on_terminal(&mut command);
    let child = command
        .spawn()
        .map_err(|error| spawn::explain(error, &program, &of_program))?;
    let name = match child.id() {
        Some(pid) => format!("pty:{program} pid {pid}"),
        None => format!("pty:{program}"),
    };
    let text = stack.endpoint.opaque().unwrap_or_default();
    let end = if options.group {
        End::Group(cx.clone())
    } else {
        End::Leave
    };
    // The command and `theirs` end here: the program alone has the other end.
    Ok(Opened::Stream(Conn::new(Box::new(Terminal {
        ours: Ready::new(ours),
        drained: false,
        running: Running::new(child, text, end),
        at_line_start: true,
        ends: None,
        raw: options.raw,
        remind: None,
        cx: cx.clone(),
        name: name.into(),
    }))))
}

/// Our end of a program's terminal.
struct Terminal {
    /// Open until the program was seen to end: closing it hangs up.
    ours: Ready,
    /// The program's end is closed, and everything it said was read.
    drained: bool,
    running: Running,
    /// Whether what was typed last ended a line.
    at_line_start: bool,
    /// What is still to be typed to end the input; empty when that is done.
    ends: Option<Vec<u8>>,
    /// No key means anything.
    raw: bool,
    /// When the end of the input is typed again.
    remind: Option<BoxFuture<'static, ()>>,
    cx: Cx,
    name: Box<str>,
}

/// How long a program that was told the end of its input may be silent before
/// it is told again.
const REMIND: Duration = Duration::from_secs(1);

impl Terminal {
    /// The key that ends the input.
    fn end_key(&self) -> Option<u8> {
        let terminal = self.ours.fd().filter(|_| !self.raw)?;
        sys::end_of_file(terminal)
    }

    /// The end of the input is a key, which is lost on a program that had not
    /// begun to read, or read twice. For it to last, it is typed again while
    /// the program is silent.
    fn keep_ended(&mut self, task: &mut Context<'_>) {
        let Some(key) = self
            .end_key()
            .filter(|_| self.ends.as_ref().is_some_and(Vec::is_empty))
        else {
            return;
        };
        loop {
            let remind = self.remind.get_or_insert_with(|| {
                let cx = self.cx.clone();
                Box::pin(async move { cx.sleep(REMIND).await })
            });
            if remind.as_mut().poll(task).is_pending() {
                return;
            }
            self.remind = None;
            // One that cannot be typed now is typed the next time.
            let _ = Pin::new(&mut self.ours).poll_write(task, &[key]);
        }
    }
}

impl AsyncRead for Terminal {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.drained {
            let before = buf.filled().len();
            let read = Pin::new(&mut this.ours).poll_read(cx, buf);
            if read.is_pending() {
                this.keep_ended(cx);
            } else {
                this.remind = None;
            }
            match ready!(read) {
                // Nobody has the other end any more.
                Err(error) if error.raw_os_error() == Some(libc::EIO) => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(()) if buf.filled().len() > before || buf.remaining() == 0 => {
                    return Poll::Ready(Ok(()));
                }
                Ok(()) => {}
            }
            this.drained = true;
        }
        this.running.poll_ended(cx)
    }
}

impl AsyncWrite for Terminal {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.drained || this.ends.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = ready!(Pin::new(&mut this.ours).poll_write(cx, buf));
        Poll::Ready(match written {
            // The program has gone; how it ended, the reader is told.
            Err(error) if error.raw_os_error() == Some(libc::EIO) => {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            Ok(n) => {
                if let Some(last) = buf[..n].last() {
                    this.at_line_start = *last == b'\n' || *last == b'\r';
                }
                Ok(n)
            }
            other => other,
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // a terminal keeps nothing back on our side
    }

    /// Types the end of the input, as a person does with `^D`: once at the
    /// beginning of a line, twice elsewhere. On a raw terminal there is no such
    /// key, and only the end of the stream ends the program.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.drained {
            return Poll::Ready(Ok(()));
        }
        let times = if this.at_line_start { 1 } else { 2 };
        let key = this.end_key();
        let left = this
            .ends
            .get_or_insert_with(|| key.map_or_else(Vec::new, |key| vec![key; times]));
        while !left.is_empty() {
            match ready!(Pin::new(&mut this.ours).poll_write(cx, left)) {
                Ok(n) => drop(left.drain(..n)),
                // It has gone already; there is nobody to tell.
                Err(_) => left.clear(),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Io for Terminal {
    fn facts(&self) -> ConnFacts {
        ConnFacts {
            local: None,
            peer: Some(Peer::Named(self.name.clone())),
        }
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self)
    }

    /// It hangs up, whichever way it is closed.
    fn close(self: Box<Self>, how: Close) {
        if how == Close::Orderly {
            self.running.let_finish();
        }
    }
}
