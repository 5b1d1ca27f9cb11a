//! `exec`: a program for each client, or one for all, and nothing of it stays.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::sync::mpsc;

use crate::client::{assert_same, open, patient, random, reset, there_and_back, until_closed};
use crate::peers::are_here;
use crate::program::{Folder, PATIENCE, Program, Server, netloom, run};
use crate::told;

const AT: &str = "tcp://127.0.0.1:0";

fn serve(command: &str, more: &[&str]) -> Server {
    Server::start(
        netloom().args(["listen", AT, "--exec", command]).args(more),
        1,
    )
}

/// A pipe with a name that programs hold open as long as any of them lives.
struct Life {
    folder: Folder,
    gone: mpsc::Receiver<Vec<u8>>,
}

impl Life {
    fn new() -> Self {
        let folder = Folder::new();
        let path = folder.join("life");
        let status = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(status.success());
        let (tell, gone) = mpsc::channel();
        std::thread::spawn(move || {
            let mut said = Vec::new();
            let mut pipe = std::fs::File::open(path).unwrap();
            pipe.read_to_end(&mut said).unwrap();
            let _ = tell.send(said);
        });
        Life { folder, gone }
    }

    /// A shell script whose processes all hold the pipe.
    fn script(&self, script: &str) -> String {
        let script = format!("exec 9>{}; {script}", self.folder.join("life"));
        shell_words::join(["sh", "-c", &script])
    }

    /// What they wrote, when the last of them has gone.
    fn over(&self) -> Vec<u8> {
        self.gone
            .recv_timeout(PATIENCE)
            .expect("a process lives on")
    }
}

#[test]
fn every_client_has_a_program_of_its_own_and_half_close_is_kept() {
    let server = serve("cat -n", &[]);
    let streams: Vec<_> = (0..20).map(|_| open(server.addr())).collect();
    for stream in &streams {
        let back = there_and_back(stream, b"one\ntwo\n");
        assert_eq!(back, b"     1\tone\n     2\ttwo\n");
    }
    server.stop();
}

#[test]
fn every_byte_goes_through_a_program() {
    let server = serve("cat", &[]);
    let sent = random(16 << 20);
    assert_same(&there_and_back(&open(server.addr()), &sent), &sent);
}

#[test]
fn what_a_program_says_after_the_client_s_end_comes_whole() {
    let server = serve("sh -c 'cat > /dev/null; seq 300000'", &[]);
    let back = there_and_back(&open(server.addr()), &random(1 << 20));
    assert!(back.ends_with(b"\n299999\n300000\n"));
}

#[test]
fn the_last_words_reach_a_client_that_still_talks() {
    let server = serve("sh -c 'head -c 3; echo bye; exit 3'", &["--json"]);
    let mut stream = open(server.addr());
    let half = random(200_000);
    stream.write_all(&half).unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert_eq!((&got[..3], &got[3..]), (&half[..3], &b"bye\n"[..]));
    drop(stream);
    let failed = server.program.stdout.line(r#""kind":"failed""#);
    let failed = told::line(&failed);
    assert_eq!(told::text(&failed, "code"), "exec.failed");
    assert!(
        told::text(&failed, "summary").ends_with("status 3"),
        "{failed}"
    );
}

#[test]
fn no_shell_reads_the_words_and_the_environment_is_clean() {
    let server = serve("printf '%s|' '$HOME' 'a  b' '*' ';' 'a,b=c%2C'", &[]);
    assert_eq!(
        until_closed(&mut open(server.addr())),
        b"$HOME|a  b|*|;|a,b=c%2C|"
    );
    server.stop();

    let mut command = netloom();
    command
        .args([
            "listen",
            AT,
            "--exec",
            "env",
            "--env",
            "GIVEN=yes, really",
            "--env",
            "HANDED",
        ])
        .env("SECRET", "word")
        .env("HANDED", "on");
    let server = Server::start(&mut command, 1);
    let mut stream = open(server.addr());
    let client = stream.local_addr().unwrap();
    let said = String::from_utf8(until_closed(&mut stream)).unwrap();
    let mut names: Vec<&str> = said
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    names.sort_unstable();
    names.retain(|name| !["HOME", "LANG", "TERM"].contains(name)); // where the tests have them
    assert_eq!(
        names,
        ["GIVEN", "HANDED", "NETLOOM_LOCAL", "NETLOOM_PEER", "PATH"]
    );
    assert!(said.contains(&format!("NETLOOM_PEER={client}\n")), "{said}");
    assert!(
        said.contains(&format!("NETLOOM_LOCAL={}\n", server.addr())),
        "{said}"
    );
    assert!(
        said.contains("GIVEN=yes, really\n") && said.contains("HANDED=on\n"),
        "{said}"
    );
}

#[test]
fn it_runs_in_the_folder_it_was_told() {
    let folder = Folder::new();
    let server = serve("pwd", &["--dir", &folder.join("")]);
    let said = String::from_utf8(until_closed(&mut open(server.addr()))).unwrap();
    let there = std::fs::canonicalize(folder.path()).unwrap();
    assert_eq!(std::fs::canonicalize(said.trim_end()).unwrap(), there);
}

#[test]
fn standard_error_is_told_or_joins() {
    let script = "sh -c 'echo oops >&2; echo fine'";
    let server = serve(script, &[]);
    assert_eq!(until_closed(&mut open(server.addr())), b"fine\n");
    let note = server.program.stderr.line("says: oops");
    assert!(note.starts_with("note: exec:sh pid "), "{note}");
    server.stop();

    let server = serve(script, &["--stderr", "join"]);
    assert_eq!(until_closed(&mut open(server.addr())), b"oops\nfine\n");
    assert!(!server.stop().stderr.contains("oops"));
}

#[test]
fn whoever_leaves_takes_the_program_and_its_children_along() {
    let life = Life::new();
    let server = serve(&life.script("echo up; sleep 1000 & sleep 1000"), &[]);
    let mut stream = open(server.addr());
    stream.read_exact(&mut [0; 3]).unwrap();
    reset(stream);
    assert_eq!(life.over(), b"");
    server.stop();
}

#[test]
fn a_program_that_clings_to_life_is_killed_after_a_grace() {
    let life = Life::new();
    let script = "trap 'echo asked >&9' HUP TERM; echo up; while :; do sleep 1000 & wait; done";
    let server = serve(&life.script(script), &[]);
    let mut stream = open(server.addr());
    stream.read_exact(&mut [0; 3]).unwrap();
    reset(stream);
    assert!(life.over().starts_with(b"asked\n"));
    server.stop();
}

#[test]
fn what_a_program_leaves_behind_does_not_stay() {
    let life = Life::new();
    let server = serve(
        &life.script("(sleep 1000 > /dev/null 2>&1 &); echo done"),
        &[],
    );
    assert_eq!(until_closed(&mut open(server.addr())), b"done\n");
    life.over();
}

#[test]
fn draining_ends_the_input_and_hears_the_rest() {
    let server = serve("sh -c 'echo up; cat; echo rest'", &[]);
    let mut stream = open(server.addr());
    stream.read_exact(&mut [0; 3]).unwrap();
    server.program.signal("INT");
    assert_eq!(until_closed(&mut stream), b"rest\n");
    drop(stream);
    server.program.stderr.all();
}

#[test]
fn nothing_outlives_the_server() {
    let deaf = "trap '' HUP TERM; echo up; sleep 1000";
    // Of a server that was killed, only the pipes' end tells.
    for (signals, script) in [(&["INT", "INT"][..], deaf), (&["KILL"], "echo up; cat")] {
        let life = Life::new();
        let server = serve(&life.script(script), &[]);
        let mut stream = open(server.addr());
        stream.read_exact(&mut [0; 3]).unwrap();
        for signal in signals {
            server.program.signal(signal);
        }
        until_closed(&mut stream);
        life.over();
    }
}

#[test]
fn more_than_may_run_are_turned_away_and_come_in_later() {
    let server = serve("cat", &["--max-processes", "2", "--json"]);
    let mut held: Vec<_> = (0..2).map(|_| open(server.addr())).collect();
    for stream in &mut held {
        crate::client::echoed(stream, b"in");
    }
    let turned_away = TcpStream::connect(server.addr()).unwrap();
    assert_eq!(until_closed(&mut patient(turned_away)), b"");
    let failed = server.program.stdout.line(r#""code":"limit.reached""#);
    assert!(
        told::text(&told::line(&failed), "summary").contains("programs"),
        "{failed}"
    );
    there_and_back(&held.remove(0), b"bye");
    server.program.stdout.line(r#""kind":"closed""#);
    crate::client::echoed(&mut open(server.addr()), b"in again");
}

#[test]
fn a_program_that_is_not_there_is_missed_before_anybody_comes() {
    let code = |args: &[&str]| {
        let ended = run(args.iter().copied().chain(["--json"]), b"");
        let lines = told::lines(&ended.stdout);
        let code = told::text(told::one_end(&lines), "code").to_owned();
        (ended.code, code)
    };
    let listen = |command: &'static str| ["listen", AT, "--exec", command];
    assert_eq!(
        code(&listen("no-such-program -x")),
        (Some(1), "exec.not-found".to_owned())
    );
    assert_eq!(
        code(&listen("/no/such")),
        (Some(1), "exec.not-found".to_owned())
    );
    assert_eq!(
        code(&listen("/etc/passwd")),
        (Some(1), "exec.denied".to_owned())
    );
    assert_eq!(code(&listen("/etc")), (Some(1), "exec.denied".to_owned()));
    assert_eq!(
        code(&listen("cat 'x")),
        (Some(2), "parse.setting".to_owned())
    );
    assert_eq!(code(&listen(" ")), (Some(2), "parse.setting".to_owned()));
    let udp = ["listen", "udp://127.0.0.1:0", "--exec", "cat"];
    assert_eq!(code(&udp), (Some(2), "parse.endpoint".to_owned()));
    let size = ["listen", AT, "--exec", "cat", "--size", "80x24"];
    assert_eq!(code(&size), (Some(2), "parse.setting".to_owned()));
    let env = ["listen", AT, "--exec", "cat", "--env", "NOT_THERE_AT_ALL"];
    assert_eq!(code(&env), (Some(2), "parse.setting".to_owned()));
}

#[test]
fn a_shell_for_everybody_is_warned_of() {
    let server = Server::netloom(&["listen", "tcp://*:0", "--exec", "sh"]);
    let note = server.program.stderr.line("is open to the network");
    assert!(
        note.contains("whoever reaches it runs `sh` as this user"),
        "{note}"
    );
    let ended = serve("sh", &[]).stop();
    assert!(
        !ended.stderr.contains("open to the network"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_terminal_is_one() {
    let script = "sh -c 'tty; stty size; echo oops >&2; read line; echo got $line'";
    let server = serve(script, &["--pty", "--size", "100x30"]);
    let mut stream = open(server.addr());
    stream.write_all(b"word\r").unwrap();
    let said = String::from_utf8(until_closed(&mut stream)).unwrap();
    assert!(said.contains("/dev/pts/"), "{said}");
    assert!(
        said.contains("30 100\r\n") && said.contains("oops\r\n"),
        "{said}"
    );
    assert!(said.ends_with("got word\r\n"), "{said}");
}

#[test]
fn whoever_hangs_up_ends_what_runs_on_the_terminal() {
    let life = Life::new();
    let server = serve(
        &life.script("trap '' HUP; echo up; sleep 1000 & sleep 1000"),
        &["--pty"],
    );
    let mut stream = open(server.addr());
    stream.read_exact(&mut [0; 3]).unwrap();
    reset(stream);
    life.over();
}

#[test]
fn a_shell_and_an_interpreter_talk_as_in_front_of_a_person() {
    let server = serve("sh -i", &["--pty"]);
    let mut stream = open(server.addr());
    stream.write_all(b"echo $((6 * 7))\nexit\n").unwrap();
    let said = String::from_utf8_lossy(&until_closed(&mut stream)).into_owned();
    assert!(said.contains("42\r\n"), "{said}");
    if are_here(&["python3"]) {
        let server = serve("python3 -i -q", &["--pty"]);
        // Half-close is the key that ends the input.
        let said = there_and_back(&open(server.addr()), b"print(6 * 7)\n");
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains(">>> ") && said.contains("42\r\n"), "{said}");
    }
}

#[test]
fn one_program_for_all_hears_and_is_heard_by_everybody() {
    let server = serve("sh -c 'echo up; cat'", &["--shared"]);
    let mut first = open(server.addr());
    let mut line = [0; 3];
    first.read_exact(&mut line).unwrap();
    let mut second = open(server.addr());
    // It is in once it hears itself.
    second.write_all(b"I\n").unwrap();
    for stream in [&mut first, &mut second] {
        let mut said = [0; 2];
        stream.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"I\n");
    }
    // Whoever has said everything still hears the others.
    second.shutdown(Shutdown::Write).unwrap();
    first.write_all(b"still\n").unwrap();
    let mut said = [0; 6];
    second.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"still\n");
    server.program.signal("INT");
    assert_eq!(until_closed(&mut first), b"still\n");
    assert_eq!(until_closed(&mut second), b"");
}

#[test]
fn a_slow_client_of_a_program_for_all_is_left_behind() {
    let server = serve("cat", &["--shared", "--json"]);
    let mut slow = open(server.addr());
    slow.write_all(b"I").unwrap();
    slow.read_exact(&mut [0; 1]).unwrap(); // and no more
    let stream = open(server.addr());
    let sent = random(32 << 20);
    std::thread::scope(|scope| {
        scope.spawn(|| (&stream).write_all(&sent).unwrap());
        let mut got = vec![0; sent.len()];
        (&stream).read_exact(&mut got).unwrap();
        assert_same(&got, &sent);
    });
    let failed = server.program.stdout.line(r#""code":"limit.slow-reader""#);
    let failed = told::line(&failed);
    assert!(
        told::text(&failed, "summary").contains("too slowly"),
        "{failed}"
    );
    until_closed(&mut slow);
}

#[test]
fn a_program_for_all_that_ended_is_started_for_the_next_client() {
    let server = serve("sh -c 'echo $$; head -n 1'", &["--shared"]);
    let said = || {
        let mut stream = open(server.addr());
        stream.write_all(b"word\n").unwrap();
        String::from_utf8(until_closed(&mut stream)).unwrap()
    };
    let (one, two) = (said(), said());
    assert!(
        one.ends_with("\nword\n") && two.ends_with("\nword\n"),
        "{one} {two}"
    );
    assert_ne!(one, two);
    server
        .program
        .stderr
        .line("the next client starts it again");
}

#[test]
fn programs_we_did_not_write_talk_to_it() {
    let clients: [(&[&str], &str); 3] = [
        (&["ncat"], "ncat HOST PORT"),
        (&["socat"], "socat -t 30 - TCP:HOST:PORT"),
        (
            &["python3"],
            "python3 -c 'import socket, sys; s = socket.create_connection((\"HOST\", PORT)); \
             s.sendall(sys.stdin.buffer.read()); s.shutdown(1); \
             [sys.stdout.buffer.write(b) for b in iter(lambda: s.recv(4096), b\"\")]'",
        ),
    ];
    let server = serve("tr a-z A-Z", &[]);
    let (host, port) = (
        server.addr().ip().to_string(),
        server.addr().port().to_string(),
    );
    for (needs, line) in clients {
        if !are_here(needs) {
            continue;
        }
        let line = line.replace("HOST", &host).replace("PORT", &port);
        let mut client = Program::start(Command::new("sh").args(["-c", &line]));
        client.feed(b"hello\nworld\n");
        let ended = client.end();
        assert_eq!(ended.text(), "HELLO\nWORLD\n", "{line}: {}", ended.stderr);
    }
}
