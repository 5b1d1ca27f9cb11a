//! What is made of what a plain peer says.

use std::time::Duration;

use crate::trial::{Far, visit, visit_with};

#[test]
fn a_silent_server_is_healthy() {
    let went = visit("tcp://far:7", |mut far: Far| async move {
        far.line().await;
    });
    assert_eq!(went.told(), "bytes: it says nothing first, within 1 s");
    assert!(went.took < Duration::from_secs(2), "{:?}", went.took);
    assert!(went.result.unwrap().conn.is_some());
}

#[test]
fn a_banner_is_told_with_the_endpoint_that_speaks_it() {
    let cases: &[(&[u8], &[&str])] = &[
        (b"hello\r\nworld\r\n", &["says first, 14 bytes: hello"]),
        (
            b"SSH-2.0-x\r\n",
            &["11 bytes: SSH-2.0-x", "that is SSH: ssh://far:7"],
        ),
        (
            b"220 ready\r\n",
            &["that is SMTP or FTP: smtp://far:7 or ftp://far:7"],
        ),
        (
            b"\x4a\0\0\0\x0a8.0.36\0",
            &["4a 00 00 00 0a 38", "that is MySQL"],
        ),
        (b"x", &["says first, 1 byte: x"]),
    ];
    for &(said, wanted) in cases {
        let went = visit("tcp://far:7", move |mut far: Far| async move {
            far.say(said).await;
            far.line().await;
        });
        for words in wanted {
            assert!(went.told().contains(words), "{}", went.told());
        }
        assert!(!went.told().contains("closed"), "{}", went.told());
    }
}

#[test]
fn what_was_said_and_what_came_back_are_told() {
    let went = visit_with(
        "tcp://far:7",
        Some(b"ping\n"),
        false,
        |mut far: Far| async move {
            far.line().await;
            far.cx.sleep(Duration::from_secs(3)).await;
            far.say("pong\n").await;
            far.cx.sleep(Duration::from_millis(100)).await;
            far.say("and more\n").await;
        },
    );
    let lines = [
        "bytes: said 5 bytes: ping\\n",
        "bytes: answered, 14 bytes: pong",
        "bytes: then it closed",
    ];
    assert_eq!(went.told().lines().collect::<Vec<_>>(), lines);
}

#[test]
fn no_answer_and_a_close_without_one_are_no_failures() {
    let went = visit_with(
        "tcp://far:9",
        Some(b"x"),
        false,
        |mut far: Far| async move { drop(far.line().await) },
    );
    assert!(
        went.told().contains("no answer within 10 s"),
        "{}",
        went.told()
    );
    let went = visit_with(
        "tcp://far:9",
        Some(b"x"),
        false,
        |mut far: Far| async move { drop(far.bytes(1).await) },
    );
    assert!(
        went.told().contains("closed without an answer"),
        "{}",
        went.told()
    );
}

#[test]
fn closed_at_once_is_a_failure() {
    let went = visit("tcp://far:7", |far: Far| async move { drop(far) });
    assert_eq!(went.code(), "greet.closed-before-banner");
    let went = visit("tcp://far:7", |far: Far| async move { far.reset() });
    assert_eq!(went.code(), "greet.closed-before-banner");
    assert!(went.failure().errno().is_some());
}

#[test]
fn a_tls_record_in_answer_to_plain_bytes_is_a_failure() {
    let alert = b"\x15\x03\x03\0\x02\x02\x0a";
    let went = visit_with(
        "tcp://far:443",
        Some(b"hi\n"),
        false,
        move |mut far: Far| async move {
            far.line().await;
            far.say(alert).await;
        },
    );
    assert_eq!(went.code(), "tls.peer-speaks-tls");
    assert!(
        went.facts().contains("TLS, not plain bytes"),
        "{}",
        went.facts()
    );
}
