//! Chat between hosts: a group across three of them, with a route and without
//! one, over IPv4 and IPv6; and a server whose peers are elsewhere.

use std::io::Write;

use crate::hosts::Hosts;
use crate::peers::are_here;
use crate::program::{Program, Server};

const NAMES: [&str; 3] = ["ann", "ben", "cat"];

impl Hosts {
    fn chat(&self, host: usize, url: &str, nick: &str) -> Program {
        let member = self.start_netloom(host, &["chat", url, "--nick", nick]);
        member.stdout.line("* welcome");
        member
    }
}

fn say(member: &mut Program, text: &str) {
    let stdin = member.stdin.as_mut().unwrap();
    stdin.write_all(format!("{text}\n").as_bytes()).unwrap();
}

#[test]
fn hosts_of_one_network_talk_without_a_server_and_without_a_route() {
    let Some(hosts) = Hosts::just_switched_on(3) else {
        return;
    };
    // The first must wait for its address, which is being checked.
    for url in [
        "udp://[ff02::7:7%eth0]:5001",
        "udp://[ff02::7:8]:5002",
        "udp://239.7.7.7:5000",
        "udp://[ff05::7:7]:5000",
    ] {
        let mut each: Vec<Program> = (1..)
            .zip(NAMES)
            .map(|(host, nick)| hosts.chat(host, url, nick))
            .collect();
        // Each is told of the others, whoever was there first.
        for (own, member) in NAMES.iter().zip(&each) {
            for nick in NAMES.iter().filter(|nick| *nick != own) {
                member.stdout.line(&format!("* {nick} is here now"));
            }
        }
        for (at, nick) in NAMES.iter().enumerate() {
            say(&mut each[at], &format!("from {nick}"));
            for other in (0..3).filter(|other| *other != at) {
                each[other].stdout.line(&format!("<{nick}> from {nick}"));
            }
        }
        let mut cat = each.pop().unwrap();
        cat.feed(b"");
        assert_eq!(cat.end().code, Some(0), "{url}");
        for mut other in each {
            other.stdout.line("* cat left");
            other.feed(b"");
            let ended = other.end();
            assert_eq!(ended.code, Some(0), "{url}: {}", ended.stderr);
            let told = ended.text();
            assert_eq!(
                told.matches("> from").count(),
                2,
                "nothing twice, nothing own: {told}"
            );
            assert!(ended.stderr.contains("on eth0"), "{}", ended.stderr);
        }
    }
}

#[test]
fn a_route_elsewhere_changes_nothing_and_no_address_is_told() {
    let Some(hosts) = Hosts::switched(3) else {
        return;
    };
    // The kernel would choose the other wire: its default route is there.
    hosts.wire((1, "other"), (0, "far"));
    hosts.settle((1, "other"), &["10.99.0.1/24"]);
    hosts.ip(0, "link set far up");
    hosts.ip(1, "route add default dev other");
    let mut ann = hosts.chat(1, "udp://239.7.7.7:5000", "ann");
    ann.stderr.line("joined 239.7.7.7 on other");
    let ben = hosts.chat(2, "udp://239.7.7.7:5000", "ben");
    ben.stdout.line("* ann is here now");
    say(&mut ann, "by the wire");
    ben.stdout.line("<ann> by the wire");
    // Of two interfaces one has no carrier, and no address: the other is enough.
    hosts.wire((2, "mute"), (0, "unheard"));
    hosts.ip(2, "link set mute up");
    let of_link = "udp://[ff02::7:9]:5003";
    let mut dan = hosts.chat(2, of_link, "dan");
    dan.stderr.line("joined ff02::7:9 on eth0");
    let eve = hosts.chat(3, of_link, "eve");
    eve.stdout.line("* dan is here now");
    say(&mut dan, "by one of two");
    eve.stdout.line("<dan> by one of two");
    // Without an address there is nothing to speak from, and that is told.
    hosts.ip(3, "address flush dev eth0");
    let args = ["chat", "udp://239.7.7.7:5000", "--nick", "cat"];
    let ended = hosts.start_netloom(3, &args).end();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("error[join.no-interface]"),
        "{}",
        ended.stderr
    );
}

/// Joins a chat at argv[1]:argv[2] as argv[3] from a port of its own, with the
/// token it is told or, with a fourth word, one that it makes up; says what came.
const PEER: &str = r#"
import json, socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], int(sys.argv[2])))
join = {"chat": "join", "nick": sys.argv[3]}
s.send(b"a line of a stranger")
s.send(json.dumps(join).encode())
asked = s.recv(9999)
print("asked", asked.decode(), flush=True)
token = json.loads(asked)["token"]
if len(sys.argv) > 4:
    token = format(int(token, 16) ^ 1, "016x")
s.send(json.dumps({**join, "token": token}).encode())
while True:
    print(s.recv(9999).decode(), flush=True)
    s.send(b'{"chat":"say","text":"from afar"}')
"#;

#[test]
fn a_peer_elsewhere_shows_that_its_address_is_its_own() {
    let Some(hosts) = Hosts::switched(3) else {
        return;
    };
    if !are_here(&["python3"]) {
        return;
    }
    let mut listen = hosts.netloom(1, &["listen", "udp://*:0", "--chat", "--threads", "2"]);
    let server = Server::start(&mut listen, 1);
    let port = server.endpoint().rsplit(':').next().unwrap().to_owned();
    for (ip, url, [honest, liar]) in [
        (
            "10.77.0.1",
            format!("udp://10.77.0.1:{port}"),
            ["hal", "leo"],
        ),
        (
            "fd77::1",
            format!("udp://[fd77::1]:{port}"),
            ["hugo", "liam"],
        ),
    ] {
        let mut ours = hosts.chat(2, &url, "ours");
        // Whoever guesses is asked again, and never let in.
        let python = |words: &[&str]| {
            let peer = ["python3", "-c", PEER, ip, &port];
            hosts.start(3, &[&peer, words].concat())
        };
        let wrong = python(&[liar, "guesses"]);
        let asked = wrong.stdout.line("asked");
        assert!(asked.contains(r#""chat":"token""#), "{asked}");
        assert!(asked.len() < 100, "no more than it said: {asked}");
        wrong.stdout.until("the same once more", |said, _| {
            let said = String::from_utf8_lossy(said);
            (said.matches(r#""chat":"token""#).count() > 1).then_some(())
        });
        let right = python(&[honest]);
        right.stdout.line(&format!(r#""nick":"{honest}""#));
        ours.stdout.line(&format!("* {honest} is here now"));
        ours.stdout.line(&format!("<{honest}> from afar"));
        say(&mut ours, "from ours");
        right.stdout.line("from ours");
        let told = wrong.stdout.so_far();
        assert!(!told.contains("from ours"), "it is no member: {told}");
        let told = ours.stdout.so_far();
        assert!(
            !told.contains(liar) && !told.contains("a stranger"),
            "{told}"
        );
        ours.feed(b"");
        let ended = ours.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    server.stop();
}

/// Joins over datagrams with its token, says argv[4] lines and hears argv[5].
const TALKER: &str = r#"
import json, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
s.connect((sys.argv[1], int(sys.argv[2])))
nick, says, hears = sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
join = {"chat": "join", "nick": nick}
s.send(json.dumps(join).encode())
token = json.loads(s.recv(9999))["token"]
s.send(json.dumps({**join, "token": token}).encode())
print("in", s.recv(9999).decode(), flush=True)
sys.stdin.readline()
for i in range(says):
    s.send(json.dumps({"chat": "say", "text": f"{nick}-{i}"}).encode())
while hears:
    for line in s.recv(65535).decode().splitlines():
        told = json.loads(line)
        if told["chat"] == "say":
            print("heard", told["text"], flush=True)
            hears -= 1
"#;

/// What it heard, line by line, without what one of them said itself.
fn heard_by(program: &Program, count: usize, but: &str) -> Vec<String> {
    let lines = program.stdout.lines("heard ", count);
    let all = lines.iter().map(|line| line["heard ".len()..].to_owned());
    all.filter(|text| !text.starts_with(but)).collect()
}

#[test]
fn members_elsewhere_and_on_two_cores_hear_everything_in_one_order() {
    const LINES: usize = 25;
    let Some(hosts) = Hosts::switched(3) else {
        return;
    };
    if !are_here(&["python3"]) {
        return;
    }
    let mut listen = hosts.netloom(
        1,
        &[
            "listen",
            "udp://10.77.0.1:0",
            "tcp://10.77.0.1:0",
            "--chat",
            "--threads",
            "2",
            "--max-rate",
            "0",
        ],
    );
    let server = Server::start(&mut listen, 2);
    let port = server.endpoints[0].rsplit(':').next().unwrap().to_owned();
    // Three over streams are on both cores, whatever core the datagrams have.
    let streams: Vec<Program> = (0..3)
        .map(|i| hosts.chat(2, &server.endpoints[1], &format!("tcp{i}")))
        .collect();
    let says = LINES.to_string();
    let hears = (LINES * 3).to_string();
    let mut talkers: Vec<Program> = (0..4)
        .map(|i| {
            let nick = format!("udp{i}");
            let words = [
                "python3",
                "-c",
                TALKER,
                "10.77.0.1",
                &port,
                &nick,
                &says,
                &hears,
            ];
            let talker = hosts.start(2 + i % 2, &words);
            talker.stdout.line("in ");
            talker
        })
        .collect();
    for talker in &mut talkers {
        talker.feed(b"go\n");
    }
    let order: Vec<Vec<String>> = streams
        .iter()
        .map(|stream| {
            let lines = stream.stdout.lines("> udp", LINES * 4);
            let text = |line: &String| line.split_once("> ").unwrap().1.to_owned();
            lines.iter().map(text).collect()
        })
        .collect();
    assert!(
        order.iter().all(|one| *one == order[0]),
        "one order for all"
    );
    for (i, talker) in talkers.iter().enumerate() {
        let own = format!("udp{i}-");
        let others: Vec<String> = order[0]
            .iter()
            .filter(|text| !text.starts_with(&own))
            .cloned()
            .collect();
        assert_eq!(heard_by(talker, LINES * 3, &own), others);
    }
    server.stop();
}
