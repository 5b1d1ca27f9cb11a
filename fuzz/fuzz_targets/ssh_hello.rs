//! The beginning of SSH: lines, then a packet, then its lists; what was read is
//! the same when it is sent again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_wire::ssh::{self, Identification, KexInit, MAX_IDENTIFICATION};

fuzz_target!(|stream: &[u8]| {
    let (line, rest) = match stream.iter().position(|&byte| byte == b'\n') {
        Some(end) => (&stream[..end], &stream[end + 1..]),
        None => (stream, stream),
    };
    if let Ok(Some(read)) = Identification::read(line) {
        assert!(read.to_bytes().len() <= MAX_IDENTIFICATION);
        assert_eq!(read.to_string().as_bytes(), line);
    }
    let Ok(Some((payload, used))) = ssh::payload(rest) else {
        return;
    };
    assert!(payload.len() < used && used <= rest.len());
    let packed = ssh::packet(payload);
    assert_eq!(ssh::payload(&packed), Ok(Some((payload, packed.len()))));
    let _ = ssh::read_disconnect(payload);
    if let Ok(kex) = KexInit::read(payload) {
        assert_eq!(KexInit::read(&kex.to_bytes()).as_ref(), Ok(&kex));
        assert!(kex.post_quantum().count() <= kex.key_exchanges.len());
    }
});
