//! TLS at the edges of a forwarder: led on by name without being ended, ended
//! here, and begun here; with clients that we did not write.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use crate::peers::are_here;
use crate::program::{Folder, PATIENCE, Program, Server};

/// A server of TLS that says `word` to everybody.
fn saying(word: &str) -> Server {
    Server::netloom(&["listen", "tls://127.0.0.1:0,cert=auto", "--reply", word])
}

fn port(server: &Server) -> u16 {
    server
        .endpoint()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

fn route(name: &str, to: &Server) -> String {
    format!("{name}=tcp://127.0.0.1:{}", port(to))
}

/// What openssl's client hears when it asks for this name.
fn s_client(port: u16, name: Option<&str>) -> (String, String) {
    let mut command = Command::new("openssl");
    command.args([
        "s_client",
        "-quiet",
        "-connect",
        &format!("127.0.0.1:{port}"),
    ]);
    match name {
        Some(name) => command.args(["-servername", name]),
        None => command.arg("-noservername"),
    };
    let mut program = Program::start(&mut command);
    program.feed(b"x\n");
    let ended = program.end();
    (ended.text(), ended.stderr)
}

#[test]
fn each_name_leads_to_its_own_server_whose_tls_stays_as_it_is() {
    if !are_here(&["openssl"]) {
        return;
    }
    let (one, two, other) = (saying("one"), saying("two"), saying("other"));
    let routes = [
        route("one.example", &one),
        route("*.two.example", &two),
        route("default", &other),
    ];
    let args: Vec<&str> = ["forward", "tcp://127.0.0.1:0", "-v"]
        .into_iter()
        .chain(routes.iter().flat_map(|route| ["--route", route]))
        .collect();
    let server = Server::netloom(&args);
    for (name, word) in [
        (Some("one.example"), "one"),
        (Some("ONE.example"), "one"),
        (Some("a.two.example"), "two"),
        (Some("b.a.two.example"), "two"),
        (Some("two.example"), "other"),
        (Some("three.example"), "other"),
        (None, "other"),
    ] {
        let (heard, said) = s_client(port(&server), name);
        assert!(heard.starts_with(word), "{name:?}: {heard} {said}");
    }
    // It is the server's own certificate that a client sees.
    let url = format!("tls://127.0.0.1:{},insecure,sni=one.example", port(&server));
    let ended = crate::program::run(["connect", &url], b"x\n");
    assert!(ended.text().starts_with("one"), "{}", ended.stderr);
    server.stop();
}

#[test]
fn who_cannot_be_led_is_told_by_an_alert_and_by_a_code() {
    if !are_here(&["openssl"]) {
        return;
    }
    let one = saying("one");
    let routes = route("one.example", &one);
    let server = Server::netloom(&[
        "forward",
        "tcp://127.0.0.1:0",
        "--route",
        &routes,
        "-v",
        "--greet-timeout",
        "1s",
    ]);
    for name in [Some("three.example"), None] {
        let (_, said) = s_client(port(&server), name);
        assert!(said.contains("unrecognized name"), "{said}");
    }
    server
        .program
        .stderr
        .line("no route leads to `three.example`");
    server.program.stderr.line("the client asks for no name");
    let dial = || {
        let conn = TcpStream::connect(("127.0.0.1", port(&server))).unwrap();
        conn.set_read_timeout(Some(PATIENCE)).unwrap();
        conn
    };
    let ends = |mut conn: TcpStream| {
        let mut heard = Vec::new();
        // A reset is an end too.
        let _ = conn.read_to_end(&mut heard);
        heard
    };
    // Plain words.
    let mut conn = dial();
    conn.write_all(b"GET / HTTP/1.1\r\nhost: one.example\r\n\r\n")
        .unwrap();
    assert!(ends(conn).is_empty());
    server.program.stderr.line("tls.peer-speaks-plain");
    // A hello without end: an alert, decode_error.
    let mut conn = dial();
    let record = [&[22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xff][..], &vec![0; 20_000]].concat();
    let _ = conn.write_all(&record);
    let heard = ends(conn);
    assert!(
        heard.is_empty() || heard == [21, 3, 3, 0, 2, 2, 50],
        "{heard:?}"
    );
    server
        .program
        .stderr
        .line("does not end within 16384 bytes");
    // A name with a zero in it.
    let mut conn = dial();
    conn.write_all(&hello(b"one.example\0.evil")).unwrap();
    assert_eq!(ends(conn), [21, 3, 3, 0, 2, 2, 112]);
    server.program.stderr.line("none that a host can have");
    // One that says nothing, and one that drips.
    let silent = dial();
    let mut dripping = dial();
    dripping.write_all(&[22]).unwrap();
    assert!(ends(silent).is_empty());
    assert!(ends(dripping).is_empty());
    server.program.stderr.line("did not come in time");
    // It serves on.
    let (heard, said) = s_client(port(&server), Some("one.example"));
    assert!(heard.starts_with("one"), "{heard} {said}");
    server.stop();
}

/// A hello that asks for this name, whatever it is.
fn hello(name: &[u8]) -> Vec<u8> {
    let counted = |content: &[u8]| [&(content.len() as u16).to_be_bytes()[..], content].concat();
    let entry = [&[0][..], &counted(name)].concat();
    let extension = [&[0, 0][..], &counted(&counted(&entry))].concat();
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0, 0, 2, 0x13, 1, 1, 0],
        &counted(&extension),
    ]
    .concat();
    let message = [&[1, 0][..], &counted(&body)].concat();
    [&[22, 3, 1][..], &counted(&message)].concat()
}

#[test]
fn a_hello_in_many_records_is_led_on_byte_for_byte() {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("one.example=tcp://{}", target.local_addr().unwrap());
    let server = Server::netloom(&["forward", "tcp://127.0.0.1:0", "--route", &to]);
    let whole = hello(b"one.example");
    let message = &whole[5..];
    let pieces: Vec<u8> = message
        .chunks(7)
        .flat_map(|part| [&[22, 3, 1, 0, part.len() as u8][..], part].concat())
        .collect();
    let sent = [&pieces[..], b"and what is behind it"].concat();
    let mut conn = TcpStream::connect(("127.0.0.1", port(&server))).unwrap();
    conn.write_all(&sent).unwrap();
    conn.shutdown(std::net::Shutdown::Write).unwrap();
    let (mut got, _) = target.accept().unwrap();
    got.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut came = Vec::new();
    got.read_to_end(&mut came).unwrap();
    assert!(came == sent);
    // The other direction goes on after the first has ended.
    got.write_all(b"the answer").unwrap();
    drop(got);
    let mut heard = String::new();
    conn.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "the answer");
    server.stop();
}

#[test]
fn tls_is_ended_here_and_begun_here_with_its_ends_kept_apart() {
    if !are_here(&["openssl", "curl", "python3"]) {
        return;
    }
    let folder = Folder::new();
    let (cert, key) = (folder.join("c.pem"), folder.join("k.pem"));
    let args = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=a.example -addext subjectAltName=DNS:a.example";
    let made = Command::new("openssl")
        .args(args.split(' '))
        .args(["-keyout", &key, "-out", &cert])
        .output();
    assert!(made.unwrap().status.success());

    // A Python server that answers only when its client has ended, over TLS.
    let text = format!(
        "import socket, ssl\nc = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\nc.load_cert_chain('{cert}', '{key}')\nl = socket.create_server(('127.0.0.1', 0))\nprint('port', l.getsockname()[1], flush=True)\nwhile True:\n  s, _ = l.accept()\n  try:\n    t = c.wrap_socket(s, server_side=True, suppress_ragged_eofs=True)\n    got = b''\n    while True:\n      d = t.recv(4096)\n      if not d: break\n      got += d\n    t.sendall(b'heard ' + got)\n    t.unwrap()\n  except Exception as e:\n    print(e, flush=True)\n"
    );
    let python = Program::start(Command::new("python3").args(["-u", "-c", &text]));
    let said = python.stdout.line("port ");
    let behind: u16 = said.trim().rsplit(' ').next().unwrap().parse().unwrap();

    // Begun here, with the certificate checked; plain words come in.
    let file = cert.replace('/', "%2F");
    let to = format!("tls://127.0.0.1:{behind},ca={file},sni=a.example");
    let begins = Server::netloom(&["forward", "tcp://127.0.0.1:0", &to, "-v"]);
    let mut conn = TcpStream::connect(("127.0.0.1", port(&begins))).unwrap();
    conn.set_read_timeout(Some(PATIENCE)).unwrap();
    conn.write_all(b"plain words").unwrap();
    conn.shutdown(std::net::Shutdown::Write).unwrap();
    let mut heard = String::new();
    conn.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "heard plain words");

    // Ended here before that: TLS on both sides, and the half-close goes through.
    let file = key.replace('/', "%2F");
    let own = cert.replace('/', "%2F");
    let from = format!("tls://127.0.0.1:0,cert={own},key={file}");
    let ended = Server::netloom(&[
        "forward",
        &from,
        &format!("tcp://127.0.0.1:{}", port(&begins)),
    ]);
    let url = format!("tls://127.0.0.1:{},ca={own},sni=a.example", port(&ended));
    let talk = crate::program::run(["connect", &url], b"through two");
    assert_eq!(talk.text(), "heard through two", "{}", talk.stderr);

    // Nobody whom the system trusts signed it: not carried, and told.
    let untrusting = Server::netloom(&[
        "forward",
        "tcp://127.0.0.1:0",
        &format!("tls://127.0.0.1:{behind},sni=a.example"),
        "-v",
    ]);
    let mut conn = TcpStream::connect(("127.0.0.1", port(&untrusting))).unwrap();
    let _ = conn.write_all(b"secret");
    assert!(!matches!(conn.read(&mut [0; 9]), Ok(1..)));
    untrusting.program.stderr.line("tls.self-signed");
    untrusting.stop();
    ended.stop();
    begins.stop();
}

#[test]
fn curl_is_served_by_name_through_tls_that_is_not_ended() {
    if !are_here(&["curl", "openssl"]) {
        return;
    }
    let folder = Folder::new();
    let (cert, key) = (folder.join("c.pem"), folder.join("k.pem"));
    let args = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=a.example -addext subjectAltName=DNS:a.example";
    let made = Command::new("openssl")
        .args(args.split(' '))
        .args(["-keyout", &key, "-out", &cert])
        .output();
    assert!(made.unwrap().status.success());
    let mut www = Program::start(Command::new("openssl").args([
        "s_server",
        "-accept",
        "127.0.0.1:0",
        "-cert",
        &cert,
        "-key",
        &key,
        "-www",
        "-alpn",
        "http/1.1",
    ]));
    www.stdin = None;
    let line = www.stdout.line("ACCEPT ");
    let behind: u16 = line.trim().rsplit(':').next().unwrap().parse().unwrap();
    let to = format!("a.example=tcp://127.0.0.1:{behind}");
    let server = Server::netloom(&["forward", "tcp://127.0.0.1:0", "--route", &to]);
    let port = port(&server);
    let curl = Command::new("curl")
        .args([
            "-s",
            "--cacert",
            &cert,
            "--resolve",
            &format!("a.example:{port}:127.0.0.1"),
        ])
        .arg(format!("https://a.example:{port}/"))
        .output()
        .unwrap();
    let body = String::from_utf8_lossy(&curl.stdout).into_owned();
    // What openssl says of the session: the name and the protocol went through.
    assert!(body.contains("s_server"), "{body}");
    assert!(body.contains("http/1.1"), "{body}");
    server.stop();
}
