//! The PROXY protocol over any stream: the first bytes say who the client is,
//! and the others pass unchanged.
//!
//! Who dials sends the header: of the client of [`Cx::origin`] where it dials
//! for one, else that the connection is its own. Who answers believes it from
//! sources it was told of only, and reads not one byte more than the header, so
//! that the kernel socket can still be had from the connection.

mod behind;
pub mod codes;
mod options;

use std::sync::Arc;

use netloom_base::endpoint::Level;
use netloom_base::event::Fields;
use netloom_base::failure::{Fact, Step};
use netloom_base::{
    Address, Card, Code, Event, Failure, Kind, Opens, Record, Scheme, Side, Stack, Stage,
};
use netloom_wire::proxy_protocol::{
    Carrier, Command, Ends, Header, Read, Tlv, Version, Wrong, read,
};
use netloom_wire::tls::looks_like;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::BoxFuture;
use crate::conn::{Conn, ConnFacts, Peer};
use crate::cx::Cx;
use crate::net::{Layer, Opened, mistakes};
use crate::origin::Origin;
use behind::Behind;

pub use options::{DialOptions, Form, ListenOptions, Sources};

/// How many of the first bytes are kept as a fact.
const FIRST: usize = 256;

static CARD: Card = Card {
    name: "proxy",
    summary: "a header that says who the client is (PROXY protocol), then the bytes",
    schemes: &[Scheme {
        name: "proxy",
        over: &["tcp"],
        default_port: None,
    }],
    address: Address::HostPort,
    owns_path: false,
    owns_query: false,
    needs: Some(Kind::Stream),
    gives: Kind::Stream,
    encrypts: false,
    rfcs: &["PROXY protocol"],
    dial_keys: DialOptions::KEYS,
    bind_keys: ListenOptions::KEYS,
    codes: codes::CODES,
    opens: Opens::Client,
};

/// The layer behind `proxy://` and `proxy+…`.
#[derive(Debug, Clone, Copy)]
pub struct Proxy;

impl Layer for Proxy {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn check(&self, level: &Level, stack: &Stack) -> Result<(), Failure> {
        let read = match stack.role {
            netloom_base::Role::Dial => DialOptions::read(&level.settings).map(drop),
            netloom_base::Role::Bind => ListenOptions::read(&level.settings).map(drop),
        };
        read.map_err(|errors| mistakes(stack, &errors))
    }

    fn dial<'a>(
        &'a self,
        below: Opened,
        level: &'a Level,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move {
            let options =
                DialOptions::read(&level.settings).map_err(|errors| mistakes(stack, &errors))?;
            let mut conn = below.stream()?;
            let header = header(cx.origin(), &conn.facts(), &options);
            let long = || {
                let failure = Failure::new(Stage::Greet, Side::Us, codes::HEADER_INVALID);
                failure.message("what is to be said of the client is too long for a PROXY header")
            };
            let bytes = header.bytes().ok_or_else(long)?;
            let began = cx.now();
            let patience = cx.limits().greet_timeout;
            let written = cx.timeout(patience, conn.write_all(&bytes)).await;
            match written {
                None => {
                    let failure = Failure::new(Stage::Greet, Side::Peer, Code::GREET_TIMEOUT);
                    return Err(failure.fact(Fact::Waited(patience)));
                }
                Some(Err(error)) => return Err(conn.failure(Stage::Greet, error)),
                Some(Ok(())) => {}
            }
            conn.remember([Step {
                stage: Stage::Greet,
                to: said(&header),
                failed: None,
                took: cx.now() - began,
            }]);
            Ok(Opened::Stream(conn))
        })
    }

    fn answer<'a>(
        &'a self,
        below: Opened,
        level: &'a Level,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move {
            let options =
                ListenOptions::read(&level.settings).map_err(|errors| mistakes(stack, &errors))?;
            let mut conn = below.stream()?;
            let by = conn.peer();
            if !options.trusts(by.as_ref()) {
                let failure = untrusted(by.as_ref());
                conn.refuse("from");
                return Err(failure);
            }
            let began = cx.now();
            let patience = cx.limits().greet_timeout;
            let mut came = Vec::new();
            let heard = cx.timeout(patience, hear(&mut conn, &mut came)).await;
            let header = heard.unwrap_or_else(|| {
                let failure = Failure::new(Stage::Greet, Side::Peer, Code::GREET_TIMEOUT)
                    .message("the PROXY header did not come in time");
                Err(with_first(failure, &came).fact(Fact::Waited(patience)))
            });
            let header = match header {
                Ok(header) => header,
                Err(failure) => {
                    conn.close(crate::conn::Close::Abort);
                    return Err(failure);
                }
            };
            Ok(Opened::Stream(behind(conn, by, header, cx, began)))
        })
    }
}

/// What is said of the client; of this connection itself where there is none.
fn header(origin: Option<&Origin>, own: &ConnFacts, options: &DialOptions) -> Header {
    let version = options.version.0;
    let ends = |facts: &ConnFacts| match (&facts.peer, &facts.local) {
        (Some(Peer::Ip(client)), Some(Peer::Ip(server))) => Some((*client, *server)),
        _ => None,
    };
    let Some(origin) = origin else {
        let turned = ConnFacts {
            local: own.peer.clone(),
            peer: own.local.clone(),
        };
        // Version 1 has no word for it, and not every server takes `UNKNOWN`:
        // the specification wants the connection's own addresses.
        return match ends(&turned).filter(|_| version == Version::V1) {
            Some((client, server)) => Header::of(version, client, server),
            None => Header::local(version),
        };
    };
    let mut header = match ends(&origin.client) {
        Some((client, server)) => Header::of(version, client, server),
        None => Header {
            command: Command::Proxy,
            ..Header::local(version)
        },
    };
    let name = origin.server_name.as_deref();
    header
        .tlvs
        .extend(name.map(|name| Tlv::Authority(name.to_owned())));
    let alpn = origin.alpn.as_deref();
    header
        .tlvs
        .extend(alpn.map(|alpn| Tlv::Alpn(alpn.to_vec())));
    if options.checksum {
        header.tlvs.push(Tlv::Checksum(0)); // made when it is written
    }
    header
}

/// What a header says, in words.
fn said(header: &Header) -> String {
    let version = match header.version {
        Version::V1 => 1,
        Version::V2 => 2,
    };
    match (header.command, header.client()) {
        (Command::Local, _) => format!("PROXY header (version {version}): for ourselves"),
        (Command::Proxy, Some(client)) => {
            format!("PROXY header (version {version}): for {client}")
        }
        (Command::Proxy, None) => {
            format!("PROXY header (version {version}): for a client without an address")
        }
    }
}

/// Reads a header and nothing behind it. What came is kept in `came`.
async fn hear(conn: &mut Conn, came: &mut Vec<u8>) -> Result<Header, Failure> {
    let invalid = |message: String, came: &[u8]| {
        let failure = Failure::new(Stage::Greet, Side::Peer, codes::HEADER_INVALID);
        with_first(failure.message(message), came)
    };
    loop {
        let more = match read(came) {
            Ok(Read::Whole(header, _)) => return Ok(header),
            Ok(Read::More(more)) => more,
            Err(Wrong::Other) => return Err(missing(came)),
            Err(wrong) => {
                return Err(invalid(
                    format!("the PROXY header cannot be read: {wrong}"),
                    came,
                ));
            }
        };
        let at = came.len();
        came.resize(at + more, 0);
        let got = conn.read(&mut came[at..]).await;
        came.truncate(at + got.as_ref().map_or(0, |got| *got));
        match got {
            Err(error) => return Err(conn.failure(Stage::Greet, error)),
            Ok(0) if at == 0 => {
                return Err(Failure::new(Stage::Greet, Side::Peer, Code::GREET_CLOSED)
                    .message("it was closed before its PROXY header, as health checks do"));
            }
            Ok(0) => return Err(invalid("it ended within its PROXY header".to_owned(), came)),
            Ok(_) => {}
        }
    }
}

fn missing(came: &[u8]) -> Failure {
    let failure = Failure::new(Stage::Greet, Side::Peer, codes::HEADER_MISSING);
    let failure = match looks_like(came) {
        Some(protocol) => failure.message(format!(
            "a PROXY header must come first, and what came is {protocol}"
        )),
        None => failure.message("a PROXY header must come first, and something else came"),
    };
    with_first(failure, came)
}

fn untrusted(peer: Option<&Peer>) -> Failure {
    let who = peer.map_or_else(
        || "who connected".to_owned(),
        |peer| match peer {
            Peer::Ip(addr) => addr.ip().to_string(),
            Peer::Named(name) => name.to_string(),
        },
    );
    Failure::new(Stage::Greet, Side::Peer, codes::HEADER_UNTRUSTED).message(format!(
        "{who} may not say who its client is: it is not among the sources that are believed here"
    ))
}

fn with_first(failure: Failure, came: &[u8]) -> Failure {
    if came.is_empty() {
        return failure;
    }
    failure.fact(Fact::FirstBytes(came[..came.len().min(FIRST)].to_vec()))
}

/// The connection as its client's.
fn behind(
    mut conn: Conn,
    by: Option<Peer>,
    header: Header,
    cx: &Cx,
    began: netloom_base::Moment,
) -> Conn {
    let named = |name: &[u8]| Peer::Named(format!("unix:{}", name.escape_ascii()).into());
    let (client, server) = match (&header.command, &header.ends) {
        (Command::Local, _) | (_, Ends::Unspecified) => (None, None),
        (
            _,
            Ends::Ip {
                client,
                server,
                carrier: Carrier::Stream | Carrier::Datagram,
            },
        ) => {
            let canonical = |addr| Peer::Ip(crate::socket::canonical(addr));
            (Some(canonical(*client)), Some(canonical(*server)))
        }
        (_, Ends::Unix { client, server, .. }) => (Some(named(client)), Some(named(server))),
    };
    let passed = Passed {
        service: cx.service().clone(),
        conn: conn.id(),
        by,
        client: client.clone(),
        server: server.clone(),
        header,
    };
    conn.remember([Step {
        stage: Stage::Greet,
        to: passed.spoken(),
        failed: None,
        took: cx.now() - began,
    }]);
    let behind = Behind::of(
        &passed.header,
        ConnFacts {
            local: server,
            peer: client,
        },
    );
    cx.events()
        .tell_connection(|| Event::Note(Box::new(passed)));
    match behind {
        Some(behind) => conn.wrap(|below| Box::new(behind.over(below))),
        None => conn,
    }
}

/// A connection that was passed on, for who reads the events.
#[derive(Debug)]
struct Passed {
    service: Arc<str>,
    conn: u64,
    by: Option<Peer>,
    client: Option<Peer>,
    server: Option<Peer>,
    header: Header,
}

impl Passed {
    fn spoken(&self) -> String {
        let by = self
            .by
            .as_ref()
            .map_or_else(String::new, |by| format!(" by {by}"));
        match &self.client {
            Some(client) => format!("PROXY header{by}: for {client}"),
            None => format!("PROXY header{by}: for itself"),
        }
    }
}

impl Record for Passed {
    fn kind(&self) -> &'static str {
        "passed"
    }

    fn in_words(&self) -> Option<String> {
        Some(format!("conn {}: {}", self.conn, self.spoken()))
    }

    fn fields(&self, to: &mut dyn Fields) {
        if !self.service.is_empty() {
            to.text("service", &self.service);
        }
        to.number("conn", self.conn);
        let told = [
            ("by", &self.by),
            ("client", &self.client),
            ("server", &self.server),
        ];
        for (name, peer) in told {
            if let Some(peer) = peer {
                to.text(name, &peer.to_string());
            }
        }
        if let Some(name) = self.header.authority() {
            to.text("authority", name);
        }
        if let Some(alpn) = self.header.alpn() {
            to.text("alpn", &alpn.escape_ascii().to_string());
        }
        if let Some(tls) = self.header.tls() {
            let told = [
                ("tls", &tls.version),
                ("cipher", &tls.cipher),
                ("common_name", &tls.common_name),
            ];
            for (name, value) in told {
                if let Some(value) = value {
                    to.text(name, value);
                }
            }
        }
    }
}
