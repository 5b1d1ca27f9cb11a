//! Clients of `forward` that say nothing, or do not read what they are told:
//! they cost little, hold up nobody, and are let go by their limits.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;

use crate::client::{open, there_and_back, until_closed};
use crate::descriptors::memory;
use crate::program::Server;
use crate::told;

fn forward(to: &Server, idle: &str) -> Server {
    let words = [
        "forward",
        "tcp://127.0.0.1:0",
        to.endpoint(),
        "--idle",
        idle,
    ];
    Server::netloom(&[&words[..], &["--json", "--threads", "1"]].concat())
}

#[test]
fn a_silent_client_is_let_go_and_its_target_too() {
    let echo = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo", "--json"]);
    let forward = forward(&echo, "300ms");
    let mut silent = open(forward.addr());
    assert_eq!(until_closed(&mut silent), b"");
    let account = told::line(&forward.program.stdout.line(r#""kind":"forwarded""#));
    assert_eq!(told::text(&account, "reason"), "limit.idle");
    assert_eq!(told::text(&account, "closed_by"), "us");
    echo.program.stdout.line(r#""kind":"closed""#);
    assert_eq!(there_and_back(&open(forward.addr()), b"word"), b"word");
    forward.stop();
}

#[test]
fn clients_that_do_not_read_are_held_up_alone_and_then_let_go() {
    const STUCK: usize = 20;
    let endless = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--chargen", "--json"]);
    let forward = forward(&endless, "1s");
    let pid = forward.program.pid();
    // What is kept for everybody is there before it counts.
    let mut decent = open(forward.addr());
    let mut some = vec![0; 4 << 20];
    decent.read_exact(&mut some).unwrap();
    let before = memory(pid);
    let stuck: Vec<TcpStream> = (0..STUCK).map(|_| open(forward.addr())).collect();
    decent.read_exact(&mut some).unwrap();

    // From now on that one does not read either.
    let idle = r#""reason":"stuck.reader-stopped""#;
    for line in forward.program.stdout.lines(idle, STUCK + 1) {
        let account = told::line(&line);
        assert_eq!(told::text(&account, "not_reading"), "client", "{account}");
        assert_eq!(told::text(&account, "closed_by"), "us", "{account}");
        assert!(account["to_client"].as_u64() > Some(0), "{account}");
    }
    // At most what was read at once and could not be passed on, of each.
    let after = memory(pid);
    let most = before + (STUCK as u64 + 8) * 256;
    assert!(after < most, "{before} KiB before, {after} KiB after");
    // Nobody takes the part it got for the whole.
    for mut client in stuck {
        let error = client.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    drop(decent);
    forward.stop();
}
