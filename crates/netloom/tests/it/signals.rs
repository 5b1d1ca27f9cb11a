//! Ctrl-C in every state: once drains, twice aborts, and nobody panics.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::client::{echoed, open, until_closed};
use crate::hostile::fill;
use crate::program::{Ended, PATIENCE, Program, Server};
use crate::told;

const ECHO: [&str; 3] = ["listen", "tcp://127.0.0.1:0", "--echo"];

/// Interrupts it, and expects its good end within `most`.
fn ends_within(most: Duration, mut server: Server) -> Ended {
    let began = Instant::now();
    server.program.signal("INT");
    let ended = server.program.end();
    let took = began.elapsed();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(took < most, "it took {took:?}");
    ended
}

/// Much less than the drain time, which is 10 s.
const AT_ONCE: Duration = Duration::from_secs(4);

#[test]
fn before_any_client() {
    for signal in ["INT", "TERM"] {
        let mut server = Server::netloom(&ECHO);
        server.program.signal(signal);
        assert_eq!(server.program.end().code, Some(0), "{signal}");
    }
    ends_within(
        AT_ONCE,
        Server::netloom(&[&ECHO[..], &["--threads", "4"]].concat()),
    );
}

#[test]
fn with_clients_at_rest() {
    for kind in [
        &["--echo"][..],
        &["--discard"],
        &["--reply", "x", "--per-line"],
    ] {
        let server = Server::netloom(&[&["listen", "tcp://127.0.0.1:0", "--json"], kind].concat());
        let mut clients: Vec<TcpStream> = (0..10).map(|_| open(server.addr())).collect();
        server.program.stdout.lines(r#""kind":"opened""#, 10);
        ends_within(AT_ONCE, server);
        for stream in &mut clients {
            // An end in good order, not a reset.
            let mut rest = Vec::new();
            stream
                .read_to_end(&mut rest)
                .unwrap_or_else(|error| panic!("{kind:?}: {error}"));
            assert_eq!(rest, b"", "{kind:?}");
        }
    }
}

#[test]
fn with_a_client_that_takes_nothing_more_it_waits_as_long_as_it_says() {
    let server = Server::netloom(&[&ECHO[..], &["--drain", "300ms"]].concat());
    let mut stuck = open(server.addr());
    fill(&stuck);
    let began = Instant::now();
    ends_within(AT_ONCE, server);
    assert!(
        began.elapsed() >= Duration::from_millis(300),
        "it did not drain"
    );
    until_closed(&mut stuck);
}

#[test]
fn with_a_client_that_reads_on_it_gives_what_it_has() {
    let mut server = Server::netloom(&ECHO);
    let mut stream = open(server.addr());
    let mut at_rest = open(server.addr());
    echoed(&mut at_rest, b"rest");
    let sent = fill(&stream);
    server.program.signal("INT");
    // The drain has begun when those at rest have ended.
    assert_eq!(until_closed(&mut at_rest), b"");
    let got = until_closed(&mut stream);
    assert!(
        sent.starts_with(&got),
        "what came back is not what was sent"
    );
    // At least what was on its way; what the server had not read is lost.
    assert!(
        got.len() >= 256 * 1024,
        "{} of {} bytes came back",
        got.len(),
        sent.len()
    );
    assert_eq!(server.program.end().code, Some(0));
}

#[test]
fn while_many_come_in() {
    for threads in ["1", "4"] {
        let server = Server::netloom(&[&ECHO[..], &["--threads", threads]].concat());
        let at = server.addr();
        let mut first = open(at);
        echoed(&mut first, b"in");
        let (many, many_came) = mpsc::channel();
        let knocking = std::thread::spawn(move || {
            let end = Instant::now() + PATIENCE;
            let mut open = VecDeque::new();
            // Until it listens no more, however many that are: only the
            // newest stay, as this process has a limit of descriptors.
            while let Ok(stream) = TcpStream::connect_timeout(&at, PATIENCE) {
                assert!(Instant::now() < end, "it still listens");
                open.push_back(stream);
                if open.len() == 200 {
                    let _ = many.send(());
                    open.pop_front();
                }
            }
        });
        many_came.recv_timeout(PATIENCE).unwrap();
        ends_within(AT_ONCE, server);
        knocking.join().unwrap();
    }
}

#[test]
fn the_second_one_aborts() {
    let server = Server::netloom(&[&ECHO[..], &["--drain", "1h"]].concat());
    let mut at_rest = open(server.addr());
    echoed(&mut at_rest, b"rest");
    let mut stuck = open(server.addr());
    fill(&stuck);
    server.program.signal("INT");
    assert_eq!(until_closed(&mut at_rest), b"");
    ends_within(AT_ONCE, server);
    until_closed(&mut stuck);
}

/// Waits until this process has a handler for SIGINT: it says nothing of it.
fn until_it_can_be_interrupted(program: &Program) {
    let status = format!("/proc/{}/status", program.pid());
    let end = Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(&status).unwrap();
        let caught = text
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:\t"))
            .unwrap();
        if u64::from_str_radix(caught, 16).unwrap() & (1 << (2 - 1)) != 0 {
            return;
        }
        assert!(Instant::now() < end, "no handler for SIGINT");
        std::thread::yield_now();
    }
}

fn is_interrupted(mut program: Program) {
    until_it_can_be_interrupted(&program);
    let began = Instant::now();
    program.signal("INT");
    let ended = program.end();
    assert_eq!(
        (ended.code, ended.stderr.contains("error")),
        (Some(130), false),
        "{ended:?}"
    );
    assert!(began.elapsed() < AT_ONCE);
}

#[test]
fn a_client_that_waits_for_stdin_and_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let program = Program::netloom([
        "connect",
        &format!("tcp://{}", listener.local_addr().unwrap()),
    ]);
    let _held = listener.accept().unwrap();
    is_interrupted(program);
}

#[test]
fn a_client_in_the_middle_of_a_transfer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let mut program = Program::netloom(["connect", &url]);
    program.feed(&vec![b'x'; 64 << 20]);
    let (mut held, _) = listener.accept().unwrap();
    held.read_exact(&mut [0; 10_000]).unwrap();
    held.write_all(b"and something back").unwrap();
    program.stdout.bytes(18);
    is_interrupted(program);
}

#[test]
fn a_client_whose_connection_is_not_answered() {
    // A queue of one that is full: more SYNs are dropped.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    listener.listen(0).unwrap();
    let at = listener.local_addr().unwrap();
    let _filling: Vec<Socket> = (0..3)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&at); // in progress
            socket
        })
        .collect();
    is_interrupted(Program::netloom([
        "connect",
        &format!("tcp://{}", at.as_socket().unwrap()),
    ]));
}

#[test]
fn a_plain_listen_that_waits_and_one_that_talks() {
    let waiting = Server::netloom(&["listen", "tcp://127.0.0.1:0"]);
    is_interrupted(waiting.program);
    let talking = Server::netloom(&["listen", "tcp://127.0.0.1:0"]);
    let mut client = open(talking.addr());
    client.write_all(b"hello").unwrap();
    talking.program.stdout.bytes(5);
    is_interrupted(talking.program);
}

#[test]
fn a_program_reads_that_its_conversation_was_stopped() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let mut program = Program::netloom(["connect", &url, "--json"]);
    let _held = listener.accept().unwrap();
    until_it_can_be_interrupted(&program);
    program.signal("INT");
    let ended = program.end();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    let lines = told::lines(&ended.stdout);
    let end = told::one_end(&lines);
    assert_eq!(told::text(end, "code"), "stopped");
    assert_eq!(told::text(end, "stage"), "close");
}
