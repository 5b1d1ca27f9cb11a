//! Peers that do not read: what is told of them, by a client, by our servers and
//! by a forwarder between two.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::{Folder, Program, Server, netloom};
use crate::textbook::{client, code, diagnosed, server};
use crate::told;

/// More than all buffers between two programs hold.
const MUCH: usize = 64 << 20;

fn cause<'a>(diagnosis: &'a Value, words: &str) -> &'a Value {
    let causes = diagnosis["causes"].as_array().unwrap();
    let found = causes
        .iter()
        .find(|cause| told::text(cause, "text").contains(words));
    found.unwrap_or_else(|| panic!("no cause has {words:?}: {diagnosis}"))
}

fn has_fix(diagnosis: &Value, command: &str) -> bool {
    let mut fixes = diagnosis["fixes"].as_array().unwrap().iter();
    fixes.any(|fix| fix["command"] == command)
}

#[test]
fn a_reader_that_stops_stops_the_sender() {
    let Some((server, port)) = server(&["stops-reading"]) else {
        return;
    };
    let url = format!("tcp://127.0.0.1:{port}");
    let mut ours = Program::netloom(["connect", &url, "--timeout", "4s", "--json"]);
    ours.feed(&vec![b'x'; MUCH]);
    let diagnosis = diagnosed(&mut ours);
    assert_eq!(code(&diagnosis), "stuck.reader-stopped", "{diagnosis}");
    let who = format!("process {} `python3` does not read", server.pid());
    let reader = cause(&diagnosis, &who);
    assert_eq!(told::text(reader, "verdict"), "confirmed");
    assert!(
        told::text(reader, "because").contains("lie unread in its socket"),
        "{diagnosis}"
    );
    let lost = cause(&diagnosis, "packets are lost");
    assert_eq!(told::text(lost, "verdict"), "refuted");
    let look = format!("ps -o pid,stat,wchan:20,args -p {}", server.pid());
    assert!(has_fix(&diagnosis, &look), "{diagnosis}");
    drop(server);

    // Ours, whose program reads nothing, holds theirs up too, and keeps little.
    let ours = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--exec", "sleep 1000"]);
    assert_eq!(client("sendall", &ours).end().text(), "stuck\n");
    ours.stop();
}

#[test]
fn a_reader_that_was_stopped_can_go_on() {
    let Some((server, port)) = server(&["reads"]) else {
        return;
    };
    let url = format!("tcp://127.0.0.1:{port}");
    let mut ours = Program::netloom(["connect", &url, "--timeout", "4s", "--json"]);
    server.stdout.line("accepted");
    server.signal("STOP");
    ours.feed(&vec![b'x'; MUCH]);
    let diagnosis = diagnosed(&mut ours);
    assert_eq!(code(&diagnosis), "stuck.reader-stopped", "{diagnosis}");
    let stopped = cause(&diagnosis, "is stopped, and does not read");
    assert_eq!(told::text(stopped, "verdict"), "confirmed");
    let go_on = format!("kill -CONT {}", server.pid());
    assert!(has_fix(&diagnosis, &go_on), "{diagnosis}");
    server.signal("CONT");
}

#[test]
fn two_programs_that_both_write_are_told_so() {
    let Some((server, port)) = server(&["writes"]) else {
        return;
    };
    let url = format!("tcp://127.0.0.1:{port}");
    let mut ours = netloom()
        .args(["connect", &url, "--timeout", "4s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped()) // and nobody reads it
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = ours.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || {
        let _ = stdin.write_all(&vec![b'x'; MUCH]); // it does not take all
    });
    let mut told = String::new();
    let mut stderr = ours.stderr.take().unwrap();
    stderr.read_to_string(&mut told).unwrap();
    assert_eq!(ours.wait().unwrap().code(), Some(1), "{told}");
    feeding.join().unwrap();
    assert!(told.starts_with("error[stuck.both-writing]"), "{told}");
    let who = format!(
        "process {} `python3` writes and does not read, and this end",
        server.pid()
    );
    for words in [
        &*who,
        "nobody takes what it puts out",
        "bytes lie unread here",
        "and the window here is closed too",
        &format!("netloom connect {url} >answer"),
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    // Seen by whoever may look into the other program: root, and its user
    // where tracing is not forbidden.
    let call = format!("/proc/{}/syscall", server.pid());
    if std::fs::read_to_string(call).is_ok() {
        assert!(told.contains("where a thread waits in a write"), "{told}");
    }
}

/// Our server with an idle limit, and how its only conversation failed.
fn failed(kind: &[&str], what: &str) -> Value {
    let words = [
        &["listen", "tcp://127.0.0.1:0", "--idle", "1s", "--json"],
        kind,
    ]
    .concat();
    let ours = Server::start(netloom().args(words), 1);
    let theirs = client(what, &ours);
    let failed = ours.program.stdout.line(r#""kind":"failed""#);
    drop(theirs);
    told::line(&failed)
}

#[test]
fn servers_tell_who_does_not_read() {
    if !crate::peers::are_here(&["python3"]) {
        return;
    }
    let reader = failed(&["--chargen"], "never-reads");
    assert_eq!(code(&reader), "stuck.reader-stopped", "{reader}");
    assert_eq!(told::text(&reader, "stage"), "stuck");
    assert_eq!(told::text(&reader, "side"), "peer");
    let summary = told::text(&reader, "summary");
    assert!(
        summary.contains("bytes wait for it") && summary.contains("nothing could be sent for"),
        "{reader}"
    );
    assert!(reader["sent"].as_u64().unwrap() > 100_000, "{reader}");

    // An echo takes the next only when its answer was taken.
    let both = failed(&["--echo"], "writes");
    assert_eq!(code(&both), "stuck.both-writing", "{both}");
    let summary = told::text(&both, "summary");
    assert!(summary.contains("of its own lie unread here"), "{both}");

    // Whoever has nothing to say is idle, and no more.
    let idle = failed(&["--echo"], "says-little");
    assert_eq!(code(&idle), "limit.idle", "{idle}");
}

/// What a forwarder tells of its only connection.
fn forwarded(target: &str, what: &str) -> (Value, String) {
    let folder = Folder::new();
    let log = folder.join("access.jsonl");
    let words = [
        "forward",
        "tcp://127.0.0.1:0",
        target,
        "--idle",
        "1s",
        "--json",
    ];
    let words = [&words[..], &["--access-log", &log]].concat();
    let ours = Server::start(netloom().args(words), 1);
    let theirs = client(what, &ours);
    let line = ours.program.stdout.line(r#""kind":"forwarded""#);
    drop(theirs);
    ours.stop();
    (told::line(&line), std::fs::read_to_string(log).unwrap())
}

#[test]
fn a_forwarder_tells_which_side_does_not_read() {
    let Some((_target, port)) = server(&["stops-reading"]) else {
        return;
    };
    let echo = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
    let chargen = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--chargen"]);
    let stops = format!("tcp://127.0.0.1:{port}");
    for (target, what, reason, who) in [
        (&*stops, "writes", "stuck.reader-stopped", "target"),
        (
            chargen.endpoint(),
            "never-reads",
            "stuck.reader-stopped",
            "client",
        ),
        (echo.endpoint(), "writes", "stuck.both-writing", "both"),
    ] {
        let (line, log) = forwarded(target, what);
        assert_eq!(told::text(&line, "reason"), reason, "{line}");
        assert_eq!(told::text(&line, "not_reading"), who, "{line}");
        assert_eq!(told::text(&line, "closed_by"), "us", "{line}");
        assert!(log.contains(&format!(r#""not_reading":"{who}""#)), "{log}");
    }
    let (line, _) = forwarded(echo.endpoint(), "says-little");
    assert_eq!(told::text(&line, "reason"), "limit.idle", "{line}");
    assert_eq!(line.get("not_reading"), None, "{line}");
}

#[test]
fn a_machine_that_cannot_be_reached_is_told_with_what_it_lacks() {
    let mut ours = Program::netloom(["connect", "vsock:local:5000", "--json", "--send", ""]);
    let ended = ours.end();
    let lines = told::lines(&ended.stdout);
    let told = told::one_end(&lines);
    if told::text(told, "kind") != "diagnosis" {
        eprintln!("skipped: something listens on vsock port 5000 of this machine");
        return;
    }
    let fixes = told["fixes"].to_string();
    match code(told) {
        "connect.timeout.dropped" | "connect.unreachable.no-route" => {
            assert!(fixes.contains("modprobe vsock_loopback"), "{told}");
        }
        "connect.refused.no-listener" => {
            assert!(fixes.contains("netloom listen vsock:any:5000"), "{told}");
        }
        "create.family-unsupported" => assert!(fixes.contains("modprobe vsock"), "{told}"),
        other => panic!("{other}: {told}"),
    }
}

#[test]
fn a_serial_port_is_talked_to() {
    if !crate::peers::are_here(&["python3"]) {
        return;
    }
    // A terminal stands for the wire, and a program for what is behind it.
    let mut board = Program::start(Command::new("python3").args([
        "-u",
        "-c",
        "import os, pty\n\
         far, near = pty.openpty()\n\
         print(os.ttyname(near))\n\
         asked = b''\n\
         while not asked.endswith(b'\\r'): asked += os.read(far, 64)\n\
         os.write(far, b'\\r\\nOK ' + asked)\n\
         import sys; sys.stdin.read()",
    ]));
    let path = board.stdout.line("/dev/").trim().to_owned();
    let words = [
        "--send",
        "ATI\\r",
        "--expect",
        "OK ATI\\r",
        "--timeout",
        "20s",
    ];
    let url = format!("serial:{path},baud=9600");
    let ended = crate::program::run([&["connect", &url][..], &words].concat(), b"");
    assert_eq!(
        (ended.code, ended.text().as_str()),
        (Some(0), "\r\nOK ATI\r"),
        "{ended:?}"
    );
    board.feed(b"");
    assert_eq!(board.end().code, Some(0));

    let ended = crate::program::run(["connect", "serial:/dev/no-such-port", "--json"], b"");
    let lines = told::lines(&ended.stdout);
    let diagnosis = told::one_end(&lines);
    assert_eq!(code(diagnosis), "connect.no-such-path", "{diagnosis}");
    assert!(has_fix(diagnosis, "ls /sys/class/tty"), "{diagnosis}");
}
