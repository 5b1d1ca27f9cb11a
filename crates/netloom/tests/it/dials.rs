//! What a dial costs in system calls, counted by strace.

use std::process::Command;

use crate::peers::are_here;
use crate::program::{Ended, Folder, Program, Server, netloom_under};

/// Runs `netloom ARGS` to its end; the lines that strace wrote of it.
fn traced(calls: &str, args: &[&str]) -> (Ended, Vec<String>) {
    let folder = Folder::new();
    let log = folder.join("trace");
    let mut strace: Command = netloom_under(
        "strace",
        &["-f", "-qq", "-o", &log, "-e", &format!("trace={calls}")],
    );
    let ended = Program::start(strace.args(args)).end();
    let text = std::fs::read_to_string(&log).unwrap();
    (ended, text.lines().map(str::to_owned).collect())
}

/// Whoever dials wants to know why it failed; that costs two calls, and from
/// the handshake on ICMP ends nothing.
#[test]
fn a_dial_arms_its_error_queue_and_takes_it_back() {
    if !are_here(&["strace"]) {
        return;
    }
    let server = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
    let args = ["connect", server.endpoint(), "--send", "x", "--expect", "x"];
    let (ended, lines) = traced("connect,setsockopt,recvmsg", &args);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);

    let has = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    let at = |word: &str| lines.iter().position(|line| line.contains(word));
    assert_eq!(has("RECVERR"), 2, "{lines:#?}");
    assert_eq!(has("MSG_ERRQUEUE"), 0, "{lines:#?}");
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
    let args = ["connect", "tcp://127.77.77.77:1", "--send", "x"];
    let (ended, lines) = traced("recvmsg,connect", &args);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let has = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    assert_eq!(has("MSG_ERRQUEUE"), 1, "{lines:#?}");
    assert_eq!(has("sin_port=htons(1)"), 1, "{lines:#?}");
}
