//! A member whom whole messages are exchanged with: one JSON object each, or
//! one typed line.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use netloom_base::{Code, Failure, Side, Stage};
use netloom_transport::{Conn, Cx, Messages};

use super::desk::{Desk, End};
use super::hall::{Hall, Seated, let_go, source};
use super::room::Coming;
use super::text::Typed;
use super::wire::Bytes;

/// What happens next.
enum Next {
    Out(Bytes),
    In(Option<Vec<u8>>),
    End(End),
}

/// Holds one conversation. `json` is the form to begin with.
pub(super) async fn converse(
    hall: &Hall,
    desk: &Arc<Desk>,
    json: bool,
    coming: Coming<'_>,
    mut messages: Box<dyn Messages>,
    cx: &Cx,
) -> Result<(), Failure> {
    let coming = Coming {
        source: source(messages.facts().peer.as_ref()),
        ..coming
    };
    let member = match hall.enter(Conn::number(), desk, json, &coming, cx) {
        Ok(member) => member,
        Err(refused) => {
            messages.send(trimmed(refused.form(json))).await?;
            messages.close().await?;
            return Err(Failure::new(Stage::Accept, Side::Us, Code::LIMIT_REACHED)
                .message(refused.text.to_string()));
        }
    };
    let seated = Seated {
        hall,
        cx,
        member: Some(member),
    };
    let Some(member) = seated.member() else {
        return Ok(());
    };
    let (mailbox, mut json) = (&member.mailbox, json);
    let stopping = cx.shutdown().clone();
    let mut stopping = std::pin::pin!(stopping.draining());
    loop {
        let next = {
            let mut receiving = messages.recv();
            poll_fn(|task| {
                if let Poll::Ready(line) = mailbox.poll_next(task) {
                    return Poll::Ready(Ok(Next::Out(line)));
                }
                if let Poll::Ready(end) = mailbox.poll_end(task) {
                    return Poll::Ready(Ok(Next::End(end)));
                }
                if stopping.as_mut().poll(task).is_ready() {
                    return Poll::Ready(Ok(Next::In(None)));
                }
                receiving.as_mut().poll(task).map_ok(Next::In)
            })
            .await?
        };
        match next {
            Next::Out(line) => {
                // Who does not read is let go while it is being told.
                let mut sending = messages.send(trimmed(&line));
                let sent = poll_fn(|task| match sending.as_mut().poll(task) {
                    Poll::Ready(sent) => Poll::Ready(sent.map(|()| None)),
                    Poll::Pending => match mailbox.poll_end(task) {
                        Poll::Ready(end) if end != End::Quit => Poll::Ready(Ok(Some(end))),
                        _ => Poll::Pending,
                    },
                })
                .await?;
                if let Some(end) = sent {
                    return Err(let_go(end, hall));
                }
            }
            Next::In(Some(message)) => {
                let typed = if message.len() > hall.max_line {
                    Typed::TooLong
                } else {
                    Typed::Line(&message)
                };
                hall.hear(member, &typed, &mut json, cx);
            }
            Next::In(None) | Next::End(End::Quit) => {
                drop(seated);
                return messages.close().await;
            }
            Next::End(end) => return Err(let_go(end, hall)),
        }
    }
}

/// A message has its own end.
fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}
