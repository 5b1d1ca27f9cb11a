//! Lines: however the stream is cut, the lines are the same, and what is kept
//! is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_wire::lines::Lines;

const LONGEST: usize = 32;

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (stream, cuts) = input;
    let whole = split(&stream, [stream.len()]);
    let pieces = split(&stream, cuts.into_iter().map(usize::from));
    assert_eq!(whole, pieces);
});

/// The lines, and whether one was too long, of a stream cut so.
fn split(mut stream: &[u8], cuts: impl IntoIterator<Item = usize>) -> (Vec<Vec<u8>>, bool) {
    let mut lines = Lines::new(LONGEST);
    let mut seen = Vec::new();
    let mut cuts = cuts.into_iter();
    while !stream.is_empty() {
        let cut = cuts.next().unwrap_or(stream.len()).clamp(1, stream.len());
        let (head, tail) = stream.split_at(cut);
        if lines.feed(head, |line| seen.push(line.to_vec())).is_err() {
            return (seen, true);
        }
        assert!(lines.rest().len() <= LONGEST + 1);
        stream = tail;
    }
    (seen, false)
}
