//! `echo`: what comes in goes out (RFC 862).

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use netloom_base::{Failure, Key, SettingError, Settings, Stage};
use netloom_protocol::{
    Answer, DatagramService, MessageService, Offer, Service, each, each_message,
};
use netloom_transport::scratch::with_scratch;
use netloom_transport::{BoxFuture, Close, Conn, Cx, Net, Notice};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::registry::ServiceKind;

/// The kind `echo`.
#[derive(Debug, Clone, Copy)]
pub struct Echo;

impl ServiceKind for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn help(&self) -> &'static str {
        "send back what comes in"
    }

    fn keys(&self) -> &'static [Key] {
        &[]
    }

    fn build(&self, settings: &Settings, _: &dyn Net) -> Result<Offer, Vec<SettingError>> {
        match settings.unknown(self.keys()) {
            errors if errors.is_empty() => Ok(Offer::Bytes(Arc::new(Echo))),
            errors => Err(errors),
        }
    }
}

impl Service for Echo {
    fn serve<'a>(&'a self, conn: Conn, _: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(Echoing {
            conn: Some(conn),
            tail: Vec::new(),
            sent: 0,
            ended: false,
        })
    }

    fn datagrams(self: Arc<Self>) -> Option<Arc<dyn DatagramService>> {
        Some(each(*self))
    }

    fn messages(self: Arc<Self>) -> Option<Arc<dyn MessageService>> {
        Some(each_message(*self))
    }
}

impl Answer for Echo {
    fn answer<'r>(&'r self, request: &'r [u8], _: &Cx) -> Option<Cow<'r, [u8]>> {
        Some(request.into())
    }
}

/// One conversation. At rest it owns no buffer: bytes are read into the
/// thread's scratch and written at once; only what the peer would not take is
/// kept, and nothing is read until it is gone.
struct Echoing {
    conn: Option<Conn>,
    tail: Vec<u8>,
    sent: usize,
    /// The client has said everything.
    ended: bool,
}

/// What to do when nothing more can be done now.
enum Step {
    Done,
    Leave,
}

impl Future for Echoing {
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(mut conn) = self.conn.take() else {
            return Poll::Ready(Ok(()));
        };
        let step = match self.run(&mut conn, task) {
            Poll::Pending => {
                self.conn = Some(conn);
                return Poll::Pending;
            }
            Poll::Ready(step) => step,
        };
        match step {
            Ok(Step::Done) => {
                conn.close(Close::Orderly);
                Poll::Ready(Ok(()))
            }
            Ok(Step::Leave) => match conn.depart() {
                Ok(None) => Poll::Ready(Ok(())),
                Ok(Some(conn)) => {
                    self.conn = Some(conn);
                    Poll::Pending // it was at rest, and its wake-ups are in place
                }
                Err(failure) => Poll::Ready(Err(failure)),
            },
            Err((stage, error)) => Poll::Ready(Err(conn.failure(stage, error))),
        }
    }
}

impl Echoing {
    fn run(
        &mut self,
        conn: &mut Conn,
        task: &mut Context<'_>,
    ) -> Poll<Result<Step, (Stage, io::Error)>> {
        let send = |error| (Stage::Send, error);
        loop {
            while self.sent < self.tail.len() {
                match ready!(Pin::new(&mut *conn).poll_write(task, &self.tail[self.sent..]))
                    .map_err(send)?
                {
                    0 => return Poll::Ready(Err(send(io::ErrorKind::WriteZero.into()))),
                    n => self.sent += n,
                }
            }
            self.tail = Vec::new();
            self.sent = 0;
            if self.ended {
                ready!(Pin::new(&mut *conn).poll_shutdown(task)).map_err(|e| (Stage::Close, e))?;
                return Poll::Ready(Ok(Step::Done));
            }
            match with_scratch(|scratch| self.pass_on(conn, task, scratch)) {
                Poll::Ready(result) => result?,
                Poll::Pending => match conn.notice() {
                    Some(Notice::Drain) => self.ended = true,
                    Some(Notice::Move) => return Poll::Ready(Ok(Step::Leave)),
                    _ => return Poll::Pending,
                },
            }
        }
    }

    /// Reads once and writes what was read; what is left becomes the tail.
    fn pass_on(
        &mut self,
        conn: &mut Conn,
        task: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<Result<(), (Stage, io::Error)>> {
        let mut buf = ReadBuf::new(scratch);
        ready!(Pin::new(&mut *conn).poll_read(task, &mut buf)).map_err(|e| (Stage::Recv, e))?;
        let read = buf.filled();
        self.ended = read.is_empty();
        let mut sent = 0;
        while sent < read.len() {
            match Pin::new(&mut *conn).poll_write(task, &read[sent..]) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err((Stage::Send, io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(n)) => sent += n,
                Poll::Ready(Err(error)) => return Poll::Ready(Err((Stage::Send, error))),
                Poll::Pending => {
                    self.tail = read[sent..].to_vec();
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
