//! What is told when a message comes in half, is too large or cannot be said.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};

use super::saying;
use crate::client::{open, patient, until_closed};
use crate::program::{Program, Server, run};
use crate::told;

#[test]
fn half_a_message_is_explained_with_both_sizes() {
    for (framing, bytes, sizes, shown) in [
        (
            "len32",
            &b"\0\0\0\x03one\0\0\0\x2chalf"[..],
            "4 of the 44 bytes of a len32 message",
            "one\n",
        ),
        (
            "len16le",
            b"\x03",
            "1 of the 2 bytes of a len16le header",
            "",
        ),
        (
            "netstring",
            b"3:one,44:half",
            "4 of the 44 bytes of a netstring message",
            "one\n",
        ),
        (
            "varint",
            b"\x03one\xac\x02half",
            "4 of the 300 bytes of a varint message",
            "one\n",
        ),
        (
            "msgpack",
            b"\xa3one\xd9\x2chalf",
            "6 of the 46 bytes of a msgpack message",
            "\"one\"\n",
        ),
        (
            "lines",
            b"one\nhalf",
            "4 bytes of a lines message had come, and not its end",
            "one\n",
        ),
        (
            "json",
            b"1\n{\"half\"",
            "7 bytes of a json message had come, and not its end",
            "1\n",
        ),
    ] {
        let (url, server) = saying(bytes, true);
        let ended = run(["connect", &url, "--framing", framing], b"");
        drop(server.join().unwrap());
        assert_eq!(
            (ended.code, ended.text().as_str()),
            (Some(1), shown),
            "{framing}: {ended:?}"
        );
        let told = &ended.stderr;
        assert!(told.starts_with("error[recv.partial]: tcp://"), "{told}");
        assert!(told.contains(sizes), "{told}");
        assert!(told.contains("cause"), "{told}");
        assert!(told.contains("the other end is 127.0.0.1:"), "{told}");
        assert!(
            told.ends_with("more      netloom explain recv.partial\n"),
            "{told}"
        );
    }
}

#[test]
fn a_message_above_the_limit_is_refused_by_its_header() {
    for (framing, bytes, sizes) in [
        (
            "len32",
            &b"\0\0\x04\x01"[..],
            "announces 1025 bytes, and 1024 are allowed",
        ),
        (
            "varint",
            b"\x81\x08",
            "announces 1025 bytes, and 1024 are allowed",
        ),
        (
            "netstring",
            b"1025:",
            "announces 1025 bytes, and 1024 are allowed",
        ),
        (
            "msgpack",
            b"\xc5\x04\x00",
            "announces 1027 bytes, and 1024 are allowed",
        ),
    ] {
        // The server says no more and does not end: the header is enough.
        let (url, server) = saying(bytes, false);
        let args = [
            "connect",
            &url,
            "--framing",
            framing,
            "--max-message",
            "1KiB",
        ];
        let program = &mut Program::netloom(args);
        let ended = program.end();
        drop(server.join().unwrap());
        assert_eq!(ended.code, Some(1), "{framing}: {ended:?}");
        let told = &ended.stderr;
        assert!(
            told.starts_with("error[recv.frame-too-large]: tcp://"),
            "{told}"
        );
        assert!(told.contains(sizes), "{told}");
        assert!(
            told.contains(&format!(
                "netloom connect {url} --framing {framing} --max-message 2KiB"
            )),
            "{told}"
        );
    }
}

#[test]
fn a_peer_that_speaks_otherwise_is_told() {
    for (framing, bytes, cause) in [
        (
            "json",
            &b"hello there\n"[..],
            "the peer speaks lines, not json",
        ),
        (
            "netstring",
            b"hello there\n",
            "the peer speaks lines, not netstring",
        ),
        (
            "netstring",
            b"SSH-2.0-x\r\n",
            "the peer speaks SSH, not netstring",
        ),
        (
            "json",
            b"1\n{]\n",
            "the peer said something that is not json among what is",
        ),
        (
            "msgpack",
            b"\xc1\xc1\xc1",
            "the peer does not speak msgpack",
        ),
    ] {
        let (url, server) = saying(bytes, false);
        let ended = Program::netloom(["connect", &url, "--framing", framing]).end();
        drop(server.join().unwrap());
        assert_eq!(ended.code, Some(1), "{framing}: {ended:?}");
        let told = &ended.stderr;
        assert!(told.starts_with("error[recv.bad-frame]: tcp://"), "{told}");
        assert!(told.contains(cause), "{told}");
        assert!(
            told.contains(&format!("it was read as {framing}, and begins with ")),
            "{told}"
        );
    }
}

#[test]
fn the_command_that_is_offered_works() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        for _ in 0..2 {
            let mut stream = patient(listener.accept().unwrap().0);
            stream.write_all(b"\x05\0\0\0hello").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest); // the first client leaves with a reset
        }
    });
    let ended = run(["connect", &url, "--framing", "len32"], b"");
    assert!(
        ended.stderr.contains("error[recv.frame-too-large]"),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("the peer speaks len32le, not len32"),
        "{ended:?}"
    );
    let offered = ended
        .stderr
        .lines()
        .find_map(|line| line.split_once("netloom connect "));
    let words: Vec<&str> = offered.unwrap().1.split(' ').collect();
    let ended = run([&["connect"][..], &words].concat(), b"");
    assert_eq!(
        (ended.code, ended.text().as_str()),
        (Some(0), "hello\n"),
        "{ended:?}"
    );
    server.join().unwrap();
}

#[test]
fn a_server_tells_of_half_messages_and_serves_on() {
    let mut server = Server::netloom(&[
        "listen",
        "tcp://127.0.0.1:0",
        "--echo",
        "--framing",
        "len16",
        "--json",
    ]);
    let mut rude = open(server.addr());
    rude.write_all(b"\0\x09half").unwrap();
    rude.shutdown(Shutdown::Write).unwrap();
    let failed = told::line(&server.program.stdout.line(r#""kind":"failed""#));
    assert_eq!(told::text(&failed, "code"), "recv.partial", "{failed}");
    let mut good = open(server.addr());
    crate::client::echoed(&mut good, b"\0\x02hi");
    // At rest between two messages it is let go, and sees an orderly end.
    server.program.signal("INT");
    assert_eq!(until_closed(&mut good), b"");
    drop(good);
    let ended = server.program.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn what_cannot_be_sent_is_told_with_its_line() {
    for (flags, typed, told) in [
        (
            "--framing lines",
            "one\ntwo\\nhalves\n",
            "line 2 of the input: a line cannot hold a line break",
        ),
        (
            "--framing json",
            "1\n{\n",
            "line 2 of the input: it is no JSON value",
        ),
        (
            "--hex",
            "de a\n",
            "line 1 of the input: a byte has two hexadecimal digits",
        ),
        (
            "--framing len32 --max-message 2",
            "a long line it is\n",
            "line 1 of the input is longer than a message may be",
        ),
    ] {
        let ended = run(
            ["connect", "exec:cat"].into_iter().chain(flags.split(' ')),
            typed.as_bytes(),
        );
        assert_eq!(ended.code, Some(1), "{flags}: {ended:?}");
        let begin = "error[send.unframeable]: exec:cat: ";
        assert!(
            ended.stderr.starts_with(&format!("{begin}{told}")),
            "{ended:?}"
        );
    }
}

#[test]
fn wrong_flags_are_pointed_at() {
    for (args, code, told) in [
        (
            "connect exec:cat --framing linse",
            "parse.setting",
            "(nearest: `lines`)\n  --framing linse\n            ^^^^^",
        ),
        (
            "connect exec:cat --framing len8 --encode hxe",
            "parse.setting",
            "(nearest: `hex`)",
        ),
        (
            "connect exec:cat --max-message 5",
            "parse.usage",
            "--max-message is for messages",
        ),
        (
            "connect exec:cat --framing len8 --encode hex --send xyz",
            "parse.usage",
            "xyz\n  ^",
        ),
        (
            "listen tcp://:0 --echo --hex",
            "parse.usage",
            "--hex is for a conversation on this terminal",
        ),
        (
            "serve chargen --on tcp://:0 --framing lines",
            "parse.setting",
            "this kind gives a stream of bytes",
        ),
        (
            "serve echo --on tcp://:0 --max-message 5",
            "parse.setting",
            "without `framing`",
        ),
        (
            "serve echo --on tcp://:0 --framing len7",
            "parse.setting",
            "(nearest: `len8`)",
        ),
    ] {
        let ended = run(args.split(' '), b"");
        assert_eq!(ended.code, Some(2), "{args}: {ended:?}");
        assert!(
            ended.stderr.starts_with(&format!("error[{code}]: ")),
            "{args}: {ended:?}"
        );
        assert!(ended.stderr.contains(told), "{args}: {ended:?}");
    }
}
