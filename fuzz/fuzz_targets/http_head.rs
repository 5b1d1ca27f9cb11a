//! Answers and requests of HTTP: whatever comes, a head is read whole or not at
//! all, and the body's beginning is no longer than what came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_wire::http::{Asked, Head, LONGEST_HEAD, Length, MOST_HEADERS, beginning, length};

fuzz_target!(|bytes: &[u8]| {
    let whole = Head::read(bytes);
    if let Ok(Some((head, used))) = &whole {
        assert!(*used <= bytes.len() && *used <= LONGEST_HEAD);
        assert!(head.status >= 100 && head.headers.iter().count() <= MOST_HEADERS);
        // However the rest is cut, the head is the same.
        assert_eq!(Head::read(&bytes[..*used]), whole);
        assert!(!matches!(Head::read(&bytes[..used - 1]), Ok(Some((_, less))) if less > *used));
        for (_, value) in head.headers.iter() {
            assert!(!value.contains(['\r', '\n', '\0']));
        }
        if let Ok(length) = length("GET", head) {
            body(length, &bytes[*used..]);
        }
    }
    if let Ok(Some((asked, used))) = Asked::read(bytes) {
        assert!(used <= bytes.len() && used <= LONGEST_HEAD);
        assert!(!asked.method.is_empty() && asked.headers.iter().count() <= MOST_HEADERS);
        let _ = (asked.host(), asked.keeps_open(), asked.has_body());
        let again = Asked::read(&bytes[..used]);
        assert_eq!(again, Ok(Some((asked, used))));
    }
    for length in [Length::Chunked, Length::Exactly(7), Length::UntilClose] {
        body(length, bytes);
    }
});

fn body(length: Length, raw: &[u8]) {
    let read = beginning(length, raw);
    assert!(read.bytes.len() <= raw.len());
    assert!(!(read.whole && read.broken));
}
