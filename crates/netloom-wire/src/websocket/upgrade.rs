//! Asking a server to go on in WebSocket, and whether it does.

use std::fmt;

use data_encoding::BASE64;

use crate::http::{Head, Request, Unwritable};

/// What a server must have seen to answer right (RFC 6455 §1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The value of `sec-websocket-key`: 16 random bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// A key of these bytes.
    pub fn new(random: [u8; 16]) -> Self {
        Key(BASE64.encode(&random))
    }

    /// A key as a client wrote it.
    pub fn written(text: &str) -> Self {
        Key(text.to_owned())
    }

    /// What `sec-websocket-accept` must say to it.
    pub fn accept(&self) -> String {
        let mut digest = sha1_smol::Sha1::new();
        digest.update(self.0.as_bytes());
        digest.update(GUID.as_bytes());
        BASE64.encode(&digest.digest().bytes())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The request of RFC 6455 §4.1.
///
/// # Errors
/// A target or a host that cannot stand in a request.
pub fn upgrade(target: &str, host: &str, key: &Key) -> Result<Request, Unwritable> {
    Request::new("GET", target)?
        .header("host", host)?
        .header("connection", "Upgrade")?
        .header("upgrade", "websocket")?
        .header("sec-websocket-version", "13")?
        .header("sec-websocket-key", &key.0)
}

/// What an answer lacks to be the beginning of a WebSocket (RFC 6455 §4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// The status is not 101.
    Status(u16),
    /// `upgrade` does not say `websocket`.
    Upgrade,
    /// `connection` does not say `Upgrade`.
    Connection,
    /// There is no `sec-websocket-accept`.
    Accept,
    /// `sec-websocket-accept` answers another key.
    OtherAccept,
    /// It chose a subprotocol that nobody asked for.
    Protocol(String),
    /// It chose an extension that nobody asked for.
    Extension(String),
}

/// What `head` lacks as an answer to a request with `key` and no subprotocols
/// and extensions; nothing when the WebSocket is open.
pub fn check(head: &Head, key: &Key) -> Vec<Lack> {
    if head.status != 101 {
        return vec![Lack::Status(head.status)];
    }
    let mut lacks = Vec::new();
    if !head.headers.lists("upgrade", "websocket") {
        lacks.push(Lack::Upgrade);
    }
    if !head.headers.lists("connection", "upgrade") {
        lacks.push(Lack::Connection);
    }
    match head.headers.get("sec-websocket-accept") {
        None => lacks.push(Lack::Accept),
        Some(accept) if accept != key.accept() => lacks.push(Lack::OtherAccept),
        Some(_) => {}
    }
    let chosen = |name| head.headers.get(name).filter(|value| !value.is_empty());
    lacks.extend(chosen("sec-websocket-protocol").map(|name| Lack::Protocol(name.to_owned())));
    lacks.extend(chosen("sec-websocket-extensions").map(|name| Lack::Extension(name.to_owned())));
    lacks
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lack::Status(status) => write!(f, "the status is {status}, not 101"),
            Lack::Upgrade => f.write_str("`upgrade: websocket` is missing"),
            Lack::Connection => f.write_str("`connection: upgrade` is missing"),
            Lack::Accept => f.write_str("`sec-websocket-accept` is missing"),
            Lack::OtherAccept => {
                f.write_str("`sec-websocket-accept` does not answer the key that was sent")
            }
            Lack::Protocol(name) => {
                write!(f, "it chose the subprotocol {name}, which nobody offered")
            }
            Lack::Extension(name) => {
                write!(f, "it chose the extension {name}, which nobody offered")
            }
        }
    }
}
