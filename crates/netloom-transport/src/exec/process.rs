//! A running program as a carrier of bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{ChildStdin, ChildStdout};

use super::running::Running;
use crate::conn::{Close, ConnFacts, Io, Peer};
use crate::socket::Socket;

/// A program that runs, with its input and its output.
///
/// Its output is read to the end before its exit is looked at, so nothing it
/// said is lost.
pub(super) struct Process {
    running: Running,
    input: Option<ChildStdin>,
    output: Output,
    name: Box<str>,
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
    pub(super) fn new(
        running: Running,
        input: Option<ChildStdin>,
        output: ChildStdout,
        name: String,
    ) -> Self {
        Process {
            running,
            input,
            output: Output::Open(output),
            name: name.into(),
        }
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
                    let ended = ready!(this.running.poll_ended(cx));
                    this.output = Output::Told;
                    return Poll::Ready(ended);
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

    fn close(self: Box<Self>, how: Close) {
        if how == Close::Orderly {
            self.running.let_finish();
        }
    }
}
