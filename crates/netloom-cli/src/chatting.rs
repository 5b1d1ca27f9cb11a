//! This end of a chat: lines typed go there, lines that come are shown.
//!
//! A server is spoken to over a stream in lines, or in datagrams. In a group
//! nobody serves: this end takes part by itself, with a chat of its own that
//! has one member.

mod peer;
mod seat;

use std::sync::Arc;

use netloom_app::chat::shown;
use netloom_base::failure::Fact;
use netloom_base::{
    Code, Endpoint, Failure, Fields, Kind, Record, Role, Side, Stack, Stage, Story,
};
use netloom_explain::story::begun;
use netloom_transport::{Cx, Net};
use netloom_wire::lines::Lines;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::client::{converse_over, open_stream};
use crate::contract::Stop;
use crate::view::{Face, now};
use seat::{Ears, Mouth, Seat};

/// Who wishes to be called what, and where.
pub(crate) struct Wishes {
    pub(crate) nick: Option<String>,
    pub(crate) room: Option<String>,
}

/// The longest line of a server.
const LONGEST: usize = 64 * 1024;

/// Takes part until stdin ends, or the server does.
pub(crate) fn chat(
    endpoint: &Endpoint,
    wishes: &Wishes,
    net: Arc<dyn Net>,
    face: &Face,
) -> Result<(), Stop> {
    let ended = converse_over(net, None, "the chat did not end in time", |cx| async move {
        let is_group = endpoint.host().ip().is_some_and(|ip| ip.is_multicast());
        if is_group {
            return peer::take_part(endpoint, wishes, face, &cx).await;
        }
        let stack = cx.net().stack(endpoint, Role::Dial)?;
        if stack.kind() == Kind::Datagram {
            return Box::pin(peer::ask(&stack, wishes, face, &cx)).await;
        }
        over_stream(&stack, wishes, face, &cx).await
    });
    ended.map_err(|stop| stop.at(endpoint))
}

async fn over_stream(stack: &Stack, wishes: &Wishes, face: &Face, cx: &Cx) -> Result<(), Stop> {
    let began = cx.now();
    let conn = open_stream(stack, cx).await?;
    let mut story = begun(stack, &conn);
    let (seat, mouth, ears) = Seat::take(face, cx).await?;
    let (from_server, to_server) = tokio::io::split(conn);
    let opening = opening(wishes, face.is_json());
    let talking = async {
        let moved = exchange(from_server, to_server, mouth, &opening, ears).await?;
        (story.received, story.sent) = moved;
        Ok(())
    };
    Seat::beside(seat, talking).await?;
    story.lasted = cx.now() - began;
    face.record(&story, &story, now());
    Ok(())
}

/// Both directions, until the server ends. Neither waits for the other: a
/// server that takes nothing more may have something to say.
async fn exchange(
    mut from_server: impl AsyncRead + Unpin,
    mut to_server: impl AsyncWrite + Unpin,
    mut mouth: Mouth,
    opening: &str,
    mut ears: Ears,
) -> Result<(u64, u64), Failure> {
    let mut sent = 0;
    let unsent = |error| Failure::from_io(Stage::Send, error);
    let speaking = async {
        to_server
            .write_all(opening.as_bytes())
            .await
            .map_err(unsent)?;
        sent += opening.len() as u64;
        loop {
            to_server.flush().await.map_err(unsent)?;
            let typed = mouth.bytes().await?;
            if typed.is_empty() {
                return to_server.shutdown().await.map_err(unsent);
            }
            to_server.write_all(&typed).await.map_err(unsent)?;
            sent += typed.len() as u64;
        }
    };
    let mut received = 0;
    let hearing = async {
        let mut lines = Lines::new(LONGEST);
        let mut heard = vec![0; 64 * 1024];
        loop {
            let read = from_server.read(&mut heard).await;
            let read = read.map_err(|error| Failure::from_io(Stage::Recv, error))?;
            if read == 0 || ears.is_closed() {
                return Ok(());
            }
            received += read as u64;
            let fed = lines.feed(&heard[..read], |line| ears.show(line));
            ears.settle().await;
            fed.map_err(|long| {
                Failure::new(Stage::Recv, Side::Peer, Code::RECV_FRAME_TOO_LARGE)
                    .message(format!("{long}: this is no chat"))
                    .fact(Fact::FirstBytes(
                        lines.rest().iter().take(64).copied().collect(),
                    ))
            })?;
        }
    };
    let (mut speaking, mut hearing) = (Box::pin(speaking), Box::pin(hearing));
    let mut spoken = false;
    loop {
        tokio::select! {
            biased;
            ended = &mut hearing => {
                ended?;
                break;
            }
            ended = &mut speaking, if !spoken => {
                // A server that closed says why before.
                if ended.is_err() {
                    let _: Result<(), Failure> = hearing.as_mut().await;
                    ended?;
                }
                spoken = true;
            }
        }
    }
    drop((speaking, hearing));
    Ok((received, sent))
}

/// What is said first: which form, which name, which room.
fn opening(wishes: &Wishes, json: bool) -> String {
    let mut lines = String::new();
    if json {
        lines.push_str("/json\n");
    }
    for (command, wish) in [("/nick", &wishes.nick), ("/join", &wishes.room)] {
        if let Some(wish) = wish {
            lines.extend([command, " ", wish, "\n"]);
        }
    }
    lines
}

/// Writes a line of a server that may be anybody's: nothing in it moves a
/// terminal.
fn heard(line: &[u8], face: &Face) {
    if !face.is_json() {
        return face.heard(&Heard::default(), &shown(line));
    }
    let heard = match serde_json::from_slice(line) {
        Ok(Value::Object(fields)) => Heard(fields),
        // Before it speaks JSON, a server says a line or two in text.
        _ => Heard(Map::from_iter([
            ("chat".to_owned(), "told".into()),
            (
                "text".to_owned(),
                shown(line).trim_start_matches("* ").into(),
            ),
        ])),
    };
    face.heard(&heard, "");
}

/// A message of a chat.
#[derive(Debug, Default)]
struct Heard(Map<String, Value>);

/// The fields of a message that are texts.
const TEXTS: [&str; 8] = ["chat", "id", "room", "nick", "to", "text", "why", "peer"];

impl Record for Heard {
    fn kind(&self) -> &'static str {
        "chat"
    }

    fn fields(&self, to: &mut dyn Fields) {
        for name in TEXTS {
            if let Some(text) = self.0.get(name).and_then(Value::as_str) {
                to.text(name, text);
            }
        }
        if self.0.get("earlier") == Some(&Value::Bool(true)) {
            to.flag("earlier", true);
        }
        if let Some(nicks) = self.0.get("nicks").and_then(Value::as_array) {
            let nicks: Vec<String> = nicks
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            to.texts("nicks", &nicks);
        }
        if let Some(more) = self.0.get("more").and_then(Value::as_u64) {
            to.number("more", more);
        }
        if let Some(rooms) = self.0.get("rooms").and_then(Value::as_array) {
            let rooms: Vec<Open> = rooms.iter().filter_map(Open::read).collect();
            let rooms: Vec<&dyn Record> = rooms.iter().map(|room| room as &dyn Record).collect();
            to.records("rooms", &rooms);
        }
    }
}

/// A room that is open.
#[derive(Debug)]
struct Open {
    room: String,
    members: u64,
}

impl Open {
    fn read(value: &Value) -> Option<Self> {
        Some(Open {
            room: value.get("room")?.as_str()?.to_owned(),
            members: value.get("members")?.as_u64()?,
        })
    }
}

impl Record for Open {
    fn kind(&self) -> &'static str {
        "room"
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.text("room", &self.room);
        to.number("members", self.members);
    }
}

/// A story of what no connection tells of.
fn story_of(stack: &Stack, cx: &Cx, began: netloom_base::Moment) -> Story {
    Story {
        endpoint: stack.endpoint.to_string(),
        stack: stack.to_string(),
        lasted: cx.now() - began,
        ..Story::default()
    }
}
