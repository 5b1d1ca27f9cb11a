//! What a proxy answers: however it is cut, it ends the same, and what is kept
//! of it is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_wire::socks::{Dialogue, LONGEST_HEAD, Login, Next, Protocol, Refusal, Target};

fuzz_target!(|input: (u8, Vec<u8>, Vec<u8>)| {
    let (which, stream, cuts) = input;
    let whole = end(which, &stream, [stream.len()]);
    let pieces = end(which, &stream, cuts.into_iter().map(usize::from));
    assert_eq!(whole, pieces);
});

/// How it ends for an answer cut so.
fn end(
    which: u8,
    mut stream: &[u8],
    cuts: impl IntoIterator<Item = usize>,
) -> Option<Result<Vec<u8>, Refusal>> {
    let protocol = match which & 3 {
        0 => Protocol::Socks5,
        1 => Protocol::Socks4a,
        _ => Protocol::Connect,
    };
    let login = (which & 4 != 0).then(|| Login {
        user: "bob".to_owned(),
        password: String::new(),
    });
    let target = Target::Name("example.org".to_owned(), 443);
    let (mut dialogue, _) = Dialogue::begin(protocol, &target, login.as_ref()).ok()?;
    let mut cuts = cuts.into_iter();
    while !stream.is_empty() {
        let cut = cuts.next().unwrap_or(stream.len()).clamp(1, stream.len());
        let (head, tail) = stream.split_at(cut);
        stream = tail;
        let mut next = dialogue.hear(head);
        while let Ok(Next::Say(_)) = next {
            next = dialogue.hear(&[]);
        }
        match next {
            Ok(Next::Through(behind)) => return Some(Ok([&behind, stream].concat())),
            Err(refusal) => return Some(Err(refusal)),
            Ok(_) => assert!(dialogue.heard().len() < LONGEST_HEAD + cut),
        }
    }
    None
}
