//! `connect` to several, again and again, recorded, replayed and dumped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::client::{assert_same, patient, patient_udp, random, reset};
use crate::peers::are_here;
use crate::program::{Folder, Program, Server, run};
use crate::told;

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    (listener, url)
}

fn accept(listener: &TcpListener) -> BufReader<TcpStream> {
    BufReader::new(patient(listener.accept().unwrap().0))
}

fn line(from: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line
}

#[test]
fn a_server_that_dies_loses_nothing_of_stdin() {
    let (listener, url) = listener();
    let mut client = Program::netloom(["connect", &url, "--reconnect"]);
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(b"one\n").unwrap();
    let mut first = accept(&listener);
    assert_eq!(line(&mut first), "one\n");
    reset(first.into_inner());
    // Told, and not before the connection is known to be gone.
    let note = client.stderr.line("dialling again in");
    assert!(note.contains("(1 of 10)"), "{note}");
    let mut second = accept(&listener);
    stdin.write_all(b"two\n").unwrap();
    assert_eq!(line(&mut second), "two\n");
    second.get_mut().write_all(b"hello\n").unwrap();
    client.stdout.line("hello");
    drop(second);
    let mut third = accept(&listener);
    stdin.write_all(b"three\n").unwrap();
    drop(stdin);
    let mut rest = String::new();
    third.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "three\n");
    drop(third);
    let ended = client.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout, b"hello\n");
}

#[test]
fn what_a_dead_server_did_not_take_goes_to_the_next() {
    // The first takes a little and dies while much is on its way.
    let (listener, url) = listener();
    let sent = random(24 << 20);
    let mut client = Program::netloom(["connect", &url, "--reconnect"]);
    client.feed(&sent);
    let mut first = accept(&listener);
    let mut some = vec![0; 1 << 20];
    first.read_exact(&mut some).unwrap();
    reset(first.into_inner());
    let mut second = accept(&listener);
    let mut rest = Vec::new();
    second.read_to_end(&mut rest).unwrap();
    drop(second);
    assert_eq!(client.end().code, Some(0));
    // Between the two only what the kernel had taken is missing; nothing comes
    // twice, out of order or torn.
    assert_same(&sent[sent.len() - rest.len()..], &rest);
    assert!(rest.len() <= sent.len() - some.len());
}

#[test]
fn messages_go_whole_to_the_next_server() {
    let (listener, url) = listener();
    let mut client = Program::netloom(["connect", &url, "--reconnect", "--framing", "len8"]);
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(b"one\ntw").unwrap();
    let mut first = accept(&listener);
    let mut message = [0; 4];
    first.read_exact(&mut message).unwrap();
    assert_eq!(&message, b"\x03one");
    drop(first);
    let note = client.stderr.line("dialling again in");
    assert!(note.ends_with("; 2 bytes wait to be sent"), "{note}");
    let mut second = accept(&listener);
    stdin.write_all(b"o\n").unwrap();
    drop(stdin);
    let mut rest = Vec::new();
    second.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\x03two");
    drop(second);
    assert_eq!(client.end().code, Some(0));
}

#[test]
fn attempts_are_bounded_and_what_was_not_sent_is_told() {
    let (listener, url) = listener();
    drop(listener);
    let ended = run(["connect", &url, "--reconnect=2"], b"hello\n");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("(2 of 2)"), "{}", ended.stderr);
    let code = "error[connect.refused.no-listener]";
    assert!(ended.stderr.contains(code), "{}", ended.stderr);
    let mistake = run(["connect", "tcp://:99999", "--reconnect"], b"");
    assert_eq!(mistake.code, Some(2), "{mistake:?}");
    assert!(!mistake.stderr.contains("again"), "{}", mistake.stderr);
}

#[test]
fn several_get_the_same_and_their_lines_say_from_whom() {
    let (one, two) = (listener(), listener());
    let mut client = Program::netloom(["connect", &one.1, &two.1]);
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(b"to all\n").unwrap();
    let (mut a, mut b) = (accept(&one.0), accept(&two.0));
    assert_eq!(
        (line(&mut a), line(&mut b)),
        ("to all\n".into(), "to all\n".into())
    );
    a.get_mut().write_all(b"from a\nhalf").unwrap();
    b.get_mut().write_all(b"from b\n").unwrap();
    client.stdout.line(&format!("[{}] from a", one.1));
    client.stdout.line(&format!("[{}] from b", two.1));
    a.get_mut().shutdown(Shutdown::Both).unwrap();
    drop(stdin);
    assert_eq!(line(&mut b), "");
    drop((a, b));
    let ended = client.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = ended.text();
    assert!(text.contains(&format!("[{}] half\n", one.1)), "{text}");
}

#[test]
fn one_that_fails_does_not_end_the_others() {
    let (nobody, url) = listener();
    drop(nobody);
    let server = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
    let good = server.endpoint().to_owned();
    let ended = run(["connect", &url, &good], b"hi\n");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.text(), format!("[{good}] hi\n"));
    assert!(
        ended.stderr.starts_with("note: connect.refused"),
        "{}",
        ended.stderr
    );
    let told = format!("error[connect.refused.no-listener]: {url}");
    assert!(ended.stderr.contains(&told), "{}", ended.stderr);

    let ended = run(["connect", &good, &url, "--json"], b"hi\n");
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(1), ""),
        "{ended:?}"
    );
    let lines: Vec<_> = ended.text().lines().map(told::line).collect();
    let data = lines.iter().find(|line| told::text(line, "kind") == "data");
    let data = data.unwrap();
    assert_eq!(told::text(data, "endpoint"), good);
    assert_eq!(told::text(data, "text"), "hi\n");
    let last = lines.last().unwrap();
    assert_eq!(told::text(last, "kind"), "diagnosis");

    let ended = run(["connect", &good, &good, "--json"], b"hi\n");
    let lines: Vec<_> = ended.text().lines().map(told::line).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| told::text(line, "kind")).collect();
    assert_eq!(
        (ended.code, kinds),
        (Some(0), vec!["data", "data", "done"]),
        "{lines:?}"
    );
    server.stop();
}

/// The dump without its times, which differ, and one direction after the other.
fn dumped(stderr: &str) -> String {
    let plain = |line: &str| match line.split_once(" s  ") {
        Some((head, rest)) => format!("{} T s  {rest}\n", &head[..1]),
        None => format!("{line}\n"),
    };
    let of = |sign| stderr.lines().filter(move |line| line.starts_with(sign));
    of('>').chain(of('<')).map(plain).collect()
}

#[test]
fn a_dump_shows_every_byte_and_changes_none() {
    let server = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
    let sent = b"hello, world\r\n\0\xff and more than a row of it\n";
    let ended = run(["connect", server.endpoint(), "-v"], sent);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout, sent);
    insta::assert_snapshot!(dumped(&ended.stderr), @"
    > T s  43 bytes at 0
    > 00000000  68 65 6c 6c 6f 2c 20 77  6f 72 6c 64 0d 0a 00 ff  |hello, world....|
    > 00000010  20 61 6e 64 20 6d 6f 72  65 20 74 68 61 6e 20 61  | and more than a|
    > 00000020  20 72 6f 77 20 6f 66 20  69 74 0a                 | row of it.|
    > T s  end
    < T s  43 bytes at 0
    < 00000000  68 65 6c 6c 6f 2c 20 77  6f 72 6c 64 0d 0a 00 ff  |hello, world....|
    < 00000010  20 61 6e 64 20 6d 6f 72  65 20 74 68 61 6e 20 61  | and more than a|
    < 00000020  20 72 6f 77 20 6f 66 20  69 74 0a                 | row of it.|
    < T s  end
    ");

    let big = random(3 << 20);
    let ended = run(["connect", server.endpoint(), "-v"], &big);
    assert_same(&ended.stdout, &big);
    for sign in ['<', '>'] {
        let rows = dumped(&ended.stderr);
        let rows = rows
            .lines()
            .filter(|row| row.starts_with(sign) && row.ends_with('|'));
        let bytes: Vec<u8> = rows
            .flat_map(|row| {
                let hex = &row[12..60];
                hex.split_whitespace()
                    .map(|byte| u8::from_str_radix(byte, 16).unwrap())
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_same(&bytes, &big);
    }

    let ended = run(
        [
            "connect",
            server.endpoint(),
            "-v",
            "--json",
            "--send",
            "hi\n",
        ],
        b"",
    );
    assert_eq!(ended.stderr, "");
    let text = ended.text();
    let both = text.lines().map(told::line);
    let both: Vec<_> = both
        .filter(|line| told::text(line, "kind") == "data")
        .collect();
    let directions: Vec<&str> = both.iter().map(|line| told::text(line, "dir")).collect();
    assert_eq!(directions, ["out", "in"], "{text}");
    server.stop();
}

/// Answers every line in capitals, after a greeting.
const SHOUTER: &str = r#"
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
greeting = sys.argv[1].encode()
while True:
    client, _ = server.accept()
    client.sendall(greeting + b"\n")
    for line in client.makefile("rb"):
        client.sendall(line.upper())
    client.close()
"#;

fn shouter(greeting: &str) -> Option<(Program, String)> {
    if !are_here(&["python3"]) {
        return None;
    }
    let mut python = Command::new("python3");
    let program = Program::start(python.args(["-c", SHOUTER, greeting]));
    let port = program.stdout.line("");
    Some((program, format!("tcp://127.0.0.1:{}", port.trim())))
}

#[test]
fn a_recording_is_replayed_and_a_difference_is_told() {
    let Some((_server, url)) = shouter("220 ready") else {
        return;
    };
    let folder = Folder::new();
    let file = folder.join("talk.jsonl");
    std::fs::write(&file, "what was there before").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let mut client = Program::netloom(["connect", &url, "--record", &file]);
    let mut stdin = client.stdin.take().unwrap();
    client.stdout.line("220 ready");
    for said in ["one\n", "caf\u{e9}\u{1}\n"] {
        stdin.write_all(said.as_bytes()).unwrap();
        client.stdout.line(said.to_uppercase().get(..2).unwrap());
    }
    drop(stdin);
    assert_eq!(client.end().code, Some(0));
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    let kinds: Vec<String> = text
        .lines()
        .map(|line| told::text(&told::line(line), "kind").to_owned())
        .collect();
    assert_eq!(kinds[..2], ["recording", "opened"], "{text}");
    assert_eq!(kinds.last().unwrap(), "closed");

    for flags in [&["--as-fast"][..], &["--speed", "10"]] {
        let ended = run([&["replay", &file, &url], flags].concat(), b"");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            ended.stderr.starts_with("as recorded: 11 bytes sent"),
            "{}",
            ended.stderr
        );
    }

    let (_other, url) = shouter("220 steady").unwrap();
    let ended = run(["replay", &file, &url, "--as-fast"], b"");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("error[recv.unexpected]"),
        "{}",
        ended.stderr
    );
    let told = "at byte 4 `ready\\n";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
    let told = "and `steady\\n` came";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);

    // The server that was recorded, for a client that was not.
    let server = Server::netloom(&["replay", &file, "tcp://127.0.0.1:0", "--listen"]);
    let mut peer = BufReader::new(crate::client::open(server.addr()));
    assert_eq!(line(&mut peer), "220 ready\n");
    peer.get_mut().write_all(b"one\n").unwrap();
    assert_eq!(line(&mut peer), "ONE\n");
    peer.get_mut()
        .write_all("caf\u{e9}\u{1}\n".as_bytes())
        .unwrap();
    assert_eq!(line(&mut peer), "caf\u{e9}\u{1}\n".replace("caf", "CAF"));
    peer.get_mut().shutdown(Shutdown::Write).unwrap();
    assert_eq!(line(&mut peer), "");
    let mut server = server;
    let ended = server.program.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn the_times_of_a_recording_are_kept() {
    let server = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
    let folder = Folder::new();
    let file = folder.join("slow.jsonl");
    let record = |at: f64, dir: &str, rest: &str| {
        format!(
            r#"{{"kind":"{}","after_s":{at},"conn":1,"dir":"{dir}"{rest}}}"#,
            if rest.is_empty() { "end" } else { "data" }
        )
    };
    let lines = [
        r#"{"kind":"recording","version":1}"#.to_owned(),
        r#"{"kind":"opened","after_s":5.0,"conn":1,"by":"stream"}"#.to_owned(),
        record(5.0, "out", r#","text":"a\n""#),
        record(5.01, "in", r#","text":"a\n""#),
        record(6.0, "out", r#","base64":"YgoK""#),
        record(6.1, "in", r#","text":"b\n\n""#),
        record(6.2, "out", ""),
        record(6.2, "in", ""),
    ];
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let lasted = |flags: &[&str]| {
        let args = [&["replay", &file, server.endpoint(), "--json"], flags].concat();
        let ended = run(args, b"");
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{ended:?}"
        );
        let story = told::line(ended.text().trim_end());
        assert_eq!(told::text(&story, "kind"), "story");
        story["lasted_s"].as_f64().unwrap()
    };
    let usual = lasted(&[]);
    assert!((1.15..4.0).contains(&usual), "{usual}");
    let fast = lasted(&["--speed", "100"]);
    assert!(fast < usual / 2.0, "{fast}");

    // A time that no clock reaches is waited for, and hurts nobody.
    let far = [
        lines[0].as_str(),
        &lines[1],
        &record(1e15, "out", r#","text":"a""#),
    ];
    std::fs::write(&file, far.join("\n") + "\n").unwrap();
    let args = [
        "replay",
        &file,
        server.endpoint(),
        "--speed",
        "0.001",
        "--timeout",
        "200ms",
    ];
    let ended = run(args, b"");
    assert_eq!(ended.code, Some(1), "{ended:?}");

    for (wrong, why) in [
        ("{}", "this is no recording"),
        (
            r#"{"kind":"recording","version":9}"#,
            "this form of recording is not known",
        ),
        (
            "{\"kind\":\"recording\",\"version\":1}\n",
            "has no conversation",
        ),
        (
            "{\"kind\":\"recording\",\"version\":1}\n{\"kind\":\"data\",\"conn\":1}\n",
            "line 2: it does not say when",
        ),
        (
            "{\"kind\":\"recording\",\"version\":1}\n{\"kind\":\"data\",\"conn\":1,\"after_s\":-1e308}\n",
            "line 2: it does not say when",
        ),
    ] {
        std::fs::write(&file, wrong).unwrap();
        let ended = run(["replay", &file, server.endpoint()], b"");
        assert_eq!(ended.code, Some(2), "{wrong}: {ended:?}");
        assert!(ended.stderr.contains(why), "{wrong}: {}", ended.stderr);
    }
    server.stop();
}

#[test]
fn datagrams_are_recorded_and_replayed() {
    let folder = Folder::new();
    let file = folder.join("talk.jsonl");
    let server = Server::netloom(&["listen", "udp://127.0.0.1:0", "--echo"]);
    let ended = run(
        [
            "connect",
            server.endpoint(),
            "--record",
            &file,
            "--send",
            "ping",
        ],
        b"",
    );
    assert_eq!(
        (ended.code, ended.text().as_str()),
        (Some(0), "ping"),
        "{ended:?}"
    );
    let ended = run(["replay", &file, server.endpoint(), "--as-fast"], b"");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    server.stop();

    let replay = Server::netloom(&["replay", &file, "udp://127.0.0.1:0", "--listen"]);
    let socket = patient_udp();
    let to = replay.endpoint().trim_start_matches("udp://").to_owned();
    socket.send_to(b"ping", to).unwrap();
    let mut buf = [0; 100];
    let (n, _) = socket.recv_from(&mut buf).unwrap();
    assert_eq!(&buf[..n], b"ping");
    let mut replay = replay;
    assert_eq!(replay.program.end().code, Some(0));
    let wrong = run(["replay", &file, "tcp://127.0.0.1:9"], b"");
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
}

#[test]
fn a_recording_has_a_limit_and_says_when_it_cannot_be_written() {
    let server = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
    let folder = Folder::new();
    let file = folder.join("talk.jsonl");
    let url = server.endpoint();
    let flags = ["connect", url, "--record", &file, "--record-limit", "1KiB"];
    let sent = random(100_000);
    let ended = run(flags, &sent);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_same(&ended.stdout, &sent);
    let told = "ends here: --record-limit is 1KiB";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
    assert!(std::fs::metadata(&file).unwrap().len() <= 1024);
    let kind = ["listen", "tcp://:0", "--echo", "--record", &file];
    let ended = run(kind, b"");
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("here a kind answers"), "{ended:?}");
    let missing = folder.join("no/such/folder");
    let ended = run(["connect", url, "--record", &missing], b"hi\n");
    assert_eq!(
        (ended.code, ended.stdout.as_slice()),
        (Some(1), &b""[..]),
        "{ended:?}"
    );
    // A disk that is full.
    let ended = run(["connect", url, "--record", "/dev/full"], b"hi\n");
    assert_eq!(
        (ended.code, ended.stdout.as_slice()),
        (Some(1), &b"hi\n"[..]),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("/dev/full is not whole"),
        "{}",
        ended.stderr
    );
    server.stop();
}
