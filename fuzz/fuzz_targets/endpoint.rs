//! Any text: it reads or is complained about, what it prints reads the same,
//! and it has a meaning or a complaint in both roles.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_base::settings::Key;
use netloom_base::{
    Address, Card, Complaint, Endpoint, EndpointSet, Kind, Opens, Role, Scheme, Schemes, Value,
};

const OTHER: &str = "another-password";

fuzz_target!(|text: &str| {
    let endpoint = match text.parse::<Endpoint>() {
        Ok(endpoint) => endpoint,
        Err(error) => return check(error.complaint()),
    };
    let shown = endpoint.to_string();
    let again = shown
        .parse::<Endpoint>()
        .unwrap_or_else(|e| panic!("{text:?} prints as {shown:?}\n{e}"));
    assert_eq!(again.to_string(), shown, "{text:?}");
    let secret = |e: &Endpoint| {
        e.options()
            .iter()
            .any(|o| matches!(o.value, Value::Hidden(_)))
    };
    if !secret(&endpoint) {
        assert_eq!(again, endpoint.without_password(), "{text:?}");
    }
    // Whatever a password is, the same is told of its endpoint.
    if let Some(password) = endpoint.password().map(|p| p.reveal().to_owned())
        && text.matches(&password).count() == 1
        && let Ok(other) = text.replace(&password, OTHER).parse::<Endpoint>()
        && other.password().is_some_and(|p| p.reveal() == OTHER)
    {
        let told = |e: &Endpoint| format!("{e}\n{e:?}\n{}", e.written());
        assert_eq!(told(&endpoint), told(&other), "{text:?}");
    }
    for option in endpoint.options().iter() {
        let span = option
            .span
            .clone()
            .expect("an option read from a text stands in it");
        let _ = &endpoint.written()[span];
    }

    let schemes = Schemes::new(CARDS.iter());
    for role in [Role::Dial, Role::Bind] {
        match schemes.stack(&endpoint, role) {
            Ok(stack) => {
                assert!(stack.transport().card.needs.is_none(), "{text:?}");
                let _ = (stack.to_string(), stack.kind(), stack.port());
                let _ = stack
                    .require(Kind::Stream)
                    .map_err(|e| check(e.complaint()));
            }
            Err(error) => check(error.complaint()),
        }
    }
    match EndpointSet::try_from(endpoint) {
        Ok(set) => {
            assert!(set.iter().len() <= EndpointSet::MAX, "{text:?}");
            for one in set.iter().take(4) {
                assert!(one.ports().len() <= 1, "{text:?}");
            }
        }
        Err(error) => check(error.complaint()),
    }
});

/// A complaint points into its text, and what it suggests reads.
fn check(complaint: &Complaint) {
    let _ = complaint.to_string();
    let _ = &complaint.text[complaint.span.clone()];
    if let Some(nearest) = &complaint.suggestion
        && !nearest.contains("PORT")
    {
        assert!(
            nearest.parse::<Endpoint>().is_ok(),
            "{:?} suggests {nearest:?}",
            complaint.text
        );
    }
}

const fn key(name: &'static str) -> Key {
    Key {
        name,
        help: "a sample",
        hint: "TEXT",
        many: false,
        default: || None,
    }
}

const fn word(
    name: &'static str,
    over: &'static [&'static str],
    default_port: Option<u16>,
) -> Scheme {
    Scheme {
        name,
        over,
        default_port,
    }
}

const TCP: Card = Card {
    name: "tcp",
    summary: "a stream of bytes",
    schemes: &[word("tcp", &[], None)],
    address: Address::HostPort,
    owns_path: false,
    owns_query: false,
    needs: None,
    gives: Kind::Stream,
    encrypts: false,
    rfcs: &[],
    dial_keys: &[key("nodelay"), key("source")],
    bind_keys: &[key("nodelay")],
    codes: &[],
    opens: Opens::Either,
};

static CARDS: [Card; 9] = [
    TCP,
    Card {
        name: "udp",
        schemes: &[word("udp", &[], None)],
        gives: Kind::Datagram,
        ..TCP
    },
    Card {
        name: "unix",
        schemes: &[word("unix", &[], None)],
        address: Address::Opaque,
        ..TCP
    },
    Card {
        name: "-",
        schemes: &[word("-", &[], None)],
        address: Address::None,
        ..TCP
    },
    Card {
        name: "ping",
        schemes: &[word("ping", &[], None)],
        address: Address::Host,
        gives: Kind::Datagram,
        ..TCP
    },
    Card {
        name: "tls",
        schemes: &[word("tls", &["tcp"], None)],
        needs: Some(Kind::Stream),
        encrypts: true,
        dial_keys: &[key("sni"), key("insecure")],
        bind_keys: &[key("cert"), key("key"), key("key-password")],
        ..TCP
    },
    Card {
        name: "http",
        schemes: &[
            word("http", &["tcp"], Some(80)),
            word("https", &["tls", "tcp"], Some(443)),
        ],
        owns_path: true,
        owns_query: true,
        needs: Some(Kind::Stream),
        gives: Kind::Exchange,
        ..TCP
    },
    Card {
        name: "ws",
        schemes: &[
            word("ws", &["tcp"], Some(80)),
            word("wss", &["tls", "tcp"], Some(443)),
        ],
        owns_path: true,
        owns_query: true,
        needs: Some(Kind::Stream),
        gives: Kind::Messages,
        ..TCP
    },
    Card {
        name: "quic",
        schemes: &[word("quic", &[], None)],
        gives: Kind::Mux,
        ..TCP
    },
];
