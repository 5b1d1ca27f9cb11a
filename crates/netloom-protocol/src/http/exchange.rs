//! One request and its answer.

use std::io;
use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Side, Stage};
use netloom_transport::{Conn, Cx};
use netloom_wire::http::{Beginning, Head, HeadError, Length, Request, beginning, length};

use super::place::Place;
use crate::opening::{GREET_TIMEOUT, Opening};

/// How many answers may come before the answer.
const INTERIM: usize = 16;

/// How much of a body is read, and how long its next bytes are waited for.
const BODY: (usize, Duration) = (16 * 1024, Duration::from_secs(1));

/// What is asked.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'static str,
    pub(crate) place: Place,
    pub(crate) request: Request,
    pub(crate) body: &'a [u8],
}

impl<'a> Asked<'a> {
    /// `GET`, or `POST` with a body.
    ///
    /// # Errors
    /// A path, a host or a user that cannot stand in a request.
    pub(crate) fn new(place: &Place, body: Option<&'a [u8]>) -> Result<Self, Failure> {
        let method = if body.is_some() { "POST" } else { "GET" };
        let agent = concat!("netloom/", env!("CARGO_PKG_VERSION"));
        let request = || {
            let mut request = Request::new(method, &place.target)?
                .header("host", &place.host)?
                .header("user-agent", agent)?
                .header("accept", "*/*")?
                .header("connection", "close")?;
            if let Some(authorization) = &place.authorization {
                request = request.header("authorization", authorization)?;
            }
            match body {
                Some(body) => request.header("content-length", &body.len().to_string()),
                None => Ok(request),
            }
        };
        Ok(Asked {
            method,
            place: place.clone(),
            request: request().map_err(unwritable)?,
            body: body.unwrap_or_default(),
        })
    }

    /// What was asked, in words.
    pub(crate) fn shown(&self) -> String {
        let (method, place) = (self.method, &self.place);
        format!("{method} {} with host {}", place.shown(), place.host)
    }
}

/// A request that would say something else than it should.
pub(crate) fn unwritable(error: netloom_wire::http::Unwritable) -> Failure {
    Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT).message(error.to_string())
}

/// What was answered.
pub(crate) struct Answer<'a> {
    pub(crate) opening: Opening<'a>,
    pub(crate) head: Head,
    /// The answers before it.
    pub(crate) interim: Vec<Head>,
    pub(crate) length: Length,
    pub(crate) body: Beginning,
    /// The server ended the connection, and how.
    pub(crate) ended: Option<Ended>,
    /// How much of the request's body was sent, where it was not sent whole or
    /// the server did not read it.
    pub(crate) cut: Option<Cut>,
}

/// How a connection ended after an answer.
pub(crate) enum Ended {
    InOrder,
    Broken(Failure),
}

/// A request's body that was not taken whole.
pub(crate) struct Cut {
    pub(crate) sent: usize,
    pub(crate) error: Option<io::Error>,
}

impl Answer<'_> {
    pub(crate) fn status(&self) -> u16 {
        self.head.status
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)
    }

    /// The beginning of the body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body.bytes).into_owned()
    }
}

/// Sends a request and reads its answer, `protocol` being what is spoken.
///
/// # Errors
/// `greet.*`, `recv.*`, `send.*`.
pub(crate) async fn ask<'a>(
    conn: Conn,
    asked: &Asked<'_>,
    protocol: &'static str,
    cx: &'a Cx,
) -> Result<Answer<'a>, Failure> {
    let mut opening = Opening::new(conn, protocol, cx);
    let bytes = asked.request.bytes();
    let mut cut = None;
    if asked.body.is_empty() {
        opening.say(&bytes).await?;
    } else {
        let whole = [&bytes, asked.body].concat();
        let said = opening.say_hearing(&whole, is_refused).await?;
        if said.error.is_some() || said.sent < whole.len() {
            cut = Some(Cut {
                sent: said.sent.saturating_sub(bytes.len()),
                error: said.error,
            });
        }
    }
    let mut interim = Vec::new();
    let head = loop {
        let head = head(&mut opening, protocol).await?;
        if !head.is_interim() {
            break head;
        }
        if interim.len() == INTERIM {
            return Err(unexpected(
                &opening,
                "the peer sends interim answers without end",
            ));
        }
        interim.push(head);
    };
    let length =
        length(asked.method, &head).map_err(|error| unexpected(&opening, &error.to_string()))?;
    let mut answer = Answer {
        opening,
        head,
        interim,
        length,
        body: Beginning::default(),
        ended: None,
        cut,
    };
    if answer.status() != 101 {
        body(&mut answer).await;
    }
    // A reset after an answer that refuses says that the body was not read.
    if let Some(Ended::Broken(failure)) = &answer.ended
        && !asked.body.is_empty()
        && answer.cut.is_none()
        && answer.status() >= 400
        && failure.code() == Code::RECV_RESET
    {
        answer.cut = Some(Cut {
            sent: asked.body.len(),
            error: None,
        });
    }
    Ok(answer)
}

/// Whether the final answer has come, and refuses.
fn is_refused(came: &[u8]) -> bool {
    let mut rest = came;
    while let Ok(Some((head, used))) = Head::read(rest) {
        if !head.is_interim() {
            return head.status >= 300;
        }
        rest = &rest[used..];
    }
    false
}

/// The next head.
async fn head(opening: &mut Opening<'_>, protocol: &'static str) -> Result<Head, Failure> {
    loop {
        match Head::read(opening.rest()) {
            Ok(Some((head, used))) => {
                opening.pass(used);
                return Ok(head);
            }
            Ok(None) => {}
            Err(HeadError::NotHttp) => return Err(opening.wrong()),
            Err(error @ HeadError::TooLong) => {
                let code = Code::RECV_FRAME_TOO_LARGE;
                let failure = Failure::new(Stage::Greet, Side::Peer, code);
                return Err(opening.told(failure.message(format!("the answer: {error}"))));
            }
            Err(error) => return Err(unexpected(opening, &error.to_string())),
        }
        if !opening.heard() {
            opening.more().await?;
            continue;
        }
        match opening.read_within(GREET_TIMEOUT).await? {
            Some(0) => {
                let failure = Failure::new(Stage::Greet, Side::Peer, Code::RECV_PARTIAL);
                let message = "the peer closed before the head of its answer was whole";
                return Err(opening.told(failure.message(message)));
            }
            Some(_) => {}
            None => {
                let failure = Failure::new(Stage::Greet, Side::Peer, Code::GREET_TIMEOUT);
                let message = format!("the head of the peer's {protocol} answer stopped");
                let failure = failure.message(message).fact(Fact::Waited(GREET_TIMEOUT));
                return Err(opening.told(failure));
            }
        }
    }
}

/// Reads the beginning of the body. How it ends is no failure: the answer is there.
async fn body(answer: &mut Answer<'_>) {
    loop {
        answer.body = beginning(answer.length, answer.opening.rest());
        if answer.body.whole || answer.body.broken || answer.opening.rest().len() >= BODY.0 {
            return;
        }
        match answer.opening.read_within(BODY.1).await {
            Ok(None) => return,
            Ok(Some(0)) => {
                answer.body.whole = answer.length == Length::UntilClose;
                answer.ended = Some(Ended::InOrder);
                return;
            }
            Ok(Some(_)) => {}
            Err(failure) => {
                answer.ended = Some(Ended::Broken(failure));
                return;
            }
        }
    }
}

/// An answer that could be understood in two ways.
fn unexpected(opening: &Opening<'_>, why: &str) -> Failure {
    let failure = Failure::new(Stage::Greet, Side::Peer, Code::RECV_UNEXPECTED)
        .message("the answer cannot be read safely")
        .fact(Fact::said(why, "HTTP"));
    opening.told(failure)
}
