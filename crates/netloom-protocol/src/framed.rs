//! Messages on a stream of bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use netloom_base::failure::{BadFrame, Fact, FrameTrouble};
use netloom_base::{Code, Failure, Opens, Side, Stage};
use netloom_transport::scratch::with_scratch;
use netloom_transport::{BoxFuture, Close, Conn, ConnFacts, Cx, Messages, Notice};
pub use netloom_wire::framing::Framing;
use netloom_wire::framing::{Decoder, FrameError, Partial, Wrong};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::service::{MessageService, Service, finish};

/// The longest message that is taken when nobody chose, in bytes.
pub const LONGEST_MESSAGE: usize = 1 << 20;

/// A connection that speaks in messages.
pub trait WithFraming {
    /// Tells messages apart by `framing`; one of more than
    /// [`LONGEST_MESSAGE`] bytes is refused.
    fn framed(self, framing: Framing) -> Framed;
}

impl WithFraming for Conn {
    fn framed(self, framing: Framing) -> Framed {
        Framed::new(self, framing)
    }
}

/// Messages over a [`Conn`]. At rest it owns no buffer.
///
/// ```
/// use netloom_base::Failure;
/// use netloom_protocol::{Framing, WithFraming};
/// use netloom_transport::{Conn, Messages};
///
/// async fn ask(conn: Conn) -> Result<Option<Vec<u8>>, Failure> {
///     let mut messages = conn.framed(Framing::Len32);
///     messages.send(b"a whole message").await?;
///     messages.recv().await
/// }
/// ```
pub struct Framed {
    conn: Conn,
    framing: Framing,
    decoder: Decoder,
    /// Read and not yet decoded: what followed a message in one read.
    rest: Vec<u8>,
    decoded: usize,
    /// The peer has said everything.
    ended: bool,
    /// Of a message that was taken, what the peer has not read yet.
    unsent: Vec<u8>,
    written: usize,
    /// Bytes received and sent, with what frames them.
    moved: (u64, u64),
    lingers: Option<Cx>,
}

impl Framed {
    /// Messages told apart by `framing`, of at most [`LONGEST_MESSAGE`] bytes.
    pub fn new(conn: Conn, framing: Framing) -> Self {
        Framed {
            conn,
            framing,
            decoder: Decoder::new(framing, LONGEST_MESSAGE),
            rest: Vec::new(),
            decoded: 0,
            ended: false,
            unsent: Vec::new(),
            written: 0,
            moved: (0, 0),
            lingers: None,
        }
    }

    /// Takes messages of at most so many bytes. To be said before the first is
    /// received.
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.decoder = Decoder::new(self.framing, bytes);
        self
    }

    /// Waits at the end, for a while, until the peer has said everything too,
    /// so that no reset overtakes the last message (see [`finish`]).
    pub fn lingering(mut self, cx: &Cx) -> Self {
        self.lingers = Some(cx.clone());
        self
    }

    /// The connection below.
    pub fn conn(&self) -> &Conn {
        &self.conn
    }

    /// Bytes received and sent so far, with what frames the messages.
    pub fn moved(&self) -> (u64, u64) {
        self.moved
    }

    /// The next message; `None` when the peer has said everything, or when the
    /// service is told to stop and no message has begun.
    ///
    /// # Errors
    /// `recv.partial` when the stream ends inside a message,
    /// `recv.frame-too-large`, `recv.bad-frame`, and what reading fails with.
    pub fn poll_recv(&mut self, task: &mut Context<'_>) -> Poll<Result<Option<Vec<u8>>, Failure>> {
        loop {
            if self.decoded < self.rest.len() {
                let mut input = &self.rest[self.decoded..];
                let found = next(&mut self.decoder, &mut input);
                self.decoded = self.rest.len() - input.len();
                if input.is_empty() {
                    (self.rest, self.decoded) = (Vec::new(), 0);
                }
                if let Some(message) = found.map_err(|error| self.refused(error))? {
                    return Poll::Ready(Ok(Some(message)));
                }
            }
            if self.ended {
                let end = self.decoder.end();
                return Poll::Ready(end.map(|()| None).map_err(|partial| self.cut(partial)));
            }
            match with_scratch(|scratch| self.read(task, scratch)) {
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(done) => return Poll::Ready(done),
                Poll::Pending => {
                    let stop = self.conn.notice() == Some(Notice::Drain);
                    if stop && !self.decoder.is_inside() {
                        return Poll::Ready(Ok(None));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Reads once, and keeps what follows the first message.
    fn read(
        &mut self,
        task: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<Result<Option<Vec<u8>>, Failure>> {
        let mut buf = ReadBuf::new(scratch);
        if let Err(error) = ready!(Pin::new(&mut self.conn).poll_read(task, &mut buf)) {
            return Poll::Ready(Err(self.conn.failure(Stage::Recv, error)));
        }
        let mut input = buf.filled();
        self.ended = input.is_empty();
        self.moved.0 += input.len() as u64;
        let found = next(&mut self.decoder, &mut input);
        self.rest = input.to_vec();
        self.decoded = 0;
        Poll::Ready(found.map_err(|error| self.refused(error)))
    }

    /// Takes a message to be sent. While the peer has not read the one before,
    /// nothing is taken. A message that was taken is sent whole, at the latest
    /// with the next, though nobody waits for it any more.
    ///
    /// # Errors
    /// `send.unframeable`; then nothing was sent and the stream is as good as
    /// before. What writing fails with.
    pub fn poll_send(
        &mut self,
        task: &mut Context<'_>,
        message: &[u8],
    ) -> Poll<Result<(), Failure>> {
        ready!(self.poll_unsent(task))?;
        let frame = match self.framing.frame(message) {
            Ok(frame) => frame,
            Err(error) => {
                let failure = Failure::new(Stage::Send, Side::Us, Code::SEND_UNFRAMEABLE);
                return Poll::Ready(Err(failure.message(error.to_string())));
            }
        };
        if !self.conn.is_write_vectored() {
            // One write, so that header and message share a packet or record.
            frame.write_to(&mut self.unsent);
            return match self.poll_unsent(task) {
                Poll::Ready(Err(failure)) => Poll::Ready(Err(failure)),
                _ => Poll::Ready(Ok(())),
            };
        }
        let parts = frame.parts();
        let mut slices = parts.map(IoSlice::new);
        let mut left = &mut slices[..];
        // An empty part at the front would be taken for an end.
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match Pin::new(&mut self.conn).poll_write_vectored(task, left) {
                Poll::Ready(Ok(0)) => {
                    let error = io::ErrorKind::WriteZero.into();
                    return Poll::Ready(Err(self.conn.failure(Stage::Send, error)));
                }
                Poll::Ready(Ok(n)) => {
                    self.moved.1 += n as u64;
                    IoSlice::advance_slices(&mut left, n);
                }
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(self.conn.failure(Stage::Send, error)));
                }
                Poll::Pending => {
                    for part in left.iter() {
                        self.unsent.extend_from_slice(part);
                    }
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the peer's system has taken all that was sent.
    ///
    /// # Errors
    /// What writing fails with.
    pub fn poll_flush(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        ready!(self.poll_unsent(task))?;
        let flushed = ready!(Pin::new(&mut self.conn).poll_flush(task));
        Poll::Ready(flushed.map_err(|error| self.conn.failure(Stage::Send, error)))
    }

    /// Says that no more messages will be sent. What the peer still sends can
    /// be received.
    ///
    /// # Errors
    /// What writing or closing fails with.
    pub fn poll_shutdown(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        ready!(self.poll_unsent(task))?;
        let shut = ready!(Pin::new(&mut self.conn).poll_shutdown(task));
        Poll::Ready(shut.map_err(|error| self.conn.failure(Stage::Close, error)))
    }

    fn poll_unsent(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        while self.written < self.unsent.len() {
            let left = &self.unsent[self.written..];
            let written = match ready!(Pin::new(&mut self.conn).poll_write(task, left)) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                written => written,
            };
            match written {
                Ok(n) => {
                    self.written += n;
                    self.moved.1 += n as u64;
                }
                Err(error) => return Poll::Ready(Err(self.conn.failure(Stage::Send, error))),
            }
        }
        (self.unsent, self.written) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    fn refused(&self, error: FrameError) -> Failure {
        let message = error.to_string();
        let limit = error.limit;
        let (code, trouble) = match error.wrong {
            Wrong::TooLarge(size) => (
                Code::RECV_FRAME_TOO_LARGE,
                FrameTrouble::TooLarge { size, limit },
            ),
            Wrong::Malformed(_) => (Code::RECV_BAD_FRAME, FrameTrouble::Malformed),
        };
        self.failed(code, message, trouble, error.before, error.first)
    }

    fn cut(&self, partial: Partial) -> Failure {
        let what = match (self.framing, partial.in_header) {
            (Framing::Lines | Framing::Crlf | Framing::Json, _) => "a line",
            (_, true) => "the header of a message",
            (_, false) => "a message",
        };
        let message = format!("the stream ended inside {what}");
        let trouble = FrameTrouble::Cut {
            have: partial.have,
            want: partial.want,
            in_header: partial.in_header,
        };
        self.failed(
            Code::RECV_PARTIAL,
            message,
            trouble,
            partial.before,
            partial.first,
        )
    }

    fn failed(
        &self,
        code: Code,
        message: String,
        trouble: FrameTrouble,
        before: u64,
        first: Vec<u8>,
    ) -> Failure {
        // What the first message begins with is what the peer begins with.
        let opening = (before == 0).then(|| Fact::FirstBytes(first.clone()));
        let frame = BadFrame {
            framing: self.framing.name(),
            trouble,
            before,
            first,
        };
        let failure = Failure::new(Stage::Recv, Side::Peer, code)
            .message(message)
            .after(self.conn.trail().iter().cloned())
            .fact(Fact::Frame(Box::new(frame)));
        let failure = opening.into_iter().fold(failure, Failure::fact);
        failure.fact(Fact::Moved {
            received: self.moved.0,
            sent: self.moved.1,
        })
    }
}

fn next(decoder: &mut Decoder, input: &mut &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
    let found = decoder.frame(input)?.map(<[u8]>::to_vec);
    if input.is_empty() {
        decoder.rest(); // the next read may be long in coming
    }
    Ok(found)
}

impl Messages for Framed {
    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, Failure>> {
        Box::pin(std::future::poll_fn(|task| self.poll_recv(task)))
    }

    fn send<'a>(&'a mut self, message: &'a [u8]) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            std::future::poll_fn(|task| self.poll_send(task, message)).await?;
            std::future::poll_fn(|task| self.poll_flush(task)).await
        })
    }

    fn close(mut self: Box<Self>) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(async move {
            std::future::poll_fn(|task| self.poll_flush(task)).await?;
            if let Some(cx) = self.lingers.take() {
                return finish(self.conn, &cx).await;
            }
            std::future::poll_fn(|task| self.poll_shutdown(task)).await?;
            self.conn.close(Close::Orderly);
            Ok(())
        })
    }

    fn abort(self: Box<Self>) {
        self.conn.close(Close::Abort);
    }

    fn facts(&self) -> ConnFacts {
        self.conn.facts()
    }
}

/// A conversation in messages as one over a stream.
pub struct FramedService {
    service: Arc<dyn MessageService>,
    framing: Framing,
    longest: usize,
}

impl FramedService {
    /// Carries `service` in messages of at most `longest` bytes.
    pub fn new(service: Arc<dyn MessageService>, framing: Framing, longest: usize) -> Self {
        FramedService {
            service,
            framing,
            longest,
        }
    }
}

impl Service for FramedService {
    fn serve<'a>(&'a self, conn: Conn, cx: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        let framed = conn
            .framed(self.framing)
            .at_most(self.longest)
            .lingering(cx);
        self.service.serve(Box::new(framed), cx)
    }

    fn opens(&self) -> Opens {
        Opens::Either
    }

    fn idle(&self) -> Duration {
        self.service.idle()
    }

    fn accounts(&self) -> bool {
        self.service.accounts()
    }
}
