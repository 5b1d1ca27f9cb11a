//! How many may come in: in all, and from one source.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;

use crate::client::{echoed, open, until_closed};
use crate::program::{Program, Server, addr, netloom, netloom_under};
use crate::told;

/// That this client is connected and nobody answers it: it has sent `x`.
fn waits(stream: &mut TcpStream) {
    stream.write_all(b"x").unwrap();
    stream.set_nonblocking(true).unwrap();
    let kind = stream.read(&mut [0]).unwrap_err().kind();
    stream.set_nonblocking(false).unwrap();
    assert_eq!(kind, ErrorKind::WouldBlock);
}

/// That it has been answered what it sent while it waited.
fn is_served(stream: &mut TcpStream) {
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
}

#[test]
fn more_clients_than_may_wait_and_come_in_as_others_leave() {
    let args = [
        "listen",
        "tcp://127.0.0.1:0",
        "--echo",
        "--max-conns",
        "2",
        "--json",
    ];
    let server = Server::netloom(&args);
    let mut inside: Vec<TcpStream> = (0..2).map(|_| open(server.addr())).collect();
    for stream in &mut inside {
        echoed(stream, b"in");
    }
    let told = told::line(&server.program.stdout.line("limit.reached"));
    assert_eq!(told::text(&told, "kind"), "failed");
    let mut waiting: Vec<TcpStream> = (0..3).map(|_| open(server.addr())).collect();
    for stream in &mut waiting {
        waits(stream);
    }
    for stream in &mut waiting {
        let mut leaving = inside.remove(0);
        leaving.shutdown(Shutdown::Write).unwrap();
        assert_eq!(until_closed(&mut leaving), b"");
        is_served(stream);
        inside.push(stream.try_clone().unwrap());
    }
    // Full all the time, and told once.
    let lines = told::lines(&server.stop().stdout);
    let times = lines
        .iter()
        .filter(|line| line["kind"] == "failed" && line["code"] == "limit.reached")
        .count();
    assert_eq!(times, 1, "{lines:?}");
}

#[test]
fn one_place_is_enough_for_either_family() {
    let mut command = netloom();
    command.args(["listen", "tcp://:0", "--echo", "--max-conns", "1", "--json"]);
    let server = Server::start(&mut command, 2);
    // Alone, at the address that was bound last.
    let mut alone = open(addr(&server.endpoints[1]));
    echoed(&mut alone, b"alone");
    drop(alone);
    server.program.stdout.line(r#""kind":"closed""#);
    let mut both: Vec<TcpStream> = server.endpoints.iter().map(|at| open(addr(at))).collect();
    for stream in &mut both {
        stream.write_all(b"x").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    }
    // Whoever of the two came in first, the other comes in when it leaves.
    for stream in &mut both {
        is_served(stream);
        assert_eq!(until_closed(stream), b"");
    }
    let lines = told::lines(&server.stop().stdout);
    let ends = lines.iter().filter(|line| line["kind"] == "closed").count();
    assert_eq!(ends, 3, "{lines:?}");
}

#[test]
fn a_full_house_is_not_told_before_it_is_full() {
    let mut command = netloom();
    command.args([
        "listen",
        "tcp://:0",
        "--echo",
        "--max-conns",
        "2",
        "--threads",
        "4",
        "--json",
    ]);
    let server = Server::start(&mut command, 2);
    // Eight loops accept for two places, and one client is half of what may come.
    let mut only = open(addr(&server.endpoints[1]));
    echoed(&mut only, b"alone");
    drop(only);
    server.program.stdout.line(r#""kind":"closed""#);
    let told = String::from_utf8(server.stop().stdout).unwrap();
    assert!(!told.contains("limit.reached"), "{told}");
}

#[test]
fn the_limit_of_a_service_counts_the_connections_of_all_its_cores() {
    let args = [
        "listen",
        "tcp://127.0.0.1:0",
        "--echo",
        "--max-conns",
        "8",
        "--threads",
        "4",
        "--json",
    ];
    let server = Server::netloom(&args);
    let mut clients: Vec<TcpStream> = (0..64).map(|_| open(server.addr())).collect();
    for stream in &mut clients {
        stream.write_all(b"x").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    }
    for mut stream in clients {
        is_served(&mut stream);
        assert_eq!(until_closed(&mut stream), b"");
    }
    let lines = told::lines(&server.stop().stdout);
    let (mut open, mut most, mut all) = (0_i32, 0, 0);
    for line in &lines {
        match told::text(line, "kind") {
            "opened" => (open, all) = (open + 1, all + 1),
            "closed" => open -= 1,
            _ => {}
        }
        most = most.max(open);
    }
    assert_eq!((all, open), (64, 0));
    assert!(most <= 8, "{most} were open at once");
}

/// Loopback is not counted, so this needs an address that is not, and for that
/// a network of its own.
#[test]
fn one_source_may_not_have_all_the_places() {
    let can = Command::new("unshare")
        .args(["--net", "ip", "link", "set", "lo", "up"])
        .output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no network namespace may be made here");
        return;
    }
    let net = "ip link set lo up && ip addr add 192.0.2.1/32 dev lo && ip addr add 192.0.2.2/32 dev lo && exec \"$@\"";
    let mut command = netloom_under("unshare", &["--net", "sh", "-c", net, "sh"]);
    command.args([
        "listen",
        "tcp://*:0",
        "--echo",
        "--max-conns-per-source",
        "2",
        "--json",
    ]);
    let server = Server::start(&mut command, 1);
    let port = server.endpoint().rsplit(':').next().unwrap().to_owned();
    let pid = server.program.pid().to_string();
    let dial = |from: &str, to: &str| {
        let url = format!("tcp://{to}:{port},source={from}");
        let mut command = netloom_under("nsenter", &["--net", "--target", &pid]);
        Program::start(command.args([
            "connect", &url, "--json", "--send", "x", "--expect", "never",
        ]))
    };
    let is_in = |program: &Program| _ = program.stdout.line(r#""kind":"data""#);
    let two = [
        dial("192.0.2.1", "192.0.2.1"),
        dial("192.0.2.1", "192.0.2.2"),
    ];
    two.iter().for_each(is_in);

    let refused = dial("192.0.2.1", "192.0.2.1").end();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let told = told::line(&server.program.stdout.line(r#""kind":"refused""#));
    assert_eq!(
        (told::text(&told, "limit"), &told["count"]),
        ("max-conns-per-source", &1.into())
    );

    // Another source, and loopback as often as it likes.
    let others = [
        dial("192.0.2.2", "192.0.2.1"),
        dial("127.0.0.1", "127.0.0.1"),
        dial("127.0.0.1", "127.0.0.1"),
        dial("127.0.0.1", "127.0.0.1"),
    ];
    others.iter().for_each(is_in);

    // When one leaves, the next of that source may come.
    let [leaving, _staying] = two;
    drop(leaving);
    server.program.stdout.line(r#""kind":"closed""#);
    is_in(&dial("192.0.2.1", "192.0.2.1"));
}
