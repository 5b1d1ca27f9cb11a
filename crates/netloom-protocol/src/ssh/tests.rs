//! What is made of what servers say.

use std::time::Duration;

use netloom_wire::ssh::{self, Identification, KexInit};

use crate::trial::{Far, visit};

const HELLO: &str = "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n";

fn lists() -> KexInit {
    let names = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    KexInit {
        key_exchanges: names(
            "sntrup761x25519-sha512,curve25519-sha256,kex-strict-s-v00@openssh.com",
        ),
        host_keys: names("ssh-ed25519,rsa-sha2-512"),
        ciphers: [names("a"), names("aes128-ctr")],
        compressions: [names("none"), names("none,zlib@openssh.com")],
        ..KexInit::default()
    }
}

#[test]
fn a_server_is_told_and_left_in_order() {
    let went = visit("ssh://far", |mut far: Far| async move {
        far.say(format!("hello there\r\n{HELLO}")).await;
        let ours = far.line().await;
        let ours = Identification::read(ours.as_bytes()).unwrap().unwrap();
        assert!(ours.software.starts_with("netloom_"), "{ours}");
        far.say(ssh::packet(&[ssh::IGNORE, 0, 0, 0, 0])).await;
        let packet = ssh::packet(&lists().to_bytes());
        let (first, second) = packet.split_at(30);
        far.say(first).await;
        far.cx.sleep(Duration::from_millis(50)).await;
        far.say(second).await;
        let goodbye = ssh::packet(&ssh::disconnect(ssh::BY_APPLICATION, "only looking"));
        assert_eq!(far.bytes(goodbye.len()).await, goodbye);
    });
    let told = went.told();
    let lines = [
        "ssh: says first: hello there",
        "ssh: OpenSSH_9.2p1 (Debian-2), SSH 2.0",
        "ssh: host keys ssh-ed25519, rsa-sha2-512",
        "ssh: 2 key exchanges, post-quantum with sntrup761x25519-sha512: sntrup761x25519-sha512, curve25519-sha256",
        "ssh: ciphers aes128-ctr",
        "ssh: compression zlib@openssh.com",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), lines);
    assert!(went.took < Duration::from_secs(1), "{:?}", went.took);
}

#[test]
fn a_server_of_version_1_is_told_and_nothing_is_said() {
    let went = visit("ssh://far", |mut far: Far| async move {
        far.say("SSH-1.5-old\n").await;
        assert_eq!(far.line().await, "");
    });
    assert!(went.told().contains("SSH 1 only"), "{}", went.told());
}

#[test]
fn a_server_that_refuses_in_words_is_quoted() {
    for (words, quoted) in [
        ("Not allowed at this time\r\n", "Not allowed at this time"),
        ("Exceeded MaxStartups\r\n", "Exceeded MaxStartups"),
        ("hi\r\nToo many connections", "Too many connections"),
    ] {
        let went = visit("ssh://far", move |mut far: Far| async move {
            far.say(words).await;
        });
        assert_eq!(went.code(), "greet.refused");
        assert!(went.facts().contains(quoted), "{}", went.facts());
        assert_eq!(went.failure().endpoint(), Some("ssh://far"));
    }
}

#[test]
fn a_disconnect_instead_of_the_lists_is_a_refusal() {
    let went = visit("ssh://far", |mut far: Far| async move {
        far.say(HELLO).await;
        far.say(ssh::packet(&ssh::disconnect(12, "too many users")))
            .await;
        far.line().await;
    });
    assert_eq!(went.code(), "greet.refused");
    assert!(
        went.facts().contains("reason 12: too many users"),
        "{}",
        went.facts()
    );
}

#[test]
fn an_end_before_a_byte_tells_fin_from_rst() {
    let went = visit("ssh://far", |far: Far| async move { drop(far) });
    assert_eq!(went.code(), "greet.closed-before-banner");
    assert!(
        went.facts().contains("closed in order (FIN)"),
        "{}",
        went.facts()
    );
    assert!(went.failure().errno().is_none());
    let went = visit("ssh://far", |far: Far| async move { far.reset() });
    assert_eq!(went.code(), "greet.closed-before-banner");
    assert!(
        went.facts().contains("reset the connection (RST)"),
        "{}",
        went.facts()
    );
}

#[test]
fn another_protocol_is_named_without_waiting_for_the_end_of_a_line() {
    let cases: &[(&[u8], &str, &str)] = &[
        (b"220 mx ESMTP\r\n", "greet.wrong-protocol", "SMTP"),
        (b"\x4a\0\0\0\x0a8.0.36\0", "greet.wrong-protocol", "MySQL"),
        (b"\x15\x03\x01\0\x02\x02\x46", "tls.peer-speaks-tls", "TLS"),
        (
            b"HTTP/1.1 400 Bad Request\r\n",
            "greet.wrong-protocol",
            "HTTP",
        ),
        (
            b"SSH-what\r\n",
            "greet.wrong-protocol",
            "does not speak SSH",
        ),
    ];
    for &(said, code, name) in cases {
        let went = visit("ssh://far", move |mut far: Far| async move {
            far.say(said).await;
            far.line().await;
        });
        assert_eq!(went.code(), code, "{}", said.escape_ascii());
        assert!(went.facts().contains(name), "{}", went.facts());
        assert!(went.took < Duration::from_secs(1), "{:?}", went.took);
    }
}

#[test]
fn a_silent_server_and_one_that_never_ends_are_given_up() {
    let went = visit(
        "ssh://far",
        |mut far: Far| async move { drop(far.line().await) },
    );
    assert_eq!(went.code(), "greet.timeout");
    assert!(went.took >= Duration::from_secs(10), "{:?}", went.took);
    let went = visit("ssh://far", |mut far: Far| async move {
        for _ in 0..=ssh::MAX_BEFORE {
            far.say("welcome\r\n").await;
        }
        far.line().await;
    });
    assert_eq!(went.code(), "greet.wrong-protocol");
    let went = visit("ssh://far", |mut far: Far| async move {
        far.say(HELLO).await;
    });
    assert_eq!(went.code(), "greet.other");
    assert!(went.facts().contains("in the middle"), "{}", went.facts());
}
