//! First bytes: whatever they are, they get a name or none, and the tables of
//! names take every number.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_wire::tls::{alert_name, cipher_name, group_name, is_record, looks_like, version_name};

fuzz_target!(|first: &[u8]| {
    let looks = looks_like(first);
    // What is called TLS begins as a record of it does.
    assert!(looks != Some("TLS") || is_record(first));
    // More bytes never make a record of what was none.
    if let [head @ .., _] = first
        && !head.is_empty()
        && is_record(first)
    {
        assert!(is_record(head) || head.len() < 5);
    }
    if let [a, b, ..] = *first {
        let number = u16::from_be_bytes([a, b]);
        let _ = (alert_name(a), cipher_name(number), group_name(number));
        let _ = version_name(number);
    }
});
