//! Datagrams with programs we did not write, in both directions, and what is
//! told when they do not arrive.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::client::{free_udp_port, patient_udp};
use crate::peers::are_here;
use crate::program::{Folder, PATIENCE, Program, Server, netloom, run};
use crate::told;

/// An echo server for datagrams; prints its port.
pub(crate) const ECHO: &str = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('127.0.0.1', 0))\nprint(s.getsockname()[1], flush=True)\nwhile True:\n d, a = s.recvfrom(70000)\n s.sendto(d, a)\n";

/// Sends argv[3:] to argv[1]:argv[2], one datagram each, and prints each answer.
pub(crate) const ASK: &str = "import socket, sys\nhost, port = sys.argv[1], int(sys.argv[2])\ns = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, socket.SOCK_DGRAM)\ns.connect((host, port))\ns.settimeout(20)\nfor text in sys.argv[3:]:\n s.send(text.encode())\n print(s.recv(70000).decode(), flush=True)\n";

/// Host and port of a `udp://` endpoint.
fn addr(url: &str) -> std::net::SocketAddr {
    url.strip_prefix("udp://").unwrap().parse().unwrap()
}

#[test]
fn python_socat_and_ncat_ask_our_echo() {
    if !are_here(&["python3", "socat", "ncat"]) {
        return;
    }
    let mut command = netloom();
    command.args(["listen", "udp://:0", "--echo"]);
    let server = Server::start(&mut command, 2);
    for url in &server.endpoints {
        let (ip, port) = (addr(url).ip().to_string(), addr(url).port().to_string());
        let mut python = Command::new("python3");
        let large = "x".repeat(9000);
        python.args(["-c", ASK, &ip, &port, "one", "two", &large]);
        let ended = Program::start(&mut python).end();
        assert_eq!(
            ended.text(),
            format!("one\ntwo\n{large}\n"),
            "{}",
            ended.stderr
        );

        let place = format!("UDP:{}", addr(url));
        let mut socat = Command::new("socat");
        let mut socat = Program::start(socat.args(["-t", "0.2", "-", &place]));
        socat.feed(b"from socat\n");
        assert_eq!(socat.end().text(), "from socat\n");

        let mut ncat = Command::new("ncat");
        let mut ncat = Program::start(ncat.args(["-u", &ip, &port]));
        ncat.stdin
            .as_mut()
            .unwrap()
            .write_all(b"from ncat\n")
            .unwrap();
        assert_eq!(ncat.stdout.line("from ncat"), "from ncat");
    }
    server.stop();
}

#[test]
fn we_ask_a_python_and_a_socat_echo() {
    if !are_here(&["python3", "socat"]) {
        return;
    }
    let python = Program::start(Command::new("python3").args(["-c", ECHO]));
    let port = python.stdout.line("");
    let url = format!("udp://127.0.0.1:{port}");
    let ended = run(
        ["connect", &url, "--send", r"hello\n", "--expect", "hello"],
        b"",
    );
    assert_eq!(
        (ended.code, ended.text().as_str()),
        (Some(0), "hello\n"),
        "{}",
        ended.stderr
    );
    // Many, each as large as it was read, all of them back.
    let lines: Vec<String> = (0..400).map(|i| format!("line {i}\n")).collect();
    let lines = lines.concat();
    let ended = run(["connect", &url], lines.as_bytes());
    assert_eq!(ended.text(), lines, "{}", ended.stderr);

    // It does not tell which port the kernel chose, so it gets one that was free.
    let port = free_udp_port();
    let place = format!("UDP4-RECVFROM:{port},bind=127.0.0.1");
    let mut socat = Command::new("socat");
    let socat = Program::start(socat.args(["-d", "-d", &place, "EXEC:cat"]));
    socat.stderr.line("receiving on");
    let url = format!("udp://127.0.0.1:{port}");
    let ended = run(
        ["connect", &url, "--send", "to socat", "--expect", "socat"],
        b"",
    );
    assert_eq!(ended.text(), "to socat", "{}", ended.stderr);
}

#[test]
fn a_closed_port_is_explained_at_once() {
    let began = Instant::now();
    let url = format!("udp://127.0.0.1:{}", free_udp_port());
    let ended = run(["connect", &url, "--send", "x", "--timeout", "20s"], b"");
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("error[send.refused.no-listener]"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("ICMP 3/3"), "{}", ended.stderr);
    assert!(began.elapsed() < Duration::from_secs(10));
    let ended = run(["connect", &url, "--send", "x", "--json"], b"");
    let lines = ended.text();
    let last = told::line(lines.lines().last().unwrap());
    assert_eq!(told::text(&last, "code"), "send.refused.no-listener");
    assert_eq!(ended.stderr, "");
}

#[test]
fn what_is_cut_or_too_large_is_told() {
    let server = Server::netloom(&["listen", "udp://127.0.0.1:0", "--echo"]);
    let url = format!("{},buffer=4", server.endpoint());
    let ended = run(["connect", &url, "--send", "too long"], b"");
    assert_eq!((ended.code, ended.text().as_str()), (Some(0), "too "));
    assert!(
        ended
            .stderr
            .contains("note: recv.truncated: a datagram of 8 bytes"),
        "{}",
        ended.stderr
    );
    let large = "x".repeat(66_000);
    let ended = run(["connect", server.endpoint(), "--send", &large], b"");
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("error[send.too-large]"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("at most 65507"), "{}", ended.stderr);
}

#[test]
fn drops_are_told_while_it_goes_on() {
    for kind in ["--discard", "--chat"] {
        let server = Server::netloom(&["listen", "udp://127.0.0.1:0,rcvbuf=4KiB", kind]);
        let to = addr(server.endpoint());
        let pid = server.program.pid().to_string();
        let signal = |name: &str| {
            let kill = Command::new("kill").args([name, &pid]).status().unwrap();
            assert!(kill.success());
        };
        signal("-STOP");
        let client = patient_udp();
        for _ in 0..100 {
            client.send_to(&[0; 1000], to).unwrap();
        }
        signal("-CONT");
        // The kernel tells its count with the next datagram that finds room.
        let told = server.program.stderr.until("drops", |said, _| {
            client.send_to(b"x", to).unwrap();
            String::from_utf8_lossy(said)
                .lines()
                .find(|line| line.contains("recv.dropped"))
                .map(str::to_owned)
        });
        assert!(told.contains("dropped by the kernel"), "{told}");
        server.stop();
    }
}

#[test]
fn listening_talks_to_the_first_who_sends() {
    let mut server = Server::netloom(&["listen", "udp://127.0.0.1:0"]);
    let to = addr(server.endpoint());
    let (first, second) = (patient_udp(), patient_udp());
    first.send_to(b"hello\n", to).unwrap();
    server.program.stdout.line("hello");
    let name = first.local_addr().unwrap();
    server
        .program
        .stderr
        .line(&format!("the first datagram came from {name}"));
    second.send_to(b"me too\n", to).unwrap();
    server
        .program
        .stderr
        .line("datagrams of others are left out");
    let stdin = server.program.stdin.as_mut().unwrap();
    stdin.write_all(b"welcome\n").unwrap();
    let mut back = [0; 64];
    let (len, from) = first.recv_from(&mut back).unwrap();
    assert_eq!((&back[..len], from), (&b"welcome\n"[..], to));
    first.send_to(b"bye\n", to).unwrap();
    server.program.stdout.line("bye");
    assert!(!server.program.stdout.so_far().contains("me too"));
}

#[test]
fn keep_hears_everybody_and_each_record_says_whom() {
    let server = Server::netloom(&["listen", "udp://127.0.0.1:0", "--keep", "--json"]);
    let to = addr(server.endpoint());
    let clients = [patient_udp(), patient_udp()];
    for (i, client) in clients.iter().enumerate() {
        client.send_to(format!("{i}").as_bytes(), to).unwrap();
    }
    let lines = server.program.stdout.lines(r#""kind":"data""#, 2);
    for (line, client) in lines.iter().zip(&clients) {
        let from = client.local_addr().unwrap().to_string();
        assert_eq!(told::text(&told::line(line), "from"), from);
    }
}

#[test]
fn silence_ends_it_well_unless_an_answer_was_wanted() {
    let silent = patient_udp();
    let url = format!("udp://{}", silent.local_addr().unwrap());
    let ended = run(["connect", &url, "--send", "x"], b"");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    for args in [
        &["--timeout", "200ms"][..],
        &["--expect", "y", "--timeout", "200ms"],
    ] {
        let words = ["connect", &url, "--send", "x"];
        let ended = run(words.iter().chain(args), b"");
        assert_eq!(ended.code, Some(1), "{args:?}");
        assert!(ended.stderr.contains("recv.timeout"), "{}", ended.stderr);
    }
    let ended = run(["listen", "udp://:0", "--timeout", "200ms"], b"");
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("no datagram came in time"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_pipe_is_cut_into_blocks_that_pass_everywhere() {
    let server = patient_udp();
    let url = format!("udp://{}", server.local_addr().unwrap());
    let text: Vec<u8> = (0..5000_u32).map(|i| b'a' + (i % 26) as u8).collect();
    let mut client = Program::netloom(["connect", &url]);
    client.feed(&text);
    let (mut whole, mut block) = (Vec::new(), [0; 2000]);
    while whole.len() < text.len() {
        let len = server.recv(&mut block).unwrap();
        assert!(len <= 1200, "{len}");
        whole.extend_from_slice(&block[..len]);
    }
    assert!(whole == text);
    assert_eq!(client.end().code, Some(0));
}

#[test]
fn one_datagram_is_sent_also_when_it_is_empty() {
    let server = patient_udp();
    let url = format!("udp://{}", server.local_addr().unwrap());
    let ended = run(["connect", &url, "--send", ""], b"");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(server.recv(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn a_group_stays_on_this_host_through_lo() {
    let mut listener = Server::netloom(&["listen", "udp://239.255.77.77:0,interface=lo"]);
    listener.program.stderr.line("joined 239.255.77.77 on lo");
    let url = format!("{},interface=lo", listener.endpoint());
    for text in ["one", "two"] {
        // Each is another sender: a group is heard whoever speaks.
        let ended = run(["connect", &url, "--send", &format!("{text}\\n")], b"");
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("sent through lo"), "{}", ended.stderr);
        listener.program.stdout.line(text);
    }
    listener.program.signal("INT");
    assert_eq!(listener.program.end().code, Some(130));
}

#[test]
fn unix_datagrams_with_python_and_socat() {
    let folder = Folder::new();
    let url = format!("unixgram:{}", folder.join("ours"));
    let server = Server::netloom(&["listen", &url, "--echo"]);
    let client = UnixDatagram::bind(folder.join("client")).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(folder.join("ours")).unwrap();
    client.send(b"plain").unwrap();
    let mut back = [0; 16];
    assert_eq!(client.recv(&mut back).unwrap(), 5);
    let ended = run(["connect", &url, "--send", "ours", "--expect", "ours"], b"");
    assert_eq!(ended.text(), "ours", "{}", ended.stderr);
    server.stop();
    assert!(!std::path::Path::new(&folder.join("ours")).exists());

    if !are_here(&["socat"]) {
        return;
    }
    let theirs = folder.join("theirs");
    let mut socat = Command::new("socat");
    let place = format!("UNIX-RECVFROM:{theirs}");
    let socat = Program::start(socat.args(["-d", "-d", &place, "EXEC:cat"]));
    socat.stderr.line("receiving on");
    let url = format!("unixgram:{theirs}");
    let ended = run(
        ["connect", &url, "--send", "to socat", "--expect", "socat"],
        b"",
    );
    assert_eq!(ended.text(), "to socat", "{}", ended.stderr);
}
