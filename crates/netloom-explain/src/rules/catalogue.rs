//! Every code ends with a cause and something to do, and a fix is a command
//! that has nothing left to fill in.

use std::time::Duration;

use netloom_base::failure::{Certificate, Fact, Step, catalogue};
use netloom_base::{Code, Failure, Side, Stage, Timestamp};
use netloom_protocol::PROTOCOLS;
use netloom_transport::proxy;
use netloom_transport::tls::codes;

use super::{Answers, diagnose};

/// Raised only for datagrams, whose endpoints come with another transport: what
/// is said of them stands in the table, and no rule reads their facts yet.
const ONLY_DATAGRAMS: &[&str] = &[
    "join.no-interface",
    "lan.multicast-silent",
    "send.too-large",
    "send.refused.no-listener",
    "send.denied.broadcast",
    "send.denied.local-firewall",
    "send.rejected.firewall",
    "recv.truncated",
    "recv.dropped",
];

fn step(stage: Stage, to: &str, failed: Option<Code>) -> Step {
    Step {
        stage,
        to: to.to_owned(),
        failed,
        took: Duration::from_millis(3),
    }
}

fn certificate() -> Certificate {
    Certificate {
        subject: "CN=www.example.org".to_owned(),
        issuer: "CN=Example Authority".to_owned(),
        names: vec!["www.example.org".to_owned()],
        not_before: Timestamp(1_700_000_000_000_000),
        not_after: Timestamp(1_750_000_000_000_000),
        sha256: [7; 32],
    }
}

/// A failure as the floors below make it, with the facts that such ones have.
fn typical(code: Code) -> Failure {
    let failure = Failure::new(code.stage(), Side::Peer, code);
    let name = code.name();
    if name.starts_with("tls.") {
        return failure
            .at("tls://example.org:443")
            .fact(Fact::Chain(vec![certificate()]))
            .fact(Fact::FirstBytes(b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec()))
            .after([
                step(Stage::Resolve, "example.org A at 192.0.2.53:53", None),
                step(Stage::Connect, "192.0.2.1:443", None),
                step(Stage::Tls, "example.org", Some(code)),
            ]);
    }
    if name.starts_with("resolve.") {
        let answer = match name {
            "resolve.no-such-name" => "NXDOMAIN",
            "resolve.server-failed" => "SERVFAIL",
            "resolve.no-address" => "NOERROR without an address",
            _ => "nothing",
        };
        return failure
            .at("tcp://db.example.org:5432")
            .fact(Fact::Answered {
                server: ([192, 0, 2, 53], 53).into(),
                asked: "A",
                answer: answer.into(),
                took: Duration::from_millis(2),
            });
    }
    if name.starts_with("exec.") {
        return failure
            .at("exec:gti%20status")
            .fact(Fact::Exit("status 3".to_owned()));
    }
    failure
        .at("tcp://192.0.2.1:80")
        .fact(Fact::Tried(([192, 0, 2, 1], 80).into()))
        .fact(Fact::Moved {
            received: 0,
            sent: 12,
        })
}

fn of_every_card() -> Vec<Code> {
    let tls = codes::CODES.iter().chain(proxy::codes::CODES).copied();
    let spoken = PROTOCOLS.iter().flat_map(|known| known.card().codes);
    let cards = catalogue().chain(tls).chain(spoken.copied());
    cards
        .map(|card| Code::new(card.code, card.stage, card.sentence))
        .collect()
}

#[test]
fn every_code_ends_with_a_cause_and_a_fix() {
    println!("only of datagrams: {}", ONLY_DATAGRAMS.join(" "));
    for code in of_every_card() {
        let told = diagnose(&typical(code), &Answers::default());
        let told_of = format!("{code}:\n{told}");
        assert_eq!(told.code, code, "{told_of}");
        assert!(!told.causes.is_empty(), "{told_of}");
        assert!(!told.fixes.is_empty(), "{told_of}");
        for fix in &told.fixes {
            let command = fix.command.as_deref().unwrap_or_default();
            assert!(
                !command.contains(['{', '<']) || command.contains("</dev/null"),
                "{told_of}"
            );
            assert!(
                !command.contains("{url}") && !command.contains("{host}"),
                "{told_of}"
            );
        }
        for cause in &told.causes {
            assert!(!cause.text.ends_with('.'), "{told_of}");
        }
    }
}

#[test]
fn what_only_datagrams_raise_is_in_the_catalogue_too() {
    for code in ONLY_DATAGRAMS {
        assert!(catalogue().any(|card| card.code == *code), "{code}");
    }
}
