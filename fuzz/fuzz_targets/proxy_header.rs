//! PROXY headers: however one is cut it is read alike, nothing behind it is
//! taken, and what was read is written again as it was meant.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_wire::proxy_protocol::{Header, LONGEST_LINE, MOST, Read, Tlv, Version, Wrong, read};

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, stream) = input;
    let whole = taken(stream, usize::MAX);
    let pieces = taken(stream, usize::from(cut).max(1));
    match (&whole, &pieces) {
        (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces),
        (Err(_), Err(_)) => {}
        _ => panic!("it depends on the cut"),
    }
    let Ok(Some(header)) = whole else { return };
    let written = header.bytes().expect("it was no longer than may be");
    let again = taken(&written, usize::MAX);
    let again = again.expect("it was written right").expect("whole");
    if header.version == Version::V1 {
        return assert_eq!(again, header);
    }
    assert_eq!((&again.command, &again.ends), (&header.command, &header.ends));
    for (own, read) in header.tlvs.iter().zip(&again.tlvs) {
        let both_sums = matches!((own, read), (Tlv::Checksum(_), Tlv::Checksum(_)));
        let both_tls = matches!((own, read), (Tlv::Ssl(_), Tlv::Ssl(_)));
        assert!(both_sums || both_tls || own == read);
    }
});

/// Takes as many bytes as are asked for, and at most `cut` at once.
fn taken(stream: &[u8], cut: usize) -> Result<Option<Header>, Wrong> {
    let mut taken = 0;
    loop {
        assert!(taken <= MOST + 16);
        match read(&stream[..taken])? {
            Read::Whole(header, length) => {
                assert_eq!(length, taken);
                assert!(header.version == Version::V2 || length <= LONGEST_LINE);
                return Ok(Some(header));
            }
            Read::More(more) => match more.min(cut).min(stream.len() - taken) {
                0 => return Ok(None),
                next => taken += next,
            },
        }
    }
}
