//! Answers to an upgrade, and the frames after it: only the right answer opens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_wire::http::Head;
use netloom_wire::websocket::{Frame, Key, check};

const MOST: usize = 1024;

fuzz_target!(|bytes: &[u8]| {
    let key = Key::new(*b"the sample nonce");
    let mut frames = bytes;
    if let Ok(Some((head, used))) = Head::read(bytes) {
        if check(&head, &key).is_empty() {
            assert_eq!(head.status, 101);
            assert_eq!(
                head.headers.get("sec-websocket-accept"),
                Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            );
        }
        frames = &bytes[used..];
    }
    while let Ok(Some((frame, used))) = Frame::from_server(frames, MOST) {
        assert!((2..=frames.len()).contains(&used) && frame.payload.len() <= MOST);
        let _ = frame.closing();
        assert_eq!(Frame::from_server(&frames[..used - 1], MOST), Ok(None));
        frames = &frames[used..];
    }
});
