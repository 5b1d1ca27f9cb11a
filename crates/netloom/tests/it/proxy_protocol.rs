//! Who the client is, passed on by HAProxy and nginx to us and by us to them,
//! and what is said of headers that are missing, broken or not believed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use crate::client::free_port;
use crate::peers::are_here;
use crate::program::{Ended, Folder, PATIENCE, Program, Server, netloom};
use crate::told;

const HAPROXY: &str = "/usr/sbin/haproxy";
const NGINX: &str = "/usr/sbin/nginx";
const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// Somebody else's balancer, and its port on 127.0.0.1.
struct Balancer {
    _program: Program,
    _folder: Folder,
    port: u16,
}

impl Balancer {
    /// Starts one that is told its port. Somebody else may take that first, so
    /// it is asked for again.
    fn start(make: impl Fn(u16, &Folder) -> Command) -> Self {
        for _ in 0..5 {
            let port = free_port();
            let folder = Folder::new();
            let program = Program::start(&mut make(port, &folder));
            let url = format!("tcp://127.0.0.1:{port}");
            let waited = ends(&["wait", &url, "--timeout", "10s", "-q"]);
            if waited.code == Some(0) {
                return Balancer {
                    _program: program,
                    _folder: folder,
                    port,
                };
            }
        }
        panic!("no balancer could be started")
    }

    /// HAProxy with this one section, in which `PORT` is its port and `CERT` a
    /// certificate with its key.
    fn haproxy(section: &str) -> Self {
        Balancer::start(|port, folder| {
            let text = format!(
                "global\n  maxconn 64\ndefaults\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n{section}"
            );
            let text = text.replace("PORT", &port.to_string());
            let text = text.replace("CERT", &certificate(folder));
            let path = folder.join("haproxy.cfg");
            std::fs::write(&path, text).unwrap();
            let mut command = Command::new(HAPROXY);
            command.args(["-f", &path]);
            command
        })
    }

    fn nginx(rest: &str) -> Self {
        Balancer::start(|port, folder| {
            let at = folder.path().to_str().unwrap();
            let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
            let temp = kinds
                .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
                .concat();
            let rest = rest
                .replace("PORT", &port.to_string())
                .replace("TEMP", &temp);
            let config = format!(
                "load_module {NGINX_STREAM};\ndaemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\nevents {{}}\n{rest}"
            );
            let path = folder.join("nginx.conf");
            std::fs::write(&path, config).unwrap();
            let mut command = Command::new(NGINX);
            command.args(["-c", &path, "-e", &folder.join("error.log")]);
            command
        })
    }
}

/// A file with a certificate that signs itself, and its key.
fn certificate(folder: &Folder) -> String {
    let (cert, key, both) = (
        folder.join("c.pem"),
        folder.join("k.pem"),
        folder.join("both.pem"),
    );
    let args = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=a.example -addext subjectAltName=DNS:a.example";
    let made = Command::new("openssl")
        .args(args.split(' '))
        .args(["-keyout", &key, "-out", &cert])
        .output()
        .unwrap();
    assert!(made.status.success());
    let text = std::fs::read_to_string(&cert).unwrap() + &std::fs::read_to_string(&key).unwrap();
    std::fs::write(&both, text).unwrap();
    both
}

fn ends(args: &[&str]) -> Ended {
    Program::start(netloom().args(args)).end()
}

fn dial(port: u16) -> TcpStream {
    let conn = TcpStream::connect(("127.0.0.1", port)).unwrap();
    conn.set_read_timeout(Some(PATIENCE)).unwrap();
    conn
}

/// Says it through this port and hears it back; the address it was said from.
fn comes_back(port: u16) -> SocketAddr {
    let mut conn = dial(port);
    conn.write_all(b"hello\n").unwrap();
    let mut line = String::new();
    BufReader::new(&conn).read_line(&mut line).unwrap();
    assert_eq!(line, "hello\n");
    conn.local_addr().unwrap()
}

/// What is answered to a request through this port, and the address it was asked from.
fn get(port: u16) -> (String, SocketAddr) {
    let mut conn = dial(port);
    conn.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    conn.read_to_string(&mut answer).unwrap();
    (answer, conn.local_addr().unwrap())
}

/// Our echo behind a header, as JSON.
fn echo() -> Server {
    Server::netloom(&["listen", "proxy+tcp://127.0.0.1:0", "--echo", "--json"])
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

#[test]
fn haproxy_tells_us_its_client_in_every_version() {
    if !are_here(&[HAPROXY]) {
        return;
    }
    for how in [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2 proxy-v2-options crc32c,unique-id",
    ] {
        let echo = echo();
        let section = format!(
            "listen in\n  mode tcp\n  bind 127.0.0.1:PORT\n  server s 127.0.0.1:{} {how}\n",
            port(&echo)
        );
        let balancer = Balancer::haproxy(&section);
        let client = comes_back(balancer.port);
        let told_of = format!(r#""client":"{client}""#);
        let line = echo.program.stdout.line(&told_of);
        let passed = told::line(&line);
        assert_eq!(told::text(&passed, "kind"), "passed", "{how}");
        let server = format!("127.0.0.1:{}", balancer.port);
        assert_eq!(told::text(&passed, "server"), server, "{how}");
        drop(balancer);
        echo.stop();
    }
}

#[test]
fn haproxy_tells_us_of_the_tls_it_ended() {
    if !are_here(&[HAPROXY, "openssl"]) {
        return;
    }
    let echo = echo();
    let section = format!(
        "listen in\n  mode tcp\n  bind 127.0.0.1:PORT ssl crt CERT alpn netloom\n  server s 127.0.0.1:{} send-proxy-v2-ssl-cn proxy-v2-options ssl,ssl-cipher,authority,crc32c\n",
        port(&echo)
    );
    let balancer = Balancer::haproxy(&section);
    let url = format!(
        "tls://127.0.0.1:{},insecure,sni=a.example,alpn=netloom",
        balancer.port
    );
    let ended = ends(&[
        "connect",
        &url,
        "--send",
        "hi\\n",
        "--expect",
        "hi\\n",
        "--timeout",
        "20s",
    ]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // Without a name came whoever waited for the port.
    let line = echo.program.stdout.line(r#""authority":"#);
    let passed = told::line(&line);
    assert_eq!(told::text(&passed, "authority"), "a.example");
    assert_eq!(told::text(&passed, "tls"), "TLSv1.3");
    assert!(told::text(&passed, "cipher").starts_with("TLS_"));
    drop(balancer);
    echo.stop();
}

#[test]
fn we_tell_haproxy_our_client_and_the_client_of_whom_told_us() {
    if !are_here(&[HAPROXY, "curl"]) {
        return;
    }
    let behind = Balancer::haproxy(
        "frontend web\n  mode http\n  bind 127.0.0.1:PORT accept-proxy\n  http-request return status 200 content-type text/plain lf-string \"<%[src]:%[src_port] %[fc_pp_authority]>\"\n",
    );
    for version in ["1", "2", "2,checksum"] {
        let to = format!("proxy+tcp://127.0.0.1:{},version={version}", behind.port);
        let near = Server::netloom(&["forward", "tcp://127.0.0.1:0", &to]);
        let (answer, client) = get(port(&near));
        assert!(
            answer.contains(&format!("<{client} ")),
            "{version}: {answer}"
        );
        // A second forwarder before it, and the client stays the same.
        let next = format!("proxy+tcp://127.0.0.1:{}", port(&near));
        let taking = Server::netloom(&["forward", "proxy+tcp://127.0.0.1:0", &to]);
        let far = Server::netloom(&[
            "forward",
            "tcp://127.0.0.1:0",
            &format!("proxy+tcp://127.0.0.1:{}", port(&taking)),
        ]);
        let (answer, client) = get(port(&far));
        assert!(answer.contains(&format!("<{client} ")), "{next}: {answer}");
        far.stop();
        taking.stop();
        near.stop();
    }
    // The name that a client asks for in TLS goes on too.
    let to = format!("proxy+tcp://127.0.0.1:{}", behind.port);
    let server = Server::netloom(&["forward", "tls://127.0.0.1:0,cert=auto", &to]);
    let port = port(&server);
    let curl = Command::new("curl")
        .args([
            "-sk",
            "--http1.1",
            "--resolve",
            &format!("a.example:{port}:127.0.0.1"),
        ])
        .arg(format!("https://a.example:{port}/"))
        .output()
        .unwrap();
    let body = String::from_utf8_lossy(&curl.stdout).into_owned();
    assert!(body.ends_with(" a.example>"), "{body}");
    server.stop();
}

#[test]
fn nginx_tells_us_its_client_and_is_told_ours() {
    if !are_here(&[NGINX]) || !std::path::Path::new(NGINX_STREAM).exists() {
        return;
    }
    let echo = echo();
    let near = Balancer::nginx(&format!(
        "stream {{ server {{ listen 127.0.0.1:PORT; proxy_pass 127.0.0.1:{}; proxy_protocol on; }} }}",
        port(&echo)
    ));
    let client = comes_back(near.port);
    echo.program.stdout.line(&format!(r#""client":"{client}""#));
    drop(near);
    echo.stop();

    let behind = Balancer::nginx(
        "http { access_log off; TEMP server { listen 127.0.0.1:PORT proxy_protocol; location / { return 200 \"<$proxy_protocol_addr:$proxy_protocol_port>\"; } } }",
    );
    for version in [1, 2] {
        let to = format!("proxy+tcp://127.0.0.1:{},version={version}", behind.port);
        let server = Server::netloom(&["forward", "tcp://127.0.0.1:0", &to]);
        let (answer, client) = get(port(&server));
        assert!(answer.ends_with(&format!("<{client}>")), "{answer}");
        server.stop();
    }
}

#[test]
fn the_bytes_of_a_header_are_those_of_the_specification() {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = target.local_addr().unwrap();
    for version in [1, 2] {
        let to = format!("proxy+tcp://{at},version={version}");
        let server = Server::netloom(&["forward", "tcp://127.0.0.1:0", &to]);
        let mut conn = dial(port(&server));
        conn.write_all(b"hello").unwrap();
        let (mut got, _) = target.accept().unwrap();
        got.set_read_timeout(Some(PATIENCE)).unwrap();
        let (from, to) = (conn.local_addr().unwrap(), conn.peer_addr().unwrap());
        let wanted = if version == 1 {
            let (from, to) = (from.port(), to.port());
            format!("PROXY TCP4 127.0.0.1 127.0.0.1 {from} {to}\r\nhello").into_bytes()
        } else {
            let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
            let start = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01";
            [&start[..], &ports, b"hello"].concat()
        };
        let mut came = vec![0; wanted.len()];
        got.read_exact(&mut came).unwrap();
        assert_eq!(came, wanted);
        drop((conn, got));
        server.stop();
    }
}

#[test]
fn a_header_from_an_untrusted_source_is_refused_counted_and_told() {
    let spoof = b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nlet me in\n";
    let at = "proxy+tcp://127.0.0.1:0,from=192.0.2.1";
    let quiet = Server::netloom(&["listen", at, "--echo"]);
    let mut conn = dial(port(&quiet));
    // It may be reset before everything is said.
    let _ = conn.write_all(spoof);
    let heard = conn.read(&mut [0; 9]);
    assert!(!matches!(heard, Ok(1..)), "{heard:?}");
    quiet.program.stderr.line("refused 1 connections by from");
    quiet.stop();

    let server = Server::netloom(&["listen", at, "--echo", "-v"]);
    let mut conn = dial(port(&server));
    let _ = conn.write_all(spoof);
    server.program.stderr.line("proxy.header-untrusted");
    server.stop();
}

#[test]
fn what_is_no_header_is_reset_and_told_with_its_code() {
    let server = Server::netloom(&["listen", "proxy+tcp://127.0.0.1:0", "--echo", "-v"]);
    for (sent, code) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "proxy.header-missing"),
        (
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\nGET / HTTP/1.1\r\n\r\n",
            "proxy.header-invalid",
        ),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff\x7f\0\0\x01\x7f\0\0\x01",
            "says that 65280 bytes follow",
        ),
    ] {
        let mut conn = dial(port(&server));
        let _ = conn.write_all(sent);
        let heard = conn.read(&mut [0; 9]);
        assert!(!matches!(heard, Ok(1..)), "{heard:?}");
        server.program.stderr.line(code);
    }
    // Whoever comes with a good one is served as before, and a second is data.
    let mut conn = dial(port(&server));
    let second = b"PROXY TCP4 6.6.6.6 6.6.6.6 6 6\r\n";
    conn.write_all(b"PROXY TCP4 203.0.113.7 198.51.100.1 5000 443\r\n")
        .unwrap();
    conn.write_all(second).unwrap();
    let mut came = vec![0; second.len()];
    conn.read_exact(&mut came).unwrap();
    assert_eq!(came, second);
    server.program.stderr.line("for 203.0.113.7:5000");
    drop(conn);
    server.stop();
}

#[test]
fn a_slow_header_is_given_up() {
    let at = "proxy+tcp://127.0.0.1:0";
    let server = Server::netloom(&["listen", at, "--echo", "-v", "--greet-timeout", "300ms"]);
    let mut conn = dial(port(&server));
    conn.write_all(b"PROXY TCP4 1.2").unwrap();
    let heard = conn.read(&mut [0; 9]);
    assert!(!matches!(heard, Ok(1..)), "{heard:?}");
    server
        .program
        .stderr
        .line("the PROXY header did not come in time");
    server.stop();
}

#[test]
fn a_server_that_wants_a_header_and_one_that_wants_none_are_told_apart() {
    if !are_here(&[NGINX, HAPROXY, "openssl"]) {
        return;
    }
    let wants = Balancer::nginx(
        "http { access_log off; TEMP server { listen 127.0.0.1:PORT proxy_protocol; location / { return 200 \"hello\"; } } }",
    );
    let ended = ends(&["explain", &format!("http://127.0.0.1:{}/", wants.port)]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let said = format!("{}{}", ended.text(), ended.stderr);
    assert!(said.contains("error[proxy.header-missing]"), "{said}");
    let fix = format!("netloom explain http+proxy+tcp://127.0.0.1:{}/", wants.port);
    assert!(said.contains(&fix), "{said}");
    let ended = ends(&[
        "explain",
        &format!("http+proxy+tcp://127.0.0.1:{}/", wants.port),
    ]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);

    let without = Balancer::haproxy(
        "frontend web\n  mode http\n  bind 127.0.0.1:PORT ssl crt CERT\n  http-request return status 200\n",
    );
    let ended = ends(&[
        "explain",
        &format!("tls+proxy+tcp://127.0.0.1:{},insecure", without.port),
    ]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let said = format!("{}{}", ended.text(), ended.stderr);
    assert!(said.contains("error[proxy.header-refused]"), "{said}");
    assert!(said.contains("confirmed"), "{said}");
}
