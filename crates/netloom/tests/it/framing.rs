//! Conversations in messages: with Python in every framing, both ways.

mod wrong;

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::client::{open, patient, random};
use crate::peers::VENV;
use crate::program::{Ended, Program, Server, netloom, run};
use crate::told;

const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/peers/frames.py");

/// Types at a terminal, and waits for what each line brings.
const TYPIST: &str = r#"
import os, pty, signal, sys
signal.alarm(30)
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
def until(text):
    global seen
    while text not in seen:
        seen += os.read(fd, 4096)
    seen = seen[seen.index(text) + len(text):]
def types(line, *wanted):
    os.write(fd, line + b"\n")
    until(line) # the terminal's own echo
    for text in wanted:
        until(text)
types(b'{"a":1}', b'{"a":1}')
types(b"{oops", b"error[send.unframeable]: line 2 of the input", b"explain send.unframeable")
types(b"[2]", b"[2]")
os.write(fd, b"\x04")
try:
    while os.read(fd, 4096):
        pass
except OSError:
    pass # a terminal ends so
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

const FRAMINGS: [&str; 11] = [
    "lines",
    "crlf",
    "len8",
    "len16",
    "len16le",
    "len32",
    "len32le",
    "varint",
    "netstring",
    "json",
    "msgpack",
];

/// A Python that has what `framing` needs. In CI a missing one fails the test.
fn python(framing: &str) -> Option<Command> {
    let program = if Path::new(VENV).is_file() {
        VENV
    } else {
        "python3"
    };
    let import = if framing == "msgpack" {
        "import msgpack"
    } else {
        "import json"
    };
    let here = Command::new(program).args(["-c", import]).output();
    if here.is_ok_and(|output| output.status.success()) {
        return Some(Command::new(program));
    }
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    assert!(
        !in_ci,
        "python cannot `{import}`; cargo xtask install-peers gets it"
    );
    eprintln!("skipped: python cannot `{import}`; cargo xtask install-peers gets it");
    None
}

/// Messages that `framing` can say, as JSON where it has values.
fn messages(framing: &str) -> Vec<Vec<u8>> {
    let texts: &[&str] = match framing {
        "json" => &[
            r#"{"name":"ann","n":[1,2.5,-3,null,true]}"#,
            "17",
            r#""zwei\nZeilen""#,
        ],
        // As msgpack packs {"name": "ann", "n": [1, 2.5, -3, None, True]}, 17 and text.
        "msgpack" => {
            return vec![
                b"\x82\xa4name\xa3ann\xa1n\x95\x01\xcb\x40\x04\0\0\0\0\0\0\xfd\xc0\xc3".to_vec(),
                b"\x11".to_vec(),
                [&b"\xda\x01\x2c"[..], &[b'x'; 300]].concat(),
            ];
        }
        "lines" | "crlf" => &["hello", "", "a line with \t and \\ and é"],
        _ => {
            let longest = if framing == "len8" { 255 } else { 40_000 };
            return vec![
                b"hello".to_vec(),
                Vec::new(),
                b"\0\r\n,".to_vec(),
                random(longest),
            ];
        }
    };
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn hex(messages: &[Vec<u8>]) -> String {
    let line = |message: &Vec<u8>| {
        let digits = message.iter().map(|byte| format!("{byte:02x}"));
        digits.collect::<String>() + "\n"
    };
    messages.iter().map(line).collect()
}

/// What was printed as hex, without the spaces between bytes.
fn printed(ended: &Ended) -> String {
    ended.text().replace(' ', "")
}

/// A server that says `bytes` to its one client, and then ends or waits.
fn saying(bytes: &'static [u8], ends: bool) -> (String, std::thread::JoinHandle<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut stream = patient(listener.accept().unwrap().0);
        stream.write_all(bytes).unwrap();
        if ends {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        stream
    });
    (url, server)
}

#[test]
fn python_is_answered_in_every_framing() {
    for framing in FRAMINGS {
        let Some(mut python) = python(framing) else {
            continue;
        };
        let server = Server::netloom(&[
            "listen",
            "tcp://127.0.0.1:0",
            "--echo",
            "--framing",
            framing,
        ]);
        let addr = server.addr();
        let (host, port) = (addr.ip().to_string(), addr.port().to_string());
        let mut client = Program::start(python.args([PEER, "client", framing, &host, &port]));
        let said = hex(&messages(framing));
        client.feed(said.as_bytes());
        let ended = client.end();
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{framing}"
        );
        assert_eq!(ended.text(), said, "{framing}");
        server.stop();
    }
}

#[test]
fn we_are_answered_by_python_in_every_framing() {
    for framing in FRAMINGS {
        let Some(mut python) = python(framing) else {
            continue;
        };
        let server = Program::start(python.args([PEER, "server", framing]));
        let line = server.stderr.line("listening ");
        let url = format!("tcp://127.0.0.1:{}", line.split(' ').nth(1).unwrap());
        let said = hex(&messages(framing));
        let args = [
            "connect",
            &url,
            "--framing",
            framing,
            "--encode",
            "hex",
            "--decode",
            "hex",
        ];
        let ended = run(args, said.as_bytes());
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{framing}"
        );
        // Python writes a space after each comma of JSON.
        let all = hex(&messages(framing))
            .replace("2c", "2c20")
            .replace("3a", "3a20");
        let wanted = if framing == "json" { all } else { said };
        assert_eq!(printed(&ended), wanted, "{framing}");
    }
}

#[test]
fn plain_listen_talks_to_python_in_messages() {
    for framing in ["len32", "netstring", "json"] {
        let Some(mut python) = python(framing) else {
            continue;
        };
        let args = [
            "listen",
            "tcp://127.0.0.1:0",
            "--framing",
            framing,
            "--encode",
            "hex",
        ];
        let mut server = Server::netloom(&[&args[..], &["--decode", "hex"]].concat());
        let addr = server.addr();
        let (host, port) = (addr.ip().to_string(), addr.port().to_string());
        let mut client = Program::start(python.args([PEER, "client", framing, &host, &port]));
        let (asked, told) = (hex(&messages(framing)[..1]), hex(&messages(framing)));
        server.program.feed(told.as_bytes());
        client.feed(asked.as_bytes());
        let (here, there) = (server.program.end(), client.end());
        assert_eq!(
            (here.code, there.code),
            (Some(0), Some(0)),
            "{framing}: {here:?} {there:?}"
        );
        assert_eq!(there.text(), told, "{framing}");
        let asked = if framing == "json" {
            asked.replace("2c", "2c20").replace("3a", "3a20")
        } else {
            asked
        };
        assert_eq!(printed(&here), asked, "{framing}");
    }
}

#[test]
fn json_has_one_record_for_each_message() {
    let server = Server::netloom(&[
        "listen",
        "tcp://127.0.0.1:0",
        "--echo",
        "--framing",
        "len16",
    ]);
    let args = ["connect", server.endpoint(), "--framing", "len16", "--json"];
    let ended = run(args, b"one\n\ntwo\\xff\n");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let lines = told::lines(&ended.stdout);
    assert_eq!(told::kinds(&lines), ["data", "data", "data", "story"]);
    assert_eq!(
        (told::text(&lines[0], "text"), told::text(&lines[1], "text")),
        ("one", "")
    );
    assert_eq!(told::text(&lines[2], "base64"), "dHdv/w==");
    told::one_end(&lines);

    let (url, peer) = saying(b"\0\x03one\0", true);
    let ended = run(["connect", &url, "--framing", "len16", "--json"], b"");
    drop(peer.join().unwrap());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), ""));
    let lines = told::lines(&ended.stdout);
    assert_eq!(told::kinds(&lines), ["data", "diagnosis"]);
    let diagnosis = told::one_end(&lines);
    assert_eq!(told::text(diagnosis, "code"), "recv.partial");
    assert_eq!(
        diagnosis["evidence"][0]["fact"],
        "1 of the 2 bytes of a len16 header had come; one whole message came before it"
    );
}

#[test]
fn bytes_are_typed_and_shown_as_people_want_them() {
    let server = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
    let url = server.endpoint();
    for (flags, typed, shown) in [
        (
            "--hex",
            "dead BE:EF 0x00\n",
            "00000000  de ad be ef 00                                    |.....|\n",
        ),
        (
            "--framing msgpack",
            "{\"a\":[1,null]}\n\n\"x\"\n",
            "{\"a\":[1,null]}\n\"x\"\n",
        ),
        (
            "--framing json",
            "{\"b\":1,\"a\":2}\n",
            "{\"b\":1,\"a\":2}\n",
        ),
        (
            "--framing len32 --encode base64 --decode hex",
            "3q2+7w==\n",
            "de ad be ef\n",
        ),
        (
            "--framing lines --encode utf8 --decode utf8",
            "C:\\new é\n",
            "C:\\new é\n",
        ),
        (
            "--framing len8",
            "a\\nb\\x00\nlast without end",
            "a\\nb\\0\nlast without end\n",
        ),
        (
            "--framing len8 --encode json --decode msgpack",
            "17\n",
            "17\n", // no MessagePack value: shown as text
        ),
    ] {
        let args = ["connect", url].into_iter().chain(flags.split(' '));
        let ended = run(args, typed.as_bytes());
        assert_eq!(
            (ended.code, ended.text().as_str()),
            (Some(0), shown),
            "{flags}: {ended:?}"
        );
    }
    let ended = run(
        [
            "connect",
            url,
            "--framing",
            "len8",
            "--encode",
            "hex",
            "--send",
            "68 69",
        ],
        b"",
    );
    assert_eq!((ended.code, ended.text().as_str()), (Some(0), "hi\n"));
    let wait = [
        "connect",
        url,
        "--framing",
        "lines",
        "--send",
        "a",
        "--expect",
        "a",
    ];
    let ended = run(wait, b"");
    assert_eq!(
        (ended.code, ended.text().as_str()),
        (Some(0), "a\n"),
        "{ended:?}"
    );
}

#[test]
fn the_file_knows_framing() {
    let args =
        "serve echo --on tcp://127.0.0.1:0 --framing len32 --max-message 2MiB --print-config";
    let file = run(args.split(' '), b"").text();
    assert!(
        file.contains("framing = \"len32\"\nmax-message = \"2MiB\"\n"),
        "{file}"
    );
    let folder = crate::program::Folder::new();
    let path = folder.join("netloom.toml");
    std::fs::write(&path, &file).unwrap();
    let server = Server::start(netloom().args(["up", &path]), 1);
    let mut client = open(server.addr());
    crate::client::echoed(&mut client, b"\0\0\0\x05hello");
    client.write_all(b"\0\x20\0\x01").unwrap(); // one byte more than two mebibytes
    assert_eq!(crate::client::until_closed(&mut client), b"");
    server.stop();

    std::fs::write(
        &path,
        file.replace("len32", "len23")
            .replace("max-message", "max-mesage"),
    )
    .unwrap();
    let ended = run(["up", &path], b"");
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("no such framing: `len23`"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("nearest: max-message"), "{ended:?}");
}

#[test]
fn a_person_who_mistypes_may_type_again() {
    let Some(mut python) = python("json") else {
        return;
    };
    let netloom = env!("CARGO_BIN_EXE_netloom");
    let args = ["-c", TYPIST, netloom, "connect", "exec:cat", "--framing"];
    let ended = Program::start(python.args(args).arg("json")).end();
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), ""),
        "{ended:?}"
    );
}
