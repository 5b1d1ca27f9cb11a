//! Descriptors and memory: none left, and none lost.

use std::net::TcpStream;

use crate::client::{echoed, open, there_and_back};
use crate::program::{Folder, Server, addr, netloom_under, run};
use crate::told;

/// Processor time a process has used, in clock ticks of 10 ms (proc_pid_stat(5)).
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = &stat[stat.rfind(')').unwrap() + 2..];
    let fields: Vec<&str> = after_name.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

pub(crate) fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count()
}

/// Resident memory in KiB.
pub(crate) fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_full_descriptor_table_neither_ends_the_server_nor_makes_it_spin() {
    // Each service takes at most four fifths of the table; two can fill it.
    let folder = Folder::new();
    let file = folder.join("netloom.toml");
    let service = |name| format!("[service.{name}]\nkind = \"echo\"\non = \"tcp://127.0.0.1:0\"\n");
    std::fs::write(&file, service("one") + &service("two")).unwrap();
    let mut command = netloom_under("prlimit", &["--nofile=40:40"]);
    let server = Server::start(command.args(["up", &file, "--json"]), 2);
    let pid = server.program.pid();
    let [one, two] = [addr(&server.endpoints[0]), addr(&server.endpoints[1])];

    let inside: Vec<TcpStream> = (0..40)
        .map(|i| open(if i % 2 == 0 { one } else { two }))
        .collect();
    let told = told::line(&server.program.stdout.line("accept.no-descriptors"));
    assert_eq!(
        (told::text(&told, "kind"), told::text(&told, "errno")),
        ("failed", "EMFILE")
    );
    let why = told::line(&server.program.stdout.line(r#""kind":"diagnosis""#));
    assert_eq!(told::text(&why, "code"), "accept.no-descriptors");
    assert_eq!(told::text(&why, "service"), told::text(&told, "service"));
    assert!(why.to_string().contains("40 may be"), "{why}");
    assert_eq!(told::text(&why["causes"][0], "verdict"), "confirmed");

    // A second of an honest client that has to wait.
    let before = cpu_ticks(pid);
    let late = run(
        [
            "connect",
            &server.endpoints[0],
            "--send",
            "x",
            "--expect",
            "x",
            "--timeout",
            "1s",
        ],
        b"",
    );
    assert!(late.stderr.starts_with("error[recv.timeout]"), "{late:?}");
    let used = cpu_ticks(pid) - before;
    assert!(
        used < 25,
        "{used} ticks of processor time in a second without descriptors"
    );
    let told = server
        .program
        .stdout
        .so_far()
        .matches(r#""kind":"failed""#)
        .count();
    assert!((1..=2).contains(&told), "told {told} times by two services");

    drop(inside);
    for at in [one, two] {
        assert_eq!(
            there_and_back(&open(at), b"and on it goes"),
            b"and on it goes"
        );
    }
    server.stop();
}

#[test]
fn two_thousand_connections_leave_nothing_behind() {
    let server = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo", "--json"]);
    let pid = server.program.pid();
    let mut closed = 0;
    let mut come_and_go = |count: usize| {
        for _ in 0..count / 50 {
            let mut clients: Vec<TcpStream> = (0..50).map(|_| open(server.addr())).collect();
            for stream in &mut clients {
                echoed(stream, b"here");
            }
        }
        closed += count;
        server.program.stdout.lines(r#""kind":"closed""#, closed);
    };
    come_and_go(50);
    let start = descriptors(pid);
    come_and_go(950); // the allocator has grown to what it needs
    let before = memory(pid);
    come_and_go(2000);
    assert_eq!(descriptors(pid), start);
    let after = memory(pid);
    assert!(
        after < before + 1024,
        "{before} KiB before, {after} KiB after"
    );
    assert!(there_and_back(&open(server.addr()), b"x") == b"x");
}

#[test]
fn max_conns_cannot_be_more_than_the_table_holds() {
    let mut command = netloom_under("prlimit", &["--nofile=50:50"]);
    command.args([
        "listen",
        "tcp://127.0.0.1:0",
        "--echo",
        "--max-conns",
        "1000",
        "--json",
    ]);
    let server = Server::start(&mut command, 1);
    let _inside: Vec<TcpStream> = (0..45).map(|_| open(server.addr())).collect();
    // 40 of 50, or earlier for want of descriptors: it never dies of it.
    let said = server.program.stdout.until("word of a limit", |said, _| {
        let said = String::from_utf8_lossy(said);
        let found = ["limit.reached", "accept.no-descriptors"]
            .into_iter()
            .find(|code| said.contains(code));
        found.map(str::to_owned)
    });
    assert!(!said.is_empty());
    server.stop();
}

#[test]
fn the_soft_limit_is_raised_to_the_hard_one() {
    let mut command = netloom_under("prlimit", &["--nofile=30:400"]);
    let server = Server::start(command.args(["listen", "tcp://127.0.0.1:0", "--echo"]), 1);
    let mut inside: Vec<TcpStream> = (0..100).map(|_| open(server.addr())).collect();
    for stream in &mut inside {
        echoed(stream, b"in");
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.program.pid())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("400"), "{line}");
}
