//! The admin endpoint: figures for Prometheus, and who may not have them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;

use crate::client::{echoed, open, patient_udp, until_closed, whole};
use crate::peers::{VENV, are_here};
use crate::program::{Folder, Program, Server, addr, netloom, run};

/// Reads the figures with the parser that Prometheus's own Python client has.
const READ: &str = r#"
import sys, urllib.request
from prometheus_client.parser import text_string_to_metric_families
with urllib.request.urlopen(sys.argv[1], timeout=20) as answer:
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    text = answer.read().decode()
for family in text_string_to_metric_families(text):
    assert family.documentation, family.name
    for sample in family.samples:
        labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
        print(f"{sample.name}{{{labels}}}", sample.value)
"#;

fn echo_with_admin() -> (Server, SocketAddr) {
    let args = [
        "listen",
        "tcp://127.0.0.1:0",
        "--echo",
        "--admin",
        "tcp://127.0.0.1:0",
    ];
    let server = Server::start(netloom().args(args), 2);
    let admin = addr(&server.endpoints[1]);
    (server, admin)
}

fn ask(admin: SocketAddr, request: &str) -> String {
    let mut stream = open(admin);
    stream.write_all(request.as_bytes()).unwrap();
    String::from_utf8(until_closed(&mut stream)).unwrap()
}

fn figures(admin: SocketAddr) -> String {
    ask(
        admin,
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
}

#[test]
fn prometheus_reads_what_happened() {
    if !are_here(&[VENV]) {
        return;
    }
    let (server, admin) = echo_with_admin();
    let mut stays = open(server.addr());
    echoed(&mut stays, b"four");
    let mut leaves = open(server.addr());
    echoed(&mut leaves, b"sixsix");
    leaves.shutdown(Shutdown::Write).unwrap();
    assert_eq!(until_closed(&mut leaves), b"");

    let url = format!("http://{admin}/metrics");
    let read = Program::start(Command::new(VENV).args(["-c", READ, &url])).end();
    assert_eq!(read.code, Some(0), "{}", read.stderr);
    let read = read.text();
    let value = |sample: &str| {
        let of = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            (name == sample).then(|| value.parse::<f64>().unwrap() as u64)
        };
        let found = read.lines().find_map(of);
        found.unwrap_or_else(|| panic!("no {sample} in\n{read}"))
    };
    assert_eq!(value("netloom_service_connections_total{service=echo}"), 2);
    assert_eq!(
        value("netloom_service_received_bytes_total{service=echo}"),
        10
    );
    assert_eq!(value("netloom_service_sent_bytes_total{service=echo}"), 10);
    assert_eq!(value("netloom_service_connections{service=admin}"), 1);
    assert!(value("netloom_service_connections_limit{service=echo}") >= 1);
    assert!(value("process_resident_memory_bytes{}") > 1_000_000);
    assert!(value("process_open_fds{}") >= 6);
    value("process_cpu_seconds_total{}");
    server.stop();
}

#[test]
fn a_failure_is_counted_under_its_code() {
    let (server, admin) = echo_with_admin();
    // A client of the admin endpoint that ends within its request.
    let mut stream = open(admin);
    stream.write_all(b"GET /metr").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(until_closed(&mut stream), b"");
    let line = r#"netloom_service_failures_total{service="admin",code="recv.partial"} 1"#;
    let told = figures(admin);
    assert!(told.contains(line), "{told}");
    server.stop();
}

#[test]
fn sessions_of_datagrams_are_told_once() {
    let target = patient_udp();
    let to = format!("udp://{}", target.local_addr().unwrap());
    let args = ["forward", "udp://127.0.0.1:0", &to];
    // On one thread an answer is counted before anything else is answered.
    let more = ["--admin", "tcp://127.0.0.1:0", "--threads", "1"];
    let server = Server::start(netloom().args(args).args(more), 2);
    let at = addr(server.endpoints[0].trim_start_matches("udp://"));
    let (one, other) = (patient_udp(), patient_udp());
    let told = || {
        let all = figures(addr(&server.endpoints[1]));
        let lines = all.lines().map(str::to_owned);
        let own = lines.filter(|line| line.starts_with("netloom_forward_"));
        own.collect::<Vec<_>>()
    };
    let forth = r#"netloom_forward_datagrams_total{service="forward",direction="forth"}"#;
    for (before, client) in [&one, &other, &one].into_iter().enumerate() {
        client.send_to(b"there", at).unwrap();
        let (_, session) = whole(|| target.recv_from(&mut [0; 16])).unwrap();
        target.send_to(b"back", session).unwrap();
        assert_eq!(whole(|| client.recv(&mut [0; 16])).unwrap(), 4);
        // A client's first, too, which waits until its target is dialled.
        assert_eq!(told()[4], format!("{forth} {}", before + 1));
    }
    assert_eq!(
        told(),
        [
            r#"netloom_forward_datagrams_lost_total{service="forward",why="full"} 0"#,
            r#"netloom_forward_datagrams_lost_total{service="forward",why="source"} 0"#,
            r#"netloom_forward_datagrams_lost_total{service="forward",why="unreached"} 0"#,
            r#"netloom_forward_datagrams_lost_total{service="forward",why="overrun"} 0"#,
            r#"netloom_forward_datagrams_total{service="forward",direction="forth"} 3"#,
            r#"netloom_forward_datagrams_total{service="forward",direction="back"} 3"#,
            r#"netloom_forward_session_failures_total{service="forward"} 0"#,
            r#"netloom_forward_sessions{service="forward"} 2.0"#,
            r#"netloom_forward_sessions_total{service="forward"} 2"#,
        ]
    );
    server.stop();
}

#[test]
fn a_connection_takes_one_request_after_another() {
    let (server, admin) = echo_with_admin();
    let mut stream = open(admin);
    let both =
        "HEAD /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET / HTTP/1.1\r\nHost: [::1]\r\n\r\n";
    // In parts, as a network may give it.
    for part in both.as_bytes().chunks(7) {
        stream.write_all(part).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    assert_eq!(told.matches("HTTP/1.1 200 OK").count(), 2, "{told}");
    assert!(told.ends_with("figures for Prometheus\n"), "{told}");
    assert!(!told.contains("# HELP"), "HEAD has no body: {told}");
    server.stop();
}

#[test]
fn what_a_stranger_asks_is_refused() {
    let (server, admin) = echo_with_admin();
    let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(9000));
    let cases = [
        // DNS rebinding: a page's own name that leads here.
        (
            "GET /metrics HTTP/1.1\r\nHost: evil.example:80\r\n\r\n",
            "421",
        ),
        ("GET /metrics HTTP/1.1\r\n\r\n", "421"),
        (
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
            "421",
        ),
        (
            "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nGET ",
            "405",
        ),
        (
            "GET /../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "404",
        ),
        ("GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", "400"),
        ("\x16\x03\x01 hello\r\n\r\n", "400"),
        (&*long, "431"),
    ];
    for (request, status) in cases {
        let mut stream = open(admin);
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = String::from_utf8(until_closed(&mut stream)).unwrap();
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{request:?}: {answer}");
        assert!(!answer.contains("# HELP"), "{request:?}");
    }
    assert!(figures(admin).starts_with("HTTP/1.1 200 OK"));
    server.stop();
}

#[test]
fn silent_clients_hold_up_nobody() {
    let args = ["serve", "echo", "--on", "tcp://127.0.0.1:0"];
    let server = Server::start(
        netloom().args(args).args(["--admin", "tcp://127.0.0.1:0"]),
        2,
    );
    let idle: Vec<TcpStream> = (0..50).map(|_| open(addr(&server.endpoints[1]))).collect();
    assert!(figures(addr(&server.endpoints[1])).contains("connections{service=\"admin\"} 51"));
    drop(idle);
    server.stop();
}

#[test]
fn the_file_says_the_same_as_the_flag() {
    let flags = [
        "listen",
        "tcp://:0",
        "--echo",
        "--admin",
        "tcp://:9901",
        "--print-config",
    ];
    let printed = run(flags, b"").text();
    assert!(
        printed.starts_with("admin = [\"tcp://:9901\"]\n"),
        "{printed}"
    );
    let folder = Folder::new();
    let file = folder.join("n.toml");
    std::fs::write(&file, printed.replace(":9901", ":99999")).unwrap();
    let checked = run(["up", &file, "--check"], b"");
    assert_eq!(checked.code, Some(2));
    assert!(
        checked.stderr.contains("n.toml:1: a port is"),
        "{}",
        checked.stderr
    );
    let other = ["up", &file, "--admin", "udp://:0"];
    let checked = run(other, b"");
    assert_eq!(checked.code, Some(2), "{}", checked.stderr);
}
