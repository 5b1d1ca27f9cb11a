//! Chat with programs we did not write, over everything that carries it, and
//! under attack.

mod dropping;
mod hosts;
mod typing;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use crate::client::patient_udp;
use crate::peers::are_here;
use crate::program::{Folder, PATIENCE, Program, Server, addr, netloom, run};
use crate::told;

/// Takes part in a group on loopback: tells that it listens, says argv[3] when
/// something comes, and prints what came.
const GROUP: &str = r#"
import json, socket, sys
group, port, text = sys.argv[1], int(sys.argv[2]), sys.argv[3]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((group, port))
lo = socket.inet_aton("127.0.0.1")
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + lo)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, lo)
s.settimeout(20)
say = {"chat": "say", "peer": "p1", "id": "p1-1", "nick": "python", "room": "lobby", "text": text}
for _ in range(2): # the second is the same, and told once
    s.sendto(json.dumps(say).encode(), (group, port))
print("said", flush=True)
while True:
    m = json.loads(s.recv(70000))
    if m.get("chat") == "say" and m["peer"] != "p1":
        print(m["nick"], m["text"], flush=True)
"#;

/// A client of ours in text, with nothing between.
struct Plain {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Plain {
    fn new(server: &Server) -> Self {
        let stream = TcpStream::connect(server.addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        let mut plain = Plain { stream, lines };
        assert!(plain.line().starts_with("* welcome, guest-"));
        plain
    }

    fn named(server: &Server, nick: &str) -> Self {
        let mut plain = Plain::new(server);
        plain.say(format!("/nick {nick}\n"));
        assert_eq!(
            plain.until("* you are"),
            format!("* you are called {nick} now")
        );
        plain
    }

    fn say(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "it ended: {line}");
        line.trim_end_matches('\n').to_owned()
    }

    /// The next line that begins so.
    fn until(&mut self, begin: &str) -> String {
        loop {
            let line = self.line();
            if line.starts_with(begin) {
                return line;
            }
        }
    }
}

fn server(more: &[&str]) -> Server {
    let mut command = netloom();
    command
        .args(["listen", "tcp://127.0.0.1:0", "--chat"])
        .args(more);
    Server::start(&mut command, 1)
}

#[test]
fn nc_telnet_socat_and_python_talk_in_one_room() {
    if !are_here(&["nc", "telnet", "socat", "python3"]) {
        return;
    }
    let folder = Folder::new();
    let unix = format!("unix:{}", folder.join("chat.sock"));
    let mut command = netloom();
    command.args([
        "listen",
        "tcp://127.0.0.1:0",
        &unix,
        "tls+tcp://127.0.0.1:0,cert=auto",
        "--chat",
    ]);
    let server = Server::start(&mut command, 3);
    let (ip, port) = (
        server.addr().ip().to_string(),
        server.addr().port().to_string(),
    );
    let tls = server.endpoints[2]
        .strip_prefix("tls+tcp://")
        .or(server.endpoints[2].strip_prefix("tls://"))
        .unwrap();

    let mut nc = Program::start(Command::new("nc").args(["-U", &folder.join("chat.sock")]));
    nc.stdout.line("welcome");
    nc.stdin
        .as_mut()
        .unwrap()
        .write_all(b"/nick nora\n")
        .unwrap();
    nc.stdout.line("* you are called nora now");
    let mut telnet = Program::start(Command::new("telnet").args([&ip, &port]));
    telnet.stdout.line("welcome");
    telnet
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"/nick ted\r\n")
        .unwrap();
    telnet.stdout.line("* you are called ted now");
    let place = format!("OPENSSL:{tls},verify=0");
    let mut socat = Program::start(Command::new("socat").args(["-", &place]));
    socat.stdout.line("welcome");
    socat
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"/nick sam\n")
        .unwrap();
    socat.stdout.line("* you are called sam now");
    let script = "import socket, sys\nf = socket.create_connection((sys.argv[1], int(sys.argv[2]))).makefile('rw')\nf.write('{\"chat\":\"nick\",\"nick\":\"py\"}\\n{\"chat\":\"say\",\"text\":\"from python\"}\\n')\nf.flush()\nfor line in f: print(line, end='', flush=True)\n";
    let python = Program::start(Command::new("python3").args(["-c", script, &ip, &port]));
    for talker in [&nc, &telnet, &socat] {
        talker.stdout.line("<py> from python");
    }
    for (talker, text) in [
        (&mut nc, "from nc\n"),
        (&mut telnet, "from telnet\r\n"),
        (&mut socat, "from socat\n"),
    ] {
        talker
            .stdin
            .as_mut()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }
    for (talker, others) in [
        (&nc, ["<ted> from telnet", "<sam> from socat"]),
        (&telnet, ["<nora> from nc", "<sam> from socat"]),
        (&socat, ["<nora> from nc", "<ted> from telnet"]),
    ] {
        for line in others {
            talker.stdout.line(line);
        }
    }
    python.stdout.line("\"text\":\"from telnet\"");
    nc.feed(b"/msg ted psst\n/quit\n");
    assert!(telnet.stdout.line("psst").starts_with("[nora] psst"));
    assert_eq!(nc.end().code, Some(0));
    telnet.stdout.line("* nora left");
    assert!(!socat.stdout.so_far().contains("psst"));
    server.stop();
}

#[test]
fn our_client_talks_in_text_and_in_json() {
    let server = server(&["--history", "5"]);
    let mut anna = Plain::named(&server, "anna");
    anna.say("before\n/topic tests\n");
    anna.say("/who\n");
    anna.until("* in lobby");
    let mut bo = Program::netloom(["chat", server.endpoint(), "--nick", "bo"]);
    bo.stdout.line("<anna> before");
    bo.stdout.line("* the topic: tests");
    bo.stdout.line("* you are called bo now");
    let json = Program::netloom([
        "chat",
        server.endpoint(),
        "--json",
        "--nick",
        "joe",
        "--room",
        "attic",
    ]);
    json.stdout.line("\"room\":\"attic\"");
    bo.stdin
        .as_mut()
        .unwrap()
        .write_all(b"hello anna\n/rooms\n")
        .unwrap();
    assert_eq!(anna.until("<bo>"), "<bo> hello anna");
    bo.stdout.line("* rooms: attic (1), lobby (2)");
    anna.say("/msg joe \u{1b}[31mred\n");
    let line = told::line(&json.stdout.line("red"));
    assert_eq!(
        (told::text(&line, "chat"), told::text(&line, "text")),
        ("msg", "[31mred")
    );
    bo.feed(b"");
    let ended = bo.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(anna.until("* bo"), "* bo left");
    let mut json = json;
    json.feed(b"");
    let ended = json.end();
    assert_eq!(ended.code, Some(0));
    assert_eq!(
        told::text(told::one_end(&told::lines(&ended.stdout)), "kind"),
        "story"
    );
    let wrong = run(["chat", server.endpoint(), "--nick", "<b>"], b"");
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
    server.stop();
}

#[test]
fn a_group_and_a_server_hear_each_other_and_python_hears_both() {
    if !are_here(&["python3"]) {
        return;
    }
    let mut command = netloom();
    command.args([
        "listen",
        "tcp://127.0.0.1:0",
        "udp://239.255.77.7:0,interface=lo",
        "--chat",
    ]);
    let server = Server::start(&mut command, 2);
    let group = server.endpoints[1]
        .strip_prefix("udp://")
        .unwrap()
        .to_owned();
    let (ip, port) = group.split_once(':').unwrap();
    let mut anna = Plain::named(&server, "anna");
    let url = format!("{},interface=lo", server.endpoints[1]);
    let mut gus = Program::netloom(["chat", &url, "--nick", "gus"]);
    gus.stdout.line("welcome, gus");
    anna.until("* gus is here now");
    let python =
        Program::start(Command::new("python3").args(["-c", GROUP, ip, port, "from python"]));
    python.stdout.line("said");
    gus.stdout.line("<python> from python");
    assert_eq!(anna.until("<"), "<python> from python");
    anna.say("from anna\n");
    gus.stdout.line("<anna> from anna");
    python.stdout.line("anna from anna");
    gus.stdin
        .as_mut()
        .unwrap()
        .write_all(b"from gus\n")
        .unwrap();
    python.stdout.line("gus from gus");
    assert_eq!(anna.until("<"), "<gus> from gus", "nothing comes twice");
    // Another server between the same group and another: no loop, no double.
    let mut command = netloom();
    command.args([
        "listen",
        "tcp://127.0.0.1:0",
        &url,
        "udp://239.255.77.8:0,interface=lo",
        "--chat",
    ]);
    let second = Server::start(&mut command, 3);
    let mut zoe = Plain::named(&second, "zoe");
    let far = format!("{},interface=lo", second.endpoints[2]);
    let fay = Program::netloom(["chat", &far, "--nick", "fay"]);
    fay.stdout.line("welcome, fay");
    zoe.until("* fay is here now");
    anna.until("* fay is here now");
    anna.say("one\n");
    assert_eq!(zoe.until("<"), "<anna> one");
    fay.stdout.line("<anna> one");
    zoe.say("two\n");
    assert_eq!(anna.until("<"), "<zoe> two");
    fay.stdout.line("<zoe> two");
    zoe.say("/who\n");
    let who = zoe.until("* in lobby");
    for name in ["zoe", "fay", "anna", "gus"] {
        assert_eq!(who.matches(name).count(), 1, "{who}");
    }
    assert_eq!(gus.stdout.so_far().matches("<anna> one").count(), 1);
    gus.feed(b"");
    let ended = gus.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(anna.until("* gus"), "* gus left");
    second.stop();
    server.stop();
}

/// What is asked while the last answer is fresh is answered all the same.
#[test]
fn those_who_come_one_after_another_are_told_of_each_other() {
    let first = Program::netloom(["chat", "udp://239.255.77.9:0,interface=lo", "--nick", "ann"]);
    first.stdout.line("welcome, ann");
    let at = first.stderr.line("listening ");
    let url = format!("{},interface=lo", at.split(' ').nth(1).unwrap());
    let mut each = vec![first];
    for nick in ["ben", "cat", "dan"] {
        let member = Program::netloom(["chat", &url, "--nick", nick]);
        member.stdout.line("welcome");
        each.push(member);
    }
    let names = ["ann", "ben", "cat", "dan"];
    for (own, member) in names.iter().zip(&each) {
        for nick in names.iter().filter(|nick| *nick != own) {
            member.stdout.line(&format!("* {nick} is here now"));
        }
    }
}

#[test]
fn datagrams_have_members_too_and_strangers_get_little() {
    let folder = Folder::new();
    let path = folder.join("chat.dgram");
    let unix = format!("unixgram:{path}");
    let mut command = netloom();
    command.args([
        "listen",
        "tcp://127.0.0.1:0",
        "udp://127.0.0.1:0",
        &unix,
        "--chat",
    ]);
    let server = Server::start(&mut command, 3);
    let udp = server.endpoints[1]
        .strip_prefix("udp://")
        .unwrap()
        .to_owned();
    let mut anna = Plain::named(&server, "anna");
    let socket = patient_udp();
    let mut room = [0; 4096];
    let mut hear = |begin: &str| loop {
        let read = socket.recv(&mut room).unwrap();
        let text = String::from_utf8_lossy(&room[..read]).into_owned();
        if text.contains(begin) {
            return text;
        }
    };
    socket
        .send_to(br#"{"chat":"join","nick":"udo"}"#, &udp)
        .unwrap();
    assert!(hear("hello").contains("\"nick\":\"udo\""));
    anna.until("* udo is here now");
    socket
        .send_to(br#"{"chat":"say","text":"by datagram"}"#, &udp)
        .unwrap();
    assert_eq!(anna.until("<"), "<udo> by datagram");
    anna.say("hello udo\n");
    assert!(hear("hello udo").contains("\"nick\":\"anna\""));
    let local = UnixDatagram::bind(folder.join("own.dgram")).unwrap();
    local.set_read_timeout(Some(PATIENCE)).unwrap();
    local.send_to(b"/nick una\nby path\n", &path).unwrap();
    assert_eq!(anna.until("<"), "<una> by path");
    drop(local);
    let mut ours = Program::netloom(["chat", &server.endpoints[1], "--nick", "oda"]);
    ours.stdout.line("welcome, oda");
    ours.feed(b"and ours\n");
    assert_eq!(anna.until("<"), "<oda> and ours");
    assert_eq!(ours.end().code, Some(0));
    server.stop();
}

/// The code is `limit.slow-reader`.
#[test]
fn who_does_not_read_is_dropped_with_its_reason_and_delays_nobody() {
    let mut command = netloom();
    let args = ["listen", "tcp://127.0.0.1:0", "--chat", "--json"];
    command
        .args(args)
        .args(["--max-rate", "0", "--max-queue", "64KiB"]);
    let server = Server::start(&mut command, 1);
    let mut slow = Plain::named(&server, "slow");
    let mut fast = Plain::named(&server, "fast");
    let mut loud = Plain::named(&server, "loud");
    let line = format!("{}\n", "x".repeat(1000));
    let mut said = 0;
    loop {
        loud.say(&line);
        said += 1;
        let heard = fast.until("");
        if heard.starts_with("* slow") {
            assert_eq!(heard, "* slow left: limit.slow-reader, did not read");
            break;
        }
        assert!(heard.ends_with('x') || heard.starts_with('*'), "{heard}");
        assert!(said < 100_000, "nobody was dropped");
    }
    // Every line came to who reads, the last one too.
    fast.say("still here\n");
    loud.until("<fast> still here");
    let failed = told::line(&server.program.stdout.line("limit.slow-reader"));
    assert_eq!(told::text(&failed, "code"), "limit.slow-reader");
    // The one who did not read got a beginning, and then a reset.
    let error = slow.lines.read_to_end(&mut Vec::new());
    assert_eq!(
        error.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionReset
    );
    server.stop();
}

#[test]
fn nobody_can_pass_for_another_or_move_anothers_terminal() {
    let server = server(&[]);
    let mut anna = Plain::named(&server, "anna");
    let mut eve = Plain::named(&server, "eve");
    anna.until("* guest-2 is called eve now");
    for (typed, heard) in [
        (
            "\x1b]0;owned\x07\x1b[2J\x1b[H<bo> hi\n",
            "<eve> ]0;owned[2J[H<bo> hi",
        ),
        (
            "a\r* server: send me your password\n",
            "<eve> a* server: send me your password",
        ),
        ("x\u{202e}txet\u{2028}<anna> y\n", "<eve> xtxet<anna> y"),
        ("\u{9b}31m\u{7f}\0red\n", "<eve> 31mred"),
    ] {
        eve.say(typed);
        assert_eq!(anna.line(), heard);
    }
    for nick in [
        "anna",
        "Anna",
        "аnna",
        "netloom",
        "*",
        "<anna>",
        "an\u{200d}na",
        "a na",
    ] {
        eve.say(format!("/nick {nick}\n"));
        let told = eve.line();
        assert!(
            told.starts_with("! nick-taken: ") || told.starts_with("! bad-nick: "),
            "{nick}: {told}"
        );
    }
    eve.say(b"\xff\xfe\x80\n\xc3\x28\n");
    eve.until("! not-text");
    eve.say("{\"chat\":\"say\",\"text\":\"a\\u001b[31m\\nb\",\"nick\":\"anna\"}\n");
    assert_eq!(anna.until("<"), "<eve> a[31mb");
    server.stop();
}

#[test]
fn giant_lines_bombs_and_floods_are_refused_and_the_room_goes_on() {
    let server = server(&["--max-line", "1000"]);
    let mut anna = Plain::named(&server, "anna");
    let mut eve = Plain::new(&server);
    anna.until("* guest-2 is here now");
    eve.say(vec![b'x'; 10 << 20]);
    eve.say("\nshort\n");
    eve.until("! line-too-long: a line has at most 1000 bytes");
    assert_eq!(
        anna.line(),
        "<guest-2> short",
        "nothing of the giant was said"
    );
    for bomb in [
        "[".repeat(900),
        format!("{{\"chat\":{}", "[".repeat(900)),
        "{\"chat\":1e999}".to_owned(),
        format!("{{{}}}", "\"a\":{},".repeat(100)),
    ] {
        let bomb = if bomb.starts_with('{') {
            bomb
        } else {
            format!("{{\"a\":{bomb}")
        };
        eve.say(format!("{bomb}\n"));
        eve.until("{\"chat\":\"refused\"");
    }
    let mut flood = Plain::new(&server);
    anna.until("* guest-3 is here now");
    let lines = "spam\n".repeat(5000);
    // It may be let go before all of it is written.
    let _ = flood.stream.write_all(lines.as_bytes());
    assert_eq!(
        anna.until("* guest-3"),
        "* guest-3 left: limit.reached, said too much"
    );
    anna.say("/who\n");
    assert_eq!(anna.until("* in"), "* in lobby: anna, guest-2");
    for _ in 0..200 {
        drop(TcpStream::connect(server.addr()).unwrap());
    }
    // Not one line for each of the 400 comings and goings.
    let mut ben = Plain::new(&server);
    ben.say("after the storm\n");
    let (mut told, mut line) = (0, anna.line());
    while !line.ends_with("after the storm") {
        told += 1;
        line = anna.line();
    }
    assert!(told < 100, "{told}");
    server.stop();
}

#[test]
fn a_thousand_hear_everything_in_one_order_and_leave_nothing() {
    let server = server(&["--max-rate", "0", "--threads", "2"]);
    let mut crowd: Vec<Plain> = (0..300).map(|_| Plain::new(&server)).collect();
    let speaking: Vec<_> = (0..2)
        .map(|who| {
            let mut speaker = Plain::new(&server);
            std::thread::spawn(move || {
                for i in 0..200 {
                    speaker.say(format!("{who} {i}\n"));
                }
                speaker
            })
        })
        .collect();
    let heard = |plain: &mut Plain| -> Vec<String> {
        let said = std::iter::from_fn(|| Some(plain.until("<")));
        said.take(400).collect()
    };
    let first = heard(&mut crowd[0]);
    for plain in &mut crowd[1..] {
        assert_eq!(heard(plain), first);
    }
    for who in 0..2 {
        let own: Vec<&String> = first
            .iter()
            .filter(|line| line.contains(&format!("> {who} ")))
            .collect();
        assert!(
            own.iter()
                .enumerate()
                .all(|(i, line)| line.ends_with(&format!(" {i}")))
        );
        assert_eq!(own.len(), 200);
    }
    drop(
        speaking
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect::<Vec<_>>(),
    );
    drop(crowd);
    let mut last = Plain::new(&server);
    loop {
        last.say("/who\n");
        if last.until("* in lobby").matches("guest").count() == 1 {
            break;
        }
    }
    drop(last);
    assert_eq!(addr(server.endpoint()), server.addr());
    server.stop();
}
