//! What a dial costs in system calls, counted by strace.

use std::process::Command;

use crate::peers::are_here;
use crate::program::{Ended, Folder, Program, Server, netloom_under};

/// On loopback nobody but this host can speak, so nothing is armed there.
const OWN: &str = "192.0.2.1";

/// Runs `netloom ARGS` to its end, entered through `by`; the lines that strace
/// wrote of it.
fn traced(by: &[&str], calls: &str, args: &[&str]) -> (Ended, Vec<String>) {
    let folder = Folder::new();
    let log = folder.join("trace");
    let calls = format!("trace={calls}");
    let strace = ["strace", "-f", "-qq", "-o", &log, "-e", &calls];
    let words = [by, &strace].concat();
    let mut command: Command = netloom_under(words[0], &words[1..]);
    let ended = Program::start(command.args(args)).end();
    let text = std::fs::read_to_string(&log).unwrap();
    (ended, text.lines().map(str::to_owned).collect())
}

/// A network whose only address off loopback is [`OWN`], and in it an echo, if
/// this user may make one.
fn elsewhere() -> Option<Server> {
    let can = Command::new("unshare")
        .args(["--net", "ip", "link", "set", "lo", "up"])
        .output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no network namespace may be made here");
        return None;
    }
    let net = format!("ip link set lo up && ip addr add {OWN}/32 dev lo && exec \"$@\"");
    let mut command = netloom_under("unshare", &["--net", "sh", "-c", &net, "sh"]);
    let on = format!("tcp://{OWN}:0");
    Some(Server::start(command.args(["listen", &on, "--echo"]), 1))
}

fn count(lines: &[String], word: &str) -> usize {
    lines.iter().filter(|line| line.contains(word)).count()
}

/// Whoever dials wants to know why it failed; that costs two calls, and from
/// the handshake on ICMP ends nothing.
#[test]
fn a_dial_arms_its_error_queue_and_takes_it_back() {
    if !are_here(&["strace"]) {
        return;
    }
    let Some(server) = elsewhere() else { return };
    let pid = server.program.pid().to_string();
    let args = ["connect", server.endpoint(), "--send", "x", "--expect", "x"];
    let by = ["nsenter", "--net", "--target", &pid];
    let (ended, lines) = traced(&by, "connect,setsockopt,recvmsg", &args);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);

    let at = |word: &str| lines.iter().position(|line| line.contains(word));
    assert_eq!(count(&lines, "RECVERR"), 2, "{lines:#?}");
    assert_eq!(count(&lines, "MSG_ERRQUEUE"), 0, "{lines:#?}");
    assert_eq!(count(&lines, "TCP_KEEPIDLE"), 1, "{lines:#?}");
    let armed = at("IP_RECVERR, [1]").expect("armed");
    let connected = at("connect(").expect("connected");
    let disarmed = at("IP_RECVERR, [0]").expect("disarmed");
    assert!(armed < connected && connected < disarmed, "{lines:#?}");
}

/// One that fails reads the queue, once. Of this host the tables say the rest,
/// so nobody dials again.
#[test]
fn a_refused_dial_reads_its_error_queue() {
    if !are_here(&["strace"]) {
        return;
    }
    let Some(server) = elsewhere() else { return };
    let pid = server.program.pid().to_string();
    let to = format!("tcp://{OWN}:1");
    let by = ["nsenter", "--net", "--target", &pid];
    let (ended, lines) = traced(&by, "recvmsg,connect", &["connect", &to, "--send", "x"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(count(&lines, "MSG_ERRQUEUE"), 1, "{lines:#?}");
    assert_eq!(count(&lines, "sin_port=htons(1)"), 1, "{lines:#?}");
}

/// A loopback dial makes three calls of its own and spares two: it waits for
/// no reactor, and asks for no error.
#[test]
fn a_dial_to_loopback_sets_no_more_than_it_needs() {
    if !are_here(&["strace"]) {
        return;
    }
    let server = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
    let args = |url| ["connect", url, "--send", "x", "--expect", "x"];
    let calls = "connect,setsockopt,getsockopt,getpeername";
    let (ended, lines) = traced(&[], calls, &args(server.endpoint()));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // The first that is said leaves at once anyway.
    assert_eq!(count(&lines, "sockopt("), 0, "{lines:#?}");

    let much = "x".repeat(2000);
    let args_of_much = [
        "connect",
        server.endpoint(),
        "--send",
        &much,
        "--expect",
        "x",
    ];
    let (ended, lines) = traced(&[], calls, &args_of_much);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(count(&lines, "sockopt("), 1, "{lines:#?}");
    assert_eq!(count(&lines, "TCP_NODELAY"), 1, "{lines:#?}");

    let probed = format!("{},keepalive=5s", server.endpoint());
    let (ended, lines) = traced(&[], calls, &args(&probed));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(count(&lines, "TCP_KEEPIDLE, [5]"), 1, "{lines:#?}");
    server.stop();
}

/// A refusal on loopback is told from the tables; nobody dials again.
#[test]
fn a_refused_dial_to_loopback_dials_once() {
    if !are_here(&["strace"]) {
        return;
    }
    let args = ["connect", "tcp://127.77.77.77:1", "--send", "x"];
    let (ended, lines) = traced(&[], "recvmsg,connect", &args);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(count(&lines, "MSG_ERRQUEUE"), 0, "{lines:#?}");
    assert_eq!(count(&lines, "sin_port=htons(1)"), 1, "{lines:#?}");
}
