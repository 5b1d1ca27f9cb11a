//! `forward` under bulk: the kernel moves it, to the byte, and leaves nothing behind.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::process::{Command, Stdio};

use crate::client::{assert_same, open, random, there_and_back};
use crate::descriptors::descriptors;
use crate::peers::are_here;
use crate::program::{Program, Server, netloom, netloom_under};
use crate::told;

/// An echo, and what carries to it, one JSON line a connection.
fn carried(mut forward: Command) -> (Server, Server) {
    let echo = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
    forward.args(["forward", "tcp://127.0.0.1:0", echo.endpoint()]);
    forward.args(["--json", "--threads", "1"]);
    let forward = Server::start(&mut forward, 1);
    (echo, forward)
}

fn accounts(forward: &Server, count: usize) -> Vec<serde_json::Value> {
    let lines = forward.program.stdout.lines(r#""kind":"forwarded""#, count);
    lines.iter().map(|line| told::line(line)).collect()
}

#[test]
fn bulk_is_spliced_both_ways_to_the_byte() {
    let (echo, forward) = carried(netloom());
    let sent = random(24 << 20);
    assert_same(&there_and_back(&open(forward.addr()), &sent), &sent);
    let account = &accounts(&forward, 1)[0];
    assert_eq!(told::text(account, "gear"), "splice", "{account}");
    assert_eq!(account["to_target"], sent.len());
    assert_eq!(account["to_client"], sent.len());
    forward.stop();
    echo.stop();
}

#[test]
fn a_thousand_pairs_leave_no_descriptor_behind() {
    const PAIRS: usize = 1000;
    let (echo, forward) = carried(netloom());
    let pid = forward.program.pid();
    let before = descriptors(pid);
    let (little, much) = (random(200), random(2 << 20));
    for pair in 0..PAIRS {
        let bytes = if pair % 100 == 0 { &much } else { &little };
        assert_same(&there_and_back(&open(forward.addr()), bytes), bytes);
    }
    accounts(&forward, PAIRS);
    // Pipes in the pool are no pair's; there are never more than sixteen.
    let after = descriptors(pid);
    assert!(after <= before + 2 * 16, "{before} before, {after} after");
    forward.stop();
    echo.stop();
}

/// As many full pipes as one user may have, and then waits for its input to end.
const HOLD_PIPES: &str = "
import fcntl, os, sys
held = []
try:
    while True:
        pair = os.pipe()
        held.append(pair)
        fcntl.fcntl(pair[1], 1031, 1 << 20)
except OSError as error:
    print('full', len(held), error.errno, flush=True)
sys.stdin.read()
";

#[test]
fn with_the_quota_of_pipes_used_up_bytes_are_copied() {
    // No user of the system's, so that nobody else goes short.
    const NOBODY: &[&str] = &["--reuid=54321", "--regid=54321", "--clear-groups"];
    if !are_here(&["python3", "/usr/bin/python3", "setpriv"]) {
        return;
    }

    let (mut holder, forward) = if is_root() {
        let mut holder = Command::new("setpriv");
        // The system's: one in somebody's home is not for everybody.
        holder.args(NOBODY).arg("/usr/bin/python3");
        (holder, netloom_under("setpriv", NOBODY))
    } else {
        (Command::new("python3"), netloom())
    };
    let holder = Program::start(holder.args(["-c", HOLD_PIPES]).stdin(Stdio::piped()));
    holder.stdout.line("full");

    let (echo, forward) = carried(forward);
    let sent = random(24 << 20);
    assert_same(&there_and_back(&open(forward.addr()), &sent), &sent);
    let account = &accounts(&forward, 1)[0];
    assert_eq!(told::text(account, "gear"), "copy", "{account}");
    assert_eq!(account["to_client"], sent.len());
    forward.stop();
    echo.stop();
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

/// Whoever has said everything still hears all of the answer, however large
/// either is.
#[test]
fn an_end_is_passed_on_behind_bulk() {
    let (echo, forward) = carried(netloom());
    let sent = random(3 << 20);
    let mut stream = open(forward.addr());
    std::thread::scope(|scope| {
        let mut out = stream.try_clone().unwrap();
        let bytes = &sent;
        scope.spawn(move || {
            out.write_all(bytes).unwrap();
            out.shutdown(Shutdown::Write).unwrap();
        });
        let mut got = vec![0; sent.len()];
        stream.read_exact(&mut got).unwrap();
        assert_same(&got, &sent);
    });
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let account = &accounts(&forward, 1)[0];
    assert_eq!(told::text(account, "closed_by"), "client", "{account}");
    forward.stop();
    echo.stop();
}
