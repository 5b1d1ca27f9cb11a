//! Keys, answers, frames.

use proptest::prelude::*;

use super::*;
use crate::http::Head;

fn head(text: &str) -> Head {
    Head::read(text.as_bytes()).unwrap().unwrap().0
}

#[test]
fn the_example_of_rfc_6455_opens() {
    let key = Key::new(*b"the sample nonce");
    assert_eq!(key.to_string(), "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(key.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let request = upgrade("/chat", "server.example.com", &key).unwrap();
    let text = String::from_utf8(request.bytes()).unwrap();
    assert!(text.starts_with("GET /chat HTTP/1.1\r\nhost: server.example.com\r\n"));
    assert!(text.contains("\r\nsec-websocket-version: 13\r\n"));
    let answer = head(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    );
    assert_eq!(check(&answer, &key), []);
    assert!(upgrade("/a b", "h", &key).is_err());
    assert!(upgrade("/", "h\r\nx: y", &key).is_err());
}

#[test]
fn an_answer_that_lacks_something_says_what() {
    let key = Key::new([7; 16]);
    let lacks = |text: &str| check(&head(text), &key);
    assert_eq!(lacks("HTTP/1.1 200 OK\r\n\r\n"), [Lack::Status(200)]);
    assert_eq!(
        lacks("HTTP/1.1 101 x\r\n\r\n"),
        [Lack::Upgrade, Lack::Connection, Lack::Accept]
    );
    assert_eq!(
        lacks(
            "HTTP/1.1 101 x\r\nupgrade: WebSocket\r\nconnection: upgrade\r\n\
             sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
             sec-websocket-protocol: chat\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n"
        ),
        [
            Lack::OtherAccept,
            Lack::Protocol("chat".to_owned()),
            Lack::Extension("permessage-deflate".to_owned())
        ]
    );
}

#[test]
fn the_frames_of_rfc_6455_are_read_and_written() {
    // RFC 6455 §5.7.
    let masked = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    assert_eq!(
        from_client(Opcode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d]),
        masked
    );
    let plain = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    let (frame, used) = Frame::from_server(&plain, 100).unwrap().unwrap();
    assert_eq!((frame.payload.as_slice(), used), (&b"Hello"[..], 7));
    let close = [0x88, 0x04, 0x03, 0xe8, b'o', b'k'];
    let (frame, _) = Frame::from_server(&close, 100).unwrap().unwrap();
    assert_eq!(frame.closing(), Some((1000, "ok".to_owned())));
    for (bytes, error) in [
        (&masked[..], FrameError::Malformed),
        (&[0xc1, 0], FrameError::Malformed),
        (&[0x83, 0], FrameError::Malformed),
        (&[0x08, 0], FrameError::Length),
        (&[0x88, 126, 0, 126], FrameError::Length),
        (&[0x81, 126, 0, 5], FrameError::Length),
        (&[0x81, 126, 1, 0], FrameError::TooLong(256)),
        (&[0x81, 127, 0xff, 0, 0, 0, 0, 0, 0, 0], FrameError::Length),
    ] {
        assert_eq!(
            Frame::from_server(bytes, 200).unwrap_err(),
            error,
            "{bytes:?}"
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_stop_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Some((frame, used))) = Frame::from_server(&bytes, 64) {
            prop_assert!(used <= bytes.len() && frame.payload.len() <= 64);
            let _ = frame.closing();
        }
        let text = [b"HTTP/1.1 101 x\r\n".as_slice(), &bytes, b"\r\n\r\n"].concat();
        if let Ok(Some((head, _))) = Head::read(&text) {
            prop_assert!(!check(&head, &Key::new([1; 16])).is_empty());
        }
    }

    #[test]
    fn a_frame_comes_back_as_it_was_written(
        payload in proptest::collection::vec(any::<u8>(), 0..70_000), mask in any::<[u8; 4]>()
    ) {
        let mut bytes = from_client(Opcode::Binary, &payload, mask);
        // What a server writes is the same without its mask.
        let at = bytes.len() - payload.len() - 4;
        bytes[1] &= 0x7f;
        bytes.drain(at..at + 4);
        let end = bytes.len() - payload.len();
        for (byte, mask) in bytes[end..].iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        let (frame, used) = Frame::from_server(&bytes, 1 << 20).unwrap().unwrap();
        prop_assert_eq!(used, bytes.len());
        prop_assert_eq!(frame.payload, payload);
        prop_assert_eq!(Frame::from_server(&bytes[..used - 1], 1 << 20), Ok(None));
    }
}
