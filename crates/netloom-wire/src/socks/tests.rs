use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

fn name(text: &str, port: u16) -> Target {
    Target::Name(text.to_owned(), port)
}

fn at(text: &str) -> Target {
    Target::Address(text.parse::<SocketAddr>().unwrap())
}

fn login(user: &str, password: &str) -> Login {
    Login {
        user: user.to_owned(),
        password: password.to_owned(),
    }
}

fn begin(protocol: Protocol, target: &Target, login: Option<&Login>) -> (Dialogue, Vec<u8>) {
    Dialogue::begin(protocol, target, login).unwrap()
}

/// Socks5 up to its reply.
fn asked() -> Dialogue {
    let (mut dialogue, _) = begin(Protocol::Socks5, &name("db", 5432), None);
    assert!(matches!(dialogue.hear(b"\x05\x00"), Ok(Next::Say(_))));
    dialogue
}

#[test]
fn socks5_with_a_name_and_without_a_login() {
    let (mut dialogue, first) = begin(Protocol::Socks5, &name("db", 5432), None);
    assert_eq!(first, b"\x05\x01\x00");
    assert_eq!(dialogue.hear(b"\x05"), Ok(Next::Hear));
    let request = b"\x05\x01\x00\x03\x02db\x15\x38".to_vec();
    assert_eq!(dialogue.hear(b"\x00"), Ok(Next::Say(request)));
    let reply = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38220 hi";
    assert_eq!(
        dialogue.hear(reply),
        Ok(Next::Through(b"220 hi".to_vec())),
        "what follows the reply belongs to the conversation"
    );
}

#[test]
fn socks5_with_a_login_and_every_form_of_address() {
    let bob = login("bob", "pw");
    let (mut dialogue, first) = begin(Protocol::Socks5, &at("[2001:db8::1]:80"), Some(&bob));
    assert_eq!(first, b"\x05\x02\x00\x02");
    let said = b"\x01\x03bob\x02pw".to_vec();
    assert_eq!(dialogue.hear(b"\x05\x02"), Ok(Next::Say(said)));
    let Ok(Next::Say(request)) = dialogue.hear(b"\x01\x00") else {
        panic!("it was let in")
    };
    assert_eq!(request[..4], *b"\x05\x01\x00\x04");
    assert_eq!((request.len(), &request[20..]), (22, &b"\x00\x50"[..]));
    for reply in [
        &b"\x05\x00\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50"[..],
        b"\x05\x00\x00\x03\x02db\x00\x50",
        b"\x05\x00\x00\x03\x00\x00\x50",
    ] {
        assert_eq!(asked().hear(reply), Ok(Next::Through(Vec::new())));
    }
    let (_, request) = {
        let (mut dialogue, _) = begin(Protocol::Socks5, &at("192.0.2.1:80"), None);
        let Ok(Next::Say(request)) = dialogue.hear(b"\x05\x00") else {
            panic!("it was let in")
        };
        (dialogue, request)
    };
    assert_eq!(request, b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50");
}

#[test]
fn socks5_refuses_in_its_own_words() {
    for (code, words) in [
        (1, "1 general failure"),
        (2, "2 connection not allowed by the ruleset"),
        (4, "4 host unreachable"),
        (5, "5 connection refused"),
        (6, "6 TTL expired"),
        (99, "99"),
    ] {
        // Some proxies close before they have said the address.
        let refusal = asked().hear(&[5, code]).unwrap_err();
        assert_eq!(refusal.to_string(), words);
        assert_eq!(refusal.is_denial(), code == 2);
    }
    let (mut dialogue, _) = begin(Protocol::Socks5, &name("db", 1), None);
    let refusal = dialogue.hear(b"\x05\xff").unwrap_err();
    assert_eq!(refusal.to_string(), "it wants a login, and none was given");
    assert!(refusal.is_denial());
    let bob = login("bob", "no");
    let (mut dialogue, _) = begin(Protocol::Socks5, &name("db", 1), Some(&bob));
    dialogue.hear(b"\x05\x02").unwrap();
    assert_eq!(
        dialogue.hear(b"\x01\x01").unwrap_err(),
        Refusal::WrongLogin(1)
    );
}

#[test]
fn a_method_that_was_not_offered_is_no_answer() {
    let (mut dialogue, _) = begin(Protocol::Socks5, &name("db", 1), None);
    assert_eq!(dialogue.hear(b"\x05\x02"), Err(Refusal::OtherProtocol));
    let (mut dialogue, _) = begin(Protocol::Socks5, &name("db", 1), None);
    assert_eq!(dialogue.hear(b"HTTP/1.1"), Err(Refusal::OtherProtocol));
}

#[test]
fn socks4a_with_names_addresses_and_users() {
    let (mut dialogue, first) = begin(Protocol::Socks4a, &name("db", 80), None);
    assert_eq!(first, b"\x04\x01\x00\x50\x00\x00\x00\x01\x00db\x00");
    assert_eq!(dialogue.hear(b"\x00"), Ok(Next::Hear));
    assert_eq!(dialogue.hear(b"\x5a\0\0\0\0\0"), Ok(Next::Hear));
    assert_eq!(dialogue.hear(b"\0hi"), Ok(Next::Through(b"hi".to_vec())));
    let bob = login("bob", "");
    let (mut dialogue, first) = begin(Protocol::Socks4a, &at("192.0.2.1:80"), Some(&bob));
    assert_eq!(first, b"\x04\x01\x00\x50\xc0\x00\x02\x01bob\x00");
    assert_eq!(dialogue.hear(b"\x00\x5b"), Err(Refusal::Reply4(91)));
    let v6 = Dialogue::begin(Protocol::Socks4a, &at("[::1]:80"), None);
    assert_eq!(v6.unwrap_err(), Unsayable::V6);
    let with_password = login("bob", "pw");
    let said = Dialogue::begin(Protocol::Socks4a, &name("db", 1), Some(&with_password));
    assert_eq!(said.unwrap_err(), Unsayable::NoPassword);
}

#[test]
fn connect_over_http() {
    let bob = login("bob", "pw");
    let (mut dialogue, first) = begin(Protocol::Connect, &at("[2001:db8::1]:443"), Some(&bob));
    assert_eq!(
        String::from_utf8(first).unwrap(),
        "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\
         Proxy-Authorization: Basic Ym9iOnB3\r\n\r\n"
    );
    assert_eq!(
        dialogue
            .hear(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 Connection established\r\nA: b\r\n"),
        Ok(Next::Hear)
    );
    assert_eq!(
        dialogue.hear(b"\r\n\x16\x03"),
        Ok(Next::Through(b"\x16\x03".to_vec()))
    );
}

#[test]
fn an_http_proxys_refusal_keeps_what_it_says_of_itself() {
    let (mut dialogue, _) = begin(Protocol::Connect, &name("db", 443), None);
    let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nServer: tiny\r\n\
        Date: now\r\nProxy-Authenticate: Basic realm=\"p\"\r\n\r\n<html>";
    let refusal = dialogue.hear(answer).unwrap_err();
    assert_eq!(refusal.to_string(), "407 Proxy Authentication Required");
    assert!(refusal.is_denial());
    let Refusal::Status(head) = refusal else {
        panic!("it is a status")
    };
    assert_eq!(head.header("server"), Some("tiny"));
    assert_eq!(head.header("proxy-authenticate"), Some("Basic realm=\"p\""));
    assert_eq!(head.header("date"), None);
    for wrong in [
        &b"\x05\x00"[..],
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2 OK\r\n\r\n",
    ] {
        let (mut dialogue, _) = begin(Protocol::Connect, &name("db", 443), None);
        assert_eq!(dialogue.hear(wrong), Err(Refusal::OtherProtocol));
    }
    let (mut dialogue, _) = begin(Protocol::Connect, &name("db", 443), None);
    let endless = [&b"HTTP/1.1 200 OK\r\n"[..], &[b'a'; LONGEST_HEAD]].concat();
    assert_eq!(dialogue.hear(&endless), Err(Refusal::OtherProtocol));
}

#[test]
fn bad_lines_in_a_refusal_are_passed_over_and_the_rest_is_kept() {
    let (mut dialogue, _) = begin(Protocol::Connect, &name("db", 443), None);
    let answer = b"HTTP/1.0 403\nno colon\nServer : x\n folded: y\nVia:  1.1 a \n\n";
    let Refusal::Status(head) = dialogue.hear(answer).unwrap_err() else {
        panic!("it is a status")
    };
    assert_eq!(head.status_line(), "403");
    assert_eq!(head.told, [("via".to_owned(), "1.1 a".to_owned())]);
    let (mut dialogue, _) = begin(Protocol::Connect, &name("db", 443), None);
    let late = dialogue.hear(b"\r\nHTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(late, Err(Refusal::OtherProtocol));
    let (mut dialogue, _) = begin(Protocol::Connect, &name("db", 443), None);
    let long = [
        &b"HTTP/1.1 200 OK\r\na: "[..],
        &[b'b'; LONGEST_HEAD],
        b"\r\n\r\n",
    ]
    .concat();
    assert_eq!(dialogue.hear(&long), Err(Refusal::OtherProtocol));
}

#[test]
fn nothing_can_be_smuggled_into_a_request() {
    for (target, wrong) in [
        (name("", 1), Unsayable::Name),
        (name(&"x".repeat(256), 1), Unsayable::Name),
        (name("a\r\nHost: b", 1), Unsayable::NameCharacter),
        (name("a b", 1), Unsayable::NameCharacter),
        (name("a\0b", 1), Unsayable::NameCharacter),
    ] {
        for protocol in [Protocol::Socks5, Protocol::Socks4a, Protocol::Connect] {
            assert_eq!(Dialogue::begin(protocol, &target, None).unwrap_err(), wrong);
        }
    }
    let colon = login("a:b", "c");
    let said = Dialogue::begin(Protocol::Connect, &name("db", 1), Some(&colon));
    assert_eq!(said.unwrap_err(), Unsayable::UserCharacter);
    let long = login("a", &"p".repeat(256));
    let said = Dialogue::begin(Protocol::Socks5, &name("db", 1), Some(&long));
    assert_eq!(said.unwrap_err(), Unsayable::Password);
    assert_eq!(format!("{:?}", login("bob", "hunter2")), "Login(\"bob\")");
}

fn protocols() -> impl Strategy<Value = Protocol> {
    prop_oneof![
        Just(Protocol::Socks5),
        Just(Protocol::Socks4a),
        Just(Protocol::Connect)
    ]
}

/// What came behind the answer, or why nothing did; `None` when it was not whole.
type Ended = Option<Result<Vec<u8>, Refusal>>;

/// What comes of a stream cut so: what was said, and how it ended.
fn ends(
    protocol: Protocol,
    with_login: bool,
    stream: &[u8],
    cuts: &[usize],
) -> (Vec<Vec<u8>>, Ended) {
    let bob = with_login.then(|| login("bob", ""));
    let (mut dialogue, _) = begin(protocol, &name("db", 80), bob.as_ref());
    let (mut said, mut cuts, mut rest) = (Vec::new(), cuts.iter(), stream);
    while !rest.is_empty() {
        let cut = cuts
            .next()
            .copied()
            .unwrap_or(rest.len())
            .clamp(1, rest.len());
        let (head, tail) = rest.split_at(cut);
        rest = tail;
        let mut next = dialogue.hear(head);
        // What it said is on its way; it may have heard the answer already.
        while let Ok(Next::Say(words)) = next {
            said.push(words);
            next = dialogue.hear(&[]);
        }
        match next {
            Ok(Next::Through(behind)) => {
                let all = [&behind, rest].concat();
                return (said, Some(Ok(all)));
            }
            Err(refusal) => return (said, Some(Err(refusal))),
            Ok(_) => {}
        }
    }
    (said, None)
}

/// Answers that often get somewhere.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let likely = prop_oneof![
        Just(b"\x05\x00".to_vec()),
        Just(b"\x05\x02\x01\x00".to_vec()),
        Just(b"\x05\x00\x00\x01\x7f\0\0\x01\0\x50".to_vec()),
        Just(b"\x05\x00\x00\x03\x01a\0\x50".to_vec()),
        Just(b"\0\x5a\0\0\0\0\0\0".to_vec()),
        Just(b"HTTP/1.1 103 Early\r\n\r\n".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n".to_vec()),
        Just(b"HTTP/1.1 503 no\r\n\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ];
    proptest::collection::vec(likely, 0..5).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn it_ends_the_same_however_the_answer_is_cut(
        protocol in protocols(),
        with_login: bool,
        stream in answers(),
        cuts in proptest::collection::vec(1usize..6, 0..40),
    ) {
        let whole = ends(protocol, with_login, &stream, &[stream.len()]);
        prop_assert_eq!(whole, ends(protocol, with_login, &stream, &cuts));
    }

    #[test]
    fn what_comes_behind_the_answer_is_kept(behind in proptest::collection::vec(any::<u8>(), 0..50)) {
        for (protocol, answer) in [
            (Protocol::Socks5, &b"\x05\x00\x05\x00\x00\x01\x7f\0\0\x01\0\x50"[..]),
            (Protocol::Socks4a, b"\0\x5a\0\0\0\0\0\0"),
            (Protocol::Connect, b"HTTP/1.1 200 OK\r\n\r\n"),
        ] {
            let stream = [answer, &behind].concat();
            prop_assert_eq!(ends(protocol, false, &stream, &[]).1, Some(Ok(behind.clone())));
        }
    }
}
