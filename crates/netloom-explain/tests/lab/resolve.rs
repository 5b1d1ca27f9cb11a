//! Names, with name servers on ports of their own: dnsmasq where it can say so,
//! and a scripted one for what no good server says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use netloom_base::diagnosis::Verdict;
use netloom_base::failure::Fact;
use netloom_base::{Code, Diagnosis};
use netloom_explain::{Asking, diagnose_with};
use netloom_transport::resolve::{Config, Dns};

use crate::place::{
    Lab, Program, failed, fix, has, in_namespace_asking, is_confirmed, knows, run_asking,
};

/// A name server that answers with a fixed code: 0 has no address, 2 is
/// SERVFAIL, 3 NXDOMAIN, 5 REFUSED; -1 says nothing.
pub(crate) fn scripted(rcode: i8) -> (Program, SocketAddr) {
    let (program, port) = Program::python(&format!(
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])\n\
         while True:\n\
         \x20q, who = s.recvfrom(4096)\n\
         \x20if {rcode} < 0: continue\n\
         \x20e = 12\n\
         \x20while q[e]: e += q[e] + 1\n\
         \x20s.sendto(q[:2] + bytes([0x81, 0x80 | {rcode}]) + q[4:6] + bytes(6) + q[12:e + 5], who)"
    ));
    (program, ([127, 0, 0, 1], port).into())
}

/// A server that accepts, as far as the kernel does.
pub(crate) const LISTENS: &str = "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); \
     print(s.getsockname()[1]); sys.stdin.read()";

/// dnsmasq on a port of its own; `more` are further flags.
pub(crate) fn dnsmasq(port: u16, more: &[&str]) -> Program {
    let port = format!("--port={port}");
    let mut line = vec![
        "dnsmasq",
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--no-daemon",
        "--conf-file=/dev/null",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--pid-file",
        "--local=/lab/",
    ];
    line.push(&port);
    line.extend(more);
    Program::start(&line)
}

pub(crate) async fn ready(lab: &Lab, port: u16) {
    // It takes UDP and TCP at the same time.
    lab.listening(port).await;
}

pub(crate) fn asking(servers: &[SocketAddr]) -> Config {
    Config {
        servers: servers.to_vec(),
        ..Config::default()
    }
}

pub(crate) fn dns(config: Config) -> Arc<dyn netloom_transport::net::Resolver> {
    Arc::new(Dns::with(config))
}

async fn told(lab: &Lab, url: &str, code: &str) -> Diagnosis {
    let diagnosis = lab.explain(&failed(lab.dial(url).await)).await;
    assert_eq!(diagnosis.code.name(), code, "{diagnosis}");
    diagnosis
}

/// Runs the question that is asked by hand, if there is a program to ask it with.
async fn by_hand(lab: &Lab, diagnosis: &Diagnosis, server: SocketAddr) {
    let dig = fix(diagnosis, "dig");
    let command = dig.command.as_deref().unwrap();
    assert!(
        command.contains(&format!("-p {}", server.port())),
        "{command}"
    );
    if has("dig") {
        lab.follow(dig).await;
    }
}

#[test]
fn the_name_does_not_exist() {
    let (_server, at) = scripted(3);
    run_asking(dns(asking(&[at])), |lab| async move {
        let url = "tcp://db.lab.example:1";
        let diagnosis = told(&lab, url, "resolve.no-such-name").await;
        knows(&diagnosis, &[&at.to_string(), "NXDOMAIN"]);
        assert!(!is_confirmed(&diagnosis));
        by_hand(&lab, &diagnosis, at).await;
        lab.follow(fix(&diagnosis, "getent ahosts")).await;
    });
}

#[test]
fn a_slip_is_found_in_the_hosts_file() {
    let (_server, at) = scripted(3);
    run_asking(dns(asking(&[at])), |lab| async move {
        let (_server, port) = Program::python(LISTENS);
        let url = format!("tcp://locahost:{port}");
        let diagnosis = told(&lab, &url, "resolve.no-such-name").await;
        knows(&diagnosis, &["the hosts file knows localhost"]);
        assert!(diagnosis.causes[0].text.contains("localhost was meant"));
        lab.follow(fix(&diagnosis, "netloom connect")).await;
    });
}

#[test]
fn single_words_and_reserved_names_are_told_apart() {
    let (_server, at) = scripted(3);
    let searched = Config {
        search: vec!["corp.example".to_owned()],
        ..asking(&[at])
    };
    run_asking(dns(searched), |lab| async move {
        let has_cause = |diagnosis: &Diagnosis, words: &str| {
            assert!(
                diagnosis
                    .causes
                    .iter()
                    .any(|cause| cause.text.contains(words)),
                "no cause has {words:?} in:\n{diagnosis}"
            );
        };
        let diagnosis = told(&lab, "tcp://qwxyzzy:1", "resolve.no-such-name").await;
        has_cause(&diagnosis, "in none of the search domains");
        knows(&diagnosis, &["is looked for in corp.example too"]);
        let diagnosis = told(&lab, "tcp://qwxyzzy.:1", "resolve.no-such-name").await;
        has_cause(&diagnosis, "the dot at its end");
        let diagnosis = told(&lab, "tcp://qwxyzzy.local:1", "resolve.no-such-name").await;
        has_cause(&diagnosis, "told by the hosts themselves");
        lab.follow(fix(&diagnosis, "grep ^hosts")).await;
        let diagnosis = told(&lab, "tcp://a.invalid:1", "resolve.no-such-name").await;
        assert!(is_confirmed(&diagnosis));
    });
}

#[test]
fn every_server_that_fails_is_named() {
    let (_broken, broken) = scripted(2);
    let (_closed, closed) = scripted(5);
    run_asking(dns(asking(&[broken, closed])), |lab| async move {
        let diagnosis = told(&lab, "tcp://db.example.org:1", "resolve.server-failed").await;
        knows(&diagnosis, &[&broken.to_string(), "SERVFAIL"]);
        knows(&diagnosis, &[&closed.to_string(), "REFUSED"]);
        assert!(
            diagnosis.causes[0]
                .text
                .contains("does not answer for this host")
        );
        fix(&diagnosis, "dig +cd");
        by_hand(&lab, &diagnosis, broken).await;
    });
}

#[test]
fn no_name_server_runs_there() {
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = free.local_addr().unwrap();
    drop(free);
    run_asking(dns(asking(&[at])), |lab| async move {
        let failure = failed(lab.dial("tcp://db.example.org:1").await);
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.stage, netloom_base::Stage::Resolve);
        assert!(is_confirmed(&diagnosis), "{diagnosis}");
        let cause = &diagnosis.causes[0].text;
        assert!(cause.contains("no name server runs on"), "{diagnosis}");
    });
}

#[test]
fn the_server_is_silent() {
    let (_silent, at) = scripted(-1);
    run_asking(dns(asking(&[at])), |lab| async move {
        let url = "tcp://db.example.org:1";
        let failure = failed(lab.dial(url).await);
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.code.name(), "resolve.timeout");
        knows(&diagnosis, &[&at.to_string(), "nothing"]);
        assert!(diagnosis.causes[0].text.contains("hangs"), "{diagnosis}");
        assert!(diagnosis.unchecked.iter().any(|un| un.needs == "--deep"));
        lab.follow(fix(&diagnosis, "ip route get")).await;
        // Only whoever allows it has the server dialled over TCP.
        let deep = Asking {
            deep: true,
            within: Duration::from_secs(15),
            ..Asking::default()
        };
        let diagnosis = diagnose_with(&failure, &lab.probe, deep, &lab.cx).await;
        knows(&diagnosis, &["over TCP: ECONNREFUSED"]);
    });
}

#[test]
fn there_is_no_way_to_the_server() {
    in_namespace_asking(
        "resolve::there_is_no_way_to_the_server",
        || (dns(asking(&[([192, 0, 2, 53], 53).into()])), ()),
        |lab, _| async move {
            let diagnosis = lab
                .explain(&failed(lab.dial("tcp://db.example.org:1").await))
                .await;
            assert_eq!(diagnosis.stage, netloom_base::Stage::Resolve);
            assert!(is_confirmed(&diagnosis), "{diagnosis}");
            assert!(
                diagnosis.causes[0].text.contains("192.0.2.53"),
                "{diagnosis}"
            );
        },
    );
}

#[test]
fn the_name_has_no_address() {
    let (_server, at) = scripted(0);
    run_asking(dns(asking(&[at])), |lab| async move {
        let diagnosis = told(&lab, "tcp://mail.example.org:1", "resolve.no-address").await;
        assert!(is_confirmed(&diagnosis));
        let refuted = |cause: &netloom_base::diagnosis::Cause| cause.verdict == Verdict::Refuted;
        assert!(diagnosis.causes.iter().any(refuted));
        by_hand(&lab, &diagnosis, at).await;
    });
}

#[test]
fn the_name_has_no_address_of_that_family() {
    let hosts = Config {
        hosts: Some("127.0.0.1 four.lab\n".to_owned()),
        ..Config::default()
    };
    run_asking(dns(hosts), |lab| async move {
        let (_server, port) = Program::python(LISTENS);
        let url = format!("tcp://four.lab:{port},source=[::1]");
        let diagnosis = told(&lab, &url, "resolve.no-family").await;
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &["has 127.0.0.1"]);
        lab.follow(fix(&diagnosis, "netloom connect")).await;
    });
}

#[test]
fn there_is_nobody_to_ask() {
    run_asking(dns(Config::default()), |lab| async move {
        let failure = failed(lab.dial("tcp://db.example.org:1").await);
        let diagnosis = lab.explain(&failure).await;
        assert!(is_confirmed(&diagnosis), "{diagnosis}");
        assert!(diagnosis.causes[0].text.contains("no name server"));
        if std::path::Path::new("/etc/resolv.conf").exists() {
            lab.follow(fix(&diagnosis, "cat /etc/resolv.conf")).await;
        }
    });
}

#[test]
fn a_dead_server_before_a_good_one_is_noted() {
    in_namespace_asking(
        "resolve::a_dead_server_before_a_good_one_is_noted",
        || {
            let (dead, at) = scripted(-1);
            let good = dnsmasq(5353, &["--address=/web.lab/127.0.0.1"]);
            (
                dns(asking(&[at, ([127, 0, 0, 1], 5353).into()])),
                (dead, at, good),
            )
        },
        |lab, servers| async move {
            let (_, at, _) = &*servers;
            ready(&lab, 5353).await;
            let (_server, port) = Program::python(LISTENS);
            let conn = lab.dial(&format!("tcp://web.lab:{port}")).await.unwrap();
            let told: Vec<String> = conn.learned().iter().map(ToString::to_string).collect();
            let told = told.join("; ");
            assert!(told.contains(&at.to_string()), "{told}");
            assert!(told.contains("not within"), "{told}");
            let slow = |fact: &Fact| matches!(fact, Fact::Noted { code, .. } if *code == Code::RESOLVE_SLOW);
            assert!(conn.learned().iter().any(slow), "{told}");
            crate::record::noted(Code::RESOLVE_SLOW);
        },
    );
}
