//! A chat over datagrams: in a group as one of many, or with a server.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use netloom_app::chat::Chat;
use netloom_base::{Code, Endpoint, Failure, Limits, Role, Settings, Side, Stack, Stage};
use netloom_protocol::{DatagramService, MessageService};
use netloom_transport::conn::ConnFacts;
use netloom_transport::datagrams::send;
use netloom_transport::{
    Batch, BoxFuture, Conn, Cx, Datagrams, Events, Messages, Opened, Outgoing,
};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::{Wishes, show, stdio, story_of};
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
    let mut sockets = Vec::new();
    for bound in cx.net().datagrams(&stack, cx).await? {
        let Some(socket) = bound.socket()? else {
            continue;
        };
        face.listening(&bound.endpoint().to_string());
        for fact in bound.learned() {
            face.note(fact.to_string());
        }
        sockets.push(socket);
    }
    // The group is told when this end leaves, so it goes after the member.
    let here = cx.child(Events::nowhere(), Limits::default());
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
    let terminal = Terminal::new(stdio(cx).await?, face.clone());
    let mut signals = signals().map_err(|error| Failure::from_io(Stage::Create, error))?;
    let ended = tokio::select! {
        biased;
        () = signals.recv() => Err(Stop::Interrupted),
        ended = &mut all => ended.map_err(Stop::from),
        ended = MessageService::serve(&chat, Box::new(terminal), &here) => ended.map_err(Stop::from),
    };
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

const GOODBYE: Duration = Duration::from_secs(1);

/// This end as a member of its own chat.
struct Terminal {
    typed: Typed,
    face: Face,
}

/// Lines out of stdin.
struct Typed {
    stdin: Conn,
    begun: Vec<u8>,
    ended: bool,
}

/// The longest line that is typed; what is longer comes in parts.
const LONGEST: usize = 64 * 1024;

impl Typed {
    fn new(stdin: Conn) -> Self {
        Typed {
            stdin,
            begun: Vec::new(),
            ended: false,
        }
    }

    /// The next line without its end. Cancel-safe.
    async fn line(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            let end = self.begun.iter().position(|&b| b == b'\n');
            if let Some(end) = end.or_else(|| (self.begun.len() > LONGEST).then_some(LONGEST)) {
                let mut line: Vec<u8> = self.begun.drain(..=end).collect();
                while line.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
                    line.pop();
                }
                return Ok(Some(line));
            }
            if self.ended {
                let rest = std::mem::take(&mut self.begun);
                return Ok((!rest.is_empty()).then_some(rest));
            }
            let mut part = [0; 4096];
            let read = self.stdin.read(&mut part).await;
            let read = read.map_err(|error| {
                Failure::from_io(Stage::Recv, error).message("standard input cannot be read")
            })?;
            self.ended = read == 0;
            self.begun.extend_from_slice(&part[..read]);
        }
    }
}

impl Terminal {
    fn new(stdin: Conn, face: Face) -> Self {
        Terminal {
            typed: Typed::new(stdin),
            face,
        }
    }
}

impl Messages for Terminal {
    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, Failure>> {
        Box::pin(self.typed.line())
    }

    fn send<'a>(&'a mut self, message: &'a [u8]) -> BoxFuture<'a, Result<(), Failure>> {
        show(message, &self.face);
        Box::pin(std::future::ready(Ok(())))
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
    let mut typed = Typed::new(stdio(cx).await?);
    let mut batch = Batch::new(32, socket.room());
    join(&mut *socket, &mut batch, wishes, face, cx).await?;
    loop {
        let next = tokio::select! {
            biased;
            came = poll_fn(|task| socket.poll_recv(task, &mut batch)) => {
                came?;
                Next::Came
            }
            line = typed.line() => Next::Typed(line?),
            () = cx.sleep(ALIVE) => Next::Quiet,
        };
        let say = match next {
            Next::Came => {
                for (_, bytes) in batch.iter() {
                    show(bytes.trim_ascii_end(), face);
                }
                continue;
            }
            Next::Typed(Some(line)) => line,
            Next::Quiet => b"/here".to_vec(),
            Next::Typed(None) => break,
        };
        send(&mut *socket, &[Outgoing::connected(&say)]).await?;
    }
    send(&mut *socket, &[Outgoing::connected(b"/quit")]).await?;
    let story = story_of(stack, cx, began);
    face.record(&story, &story, now());
    Ok(())
}

/// Joins, showing that this address is ours when that is asked.
async fn join(
    socket: &mut dyn Datagrams,
    batch: &mut Batch,
    wishes: &Wishes,
    face: &Face,
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
        for (_, bytes) in batch.iter() {
            show(bytes.trim_ascii_end(), face);
        }
        return Ok(());
    }
    Err(Failure::new(Stage::Greet, Side::Peer, Code::GREET_TIMEOUT)
        .message("nobody answered: there may be no chat")
        .into())
}
