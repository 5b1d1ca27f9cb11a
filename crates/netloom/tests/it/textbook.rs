//! The programs that every introduction to sockets begins with, in both roles:
//! they behave, and where they fail it is said why.

use std::io::Read;
use std::net::{TcpStream, UdpSocket};
use std::process::Command;

use serde_json::Value;

use crate::client::random;
use crate::peers::are_here;
use crate::program::{Program, Server, netloom, run};
use crate::told;

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/textbook/server.py");
const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/textbook/client.py");

/// One of their servers, and its port; nothing where there is no Python.
pub(crate) fn server(words: &[&str]) -> Option<(Program, String)> {
    are_here(&["python3"]).then(|| {
        let server = Program::start(Command::new("python3").arg(SERVER).args(words));
        let line = server.stderr.line("listening ");
        (server, line["listening ".len()..].to_owned())
    })
}

/// One of their clients, at our server.
pub(crate) fn client(what: &str, server: &Server) -> Program {
    let port = server.endpoint().rsplit(':').next().unwrap();
    Program::start(Command::new("python3").args([CLIENT, what, port]))
}

/// How our client's last words begin: a diagnosis.
pub(crate) fn diagnosed(program: &mut Program) -> Value {
    let ended = program.end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let lines = told::lines(&ended.stdout);
    told::one_end(&lines).clone()
}

pub(crate) fn code(diagnosis: &Value) -> &str {
    told::text(diagnosis, "code")
}

#[test]
fn echo_once_and_close() {
    let Some((_server, port)) = server(&["echo-once"]) else {
        return;
    };
    let ended = run(
        [
            "connect",
            &format!("tcp://127.0.0.1:{port}"),
            "--send",
            "hello",
        ],
        b"",
    );
    assert_eq!(
        (ended.code, ended.text().as_str()),
        (Some(0), "hello"),
        "{ended:?}"
    );

    let ours = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
    assert_eq!(client("echo-once", &ours).end().text(), "hello\n");
}

#[test]
fn whoever_reads_1024_bytes_and_closes_resets_the_rest() {
    let Some((mut server, port)) = server(&["print-1024"]) else {
        return;
    };
    let url = format!("tcp://127.0.0.1:{port}");
    let mut ours = Program::netloom(["connect", &url, "--json"]);
    ours.feed(&random(5000));
    let diagnosis = diagnosed(&mut ours);
    assert_eq!(code(&diagnosis), "recv.reset", "{diagnosis}");
    let cause = &diagnosis["causes"][0];
    let text = told::text(cause, "text");
    assert!(text.contains("lay unread there"), "{diagnosis}");
    assert_eq!(server.end().text(), "1024\n");

    // What ours says last arrives whole, though the client takes a part of it.
    let text = "x".repeat(5000);
    let ours = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--reply", &text]);
    assert_eq!(client("print-1024", &ours).end().text(), "1024\n");
}

#[test]
fn a_datagram_is_answered_or_refused() {
    let Some((_server, port)) = server(&["udp-echo"]) else {
        return;
    };
    let url = format!("udp://127.0.0.1:{port}");
    let words = ["connect", &url, "--send", "hello", "--expect", "hello"];
    let ended = run(words, b"");
    assert_eq!(
        (ended.code, ended.text().as_str()),
        (Some(0), "hello"),
        "{ended:?}"
    );

    let ours = Server::netloom(&["listen", "udp://127.0.0.1:0", "--echo"]);
    assert_eq!(client("udp", &ours).end().text(), "hello\n");

    // Nobody there: the textbook's recv would wait for ever.
    let free = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("udp://{free}");
    let mut ours = Program::netloom([
        "connect", &url, "--send", "hello", "--expect", "x", "--json",
    ]);
    assert_eq!(code(&diagnosed(&mut ours)), "send.refused.no-listener");
}

#[test]
fn two_programs_that_both_wait_are_told_so() {
    let Some((server, port)) = server(&["waiting"]) else {
        return;
    };
    let url = format!("tcp://127.0.0.1:{port}");
    let who = format!("process {} `python3", server.pid());
    // On a host with more to do than it can, looking through /proc may end
    // before it has come to the server.
    let diagnosis = (0..5)
        .map(|_| {
            let words = ["connect", &url, "--timeout", "500ms", "--json"];
            let diagnosis = diagnosed(&mut Program::netloom(words));
            assert_eq!(code(&diagnosis), "stuck.both-reading", "{diagnosis}");
            diagnosis
        })
        .find(|told| told["evidence"].to_string().contains("/proc"))
        .expect("the server is looked for in /proc, and never found");
    let cause = &diagnosis["causes"][0];
    assert!(told::text(cause, "text").starts_with(&who), "{diagnosis}");
    assert_eq!(told::text(cause, "verdict"), "likely");
    let fix = told::text(&diagnosis["fixes"][0], "command");
    assert!(fix.ends_with(r"--send 'hello\n'"), "{diagnosis}");
    // The fix mends it.
    let mut words = shell_words::split(fix).unwrap();
    assert_eq!(words.remove(0), "netloom");
    let ended = run(&words, b"");
    assert_eq!(
        (ended.code, ended.text().as_str()),
        (Some(0), "you said hello\n")
    );

    // The other way round: their client waits for a word, and ours for one of theirs.
    let line = ["listen", "tcp://127.0.0.1:0", "--reply", "x", "--per-line"];
    let limits = ["--greet-timeout", "300ms", "--json"];
    let ours = Server::start(netloom().args(line).args(limits), 1);
    let theirs = client("waits", &ours);
    theirs.stdout.line("connected");
    let failed = ours.program.stdout.line(r#""kind":"failed""#);
    let failed = told::line(&failed);
    assert_eq!(code(&failed), "greet.timeout", "{failed}");
    // A client that waits, one that hangs and one that only looks who is there
    // are the same from here: what is known is said, and no more.
    let summary = told::text(&failed, "summary");
    assert!(summary.starts_with("nobody began"), "{failed}");
}

#[test]
fn a_server_that_closed_first_can_take_its_port_again() {
    let Some((mut first, port)) = server(&["closes-first", "0"]) else {
        return;
    };
    let url = format!("tcp://127.0.0.1:{port}");
    // Not our client, whose input is at its end and may be told first.
    let mut said = String::new();
    let mut client = TcpStream::connect(url.trim_start_matches("tcp://")).unwrap();
    client.read_to_string(&mut said).unwrap();
    assert_eq!(said, "bye\n");
    drop(client);
    first.end();
    // Theirs, without SO_REUSEADDR, cannot.
    let again = ["closes-first", port.as_str()];
    let ended = Program::start(Command::new("python3").arg(SERVER).args(again)).end();
    assert!(ended.stderr.contains("Address already in use"), "{ended:?}");
    let meaning = run(["explain", "EADDRINUSE"], b"").text();
    assert!(meaning.contains("bind.in-use"), "{meaning}");
    // Nor can ours, which is told why: both servers need it.
    let ended = run(["listen", &url, "--reply", "mine"], b"");
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.starts_with("error[bind.in-use.time-wait]"),
        "{}",
        ended.stderr
    );

    // Where both are ours, each closes first, and the next is there at once.
    let mut url = "tcp://127.0.0.1:0".to_owned();
    for _ in 0..3 {
        let ours = Server::netloom(&["listen", &url, "--reply", "mine"]);
        ours.endpoint().clone_into(&mut url);
        assert_eq!(run(["connect", &url], b"").text(), "mine");
        ours.stop();
    }
}

#[test]
fn two_sends_are_no_two_messages_without_framing() {
    let Some((mut server, port)) = server(&["merging"]) else {
        return;
    };
    let url = format!("tcp://127.0.0.1:{port}");
    let ended = run(["connect", &url, "--framing", "lines"], b"one\ntwo\n");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(server.end().text(), "b'one\\ntwo\\n'\n");

    // Ours tells them apart, and says where the stream was cut inside one.
    let words = [
        "listen",
        "tcp://127.0.0.1:0",
        "--framing",
        "lines",
        "--json",
    ];
    let mut ours = Server::start(netloom().args(words), 1);
    client("two-sends", &ours).end();
    let ended = ours.program.end();
    let lines = told::lines(&ended.stdout);
    let data: Vec<_> = lines
        .iter()
        .filter(|line| told::text(line, "kind") == "data")
        .map(|line| told::text(line, "text"))
        .collect();
    assert_eq!(data, ["one", "two"]);
    let diagnosis = told::one_end(&lines);
    assert_eq!(code(diagnosis), "recv.partial", "{diagnosis}");
    assert!(diagnosis.to_string().contains("lines"), "{diagnosis}");
}
