//! Escapes: what is escaped reads the same; a refusal points into the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_wire::escape::{escape, unescape};

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(unescape(&escape(bytes)).as_deref(), Ok(bytes));
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match unescape(text) {
        Ok(read) => assert_eq!(unescape(&escape(&read)), Ok(read)),
        Err(error) => assert!(text.get(error.span).is_some()),
    }
});
