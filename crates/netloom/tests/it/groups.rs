//! Groups between hosts: with a route and without one, with one sender and
//! through a router, with programs we did not write in both directions; and
//! what is told when a group says nothing.

use std::io::Write;

use crate::datagrams::{ASK, ECHO};
use crate::hosts::{BETWEEN, Hosts};
use crate::peers::are_here;
use crate::program::{Program, Server, netloom, run};
use crate::told;

/// Joins argv[1] at port argv[2] on eth0, and prints who said what.
const MEMBER: &str = r#"
import socket, sys
group, port = sys.argv[1], int(sys.argv[2])
at = socket.if_nametoindex("eth0").to_bytes(4, sys.byteorder)
v6 = ":" in group
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", port))
if v6:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, group) + at)
else:
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + bytes(4) + at)
print("ready", flush=True)
while True:
    said, who = s.recvfrom(9999)
    print(said.decode().strip(), who[0].split("%")[0], flush=True)
    s.sendto(b"heard " + said, who)
"#;

/// Says each line of stdin to argv[1] at port argv[2] from eth0, with the TTL
/// argv[3], and says so.
const SPEAKER: &str = r#"
import socket, sys
group, port, ttl = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
at = socket.if_nametoindex("eth0")
v6 = ":" in group
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
if v6:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, at)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)
else:
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, bytes(8) + at.to_bytes(4, sys.byteorder))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
print("ready", flush=True)
for line in sys.stdin:
    s.sendto(line.encode(), (group, port))
    print("said", line, end="", flush=True)
"#;

/// Routes what argv[2] says to the group argv[1] from r1 to r2, as a multicast
/// router does (linux/mroute.h, linux/mroute6.h), for whatever passes the TTL 1.
const ROUTER: &str = r#"
import socket, struct, sys
group, source = sys.argv[1:3]
ways = [socket.if_nametoindex(name) for name in ("r1", "r2")]
if ":" in group:
    s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    s.setsockopt(socket.IPPROTO_IPV6, 200, 1)  # MRT6_INIT
    for number, at in enumerate(ways):
        s.setsockopt(socket.IPPROTO_IPV6, 202, struct.pack("=HBBHxxI", number, 0, 1, at, 0))
    name = lambda ip: struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, ip), 0)
    out = struct.pack("=8I", 1 << 1, *[0] * 7)
    s.setsockopt(socket.IPPROTO_IPV6, 204, name(source) + name(group) + struct.pack("=Hxx", 0) + out)
else:
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP)
    s.setsockopt(socket.IPPROTO_IP, 200, 1)  # MRT_INIT
    for number, at in enumerate(ways):
        s.setsockopt(socket.IPPROTO_IP, 202, struct.pack("=HBBIi4s", number, 8, 1, 0, at, bytes(4)))
    ttls = bytes([0, 1] + [0] * 30)
    way = socket.inet_aton(source) + socket.inet_aton(group) + struct.pack("=H", 0) + ttls
    s.setsockopt(socket.IPPROTO_IP, 204, way + bytes(18))
print("ready", flush=True)
sys.stdin.read()
"#;

impl Hosts {
    /// Starts a python program there, which says when it is ready.
    fn python(&self, host: usize, text: &str, words: &[&str]) -> Program {
        let python = ["python3", "-c", text];
        let program = self.start(host, &[&python, words].concat());
        program.stdout.line("ready");
        program
    }

    /// Joins a group there with netloom, and gives the port.
    fn listen(&self, host: usize, url: &str) -> (Server, String) {
        let listener = Server::start(&mut self.netloom(host, &["listen", url]), 1);
        let port = listener.endpoint().rsplit(':').next().unwrap().to_owned();
        listener.program.stderr.line("joined ");
        (listener, port)
    }

    /// Says something to a group from there with netloom.
    fn say(&self, host: usize, url: &str, text: &str) {
        let args = ["connect", url, "--send", text, "--expect", "heard"];
        let ended = self.start_netloom(host, &args).end();
        assert_eq!(ended.code, Some(0), "{url}: {}", ended.stderr);
        assert_eq!(ended.text(), format!("heard {text}"), "{}", ended.stderr);
    }
}

/// A group's URL at a port.
fn url(group: &str, port: &str) -> String {
    if group.contains(':') {
        format!("udp://[{group}]:{port}")
    } else {
        format!("udp://{group}:{port}")
    }
}

#[test]
fn hosts_hear_python_and_python_hears_us_with_and_without_a_route() {
    let Some(hosts) = Hosts::switched(3) else {
        return;
    };
    if !are_here(&["python3"]) {
        return;
    }
    for routed in [false, true] {
        if routed {
            // Routes to every group lead elsewhere, on who speaks and who hears.
            for host in [1, 3] {
                hosts.wire((host, "other"), (BETWEEN, &format!("far{host}")));
                hosts.trust((host, "other"));
                let own = [format!("10.9{host}.0.1/24"), format!("fd9{host}::1/64")];
                hosts.settle((host, "other"), &own.each_ref().map(|one| &**one));
                hosts.ip(BETWEEN, &format!("link set far{host} up"));
                hosts.ip(host, "route add 224.0.0.0/4 dev other");
                hosts.ip(host, "-6 route add ff00::/8 dev other metric 1 table local");
            }
        }
        for (group, own, far) in [
            ("239.1.2.3", "10.77.0.1", "10.77.0.2"),
            ("ff05::1:3", "fd77::1", "fd77::2"),
            ("ff02::1:3", "fe80:", "fe80:"),
        ] {
            // Ours at two hosts, python's at one of them and at the third.
            let (two, port) = hosts.listen(2, &url(group, "0"));
            let (three, _) = hosts.listen(3, &url(group, &port));
            let speaker = |host| hosts.python(host, SPEAKER, &[group, &port, "1"]);
            let mut python = speaker(2);
            python.feed(b"from python\n");
            three.program.stdout.line("from python");
            three
                .program
                .stderr
                .line(&format!("the first datagram came from {}", open(far)));
            two.program.stdout.line("from python");
            drop((two, three));
            let member = hosts.python(3, MEMBER, &[group, &port]);
            let by = if group.starts_with("ff02") {
                format!("udp://[{group}%eth0]:{port}")
            } else {
                url(group, &port)
            };
            hosts.say(1, &by, "from ours");
            member.stdout.line(&format!("from ours {own}"));
        }
    }
}

/// An address as it begins in `ADDRESS:PORT`.
fn open(ip: &str) -> String {
    if ip.contains(':') {
        format!("[{ip}")
    } else {
        format!("{ip}:")
    }
}

#[test]
fn socat_elsewhere_hears_and_is_heard() {
    let Some(hosts) = Hosts::switched(2) else {
        return;
    };
    if !are_here(&["socat"]) {
        return;
    }
    let (ours, port) = hosts.listen(1, "udp://239.1.2.3:0");
    let to = format!("UDP4-DATAGRAM:239.1.2.3:{port},ip-multicast-if=10.77.0.2");
    let mut socat = hosts.start(2, &["socat", "-u", "-", &to]);
    socat.feed(b"from socat\n");
    ours.program.stdout.line("from socat");
    ours.program
        .stderr
        .line("the first datagram came from 10.77.0.2:");
    drop(ours);
    let at = format!("UDP4-RECV:{port},ip-add-membership=239.1.2.3:eth0");
    let socat = hosts.start(2, &["socat", "-u", "-d", "-d", "-d", &at, "-"]);
    // It says that it reads once the group is joined.
    socat.stderr.line("starting data transfer loop");
    let to = url("239.1.2.3", &port);
    let args = ["connect", &to, "--send", r"to socat\n"];
    let ended = hosts.start_netloom(1, &args).end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    socat.stdout.line("to socat");
}

#[test]
fn only_the_sender_that_was_named_is_heard() {
    let Some(hosts) = Hosts::switched(3) else {
        return;
    };
    if !are_here(&["python3"]) {
        return;
    }
    for (group, named) in [("232.1.2.3", "10.77.0.2"), ("ff35::8000:3", "fd77::2")] {
        let from = format!("{},from={named}", url(group, "0"));
        let (only, port) = hosts.listen(1, &from);
        let (all, _) = hosts.listen(1, &url(group, &port));
        let speaker = |host| hosts.python(host, SPEAKER, &[group, &port, "1"]);
        let (mut that, mut other) = (speaker(2), speaker(3));
        other.feed(b"from another\n");
        all.program.stdout.line("from another");
        // The one was there before the other, and would have been heard first.
        that.feed(b"from the one\n");
        only.program.stdout.line("from the one");
        all.program.stdout.line("from the one");
        let heard = only.program.stdout.so_far();
        assert_eq!(heard, "from the one\n", "{named}");
        only.program
            .stderr
            .line(&format!("(only {named} is heard)"));
    }
}

#[test]
fn a_group_passes_a_router_only_with_a_ttl_and_where_it_is_set_up() {
    let Some(hosts) = Hosts::routed() else {
        return;
    };
    if !are_here(&["python3"]) {
        return;
    }
    for (group, source) in [("239.1.2.3", "10.71.0.1"), ("ff05::1:3", "fd71::1")] {
        let (far, port) = hosts.listen(2, &url(group, "0"));
        let says = |ttl: &str, text: &str| {
            let to = format!("{}{ttl}", url(group, &port));
            let args = ["connect", &to, "--send", text];
            let ended = hosts.start_netloom(1, &args).end();
            assert_eq!(ended.code, Some(0), "{to}: {}", ended.stderr);
        };
        // A router that knows nothing of the group passes nothing on.
        says(",ttl=8", r"too early\n");
        let _router = hosts.python(BETWEEN, ROUTER, &[group, source]);
        // All go one way, so that what passes comes in order: the last alone.
        says("", r"with the TTL 1\n");
        says(",ttl=1", r"with the TTL 1\n");
        says(",ttl=8", r"with the TTL 8\n");
        far.program.stdout.line("TTL 8");
        let heard = far.program.stdout.so_far();
        assert_eq!(heard, "with the TTL 8\n", "{group}");
        // And python's, which is heard by the same rule.
        let speaker = |ttl| hosts.python(1, SPEAKER, &[group, &port, ttl]);
        let mut lost = speaker("1");
        lost.feed(b"python with the TTL 1\n");
        lost.stdout.line("said python");
        let mut passes = speaker("8");
        passes.feed(b"python with the TTL 8\n");
        far.program.stdout.line("python with the TTL 8");
        assert!(
            !far.program
                .stdout
                .so_far()
                .contains("python with the TTL 1")
        );
    }
}

/// Asks argv[1]:argv[2] from port 7, as an echo server would answer, then shortly
/// and at last at length; prints which of them is answered first.
const STRANGER: &str = r#"
import socket, sys
to = (sys.argv[1], int(sys.argv[2]))
echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
echo.bind(("", 7))
echo.sendto(b"x" * 1000, to)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(to)
s.send(b"short")
s.send(b"x" * 1000)
print(len(s.recv(9999)), flush=True)
s.setblocking(False)
for left in (s, echo):
    left.setblocking(False)
    try:
        print("and", len(left.recv(9999)), flush=True)
    except BlockingIOError:
        pass
"#;

#[test]
fn an_echo_serves_peers_of_another_host_and_little_to_a_stranger() {
    let Some(hosts) = Hosts::switched(2) else {
        return;
    };
    if !are_here(&["python3", "socat"]) {
        return;
    }
    // The host has two addresses: the answer leaves from the one that was asked.
    hosts.ip(1, "address add 10.77.0.11/24 dev eth0");
    let echo = Server::start(&mut hosts.netloom(1, &["listen", "udp://*:0", "--echo"]), 1);
    let port = echo.endpoint().rsplit(':').next().unwrap().to_owned();
    let large = "x".repeat(9000);
    for ip in ["10.77.0.1", "10.77.0.11", "fd77::1"] {
        let ask = ["python3", "-c", ASK, ip, &port, "one", "two", &large];
        let ended = hosts.start(2, &ask).end();
        let all = format!("one\ntwo\n{large}\n");
        assert!(ended.text() == all, "{ip}: {}", ended.stderr);
    }
    let to = format!("UDP:10.77.0.11:{port}");
    let mut socat = hosts.start(2, &["socat", "-t", "5", "-", &to]);
    let stdin = socat.stdin.as_mut().unwrap();
    stdin.write_all(b"from socat\n").unwrap();
    socat.stdout.line("from socat");
    // And we ask a python echo there.
    let server = ECHO.replace("127.0.0.1", "10.77.0.2");
    let python = hosts.start(2, &["python3", "-c", &server]);
    let to = format!("udp://10.77.0.2:{}", python.stdout.line(""));
    let args = ["connect", &to, "--send", "hello", "--expect", "hello"];
    let ended = hosts.start_netloom(1, &args).end();
    assert_eq!(ended.text(), "hello", "{}", ended.stderr);
    echo.stop();
    // Nobody gets much more than was asked, and no echo is answered.
    let long = "y".repeat(2000);
    let args = ["listen", "udp://*:0", "--reply", &long];
    let reply = Server::start(&mut hosts.netloom(1, &args), 1);
    let port = reply.endpoint().rsplit(':').next().unwrap().to_owned();
    let ask = ["python3", "-c", STRANGER, "10.77.0.1", &port];
    let ended = hosts.start(2, &ask).end();
    assert_eq!(ended.text(), "2000\n", "{}", ended.stderr);
    let ask = ["python3", "-c", ASK, "127.0.0.1", &port, "short"];
    let ended = hosts.start(1, &ask).end();
    assert_eq!(ended.text().trim_end(), long, "whoever is near");
    reply.stop();
}

#[test]
fn a_group_is_explained_when_it_speaks_and_when_it_does_not() {
    let group = "239.255.78.1";
    let quiet = format!("udp://{group}:7,interface=lo");
    for verb in ["explain", "wait"] {
        let ended = run([verb, &quiet, "--timeout", "200ms"], b"");
        assert_eq!(ended.code, Some(1), "{verb}: {}", ended.stderr);
        for words in [
            "error[lan.multicast-silent]",
            "nothing was heard from the group",
            "joined on lo (1 socket)",
        ] {
            assert!(ended.stderr.contains(words), "{verb}: {}", ended.stderr);
        }
        assert!(!ended.stderr.contains("confirmed"), "{}", ended.stderr);
    }
    let ended = run(
        ["explain", &quiet, "--send", "who", "--timeout", "200ms"],
        b"",
    );
    let told = "nobody answered from the group";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
    assert_eq!(ended.code, Some(1));
    let ended = run(["wait", &quiet, "--timeout", "200ms", "--json"], b"");
    let lines = ended.text();
    let last = told::line(lines.lines().last().unwrap());
    assert_eq!(told::text(&last, "code"), "lan.multicast-silent");
    assert_eq!(ended.stderr, "");
}

#[test]
fn whoever_speaks_in_a_group_is_told_of_and_ends_the_waiting() {
    let mut command = netloom();
    let echo = Server::start(
        command.args(["listen", "udp://239.255.78.2:0,interface=lo", "--echo"]),
        1,
    );
    let url = format!("{},interface=lo", echo.endpoint());
    // Asked, it answers; and what asks it is heard by everybody.
    let asked = run(["explain", &url, "--send", "who", "--timeout", "20s"], b"");
    assert_eq!(asked.code, Some(0), "{}", asked.stderr);
    let text = asked.text();
    assert!(text.contains("group     sent through lo"), "{text}");
    assert!(text.contains("heard     3 bytes from "), "{text}");
    for verb in ["explain", "wait"] {
        let mut waiting = Program::netloom([verb, &url, "--timeout", "20s"]);
        // Until it has joined, nobody says when that was: it is said again.
        let ended = loop {
            let said = run(["connect", &url, "--send", "all", "--timeout", "20s"], b"");
            assert_eq!(said.code, Some(0), "{}", said.stderr);
            if waiting.has_ended() {
                break waiting.end();
            }
        };
        assert_eq!(ended.code, Some(0), "{verb}: {}", ended.stderr);
        let told = ended.text() + &ended.stderr;
        assert!(told.contains("3 bytes from "), "{verb}: {told}");
        assert!(told.contains(" by lo after "), "{verb}: {told}");
    }
    echo.stop();
}
