//! Tests of the address language, with sample cards.

mod complaints;
mod forms;
mod properties;
mod stacks;

use super::Schemes;
use crate::card::{Address, Card, Kind, Opens, Scheme};
use crate::settings::Key;

const fn key(name: &'static str) -> Key {
    Key {
        name,
        help: "a sample",
        hint: "TEXT",
        many: false,
        default: || None,
    }
}

const TCP_KEYS: &[Key] = &[key("nodelay"), key("source")];
const TLS_DIAL: &[Key] = &[key("sni"), key("insecure")];
const TLS_BIND: &[Key] = &[key("cert"), key("key"), key("key-password")];
const HTTP_BIND: &[Key] = &[key("root")];

/// A transport that takes `//host:port`, to be changed where a card differs.
const TCP: Card = Card {
    name: "tcp",
    summary: "a stream of bytes",
    schemes: &[Scheme {
        name: "tcp",
        over: &[],
        default_port: None,
    }],
    address: Address::HostPort,
    owns_path: false,
    owns_query: false,
    needs: None,
    gives: Kind::Stream,
    encrypts: false,
    rfcs: &["RFC 9293"],
    dial_keys: TCP_KEYS,
    bind_keys: TCP_KEYS,
    codes: &[],
    opens: Opens::Either,
};

const UDP: Card = Card {
    name: "udp",
    schemes: &[Scheme {
        name: "udp",
        over: &[],
        default_port: None,
    }],
    gives: Kind::Datagram,
    dial_keys: &[],
    bind_keys: &[],
    ..TCP
};

const UNIX: Card = Card {
    name: "unix",
    schemes: &[Scheme {
        name: "unix",
        over: &[],
        default_port: None,
    }],
    address: Address::Opaque,
    dial_keys: &[],
    bind_keys: &[],
    ..TCP
};

const STDIO: Card = Card {
    name: "-",
    schemes: &[Scheme {
        name: "-",
        over: &[],
        default_port: None,
    }],
    address: Address::None,
    dial_keys: &[],
    bind_keys: &[],
    ..TCP
};

const PING: Card = Card {
    name: "ping",
    schemes: &[Scheme {
        name: "ping",
        over: &[],
        default_port: None,
    }],
    address: Address::Host,
    gives: Kind::Datagram,
    dial_keys: &[],
    bind_keys: &[],
    ..TCP
};

const PIPE: Card = Card {
    name: "pipe",
    schemes: &[Scheme {
        name: "pipe",
        over: &[],
        default_port: None,
    }],
    address: Address::Opaque,
    ..UNIX
};

const TLS: Card = Card {
    name: "tls",
    schemes: &[Scheme {
        name: "tls",
        over: &["tcp"],
        default_port: None,
    }],
    needs: Some(Kind::Stream),
    encrypts: true,
    dial_keys: TLS_DIAL,
    bind_keys: TLS_BIND,
    ..TCP
};

const FRAMES: Card = Card {
    name: "frames",
    schemes: &[Scheme {
        name: "frames",
        over: &[],
        default_port: None,
    }],
    needs: Some(Kind::Stream),
    gives: Kind::Messages,
    dial_keys: &[],
    bind_keys: &[],
    ..TCP
};

const HTTP: Card = Card {
    name: "http",
    schemes: &[
        Scheme {
            name: "http",
            over: &["tcp"],
            default_port: Some(80),
        },
        Scheme {
            name: "https",
            over: &["tls", "tcp"],
            default_port: Some(443),
        },
    ],
    owns_path: true,
    owns_query: true,
    needs: Some(Kind::Stream),
    gives: Kind::Exchange,
    dial_keys: &[],
    bind_keys: HTTP_BIND,
    opens: Opens::Client,
    ..TCP
};

const WEBSOCKET: Card = Card {
    name: "ws",
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
    gives: Kind::Messages,
    bind_keys: &[],
    ..HTTP
};

const QUIC: Card = Card {
    name: "quic",
    schemes: &[Scheme {
        name: "quic",
        over: &[],
        default_port: None,
    }],
    gives: Kind::Mux,
    encrypts: true,
    dial_keys: TLS_DIAL,
    bind_keys: TLS_BIND,
    ..TCP
};

static CARDS: [Card; 11] = [
    TCP, UDP, UNIX, STDIO, PING, PIPE, TLS, FRAMES, HTTP, WEBSOCKET, QUIC,
];

fn schemes() -> Schemes {
    Schemes::new(&CARDS)
}
