//! Upgrades that succeed and fail.

use netloom_wire::websocket::Key;

use super::WebSocket;
use crate::trial::{End, visit_http};

/// The right answer to a request.
fn upgraded(asked: &str) -> Vec<u8> {
    let key = asked.split_once("sec-websocket-key: ").unwrap().1;
    let key = key.lines().next().unwrap_or_default();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-accept: {}\r\n\r\n",
        Key::written(key).accept()
    )
    .into_bytes()
}

#[test]
fn an_upgrade_opens_and_closes() {
    let seen = visit_http(&WebSocket, "ws://far/chat?room=1", None, |asked| {
        (upgraded(asked), End::Then(b"\x81\x02hi\x88\x02\x03\xe8"))
    });
    assert!(seen.asked[0].starts_with("GET /chat?room=1 HTTP/1.1\r\nhost: far\r\n"));
    let told = seen.texts();
    assert_eq!(told[0], "HTTP/1.1 101 Switching Protocols");
    assert_eq!(
        told[1],
        "it answered the close with 1000, after 1 other frames"
    );
}

#[test]
fn a_message_is_sent_and_its_answer_told() {
    let seen = visit_http(&WebSocket, "ws://far/", Some(b"hi"), |asked| {
        (upgraded(asked), End::Then(b"\x81\x05he\x1bo!\x88\x00"))
    });
    let told = seen.texts().join("\n");
    assert!(
        told.contains(r"2 bytes were sent, and 5 bytes of text came back: he\x1bo!"),
        "{told}"
    );
    assert!(
        told.contains("it answered the close without a code"),
        "{told}"
    );
}

#[test]
fn a_server_that_does_not_say_the_end_is_told() {
    let seen = visit_http(&WebSocket, "ws://far/", None, |asked| {
        (upgraded(asked), End::Close)
    });
    let told = seen.texts().join("\n");
    assert!(
        told.contains("it closed without answering the close"),
        "{told}"
    );
}

#[test]
fn what_is_no_upgrade_is_refused_and_says_what_is_missing() {
    for (answer, lack) in [
        (
            "HTTP/1.1 200 OK\r\nserver: nginx\r\n\r\n",
            "the status is 200, not 101",
        ),
        (
            "HTTP/1.1 426 x\r\nupgrade: websocket\r\nsec-websocket-version: 7\r\n\r\n",
            "sec-websocket-version: 7",
        ),
        (
            "HTTP/1.1 101 x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
            "`sec-websocket-accept` is missing",
        ),
        (
            "HTTP/1.1 101 x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            "does not answer the key",
        ),
    ] {
        let seen = visit_http(&WebSocket, "ws://far/", None, move |_| {
            (answer.as_bytes().to_vec(), End::Close)
        });
        assert_eq!(seen.failure().code().name(), "greet.upgrade-refused");
        seen.knows(lack);
    }
}

#[test]
fn what_follows_the_upgrade_must_be_frames() {
    let seen = visit_http(&WebSocket, "ws://far/", None, |asked| {
        let mut answer = upgraded(asked);
        answer.extend(b"\xff\xff\xff\xff");
        (answer, End::Close)
    });
    assert_eq!(seen.failure().code().name(), "recv.unexpected");
}

#[test]
fn a_server_of_tls_that_answers_in_words_is_named() {
    let seen = visit_http(&WebSocket, "ws://far/", None, |_| {
        let text =
            "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
        (text.into(), End::Close)
    });
    assert_eq!(seen.failure().code().name(), "tls.peer-speaks-tls");
}
