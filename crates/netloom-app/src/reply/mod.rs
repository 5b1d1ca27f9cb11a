//! `reply`: a fixed text, once on connect, or to every line or datagram.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Key, Opens, SettingError, Settings, Side, Stage, settings};
use netloom_protocol::{
    Answer, DatagramService, MessageService, Offer, Service, each, each_message, finish,
};
use netloom_transport::scratch::with_scratch;
use netloom_transport::{BoxFuture, Conn, Cx, Net, Notice};
use netloom_wire::{escape, lines::Lines};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use crate::registry::ServiceKind;

settings! {
    /// What is replied, and when.
    struct ReplySettings {
        /// the text to send, with the escapes \r \n \t \0 \\ \xNN
        text: String,
        /// send it for every line the client sends, instead of once on connect
        per_line: bool,
    }
}

/// A client's line may be so long.
const LONGEST_LINE: usize = 64 * 1024;

/// The kind `reply`.
#[derive(Debug, Clone, Copy)]
pub struct Reply;

impl ServiceKind for Reply {
    fn name(&self) -> &'static str {
        "reply"
    }

    fn help(&self) -> &'static str {
        "send a fixed text, once on connect or to every line"
    }

    fn keys(&self) -> &'static [Key] {
        ReplySettings::KEYS
    }

    fn main_key(&self) -> Option<&'static str> {
        Some("text")
    }

    fn example(&self) -> &'static str {
        "text = 'hello\\r\\n'"
    }

    fn build(&self, settings: &Settings, _: &dyn Net) -> Result<Offer, Vec<SettingError>> {
        let read = ReplySettings::read(settings)?;
        let text = escape::unescape(&read.text).map_err(|error| {
            let wrong = &read.text[error.span.clone()];
            let span = settings.last("text").and_then(|s| s.span.clone());
            let message = format!("{error}, not `{wrong}`");
            vec![SettingError::new("text", span, message).within(error.span.clone())]
        })?;
        if read.per_line {
            Ok(Offer::Bytes(Arc::new(PerLine { text })))
        } else {
            Ok(Offer::Bytes(Arc::new(Once { text })))
        }
    }
}

/// Sends the text and ends.
struct Once {
    text: Vec<u8>,
}

impl Service for Once {
    fn serve<'a>(&'a self, mut conn: Conn, cx: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            if let Err(error) = conn.write_all(&self.text).await {
                return Err(conn.failure(Stage::Send, error));
            }
            finish(conn, cx).await
        })
    }

    fn datagrams(self: Arc<Self>) -> Option<Arc<dyn DatagramService>> {
        Some(each(Said(self.text.clone())))
    }

    fn messages(self: Arc<Self>) -> Option<Arc<dyn MessageService>> {
        Some(each_message(Said(self.text.clone())))
    }
}

/// Says the text to every datagram or message.
struct Said(Vec<u8>);

impl Answer for Said {
    fn answer<'r>(&'r self, _: &'r [u8], _: &Cx) -> Option<Cow<'r, [u8]>> {
        Some((&*self.0).into())
    }
}

/// Sends the text for every line.
struct PerLine {
    text: Vec<u8>,
}

impl Service for PerLine {
    fn serve<'a>(&'a self, mut conn: Conn, cx: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let mut lines = Lines::new(LONGEST_LINE);
            loop {
                let asked =
                    std::future::poll_fn(|task| count_lines(&mut conn, &mut lines, task)).await;
                let answers = match asked {
                    Ok(Asked::Lines(n)) => n,
                    Ok(Asked::Ended) => return finish(conn, cx).await,
                    Ok(Asked::TooLong) => {
                        // What follows cannot be told from lines any more.
                        return Err(Failure::new(
                            Stage::Recv,
                            Side::Peer,
                            Code::RECV_FRAME_TOO_LARGE,
                        )
                        .message("a line was longer than the limit")
                        .fact(Fact::Limit {
                            name: "line",
                            allows: LONGEST_LINE as u64,
                        }));
                    }
                    Err(error) => return Err(conn.failure(Stage::Recv, error)),
                };
                for _ in 0..answers {
                    if let Err(error) = conn.write_all(&self.text).await {
                        return Err(conn.failure(Stage::Send, error));
                    }
                }
            }
        })
    }

    fn opens(&self) -> Opens {
        Opens::Client
    }

    fn datagrams(self: Arc<Self>) -> Option<Arc<dyn DatagramService>> {
        Some(each(Said(self.text.clone())))
    }

    fn messages(self: Arc<Self>) -> Option<Arc<dyn MessageService>> {
        Some(each_message(Said(self.text.clone())))
    }
}

enum Asked {
    Lines(usize),
    Ended,
    TooLong,
}

/// Reads once and counts the lines that completes.
fn count_lines(
    conn: &mut Conn,
    lines: &mut Lines,
    task: &mut Context<'_>,
) -> Poll<io::Result<Asked>> {
    with_scratch(|scratch| {
        let mut buf = ReadBuf::new(scratch);
        match Pin::new(&mut *conn).poll_read(task, &mut buf) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) if buf.filled().is_empty() => Poll::Ready(Ok(Asked::Ended)),
            Poll::Ready(Ok(())) => {
                let mut complete = 0;
                Poll::Ready(Ok(match lines.feed(buf.filled(), |_| complete += 1) {
                    Ok(()) => Asked::Lines(complete),
                    Err(_) => Asked::TooLong,
                }))
            }
            // A line that has begun is in flight; otherwise this is a good place to stop.
            Poll::Pending if conn.notice() == Some(Notice::Drain) && lines.rest().is_empty() => {
                Poll::Ready(Ok(Asked::Ended))
            }
            Poll::Pending => Poll::Pending,
        }
    })
}
