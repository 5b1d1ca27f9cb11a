//! MQTT (OASIS, versions 3.1.1 and 5): whether a broker takes us.

use netloom_base::story::Told;
use netloom_base::{Address, Card, Code, Failure, Kind, Opens, Scheme, Side, Stage};
use netloom_transport::{BoxFuture, Conn, Cx};
use netloom_wire::mqtt::{Connack, Connect, DISCONNECT, Version, reason};

use crate::greeting::{Greeted, Visit};
use crate::opening::Opening;
use crate::registry::Protocol;
use crate::shown::{COLUMNS, shown};

#[cfg(test)]
mod tests;

/// The protocol behind `mqtt://` and `mqtts://`.
#[derive(Debug, Clone, Copy)]
pub struct Mqtt;

static CARD: Card = Card {
    name: "mqtt",
    summary: "messages by topic, handed on by a broker",
    schemes: &[
        Scheme {
            name: "mqtt",
            over: &["tcp"],
            default_port: Some(1883),
        },
        Scheme {
            name: "mqtts",
            over: &["tls", "tcp"],
            default_port: Some(8883),
        },
    ],
    address: Address::HostPort,
    owns_path: false,
    owns_query: false,
    needs: Some(Kind::Stream),
    gives: Kind::Messages,
    encrypts: false,
    rfcs: &["OASIS MQTT 3.1.1", "OASIS MQTT 5.0"],
    dial_keys: &[],
    bind_keys: &[],
    codes: &[],
    opens: Opens::Client,
};

/// The longest silence we promise, in seconds: a visit is shorter.
const KEEP_ALIVE: u16 = 10;

/// How many random letters a client's name ends with.
const LETTERS: usize = 12;

/// What an older broker and a newer one call a version they do not speak.
const WRONG_VERSION: [u8; 2] = [0x01, 0x84];

impl Protocol for Mqtt {
    fn card(&self) -> &'static Card {
        &CARD
    }

    /// Connects as a client of its own with a clean session, and leaves. A broker
    /// that does not speak version 3.1.1 is asked once more in version 5.
    /// `visit.send` is not said: nothing is published.
    fn greet<'a>(
        &'a self,
        conn: Conn,
        visit: Visit<'a>,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Greeted, Failure>> {
        Box::pin(async move {
            let told = greet(conn, visit, cx).await;
            let told = told.map_err(|failure| failure.at(&visit.stack.endpoint))?;
            Ok(Greeted { conn: None, told })
        })
    }
}

async fn greet(conn: Conn, visit: Visit<'_>, cx: &Cx) -> Result<Vec<Told>, Failure> {
    let opening = Opening::new(conn, "MQTT", cx);
    let (opening, answer) = connect(opening, visit, Version::V3_1_1).await?;
    if !WRONG_VERSION.contains(&answer.code) {
        return accepted(opening, &answer, Version::V3_1_1).await;
    }
    let first = refused(&opening, &answer);
    opening.end().await;
    let Ok(conn) = visit.dial_again(cx).await else {
        return Err(first);
    };
    let (opening, answer) = connect(Opening::new(conn, "MQTT", cx), visit, Version::V5).await?;
    let mut told = accepted(opening, &answer, Version::V5).await?;
    let only = "speaks MQTT 5 only: it refused version 3.1.1";
    told.insert(0, Told::new("mqtt", only, "CONNACK"));
    Ok(told)
}

/// Says CONNECT and reads the answer.
async fn connect<'a>(
    mut opening: Opening<'a>,
    visit: Visit<'_>,
    version: Version,
) -> Result<(Opening<'a>, Connack), Failure> {
    let endpoint = &visit.stack.endpoint;
    let connect = Connect {
        version,
        client_id: &client_id(opening.cx()),
        clean: true,
        keep_alive: KEEP_ALIVE,
        user: endpoint.user(),
        password: endpoint.password().map(|secret| secret.reveal().as_bytes()),
    };
    let unsayable = || {
        Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT)
            .message("MQTT can say no user or password that has a NUL or more than 65,535 bytes")
    };
    opening
        .say(&connect.to_bytes().ok_or_else(unsayable)?)
        .await?;
    loop {
        match Connack::read(opening.rest()) {
            Ok(Some((answer, _))) => {
                opening.recognise();
                return Ok((opening, answer));
            }
            Ok(None) => opening.more().await?,
            Err(_) => return Err(opening.wrong()),
        }
    }
}

/// A name that no other client has.
fn client_id(cx: &Cx) -> String {
    const FROM: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let letter = |_| char::from(FROM[cx.random_below(FROM.len() as u64) as usize]);
    let random: String = (0..LETTERS).map(letter).collect();
    format!("netloom-{random}")
}

/// Tells what the answer says and leaves in order.
async fn accepted(
    mut opening: Opening<'_>,
    answer: &Connack,
    version: Version,
) -> Result<Vec<Told>, Failure> {
    if answer.code != 0 {
        return Err(refused(&opening, answer));
    }
    let session = if answer.session_present {
        "with a session of this client, though a clean one was asked for"
    } else {
        "no session was kept"
    };
    let text = format!("accepted in version {}, {session}", version.name());
    // The broker may have gone already: everything is known.
    let _ = opening.say(&DISCONNECT).await;
    opening.end().await;
    Ok(vec![Told::new("mqtt", text, "CONNACK")])
}

fn refused(opening: &Opening<'_>, answer: &Connack) -> Failure {
    let code = answer.code;
    let name = reason(code).unwrap_or("a reason without a name");
    let mut said = format!("CONNACK {code:#04x}, {name}");
    if let Some(words) = answer.reason_string() {
        said = format!("{said}: {}", shown(words.as_bytes(), COLUMNS));
    }
    if let Some(other) = answer.server_reference() {
        said = format!("{said}; use {}", shown(other.as_bytes(), COLUMNS));
    }
    opening.refused(format!("the broker refuses: {name}"), said, "CONNACK")
}
