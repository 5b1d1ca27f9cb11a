use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::framing::Framing;

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 20, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::from),
            vec((".{0,6}", inner), 0..20)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

#[test]
fn base64_has_the_vectors_of_rfc_4648() {
    for (plain, coded) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(Coding::Base64.show(plain.as_bytes()), coded);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_shown_and_read_back(bytes: Vec<u8>) {
        for coding in [Coding::Text, Coding::Hex, Coding::Base64] {
            let shown = coding.show(&bytes);
            prop_assert!(!shown.contains('\n'));
            prop_assert_eq!(coding.read(&shown).unwrap(), &*bytes);
        }
    }

    #[test]
    fn any_bytes_are_shown_in_every_coding(bytes: Vec<u8>) {
        for coding in Coding::ALL {
            let shown = coding.show(&bytes);
            let plain = |c: char| !c.is_control() || (c == '\n' && coding == Coding::Hexdump) || c == '\t';
            prop_assert!(shown.chars().all(plain), "{coding}: {shown:?}");
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text: String) {
        for coding in Coding::ALL {
            if let Err(error) = coding.read(&text) {
                prop_assert!(error.span.start <= text.len(), "{coding}: {error}");
            }
        }
    }

    #[test]
    fn json_goes_through_messagepack(value in values()) {
        let bytes = Coding::MsgPack.read(&value.to_string()).unwrap();
        prop_assert!(Framing::MsgPack.frame(&bytes).is_ok());
        let back: Value = serde_json::from_str(&Coding::MsgPack.show(&bytes)).unwrap();
        prop_assert_eq!(back, value);
    }
}

#[test]
fn messagepack_is_as_short_as_can_be() {
    for (text, bytes) in [
        ("127", &b"\x7f"[..]),
        ("128", b"\xcc\x80"),
        ("65536", b"\xce\x00\x01\x00\x00"),
        ("-32", b"\xe0"),
        ("-33", b"\xd0\xdf"),
        ("-129", b"\xd1\xff\x7f"),
        ("1.5", b"\xcb\x3f\xf8\0\0\0\0\0\0"),
        ("[null,false,\"é\"]", b"\x93\xc0\xc2\xa2\xc3\xa9"),
        ("{\"b\":1,\"a\":{}}", b"\x82\xa1b\x01\xa1a\x80"),
    ] {
        assert_eq!(Coding::MsgPack.read(text).unwrap(), bytes, "{text}");
        assert_eq!(Coding::MsgPack.show(bytes), text);
    }
    let long = json!("x".repeat(300)).to_string();
    assert_eq!(Coding::MsgPack.read(&long).unwrap()[..3], [0xda, 1, 44]);
    let text = json!("x".repeat(40)).to_string();
    assert_eq!(Coding::MsgPack.read(&text).unwrap()[..2], [0xd9, 40]);
    let many = json!(vec![0; 16]).to_string();
    assert_eq!(Coding::MsgPack.read(&many).unwrap()[..3], [0xdc, 0, 16]);
}

#[test]
fn what_json_lacks_is_shown_in_its_words() {
    for (bytes, text) in [
        (&b"\xc4\x02\x00\xff"[..], r#"{"base64":"AP8="}"#),
        (b"\xd4\xff\x01", r#"{"ext":-1,"base64":"AQ=="}"#),
        (b"\x81\x01\xc3", r#"{"1":true}"#),
        (b"\xca\x3d\xcc\xcc\xcd", "0.1"),
        (b"\xcb\x7f\xf0\0\0\0\0\0\0", r#""inf""#),
        // Not one value: as it came.
        (b"\x01\x02", r"\x01\x02"),
        (b"\xdd\xff\xff\xff\xff", r"\xdd\xff\xff\xff\xff"),
        (b"\x81\x81\x01\x02\x03", r"\x81\x81\x01\x02\x03"),
    ] {
        assert_eq!(Coding::MsgPack.show(bytes), text);
    }
}

#[test]
fn a_person_sees_where_a_text_is_wrong() {
    for (coding, text, at, why) in [
        (Coding::Hex, "de ad bx", 7, "no hexadecimal digit"),
        (Coding::Hex, "de a d", 3, "two hexadecimal digits"),
        (Coding::Hex, "0xd", 2, "two hexadecimal digits"),
        (Coding::Base64, "ab!=", 2, "no base64"),
        (Coding::Text, r"a\q", 1, "known escapes"),
        (Coding::Json, r#"{"a" 1}"#, 5, "no JSON value: expected"),
        (Coding::MsgPack, "[1,", 2, "no JSON value: eof"),
    ] {
        let error = coding.read(text).unwrap_err();
        assert_eq!(error.span.start, at, "{text}: {error}");
        assert!(error.to_string().contains(why), "{text}: {error}");
    }
    assert_eq!(Coding::Hex.read("0xDE:ad, be").unwrap_err().span, 7..8);
    assert_eq!(
        Coding::Hex.read("0xde 0xAD:be ef").unwrap(),
        b"\xde\xad\xbe\xef"
    );
}

#[test]
fn a_dump_reads_as_people_know_it() {
    let shown = Coding::Hexdump.show(b"hello, world\r\n\0\xff+");
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(
        lines,
        [
            "00000000  68 65 6c 6c 6f 2c 20 77  6f 72 6c 64 0d 0a 00 ff  |hello, world....|",
            "00000010  2b                                                |+|",
        ]
    );
}

#[test]
fn what_a_terminal_would_obey_is_not_shown() {
    assert_eq!(Coding::Utf8.show(b"a\x1b[31m\xff"), "a\u{fffd}[31m\u{fffd}");
    assert_eq!(Coding::Json.show("\"\u{9b}\"".as_bytes()), r#""\u009b""#);
    assert_eq!(Coding::Json.show(b"{\n  \"a\": 1\n}"), r#"{   "a": 1 }"#);
    assert_eq!(Coding::MsgPack.show(b"\xa1\x1b"), r#""\u001b""#);
}
