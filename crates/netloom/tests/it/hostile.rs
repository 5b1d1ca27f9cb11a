//! Clients that are broken, rude or silent: each ends alone, and is told of.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::client::{echoed, open, random, reset, there_and_back, until_closed};
use crate::program::{Folder, Server, addr, netloom};
use crate::told;

/// The first failure of a connection that this server tells.
fn failure(server: &Server) -> Value {
    told::line(&server.program.stdout.line(r#""kind":"failed""#))
}

/// That the server answers a decent client.
fn serves_on(server: &Server) {
    assert_eq!(
        there_and_back(&open(server.addr()), b"still there?"),
        b"still there?"
    );
}

#[test]
fn garbage_hurts_no_kind() {
    let folder = Folder::new();
    let file = folder.join("netloom.toml");
    let kinds = [
        ("echo", ""),
        ("discard", ""),
        ("time", ""),
        ("chargen", "bytes = 1000"),
        ("reply", "text = 'x'"),
    ];
    let table = |(kind, setting)| {
        format!("[service.{kind}]\nkind = \"{kind}\"\non = \"tcp://127.0.0.1:0\"\n{setting}\n\n")
    };
    let mut text: String = kinds.map(table).concat();
    text += "[service.lines]\nkind = \"reply\"\non = \"tcp://127.0.0.1:0\"\ntext = 'x'\nper-line = true\n";
    std::fs::write(&file, text).unwrap();
    let server = Server::start(netloom().args(["up", &file, "--json"]), kinds.len() + 1);
    let garbage = random(300_000);
    for endpoint in &server.endpoints {
        for piece in [
            &garbage[..],
            &garbage[..1],
            b"",
            b"\0",
            b"\r\n\r\n",
            b"\xff\xfb\x01",
        ] {
            let mut stream = open(addr(endpoint));
            // It may leave in the middle, whenever it has had enough.
            let _ = stream.write_all(piece);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            until_closed(&mut stream);
        }
    }
    assert_eq!(
        there_and_back(&open(addr(&server.endpoints[0])), b"echo"),
        b"echo"
    );
    assert_eq!(
        there_and_back(&open(addr(&server.endpoints[5])), b"1\n2\n"),
        b"xx"
    );
    server.stop();
}

#[test]
fn resets_at_every_moment_hurt_nobody_else() {
    let server = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo", "--json"]);
    let mut decent = open(server.addr());
    for i in 0..50 {
        // Before anything, in the middle of an echo, and with the echo unread.
        let mut rude = open(server.addr());
        if i % 3 > 0 {
            rude.write_all(b"hello").unwrap();
        }
        if i % 3 > 1 {
            rude.read_exact(&mut [0; 2]).unwrap();
        }
        reset(rude);
        echoed(&mut decent, b"between");
    }
    let ends = server.program.stdout.lines(r#""code":"recv.reset"#, 50);
    assert!(
        ends.iter().all(|line| told::line(line)["side"] == "peer"),
        "{ends:?}"
    );
    drop(decent);
    server.program.stdout.line(r#""kind":"closed""#);
    server.stop();
}

#[test]
fn a_reset_in_the_middle_of_a_transfer_is_told_with_what_had_moved() {
    let server = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo", "--json"]);
    let rude = open(server.addr());
    fill(&rude);
    reset(rude);
    let failed = failure(&server);
    let code = told::text(&failed, "code");
    assert!(
        matches!(
            code,
            "recv.reset" | "send.peer-closed" | "recv.reset.unread"
        ),
        "{failed}"
    );
    assert!(failed["received"].as_u64() > Some(0), "{failed}");
    assert!(failed["sent"].is_u64(), "{failed}");
    serves_on(&server);
}

/// Sends without reading until neither side takes more.
pub(crate) fn fill(stream: &TcpStream) -> Vec<u8> {
    let piece = random(64 * 1024);
    let mut sent = Vec::new();
    let mut stream = stream;
    // What does not move for so long does not move at all.
    let still = std::time::Duration::from_millis(200);
    stream.set_write_timeout(Some(still)).unwrap();
    while let Ok(n) = stream.write(&piece) {
        sent.extend_from_slice(&piece[..n]);
        assert!(
            sent.len() < 1 << 30,
            "the server takes everything and keeps it"
        );
    }
    stream
        .set_write_timeout(Some(crate::program::PATIENCE))
        .unwrap();
    sent
}

#[test]
fn one_byte_at_a_time_is_as_good_as_all_at_once() {
    let echo = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
    let mut stream = open(echo.addr());
    for byte in b"slowly" {
        echoed(&mut stream, &[*byte]);
    }
    let lines = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--reply", "+", "--per-line"]);
    let mut stream = open(lines.addr());
    stream.set_nodelay(true).unwrap();
    for byte in b"one\ntwo\r\nthree\n" {
        stream.write_all(&[*byte]).unwrap();
        if *byte == b'\n' {
            let mut answer = [0];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"+");
        }
    }
}

#[test]
fn a_client_that_must_speak_and_does_not_is_let_go() {
    let args = [
        "listen",
        "tcp://127.0.0.1:0",
        "--reply",
        "+",
        "--per-line",
        "--greet-timeout",
        "200ms",
        "--json",
    ];
    let server = Server::netloom(&args);
    let mut spoken = open(server.addr());
    spoken.write_all(b"half a li").unwrap();
    let mut silent = open(server.addr());
    assert_eq!(until_closed(&mut silent), b"");
    let failed = failure(&server);
    assert_eq!(told::text(&failed, "code"), "greet.timeout");
    assert_eq!(
        (told::text(&failed, "side"), &failed["conn"]),
        ("peer", &2.into())
    );
    spoken.write_all(b"ne\n").unwrap();
    let mut answer = [0];
    spoken.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+");
}

#[test]
fn a_client_that_need_not_speak_is_not_hurried() {
    // The same deadline, and a kind for which silence is no fault.
    let args = [
        "listen",
        "tcp://127.0.0.1:0",
        "--echo",
        "--greet-timeout",
        "100ms",
        "--idle",
        "500ms",
        "--json",
    ];
    let server = Server::netloom(&args);
    let mut silent = open(server.addr());
    assert_eq!(until_closed(&mut silent), b"");
    assert_eq!(told::text(&failure(&server), "code"), "limit.idle");
}

#[test]
fn an_idle_connection_is_let_go_and_a_busy_one_is_kept() {
    let server = Server::netloom(&[
        "listen",
        "tcp://127.0.0.1:0",
        "--echo",
        "--idle",
        "300ms",
        "--json",
    ]);
    let mut busy = open(server.addr());
    echoed(&mut busy, b"first");
    let mut idle = open(server.addr());
    echoed(&mut idle, b"once");
    let idle_end = std::thread::spawn(move || until_closed(&mut idle));
    while !idle_end.is_finished() {
        echoed(&mut busy, b"busy");
    }
    assert_eq!(idle_end.join().unwrap(), b"");
    let failed = failure(&server);
    assert_eq!(
        (told::text(&failed, "code"), &failed["conn"]),
        ("limit.idle", &2.into())
    );
    echoed(&mut busy, b"still here");
}

#[test]
fn a_client_that_does_not_read_is_let_go_too() {
    let server = Server::netloom(&[
        "listen",
        "tcp://127.0.0.1:0",
        "--chargen",
        "--idle",
        "300ms",
        "--json",
    ]);
    let _stuck = open(server.addr());
    let failed = failure(&server);
    assert_eq!(told::text(&failed, "code"), "stuck.reader-stopped");
}

#[test]
fn a_lifetime_ends_even_the_busy() {
    let args = [
        "listen",
        "tcp://127.0.0.1:0",
        "--echo",
        "--lifetime",
        "300ms",
        "--json",
    ];
    let server = Server::netloom(&args);
    let mut busy = open(server.addr());
    let mut talk = || {
        busy.write_all(b"busy")?;
        busy.read_exact(&mut [0; 4])
    };
    while talk().is_ok() {}
    assert_eq!(told::text(&failure(&server), "code"), "limit.lifetime");
}

#[test]
fn a_line_without_an_end_is_cut_off() {
    let server = Server::netloom(&[
        "listen",
        "tcp://127.0.0.1:0",
        "--reply",
        "+",
        "--per-line",
        "--json",
    ]);
    let mut endless = open(server.addr());
    while endless.write_all(&[b'x'; 4096]).is_ok() {}
    let failed = failure(&server);
    assert_eq!(told::text(&failed, "code"), "recv.frame-too-large");
    assert_eq!(told::text(&failed, "side"), "peer");
    // The longest line that is allowed still is.
    let mut line = vec![b'x'; 64 * 1024];
    line.push(b'\n');
    assert_eq!(there_and_back(&open(server.addr()), &line), b"+");
}
