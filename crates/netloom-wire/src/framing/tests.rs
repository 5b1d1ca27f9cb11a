//! What every framing holds, and what each alone does.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 300;

type Seen = (Vec<Vec<u8>>, Result<Result<(), Partial>, FrameError>);

/// Everything a decoder says of a stream cut so.
fn decoded(framing: Framing, limit: usize, stream: &[u8], cuts: &[usize]) -> Seen {
    let mut decoder = Decoder::new(framing, limit);
    let mut seen = Vec::new();
    let mut left = stream;
    let mut cuts = cuts.iter();
    while !left.is_empty() {
        let cut = cuts
            .next()
            .map_or(left.len(), |cut| (*cut).clamp(1, left.len()));
        let (head, tail) = left.split_at(cut);
        if let Err(error) = decoder.feed(head, |message| seen.push(message.to_vec())) {
            return (seen, Err(error));
        }
        assert!(decoder.held() <= limit + 32, "{} held", decoder.held());
        left = tail;
    }
    (seen, Ok(decoder.end()))
}

/// What the decoder said, without the bytes that tell it to people: how many
/// of those there are depends on the reads.
fn plainly((seen, end): Seen) -> (Vec<Vec<u8>>, String) {
    let end = match end {
        Ok(Ok(())) => "well".to_owned(),
        Ok(Err(partial)) => format!("{partial}, after {}", partial.before),
        Err(error) => format!("{error}, after {}", error.before),
    };
    (seen, end)
}

fn bordered() -> impl Strategy<Value = Framing> {
    // `none` has no borders that a cut could keep.
    proptest::sample::select(&Framing::ALL[1..])
}

/// A message that `framing` can say.
fn sayable(framing: Framing, raw: &[u8]) -> Vec<u8> {
    use crate::coding::Coding;

    let text = || crate::escape::escape(raw).replace(['\n', '\r'], " ");
    let json = || format!("[{},{:?}]", raw.len(), Coding::Hex.show(raw));
    match framing {
        Framing::Lines | Framing::Crlf => text().into_bytes(),
        Framing::Json => json().into_bytes(),
        Framing::MsgPack => Coding::MsgPack.read(&json()).unwrap(),
        _ => raw.to_vec(),
    }
}

proptest! {
    #[test]
    fn what_is_framed_comes_out_however_it_is_cut(
        framing in bordered(),
        messages in vec(vec(any::<u8>(), 0..60), 0..8),
        cuts in vec(1usize..40, 0..80),
    ) {
        let messages: Vec<Vec<u8>> = messages.iter().map(|raw| sayable(framing, raw)).collect();
        let mut stream = Vec::new();
        for message in &messages {
            framing.frame(message).unwrap().write_to(&mut stream);
        }
        let (seen, end) = decoded(framing, LIMIT, &stream, &cuts);
        prop_assert_eq!(seen, messages);
        prop_assert_eq!(end, Ok(Ok(())));
    }

    #[test]
    fn cuts_do_not_matter_whatever_comes(
        framing in bordered(),
        stream in vec(prop_oneof![any::<u8>(), proptest::sample::select(&b"\r\n:,0159[]{}\x00\x01\x92\xa2"[..])], 0..120),
        cuts in vec(1usize..9, 0..120),
        limit in 1usize..40,
    ) {
        let whole = plainly(decoded(framing, limit, &stream, &[]));
        let cut = plainly(decoded(framing, limit, &stream, &cuts));
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn what_can_be_framed_is_read_back(framing in bordered(), message in vec(any::<u8>(), 0..300)) {
        let Ok(frame) = framing.frame(&message) else { return Ok(()) };
        let mut stream = Vec::new();
        frame.write_to(&mut stream);
        prop_assert_eq!(stream.len(), frame.len());
        let (seen, end) = decoded(framing, LIMIT, &stream, &[]);
        prop_assert_eq!(seen, [message]);
        prop_assert_eq!(end, Ok(Ok(())));
    }

    #[test]
    fn every_beginning_of_a_frame_is_a_part_of_it(framing in bordered(), raw in vec(any::<u8>(), 1..60)) {
        let message = sayable(framing, &raw);
        let mut stream = Vec::new();
        framing.frame(&message).unwrap().write_to(&mut stream);
        for cut in 1..stream.len() {
            let (seen, end) = decoded(framing, LIMIT, &stream[..cut], &[]);
            let partial = end.unwrap().unwrap_err();
            prop_assert!(seen.is_empty());
            // A netstring without its comma is not whole though all its bytes are.
            prop_assert!(partial.want.is_none_or(|want| partial.have < want || framing == Framing::Netstring));
        }
    }

    #[test]
    fn one_byte_more_than_the_limit_is_refused(framing in bordered(), raw in vec(any::<u8>(), 2..60)) {
        let message = sayable(framing, &raw);
        let mut stream = Vec::new();
        framing.frame(&message).unwrap().write_to(&mut stream);
        let (seen, end) = decoded(framing, message.len(), &stream, &[3]);
        prop_assert_eq!((seen, end), (vec![message.clone()], Ok(Ok(()))));
        let (seen, end) = decoded(framing, message.len() - 1, &stream, &[3]);
        prop_assert!(seen.is_empty());
        prop_assert!(matches!(end.unwrap_err().wrong, Wrong::TooLarge(_)));
    }
}

/// A header that announces more than the limit is all it takes.
#[test]
fn a_frame_above_the_limit_is_refused_by_its_header_alone() {
    for (framing, header, size) in [
        (Framing::Len8, &b"\xff"[..], Some(255)),
        (Framing::Len16, b"\x01\x00", Some(256)),
        (Framing::Len16Le, b"\x00\x01", Some(256)),
        (Framing::Len32, b"\xff\xff\xff\xff", Some(0xffff_ffff)),
        (Framing::Len32Le, b"\x00\x00\x00\x80", Some(0x8000_0000)),
        (Framing::Varint, b"\x80\x80\x01", Some(16384)),
        (
            Framing::Varint,
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            Some(u64::MAX),
        ),
        (Framing::Netstring, b"1000:", Some(1000)),
        (Framing::Netstring, b"99999999999999999999", None),
        (Framing::MsgPack, b"\xdb\x7f\xff\xff\xff", Some(0x8000_0004)),
        (Framing::MsgPack, b"\xdd\xff\xff\xff\xff", None),
        (Framing::MsgPack, b"\xdf\xff\xff\xff\xff", None),
        (Framing::MsgPack, b"\x92\xc6\x00\x01\x00\x00", None),
    ] {
        for cuts in [&[][..], &[1; 20]] {
            let (_, end) = decoded(framing, 100, header, cuts);
            let error = end.expect_err(framing.name());
            assert_eq!(error.wrong, Wrong::TooLarge(size), "{framing}");
            assert_eq!((error.limit, error.before), (100, 0), "{framing}");
            assert!(!error.first.is_empty() && header.starts_with(&error.first));
        }
    }
}

#[test]
fn the_end_inside_a_frame_tells_both_sizes() {
    for (framing, stream, have, want, in_header) in [
        (Framing::Lines, &b"one\ntw"[..], 2, None, false),
        (Framing::Crlf, b"one\r\ntwo\n", 4, None, false),
        (Framing::Json, b"1\n[2", 2, None, false),
        (Framing::Len8, b"\x01a\x09bc", 2, Some(9), false),
        (Framing::Len16, b"\x00\x01a\x01", 1, Some(2), true),
        (
            Framing::Len32,
            b"\x00\x00\x00\x01a\x00\x00\x00\x2cbcd",
            3,
            Some(44),
            false,
        ),
        (
            Framing::Len32,
            b"\x00\x00\x00\x01a\x00\x00\x00\x2c",
            0,
            Some(44),
            false,
        ),
        (Framing::Varint, b"\x01a\xac", 1, None, true),
        (Framing::Varint, b"\x01a\xac\x02b", 1, Some(300), false),
        (Framing::Netstring, b"1:a,1", 1, None, true),
        (Framing::Netstring, b"1:a,12:abc", 3, Some(12), false),
        (Framing::MsgPack, b"\x01\xa5abc", 4, Some(6), false),
        (Framing::MsgPack, b"\x01\x92\x01", 2, None, false),
    ] {
        let (seen, end) = decoded(framing, LIMIT, stream, &[]);
        let partial = end.unwrap().expect_err(framing.name());
        assert_eq!(seen.len(), 1, "{framing}");
        let told = (partial.have, partial.want, partial.in_header);
        assert_eq!(told, (have, want, in_header), "{framing}");
        assert_eq!(partial.before, 1);
        assert!(stream.ends_with(&partial.first), "{framing}");
    }
}

#[test]
fn lines_end_as_lines_do() {
    let (seen, _) = decoded(Framing::Lines, LIMIT, b"a\r\nb\n\nc\rd\n", &[2, 1]);
    assert_eq!(seen, [&b"a"[..], b"b", b"", b"c\rd"]);
    let (seen, _) = decoded(Framing::Crlf, LIMIT, b"a\r\nb\nc\r\n\r\n\r\r\n", &[2, 1]);
    assert_eq!(seen, [&b"a"[..], b"b\nc", b"", b"\r"]);
    let (seen, end) = decoded(Framing::Json, LIMIT, b"{}\n\n \t\r\n 1 \r\n", &[1, 1, 1]);
    assert_eq!(seen, [&b"{}"[..], b" 1 "]);
    assert_eq!(end, Ok(Ok(())));
}

#[test]
fn what_is_not_of_the_framing_is_refused() {
    for (framing, stream) in [
        (Framing::Json, &b"{\"a\":}\n"[..]),
        (Framing::Json, b"1 2\n"),
        (Framing::Json, b"\"\xff\"\n"),
        (Framing::Netstring, b"5;hello,"),
        (Framing::Netstring, b":,"),
        (Framing::Netstring, b"05:hello,"),
        (Framing::Netstring, b"5:hello;"),
        (Framing::Netstring, b" 5:hello,"),
        (Framing::Varint, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
        (
            Framing::Varint,
            b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        ),
        (Framing::MsgPack, b"\xc1"),
        (Framing::MsgPack, &[0x91; 200]),
    ] {
        for cuts in [&[][..], &[1; 200]] {
            let (_, end) = decoded(framing, LIMIT, stream, cuts);
            assert!(
                matches!(end.unwrap_err().wrong, Wrong::Malformed(_)),
                "{framing}"
            );
        }
    }
    let mut decoder = Decoder::new(Framing::Netstring, 10);
    let first = decoder.feed(b"x", |_| ()).unwrap_err();
    assert_eq!(
        decoder.feed(b"1:a,", |_| ()),
        Err(first),
        "the stream has lost its meaning"
    );
}

#[test]
fn a_length_may_be_said_in_more_bytes_than_it_needs() {
    let (seen, end) = decoded(Framing::Varint, LIMIT, b"\x83\x80\x00abc\x80\x00", &[]);
    assert_eq!((seen, end), (vec![b"abc".to_vec(), Vec::new()], Ok(Ok(()))));
}

#[test]
fn every_kind_of_messagepack_value_has_its_end() {
    for (bytes, size) in [
        (&b"\xc4\x02ab"[..], 4),
        (b"\xc5\x00\x02ab", 5),
        (b"\xc6\x00\x00\x00\x02ab", 7),
        (b"\xc7\x02\x01ab", 5),
        (b"\xc8\x00\x02\x01ab", 6),
        (b"\xc9\x00\x00\x00\x02\x01ab", 8),
        (b"\xca1234", 5),
        (b"\xcb12345678", 9),
        (b"\xcc1", 2),
        (b"\xcd12", 3),
        (b"\xce1234", 5),
        (b"\xcf12345678", 9),
        (b"\xd01", 2),
        (b"\xd112", 3),
        (b"\xd21234", 5),
        (b"\xd312345678", 9),
        (b"\xd4t1", 3),
        (b"\xd5t12", 4),
        (b"\xd6t1234", 6),
        (b"\xd7t12345678", 10),
        (b"\xd8t1234567812345678", 18),
        (b"\xd9\x01a", 3),
        (b"\xda\x00\x01a", 4),
        (b"\xdb\x00\x00\x00\x01a", 6),
        (b"\xdc\x00\x02\xc0\xc0", 5),
        (b"\xdd\x00\x00\x00\x02\xc0\xc0", 7),
        (b"\xde\x00\x01\xc0\x90", 5),
        (b"\xdf\x00\x00\x00\x01\xc0\x80", 7),
        (b"\x82\xa1a\x92\x01\x02\xa1b\x80", 9),
    ] {
        assert_eq!(bytes.len(), size);
        // A second value tells whether the first ended where it should.
        let stream = [bytes, b"\x2a"].concat();
        for cuts in [&[][..], &[1; 30]] {
            let (seen, end) = decoded(Framing::MsgPack, size, &stream, cuts);
            assert_eq!(
                (seen, end),
                (vec![bytes.to_vec(), vec![0x2a]], Ok(Ok(()))),
                "{bytes:x?}"
            );
        }
    }
}

#[test]
fn what_cannot_be_said_is_refused() {
    for (framing, message, why) in [
        (
            Framing::Lines,
            &b"a\nb"[..],
            "a line cannot hold a line break",
        ),
        (Framing::Lines, b"a\r", "a line cannot end in"),
        (Framing::Crlf, b"a\r\nb", "a line cannot hold"),
        (Framing::Json, b"{", "it is no JSON value"),
        (Framing::Json, b" ", "nothing is no JSON value"),
        (Framing::Json, b"[1,\n2]", "cannot hold a line break"),
        (
            Framing::MsgPack,
            b"\x01\x02",
            "it is not one MessagePack value",
        ),
        (Framing::MsgPack, b"", "it is not one MessagePack value"),
        (
            Framing::Len8,
            &[0; 256],
            "256 bytes cannot be said in len8: 255 are the most",
        ),
        (Framing::Len16Le, &vec![0; 65536], "65535 are the most"),
    ] {
        let told = framing.frame(message).unwrap_err().to_string();
        assert!(told.contains(why), "{framing}: {told}");
    }
    assert!(Framing::Crlf.frame(b"a\nb\r").is_ok());
}

#[test]
fn a_message_that_lies_whole_in_a_read_is_not_copied() {
    let read = b"\0\x03one\0\x03two\0";
    let mut decoder = Decoder::new(Framing::Len16, 100);
    let mut input = &read[..];
    let message = decoder.frame(&mut input).unwrap().unwrap();
    assert!(std::ptr::eq(message.as_ptr(), &raw const read[2]));
    assert_eq!(decoder.frame(&mut input).unwrap(), Some(&b"two"[..]));
    assert_eq!((decoder.held(), decoder.is_inside()), (0, false));
    assert_eq!(decoder.frame(&mut input).unwrap(), None);
    assert_eq!((decoder.held(), decoder.is_inside()), (1, true));
}

#[test]
fn what_was_held_is_given_back_at_rest() {
    let mut decoder = Decoder::new(Framing::Len32, 1 << 20);
    let mut stream = Vec::new();
    Framing::Len32
        .frame(&vec![7; 100_000])
        .unwrap()
        .write_to(&mut stream);
    for mut read in stream.chunks(1000) {
        let found = decoder.frame(&mut read).unwrap();
        assert!(found.is_none_or(|message| message.len() == 100_000));
    }
    assert_eq!((decoder.held(), decoder.messages()), (0, 1));
    assert!(decoder.room() >= 100_000);
    decoder.rest();
    assert_eq!(decoder.room(), 0);
}

#[test]
fn no_framing_gives_what_reads_bring() {
    let (seen, end) = decoded(Framing::None, 4, b"abcdefg", &[2]);
    assert_eq!(
        (seen, end),
        (
            vec![b"ab".to_vec(), b"cdef".to_vec(), b"g".to_vec()],
            Ok(Ok(()))
        )
    );
}

#[test]
fn names_are_read_back_and_the_nearest_is_told() {
    for framing in Framing::ALL {
        assert_eq!(framing.name().parse(), Ok(framing));
        assert_eq!(
            framing.swapped().and_then(Framing::swapped),
            framing.swapped().map(|_| framing)
        );
    }
    let told = "linse".parse::<Framing>().unwrap_err().to_string();
    assert!(
        told.starts_with("no such framing: `linse`; there are none, lines, crlf"),
        "{told}"
    );
    assert!(told.ends_with("(nearest: `lines`)"), "{told}");
    assert_eq!(
        "Len32".parse::<Framing>().unwrap_err().nearest,
        Some("len32")
    );
}
