//! A broker's answer: read within its limits or refused, and the same when it
//! is sent again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_wire::mqtt::{Connack, MAX_CONNACK};

fuzz_target!(|bytes: &[u8]| {
    let Ok(Some((read, used))) = Connack::read(bytes) else {
        return;
    };
    assert!(used <= bytes.len() && used <= MAX_CONNACK + 5);
    let _ = (read.reason_string(), read.server_reference());
    // A length may be written longer than it must, so the bytes need not be the same.
    if let Some(sent) = read.to_bytes() {
        assert!(sent.len() <= used);
        assert_eq!(Connack::read(&sent), Ok(Some((read, sent.len()))));
    }
});
