//! What every verb keeps: what goes to which stream, how it ends, and when.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use socket2::{Domain, Socket, Type};

use crate::client;
use crate::program::{Ended, Folder, Program, Server, run};
use crate::told;

/// An address that refuses: bound, so that nobody else takes it, and not listening.
fn refusing() -> (Socket, String) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, format!("tcp://127.0.0.1:{port}"))
}

const ECHO: [&str; 3] = ["listen", "tcp://127.0.0.1:0", "--echo"];
const SOON: [&str; 2] = ["--timeout", "50ms"];

fn with<'a>(args: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [args, more].concat()
}

#[test]
fn stdout_has_what_was_asked_for_and_stderr_the_rest() {
    let (_held, refusing) = refusing();
    let folder = Folder::new();
    let file = folder.join("netloom.toml");
    let config = run(with(&ECHO, &["--print-config"]), b"");
    assert_eq!((config.code, config.stderr.as_str()), (Some(0), ""));
    std::fs::write(&file, &config.stdout).unwrap();

    let serve = ["serve", "echo", "--on", "tcp://127.0.0.1:0"];
    // What is run, its exit code, a word on stdout, a word on stderr.
    let table: [(Vec<&str>, i32, &str, &str); 16] = [
        (vec!["connect", "exec:cat", "--send", "hi"], 0, "hi", ""),
        (
            vec!["connect", "exec:cat", "--send", "hi", "-v"],
            0,
            "hi",
            "2 bytes received",
        ),
        (
            vec!["connect", &refusing],
            1,
            "",
            "error[connect.refused.no-listener]",
        ),
        (
            vec!["connect", "tcp://:99999"],
            2,
            "",
            "error[parse.endpoint]",
        ),
        (vec!["connect"], 2, "", "<URL>"),
        (with(&ECHO, &SOON), 0, "", "listening tcp://127.0.0.1:"),
        (
            with(&["listen", "tcp://127.0.0.1:0"], &SOON),
            1,
            "",
            "recv.timeout",
        ),
        (with(&serve, &SOON), 0, "", "listening tcp://127.0.0.1:"),
        (
            vec!["serve", "echo", "--on", "tcp://:99999"],
            2,
            "",
            "error[parse.endpoint]",
        ),
        (
            with(&["up", &file], &SOON),
            0,
            "",
            "listening tcp://127.0.0.1:",
        ),
        (vec!["up", &file, "--check"], 0, "", "nothing wrong"),
        (vec!["up", "--example"], 0, "[service.echo]", ""),
        (vec!["explain", "connect.self"], 0, "connect.self: ", ""),
        (vec!["explain", "no.such.code"], 2, "", "no.such.code"),
        (vec!["completions", "bash"], 0, "complete ", ""),
        (vec!["man", "connect"], 0, ".TH netloom-connect", ""),
    ];
    for (args, code, out, err) in table {
        let ended = run(&args, b"");
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
        for (said, word, stream) in [
            (&ended.text(), out, "stdout"),
            (&ended.stderr, err, "stderr"),
        ] {
            let right = if word.is_empty() {
                said.is_empty()
            } else {
                said.contains(word)
            };
            assert!(right, "{args:?} has on {stream}:\n{said}");
        }
    }
}

/// Runs with `--json`, and holds both streams to the contract.
fn json(args: &[&str]) -> (Ended, Vec<serde_json::Value>) {
    let ended = run(with(args, &["--json"]), b"");
    assert_eq!(ended.stderr, "", "{args:?}");
    let lines = told::lines(&ended.stdout);
    assert!(!lines.is_empty(), "{args:?} told nothing");
    (ended, lines)
}

#[test]
fn json_is_lines_on_stdout_and_nothing_on_stderr() {
    let (_held, refusing) = refusing();
    let folder = Folder::new();
    let file = folder.join("netloom.toml");
    std::fs::write(&file, run(with(&ECHO, &["--print-config"]), b"").stdout).unwrap();

    let serve = ["serve", "echo", "--on", "tcp://127.0.0.1:0"];
    // What is run, its exit code, and the kinds it tells.
    let table: [(Vec<&str>, i32, &[&str]); 14] = [
        (
            vec!["connect", "exec:cat", "--send", "hi"],
            0,
            &["data", "story"],
        ),
        (
            vec!["connect", "exec:cat", "--send", "hi", "--expect", "hi"],
            0,
            &["data", "story"],
        ),
        (vec!["connect", &refusing], 1, &["diagnosis"]),
        (with(&ECHO, &SOON), 0, &["listening"]),
        (
            with(&["listen", "tcp://127.0.0.1:0"], &SOON),
            1,
            &["listening", "diagnosis"],
        ),
        (with(&serve, &SOON), 0, &["listening"]),
        (with(&["up", &file], &SOON), 0, &["listening"]),
        (vec!["up", &file, "--check"], 0, &["done"]),
        (vec!["up", "--example"], 0, &["page"]),
        (with(&ECHO, &["--print-config"]), 0, &["page"]),
        (vec!["explain", "connect.self"], 0, &["page"]),
        (vec!["completions", "fish"], 0, &["page"]),
        (vec!["man"], 0, &["page"]),
        (vec!["man", "serve"], 0, &["page"]),
    ];
    for (args, code, kinds) in table {
        let (ended, lines) = json(&args);
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
        assert_eq!(told::kinds(&lines), kinds, "{args:?}");
    }
}

#[test]
fn a_mistake_of_usage_is_a_diagnosis_too() {
    let on = "tcp://127.0.0.1:0";
    for (args, code) in [
        (vec![], "parse.usage"),
        (vec!["no-such-verb"], "parse.usage"),
        (vec!["connect"], "parse.usage"),
        (vec!["connect", "exec:cat", "--no-such-flag"], "parse.usage"),
        (vec!["connect", "exec:cat", "--send", r"\q"], "parse.usage"),
        (
            vec!["connect", "exec:cat", "--timeout", "soon"],
            "parse.usage",
        ),
        (vec!["connect", "tcp//x"], "parse.endpoint"),
        (vec!["connect", "no-such-scheme://x"], "parse.endpoint"),
        (vec!["listen", "tcp://:99999"], "parse.endpoint"),
        (vec!["listen", "tcp://:99999", "--echo"], "parse.endpoint"),
        (vec!["listen", on, "--print-config"], "parse.usage"),
        (
            vec!["listen", on, "--echo", "--idle", "soon"],
            "parse.setting",
        ),
        (vec!["listen", on, "--echo", "--per-line"], "parse.setting"),
        (vec!["listen", on, "--echo", "--discard"], "parse.usage"),
        (vec!["listen", on, "--reply", r"\q"], "parse.setting"),
        (vec!["serve"], "parse.usage"),
        (vec!["serve", "no-such-kind"], "parse.usage"),
        (vec!["serve", "echo"], "parse.usage"),
        (
            vec!["serve", "echo", "--on", "tcp://:99999"],
            "parse.endpoint",
        ),
        (
            vec!["serve", "echo", "--on", on, "--threads", "0"],
            "parse.usage",
        ),
        (vec!["up", "/no/such/file"], "parse.config"),
        (vec!["explain", "no.such.code"], "parse.usage"),
        (vec!["completions", "no-such-shell"], "parse.usage"),
        (vec!["man", "no-such-verb"], "parse.usage"),
    ] {
        let (ended, lines) = json(&args);
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:?}");
        let last = told::one_end(&lines);
        assert_eq!(told::text(last, "kind"), "diagnosis", "{args:?}");
        assert_eq!(told::text(last, "code"), code, "{args:?}");
        let summary = told::text(last, "summary");
        assert!(
            !summary.is_empty() && !summary.ends_with(':'),
            "{args:?}: {summary}"
        );
    }
}

#[test]
fn a_wrong_flag_of_a_kind_is_drawn_as_it_was_typed() {
    let reply = r"known escapes are \r \n \t \0 \\ \xNN, not `\q`";
    let drawn = format!("{reply}\n  --reply a\\q\n           ^^\n");
    let by_name = format!("{reply}\n  --text a\\q\n          ^^\n");
    let echo = "`echo` has no --per-line\n  --per-line\n  ^^^^^^^^^^\n";
    for (args, told) in [
        (&["listen", "tcp://:0", "--reply", r"a\q"][..], &*drawn),
        (
            &["serve", "reply", "--on", "tcp://:0", "--text", r"a\q"],
            &by_name,
        ),
        (&["listen", "tcp://:0", "--echo", "--per-line"], echo),
    ] {
        let ended = run(args, b"");
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:?}");
        assert_eq!(ended.stderr, format!("error[parse.setting]: {told}"));
    }
}

#[test]
fn the_flags_of_output_count_before_the_kind_and_after_it() {
    let on = ["--on", "tcp://:99999"];
    for args in [
        [&["serve", "--json", "echo"][..], &on].concat(),
        [&["serve", "echo", "--json"][..], &on].concat(),
    ] {
        let ended = run(&args, b"");
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(2), ""),
            "{args:?}"
        );
        assert_eq!(
            told::text(&told::lines(&ended.stdout)[0], "code"),
            "parse.endpoint"
        );
    }
}

#[test]
fn a_missing_argument_is_named() {
    let (_, lines) = json(&["connect"]);
    assert!(
        told::text(&lines[0], "summary").contains("<URL>"),
        "{lines:?}"
    );
}

#[test]
fn a_client_ends_with_one_story_or_diagnosis_or_done() {
    let (_held, refusing) = refusing();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("tcp://{}", server.local_addr().unwrap());
    for (args, kind) in [
        (vec!["connect", "exec:cat", "--send", "x"], "story"),
        (
            vec!["connect", "exec:cat", "--send", "x", "--expect", "x"],
            "story",
        ),
        (vec!["connect", "exec:true", "--expect", "x"], "diagnosis"),
        (vec!["connect", &refusing], "diagnosis"),
        (vec!["connect", &silent, "--timeout", "50ms"], "diagnosis"),
    ] {
        let (_, lines) = json(&args);
        assert_eq!(told::text(told::one_end(&lines), "kind"), kind, "{args:?}");
    }
}

#[test]
fn the_story_counts_what_moved() {
    for args in [
        vec!["connect", "exec:cat", "--send", "hello"],
        vec!["connect", "exec:cat", "--send", "hello", "--expect", "lo"],
    ] {
        let (_, lines) = json(&args);
        let story = told::one_end(&lines);
        assert_eq!(
            (&story["received"], &story["sent"]),
            (&5.into(), &5.into()),
            "{story}"
        );
        assert_eq!(told::text(story, "endpoint"), "exec:cat");
    }
}

#[test]
fn plain_listen_tells_its_story_too() {
    let server = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--json"]);
    let mut program = server.program;
    program.feed(b"from the server");
    let stream = client::open(crate::program::addr(&server.endpoints[0]));
    assert_eq!(
        client::there_and_back(&stream, b"from the client"),
        b"from the server"
    );
    let ended = program.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let lines = told::lines(&ended.stdout);
    assert_eq!(told::kinds(&lines), ["listening", "data", "story"]);
    assert_eq!(told::text(&lines[1], "text"), "from the client");
    assert_eq!(told::text(&lines[2], "endpoint"), server.endpoints[0]);
}

/// What stands under `text` or `base64`.
fn bytes(data: &serde_json::Value) -> Vec<u8> {
    if let Some(text) = data["text"].as_str() {
        return text.as_bytes().to_vec();
    }
    let digit = |c: u8| match c {
        b'A'..=b'Z' => u32::from(c - b'A'),
        b'a'..=b'z' => u32::from(c - b'a') + 26,
        b'0'..=b'9' => u32::from(c - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        _ => 0,
    };
    let coded = told::text(data, "base64").as_bytes();
    let mut plain = Vec::new();
    for group in coded.chunks(4) {
        let word = group.iter().fold(0, |word, c| word << 6 | digit(*c));
        let padding = std::str::from_utf8(group).unwrap().matches('=').count();
        plain.extend_from_slice(&word.to_be_bytes()[1..4 - padding]);
    }
    plain
}

#[test]
fn received_bytes_are_whole_in_json_too() {
    let sent = client::random(1 << 20);
    let words = "words, \"quotes\", ünïcödé ☃\r\n\tand\\more\n"
        .repeat(5000)
        .into_bytes();
    for sent in [sent, words, b"\0".to_vec(), b"\x7f\x80".to_vec()] {
        let ended = run(["connect", "exec:cat", "--json"], &sent);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        let lines = told::lines(&ended.stdout);
        let (story, data) = lines.split_last().unwrap();
        let all: Vec<u8> = data.iter().flat_map(bytes).collect();
        client::assert_same(&all, &sent);
        assert_eq!(story["received"], sent.len());
        assert!(
            data.iter()
                .all(|line| line["dir"] == "in" && line["conn"] == 1)
        );
    }
}

#[test]
fn an_interrupted_client_exits_130_and_ends_its_json() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", server.local_addr().unwrap());
    for json in [false, true] {
        let more: &[&str] = if json { &["--json"] } else { &[] };
        let mut program = Program::netloom(with(&["connect", &url], more));
        let _accepted = server.accept().unwrap();
        program.signal("INT");
        let ended = program.end();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(130), ""));
        if json {
            let lines = told::lines(&ended.stdout);
            assert_eq!(told::text(told::one_end(&lines), "code"), "stopped");
        } else {
            assert_eq!(ended.text(), "");
        }
    }
}

#[test]
fn quiet_says_nothing_but_what_fails() {
    let (_held, refusing) = refusing();
    assert_eq!(
        run(with(&ECHO, &["--quiet", "--timeout", "50ms"]), b"").stderr,
        ""
    );
    let ended = run(["connect", &refusing, "-q"], b"");
    assert!(
        ended
            .stderr
            .starts_with("error[connect.refused.no-listener]"),
        "{ended:?}"
    );
}

#[test]
fn colour_is_for_terminals_and_for_who_asks() {
    const BOLD: &str = "\u{1b}[1;31merror[";
    let (_held, refusing) = refusing();
    let stderr = |args: &[&str]| run(with(&["connect", &refusing], args), b"").stderr;
    assert!(!stderr(&[]).contains('\u{1b}'));
    assert!(!stderr(&["--color", "never"]).contains('\u{1b}'));
    assert!(stderr(&["--color", "always"]).starts_with(BOLD));

    // `script` gives it a terminal.
    let on_a_terminal = |no_color: Option<&str>, args: &str| {
        let line = format!(
            "{} connect {refusing} {args}",
            env!("CARGO_BIN_EXE_netloom")
        );
        let mut script = Command::new("script");
        script
            .args(["-qec", &line, "/dev/null"])
            .env_remove("NO_COLOR");
        if let Some(value) = no_color {
            script.env("NO_COLOR", value);
        }
        let mut program = Program::start(&mut script);
        program.feed(b"");
        program.end().text()
    };
    assert!(on_a_terminal(None, "").contains(BOLD));
    assert!(
        on_a_terminal(Some(""), "").contains(BOLD),
        "an empty NO_COLOR is none"
    );
    assert!(!on_a_terminal(Some("1"), "").contains('\u{1b}'));
    assert!(on_a_terminal(Some("1"), "--color=always").contains(BOLD));
}

/// What is told of a deadline that passed: the stage, and the evidence.
fn told_late(words: &[&str]) -> String {
    let late = ["--timeout", "300ms", "--json"];
    let ended = Program::netloom(with(words, &late)).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told = ended.text();
    assert!(told.contains(r#""code":"recv.timeout""#), "{told}");
    assert!(told.contains(words[1]), "{told}");
    told
}

#[test]
fn a_timeout_tells_the_stage_that_hung_and_what_had_moved() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap();
    let moved = r#""0 bytes received, 5 sent""#;
    for more in [&["--expect", "x"][..], &["--framing", "lines"]] {
        let send = if more[0] == "--expect" {
            "hello"
        } else {
            "hell"
        };
        let url = format!("tcp://{at}");
        let told = told_late(&with(&["connect", &url, "--send", send], more));
        assert!(told.contains(r#""stage":"recv""#), "{told}");
        assert!(told.contains(moved), "{told}");
    }
    let told = told_late(&["connect", &format!("tls://{at},insecure")]);
    assert!(told.contains(r#""stage":"tls""#), "{told}");
    assert!(told.contains("does not speak TLS"), "{told}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_timeout_while_connecting_says_so() {
    // A queue that is full: the kernel drops what asks for more.
    let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    full.listen(0).unwrap();
    let at = full.local_addr().unwrap().as_socket().unwrap();
    let _one_waits = TcpStream::connect(at).unwrap();
    let told = told_late(&["connect", &format!("tcp://{at}")]);
    assert!(told.contains(r#""stage":"connect""#), "{told}");
    assert!(told.contains("a firewall drops the packets"), "{told}");
    assert!(!told.contains("confirmed"), "{told}");
}

#[test]
fn timeout_ends_a_client_with_a_diagnosis_and_a_server_in_order() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", silent.local_addr().unwrap());
    let mut program = Program::netloom(["connect", &url, "--timeout", "100ms"]);
    let ended = program.end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let begins = format!("error[recv.timeout]: {url}: ");
    assert!(ended.stderr.starts_with(&begins), "{ended:?}");
    for part in ["stage     recv failed", "0 bytes received, 0 sent"] {
        assert!(ended.stderr.contains(part), "{ended:?}");
    }

    let server = Server::netloom(&with(&ECHO, &["--timeout", "300ms"]));
    let mut at_rest = client::open(server.addr());
    client::echoed(&mut at_rest, b"still here");
    let mut program = server.program;
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(client::until_closed(&mut at_rest), b"");
}
