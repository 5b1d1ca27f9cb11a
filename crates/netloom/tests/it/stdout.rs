//! What becomes of a program whose output nobody takes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::client;
use crate::program::{Program, Server, addr as addr_of, netloom};
use crate::told;

#[test]
fn a_closed_stdout_ends_quietly() {
    let chargen = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--chargen"]);
    for args in [
        vec!["connect", chargen.endpoint()],
        vec!["connect", chargen.endpoint(), "--json"],
        vec!["connect", "exec:yes"],
        vec!["completions", "bash"],
        vec!["man", "listen"],
        vec!["--help"],
    ] {
        // `head` in the middle of a pipeline, as people write it.
        let pipe = r#""$@" | head -c 1 > /dev/null; exit "${PIPESTATUS[0]}""#;
        let mut bash = Command::new("bash");
        bash.args(["-c", pipe, "bash", env!("CARGO_BIN_EXE_netloom")])
            .args(&args);
        let mut program = Program::start(&mut bash);
        let ended = program.end();
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{args:?}"
        );
    }
}

#[test]
fn a_reader_that_left_before_the_first_byte_is_no_failure_either() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    for more in [&[][..], &["--json"]] {
        let mut command = netloom();
        command
            .args(["connect", &url])
            .args(more)
            .stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        listener.accept().unwrap().0.write_all(b"hi").unwrap();
        let mut stderr = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        let code = child.wait().unwrap().code();
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{more:?}");
    }
}

#[test]
fn what_cannot_be_written_is_a_failure() {
    let much = "0".repeat(3 << 20);
    for (args, input) in [
        (vec!["connect", "exec:cat"], much.as_str()),
        (vec!["connect", "exec:cat", "--send", "little"], ""),
        (vec!["man"], ""),
        (vec!["up", "--example"], ""),
    ] {
        let full = r#""$@" > /dev/full"#;
        let mut shell = Command::new("sh");
        shell
            .args(["-c", full, "sh", env!("CARGO_BIN_EXE_netloom")])
            .args(&args);
        let mut program = Program::start(&mut shell);
        program.feed(input.as_bytes());
        let ended = program.end();
        assert_eq!(ended.code, Some(1), "{args:?}: {ended:?}");
        assert!(
            ended.stderr.contains("standard output cannot be written"),
            "{ended:?}"
        );
        assert!(ended.stderr.contains("ENOSPC"), "{ended:?}");
    }
}

#[test]
fn plain_listen_ends_when_nobody_reads_any_more() {
    let mut command = netloom();
    command
        .args(["listen", "tcp://127.0.0.1:0", "--keep"])
        .stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let addr = addr_of(line.split_whitespace().nth(1).unwrap());
    client::open(addr).write_all(b"nobody hears it").unwrap();
    line.clear();
    stderr.read_to_string(&mut line).unwrap();
    assert_eq!((child.wait().unwrap().code(), line.as_str()), (Some(0), ""));
}

#[test]
fn a_server_whose_reader_has_left_drains() {
    let mut command = netloom();
    command
        .args(["listen", "tcp://127.0.0.1:0", "--echo"])
        .arg("--json")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        stdout.read_exact(&mut byte).unwrap();
        line.extend(byte);
    }
    drop(stdout);
    let value = told::line(std::str::from_utf8(&line).unwrap().trim_end());
    let addr = addr_of(told::text(&value, "endpoint"));
    // The event of this connection finds nobody.
    drop(client::open(addr));
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(
        (child.wait().unwrap().code(), stderr.as_str()),
        (Some(0), "")
    );
}
