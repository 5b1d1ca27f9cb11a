//! Programs we did not write, in both directions: every byte comes back.

use std::net::TcpListener;
use std::process::Command;

use crate::client::{assert_same, random};
use crate::program::{Folder, Program, Server, netloom};

const MIB: usize = 1 << 20;

/// Sends what it reads and writes what comes back, with `socket` or `asyncio`.
pub(crate) const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/peers/talk.py");

/// An echo server: `socket|asyncio`, then a path, or an address and a port.
pub(crate) const SERVER: &str = r#"
import asyncio, socket, sys, threading
way, place = sys.argv[1], sys.argv[2:]
family = socket.AF_UNIX if len(place) == 1 else socket.AF_INET6 if ":" in place[0] else socket.AF_INET
listener = socket.socket(family)
listener.bind(place[0] if len(place) == 1 else (place[0], int(place[1])))
listener.listen()
name = listener.getsockname()
print("listening", name if len(place) == 1 else name[1], file=sys.stderr, flush=True)

def serve(conn):
    with conn:
        while data := conn.recv(65536):
            conn.sendall(data)

async def answer(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def run():
    start = asyncio.start_unix_server if len(place) == 1 else asyncio.start_server
    await (await start(answer, sock=listener)).serve_forever()

if way == "asyncio":
    asyncio.run(run())
while True:
    threading.Thread(target=serve, args=listener.accept()[:1]).start()
"#;

/// A Python with the libraries that tests talk to: `cargo xtask install-peers`.
pub(crate) const VENV: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/peers/venv/bin/python"
);

/// Whether these programs are here. In CI a missing one fails the test.
pub(crate) fn are_here(programs: &[&str]) -> bool {
    let missing: Vec<&&str> = programs
        .iter()
        .filter(|program| {
            let look = format!("command -v {program} > /dev/null");
            !Command::new("sh")
                .args(["-c", &look])
                .status()
                .unwrap()
                .success()
        })
        .collect();
    if missing.is_empty() {
        return true;
    }
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    assert!(
        !in_ci,
        "peers are missing: {missing:?}; cargo xtask install-peers gets them"
    );
    eprintln!("skipped: {missing:?} not installed; cargo xtask install-peers gets them");
    false
}

pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

/// Where our server is, as a client's program wants to hear it.
struct Place {
    /// `tcp://…` or `unix:…`
    url: String,
    /// The address without brackets and the port, or the path alone.
    words: Vec<String>,
}

impl Place {
    fn of(url: &str) -> Self {
        let words = if let Some(path) = url.strip_prefix("unix:") {
            vec![path.to_owned()]
        } else {
            let addr = crate::program::addr(url);
            vec![addr.ip().to_string(), addr.port().to_string()]
        };
        Place {
            url: url.to_owned(),
            words,
        }
    }

    fn path(&self) -> Option<&str> {
        (self.words.len() == 1).then(|| self.words[0].as_str())
    }

    /// As socat writes it: `tcp4`, `tcp6` or `unix`, then what follows the verb.
    fn socat(&self, verb: &str) -> String {
        match self.path() {
            Some(path) => format!("unix-{verb}:{path}"),
            None if self.words[0].contains(':') => {
                format!("tcp6-{verb}:[{}]:{}", self.words[0], self.words[1])
            }
            None => format!("tcp4-{verb}:{}:{}", self.words[0], self.words[1]),
        }
    }

    fn with<'a>(&'a self, words: &[&'a str]) -> Command {
        let own = self.words.iter().map(String::as_str);
        command(&words.iter().copied().chain(own).collect::<Vec<_>>())
    }
}

/// Our echo on IPv4, IPv6 and a unix socket.
fn echo(folder: &Folder) -> (Server, Vec<Place>) {
    let unix = format!("unix:{}", folder.join("ours.sock"));
    let mut command = netloom();
    command.args([
        "listen",
        "tcp://127.0.0.1:0",
        "tcp://[::1]:0",
        &unix,
        "--echo",
    ]);
    let server = Server::start(&mut command, 3);
    let places = server.endpoints.iter().map(|url| Place::of(url)).collect();
    (server, places)
}

/// Feeds a mebibyte to `client`, which must end well with the same on its output.
fn there_and_back(mut client: Command) {
    let sent = random(MIB);
    let mut program = Program::start(&mut client);
    program.feed(&sent);
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{client:?}: {}", ended.stderr);
    assert_same(&ended.stdout, &sent);
}

#[test]
fn python_talks_to_our_echo() {
    if !are_here(&["python3"]) {
        return;
    }
    let folder = Folder::new();
    let (_server, places) = echo(&folder);
    for place in &places {
        for way in ["socket", "asyncio"] {
            there_and_back(place.with(&["python3", CLIENT, way]));
        }
    }
}

#[test]
fn we_talk_to_python() {
    if !are_here(&["python3"]) {
        return;
    }
    let folder = Folder::new();
    for way in ["socket", "asyncio"] {
        let path = folder.join(way);
        for place in [&["127.0.0.1", "0"][..], &["::1", "0"], &[&path]] {
            let server = Program::start(&mut command(
                &[&["python3", "-c", SERVER, way], place].concat(),
            ));
            let told = server.stderr.line("listening ");
            let port = told.split(' ').nth(1).unwrap();
            let url = match place {
                [host, _] if host.contains(':') => format!("tcp://[{host}]:{port}"),
                [host, _] => format!("tcp://{host}:{port}"),
                _ => format!("unix:{path}"),
            };
            let mut connect = netloom();
            connect.args(["connect", &url]);
            there_and_back(connect);
        }
    }
}

#[test]
fn ncat_and_socat_talk_to_our_echo() {
    if !are_here(&["ncat", "socat"]) {
        return;
    }
    let folder = Folder::new();
    let (_server, places) = echo(&folder);
    for place in &places {
        let way: &[&str] = if place.path().is_some() {
            &["ncat", "-U"]
        } else {
            &["ncat"]
        };
        there_and_back(place.with(way));
        there_and_back(command(&["socat", "-t60", "-", &place.socat("connect")]));
    }
}

#[test]
fn we_talk_to_socat() {
    if !are_here(&["socat"]) {
        return;
    }
    let folder = Folder::new();
    let path = folder.join("socat.sock");
    for (listen, host) in [
        ("tcp4-listen:0,bind=127.0.0.1".to_owned(), "127.0.0.1"),
        ("tcp6-listen:0,bind=[::1]".to_owned(), "[::1]"),
        (format!("unix-listen:{path}"), ""),
    ] {
        let server = Program::start(&mut command(&[
            "socat", "-d", "-d", "-t60", &listen, "exec:cat",
        ]));
        let told = server.stderr.line("listening on ");
        let url = match told.rsplit(':').next() {
            Some(port) if !host.is_empty() => format!("tcp://{host}:{port}"),
            _ => format!("unix:{path}"),
        };
        let mut connect = netloom();
        connect.args(["connect", &url]);
        there_and_back(connect);
    }
}

/// ncat cannot echo more than its pipes hold, so it only takes or only gives.
#[test]
fn we_talk_to_ncat() {
    if !are_here(&["ncat"]) {
        return;
    }
    let folder = Folder::new();
    for (i, host) in ["127.0.0.1", "::1", ""].into_iter().enumerate() {
        for way in ["--recv-only", "--send-only"] {
            let path = folder.join(&format!("ncat-{i}{way}"));
            // ncat does not tell which port it was given.
            let port = match host {
                "" => String::new(),
                _ => TcpListener::bind((host, 0))
                    .unwrap()
                    .local_addr()
                    .unwrap()
                    .port()
                    .to_string(),
            };
            let (words, url) = match host {
                "" => (vec!["-U", &path], format!("unix:{path}")),
                "::1" => (vec![host, &port], format!("tcp://[{host}]:{port}")),
                _ => (vec![host, &port], format!("tcp://{host}:{port}")),
            };
            let mut server = Program::start(&mut command(
                &[&["ncat", "-l", "-v", way], &words[..]].concat(),
            ));
            server.stderr.line("Listening on ");
            let sent = random(MIB);
            let mut connect = Program::netloom(["connect", &url]);
            let (from, to) = if way == "--recv-only" {
                (&mut connect, &mut server)
            } else {
                connect.feed(b"");
                (&mut server, &mut connect)
            };
            from.feed(&sent);
            assert_same(&to.stdout.bytes(MIB), &sent);
            assert_eq!(connect.end().code, Some(0), "{url}");
        }
    }
}

#[test]
fn ncat_and_socat_give_and_take_at_our_plain_listen() {
    if !are_here(&["ncat", "socat"]) {
        return;
    }
    let (ours, theirs) = (random(MIB), random(MIB - 1));
    for which in ["ncat", "socat"] {
        let mut server = Server::netloom(&["listen", "tcp://127.0.0.1:0"]);
        let place = Place::of(server.endpoint());
        server.program.feed(&ours);
        let mut client = match which {
            "ncat" => place.with(&["ncat"]),
            _ => command(&["socat", "-t60", "-", &place.socat("connect")]),
        };
        let mut client = Program::start(&mut client);
        client.feed(&theirs);
        assert_same(&server.program.end().stdout, &theirs);
        assert_same(&client.end().stdout, &ours);
    }
}

#[test]
fn others_hear_our_reply_and_our_time() {
    if !are_here(&["curl", "ncat", "python3"]) {
        return;
    }
    let reply = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--reply", r"hello\r\n"]);
    let time = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--time"]);
    for (server, right) in [
        (
            &reply,
            &(|said: &str| said == "hello\r\n") as &dyn Fn(&str) -> bool,
        ),
        (&time, &|said: &str| {
            said.ends_with("Z\r\n") && said.len() == 29
        }),
    ] {
        let place = Place::of(server.endpoint());
        let curl = command(&["curl", "-sSN", &place.url.replace("tcp://", "telnet://")]);
        for mut client in [
            curl,
            place.with(&["ncat"]),
            place.with(&["python3", CLIENT, "socket"]),
        ] {
            let mut program = Program::start(&mut client);
            program.feed(b"");
            let ended = program.end();
            assert!(right(&ended.text()), "{client:?}: {ended:?}");
        }
    }
}

/// curl reads telnet commands out of what comes, so it is given text; and it
/// keeps its connection when its input ends, so it is ended by us.
#[test]
fn curl_talks_to_our_echo() {
    if !are_here(&["curl"]) {
        return;
    }
    let server = Server::netloom(&["listen", "tcp://127.0.0.1:0", "tcp://[::1]:0", "--echo"]);
    server.program.stderr.lines("listening ", 2);
    let url = server.endpoint().replace("tcp://", "telnet://");
    let sent: Vec<u8> = random(MIB).iter().map(|byte| b' ' + byte % 95).collect();
    let mut curl = Program::start(&mut command(&["curl", "-sSN", &url]));
    let mut stdin = curl.stdin.take().unwrap();
    let feeding = sent.clone();
    let fed = std::thread::spawn(move || {
        use std::io::Write;
        // Its input stays open, and more comes, so that nothing is kept back.
        stdin
            .write_all(&feeding)
            .and_then(|()| stdin.write_all(&feeding))
            .map(|()| stdin)
    });
    assert_same(&curl.stdout.bytes(MIB), &sent);
    drop(curl);
    drop(fed.join().unwrap());
}
