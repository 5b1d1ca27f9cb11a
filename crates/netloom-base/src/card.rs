//! The visiting card of a layer: what it is called, what it stands on, what
//! it gives, and which words it adds to the language.
//!
//! A card is the only thing the rest of Netloom knows of a layer by name. The
//! endpoint grammar, the help, the catalogue of failures and the book are all
//! read from the cards in a registry; nobody matches on a scheme.

use std::fmt;

use crate::failure::Stage;
use crate::settings::Key;

/// What a layer gives to the one above it, or needs from the one below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An ordered stream of bytes: TCP, TLS, a pipe.
    Stream,
    /// Whole messages in order: WebSocket, framed streams.
    Messages,
    /// Single datagrams, each of which may be lost: UDP.
    Datagram,
    /// Many streams at once: QUIC.
    Mux,
    /// Requests and answers: HTTP.
    Exchange,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Stream => "a stream",
            Kind::Messages => "messages",
            Kind::Datagram => "datagrams",
            Kind::Mux => "many streams",
            Kind::Exchange => "requests and answers",
        })
    }
}

/// Which part of an endpoint's text a scheme owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// `//host:port`, as for `tcp`.
    HostPort,
    /// `//host` without a port.
    Host,
    /// Everything after the colon, as for `unix:` and `exec:`.
    Opaque,
    /// Nothing: `-`.
    None,
}

/// Who says the first byte of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opens {
    /// The client must: a silent client is held to the greeting deadline.
    Client,
    /// The server does: a banner.
    Server,
    /// Either side may.
    Either,
}

/// One word that may stand before `:` in an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Scheme {
    /// The word as typed, lower case.
    pub name: &'static str,
    /// What it stands on when written as a scheme: `https` is over `["tls", "tcp"]`.
    /// Empty for a transport, which is the bottom of a stack.
    pub over: &'static [&'static str],
    /// The port when none is written. `None` where one must be written.
    pub default_port: Option<u16>,
}

/// What a room says of itself: one layer of an endpoint's stack.
#[derive(Debug)]
pub struct Card {
    /// The layer's name, the same word in folder, scheme, flag and file.
    pub name: &'static str,
    /// One sentence, lower case, no full stop.
    pub summary: &'static str,
    /// The words it adds to the address language. The first is its own.
    pub schemes: &'static [Scheme],
    /// Which part of the address it owns when it is the scheme.
    pub address: Address,
    /// Whether a path belongs to it (`http` yes, `tcp` no).
    pub owns_path: bool,
    /// Whether a dialled query belongs to the resource rather than to the options.
    pub owns_query: bool,
    /// What it stands on; `None` for a transport.
    pub needs: Option<Kind>,
    /// What it gives to the layer above or to the program.
    pub gives: Kind,
    /// Whether it protects the bytes it carries (TLS, SSH).
    pub encrypts: bool,
    /// The documents that define it.
    pub rfcs: &'static [&'static str],
    /// The options it reads when dialling.
    pub dial_keys: &'static [Key],
    /// The options it reads when listening.
    pub bind_keys: &'static [Key],
    /// The failures only it can tell.
    pub codes: &'static [CodeCard],
    /// Who speaks first.
    pub opens: Opens,
}

/// One row of the failure catalogue.
#[derive(Debug, Clone, Copy)]
pub struct CodeCard {
    /// The stable code, such as `bind.in-use`.
    pub code: &'static str,
    /// The stage that usually reports it.
    pub stage: Stage,
    /// One sentence, lower case, no full stop.
    pub sentence: &'static str,
}
