//! `connect` and plain `listen` as pipes: every byte, both ways, to the end.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};

use crate::client::{assert_same, open, patient, random, there_and_back};
use crate::program::{Folder, PATIENCE, Program, Server, addr, netloom, run};

const MIB: usize = 1 << 20;

/// Takes the one client that comes.
fn accept(listener: &TcpListener) -> std::net::TcpStream {
    patient(listener.accept().unwrap().0)
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn every_byte_comes_back_whatever_carries_it() {
    let folder = Folder::new();
    let unix = format!("unix:{}", folder.join("echo.sock"));
    let mut command = netloom();
    command.args([
        "listen",
        "tcp://127.0.0.1:0",
        "tcp://[::1]:0",
        &unix,
        "--echo",
    ]);
    let server = Server::start(&mut command, 3);
    let sent = random(32 * MIB);
    for url in server
        .endpoints
        .iter()
        .map(String::as_str)
        .chain(["exec:cat"])
    {
        let ended = run(["connect", url], &sent);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{url}");
        assert_same(&ended.stdout, &sent);
    }
}

#[test]
fn the_client_may_end_first_and_still_hears_everything() {
    let (listener, url) = listener();
    let mut program = Program::netloom(["connect", &url]);
    let (asked, answer) = (random(MIB), random(5 * MIB));
    program.feed(&asked);
    let mut stream = accept(&listener);
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert_same(&got, &asked);
    // Only now, when the other direction has long ended.
    stream.write_all(&answer).unwrap();
    drop(stream);
    let ended = program.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_same(&ended.stdout, &answer);
}

#[test]
fn the_server_may_end_first_and_still_hears_everything() {
    let (listener, url) = listener();
    let mut program = Program::netloom(["connect", &url]);
    let (said, answer) = (random(MIB), random(5 * MIB));
    let mut stream = accept(&listener);
    stream.write_all(&said).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_same(&program.stdout.bytes(MIB), &said);
    program.feed(&answer);
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert_same(&got, &answer);
    let ended = program.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_same(&ended.stdout, &said);
}

#[test]
fn whoever_reads_stdout_sees_the_end_though_stdin_stays_open() {
    let (listener, url) = listener();
    let mut program = Program::netloom(["connect", &url]);
    let mut stream = accept(&listener);
    stream.write_all(b"bye").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(program.stdout.all(), b"bye");
    program.feed(b"and bye");
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"and bye");
    assert_eq!(program.end().code, Some(0));
}

#[test]
fn a_program_may_end_its_output_first_and_still_hears_everything() {
    let folder = Folder::new();
    let file = folder.join("heard");
    let url = format!("exec:sh -c 'echo first; exec >&-; cat > {file}'");
    let mut program = Program::netloom(["connect", &url]);
    assert_eq!(program.stdout.bytes(6), b"first\n");
    let sent = random(5 * MIB);
    program.feed(&sent);
    let ended = program.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_same(&std::fs::read(file).unwrap(), &sent);
}

#[test]
fn send_is_sent_instead_of_stdin() {
    let (listener, url) = listener();
    for (text, bytes) in [
        (r"plain", &b"plain"[..]),
        (r"a\r\n\tb", b"a\r\n\tb"),
        (r"\0\\\x41\xff\x00", b"\0\\A\xff\0"),
        ("ünïcödé ☃", "ünïcödé ☃".as_bytes()),
        ("--echo", b"--echo"),
        ("", b""),
    ] {
        let mut program = Program::netloom(["connect", &url, "--send", text]);
        let mut got = Vec::new();
        accept(&listener).read_to_end(&mut got).unwrap();
        assert_eq!(got, bytes, "{text}");
        assert_eq!(program.end().code, Some(0), "{text}");
    }
}

#[test]
fn expect_ends_well_when_it_comes_and_badly_when_it_does_not() {
    let (listener, url) = listener();
    // It comes in two parts, and the server never ends.
    let mut program = Program::netloom(["connect", &url, "--send", r"hi\n", "--expect", r"ok\r\n"]);
    let mut stream = accept(&listener);
    let mut asked = [0; 3];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"hi\n");
    stream.write_all(b"250 o").unwrap();
    assert_eq!(program.stdout.bytes(5), b"250 o");
    stream.write_all(b"k\r\n").unwrap();
    let ended = program.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(ended.text(), "250 ok\r\n");

    // The server ends without it; and with it, in one breath.
    for (said, code) in [("221 bye\r\n", 1), ("250 ok\r\n", 0)] {
        let mut program = Program::netloom(["connect", &url, "--expect", r"ok\r\n"]);
        program.feed(b"");
        accept(&listener).write_all(said.as_bytes()).unwrap();
        let ended = program.end();
        assert_eq!(ended.code, Some(code), "{said}: {ended:?}");
        assert_eq!(ended.text(), said);
        assert_eq!(
            ended.stderr.contains("error[recv.unexpected]"),
            code == 1,
            "{ended:?}"
        );
    }
}

#[test]
fn what_was_expected_is_found_in_a_stream_that_never_ends() {
    let chargen = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--chargen"]);
    for more in [&[][..], &["--json"]] {
        let args = [
            &["connect", chargen.endpoint(), "--expect", "qrstuvwxyz"][..],
            more,
        ]
        .concat();
        let ended = run(args, b"");
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{more:?}"
        );
        assert!(ended.text().contains("qrstuvwxyz"), "{more:?}");
    }
}

#[test]
fn plain_listen_talks_to_the_first_client_and_refuses_the_second() {
    let mut server = Server::netloom(&["listen", "tcp://127.0.0.1:0", "-v"]);
    let (said, answer) = (random(3 * MIB), random(4 * MIB));
    let first = open(server.addr());
    server.program.stderr.line("conn 1 opened from 127.0.0.1:");
    let second = std::net::TcpStream::connect_timeout(&server.addr(), PATIENCE);
    let refused = second.map(drop).unwrap_err().kind();
    assert_eq!(refused, std::io::ErrorKind::ConnectionRefused);
    server.program.feed(&answer);
    assert_same(&there_and_back(&first, &said), &answer);
    let ended = server.program.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_same(&ended.stdout, &said);
}

#[test]
fn plain_listen_keeps_taking_clients_when_it_is_told_to() {
    let mut server = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--keep"]);
    server.program.feed(b""); // nothing to say to anybody
    let mut all = Vec::new();
    for i in 0..5 {
        let said = format!("client {i}\n");
        assert_eq!(there_and_back(&open(server.addr()), said.as_bytes()), b"");
        all.extend(said.bytes());
        assert_eq!(server.program.stdout.bytes(all.len()), all);
    }
    // One that leaves with a reset is told of, and the next is taken.
    let rude = open(server.addr());
    crate::client::reset(rude);
    server.program.stderr.line("error[recv.reset");
    assert_eq!(there_and_back(&open(server.addr()), b"last"), b"");
    // Our side ends as soon as theirs begins, so what it says may still be coming.
    server.program.stdout.bytes(all.len() + b"last".len());
    server.program.signal("INT");
    let ended = server.program.end();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(ended.text().ends_with("client 4\nlast"), "{}", ended.text());
}

#[test]
fn plain_listen_takes_the_first_client_at_any_of_its_addresses() {
    let folder = Folder::new();
    let unix = format!("unix:{}", folder.join("x.sock"));
    for which in 0..3 {
        let mut command = netloom();
        command.args(["listen", "tcp://127.0.0.1:0", "tcp://[::1]:0", &unix]);
        let mut server = Server::start(&mut command, 3);
        server.program.feed(b"to the client");
        let ended = run(["connect", &server.endpoints[which]], b"to the server");
        assert_eq!(
            (ended.code, ended.text().as_str()),
            (Some(0), "to the client")
        );
        let ended = server.program.end();
        assert_eq!(
            (ended.code, ended.text().as_str()),
            (Some(0), "to the server")
        );
        assert!(
            !folder.path().join("x.sock").exists(),
            "its socket file was left over"
        );
    }
}

#[test]
fn loopback_of_both_families_has_one_port() {
    let mut command = netloom();
    command.args(["listen", "tcp://:0", "--echo"]);
    let server = Server::start(&mut command, 2);
    let [v4, v6] = [addr(&server.endpoints[0]), addr(&server.endpoints[1])];
    assert!(
        v4.is_ipv4() && v6.is_ipv6() && v4.port() == v6.port(),
        "{v4} {v6}"
    );
    for at in [v4, v6] {
        assert_eq!(there_and_back(&open(at), b"both"), b"both");
    }
}
