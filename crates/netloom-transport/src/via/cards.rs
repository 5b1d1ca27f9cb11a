//! The protocols of proxies, as the address language sees them.

use netloom_base::{Address, Card, Kind, Opens, Scheme};
use netloom_wire::socks::Protocol;

use super::hop::HopOptions;

/// The cards of the proxies' protocols.
pub const CARDS: [&Card; 3] = [&SOCKS5, &SOCKS4A, &HTTP];

/// How a proxy with this card is spoken to, and what that is called.
pub(super) fn protocol(card: &Card) -> (Protocol, &'static str) {
    let listed = [
        (&SOCKS5, Protocol::Socks5, "SOCKS5"),
        (&SOCKS4A, Protocol::Socks4a, "SOCKS4a"),
    ];
    let found = listed
        .into_iter()
        .find(|(listed, ..)| std::ptr::eq(*listed, card));
    found.map_or(
        (Protocol::Connect, "HTTP CONNECT"),
        |(_, protocol, name)| (protocol, name),
    )
}

const fn over_tcp(name: &'static str, port: u16) -> Scheme {
    Scheme {
        name,
        over: &["tcp"],
        default_port: Some(port),
    }
}

/// The port of SOCKS (IANA), and the one most HTTP proxies have.
const SOCKS_PORT: u16 = 1080;
const HTTP_PORT: u16 = 3128;

static SOCKS5: Card = Card {
    name: "socks5",
    summary: "a SOCKS5 proxy, which resolves the names",
    schemes: &[
        over_tcp("socks5", SOCKS_PORT),
        over_tcp("socks5h", SOCKS_PORT),
        over_tcp("socks", SOCKS_PORT),
    ],
    rfcs: &["RFC 1928", "RFC 1929"],
    ..BLANK
};

static SOCKS4A: Card = Card {
    name: "socks4a",
    summary: "a SOCKS4a proxy, which resolves the names and has no IPv6",
    schemes: &[over_tcp("socks4a", SOCKS_PORT)],
    rfcs: &[],
    ..BLANK
};

static HTTP: Card = Card {
    name: "http",
    summary: "an HTTP proxy that does CONNECT",
    schemes: &[
        over_tcp("http", HTTP_PORT),
        Scheme {
            name: "https",
            over: &["tls", "tcp"],
            default_port: Some(443),
        },
    ],
    rfcs: &["RFC 9110", "RFC 7617"],
    ..BLANK
};

const BLANK: Card = Card {
    name: "",
    summary: "",
    schemes: &[],
    address: Address::HostPort,
    owns_path: false,
    owns_query: false,
    needs: Some(Kind::Stream),
    gives: Kind::Stream,
    encrypts: false,
    rfcs: &[],
    dial_keys: HopOptions::KEYS,
    bind_keys: &[],
    codes: &[],
    opens: Opens::Client,
};
