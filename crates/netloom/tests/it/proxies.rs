//! Through proxies that we did not write: microsocks, Dante and tinyproxy.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;

use crate::client::free_port;
use crate::peers::are_here;
use crate::program::{Ended, Folder, Program, Server, netloom};

/// A proxy that runs, and its port on 127.0.0.1.
struct Proxy {
    _program: Program,
    port: u16,
    folder: Folder,
}

impl Proxy {
    /// Starts one that is told its port. Somebody else may take that first, so
    /// it is asked for again.
    fn start(make: impl Fn(u16, &Folder) -> Command) -> Self {
        for _ in 0..5 {
            let port = free_port();
            let folder = Folder::new();
            let program = Program::start(&mut make(port, &folder));
            let url = format!("tcp://127.0.0.1:{port}");
            let waited = netloom_ends(&["wait", &url, "--timeout", "10s", "-q"]);
            if waited.code == Some(0) {
                return Proxy {
                    _program: program,
                    port,
                    folder,
                };
            }
        }
        panic!("no proxy could be started")
    }

    fn microsocks(more: &[&str]) -> Self {
        Proxy::start(|port, _| {
            let mut command = Command::new("microsocks");
            command.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
            command.args(more);
            command
        })
    }

    /// Dante speaks SOCKS4 and 5, and does not let anybody to `blocked`.
    fn dante(blocked: u16) -> Self {
        Proxy::start(|port, folder| {
            let rules = format!(
                "logoutput: stderr\ninternal: 127.0.0.1 port = {port}\nexternal: lo\n\
                 socksmethod: none\nclientmethod: none\nuser.privileged: root\nuser.unprivileged: nobody\n\
                 client pass {{ from: 0/0 to: 0/0 }}\n\
                 socks block {{ from: 0/0 to: 127.0.0.1/32 port = {blocked} }}\n\
                 socks pass {{ from: 0/0 to: 0/0 }}\n"
            );
            let path = folder.join("danted.conf");
            std::fs::write(&path, rules).unwrap();
            let mut command = Command::new("danted");
            command.args(["-f", &path, "-p", &folder.join("pid")]);
            command
        })
    }

    /// tinyproxy, for `allowed` alone, and for `login` where one is given.
    fn tiny(allowed: &[u16], login: Option<&str>) -> Self {
        Proxy::start(|port, folder| {
            let mut lines = vec![
                format!("Port {port}"),
                "Listen 127.0.0.1\nTimeout 60\nLogLevel Critical".to_owned(),
            ];
            lines.extend(allowed.iter().map(|port| format!("ConnectPort {port}")));
            lines.extend(login.map(|login| format!("BasicAuth {login}")));
            let text = lines.join("\n") + "\n";
            let path = folder.join("tinyproxy.conf");
            std::fs::write(&path, text).unwrap();
            let mut command = Command::new("tinyproxy");
            command.args(["-d", "-c", &path]);
            command
        })
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }
}

fn netloom_ends(args: &[&str]) -> Ended {
    Program::start(netloom().args(args)).end()
}

/// Our echo on both loopbacks.
fn echo() -> Server {
    Server::start(netloom().args(["listen", "tcp://:0", "--echo"]), 2)
}

fn says_hi(args: &[&str]) -> Ended {
    let more = ["--send", r"hi\n", "--expect", r"hi\n", "--timeout", "20s"];
    netloom_ends(&[&["connect"], args, &more].concat())
}

#[track_caller]
fn comes_back(args: &[&str]) -> Ended {
    let ended = says_hi(args);
    assert_eq!(
        (ended.code, ended.text().as_str()),
        (Some(0), "hi\n"),
        "{args:?}: {}",
        ended.stderr
    );
    ended
}

#[track_caller]
fn fails(args: &[&str], code: &str) -> Ended {
    let ended = says_hi(args);
    assert_eq!(ended.code, Some(1), "{args:?}: {}", ended.stderr);
    let begins = format!("error[{code}]: ");
    assert!(
        ended.stderr.lines().any(|line| line.starts_with(&begins)),
        "{args:?}: {}",
        ended.stderr
    );
    ended
}

#[test]
fn every_kind_of_proxy_carries_to_both_families_and_to_names() {
    if !are_here(&["microsocks", "danted", "tinyproxy"]) {
        return;
    }
    let echo = echo();
    let port = echo.addr().port();
    let targets = [
        format!("tcp://127.0.0.1:{port}"),
        format!("tcp://[::1]:{port}"),
        format!("tcp://localhost:{port}"),
    ];
    let micro = Proxy::microsocks(&[]);
    let dante = Proxy::dante(1);
    let tiny = Proxy::tiny(&[port], None);
    for via in [micro.url("socks5"), tiny.url("http"), dante.url("socks5")] {
        for target in &targets {
            comes_back(&[target, "--via", &via]);
        }
    }
    // Dante's SOCKS4 takes no names.
    comes_back(&[&targets[0], "--via", &dante.url("socks4a")]);
    let by_name = [
        &targets[2],
        "--via",
        &format!("{},resolve=here", dante.url("socks4a")),
    ];
    comes_back(&by_name.map(|word| word as &str));
    let here = format!("{},resolve=here", micro.url("socks5"));
    let story = comes_back(&[&targets[2], "--via", &here, "-v"]).stderr;
    assert!(!story.contains("→ localhost"), "{story}");
    let option = format!("{},via=socks5:127.0.0.1:{}", targets[0], micro.port);
    comes_back(&[&option]);
    let waited = netloom_ends(&[
        "wait",
        &targets[0],
        "--via",
        &tiny.url("http"),
        "--timeout",
        "10s",
    ]);
    assert_eq!(waited.code, Some(0), "{}", waited.stderr);
}

#[test]
fn proxies_stand_after_each_other_and_the_first_is_dialled_first() {
    if !are_here(&["microsocks", "tinyproxy"]) {
        return;
    }
    let echo = echo();
    let target = format!("tcp://127.0.0.1:{}", echo.addr().port());
    let micro = Proxy::microsocks(&["-u", "bob", "-P", "secret word"]);
    let tiny = Proxy::tiny(&[micro.port], Some("ann pw"));
    // Through tinyproxy, which lets to microsocks alone, which lets anywhere.
    let folder = &tiny.folder;
    std::fs::write(folder.join("password"), "secret word\n").unwrap();
    let config = format!(
        "[via.chain]\nurl = [\"http://ann:pw@127.0.0.1:{}\", \"socks5://bob@127.0.0.1:{},password-env=MICRO\"]\n\
         [via.second]\nurl = \"socks5://bob@127.0.0.1:{}\"\npassword-file = '{}'\n",
        tiny.port,
        micro.port,
        micro.port,
        folder.join("password"),
    );
    std::fs::write(folder.join("netloom.toml"), config).unwrap();
    for vias in [
        &["--via", "chain"][..],
        &[
            "--via",
            &tiny.url("http").replace("//", "//ann:pw@"),
            "--via",
            "second",
        ],
    ] {
        let mut command = netloom();
        command
            .current_dir(folder.path())
            .env("MICRO", "secret word");
        command.args(["connect", &target, "--send", "hi", "--expect", "hi", "-v"]);
        let ended = Program::start(command.args(vias)).end();
        assert_eq!(
            (ended.code, ended.text().as_str()),
            (Some(0), "hi"),
            "{}",
            ended.stderr
        );
        let said = &ended.stderr;
        let steps = [
            format!(
                "proxy http://ann@127.0.0.1:{} → 127.0.0.1:{}",
                tiny.port, micro.port
            ),
            format!("proxy socks5://bob@127.0.0.1:{} → 127.0.0.1:", micro.port),
        ];
        let places: Vec<_> = steps.iter().map(|step| said.find(step.as_str())).collect();
        assert!(places[0].is_some() && places[0] < places[1], "{said}");
        assert!(
            !said.contains("secret word") && !said.contains(":pw"),
            "{said}"
        );
        assert_eq!(
            said.contains("warning: a password"),
            vias.len() > 2,
            "{said}"
        );
    }
}

#[test]
fn a_proxy_refuses_and_says_why() {
    if !are_here(&["microsocks", "danted", "tinyproxy"]) {
        return;
    }
    let nobody = format!("tcp://127.0.0.1:{}", free_port());
    let blocked: u16 = nobody.rsplit(':').next().unwrap().parse().unwrap();
    let micro = Proxy::microsocks(&["-u", "bob", "-P", "right"]);
    let dante = Proxy::dante(blocked);
    let tiny = Proxy::tiny(&[443], Some("ann pw"));

    let right = micro.url("socks5").replace("//", "//bob:right@");
    let said = fails(&[&nobody, "--via", &right], "proxy.refused").stderr;
    assert!(
        said.contains("connection refused") && !said.contains("right"),
        "{said}"
    );
    let wrong = micro.url("socks5").replace("//", "//bob:wrong@");
    let said = fails(&[&nobody, "--via", &wrong], "proxy.denied").stderr;
    assert!(
        said.contains("does not take this login") && !said.contains("wrong"),
        "{said}"
    );
    fails(&[&nobody, "--via", &micro.url("socks5")], "proxy.denied");
    let said = fails(&[&nobody, "--via", &dante.url("socks5")], "proxy.denied").stderr;
    assert!(said.contains("ruleset"), "{said}");
    fails(&[&nobody, "--via", &tiny.url("http")], "proxy.denied");
    let ann = tiny.url("http").replace("//", "//ann:pw@");
    let said = fails(&[&nobody, "--via", &ann], "proxy.denied").stderr;
    assert!(
        said.contains("403") && said.contains("does not allow"),
        "{said}"
    );
    let dead = format!("socks5://127.0.0.1:{}", free_port());
    let said = fails(&[&nobody, "--via", &dead], "connect.refused.no-listener").stderr;
    assert!(
        said.contains(&dead.replace("socks5", "tcp")) && said.contains("a proxy on the way"),
        "{said}"
    );
}

#[test]
fn tls_goes_through_and_a_proxy_may_be_reached_over_tls() {
    if !are_here(&["tinyproxy", "socat", "openssl"]) {
        return;
    }
    let tls = Server::netloom(&["listen", "tls://127.0.0.1:0,cert=auto", "--echo"]);
    let target = format!("{},insecure", tls.endpoint());
    let port = tls.endpoint().rsplit(':').next().unwrap().parse().unwrap();
    let tiny = Proxy::tiny(&[port], None);
    comes_back(&[&target, "--via", &tiny.url("http")]);
    // tinyproxy has no TLS of its own.
    let over = Proxy::start(|port, folder| {
        let (key, cert) = (folder.join("key.pem"), folder.join("cert.pem"));
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ])
            .args([
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ])
            .args(["-keyout", &key, "-out", &cert, "-days", "2"])
            .output()
            .unwrap();
        assert!(made.status.success());
        let listen = format!(
            "OPENSSL-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,verify=0,cert={cert},key={key}"
        );
        let mut command = Command::new("socat");
        command.args([listen, format!("TCP:127.0.0.1:{}", tiny.port)]);
        command
    });
    let ca = over.folder.join("cert.pem").replace('/', "%2F");
    comes_back(&[&target, "--via", &format!("{},ca={ca}", over.url("https"))]);
    let said = fails(&[&target, "--via", &over.url("https")], "tls.self-signed").stderr;
    assert!(said.contains("a proxy on the way"), "{said}");
}

#[test]
fn the_environment_is_heeded_and_said_and_switched_off() {
    if !are_here(&["microsocks"]) {
        return;
    }
    let micro = Proxy::microsocks(&[]);
    let connect = |no_proxy: &str, more: &[&str]| {
        let mut command = netloom();
        command
            .env("ALL_PROXY", micro.url("socks5"))
            .env("no_proxy", no_proxy);
        // No host of 192.0.2.0/24 is anywhere, but the proxy's word comes back at once.
        command.args([
            "connect",
            "tcp://name.invalid:9",
            "--send",
            "",
            "--timeout",
            "20s",
        ]);
        Program::start(command.args(more)).end().stderr
    };
    let said = connect("", &[]);
    assert!(said.starts_with("error[proxy.refused]"), "{said}");
    for (no_proxy, more) in [("invalid", &[][..]), ("*", &[]), ("", &["--via", "direct"])] {
        let said = connect(no_proxy, more);
        assert!(said.starts_with("error[resolve."), "{no_proxy}: {said}");
    }
    // This host is reached directly, whatever the environment says.
    let echo = echo();
    let mut command = netloom();
    command.env("all_proxy", "socks5://127.0.0.1:1");
    command.args(["connect", echo.endpoint(), "--send", "hi"]);
    assert_eq!(Program::start(&mut command).end().text(), "hi");
}

/// A proxy of HTTP that lets everybody through to nothing, until it is dropped.
fn lets_all_through() -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serves = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(&stream).lines();
        while !lines.next().unwrap().unwrap().is_empty() {}
        (&stream)
            .write_all(b"HTTP/1.1 200 Through\r\n\r\n")
            .unwrap();
        let _ = lines.next(); // until the other end has enough
    });
    (port, serves)
}

#[test]
fn waiting_through_the_environments_proxy_says_so_unless_quiet() {
    for quiet in [false, true] {
        let (port, serves) = lets_all_through();
        let mut command = netloom();
        command.env("ALL_PROXY", format!("http://127.0.0.1:{port}"));
        command.env_remove("all_proxy").env_remove("no_proxy");
        command.env_remove("NO_PROXY");
        command.args(["wait", "tcp://name.invalid:9", "--timeout", "20s"]);
        let mut program = Program::start(command.args(quiet.then_some("-q")));
        let ended = program.end();
        serves.join().unwrap();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let told = format!("through http://127.0.0.1:{port} (ALL_PROXY)");
        assert_eq!(ended.stderr.contains(&told), !quiet, "{ended:?}");
    }
}

#[test]
fn what_goes_through_no_proxy_says_so() {
    let ended = netloom_ends(&["connect", "unix:/run/x.sock", "--via", "socks5://p"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("`unix` goes through no proxy"),
        "{}",
        ended.stderr
    );
    let ended = netloom_ends(&["connect", "tcp://db:1", "--via", "offce"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("no proxy is called `offce`"),
        "{}",
        ended.stderr
    );
}
