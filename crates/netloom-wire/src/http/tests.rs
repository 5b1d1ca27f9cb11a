//! What is written and what is read.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Option<(Head, usize)>, HeadError> {
    Head::read(text.as_bytes())
}

fn head(text: &str) -> Head {
    read(text).unwrap().unwrap().0
}

#[test]
fn nothing_that_is_put_in_can_begin_another_header() {
    for bad in [
        "a\r\nx: y",
        "a\nb",
        "a\rb",
        "a\0b",
        "\u{7f}",
        "ü",
        " a",
        "a\t",
    ] {
        let request = Request::new("GET", "/").unwrap();
        assert_eq!(request.header("host", bad).unwrap_err(), Unwritable::Value);
        let request = Request::new("GET", "/").unwrap();
        assert_eq!(request.header(bad, "host").unwrap_err(), Unwritable::Name);
        assert_eq!(Request::new(bad, "/").unwrap_err(), Unwritable::Method);
        let target = format!("/{bad}/");
        assert_eq!(
            Request::new("GET", &target).unwrap_err(),
            Unwritable::Target
        );
        assert!(Request::new("GET", &in_target(&target)).is_ok());
    }
    assert!(Request::new("GET", "").is_err());
    assert!(
        Request::new("GET", "/")
            .unwrap()
            .header("a:b", "c")
            .is_err()
    );
}

#[test]
fn a_password_is_written_as_rfc_7617_has_it() {
    assert_eq!(
        basic("Aladdin", "open sesame"),
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    );
}

#[test]
fn a_head_is_read_with_or_without_its_reason() {
    let text = "HTTP/1.1 404 Not Found\r\nServer: x\r\nVia:\t1.1 a \r\nvia: 1.0 b\r\n\r\nbody";
    let (found, length) = read(text).unwrap().unwrap();
    assert_eq!(&text[length..], "body");
    assert_eq!(found.status_line(), "HTTP/1.1 404 Not Found");
    assert_eq!(found.headers.get("server"), Some("x"));
    assert_eq!(
        found.headers.all("via").collect::<Vec<_>>(),
        ["1.1 a", "1.0 b"]
    );
    assert_eq!(head("HTTP/1.0 200\r\n\r\n").status_line(), "HTTP/1.0 200");
    assert_eq!(head("HTTP/1.1 200 \r\n\r\n").reason, "");
    assert!(head("HTTP/1.1 103 Early Hints\r\n\r\n").is_interim());
    assert!(!head("HTTP/1.1 101 Switching Protocols\r\n\r\n").is_interim());
}

#[test]
fn words_in_a_list_are_found_however_they_are_written() {
    let head = head("HTTP/1.1 101 x\r\nConnection: keep-alive , UPGRADE\r\n\r\n");
    assert!(head.headers.lists("connection", "upgrade"));
    assert!(!head.headers.lists("connection", "up"));
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for (text, error) in [
        ("SSH-2.0-x\r\n", HeadError::NotHttp),
        ("HTTP/2 200\r\n\r\n", HeadError::NotHttp),
        ("HTTP/1.1 42 x\r\n\r\n", HeadError::StatusLine),
        ("HTTP/1.1 042 x\r\n\r\n", HeadError::StatusLine),
        ("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", HeadError::Name),
        ("HTTP/1.1 200 OK\r\na : b\r\n\r\n", HeadError::Name),
        ("HTTP/1.1 200 OK\r\n: b\r\n\r\n", HeadError::Name),
        ("HTTP/1.1 200 OK\r\na: b\rc: d\r\n\r\n", HeadError::Value),
        ("HTTP/1.1 200 OK\r\na: b\0\r\n\r\n", HeadError::Value),
    ] {
        assert_eq!(read(text).unwrap_err(), error, "{text:?}");
    }
    let many = "HTTP/1.1 200 OK\r\n".to_owned() + &"a: b\r\n".repeat(MOST_HEADERS + 1) + "\r\n";
    assert_eq!(read(&many).unwrap_err(), HeadError::TooMany);
    let long = "HTTP/1.1 200 OK\r\na: ".to_owned() + &"b".repeat(LONGEST_HEAD);
    assert_eq!(read(&long).unwrap_err(), HeadError::TooLong);
    let late = format!("{long}\r\n\r\n");
    assert_eq!(read(&late).unwrap_err(), HeadError::TooLong);
}

#[test]
fn a_body_ends_where_rfc_9112_says() {
    let of = |method: &str, text: &str| length(method, &head(&format!("HTTP/1.1 {text}\r\n\r\n")));
    for (method, text, found) in [
        ("GET", "204 x", Length::None),
        ("GET", "304 x\r\ncontent-length: 9", Length::None),
        ("HEAD", "200 x\r\ncontent-length: 9", Length::None),
        ("GET", "200 x\r\ncontent-length: 0", Length::None),
        ("GET", "200 x\r\ncontent-length: 9", Length::Exactly(9)),
        (
            "GET",
            "200 x\r\ncontent-length: 9\r\ncontent-length: 9",
            Length::Exactly(9),
        ),
        (
            "GET",
            "200 x\r\ntransfer-encoding: gzip, Chunked",
            Length::Chunked,
        ),
        (
            "GET",
            "200 x\r\ntransfer-encoding: gzip",
            Length::UntilClose,
        ),
        ("GET", "200 x", Length::UntilClose),
    ] {
        assert_eq!(of(method, text), Ok(found), "{text}");
    }
    for text in [
        "200 x\r\ncontent-length: 9, 9",
        "200 x\r\ncontent-length: +9",
        "200 x\r\ncontent-length: -1",
        "200 x\r\ncontent-length:",
        "200 x\r\ncontent-length: 9\r\ncontent-length: 8",
        "200 x\r\ncontent-length: 99999999999999999999",
    ] {
        assert_eq!(of("GET", text), Err(Ambiguous::Length), "{text}");
    }
    let both = "200 x\r\ncontent-length: 9\r\ntransfer-encoding: chunked";
    assert_eq!(of("GET", both), Err(Ambiguous::Both));
}

#[test]
fn chunks_are_put_together_and_bad_ones_end_it() {
    let read = |raw: &str| beginning(Length::Chunked, raw.as_bytes());
    let whole = read("4;a=b\r\nWiki\r\n5 \r\npedia\r\n0\r\nx: y\r\n\r\n");
    assert_eq!(whole.bytes, b"Wikipedia");
    assert!(whole.whole && !whole.broken);
    let part = read("4\r\nWi");
    assert_eq!(
        (&*part.bytes, part.whole, part.broken),
        (&b"Wi"[..], false, false)
    );
    for bad in [
        "x\r\n",
        "-1\r\n",
        "\r\n",
        "4\r\nWikix\r\n",
        "ffffffffffffffffff\r\n",
    ] {
        assert!(read(bad).broken, "{bad:?}");
    }
    assert!(read(&"1".repeat(2000)).broken);
}

proptest! {
    #[test]
    fn no_bytes_stop_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut text = b"HTTP/1.1 200 OK\r\n".to_vec();
        text.extend(&bytes);
        for bytes in [&bytes, &text] {
            if let Ok(Some((head, used))) = Head::read(bytes) {
                prop_assert!(used <= bytes.len());
                let _ = length("GET", &head).map(|length| beginning(length, &bytes[used..]));
            }
        }
        let _ = beginning(Length::Chunked, &bytes);
    }

    #[test]
    fn what_was_cut_anywhere_is_never_read_as_something_else(cut in 0usize..67) {
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nserver: x\r\nvia: 1.1 a (b)\r\n\r\n";
        prop_assert_eq!(read(&text[..cut.min(text.len() - 1)]), Ok(None));
    }

    #[test]
    fn headers_come_back_as_they_were_written(value in "[!-~]([ -~]{0,40}[!-~])?") {
        let request = Request::new("GET", "/").unwrap().header("x-a", &value).unwrap();
        let text = String::from_utf8(request.bytes()).unwrap();
        let answer = text.replacen("GET / HTTP/1.1", "HTTP/1.1 200 OK", 1);
        let head = head(&answer);
        prop_assert_eq!(head.headers.iter().collect::<Vec<_>>(), [("x-a", &*value)]);
    }

    #[test]
    fn chunks_are_the_bytes_they_were_made_of(
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..8)
    ) {
        let mut raw = Vec::new();
        for part in &parts {
            raw.extend(format!("{:x}\r\n", part.len()).bytes());
            raw.extend(part);
            raw.extend(b"\r\n");
        }
        raw.extend(b"0\r\n\r\n");
        let read = beginning(Length::Chunked, &raw);
        prop_assert!(read.whole && !read.broken);
        prop_assert_eq!(read.bytes, parts.concat());
    }
}
