//! Framing: however the stream is cut, the messages and the end are the same,
//! what is kept is bounded, and every message can be framed again. The first
//! byte chooses the framing, the second the limit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_wire::coding::Coding;
use netloom_wire::framing::{Decoder, Framing};

fuzz_target!(|input: (u8, u8, Vec<u8>, Vec<u8>)| {
    let (chosen, limit, stream, cuts) = input;
    // `none` has no borders that a cut could keep.
    let framing = Framing::ALL[1 + usize::from(chosen) % (Framing::ALL.len() - 1)];
    let limit = usize::from(limit).max(1);
    let whole = decoded(framing, limit, &stream, [stream.len()]);
    let pieces = decoded(framing, limit, &stream, cuts.into_iter().map(usize::from));
    assert_eq!(whole, pieces);
    for message in &whole.0 {
        assert!(message.len() <= limit);
        assert!(!Coding::MsgPack.show(message).contains('\n'));
        let mut again = Vec::new();
        let Ok(frame) = framing.frame(message) else {
            // Of two `\r` before the `\n` one is the end's; said again it would be both.
            assert!(matches!(framing, Framing::Lines | Framing::Json) && message.ends_with(b"\r"));
            continue;
        };
        frame.write_to(&mut again);
        let (back, end) = decoded(framing, limit, &again, [again.len()]);
        assert_eq!((&back[..], &*end), (&[message.clone()][..], "well"));
    }
});

/// The messages, and how the stream ended.
fn decoded(
    framing: Framing,
    limit: usize,
    mut stream: &[u8],
    cuts: impl IntoIterator<Item = usize>,
) -> (Vec<Vec<u8>>, String) {
    let mut decoder = Decoder::new(framing, limit);
    let mut seen = Vec::new();
    let mut cuts = cuts.into_iter();
    while !stream.is_empty() {
        let cut = cuts.next().unwrap_or(stream.len()).clamp(1, stream.len());
        let (head, tail) = stream.split_at(cut);
        if let Err(error) = decoder.feed(head, |message| seen.push(message.to_vec())) {
            return (seen, error.to_string());
        }
        assert!(decoder.held() <= limit + 32);
        stream = tail;
    }
    let end = decoder
        .end()
        .map_or_else(|p| p.to_string(), |()| "well".to_owned());
    (seen, end)
}
