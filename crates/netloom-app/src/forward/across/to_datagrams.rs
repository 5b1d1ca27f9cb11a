//! Clients that speak in a stream, and a target that takes datagrams.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use netloom_base::{Code, Failure, Side};
use netloom_protocol::MessageService;
use netloom_transport::carry::{Carried, CarryFailure, End};
use netloom_transport::datagrams::{Outgoing, send};
use netloom_transport::{Batch, BoxFuture, Conn, Cx, Datagrams, Messages, Opened, Peer};

use super::super::account::Account;
use super::super::service::Forwarder;

/// How many datagrams are taken at once.
const SLOTS: usize = 8;

/// How long answers are waited for once the client has said everything.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Carries each message of a client as one datagram, and each answer back.
pub(in super::super) struct ToDatagrams(pub(in super::super) Arc<Forwarder>);

impl MessageService for ToDatagrams {
    fn serve<'a>(
        &'a self,
        messages: Box<dyn Messages>,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.convey(messages, cx))
    }

    fn accounts(&self) -> bool {
        true
    }
}

impl ToDatagrams {
    async fn convey(&self, mut messages: Box<dyn Messages>, cx: &Cx) -> Result<(), Failure> {
        let forwarder = &*self.0;
        let peer = messages.facts().peer;
        let source = peer.as_ref().and_then(Peer::ip);
        let journal = forwarder.access.journal();
        let mut account = Account::open(journal, cx, Conn::number(), || peer);
        let reached = match forwarder
            .reach
            .reach(&forwarder.pool, source, None, cx)
            .await
        {
            Ok(reached) => reached,
            Err(unreached) => {
                messages.abort();
                if let Some(account) = account {
                    account.unreached(&unreached, cx);
                }
                return Err(unreached.failure());
            }
        };
        if let Some(account) = &mut account {
            account.reached(&reached);
        }
        let endpoint = &reached.pick.target().stack.endpoint;
        let Opened::Datagrams(mut target) = reached.opened else {
            return reached.opened.stream().map(drop);
        };
        let mut moved = Carried::default();
        let ended = talk(&mut *messages, &mut *target, &mut moved, cx).await;
        let (end, failure) = match ended {
            Ok(()) => {
                let closed = messages.close().await;
                moved.ended_first = Some(End::First);
                if let Some(account) = account {
                    account.carried(moved, cx);
                }
                return closed;
            }
            Err(ended) => ended,
        };
        let failure = match end {
            End::First => failure,
            End::Second => failure.at(endpoint),
        };
        messages.abort();
        let code = failure.code();
        let again = Failure::new(failure.stage(), failure.side(), code).at(endpoint);
        let broke = CarryFailure {
            end,
            carried: moved,
            failure: again,
            spared: None,
        };
        if let Some(account) = account {
            account.broke(&broke, cx);
        }
        if end == End::Second && failure.side() != Side::Us {
            reached.pick.failed(&failure);
            forwarder.reach.troubles.tell(failure, cx);
        }
        Err(broke.failure)
    }
}

enum Next {
    Said(Result<Option<Vec<u8>>, Failure>),
    Answered(Result<(), Failure>),
}

/// Carries both ways until the client has said everything and the answers to
/// that have come.
async fn talk(
    messages: &mut dyn Messages,
    target: &mut dyn Datagrams,
    moved: &mut Carried,
    cx: &Cx,
) -> Result<(), (End, Failure)> {
    let mut batch = Batch::new(SLOTS, target.room());
    let mut answers_first = false;
    loop {
        answers_first = !answers_first;
        let next = {
            let mut said = messages.recv();
            poll_fn(|task| {
                if answers_first && let Poll::Ready(came) = target.poll_recv(task, &mut batch) {
                    return Poll::Ready(Next::Answered(came));
                }
                if let Poll::Ready(said) = said.as_mut().poll(task) {
                    return Poll::Ready(Next::Said(said));
                }
                target.poll_recv(task, &mut batch).map(Next::Answered)
            })
            .await
        };
        match next {
            Next::Said(said) => match said.map_err(|failure| (End::First, failure))? {
                Some(message) => {
                    let sent = send(target, &[Outgoing::connected(&message)]).await;
                    sent.map_err(|failure| (blame(&failure), failure))?;
                    moved.forth += message.len() as u64;
                }
                None => break,
            },
            Next::Answered(came) => {
                came.map_err(|failure| (End::Second, failure))?;
                pass_back(&batch, messages, moved).await?;
            }
        }
    }
    // Its last question may still be answered.
    while let Some(came) = cx
        .timeout(
            LAST_ANSWERS,
            poll_fn(|task| target.poll_recv(task, &mut batch)),
        )
        .await
    {
        came.map_err(|failure| (End::Second, failure))?;
        pass_back(&batch, messages, moved).await?;
    }
    Ok(())
}

/// A message that no datagram can hold is the client's; the rest is the target's.
fn blame(failure: &Failure) -> End {
    if failure.code() == Code::SEND_TOO_LARGE {
        End::First
    } else {
        End::Second
    }
}

async fn pass_back(
    batch: &Batch,
    messages: &mut dyn Messages,
    moved: &mut Carried,
) -> Result<(), (End, Failure)> {
    for (of, answer) in batch.iter() {
        if of.truncated_from.is_some() {
            continue; // a part would be taken for the whole
        }
        match messages.send(answer).await {
            Ok(()) => moved.back += answer.len() as u64,
            // The framing has no form for it; the stream is as good as before.
            Err(failure) if failure.code() == Code::SEND_UNFRAMEABLE => {}
            Err(failure) => return Err((End::First, failure)),
        }
    }
    Ok(())
}
