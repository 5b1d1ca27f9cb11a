//! One client and one program, talking.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use netloom_base::{Failure, Stage};
use netloom_transport::scratch::with_scratch;
use netloom_transport::{Conn, Cx};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So much is on its way in one direction.
const CHUNK: usize = 16 * 1024;

/// Lets them talk until the program has ended; gives how it ended. When the
/// client has said everything, or the service is told to stop, the program
/// reads its end. A program that hears nothing more does not end the talk.
///
/// # Errors
/// What the client's connection failed with. The program is the caller's to end.
pub(super) async fn hold(
    client: &mut Conn,
    program: &mut Conn,
    cx: &Cx,
) -> Result<Result<(), Failure>, Failure> {
    let mut talk = Talk {
        client,
        program,
        input: Input::Open,
        forth: Chunk::default(),
        back: Chunk::default(),
    };
    let mut stopping = pin!(cx.shutdown().draining());
    let mut stopped = false;
    let ended = std::future::poll_fn(|task| {
        stopped = stopped || stopping.as_mut().poll(task).is_ready();
        talk.poll(stopped, task)
    });
    let ended = ended.await;
    match ended {
        Ok(ended) => Ok(ended.map_err(|error| Failure::from_io(Stage::Close, error))),
        Err((stage, error)) => Err(client.failure(stage, error)),
    }
}

struct Talk<'a> {
    client: &'a mut Conn,
    program: &'a mut Conn,
    input: Input,
    forth: Chunk,
    back: Chunk,
}

/// The program's standard input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    Open,
    /// It closed it; the client is still listened to, or nobody would notice it leave.
    Deaf,
    /// The client has said everything, and the program is being told.
    Ending,
    Ended,
}

/// Bytes on their way.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    sent: usize,
}

impl Chunk {
    fn left(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    fn poll_write(&mut self, to: &mut Conn, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.left().is_empty() {
            match ready!(Pin::new(&mut *to).poll_write(task, self.left()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.sent += n,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what is there; nothing at the end.
    fn poll_read(&mut self, from: &mut Conn, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sent = 0;
        self.bytes.clear();
        with_scratch(|scratch| {
            let room = scratch.len().min(CHUNK);
            let mut buf = ReadBuf::new(&mut scratch[..room]);
            ready!(Pin::new(from).poll_read(task, &mut buf))?;
            self.bytes.extend_from_slice(buf.filled());
            Poll::Ready(Ok(()))
        })
    }
}

impl Talk<'_> {
    /// How the program ended, or what the client's connection failed with.
    fn poll(
        &mut self,
        stopped: bool,
        task: &mut Context<'_>,
    ) -> Poll<Result<io::Result<()>, (Stage, io::Error)>> {
        if stopped && self.input == Input::Open {
            self.input = Input::Ending;
        }
        if let Poll::Ready(Err(error)) = self.poll_forth(task) {
            return Poll::Ready(Err((Stage::Recv, error)));
        }
        loop {
            let sent = self.back.poll_write(self.client, task);
            ready!(sent).map_err(|error| (Stage::Send, error))?;
            match self.back.poll_read(self.program, task) {
                Poll::Ready(Ok(())) if self.back.left().is_empty() => {
                    return Poll::Ready(Ok(Ok(())));
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Ok(Err(error))),
                Poll::Pending => {
                    // What was said must not wait for more to be said.
                    let flushed = Pin::new(&mut *self.client).poll_flush(task);
                    let _ = flushed.map_err(|error| (Stage::Send, error))?;
                    let heeded = self.client.heed(task);
                    heeded.map_err(|error| (Stage::Recv, error))?;
                    return Poll::Pending;
                }
            }
        }
    }

    fn poll_forth(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.forth.left().is_empty() {
                match self.forth.poll_write(self.program, task) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => {
                        self.forth = Chunk::default();
                        self.input = Input::Deaf;
                    }
                    Poll::Pending => return Poll::Pending,
                }
            }
            match self.input {
                Input::Ended => return Poll::Ready(Ok(())),
                Input::Ending => {
                    // What it does not take, it does not want.
                    let _ = ready!(Pin::new(&mut *self.program).poll_shutdown(task));
                    self.input = Input::Ended;
                }
                Input::Open | Input::Deaf => {
                    // A pipe or a terminal keeps nothing back, a program for all may.
                    let _ = Pin::new(&mut *self.program).poll_flush(task);
                    ready!(self.forth.poll_read(self.client, task))?;
                    if self.forth.left().is_empty() {
                        self.input = Input::Ending;
                    } else if self.input == Input::Deaf {
                        self.forth = Chunk::default();
                    }
                }
            }
        }
    }
}
