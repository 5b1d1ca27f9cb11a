//! WebSocket (RFC 6455), as far as a visit needs it: the upgrade, a message
//! where one is given, and the close that both sides say.
//!
//! [`Visit::send`] goes as one message after the upgrade, and the first message
//! that comes back is told.

pub mod codes;
#[cfg(test)]
mod tests;

use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::story::Told;
use netloom_base::{Address, Card, Code, Failure, Kind, Opens, Scheme, Side, Stage};
use netloom_transport::{BoxFuture, Conn, Cx};
use netloom_wire::escape::escape;
use netloom_wire::websocket::{Frame, Key, Opcode, check, from_client, upgrade};

use crate::greeting::{Greeted, Visit};
use crate::http::{
    Asked, Place, ask, clean, facts, hop, other_protocol, peer_speaks_tls, told, unwritable,
};
use crate::opening::Opening;
use crate::registry::Protocol;

/// How long an answer to a message is waited for, and one to a close.
const ANSWER: Duration = Duration::from_secs(5);
const CLOSE: Duration = Duration::from_secs(2);

/// The largest frame that is read, and how many are passed over.
const FRAME: usize = 32 * 1024;
const FRAMES: usize = 64;

/// The protocol behind `ws://` and `wss://`.
#[derive(Debug, Clone, Copy)]
pub struct WebSocket;

static CARD: Card = Card {
    name: "websocket",
    summary: "messages over a connection that began as HTTP",
    schemes: &[
        Scheme {
            name: "ws",
            over: &["tcp"],
            default_port: Some(80),
        },
        Scheme {
            name: "wss",
            over: &["tls", "tcp"],
            default_port: Some(443),
        },
    ],
    address: Address::HostPort,
    owns_path: true,
    owns_query: true,
    needs: Some(Kind::Stream),
    gives: Kind::Messages,
    encrypts: false,
    rfcs: &["RFC 6455", "RFC 9110", "RFC 9112"],
    dial_keys: &[],
    bind_keys: &[],
    codes: codes::CODES,
    opens: Opens::Client,
};

impl Protocol for WebSocket {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn greet<'a>(
        &'a self,
        conn: Conn,
        visit: Visit<'a>,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Greeted, Failure>> {
        Box::pin(async move {
            greet(conn, visit, cx)
                .await
                .map_err(|failure| failure.at(&visit.stack.endpoint))
        })
    }
}

async fn greet(conn: Conn, visit: Visit<'_>, cx: &Cx) -> Result<Greeted, Failure> {
    if let Some(chosen) = other_protocol("websocket", &conn) {
        return Ok(Greeted {
            conn: Some(conn),
            told: vec![chosen],
        });
    }
    let place = Place::of(visit.stack);
    let key = Key::new(random(cx));
    let asked = request(&place, &key)?;
    let answer = ask(conn, &asked, "HTTP", cx).await?;
    let lacks = check(&answer.head, &key);
    if !lacks.is_empty() {
        if let Some(failure) = peer_speaks_tls(&asked, &answer) {
            return Err(failure);
        }
        let who = hop(&answer).unwrap_or_else(|| "the server".to_owned());
        let message = format!("{who} answered the upgrade with {}", answer.head.status);
        let code = codes::UPGRADE_REFUSED;
        let failure = facts(code, Side::Peer, message, &asked, &answer);
        return Err(lacks.iter().fold(failure, |failure, lack| {
            failure.fact(Fact::said(clean(&lack.to_string()), "upgrade"))
        }));
    }
    let mut lines = told("websocket", &answer);
    let mut opening = answer.opening;
    if let Some(send) = visit.send {
        lines.push(line(message(&mut opening, send, cx).await?));
    }
    lines.push(line(close(&mut opening, cx).await?));
    Ok(Greeted {
        conn: Some(opening.into_conn()),
        told: lines,
    })
}

fn line(text: String) -> Told {
    Told::new("websocket", text, "frame")
}

fn random<const N: usize>(cx: &Cx) -> [u8; N] {
    std::array::from_fn(|_| cx.random_below(256) as u8)
}

fn request(place: &Place, key: &Key) -> Result<Asked<'static>, Failure> {
    let agent = concat!("netloom/", env!("CARGO_PKG_VERSION"));
    let request = || {
        let request = upgrade(&place.target, &place.host, key)?.header("user-agent", agent)?;
        match &place.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => Ok(request),
        }
    };
    Ok(Asked {
        method: "GET",
        place: place.clone(),
        request: request().map_err(unwritable)?,
        body: &[],
    })
}

/// Sends a message and waits for the first that comes back.
async fn message(opening: &mut Opening<'_>, send: &[u8], cx: &Cx) -> Result<String, Failure> {
    let opcode = match str::from_utf8(send) {
        Ok(_) => Opcode::Text,
        Err(_) => Opcode::Binary,
    };
    opening.say(&from_client(opcode, send, random(cx))).await?;
    let until = cx.now() + ANSWER;
    for _ in 0..FRAMES {
        let now = cx.now();
        let left = if now < until {
            until - now
        } else {
            Duration::ZERO
        };
        let Heard::Frame(frame) = next(opening, left).await? else {
            return Ok(format!(
                "{} bytes were sent, and no message came back",
                send.len()
            ));
        };
        match frame.opcode {
            Opcode::Ping => {
                let pong = from_client(Opcode::Pong, &frame.payload, random(cx));
                opening.say(&pong).await?;
            }
            Opcode::Pong => {}
            Opcode::Close => return Ok(format!("it closed after the message{}", reason(&frame))),
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                let kind = if frame.opcode == Opcode::Binary {
                    "binary"
                } else {
                    "text"
                };
                let shown = clean(&escape(&frame.payload));
                let length = frame.payload.len();
                let more = if frame.last { "" } else { " at first" };
                return Ok(format!(
                    "{} bytes were sent, and {length} bytes of {kind} came back{more}: {shown}",
                    send.len()
                ));
            }
        }
    }
    Ok("the message was not answered, other frames came".to_owned())
}

/// Says the end, and waits for the same from the other side (RFC 6455 §7.1.2).
async fn close(opening: &mut Opening<'_>, cx: &Cx) -> Result<String, Failure> {
    let bytes = from_client(Opcode::Close, &1000u16.to_be_bytes(), random(cx));
    // A server that has closed meanwhile is no failure: the upgrade was answered.
    if opening.say(&bytes).await.is_err() {
        return Ok("it closed the connection without a word".to_owned());
    }
    let until = cx.now() + CLOSE;
    let mut passed = 0;
    while passed < FRAMES {
        let now = cx.now();
        let left = if now < until {
            until - now
        } else {
            Duration::ZERO
        };
        match next(opening, left).await? {
            Heard::Frame(frame) if frame.opcode == Opcode::Close => {
                let passed = match passed {
                    0 => String::new(),
                    n => format!(", after {n} other frames"),
                };
                return Ok(format!("it answered the close{}{passed}", reason(&frame)));
            }
            Heard::Frame(_) => passed += 1,
            Heard::End => return Ok("it closed without answering the close".to_owned()),
            Heard::Nothing => break,
        }
    }
    Ok("it did not answer the close".to_owned())
}

fn reason(frame: &Frame) -> String {
    match frame.closing() {
        Some((code, reason)) if reason.is_empty() => format!(" with {code}"),
        Some((code, reason)) => format!(" with {code} {}", clean(&reason)),
        None => " without a code".to_owned(),
    }
}

enum Heard {
    Frame(Frame),
    End,
    Nothing,
}

async fn next(opening: &mut Opening<'_>, patience: Duration) -> Result<Heard, Failure> {
    loop {
        match Frame::from_server(opening.rest(), FRAME) {
            Ok(Some((frame, used))) => {
                opening.pass(used);
                return Ok(Heard::Frame(frame));
            }
            Ok(None) => {}
            Err(error) => {
                let failure = Failure::new(Stage::Greet, Side::Peer, Code::RECV_UNEXPECTED)
                    .message("what came after the upgrade is no WebSocket")
                    .fact(Fact::said(error.to_string(), "frame"));
                return Err(opening.along(failure));
            }
        }
        match opening.read_within(patience).await {
            Ok(None) => return Ok(Heard::Nothing),
            // Broken off after the upgrade: told like an end.
            Ok(Some(0)) | Err(_) => return Ok(Heard::End),
            Ok(Some(_)) => {}
        }
    }
}
