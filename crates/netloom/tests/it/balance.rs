//! Several targets behind one address: other people's servers are killed,
//! stopped and brought back, and no client notices.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Mutex;

use serde_json::Value;

use crate::client::{free_port, open, patient, until_closed};
use crate::peers::are_here;
use crate::program::{Folder, Program, Server};
use crate::told;

/// A server of HTTP that answers with its name: its name, then its port.
const SERVER: &str = r#"
import socketserver, sys
name, port = sys.argv[1], int(sys.argv[2])
class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            pass
        if line:
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(name)}\r\nConnection: close\r\n\r\n"
            self.wfile.write((head + name).encode())
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 128
server = Server(("127.0.0.1", port), Answer)
print("listening", server.server_address[1], file=sys.stderr, flush=True)
server.serve_forever()
"#;

struct Target {
    name: &'static str,
    program: Program,
    port: u16,
}

impl Target {
    /// Starts it, on this port or, with 0, on any.
    fn start(name: &'static str, port: u16) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", SERVER, name, &port.to_string()]);
        let program = Program::start(&mut command);
        let line = program.stderr.line("listening");
        let port = line.split(' ').next_back().unwrap().parse().unwrap();
        Target {
            name,
            program,
            port,
        }
    }

    fn url(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }
}

/// Asks so many times, four clients at once, and gives the names that answered.
/// Nobody may be refused, cut off or left alone.
fn asked(at: SocketAddr, times: usize) -> Vec<String> {
    let names = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..times / 4 {
                    let mut stream = open(at);
                    stream
                        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                        .unwrap();
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).unwrap();
                    let (head, name) = answer.split_once("\r\n\r\n").unwrap();
                    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
                    names.lock().unwrap().push(name.to_owned());
                }
            });
        }
    });
    let mut names = names.into_inner().unwrap();
    assert_eq!(names.len(), times / 4 * 4);
    names.sort();
    names.dedup();
    names
}

/// That who comes now is reset without a byte, be it at once.
fn is_cut_off(at: SocketAddr) {
    match TcpStream::connect(at) {
        Ok(stream) => assert_eq!(until_closed(&mut patient(stream)), b""),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

/// Waits until it was told that a target is in a state for the `nth` time.
fn turned(server: &Server, target: &Target, state: &str, nth: usize) -> Value {
    let what = format!(r#""target":"{}","state":"{state}""#, target.url());
    told::line(&server.program.stdout.lines(&what, nth)[nth - 1])
}

#[test]
fn targets_are_killed_stopped_and_brought_back_and_no_client_notices() {
    if !are_here(&["python3"]) {
        return;
    }
    let a = Target::start("a", 0);
    let b = Target::start("b", 0);
    let c = Target::start("c", 0);
    let args = format!(
        "forward tcp://127.0.0.1:0 {} {} {} --json --check http --check-every 100ms \
         --check-timeout 1s --rise 1 --fall 2",
        a.url(),
        b.url(),
        c.url()
    );
    let server = Server::netloom(&args.split(' ').collect::<Vec<_>>());
    let at = server.addr();
    assert_eq!(asked(at, 120), ["a", "b", "c"]);

    // Nobody has found out yet that it is gone: others are tried.
    let port = a.port;
    let gone = a.url();
    drop(a);
    assert_eq!(asked(at, 120), ["b", "c"]);
    let what = format!(r#""target":"{gone}","state":"down""#);
    let down = told::line(&server.program.stdout.line(&what));
    assert_eq!(told::text(&down, "kind"), "target");
    assert_eq!(told::text(&down, "service"), "forward");
    assert_eq!(told::text(&down, "code"), "connect.refused.no-listener");

    // The kernel still takes connections for it, and nobody answers them.
    b.program.signal("STOP");
    let down = turned(&server, &b, "down", 1);
    assert_eq!(told::text(&down, "code"), "recv.timeout");
    assert_eq!(asked(at, 120), [c.name]);

    let a = Target::start("a", port);
    turned(&server, &a, "up", 1);
    assert_eq!(asked(at, 120), ["a", "c"]);
    b.program.signal("CONT");
    turned(&server, &b, "up", 1);
    assert_eq!(asked(at, 120), ["a", "b", "c"]);

    let lines = told::lines(&server.stop().stdout);
    let carried: Vec<_> = lines
        .iter()
        .filter(|line| line["kind"] == "forwarded")
        .collect();
    assert_eq!(carried.len(), 600);
    for line in carried {
        assert_eq!(told::text(line, "reason"), "end", "{line}");
    }
}

#[test]
fn a_target_that_refuses_is_left_out_without_any_check_and_comes_back() {
    if !are_here(&["python3"]) {
        return;
    }
    let a = Target::start("a", 0);
    // A port that nobody has, but that can be had later.
    let port = free_port();
    let refusing = format!("tcp://127.0.0.1:{port}");
    let args = format!(
        "forward tcp://127.0.0.1:0 {refusing} {} --json --eject-for 200ms --eject-most 200ms",
        a.url()
    );
    let server = Server::netloom(&args.split(' ').collect::<Vec<_>>());
    assert_eq!(asked(server.addr(), 60), ["a"]);
    let what = format!(r#""target":"{refusing}","state":"ejected""#);
    let ejected = told::line(&server.program.stdout.line(&what));
    assert_eq!(told::text(&ejected, "code"), "connect.refused.no-listener");
    let b = Target::start("b", port);
    turned(&server, &b, "back", 1);
    assert_eq!(asked(server.addr(), 60), ["a", "b"]);
}

#[test]
fn a_list_in_a_file_is_followed_and_an_empty_one_is_told() {
    if !are_here(&["python3"]) {
        return;
    }
    let (a, b) = (Target::start("a", 0), Target::start("b", 0));
    let folder = Folder::new();
    let path = folder.join("targets");
    let write = |text: &str| {
        std::fs::write(folder.join("new"), text).unwrap();
        std::fs::rename(folder.join("new"), &path).unwrap();
    };
    write(&format!("# one so far\n{}\n", a.url()));
    let server = Server::netloom(&["forward", "tcp://127.0.0.1:0", "--to-file", &path, "--json"]);
    assert_eq!(asked(server.addr(), 20), ["a"]);
    write(&format!("{}\n", b.url()));
    turned(&server, &a, "removed", 1);
    assert_eq!(asked(server.addr(), 20), ["b"]);
    write("# nobody\n");
    turned(&server, &b, "removed", 1);
    is_cut_off(server.addr());
    let failed = told::line(&server.program.stdout.line("connect.no-target"));
    assert_eq!(told::text(&failed, "kind"), "failed");
}

#[test]
fn a_line_before_a_full_target_has_an_end_and_a_limit() {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("tcp://{},max-conns=1", target.local_addr().unwrap());
    let server = Server::netloom(&[
        "forward",
        "tcp://127.0.0.1:0",
        &to,
        "--queue",
        "1",
        "--queue-timeout",
        "1s",
        "--json",
    ]);
    let mut inside = open(server.addr());
    let (mut carried, _) = target.accept().unwrap();
    let mut waiting = open(server.addr());
    waiting.write_all(b"first").unwrap();
    server.program.stdout.lines(r#""kind":"opened""#, 2);
    // One waits already: the next is refused at once.
    is_cut_off(server.addr());
    let full = told::line(&server.program.stdout.line("limit.reached"));
    assert!(
        told::text(&full, "summary").contains("1 wait already"),
        "{full}"
    );
    assert_eq!(until_closed(&mut waiting), b"");
    server.program.stdout.line("limit.queue-timeout");
    // Whoever waits while one leaves comes in, with all it said meanwhile.
    let mut next = open(server.addr());
    next.write_all(b"next").unwrap();
    inside.shutdown(Shutdown::Write).unwrap();
    assert_eq!(until_closed(&mut carried), b"");
    drop(carried);
    assert_eq!(until_closed(&mut inside), b"");
    let (mut carried, _) = target.accept().unwrap();
    let mut said = [0; 4];
    carried.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"next");
    target.set_nonblocking(true).unwrap();
    assert_eq!(target.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}
