//! Targets that die, stop, shut their port or fall silent while clients come
//! and go, and that are brought back: no client sees an error that another
//! target could have spared it, and each change is told once.

use std::collections::BTreeMap;
use std::io::{Error, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Condvar, Mutex};
use std::time::Instant;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::alone::{Far, in_own_network};
use crate::client::{open, patient, reset, until_closed, whole};
use crate::peers::are_here;
use crate::program::{Ended, Folder, PATIENCE, Program, Server};
use crate::told;

/// A server of HTTP that answers with its name after a moment, so that some are
/// under way whatever happens. A line on its input shuts its port, without
/// ending what it has accepted; the next opens it again.
const SERVER: &str = r#"
import asyncio, sys
name, host, port = sys.argv[1:]
async def answer(reader, writer):
    try:
        while (line := await reader.readline()) not in (b"\r\n", b""):
            pass
        if line:
            await asyncio.sleep(0.02)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(name)}\r\nConnection: close\r\n\r\n"
            writer.write((head + name).encode())
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()
async def serve():
    lines = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(lines)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while True:
        server = await asyncio.start_server(answer, host, int(port), backlog=512)
        print("open", flush=True)
        await lines.readline()
        server.close()
        print("shut", flush=True)
        await lines.readline()
asyncio.run(serve())
"#;

/// One of the targets, at a port of a network where nobody else is.
struct Target {
    name: &'static str,
    place: SocketAddr,
    /// What runs it where it is.
    by: Vec<String>,
    program: Option<Program>,
    times_told: usize,
}

impl Target {
    fn start(name: &'static str, place: &str, by: Vec<String>) -> Self {
        let mut target = Target {
            name,
            place: place.parse().unwrap(),
            by,
            program: None,
            times_told: 0,
        };
        target.comes_up();
        target
    }

    fn comes_up(&mut self) {
        let (host, port) = (self.place.ip().to_string(), self.place.port().to_string());
        let own = ["python3", "-c", SERVER, self.name, &host, &port];
        let words: Vec<&str> = self.by.iter().map(String::as_str).chain(own).collect();
        let program = Program::start(Command::new(words[0]).args(&words[1..]));
        program.stdout.line("open");
        self.program = Some(program);
        self.times_told = 0;
    }

    fn program(&mut self) -> &mut Program {
        self.program.as_mut().unwrap()
    }

    /// Kills it. Afterwards nothing of it is left.
    fn dies(&mut self) {
        self.program = None;
    }

    /// Shuts its port, or opens it.
    fn turns_its_port(&mut self) {
        self.times_told += 1;
        let (word, times) = match self.times_told % 2 {
            1 => ("shut", self.times_told.div_ceil(2)),
            _ => ("open", self.times_told / 2 + 1),
        };
        self.program()
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"\n")
            .unwrap();
        self.program().stdout.lines(word, times);
    }

    fn url(&self) -> String {
        format!("tcp://{}", self.place)
    }
}

/// How many clients ask at once.
const CLIENTS: u8 = 12;

/// Answers of a target by which it is known to have its share again.
const SHARE: usize = 20;

/// What clients have seen up to now.
#[derive(Default)]
struct Seen {
    over: bool,
    asked: usize,
    answers: BTreeMap<String, usize>,
    failed: Vec<Spoilt>,
}

/// A question without a whole answer.
struct Spoilt {
    from: Ipv4Addr,
    asked: Instant,
    why: String,
}

/// Clients that ask one question after the other until it is over, each time
/// from an address of its own, by which it is found in the access log.
#[derive(Default)]
struct Load(Mutex<Seen>, Condvar);

impl Load {
    fn ask_on(&self, at: SocketAddr, client: u8) {
        for time in 0..=u16::MAX {
            if self.0.lock().unwrap().over {
                return;
            }
            let [high, low] = time.to_be_bytes();
            let from = Ipv4Addr::new(127, 10 + client, high, low);
            let asked = Instant::now();
            let answer = ask(at, from);
            let mut seen = self.0.lock().unwrap();
            seen.asked += 1;
            match answer {
                Ok(name) => *seen.answers.entry(name).or_default() += 1,
                Err(error) => {
                    let why = error.to_string();
                    seen.failed.push(Spoilt { from, asked, why });
                }
            }
            drop(seen);
            self.1.notify_all();
        }
    }

    /// Waits until each of these has answered its share, counted from now.
    #[track_caller]
    fn is_answered_by(&self, targets: &[&str]) {
        let end = Instant::now() + PATIENCE;
        let mut seen = self.0.lock().unwrap();
        let before = seen.answers.clone();
        let count = |answers: &BTreeMap<String, usize>, name: &str| {
            answers.get(name).copied().unwrap_or_default()
        };
        let has =
            |seen: &Seen, name: &str| count(&seen.answers, name) >= count(&before, name) + SHARE;
        while !targets.iter().all(|name| has(&seen, name)) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{before:?}, then {:?}", seen.answers);
            seen = self.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Runs `story` under load, and gives what was seen when all have ended.
    fn during(at: SocketAddr, story: impl FnOnce(&Load)) -> Seen {
        let load = Load::default();
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let load = &load;
                scope.spawn(move || load.ask_on(at, client));
            }
            let _over = Over(&load);
            story(&load);
        });
        load.0.into_inner().unwrap()
    }
}

/// The end of a load, also where its story fails.
struct Over<'a>(&'a Load);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        if let Ok(mut seen) = self.0.0.lock() {
            seen.over = true;
        }
    }
}

/// The name in the whole answer to one request.
fn ask(at: SocketAddr, from: Ipv4Addr) -> std::io::Result<String> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&at.into(), PATIENCE)?;
    let mut stream = patient(TcpStream::from(socket));
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, name)) if head.starts_with("HTTP/1.1 200") && !name.is_empty() => {
            Ok(name.to_owned())
        }
        _ => Err(Error::other(format!("answered `{answer}`"))),
    }
}

/// Who may have had a question when it was lost: asked no later than then.
struct Lost {
    target: String,
    when: Instant,
}

/// The targets of a scene.
const ALL: [&str; 3] = ["a", "b", "c"];

/// What is told of a target that is gone, and of one that is back.
type Words = (&'static str, &'static str);
const BY_CHECKS: Words = ("is down", "is up again");
const BY_DIALS: Words = ("is left out", "is taken again");

const REFUSED: &str = "connect.refused.no-listener";
const DROPPED: &str = "connect.timeout.dropped";

/// A forwarder, its targets and its access log.
struct Scene {
    server: Server,
    log: String,
    folder: Folder,
}

impl Scene {
    fn start(targets: &[&Target], flags: &str) -> Self {
        let folder = Folder::new();
        let log = folder.join("access.jsonl");
        let urls: Vec<String> = targets.iter().map(|target| target.url()).collect();
        let words = format!(
            "forward tcp://127.0.0.1:0 {} --balance least-connections --connect-timeout 1s \
             --eject-for 300ms --eject-most 300ms --access-log {log} {flags}",
            urls.join(" ")
        );
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        let server = Server::netloom(&words);
        Scene {
            server,
            log,
            folder,
        }
    }

    /// Waits until it was told so often that something became of a target.
    #[track_caller]
    fn hears(&self, target: &Target, what: &str, times: usize) -> String {
        let line = format!("target {} {what}", target.url());
        self.server
            .program
            .stderr
            .lines(&line, times)
            .remove(times - 1)
    }

    /// A target goes and comes back. It is told so, for the `nth` time and with
    /// the reason, and meanwhile the others answer. Says when it went.
    fn outage(
        &self,
        load: &Load,
        (gone, back): Words,
        (target, nth): (&mut Target, usize),
        why: &str,
        goes: impl FnOnce(&mut Target),
        comes_back: impl FnOnce(&mut Target),
    ) -> Lost {
        goes(target);
        let lost = Lost {
            target: target.url(),
            when: Instant::now(),
        };
        let told = self.hears(target, gone, nth);
        assert!(told.contains(why), "{told}");
        let others: Vec<_> = ALL
            .into_iter()
            .filter(|name| *name != target.name)
            .collect();
        load.is_answered_by(&others);
        comes_back(target);
        self.hears(target, back, nth);
        load.is_answered_by(&ALL);
        lost
    }

    /// It dies, and is started again.
    fn death(&self, load: &Load, by: Words, target: &mut Target) -> Lost {
        let (dies, comes_up) = (Target::dies, Target::comes_up);
        self.outage(load, by, (target, 1), REFUSED, dies, comes_up)
    }

    /// Nothing that is sent to it arrives, and then all does again.
    fn silence(&self, load: &Load, by: Words, target: &mut Target, far: &Far) {
        let silent = |_: &mut _| far.falls_silent();
        let speaks = |_: &mut _| far.speaks_again();
        self.outage(load, by, (target, 1), DROPPED, silent, speaks);
    }

    /// Ends it, and holds what was told against what clients have seen.
    fn judge(self, seen: &Seen, lost: &[Lost]) -> (Ended, Vec<Value>) {
        let Scene {
            server,
            log,
            folder,
        } = self;
        let ended = server.stop();
        let accounts = told::lines(&std::fs::read(log).unwrap());
        drop(folder);
        assert_eq!(accounts.len(), seen.asked, "each is accounted for");
        for Spoilt { from, asked, why } in &seen.failed {
            let from = format!("{from}:");
            let own = |account: &&Value| told::text(account, "client").starts_with(&from);
            let account = accounts.iter().find(own).unwrap();
            let target = told::text(account, "target");
            // It was with its target already, which took it along.
            let excused = |lost: &Lost| lost.target == target && *asked <= lost.when;
            let was_there = account["dial_s"].is_number();
            assert!(was_there && lost.iter().any(excused), "{why}: {account}");
            assert_eq!(told::text(account, "closed_by"), "target", "{account}");
            let reason = told::text(account, "reason");
            let known = ["end", "recv.reset", "send.peer-closed"];
            assert!(known.contains(&reason), "{account}");
        }
        let whole = accounts.iter().filter(|account| account["reason"] == "end");
        assert!(whole.count() >= seen.asked - seen.failed.len());
        // Nobody was without a target, so there is nothing to diagnose.
        assert!(!ended.stderr.contains("error["), "{}", ended.stderr);
        (ended, accounts)
    }
}

/// How often it was told that something became of a target.
fn told_of(ended: &Ended, target: &Target, what: &str) -> usize {
    let line = format!("target {} {what}", target.url());
    ended.stderr.matches(&line).count()
}

/// Whether somebody had this target's place taken by another.
fn was_passed_over(accounts: &[Value]) -> bool {
    accounts
        .iter()
        .any(|account| account["tries"].as_u64() > Some(1))
}

/// Two beside the forwarder, and one that is far.
fn targets(far: &Far) -> [Target; 3] {
    [
        Target::start("a", "127.0.0.1:8001", Vec::new()),
        Target::start("b", "127.0.0.1:8002", Vec::new()),
        Target::start("c", &format!("{}:8003", Far::HERE), far.enter()),
    ]
}

#[test]
fn no_client_sees_what_checks_and_other_targets_can_spare_it() {
    let own = "chaos::no_client_sees_what_checks_and_other_targets_can_spare_it";
    if !are_here(&["python3", "ip", "nsenter"]) || !in_own_network(own) {
        return;
    }
    let far = Far::beside();
    let [mut a, mut b, mut c] = targets(&far);
    let scene = Scene::start(
        &[&a, &b, &c],
        "--check http --check-every 100ms --check-timeout 1s --rise 1 --fall 2",
    );
    let mut lost = Vec::new();
    let seen = Load::during(scene.server.addr(), |load| {
        load.is_answered_by(&ALL);
        let by = BY_CHECKS;
        lost.push(scene.death(load, by, &mut a));
        // Its kernel still takes connections, which wait there.
        let signal = |name| move |target: &mut Target| target.program().signal(name);
        let (stops, goes_on) = (signal("STOP"), signal("CONT"));
        scene.outage(load, by, (&mut b, 1), "recv.timeout", stops, goes_on);
        // What it has accepted it still answers; what waited in its queue is lost.
        let turns = Target::turns_its_port;
        lost.push(scene.outage(load, by, (&mut b, 2), REFUSED, turns, turns));
        // Who was under way is answered when it speaks again.
        scene.silence(load, by, &mut c, &far);
    });
    let (ended, accounts) = scene.judge(&seen, &lost);
    for (target, times) in [(&a, 1), (&b, 2), (&c, 1)] {
        for what in ["is down", "is up again"] {
            assert_eq!(
                told_of(&ended, target, what),
                times,
                "{what}: {}",
                ended.stderr
            );
        }
        // Dials may have found it out before, and checks bring it back.
        assert!(
            told_of(&ended, target, "is left out") <= times,
            "{}",
            ended.stderr
        );
    }
    assert!(was_passed_over(&accounts));
}

#[test]
fn without_any_check_dials_find_out_and_no_client_notices() {
    let own = "chaos::without_any_check_dials_find_out_and_no_client_notices";
    if !are_here(&["python3", "ip", "nsenter"]) || !in_own_network(own) {
        return;
    }
    let far = Far::beside();
    let [mut a, mut b, mut c] = targets(&far);
    let scene = Scene::start(&[&a, &b, &c], "");
    let mut lost = Vec::new();
    let seen = Load::during(scene.server.addr(), |load| {
        load.is_answered_by(&ALL);
        let by = BY_DIALS;
        lost.push(scene.death(load, by, &mut a));
        let turns = Target::turns_its_port;
        lost.push(scene.outage(load, by, (&mut b, 1), REFUSED, turns, turns));
        // Each dial waits for its time, and then goes elsewhere.
        scene.silence(load, by, &mut c, &far);
    });
    let (ended, accounts) = scene.judge(&seen, &lost);
    for target in [&a, &b, &c] {
        // Taken again while it was still down, it is left out once more.
        let left_out = told_of(&ended, target, "is left out");
        assert!((1..=4).contains(&left_out), "{}", ended.stderr);
        let taken_again = told_of(&ended, target, "is taken again");
        assert_eq!(taken_again, left_out, "{}", ended.stderr);
    }
    assert!(was_passed_over(&accounts));
}

/// A server that dies with connections in its queue resets them, and here the
/// client waits to be spoken to: nothing is lost that another could not give.
#[test]
fn whoever_is_reset_before_a_word_was_said_is_led_elsewhere() {
    const TIMES: usize = 5;
    let rude = TcpListener::bind("127.0.0.1:0").unwrap();
    let polite = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--reply", "welcome"]);
    let first = format!("tcp://{}", rude.local_addr().unwrap());
    let targets = [&first, polite.endpoint()];
    let words = [
        "forward",
        "tcp://127.0.0.1:0",
        targets[0],
        targets[1],
        "--json",
    ];
    let flags = ["--balance", "first", "--eject-after", "100"];
    let server = Server::netloom(&[&words[..], &flags].concat());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..TIMES {
                reset(whole(|| rude.accept()).unwrap().0);
            }
        });
        for _ in 0..TIMES {
            assert_eq!(until_closed(&mut open(server.addr())), b"welcome");
        }
    });
    for line in server.program.stdout.lines(r#""kind":"forwarded""#, TIMES) {
        let account = told::line(&line);
        assert_eq!(told::text(&account, "target"), targets[1], "{account}");
        assert_eq!(account["tries"], 2, "{account}");
        assert_eq!(told::text(&account, "reason"), "end", "{account}");
    }
    let said = String::from_utf8(server.stop().stdout).unwrap();
    assert!(!said.contains(r#""kind":"failed""#), "{said}");
    polite.stop();
}
