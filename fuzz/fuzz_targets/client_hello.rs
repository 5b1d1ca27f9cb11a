//! The first words of a TLS client: however they are cut they are read alike,
//! and a name that was read can be looked up.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_wire::tls::{ClientHello, HelloReader, LONGEST_HELLO, NoHello};

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, stream) = input;
    let whole = heard(stream, stream.len().max(1));
    let pieces = heard(stream, usize::from(cut).max(1));
    assert_eq!(whole, pieces);
    if let Ok(Some(hello)) = whole {
        if let Some(name) = &hello.name {
            assert!(name.is_ascii() && name.len() <= 255);
            assert!(!name.contains('\0') && **name == name.to_ascii_lowercase());
        }
        assert!(hello.alpn.iter().all(|name| !name.is_empty()));
    }
});

fn heard(stream: &[u8], cut: usize) -> Result<Option<ClientHello>, NoHello> {
    let mut reader = HelloReader::default();
    for piece in stream.chunks(cut) {
        if let Some(hello) = reader.hear(piece)? {
            return Ok(Some(hello));
        }
        assert!(reader.heard() <= LONGEST_HELLO);
    }
    Ok(None)
}
