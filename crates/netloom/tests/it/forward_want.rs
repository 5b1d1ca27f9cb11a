//! `forward` with all its descriptors in use: for who comes, for the target, for
//! a pipe. Each is told with its code, and nobody is blamed for it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::client::{assert_same, echoed, open, patient, random, there_and_back};
use crate::peers::are_here;
use crate::program::Server;
use crate::told;

/// Leaves a process so many descriptors that it may still open.
fn leaves(pid: u32, free: usize) {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let name = |fd: std::fs::DirEntry| fd.file_name().to_str()?.parse::<usize>().ok();
    let open: Vec<usize> = open.filter_map(|fd| name(fd.unwrap())).collect();
    // The limit is one of numbers, and the lowest that is free is given.
    let mut unused = (0..).filter(|number| !open.contains(number));
    may_have(pid, &unused.nth(free).unwrap().to_string());
}

/// How many descriptors a process may have from now on.
fn may_have(pid: u32, limit: &str) {
    let limit = format!("--nofile={limit}:");
    let mut command = Command::new("prlimit");
    let done = command.args(["--pid", &pid.to_string(), &limit]).status();
    assert!(done.unwrap().success(), "{limit}");
}

/// A forwarder to two echoes that has carried, and rests.
struct Place {
    forward: Server,
    _echoes: [Server; 2],
}

impl Place {
    fn new() -> Self {
        let echo = || Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
        let echoes = [echo(), echo()];
        let [one, other] = [0, 1].map(|i: usize| echoes[i].endpoint());
        let words = [
            "forward",
            "tcp://127.0.0.1:0",
            one,
            other,
            "--eject-after",
            "1",
        ];
        let forward = Server::netloom(&[&words[..], &["--json", "--threads", "1"]].concat());
        let place = Place {
            forward,
            _echoes: echoes,
        };
        place.carries();
        place.accounts(1);
        place
    }

    fn pid(&self) -> u32 {
        self.forward.program.pid()
    }

    fn carries(&self) {
        assert_eq!(there_and_back(&open(self.forward.addr()), b"well"), b"well");
    }

    fn accounts(&self, count: usize) -> Vec<serde_json::Value> {
        let stdout = &self.forward.program.stdout;
        let lines = stdout.lines(r#""kind":"forwarded""#, count);
        lines.iter().map(|line| told::line(line)).collect()
    }

    fn failed(&self, code: &str) -> serde_json::Value {
        let both = |line: &&String| line.contains(r#""kind":"failed""#);
        let lines = self
            .forward
            .program
            .stdout
            .lines(&format!(r#""code":"{code}""#), 1);
        told::line(lines.iter().find(both).unwrap())
    }
}

#[test]
fn a_target_that_cannot_be_dialled_for_want_of_descriptors_is_not_blamed() {
    if !are_here(&["prlimit"]) {
        return;
    }
    let place = Place::new();
    // Who comes takes the last one.
    leaves(place.pid(), 1);
    let lost =
        TcpStream::connect(place.forward.addr()).and_then(|client| patient(client).read(&mut [0]));
    assert_eq!(lost.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let failed = place.failed("create.no-descriptors");
    assert_eq!(told::text(&failed, "errno"), "EMFILE");
    assert_eq!(told::text(&failed, "side"), "os");
    let account = place.accounts(2).remove(1);
    assert_eq!(told::text(&account, "reason"), "create.no-descriptors");
    assert_eq!(told::text(&account, "closed_by"), "us", "{account}");
    assert_eq!(
        account["tries"], 1,
        "another would not have been dialled either"
    );

    may_have(place.pid(), "1000");
    for _ in 0..4 {
        place.carries();
    }
    let said = String::from_utf8(place.forward.stop().stdout).unwrap();
    assert!(!said.contains(r#""kind":"target""#), "{said}");
}

#[test]
fn whoever_comes_while_no_descriptor_is_left_is_served_when_there_is_one() {
    if !are_here(&["prlimit"]) {
        return;
    }
    let place = Place::new();
    leaves(place.pid(), 0);
    let mut waiting = open(place.forward.addr());
    waiting.write_all(b"here I am").unwrap();
    let failed = place.failed("accept.no-descriptors");
    assert_eq!(told::text(&failed, "errno"), "EMFILE");
    assert_eq!(told::text(&failed, "service"), "forward");
    may_have(place.pid(), "1000");
    let mut back = [0; 9];
    waiting.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"here I am");
    drop(waiting);
    place.forward.stop();
}

#[test]
fn without_a_descriptor_for_a_pipe_bytes_are_copied() {
    if !are_here(&["prlimit"]) {
        return;
    }
    let place = Place::new();
    let mut client = open(place.forward.addr());
    echoed(&mut client, b"hello");
    // A pipe has two ends.
    leaves(place.pid(), 1);
    let sent = random(16 << 20);
    assert_same(&there_and_back(&client, &sent), &sent);
    let account = place.accounts(2).remove(1);
    assert_eq!(told::text(&account, "gear"), "copy", "{account}");
    assert_eq!(told::text(&account, "reason"), "end");
    place.forward.stop();
}
