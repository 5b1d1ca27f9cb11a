//! A running program as a carrier of bytes.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::ending;
use crate::conn::{Close, ConnFacts, Io, Peer};
use crate::socket::Socket;

/// A program that runs.
///
/// Its output is read to the end before its exit is looked at, so nothing it
/// said is lost. It is ended when this is dropped, unless everything was said
/// in both directions: then it may finish with what it got. The runtime reaps
/// it in either case.
pub(super) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: Output,
    name: Box<str>,
    command: Box<str>,
    may_finish: bool,
}

enum Output {
    Open(ChildStdout),
    /// At its end, but the program may still run.
    Ended,
    /// How it ended is known.
    Told,
}

impl Process {
    /// A program whose input and output are pipes.
    pub(super) fn new(mut child: Child, program: &str, command: &str) -> Option<Self> {
        let (input, output) = (child.stdin.take(), child.stdout.take()?);
        let name = match child.id() {
            Some(pid) => format!("exec:{program} pid {pid}"),
            None => format!("exec:{program}"),
        };
        let (name, command) = (name.into(), command.into());
        Some(Process {
            child,
            input,
            output: Output::Open(output),
            name,
            command,
            may_finish: false,
        })
    }
}

impl AsyncRead for Process {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.output {
                Output::Open(output) => {
                    let before = buf.filled().len();
                    ready!(Pin::new(output).poll_read(cx, buf))?;
                    if buf.filled().len() > before || buf.remaining() == 0 {
                        return Poll::Ready(Ok(()));
                    }
                    this.output = Output::Ended;
                }
                Output::Ended => {
                    let status = ready!(pin!(this.child.wait()).poll(cx))?;
                    this.output = Output::Told;
                    return Poll::Ready(
                        ending::judge(status, &this.command).map_err(io::Error::from),
                    );
                }
                Output::Told => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl AsyncWrite for Process {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_write(cx, buf),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input
            .as_mut()
            .map_or(Poll::Ready(Ok(())), |input| Pin::new(input).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        self.input = None; // closed: the program reads its end
        Poll::Ready(Ok(()))
    }
}

impl Io for Process {
    fn facts(&self) -> ConnFacts {
        ConnFacts {
            local: None,
            peer: Some(Peer::Named(self.name.clone())),
        }
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self)
    }

    fn close(mut self: Box<Self>, how: Close) {
        self.may_finish = how == Close::Orderly;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.may_finish && !matches!(self.output, Output::Told) {
            // It may have ended by itself already.
            let _ = self.child.start_kill();
        }
    }
}
