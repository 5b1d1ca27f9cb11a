//! Datagrams carried on: between programs we did not write, through nginx on
//! either side, by thousands, and what is told when a target is gone.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::client::{free_udp_port, patient_udp, whole};
use crate::peers::are_here;
use crate::program::{Folder, PATIENCE, Program, Server, netloom, run};
use crate::told;

/// An echo server for datagrams at the address argv[1]; prints its port.
const ECHO: &str = "import socket, sys\nhost, port = sys.argv[1:]\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind((host, int(port)))\nprint(s.getsockname()[1], flush=True)\nwhile True:\n d, a = s.recvfrom(70000)\n s.sendto(d, a)\n";

/// Sends argv[2:] to the port argv[1], one datagram each, and prints each answer.
const ASK: &str = "import socket, sys\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.connect(('127.0.0.1', int(sys.argv[1])))\ns.settimeout(20)\nfor text in sys.argv[2:]:\n s.send(text.encode())\n print(s.recv(70000).decode(), flush=True)\n";

/// A Python echo at this port, or at any that is free.
fn python(port: u16) -> (Program, u16) {
    let mut command = Command::new("python3");
    let program = Program::start(command.args(["-c", ECHO, "127.0.0.1", &port.to_string()]));
    let port = program.stdout.line("").parse().unwrap();
    (program, port)
}

fn forward(to: &str, more: &[&str]) -> (Server, u16) {
    let mut command = netloom();
    command
        .args(["forward", "udp://127.0.0.1:0", to])
        .args(more);
    let server = Server::start(&mut command, 1);
    let port = server
        .endpoint()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    (server, port)
}

/// Asks through `port` until an answer comes: whoever does not listen yet loses
/// datagrams.
fn until_it_answers(port: u16) {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let over = Instant::now() + PATIENCE;
    loop {
        // An earlier one may have been refused.
        let _ = client.send_to(b"there?", ("127.0.0.1", port));
        if whole(|| client.recv(&mut [0; 16])).is_ok() {
            return;
        }
        assert!(Instant::now() < over, "nothing answers at port {port}");
    }
}

#[test]
fn python_and_socat_talk_to_python_through_us() {
    if !are_here(&["python3", "socat"]) {
        return;
    }
    let (_echo, target) = python(0);
    let (server, port) = forward(&format!("udp://127.0.0.1:{target}"), &[]);
    let large = "x".repeat(9000);
    let mut ask = Command::new("python3");
    ask.args(["-c", ASK, &port.to_string(), "one", "two", &large]);
    let ended = Program::start(&mut ask).end();
    assert_eq!(
        ended.text(),
        format!("one\ntwo\n{large}\n"),
        "{}",
        ended.stderr
    );

    let mut socat = Command::new("socat");
    let place = format!("UDP:127.0.0.1:{port}");
    let mut socat = Program::start(socat.args(["-t", "0.5", "-", &place]));
    socat.feed(b"from socat\n");
    assert_eq!(socat.end().text(), "from socat\n");
    server.stop();
}

#[test]
fn a_socat_is_a_target_as_any_other() {
    if !are_here(&["socat"]) {
        return;
    }
    let target = free_udp_port();
    let mut socat = Command::new("socat");
    let place = format!("UDP4-RECVFROM:{target},bind=127.0.0.1,fork");
    let socat = Program::start(socat.args(["-d", "-d", &place, "EXEC:cat"]));
    socat.stderr.line("receiving on");
    let (server, port) = forward(&format!("udp://127.0.0.1:{target}"), &[]);
    let url = format!("udp://127.0.0.1:{port}");
    let ended = run(
        ["connect", &url, "--send", "hello", "--expect", "hello"],
        b"",
    );
    assert_eq!(
        (ended.code, ended.text().as_str()),
        (Some(0), "hello"),
        "{}",
        ended.stderr
    );
    server.stop();
}

#[test]
fn an_nginx_may_stand_before_us_and_behind_us() {
    if !are_here(&["python3", "/usr/sbin/nginx"]) {
        return;
    }
    let (_echo, target) = python(0);
    for nginx_is_first in [true, false] {
        let folder = Folder::new();
        let at = free_udp_port();
        let (server, port, leads_to) = if nginx_is_first {
            let (server, port) = forward(&format!("udp://127.0.0.1:{target}"), &[]);
            (server, at, port)
        } else {
            let (server, port) = forward(&format!("udp://127.0.0.1:{at}"), &[]);
            (server, port, target)
        };
        let text = format!(
            "daemon off; master_process off; worker_processes 1; pid nginx.pid;\nload_module /usr/lib/nginx/modules/ngx_stream_module.so;\nevents {{ worker_connections 512; }}\nstream {{ access_log off; server {{ listen 127.0.0.1:{at} udp; proxy_pass 127.0.0.1:{leads_to}; }} }}\n"
        );
        let config = folder.join("nginx.conf");
        std::fs::write(&config, text).unwrap();
        let mut nginx = Command::new("/usr/sbin/nginx");
        nginx.args([
            "-p",
            folder.path().to_str().unwrap(),
            "-e",
            &folder.join("log"),
            "-c",
            &config,
        ]);
        let _nginx = Program::start(&mut nginx);
        until_it_answers(port);
        let clients: Vec<UdpSocket> = (0..20).map(|_| patient_udp()).collect();
        for word in 0..10_u8 {
            for (i, client) in clients.iter().enumerate() {
                client
                    .send_to(&[i as u8, word], ("127.0.0.1", port))
                    .unwrap();
            }
            for (i, client) in clients.iter().enumerate() {
                let mut back = [0; 8];
                let len = whole(|| client.recv(&mut back)).unwrap();
                assert_eq!(
                    back[..len],
                    [i as u8, word],
                    "nginx first: {nginx_is_first}"
                );
            }
        }
        server.stop();
    }
}

/// iperf3 cannot choose a port itself, and a free one may be taken before it
/// comes: then it is started again.
fn iperf3_server() -> (u16, Program) {
    loop {
        let port = free_udp_port();
        let mut server = Command::new("iperf3");
        server.args(["-s", "-1", "--forceflush", "-p", &port.to_string()]);
        let server = Program::start(&mut server);
        let listens = server.stdout.until("listener, or its end", |said, ended| {
            let listens = String::from_utf8_lossy(said).contains("Server listening");
            (listens || ended).then_some(listens)
        });
        if listens {
            return (port, server);
        }
    }
}

#[test]
fn iperf3_measures_datagrams_through_us() {
    if !are_here(&["iperf3"]) {
        return;
    }
    let (target, _server) = iperf3_server();
    // It controls over TCP what it measures over UDP, at the same port. Other
    // tests have thousands of UDP ports, so that one is found first; some have
    // left connections behind at the TCP port of that number.
    let (datagrams, port) = (0..64)
        .map(|_| forward(&format!("udp://127.0.0.1:{target}"), &[]))
        .find(|(_, port)| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap();
    let port = port.to_string();
    let from = format!("tcp://127.0.0.1:{port}");
    let control = Server::netloom(&["forward", &from, &format!("tcp://127.0.0.1:{target}")]);
    let mut client = Command::new("iperf3");
    let args = [
        "-c",
        "127.0.0.1",
        "-p",
        &port,
        "-u",
        "-b",
        "20M",
        "-t",
        "1",
        "-J",
    ];
    let ended = Program::start(client.args(args)).end();
    let report: serde_json::Value = serde_json::from_str(&ended.text()).unwrap();
    let sum = &report["end"]["sum"];
    let figure = |name: &str| {
        sum[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name} in {report}"))
    };
    let (packets, lost) = (figure("packets"), figure("lost_packets"));
    assert!(
        packets > 50.0 && lost < packets / 2.0,
        "{lost} of {packets} lost"
    );
    control.stop();
    datagrams.stop();
}

#[test]
fn a_closed_target_is_told_with_its_code_and_heals_when_it_is_back() {
    if !are_here(&["python3"]) {
        return;
    }
    let target = free_udp_port();
    let to = format!("udp://127.0.0.1:{target}");
    let (server, port) = forward(&to, &["--json"]);
    let client = patient_udp();
    client.send_to(b"x", ("127.0.0.1", port)).unwrap();
    let said = server.program.stdout.line("send.refused.no-listener");
    let failed = told::line(&said);
    assert_eq!(told::text(&failed, "endpoint"), to);

    let (echo, _) = python(target);
    until_it_answers(port);
    drop(echo);
    let (_echo, _) = python(target);
    until_it_answers(port);
    server.stop();
}

#[test]
fn a_thousand_clients_at_once_each_hear_their_own() {
    let echo = Server::netloom(&["listen", "udp://127.0.0.1:0", "--echo"]);
    for threads in ["1", "3"] {
        let (server, port) = forward(echo.endpoint(), &["--threads", threads]);
        let clients: Vec<UdpSocket> = (0..1000).map(|_| patient_udp()).collect();
        for word in 0..3_u8 {
            // As many at once as receive buffers have room for.
            for (at, some) in clients.chunks(100).enumerate() {
                for (i, client) in some.iter().enumerate() {
                    client
                        .send_to(&[at as u8, i as u8, word], ("127.0.0.1", port))
                        .unwrap();
                }
                for (i, client) in some.iter().enumerate() {
                    let mut back = [0; 8];
                    let len = whole(|| client.recv(&mut back)).unwrap();
                    assert_eq!(back[..len], [at as u8, i as u8, word]);
                }
            }
        }
        server.stop();
    }
    echo.stop();
}

#[test]
fn clients_that_come_and_go_leave_nothing_behind() {
    let echo = Server::netloom(&["listen", "udp://127.0.0.1:0", "--echo"]);
    let (server, port) = forward(echo.endpoint(), &["--session-idle", "100ms"]);
    let pid = server.program.pid();
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let come_and_go = |count: usize| {
        for _ in 0..count {
            let client = patient_udp();
            client.send_to(b"x", ("127.0.0.1", port)).unwrap();
            whole(|| client.recv(&mut [0; 8])).unwrap();
        }
    };
    come_and_go(2_000);
    let before = memory();
    come_and_go(10_000);
    let grown = memory().saturating_sub(before);
    assert!(grown < 4 * 1024, "{grown} KiB more after 10,000 clients");
    // Those that are quiet are gone; what is left is what is always open.
    let over = Instant::now() + PATIENCE;
    loop {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .count();
        if open < 30 {
            break;
        }
        assert!(Instant::now() < over, "{open} descriptors are open");
        std::thread::yield_now();
    }
    server.stop();
    echo.stop();
}

#[test]
fn unix_datagrams_lead_to_udp_and_udp_to_unix_datagrams() {
    let folder = Folder::new();
    let echo = Server::netloom(&["listen", "udp://127.0.0.1:0", "--echo"]);
    let inside = format!("unixgram:{}", folder.join("in"));
    let first = Server::netloom(&["forward", &inside, echo.endpoint()]);
    let (second, port) = forward(&inside, &[]);

    let client = UnixDatagram::bind(folder.join("client")).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(b"from unix", folder.join("in")).unwrap();
    let mut back = [0; 64];
    assert_eq!(whole(|| client.recv(&mut back)).unwrap(), 9);

    let client = patient_udp();
    client.connect(("127.0.0.1", port)).unwrap();
    for size in [0, 1, 1400, 60_000] {
        let bytes = vec![7; size];
        client.send(&bytes).unwrap();
        let mut back = vec![0; 65_535];
        let len = whole(|| client.recv(&mut back)).unwrap();
        assert!(back[..len] == bytes, "{size} bytes");
    }
    // Many at once: a unix socket's queue is short, and what waits is not lost.
    for word in 0..40_u8 {
        client.send(&[word]).unwrap();
    }
    for word in 0..40_u8 {
        assert_eq!(whole(|| client.recv(&mut back)).unwrap(), 1);
        assert_eq!(back[0], word);
    }
    for server in [second, first, echo] {
        server.stop();
    }
}

/// The socket towards its target is new, and what it has no room for yet waits.
#[test]
fn what_a_new_client_says_all_at_once_arrives() {
    const MANY: u8 = 150;
    let target = patient_udp();
    let to = format!("udp://{}", target.local_addr().unwrap());
    let (server, port) = forward(&to, &[]);
    let client = patient_udp();
    client.connect(("127.0.0.1", port)).unwrap();
    for word in 0..MANY {
        client.send(&[word]).unwrap();
    }
    for word in 0..MANY {
        let mut said = [0; 2];
        assert_eq!(whole(|| target.recv(&mut said)).unwrap(), 1);
        assert_eq!(said[0], word);
    }
    let ended = server.stop();
    assert!(!ended.stderr.contains("dropped"), "{}", ended.stderr);
}

#[test]
fn what_is_said_to_a_group_goes_on_to_the_target() {
    let target = patient_udp();
    let to = format!("udp://{}", target.local_addr().unwrap());
    let mut command = netloom();
    command.args(["forward", "udp://239.255.77.78:0,interface=lo", &to]);
    let server = Server::start(&mut command, 1);
    let group = server.endpoint().to_owned();
    let mut client = Program::netloom([
        "connect",
        &format!("{group},interface=lo"),
        "--send",
        "hello",
        "--expect",
        "back",
    ]);
    let mut room = [0; 64];
    let (len, from) = whole(|| target.recv_from(&mut room)).unwrap();
    assert_eq!(&room[..len], b"hello");
    target.send_to(b"back", from).unwrap();
    let ended = client.end();
    assert_eq!(
        (ended.code, ended.text().as_str()),
        (Some(0), "back"),
        "{}",
        ended.stderr
    );
    server.stop();
}
