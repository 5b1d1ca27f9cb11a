//! What endpoints mean with the sample cards.

use std::fmt::Write;

use super::complaints::in_style;
use super::schemes;
use crate::card::Kind;
use crate::endpoint::{Endpoint, EndpointError, Role, Stack};

fn stack(text: &str, role: Role) -> Result<Stack, EndpointError> {
    schemes().stack(&text.parse::<Endpoint>()?, role)
}

#[test]
fn what_stands_beneath_is_written_in_few_words() {
    for (text, role, short) in [
        ("https://:443", Role::Bind, "tls://:443"),
        ("https://h/a?b", Role::Dial, "tls://h:443"),
        ("http://127.0.0.1:3000/", Role::Dial, "tcp://127.0.0.1:3000"),
        ("http+unix:/x", Role::Dial, "unix:/x"),
        ("https+unix:/x", Role::Dial, "tls+unix:/x"),
        ("wss://h,insecure", Role::Dial, "tls://h:443,insecure"),
        ("frames+tls://h:1", Role::Dial, "tls://h:1"),
        ("tcp://h:1", Role::Dial, "tcp://h:1"),
    ] {
        let stream = stack(text, role).unwrap().giving(Kind::Stream).unwrap();
        assert_eq!(stream.in_short().to_string(), short, "{text}");
    }
    let datagrams = stack("udp://h:1", Role::Dial).unwrap();
    assert!(datagrams.giving(Kind::Stream).is_none());
}

#[test]
fn endpoints_expand_to_layers() {
    use Kind::{Datagram, Exchange, Messages, Mux, Stream};
    let dialled = [
        ("h:80", "tcp://h:80", Stream, Some(80)),
        (
            "https://example.org/",
            "http+tls+tcp://example.org:443/",
            Exchange,
            Some(443),
        ),
        (
            "http+tls+tcp://example.org",
            "http+tls+tcp://example.org:443",
            Exchange,
            Some(443),
        ),
        (
            "http+tls://example.org",
            "http+tls+tcp://example.org:443",
            Exchange,
            Some(443),
        ),
        (
            "https+tcp://example.org",
            "http+tls+tcp://example.org:443",
            Exchange,
            Some(443),
        ),
        ("https+unix:/x", "http+tls+unix:/x", Exchange, None),
        ("http+unix:/x", "http+unix:/x", Exchange, None),
        ("ws+tls+tcp://h", "ws+tls+tcp://h:443", Messages, Some(443)),
        (
            "ws://h/chat?room=1",
            "ws+tcp://h:80/chat?room=1",
            Messages,
            Some(80),
        ),
        ("wss://h:1", "ws+tls+tcp://h:1", Messages, Some(1)),
        ("tls+-", "tls+-", Stream, None),
        ("-", "-", Stream, None),
        ("udp://h:5", "udp://h:5", Datagram, Some(5)),
        ("quic://h:5,insecure", "quic://h:5,insecure", Mux, Some(5)),
        ("ping://h", "ping://h", Datagram, None),
        (
            "frames+tls://h:1",
            "frames+tls+tcp://h:1",
            Messages,
            Some(1),
        ),
        ("pipe:x", "pipe:x", Stream, None),
    ];
    for (typed, shown, kind, port) in dialled {
        let stack = stack(typed, Role::Dial).unwrap_or_else(|e| panic!("{typed}: {e}"));
        assert_eq!(
            (stack.to_string().as_str(), stack.kind(), stack.port()),
            (shown, kind, port),
            "{typed}"
        );
        assert!(stack.transport().card.needs.is_none(), "{typed}");
    }
    let bound = stack("http://", Role::Bind).unwrap();
    assert_eq!(bound.to_string(), "http+tcp://:80");
    assert_eq!(stack("tcp://*:0", Role::Bind).unwrap().port(), Some(0));
}

#[test]
fn options_go_to_the_layer_that_owns_them() {
    let stack = stack(
        "https://:443,cert=auto,nodelay,root=%2Fsrv,source=a,source=b/x",
        Role::Bind,
    )
    .unwrap();
    let given: Vec<String> = stack
        .levels
        .iter()
        .map(|level| {
            let all = level
                .settings
                .iter()
                .map(|s| format!(" {}={}", s.key, s.value));
            format!("{}:{}", level.card.name, all.collect::<String>())
        })
        .collect();
    assert_eq!(
        given,
        [
            "http: root=/srv",
            "tls: cert=auto",
            "tcp: nodelay=true source=a source=b"
        ]
    );
    let up: Vec<&str> = stack
        .layers_bottom_up()
        .map(|level| level.card.name)
        .collect();
    assert_eq!(up, ["tls", "http"]);
    assert!(stack.encrypts());
}

#[test]
fn a_query_is_options_unless_a_dialled_layer_owns_it() {
    let bound = stack(
        "https://:443/x?cert=/etc/x.pem&key-password=hunter2&key=/k,1",
        Role::Bind,
    )
    .unwrap();
    assert_eq!(bound.endpoint.query(), None);
    assert_eq!(
        bound.endpoint.to_string(),
        "https://:443,cert=%2Fetc%2Fx.pem,key=%2Fk%2C1/x"
    );
    assert_eq!(
        bound.endpoint.written(),
        "https://:443/x?cert=/etc/x.pem&key-password=***&key=/k,1"
    );
    let spans: Vec<&str> = bound.levels[1]
        .settings
        .iter()
        .map(|s| &bound.endpoint.written()[s.span.clone().unwrap()])
        .collect();
    assert_eq!(spans, ["cert=/etc/x.pem", "key-password=***", "key=/k,1"]);
    assert_eq!(
        stack("tcp://h:1?nodelay", Role::Dial).unwrap().to_string(),
        "tcp://h:1,nodelay"
    );
    assert_eq!(
        stack("https://h/?sni=x", Role::Dial)
            .unwrap()
            .endpoint
            .query(),
        Some("sni=x")
    );
    assert_eq!(
        stack("tcp://h:1?", Role::Dial).unwrap().to_string(),
        "tcp://h:1"
    );
}

#[test]
fn a_stack_is_asked_for_a_kind() {
    let told = |text: &str, kind| {
        stack(text, Role::Dial)
            .unwrap()
            .require(kind)
            .map_err(|e| e.to_string())
    };
    assert_eq!(told("tls://h:1", Kind::Stream), Ok(()));
    let expected = "a stream is needed here, and `udp` gives datagrams\n  udp://h:1\n  ^^^";
    assert_eq!(told("udp://h:1", Kind::Stream), Err(expected.into()));
    let expected = "datagrams are needed here, and `http` gives requests and answers\n  http+tls://h\n  ^^^^^^^^";
    assert_eq!(told("http+tls://h", Kind::Datagram), Err(expected.into()));
}

#[test]
fn each_mistake_has_its_complaint() {
    use Role::{Bind, Dial};
    let typed = [
        ("htp://h", Dial),
        ("tsl+tcp://h:1", Dial),
        ("zebra://h", Dial),
        ("zebra+tcp://h:1", Dial),
        ("host:http", Dial),
        ("host:80x", Dial),
        ("host:80:90", Dial),
        ("tls+udp://h:1", Dial),
        ("https+udp://h:1", Dial),
        ("tls+quic://h:1", Dial),
        ("tls+tls+udp://h:1", Dial),
        ("tcp+tls://h:1", Dial),
        ("tls+tcp+unix:/x", Dial),
        ("tcp+udp://h:1", Dial),
        ("frames://h:1", Dial),
        ("frames+udp://h:1", Dial),
        ("frames+ping://h", Dial),
        ("tls+ws://h:1", Dial),
        ("http:example.org/x", Dial),
        ("tcp:/host", Dial),
        ("pipe://x/y", Dial),
        ("unix:", Dial),
        ("tls+unix:,nodelay", Dial),
        ("tcp://h", Dial),
        ("tls://h,insecure", Dial),
        ("tcp://", Bind),
        ("tcp://h:1,2", Dial),
        ("tcp://h:0", Dial),
        ("*:80", Dial),
        ("tcp://h:1/x", Dial),
        ("ping://h:1", Dial),
        ("tcp://h:1,nodelya", Dial),
        ("https://h,insecrue", Dial),
        ("https://h,cert=auto", Dial),
        ("https://:1,insecure", Bind),
        ("https://:1,zebra=1", Bind),
        ("https://:1/?crt=1&x", Bind),
        ("https://:1/?cert=", Bind),
        ("https://:1/?&a", Bind),
        ("https://:1/?9", Bind),
        ("tcp://bob:hunter2@h:1,x=1", Dial),
        ("tcp://h:1?key-password=hunter2&x", Bind),
    ];
    let mut told = String::new();
    for (text, role) in typed {
        match stack(text, role) {
            Ok(stack) => panic!("{text} is {stack}"),
            Err(error) => {
                in_style(&error);
                let _ = writeln!(told, "{error}\n");
            }
        }
    }
    assert!(!told.contains("hunter2"));
    insta::assert_snapshot!(told);
}
