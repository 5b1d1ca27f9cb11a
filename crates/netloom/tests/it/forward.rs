//! `forward` between programs we did not write, and what it tells of them.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::client::{
    assert_same, echoed, free_port, open, patient, patient_udp, random, there_and_back,
    until_closed, whole,
};
use crate::peers::{CLIENT, SERVER, are_here, command};
use crate::program::{Ended, Folder, Output, PATIENCE, Program, Server, addr, netloom_under, run};
use crate::told;

const MIB: usize = 1 << 20;

/// netloom forwarding to `to` from a free port, with more flags.
fn forward(to: &str, flags: &[&str]) -> Server {
    Server::netloom(&[&["forward", "tcp://127.0.0.1:0", to], flags].concat())
}

fn echo() -> Server {
    Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"])
}

/// A mebibyte to `at` and back, which ends well.
fn carries(at: SocketAddr) {
    let sent = random(MIB);
    assert_same(&there_and_back(&open(at), &sent), &sent);
}

/// A port of this host that nobody listens on: it is held, and refuses.
fn refusing() -> (socket2::Socket, SocketAddr) {
    let held = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    held.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    let addr = held.local_addr().unwrap().as_socket().unwrap();
    (held, addr)
}

#[test]
fn every_byte_goes_between_programs_of_others() {
    if !are_here(&["python3", "socat", "ncat"]) {
        return;
    }
    for way in ["socket", "asyncio"] {
        let server = Program::start(&mut command(&[
            "python3",
            "-c",
            SERVER,
            way,
            "127.0.0.1",
            "0",
        ]));
        let told = server.stderr.line("listening ");
        let forward = forward(&format!("tcp://127.0.0.1:{}", &told[10..]), &[]);
        let (host, port) = (
            forward.addr().ip().to_string(),
            forward.addr().port().to_string(),
        );
        let socat = format!("tcp4-connect:{host}:{port}");
        for mut client in [
            command(&["python3", CLIENT, way, &host, &port]),
            command(&["socat", "-t60", "-", &socat]),
            command(&["ncat", &host, &port]),
        ] {
            let sent = random(MIB);
            let mut program = Program::start(&mut client);
            program.feed(&sent);
            let ended = program.end();
            assert_eq!(ended.code, Some(0), "{client:?}: {}", ended.stderr);
            assert_same(&ended.stdout, &sent);
        }
        forward.stop();
    }
}

#[test]
fn a_target_may_be_a_socket_file_a_program_or_socat() {
    let folder = Folder::new();
    let unix = format!("unix:{}", folder.join("echo.sock"));
    let _echo = Server::netloom(&["listen", &unix, "--echo"]);
    carries(forward(&unix, &[]).addr());
    carries(forward("exec:cat", &[]).addr());

    let here = format!("unix:{}", folder.join("here.sock"));
    let echo = echo();
    let forward_unix = Server::netloom(&["forward", &here, echo.endpoint()]);
    let sent = random(MIB);
    let ended = run(["connect", forward_unix.endpoint()], &sent);
    assert_same(&ended.stdout, &sent);

    if are_here(&["socat"]) {
        let listen = [
            "socat",
            "-d",
            "-d",
            "-t60",
            "tcp4-listen:0,bind=127.0.0.1,fork",
            "exec:cat",
        ];
        let socat = Program::start(&mut command(&listen));
        let told = socat.stderr.line("listening on ");
        let port = told.rsplit(':').next().unwrap();
        carries(forward(&format!("tcp://127.0.0.1:{port}"), &[]).addr());
    }
}

#[test]
fn tls_is_ended_and_begun_on_the_way() {
    let echo = echo();
    let inner = Server::netloom(&["forward", "tls://127.0.0.1:0,cert=auto", echo.endpoint()]);
    let outer = forward(&format!("{},insecure", inner.endpoint()), &[]);
    carries(outer.addr());

    // A certificate that nobody vouches for is refused, and the client sees no answer.
    let strict = forward(inner.endpoint(), &["--json"]);
    assert_eq!(until_closed(&mut open(strict.addr())), b"");
    let failed = told::line(&strict.program.stdout.line(r#""kind":"failed""#));
    assert_eq!(told::text(&failed, "code"), "tls.self-signed");
    assert_eq!(told::text(&failed, "endpoint"), inner.endpoint());
}

#[test]
fn ranges_of_ports_are_paired_by_place() {
    let first = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--reply", "first"]);
    let second = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--reply", "second"]);
    let ports = format!("{},{}", first.addr().port(), second.addr().port());
    let (one, other) = (free_port(), free_port());
    let both = format!("tcp://127.0.0.1:{one},{other}");
    let mut command = crate::program::netloom();
    command.args(["forward", &both, &format!("tcp://127.0.0.1:{ports}")]);
    let server = Server::start(&mut command, 2);
    for (at, word) in [(one, "first"), (other, "second")] {
        let mut client = open(SocketAddr::from(([127, 0, 0, 1], at)));
        assert_eq!(until_closed(&mut client), word.as_bytes());
    }
    server.stop();

    // One target serves them all.
    command = crate::program::netloom();
    command.args(["forward", &both, first.endpoint()]);
    let server = Server::start(&mut command, 2);
    for at in &server.endpoints {
        assert_eq!(until_closed(&mut open(addr(at))), b"first");
    }
}

#[test]
fn streams_and_datagrams_are_joined_where_messages_can_be_told_apart() {
    let udp = Server::netloom(&["listen", "udp://127.0.0.1:0", "--echo"]);
    let joined = forward(udp.endpoint(), &["--framing", "len16"]);
    let mut client = open(joined.addr());
    echoed(&mut client, b"\0\x05hello");
    echoed(&mut client, b"\0\x03you\0\x03too");
    joined.stop();

    let lines = Server::netloom(&[
        "listen",
        "tcp://127.0.0.1:0",
        "--echo",
        "--framing",
        "lines",
    ]);
    let words = [
        "forward",
        "udp://127.0.0.1:0",
        lines.endpoint(),
        "--framing",
        "lines",
    ];
    let back = Server::netloom(&words);
    let at = back.endpoint().replace("udp://", "");
    let socket = patient_udp();
    socket.connect(&at).unwrap();
    for word in ["one", "two"] {
        socket.send(word.as_bytes()).unwrap();
        let mut got = [0; 64];
        let n = whole(|| socket.recv(&mut got)).unwrap();
        assert_eq!(&got[..n], word.as_bytes());
    }
    back.stop();
}

#[test]
fn a_target_that_is_not_there_is_explained_and_its_client_reset() {
    let (_held, nobody) = refusing();
    let to = format!("tcp://{nobody}");
    let server = forward(&to, &["--json"]);
    // The reset may be there before connecting has ended.
    let first = TcpStream::connect(server.addr())
        .and_then(|client| std::io::Read::read(&mut patient(client), &mut [0]));
    let reset = std::io::ErrorKind::ConnectionReset;
    assert_eq!(first.unwrap_err().kind(), reset);

    let failed = told::line(&server.program.stdout.line(r#""kind":"failed""#));
    assert_eq!(told::text(&failed, "service"), "forward");
    assert_eq!(told::text(&failed, "endpoint"), to);
    let why = told::line(&server.program.stdout.line(r#""kind":"diagnosis""#));
    assert_eq!(told::text(&why, "code"), "connect.refused.no-listener");
    assert_eq!(told::text(&why["causes"][0], "verdict"), "confirmed");
    let line = forwarded(&server.program.stdout, 1).remove(0);
    assert_eq!(told::text(&line, "target"), to);
    assert_eq!(
        (told::text(&line, "closed_by"), told::text(&line, "reason")),
        ("target", "connect.refused.no-listener")
    );
}

/// Waits for so many lines about connections that ended.
fn forwarded(output: &Output, count: usize) -> Vec<Value> {
    let lines = output.lines(r#""kind":"forwarded""#, count);
    lines.iter().map(|line| told::line(line)).collect()
}

#[test]
fn each_connection_is_accounted_for_in_one_line() {
    let folder = Folder::new();
    let log = folder.join("access.jsonl");
    let echo = echo();
    let (_held, nobody) = refusing();
    let dead = format!("tcp://{nobody}");
    let flags = ["--json", "--access-log", &log, "--balance", "first"];
    let words = [
        &["forward", "tcp://127.0.0.1:0", &dead, echo.endpoint()][..],
        &flags,
    ]
    .concat();
    let server = Server::netloom(&words);
    let client = open(server.addr());
    let from = client.local_addr().unwrap().to_string();
    assert_eq!(there_and_back(&client, b"twelve bytes"), b"twelve bytes");
    let line = forwarded(&server.program.stdout, 1).remove(0);
    let Ended { stdout, .. } = server.stop();

    assert_eq!(told::text(&line, "client"), from);
    assert_eq!(told::text(&line, "target"), echo.endpoint());
    assert_eq!(line["tries"], 2);
    assert_eq!(
        (&line["to_target"], &line["to_client"]),
        (&12.into(), &12.into())
    );
    assert_eq!(
        (told::text(&line, "closed_by"), told::text(&line, "reason")),
        ("client", "end")
    );
    assert!(line["dial_s"].as_f64().unwrap() <= line["lasted_s"].as_f64().unwrap());
    let kinds = told::lines(&stdout);
    assert!(
        told::kinds(&kinds).iter().all(|kind| *kind != "closed"),
        "{kinds:?}"
    );

    // The file has the same, whoever listened.
    let written = std::fs::read(&log).unwrap();
    let mut written = told::lines(&written);
    assert_eq!(written.len(), 1);
    written[0]["at"] = line["at"].clone();
    assert_eq!(written[0], line);
}

#[test]
fn an_access_log_that_was_moved_away_is_begun_again() {
    let folder = Folder::new();
    let (log, old) = (folder.join("access.jsonl"), folder.join("access.jsonl.1"));
    let echo = echo();
    let server = forward(echo.endpoint(), &["--access-log", &log, "--threads", "1"]);
    let mut count = 0;
    let mut until = |path: &str| {
        let end = std::time::Instant::now() + PATIENCE;
        while !std::fs::read_to_string(path).is_ok_and(|text| !text.is_empty()) {
            assert!(std::time::Instant::now() < end, "nothing in {path}");
            assert_eq!(there_and_back(&open(server.addr()), b"x"), b"x");
            count += 1;
        }
    };
    until(&log);
    std::fs::rename(&log, &old).unwrap();
    until(&log);
    server.stop();
    let lines = |path| told::lines(&std::fs::read(path).unwrap()).len();
    assert_eq!(
        lines(&log) + lines(&old),
        count,
        "none is lost, none doubled"
    );
}

#[test]
fn without_descriptors_clients_are_told_and_later_served() {
    let echo = echo();
    let mut command = netloom_under("prlimit", &["--nofile=40:40"]);
    command.args(["forward", "tcp://127.0.0.1:0", echo.endpoint(), "--json"]);
    let server = Server::start(&mut command, 1);
    // A pair takes two, so that the table is full before the clients are too many.
    let inside: Vec<_> = (0..30)
        .map(|_| {
            let mut client = open(server.addr());
            // Whoever was reset may notice already.
            let _ = client.write_all(b"x");
            client
        })
        .collect();
    let failed = told::line(&server.program.stdout.line("no-descriptors"));
    assert_eq!(told::text(&failed, "kind"), "failed");
    assert_eq!(told::text(&failed, "errno"), "EMFILE");
    drop(inside);
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let mut client = patient(open(server.addr()));
        let _ = client.write_all(b"again");
        let mut back = [0; 5];
        if std::io::Read::read_exact(&mut client, &mut back).is_ok() {
            assert_eq!(&back, b"again");
            break;
        }
        assert!(std::time::Instant::now() < end, "it never recovered");
    }
    server.stop();
}

#[test]
fn what_cannot_be_carried_is_refused_with_what_can() {
    for (words, complaint, nearest) in [
        (
            &["https://:443", "http://127.0.0.1:3000"][..],
            "the reverse proxy is not here yet",
            "netloom forward tls://:443 tcp://127.0.0.1:3000",
        ),
        (
            &["udp://127.0.0.1:0", "tcp://127.0.0.1:53"],
            "datagrams come here and its target takes a stream",
            "--framing len16",
        ),
        (
            &["tcp://127.0.0.1:0", "udp://127.0.0.1:53"],
            "a stream comes here and its target takes datagrams",
            "--framing len16",
        ),
        (
            &["tcp://127.0.0.1:8000-8010", "tcp://127.0.0.1:9000-9005"],
            "11 ports are listened on and its target has 6",
            "",
        ),
        (
            &[
                "tcp://127.0.0.1:0",
                "tcp://127.0.0.1:9",
                "udp://127.0.0.1:9",
            ],
            "this gives datagrams, and `tcp://127.0.0.1:9` gives a stream",
            "",
        ),
        (
            &["tcp://127.0.0.1:0", "tpc://127.0.0.1:9"],
            "no scheme is called `tpc`",
            "nearest: tcp://127.0.0.1:9",
        ),
        (
            &[
                "tcp://127.0.0.1:0",
                "tcp://127.0.0.1:9",
                "--framing",
                "lines",
            ],
            "this kind gives a stream of bytes",
            "",
        ),
    ] {
        let ended = run([&["forward"], words].concat(), b"");
        assert_eq!(ended.code, Some(2), "{words:?}: {}", ended.stderr);
        assert!(
            ended.stderr.contains(complaint),
            "{words:?}: {}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains(nearest),
            "{words:?}: {}",
            ended.stderr
        );
        assert!(ended.stderr.contains('^'), "{words:?}: {}", ended.stderr);
    }
}

#[test]
fn the_file_that_does_the_same_does_the_same() {
    let folder = Folder::new();
    let echo = echo();
    let flags = ["--retries", "1", "--connect-timeout", "3s", "--idle", "5m"];
    let words = [
        &["forward", "tcp://127.0.0.1:0", echo.endpoint()][..],
        &flags,
    ]
    .concat();
    let printed = run([&words[..], &["--print-config"]].concat(), b"");
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    let file = folder.join("netloom.toml");
    std::fs::write(&file, &printed.stdout).unwrap();
    let server = Server::netloom(&["up", &file]);
    carries(server.addr());
    let told = server.program.stderr.line("listening ");
    assert!(
        told.ends_with(&format!("(forward to {})", echo.endpoint())),
        "{told}"
    );
}
