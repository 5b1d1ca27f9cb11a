//! What is made of what brokers say.

use netloom_wire::mqtt::{Connack, Property};

use crate::trial::{Far, visit};

async fn connect(far: &mut Far) -> Vec<u8> {
    let head = far.bytes(2).await;
    let body = far.bytes(usize::from(head[1])).await;
    [head, body].concat()
}

#[test]
fn a_broker_is_told_and_left_in_order() {
    let went = visit("mqtt://ann:secret@far", |mut far: Far| async move {
        let packet = connect(&mut far).await;
        assert_eq!(&packet[2..12], b"\0\x04MQTT\x04\xc2\0\x0a");
        assert!(
            packet[14..].starts_with(b"netloom-"),
            "{}",
            packet.escape_ascii()
        );
        assert!(
            packet.ends_with(b"\0\x03ann\0\x06secret"),
            "{}",
            packet.escape_ascii()
        );
        far.say(b"\x20\x02").await;
        far.say(b"\x01\0").await;
        assert_eq!(far.bytes(2).await, [0xe0, 0]);
    });
    let told = went.told();
    assert!(
        told.contains("accepted in version 3.1.1, with a session"),
        "{told}"
    );
    assert!(!told.contains("secret"), "{told}");
}

#[test]
fn a_refusal_has_its_name() {
    for (answer, words) in [
        (
            Connack {
                code: 5,
                ..Connack::default()
            },
            "not authorized",
        ),
        (
            Connack {
                code: 4,
                ..Connack::default()
            },
            "bad user name or password",
        ),
        (
            Connack {
                code: 0x77,
                ..Connack::default()
            },
            "0x77",
        ),
        (
            Connack {
                code: 0x87,
                properties: Some(vec![Property {
                    id: 0x1f,
                    value: b"ask the owner".to_vec(),
                }]),
                ..Connack::default()
            },
            "ask the owner",
        ),
    ] {
        let went = visit("mqtt://far", move |mut far: Far| {
            let bytes = answer.to_bytes().unwrap();
            async move {
                connect(&mut far).await;
                far.say(bytes).await;
            }
        });
        assert_eq!(went.code(), "greet.refused");
        assert!(went.facts().contains(words), "{}", went.facts());
    }
}

#[test]
fn a_broker_of_version_5_only_is_asked_again_in_its_own() {
    for refusal in [1, 0x84] {
        let went = visit("mqtt://far", move |mut far: Far| async move {
            let packet = connect(&mut far).await;
            let code = if packet[8] == 5 { 0 } else { refusal };
            let properties = (packet[8] == 5).then(Vec::new);
            let answer = Connack {
                code,
                properties,
                ..Connack::default()
            };
            assert_eq!(usize::from(packet[8] == 5), far.number);
            far.say(answer.to_bytes().unwrap()).await;
        });
        assert!(
            went.told().starts_with("mqtt: speaks MQTT 5 only"),
            "{}",
            went.told()
        );
        assert!(
            went.told().contains("accepted in version 5"),
            "{}",
            went.told()
        );
    }
}

#[test]
fn another_protocol_is_named() {
    for (said, code) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "greet.wrong-protocol",
        ),
        (b"\x15\x03\x03\0\x02\x02\x0a", "tls.peer-speaks-tls"),
        (b"\x20\xff\xff\xff\xff", "greet.wrong-protocol"),
        (b"", "greet.closed-before-banner"),
    ] {
        let went = visit("mqtt://far", move |mut far: Far| async move {
            connect(&mut far).await;
            far.say(said).await;
        });
        assert_eq!(went.code(), code, "{}", said.escape_ascii());
    }
}
