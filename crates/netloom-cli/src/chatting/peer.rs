//! A chat over datagrams: in a group as one of many, or with a server.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use netloom_app::chat::Chat;
use netloom_base::{Code, Endpoint, Failure, Limits, Role, Settings, Side, Stack, Stage};
use netloom_protocol::{DatagramService, Losses, MessageService};
use netloom_transport::conn::ConnFacts;
use netloom_transport::cx::{OsClock, Stamped};
use netloom_transport::datagrams::send;
use netloom_transport::{Batch, BoxFuture, Cx, Datagrams, Events, Messages, Opened, Outgoing};
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

use super::seat::{Ears, Mouth, Seat};
use super::{Wishes, story_of};
use crate::client::signals;
use crate::contract::Stop;
use crate::view::{Face, now};

/// Takes part in a group: everybody in it is a peer.
pub(super) async fn take_part(
    endpoint: &Endpoint,
    wishes: &Wishes,
    face: &Face,
    cx: &Cx,
) -> Result<(), Stop> {
    let began = cx.now();
    let stack = cx.net().stack(endpoint, Role::Bind)?;
    let chat = Chat::read(&Settings::new())
        .map_err(|_| Stop::usage("a chat without settings cannot be made"))?;
    let chat = chat.with_guest(
        wishes.nick.as_deref(),
        wishes.room.as_deref(),
        face.is_json(),
    );
    let (seat, mouth, ears) = Seat::take(face, cx).await?;
    let mut held = Vec::new();
    for bound in cx.net().datagrams(&stack, cx).await? {
        if let Some(socket) = bound.socket()? {
            held.push((bound, socket));
        }
    }
    // Where a group has an address on each interface, those that it can be
    // spoken to by are enough.
    let speaks = |socket: &dyn Datagrams| socket.facts().peer.is_some();
    if held.iter().any(|(_, socket)| speaks(&**socket)) {
        held.retain(|(_, socket)| speaks(&**socket));
    }
    let mut sockets = Vec::new();
    for (bound, socket) in held {
        face.listening(&bound.endpoint().to_string());
        for fact in bound.learned() {
            face.note(fact.to_string());
        }
        sockets.push(socket);
    }
    // The group is told when this end leaves, so it goes after the member.
    let (here, told) = overheard(cx);
    let serving = sockets
        .into_iter()
        .map(|socket| DatagramService::serve(&chat, socket, &here));
    let mut serving: Vec<_> = serving.collect();
    let mut all = pin!(poll_fn(move |task| {
        let mut at = 0;
        while at < serving.len() {
            match serving[at].as_mut().poll(task) {
                Poll::Pending => at += 1,
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                Poll::Ready(Ok(())) => drop(serving.swap_remove(at)),
            }
        }
        if serving.is_empty() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }));
    let terminal = Box::new(Terminal { mouth, ears });
    let mut signals = signals().map_err(|error| Failure::from_io(Stage::Create, error))?;
    let talking = async {
        tokio::select! {
            biased;
            () = signals.recv() => Err(Stop::Interrupted),
            ended = &mut all => ended.map_err(Stop::from),
            never = remarks(told, face) => match never {},
            ended = MessageService::serve(&chat, terminal, &here) => ended.map_err(Stop::from),
        }
    };
    let ended = Seat::beside(seat, talking).await;
    here.shutdown().drain();
    // Saying goodbye takes no longer than sending does.
    if matches!(ended, Ok(()) | Err(Stop::Interrupted)) {
        let _ = cx.timeout(GOODBYE, all).await;
    }
    ended?;
    let story = story_of(&stack, cx, began);
    face.record(&story, &story, now());
    Ok(())
}

/// The same world, in which what is remarked can be read.
fn overheard(cx: &Cx) -> (Cx, Receiver<Stamped>) {
    let (events, told) = Events::queue(REMARKS, false, Arc::new(OsClock::new()));
    (cx.child(events, Limits::default()), told)
}

/// Remarks that may wait to be shown.
const REMARKS: usize = 16;

/// Shows what is remarked: what the kernel dropped, and what did not fit.
async fn remarks(mut told: Receiver<Stamped>, face: &Face) -> Infallible {
    while let Some(stamped) = told.recv().await {
        face.event(&stamped);
    }
    std::future::pending().await
}

const GOODBYE: Duration = Duration::from_secs(1);

/// This end as a member of its own chat.
struct Terminal {
    mouth: Mouth,
    ears: Ears,
}

impl Messages for Terminal {
    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, Failure>> {
        Box::pin(self.mouth.line())
    }

    fn send<'a>(&'a mut self, message: &'a [u8]) -> BoxFuture<'a, Result<(), Failure>> {
        self.ears.show(message);
        Box::pin(async {
            self.ears.settle().await;
            Ok(())
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn facts(&self) -> ConnFacts {
        ConnFacts::default()
    }
}

/// How often joining is tried, and how long each time is waited.
const TRIES: u32 = 5;
const TRY: Duration = Duration::from_secs(1);

/// A server that hears nothing for long takes a peer for gone.
const ALIVE: Duration = Duration::from_secs(30);

/// What happens next.
enum Next {
    Came,
    Typed(Option<Vec<u8>>),
    Quiet,
}

/// Talks to a server.
pub(super) async fn ask(stack: &Stack, wishes: &Wishes, face: &Face, cx: &Cx) -> Result<(), Stop> {
    let began = cx.now();
    let Opened::Datagrams(mut socket) = cx.net().dial(stack, cx).await? else {
        return Err(Stop::usage(format!(
            "{} gives no datagrams",
            stack.endpoint
        )));
    };
    let (seat, mut mouth, mut ears) = Seat::take(face, cx).await?;
    let (here, told) = overheard(cx);
    let talking = async {
        let mut batch = Batch::new(32, socket.room());
        let mut losses = Losses::default();
        join(&mut *socket, &mut batch, wishes, face, &mut ears, cx).await?;
        loop {
            let next = tokio::select! {
                biased;
                came = poll_fn(|task| socket.poll_recv(task, &mut batch)) => {
                    came?;
                    Next::Came
                }
                line = mouth.line() => Next::Typed(line?),
                () = cx.sleep(ALIVE) => Next::Quiet,
            };
            let say = match next {
                Next::Came => {
                    losses.tell(&*socket, &here);
                    tell(&batch, &mut ears).await;
                    continue;
                }
                Next::Typed(Some(line)) => line,
                Next::Quiet => b"/here".to_vec(),
                Next::Typed(None) => break,
            };
            send(&mut *socket, &[Outgoing::connected(&say)]).await?;
        }
        send(&mut *socket, &[Outgoing::connected(b"/quit")]).await?;
        Ok(())
    };
    let talking = async {
        tokio::select! {
            biased;
            ended = talking => ended,
            never = remarks(told, face) => match never {},
        }
    };
    Box::pin(Seat::beside(seat, talking)).await?;
    let story = story_of(stack, cx, began);
    face.record(&story, &story, now());
    Ok(())
}

async fn tell(batch: &Batch, ears: &mut Ears) {
    for (_, bytes) in batch.iter() {
        ears.show(bytes.trim_ascii_end());
    }
    ears.settle().await;
}

/// Joins, showing that this address is ours when that is asked.
async fn join(
    socket: &mut dyn Datagrams,
    batch: &mut Batch,
    wishes: &Wishes,
    face: &Face,
    ears: &mut Ears,
    cx: &Cx,
) -> Result<(), Stop> {
    let mut message = json!({"chat": "join"});
    for (key, wish) in [("nick", &wishes.nick), ("room", &wishes.room)] {
        if let Some(wish) = wish {
            message[key] = wish.as_str().into();
        }
    }
    if !face.is_json() {
        message["form"] = "text".into();
    }
    for _ in 0..TRIES {
        let bytes = message.to_string();
        send(socket, &[Outgoing::connected(bytes.as_bytes())]).await?;
        let came = cx
            .timeout(TRY, poll_fn(|task| socket.poll_recv(task, batch)))
            .await;
        let Some(came) = came else {
            continue;
        };
        came?;
        let first = batch
            .iter()
            .next()
            .and_then(|(_, bytes)| serde_json::from_slice::<Value>(bytes).ok());
        let token = first
            .as_ref()
            .and_then(|first| first.get("token"))
            .and_then(Value::as_str);
        if let Some(token) = token {
            message["token"] = token.into();
            continue;
        }
        tell(batch, ears).await;
        return Ok(());
    }
    Err(Failure::new(Stage::Greet, Side::Peer, Code::GREET_TIMEOUT)
        .message("nobody answered: there may be no chat")
        .into())
}
