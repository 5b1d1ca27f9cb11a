//! Chat over datagrams: in a group, as one of many; at an address of its own,
//! with one member for each peer.

use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use netloom_base::{Code, Failure, Moment, Side, Stage};
use netloom_protocol::{DatagramService, Losses};
use netloom_transport::datagrams::send;
use netloom_transport::{Batch, BoxFuture, Conn, Cx, Datagrams, Outgoing, Peer};
use serde_json::json;

use super::Chat;
use super::desk::End;
use super::group::{Group, REPEAT, farewell, here};
use super::hall::{Hall, Seated, source};
use super::room::Coming;
use super::text::Typed;
use super::wire::{Bytes, field, object};

/// How many datagrams are received at once.
const SLOTS: usize = 32;

/// How often it is looked who is silent.
const ROUND: Duration = Duration::from_secs(5);

/// How long a peer may be silent.
const SILENT: Duration = Duration::from_mins(2);

/// So many peers of one address are members at once.
const MOST: usize = 1000;

impl DatagramService for Chat {
    fn serve<'a>(
        &'a self,
        socket: Box<dyn Datagrams>,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            // Who is bound to a group says everything to it.
            let facts = socket.facts();
            let group = matches!(facts.local, Some(Peer::Ip(addr)) if addr.ip().is_multicast());
            if group && facts.peer.is_none() {
                return Err(Failure::new(Stage::Join, Side::Os, Code::JOIN_NO_INTERFACE)
                    .message("no interface has an address to speak to the group from"));
            }
            let mut post = Post {
                chat: self,
                cx,
                socket,
                peers: HashMap::new(),
                keys: RandomState::new(),
                losses: Losses::default(),
            };
            if group {
                post.take_part().await;
            } else {
                post.serve().await;
            }
            Ok(())
        })
    }
}

/// One socket and who is behind it.
struct Post<'a> {
    chat: &'a Chat,
    cx: &'a Cx,
    socket: Box<dyn Datagrams>,
    peers: HashMap<Peer, Session<'a>>,
    /// What tokens are made with.
    keys: RandomState,
    /// What the kernel dropped, as far as it was told.
    losses: Losses,
}

struct Session<'a> {
    seated: Seated<'a>,
    heard: Moment,
    json: bool,
}

/// What happens next.
enum Next {
    Came,
    Out,
    /// Who asked who is here is to be answered.
    Owed,
    Round,
    Over,
}

impl<'a> Post<'a> {
    fn hall(&self) -> &'a Hall {
        &self.chat.hall
    }

    /// Takes part in a group until the service is told to stop.
    async fn take_part(&mut self) {
        let (hall, cx) = (self.hall(), self.cx);
        let mut group = Group::join(hall, cx);
        let mut batch = Batch::new(SLOTS, self.socket.room());
        let draining = cx.shutdown().clone();
        let mut draining = pin!(draining.draining());
        self.say_all(group.ask(hall, cx)).await;
        let mut repeat = cx.now() + REPEAT;
        let mut round: BoxFuture<'_, ()> = Box::pin(cx.sleep(ROUND));
        let mut owed = None;
        loop {
            let mailbox = group.mailbox.clone();
            if owed.as_ref().map(|(at, _)| *at) != group.due() {
                owed = group
                    .due()
                    .map(|at| (at, Box::pin(cx.sleep(at - cx.now()))));
            }
            let next = poll_fn(|task| {
                if draining.as_mut().poll(task).is_ready() {
                    return Poll::Ready(Next::Over);
                }
                if mailbox.poll_some(task).is_ready() {
                    return Poll::Ready(Next::Out);
                }
                if let Some((_, due)) = &mut owed
                    && due.as_mut().poll(task).is_ready()
                {
                    return Poll::Ready(Next::Owed);
                }
                if round.as_mut().poll(task).is_ready() {
                    return Poll::Ready(Next::Round);
                }
                self.socket
                    .poll_recv(task, &mut batch)
                    .map(|came| came.map_or(Next::Out, |()| Next::Came))
            });
            match next.await {
                Next::Came => {
                    self.losses.tell(&*self.socket, cx);
                    for (of, bytes) in batch.iter().filter(|(of, _)| of.truncated_from.is_none()) {
                        let _ = of;
                        self.say_all(group.hear(bytes, hall, cx)).await;
                    }
                }
                Next::Owed => {
                    owed = None; // it is over, and is not asked again
                    self.say_all(group.owed(hall, cx)).await;
                }
                Next::Out => {
                    self.post_all(&group).await;
                    if mailbox.ended().is_some() {
                        mailbox.revive();
                        cx.remark(
                            &Arc::from(""),
                            "more was said than the group takes, and some of it is lost",
                        );
                    }
                }
                Next::Round => {
                    round = Box::pin(cx.sleep(ROUND));
                    group.forget(hall, cx);
                    self.say_all(group.ask_again(hall, cx)).await;
                    if cx.now() >= repeat {
                        repeat = cx.now() + REPEAT;
                        self.say_all(here(false, hall, cx)).await;
                    }
                }
                Next::Over => break,
            }
        }
        self.post_all(&group).await;
        let farewell = farewell(hall, cx);
        self.say(None, &farewell).await;
        group.leave(hall, cx);
    }

    async fn post_all(&mut self, group: &Group) {
        while let Some(message) = group.mailbox.take() {
            self.say(None, &message).await;
        }
    }

    async fn say_all(&mut self, messages: Vec<Vec<u8>>) {
        for message in messages {
            self.say(None, &message).await;
        }
    }

    /// Says one datagram. What cannot go is lost, as datagrams are.
    async fn say(&mut self, to: Option<&Peer>, bytes: &[u8]) -> bool {
        let out = match to {
            Some(peer) => Outgoing::to(peer, bytes),
            None => Outgoing::connected(bytes),
        };
        send(&mut *self.socket, &[out]).await.is_ok()
    }

    /// Serves every peer of an address of its own.
    async fn serve(&mut self) {
        let cx = self.cx;
        let mut batch = Batch::new(SLOTS, self.socket.room());
        let draining = cx.shutdown().clone();
        let mut draining = pin!(draining.draining());
        let mut round: BoxFuture<'_, ()> = Box::pin(cx.sleep(ROUND));
        loop {
            let next = poll_fn(|task| {
                if draining.as_mut().poll(task).is_ready() {
                    return Poll::Ready(Next::Over);
                }
                let mut some = false;
                for session in self.peers.values() {
                    if let Some(member) = session.seated.member() {
                        some |= member.mailbox.poll_some(task).is_ready();
                    }
                }
                if some {
                    return Poll::Ready(Next::Out);
                }
                if round.as_mut().poll(task).is_ready() {
                    return Poll::Ready(Next::Round);
                }
                self.socket
                    .poll_recv(task, &mut batch)
                    .map(|came| came.map_or(Next::Round, |()| Next::Came))
            });
            match next.await {
                Next::Came => {
                    self.losses.tell(&*self.socket, cx);
                    for (of, bytes) in batch.iter().filter(|(of, _)| of.truncated_from.is_none()) {
                        if let Some(answer) = self.hear(&of.from, bytes) {
                            self.say(Some(&of.from), &answer).await;
                        }
                    }
                }
                Next::Out => self.deliver().await,
                Next::Owed | Next::Round => {
                    round = Box::pin(cx.sleep(ROUND));
                    let now = cx.now();
                    self.peers.retain(|_, session| now - session.heard < SILENT);
                }
                Next::Over => return self.deliver().await,
            }
        }
    }

    /// Sends what waits for each peer.
    async fn deliver(&mut self) {
        let mut waiting: Vec<(Peer, Vec<Bytes>, Option<End>)> = Vec::new();
        for (peer, session) in &self.peers {
            if let Some(member) = session.seated.member() {
                let lines: Vec<Bytes> = std::iter::from_fn(|| member.mailbox.take()).collect();
                let ended = member.mailbox.ended();
                if !lines.is_empty() || ended.is_some() {
                    waiting.push((peer.clone(), lines, ended));
                }
            }
        }
        for (peer, lines, ended) in waiting {
            let mut reached = true;
            for line in lines {
                reached &= self.say(Some(&peer), &line).await;
            }
            // A path that nobody has open any more says so; an address does not.
            let gone = !reached && matches!(peer, Peer::Named(_));
            if gone || ended.is_some() {
                self.peers.remove(&peer);
            }
        }
    }

    /// Takes in a datagram, and gives what a stranger is answered.
    fn hear(&mut self, from: &Peer, bytes: &[u8]) -> Option<Vec<u8>> {
        let (hall, cx) = (self.hall(), self.cx);
        if !self.peers.contains_key(from)
            && let Some(answer) = self.stranger(from, bytes)?
        {
            return Some(answer);
        }
        let session = self.peers.get_mut(from)?;
        session.heard = cx.now();
        let Some(member) = &session.seated.member else {
            return None;
        };
        for line in bytes.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let typed = if line.len() > hall.max_line {
                Typed::TooLong
            } else {
                Typed::Line(line)
            };
            hall.hear(member, &typed, &mut session.json, cx);
        }
        None
    }

    /// Lets a stranger in who shows that the address is its own, so that nobody
    /// can have the chat sent to a third. `Some(None)`: it is in, and what it
    /// said is to be heard.
    #[expect(clippy::option_option, reason = "nothing, in, or an answer")]
    fn stranger(&mut self, from: &Peer, bytes: &[u8]) -> Option<Option<Vec<u8>>> {
        let (hall, cx) = (self.hall(), self.cx);
        if self.peers.len() >= MOST || matches!(from, Peer::Named(name) if name.is_empty()) {
            return None;
        }
        let json = bytes.first() == Some(&b'{');
        let object = if json {
            object(bytes).ok()?
        } else {
            serde_json::Map::new()
        };
        let joins = field(&object, "chat").as_deref() == Some("join");
        let near = match from {
            Peer::Ip(addr) => addr.port() != 0 && addr.ip().to_canonical().is_loopback(),
            Peer::Named(_) => true,
        };
        if !near {
            if !joins {
                return None;
            }
            let token = format!("{:016x}", self.keys.hash_one(from.to_string()));
            if field(&object, "token").as_deref() != Some(&token) {
                let answer = json!({"chat": "token", "token": token});
                return Some(Some(answer.to_string().into_bytes()));
            }
        }
        let json = json && field(&object, "form").as_deref() != Some("text");
        let (nick, room) = (field(&object, "nick"), field(&object, "room"));
        let coming = Coming {
            nick: nick.as_deref(),
            room: room.as_deref(),
            source: source(Some(from)),
            ..Coming::default()
        };
        let member = match hall.enter(Conn::number(), &self.chat.desk, json, &coming, cx) {
            Ok(member) => member,
            Err(refused) => return Some(Some(refused.form(json).to_vec())),
        };
        let session = Session {
            seated: Seated {
                hall,
                cx,
                member: Some(member),
            },
            heard: cx.now(),
            json,
        };
        self.peers.insert(from.clone(), session);
        if joins { None } else { Some(None) }
    }
}
