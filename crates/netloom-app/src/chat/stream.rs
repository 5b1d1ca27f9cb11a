//! A member at the other end of a stream: a person with nc or telnet, or a
//! program that speaks JSON lines.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use netloom_base::{Code, Failure, Side, Stage};
use netloom_protocol::finish;
use netloom_transport::scratch::with_scratch;
use netloom_transport::{BoxFuture, Close, Conn, Cx, Notice};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::desk::{Desk, End};
use super::hall::{Hall, Member, PAUSE, Seated, let_go, source};
use super::room::Coming;
use super::text::Typing;
use super::wire::Line;

/// Holds one conversation.
pub(super) async fn converse(
    hall: &Hall,
    desk: &Arc<Desk>,
    mut conn: Conn,
    cx: &Cx,
) -> Result<(), Failure> {
    let came = match hall.unpark(conn.id()) {
        Some(moved) => Ok(moved),
        None => enter(hall, desk, &conn, cx),
    };
    let member = match came {
        Ok(member) => member,
        Err(refused) => {
            if let Err(error) = conn.write_all(refused.form(false)).await {
                return Err(conn.failure(Stage::Send, error));
            }
            finish(conn, cx).await?;
            return Err(Failure::new(Stage::Accept, Side::Us, Code::LIMIT_REACHED)
                .message(refused.text.to_string()));
        }
    };
    let json = member.mailbox.speaks_json();
    let mut talking = Talking {
        conn,
        seated: Seated {
            hall,
            cx,
            member: Some(member),
        },
        typing: Typing::new(hall.max_line),
        json,
        pause: None,
        over: false,
    };
    match std::future::poll_fn(|task| talking.poll(task)).await {
        Ok(Step::Done) => {
            drop(talking.seated);
            finish(talking.conn, cx).await
        }
        Ok(Step::Leave) => {
            // It is at rest: nothing was begun, and nothing waits.
            let Talking {
                conn, mut seated, ..
            } = talking;
            if let Some(member) = seated.member.take() {
                hall.park(member);
            }
            match conn.depart()? {
                None => Ok(()),
                Some(conn) => Box::pin(converse(hall, desk, conn, cx)).await,
            }
        }
        Ok(Step::End(end)) => {
            let failure = let_go(end, hall);
            drop(talking.seated);
            // The peer must not take the part it got for the whole.
            talking.conn.close(Close::Abort);
            Err(failure)
        }
        Err((stage, error)) => Err(talking.conn.failure(stage, error)),
    }
}

fn enter(hall: &Hall, desk: &Arc<Desk>, conn: &Conn, cx: &Cx) -> Result<Member, Arc<Line>> {
    let coming = Coming {
        source: source(conn.facts().peer.as_ref()),
        ..Coming::default()
    };
    hall.enter(conn.id(), desk, false, &coming, cx)
}

struct Talking<'a> {
    conn: Conn,
    seated: Seated<'a>,
    typing: Typing,
    json: bool,
    /// Others have no time to read what this one says.
    pause: Option<BoxFuture<'a, ()>>,
    /// The peer said everything.
    over: bool,
}

/// What is done when nothing more can be done here.
enum Step {
    Done,
    Leave,
    End(End),
}

type Wrong = (Stage, io::Error);

impl Talking<'_> {
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<Result<Step, Wrong>> {
        let ended = self
            .seated
            .member()
            .and_then(|member| member.mailbox.ended());
        match ended {
            None => {}
            Some(End::Quit) => self.over = true,
            Some(end) => return Poll::Ready(Ok(Step::End(end))),
        }
        ready!(self.write(task))?;
        if self.over {
            return Poll::Ready(Ok(Step::Done));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(task));
            self.pause = None;
        }
        match with_scratch(|scratch| self.read(task, scratch)) {
            Poll::Ready(read) => {
                read?;
                // What was said goes out to all before more is read.
                task.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => match self.conn.notice() {
                Some(Notice::Drain) => Poll::Ready(Ok(Step::Done)),
                Some(Notice::Move) if !self.typing.is_inside() => Poll::Ready(Ok(Step::Leave)),
                _ => Poll::Pending,
            },
        }
    }

    /// Writes what waits, many lines at once, as far as the peer takes it.
    fn write(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Wrong>> {
        let send = |error| (Stage::Send, error);
        let Some(member) = self.seated.member() else {
            return Poll::Ready(Ok(()));
        };
        let mailbox = &member.mailbox;
        let conn = &mut self.conn;
        let written = with_scratch(|scratch| {
            while let Poll::Ready(filled) = mailbox.peek(scratch, task) {
                match Pin::new(&mut *conn).poll_write(task, &scratch[..filled]) {
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Err(send(io::ErrorKind::WriteZero.into())));
                    }
                    Poll::Ready(Ok(wrote)) => mailbox.wrote(wrote, false),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(send(error))),
                    Poll::Pending => {
                        mailbox.wrote(0, true);
                        return Poll::Pending;
                    }
                }
            }
            Poll::Ready(Ok(()))
        });
        ready!(written)?;
        Pin::new(&mut self.conn).poll_flush(task).map_err(send)
    }

    /// Reads once, and does what was asked.
    fn read(&mut self, task: &mut Context<'_>, scratch: &mut [u8]) -> Poll<Result<(), Wrong>> {
        let mut buf = ReadBuf::new(scratch);
        ready!(Pin::new(&mut self.conn).poll_read(task, &mut buf))
            .map_err(|error| (Stage::Recv, error))?;
        let read = buf.filled();
        self.over = read.is_empty();
        let Seated { hall, cx, member } = &self.seated;
        let Some(member) = member else {
            return Poll::Ready(Ok(()));
        };
        let (mut behind, json) = (false, &mut self.json);
        self.typing.feed(read, |typed| {
            if member.mailbox.ended().is_none() {
                behind |= hall.hear(member, &typed, json, cx);
            }
        });
        if behind {
            let cx: Cx = (*cx).clone();
            self.pause = Some(Box::pin(async move { cx.sleep(PAUSE).await }));
        }
        Poll::Ready(Ok(()))
    }
}
