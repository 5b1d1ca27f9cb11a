//! Opening words, said by other people's servers: what is told of healthy ones,
//! and what is said of those that are not.

use std::time::Duration;

use netloom_base::diagnosis::Fix;
use netloom_base::{Diagnosis, Endpoint, Failure, Role};
use netloom_explain::{Asking, diagnose_with};
use netloom_protocol::{Visit, protocol_for};

use crate::packages::{PACKAGES, has_package};
use crate::place::{
    Folder, Host, Lab, Program, failed, fix, has, in_namespace, is_confirmed, knows, run, sh, until,
};

/// What an endpoint's greeting tells, a line for each.
async fn greet(lab: &Lab, url: &str) -> Result<String, Failure> {
    greet_with(lab, url, None).await
}

async fn greet_with(lab: &Lab, url: &str, send: Option<&[u8]>) -> Result<String, Failure> {
    let endpoint: Endpoint = url.parse().unwrap();
    let stack = lab.cx.net().stack(&endpoint, Role::Dial)?;
    let visit = Visit {
        stack: &stack,
        send,
        deep: false,
    };
    let conn = visit.dial_again(&lab.cx).await?;
    let greeted = protocol_for(&stack)
        .unwrap()
        .greet(conn, visit, &lab.cx)
        .await?;
    let lines: Vec<String> = greeted.told.iter().map(|told| told.text.clone()).collect();
    eprintln!("{url}\n  {}", lines.join("\n  "));
    Ok(lines.join("\n"))
}

/// The fix that begins so; one that looks again is done with the library.
async fn follow(lab: &Lab, diagnosis: &Diagnosis, begin: &str) {
    let Fix { command, .. } = fix(diagnosis, begin);
    let command = command.as_deref().unwrap();
    match command.strip_prefix("netloom explain ") {
        Some(url) => drop(greet(lab, url.trim_matches('\'')).await.unwrap()),
        None => sh(command),
    }
}

/// A port that was free a moment ago, for servers that cannot choose one.
async fn free(lab: &Lab) -> u16 {
    let bound = lab.bind("tcp://127.0.0.1:0").await.unwrap();
    bound[0].endpoint().port().unwrap()
}

/// OpenSSH's server as this user, with a host key of its own.
async fn sshd(lab: &Lab, folder: &Folder, more: &[&str]) -> Option<(Program, u16)> {
    if !has("sshd") || !has("ssh-keygen") {
        return None;
    }
    let key = folder.path("key");
    sh(&format!("ssh-keygen -q -t ed25519 -N '' -f {key}"));
    // As root it wants the folder for its unprivileged child.
    if lab.probe.user() == Some(0) {
        sh("mkdir -p /run/sshd");
    }
    let port = free(lab).await;
    let (listen, hostkey) = (
        format!("ListenAddress=127.0.0.1:{port}"),
        format!("HostKey={key}"),
    );
    let mut line = vec![
        "/usr/sbin/sshd",
        "-D",
        "-q",
        "-f",
        "/dev/null",
        "-o",
        &listen,
        "-o",
        &hostkey,
        "-o",
        "PidFile=none",
    ];
    for option in more {
        line.extend(["-o", option]);
    }
    let program = Program::start(&line);
    lab.listening(port).await;
    Some((program, port))
}

/// A Python server that does `body` with each connection `c`.
fn server(body: &str) -> (Program, u16) {
    Program::python(&format!(
        "import socket, sys, struct
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print(s.getsockname()[1])
while True:
    c, _ = s.accept()
    {body}"
    ))
}

const ABORT: &str =
    "c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); c.close()";

#[test]
fn a_healthy_sshd_is_told() {
    run(|lab| async move {
        let folder = Folder::new("sshd");
        let Some((_sshd, port)) = sshd(&lab, &folder, &[]).await else {
            return;
        };
        lab.is_quiet(&format!("ssh://127.0.0.1:{port}")).await;
        let told = greet(&lab, &format!("ssh://127.0.0.1:{port}"))
            .await
            .unwrap();
        assert!(
            told.contains("OpenSSH_") && told.contains("SSH 2.0"),
            "{told}"
        );
        assert!(told.contains("host keys ssh-ed25519"), "{told}");
        assert!(
            told.contains("post-quantum with sntrup761x25519-sha512"),
            "{told}"
        );
        assert!(told.contains("compression zlib@openssh.com"), "{told}");
        let told = greet(&lab, &format!("tcp://127.0.0.1:{port}"))
            .await
            .unwrap();
        assert!(
            told.contains(&format!("that is SSH: ssh://127.0.0.1:{port}")),
            "{told}"
        );
    });
}

#[test]
fn sshd_has_as_many_beginners_as_it_takes() {
    run(|lab| async move {
        let folder = Folder::new("startups");
        let Some((_sshd, port)) = sshd(&lab, &folder, &["MaxStartups=1:100:1"]).await else {
            return;
        };
        let url = format!("ssh://127.0.0.1:{port}");
        let waiting = lab.dial(&format!("tcp://127.0.0.1:{port}")).await.unwrap();
        // Whether sshd has counted the first one shows in its answer.
        let failure = until("the refusal", || async { greet(&lab, &url).await.err() }).await;
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.code.name(), "greet.refused");
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &["Exceeded MaxStartups"]);
        knows(&diagnosis, &["sshd"]);
        if lab.probe.user() == Some(0) {
            follow(&lab, &diagnosis, "sshd -T").await;
        }
        // What the fix says, as soon as the one that waited is gone.
        fix(&diagnosis, &format!("netloom explain {url}"));
        drop(waiting);
        until("room again", || async { greet(&lab, &url).await.ok() }).await;
    });
}

#[test]
fn closed_and_reset_before_a_byte() {
    run(|lab| async move {
        let (_server, port) = server("c.close()");
        let url = format!("ssh://127.0.0.1:{port}");
        let diagnosis = lab.explain(&failed(greet(&lab, &url).await)).await;
        assert_eq!(diagnosis.code.name(), "greet.closed-before-banner");
        knows(&diagnosis, &["closed in order (FIN)"]);
        knows(&diagnosis, &["process", "python"]);
        assert!(
            diagnosis.causes[0].text.contains("forwarder"),
            "{diagnosis}"
        );
        let (_server, port) = server(ABORT);
        for scheme in ["ssh", "tcp", "smtp"] {
            let url = format!("{scheme}://127.0.0.1:{port}");
            let diagnosis = lab.explain(&failed(greet(&lab, &url).await)).await;
            assert_eq!(diagnosis.code.name(), "greet.closed-before-banner");
            knows(&diagnosis, &["reset the connection (RST)"]);
            assert_eq!(diagnosis.errno.as_deref(), Some("ECONNRESET"));
        }
    });
}

#[test]
fn a_server_that_ends_in_the_middle_of_its_opening() {
    run(|lab| async move {
        let (_server, port) =
            server("c.send(b'SSH-2.0-lab\\r\\n'); c.recv(99); c.shutdown(1); c.recv(99)");
        let url = format!("ssh://127.0.0.1:{port}");
        let diagnosis = lab.explain(&failed(greet(&lab, &url).await)).await;
        assert_eq!(diagnosis.code.name(), "greet.other");
        assert!(
            diagnosis.to_string().contains("it ended in the middle"),
            "{diagnosis}"
        );
        knows(&diagnosis, &["SSH-2.0-lab"]);
    });
}

#[test]
fn each_protocol_is_known_behind_the_wrong_scheme() {
    run(|lab| async move {
        let folder = Folder::new("wrong");
        let Some((_sshd, port)) = sshd(&lab, &folder, &[]).await else {
            return;
        };
        for scheme in ["smtp", "ftp", "mqtt"] {
            let url = format!("{scheme}://127.0.0.1:{port}");
            let diagnosis = lab.explain(&failed(greet(&lab, &url).await)).await;
            assert_eq!(diagnosis.code.name(), "greet.wrong-protocol");
            assert!(is_confirmed(&diagnosis));
            knows(&diagnosis, &["SSH-2.0-OpenSSH"]);
            follow(&lab, &diagnosis, "netloom explain ssh://").await;
            follow(&lab, &diagnosis, "netloom explain tcp://").await;
        }
    });
}

/// A key and a certificate for localhost.
fn certificate(folder: &Folder) -> (String, String) {
    let (key, cert) = (folder.path("key.pem"), folder.path("cert.pem"));
    sh(&format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {key} -out {cert} \
         -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null; chmod 644 {key}"
    ));
    (key, cert)
}

#[test]
fn a_server_that_waits_for_tls_is_silent_or_answers_in_it() {
    run(|lab| async move {
        if !has("openssl") {
            return;
        }
        let folder = Folder::new("tls");
        let (key, cert) = certificate(&folder);
        let (_server, port) = Program::python(&format!(
            "import socket, ssl
x = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); x.load_cert_chain('{cert}', '{key}')
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print(s.getsockname()[1])
while True:
    c, _ = s.accept()
    try: x.wrap_socket(c, server_side=True).close()
    except Exception: c.close()"
        ));
        let url = format!("mqtt://127.0.0.1:{port}");
        let diagnosis = lab.explain(&failed(greet(&lab, &url).await)).await;
        assert_eq!(diagnosis.code.name(), "tls.peer-speaks-tls");
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &["a TLS handshake, was answered"]);
        fix(
            &diagnosis,
            &format!("netloom explain mqtts://127.0.0.1:{port}"),
        );
        let url = format!("tcp://localhost:{port}");
        let failure = failed(greet_with(&lab, &url, Some(b"hello\r\n")).await);
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.code.name(), "tls.peer-speaks-tls");
        let there = fix(&diagnosis, "netloom explain tls://")
            .command
            .clone()
            .unwrap();
        let there = format!("{}?ca={cert}", there.trim_start_matches("netloom explain "));
        lab.dial(&there).await.unwrap();
    });
}

#[test]
fn a_silent_server_is_healthy_for_bytes_and_late_for_mail() {
    run(|lab| async move {
        let (_server, port) = server("globals().setdefault('k', []).append(c)");
        let told = greet(&lab, &format!("tcp://127.0.0.1:{port}"))
            .await
            .unwrap();
        assert!(told.contains("says nothing first"), "{told}");
        let failure = failed(greet(&lab, &format!("smtp://127.0.0.1:{port}")).await);
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.code.name(), "greet.timeout");
        knows(&diagnosis, &["waited 10.0 s"]);
        follow(&lab, &diagnosis, "netloom explain tcp://").await;
    });
}

#[test]
fn a_server_with_a_banner_of_its_own_is_healthy() {
    run(|lab| async move {
        let (_server, port) =
            server("c.send(b'hello, who is there?\\n'); globals().setdefault('k', []).append(c)");
        lab.is_quiet(&format!("tcp://127.0.0.1:{port}")).await;
        let told = greet(&lab, &format!("tcp://127.0.0.1:{port}"))
            .await
            .unwrap();
        assert!(
            told.contains("says first, 21 bytes: hello, who is there?"),
            "{told}"
        );
    });
}

#[test]
fn a_healthy_mail_server_is_told() {
    run(|lab| async move {
        if !has_package("aiosmtpd") {
            return;
        }
        let port = free(&lab).await;
        let listen = format!("127.0.0.1:{port}");
        let aiosmtpd = format!(
            "{PACKAGES}import runpy; runpy.run_module('aiosmtpd', run_name='__main__', alter_sys=True)"
        );
        let _server = Program::start(&[
            "python3", "-c", &aiosmtpd, "-n", "-u", "-s", "33554432", "-l", &listen,
        ]);
        lab.listening(port).await;
        for scheme in ["smtp", "submission"] {
            lab.is_quiet(&format!("{scheme}://127.0.0.1:{port}")).await;
            let told = greet(&lab, &format!("{scheme}://127.0.0.1:{port}"))
                .await
                .unwrap();
            assert!(
                told.contains("220 ") && told.contains("Python SMTP"),
                "{told}"
            );
            assert!(
                told.contains("takes messages of up to 33554432 bytes"),
                "{told}"
            );
            assert!(told.contains("SMTPUTF8"), "{told}");
        }
    });
}

#[test]
fn a_mail_server_that_refuses_is_quoted() {
    run(|lab| async move {
        let (_server, port) = server(
            "c.send(b'554 5.7.1 Service unavailable; client host blocked using zen.spamhaus.org\\r\\n'); c.recv(9); c.close()",
        );
        let url = format!("smtp://127.0.0.1:{port}");
        let diagnosis = lab.explain(&failed(greet(&lab, &url).await)).await;
        assert_eq!(diagnosis.code.name(), "greet.refused");
        knows(&diagnosis, &["554 5.7.1 Service unavailable"]);
        assert!(
            diagnosis.causes[0].text.contains("on a list"),
            "{diagnosis}"
        );
    });
}

/// A server of pyftpdlib with these settings of its handler.
async fn ftpd(lab: &Lab, on: &str, settings: &str) -> (Program, u16) {
    let port = free(lab).await;
    let text = format!(
        "{PACKAGES}from pyftpdlib.authorizers import DummyAuthorizer as A
from pyftpdlib.handlers import FTPHandler as H
from pyftpdlib.servers import FTPServer as S
H.authorizer = A(); H.authorizer.add_anonymous('/var/empty' if __import__('os').path.isdir('/var/empty') else '/tmp')
{settings}
S(('{on}', {port}), H).serve_forever()"
    );
    let program = Program::start(&["python3", "-c", &text]);
    lab.listening(port).await;
    (program, port)
}

#[test]
fn a_healthy_ftp_server_is_told_with_its_data_ports() {
    run(|lab| async move {
        if !has_package("pyftpdlib") {
            return;
        }
        let (_server, port) = ftpd(&lab, "127.0.0.1", "").await;
        lab.is_quiet(&format!("ftp://127.0.0.1:{port}")).await;
        let told = greet(&lab, &format!("ftp://127.0.0.1:{port}"))
            .await
            .unwrap();
        for words in [
            "220 pyftpdlib",
            "AUTH TLS is not offered",
            "logged in as anonymous",
            "EPSV works",
            "PASV works",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        let told = greet(&lab, &format!("ftp://bob:wrong@127.0.0.1:{port}"))
            .await
            .unwrap();
        assert!(
            told.contains("bob may not log in") && !told.contains("wrong"),
            "{told}"
        );
        // An address of another host that may be right for others is no failure.
        let (_server, port) =
            ftpd(&lab, "127.0.0.1", "H.masquerade_address = '198.51.100.9'").await;
        let told = greet(&lab, &format!("ftp://127.0.0.1:{port}"))
            .await
            .unwrap();
        assert!(
            told.contains("198.51.100.9") && told.contains("not dialled"),
            "{told}"
        );
    });
}

#[test]
fn an_ftp_server_names_its_inner_address() {
    in_namespace(
        "greet::an_ftp_server_names_its_inner_address",
        |lab| async move {
            if !has_package("pyftpdlib") {
                return;
            }
            sh("ip addr add 203.0.113.1/32 dev lo");
            let (_server, port) =
                ftpd(&lab, "203.0.113.1", "H.masquerade_address = '192.168.7.7'").await;
            let url = format!("ftp://203.0.113.1:{port}");
            let diagnosis = lab.explain(&failed(greet(&lab, &url).await)).await;
            assert_eq!(diagnosis.code.name(), "ftp.data-unreachable");
            assert!(is_confirmed(&diagnosis));
            knows(&diagnosis, &["reply 227 names 192.168.7.7:"]);
            knows(&diagnosis, &["192.168.7.7 is a private address (RFC 1918)"]);
            knows(&diagnosis, &["control connection is with 203.0.113.1"]);
            knows(&diagnosis, &["203.0.113.1:", "answers in"]);
            if has("curl") {
                follow(&lab, &diagnosis, "curl -sS ftp://").await;
                follow(&lab, &diagnosis, "curl -sS --disable-epsv").await;
            }
        },
    );
}

#[test]
fn a_firewall_closes_the_ports_for_data() {
    in_namespace(
        "greet::a_firewall_closes_the_ports_for_data",
        |lab| async move {
            if !has_package("pyftpdlib") {
                return;
            }
            if !has("nft") {
                return;
            }
            let (_server, port) = ftpd(&lab, "127.0.0.1", "H.passive_ports = [40000]").await;
            sh(
                "nft add table inet t; nft add chain inet t in '{ type filter hook input priority 0; }'",
            );
            sh("nft add rule inet t in tcp dport 40000 reject with tcp reset");
            let url = format!("ftp://127.0.0.1:{port}");
            let diagnosis = lab.explain(&failed(greet(&lab, &url).await)).await;
            assert_eq!(diagnosis.code.name(), "ftp.data-unreachable");
            knows(&diagnosis, &["reply 229 names 127.0.0.1:40000"]);
            assert!(diagnosis.causes[0].text.contains("firewall"), "{diagnosis}");
            sh("nft delete table inet t");
            let told = greet(&lab, &url).await.unwrap();
            assert!(told.contains("EPSV works"), "{told}");
        },
    );
}

/// Mosquitto with these lines of configuration.
async fn mosquitto(lab: &Lab, folder: &Folder, lines: &str) -> Option<(Program, u16)> {
    if !has("mosquitto") {
        return None;
    }
    let port = free(lab).await;
    let conf = folder.path("mosquitto.conf");
    // As root it gives its rights up, and reads its files after that.
    sh(&format!("chmod 755 {}", folder.path(".")));
    std::fs::write(&conf, format!("listener {port} 127.0.0.1\n{lines}\n")).unwrap();
    let program = Program::start(&["mosquitto", "-c", &conf]);
    lab.listening(port).await;
    Some((program, port))
}

#[test]
fn a_healthy_broker_is_told() {
    run(|lab| async move {
        let folder = Folder::new("broker");
        let Some((_broker, port)) = mosquitto(&lab, &folder, "allow_anonymous true").await else {
            return;
        };
        lab.is_quiet(&format!("mqtt://127.0.0.1:{port}")).await;
        let told = greet(&lab, &format!("mqtt://127.0.0.1:{port}"))
            .await
            .unwrap();
        assert!(told.contains("accepted in version 3.1.1"), "{told}");
    });
}

#[test]
fn a_healthy_broker_over_tls_is_told() {
    run(|lab| async move {
        if !has("openssl") {
            return;
        }
        let folder = Folder::new("mqtts");
        let (key, cert) = certificate(&folder);
        let lines = format!("allow_anonymous true\ncertfile {cert}\nkeyfile {key}");
        let Some((_broker, port)) = mosquitto(&lab, &folder, &lines).await else {
            return;
        };
        lab.is_quiet(&format!("mqtts://localhost:{port}?ca={cert}"))
            .await;
        let told = greet(&lab, &format!("mqtts://localhost:{port}?ca={cert}"))
            .await
            .unwrap();
        assert!(told.contains("accepted in version 3.1.1"), "{told}");
        // OpenSSL says nothing to plain words; a handshake shows what it is.
        let failure = failed(greet(&lab, &format!("mqtt://127.0.0.1:{port}")).await);
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.code.name(), "tls.peer-speaks-tls");
        fix(
            &diagnosis,
            &format!("netloom explain mqtts://127.0.0.1:{port}"),
        );
    });
}

#[test]
fn a_broker_that_knows_nobody_refuses() {
    run(|lab| async move {
        let folder = Folder::new("closed");
        let Some((_broker, port)) = mosquitto(&lab, &folder, "allow_anonymous false").await else {
            return;
        };
        let url = format!("mqtt://127.0.0.1:{port}");
        let diagnosis = lab.explain(&failed(greet(&lab, &url).await)).await;
        assert_eq!(diagnosis.code.name(), "greet.refused");
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &["CONNACK 0x05", "not authorized"]);
        fix(&diagnosis, "netloom explain mqtt://");
    });
}

#[test]
fn port_25_is_dropped_and_another_port_answers() {
    in_namespace(
        "greet::port_25_is_dropped_and_another_port_answers",
        |lab| async move {
            if !has("nft") {
                return;
            }
            let host = Host::beside("mx", "10.9.25.1/24", "10.9.25.2/24").await;
            host.sh("nft add table inet t; nft add chain inet t in \"{ type filter hook input priority 0; }\"; nft add rule inet t in tcp dport 25 drop");
            let pid = host.pid().to_string();
            let text = "import socket, threading
s = socket.socket(); s.bind(('', 587)); s.listen(); print(587, flush=True)
def talk(c):
    c.send(b'220 mx ESMTP\\r\\n')
    while c.recv(99): c.send(b'250 mx\\r\\n')
while True:
    threading.Thread(target=talk, args=(s.accept()[0],), daemon=True).start()";
            let mut server = Program::start(&["nsenter", "-t", &pid, "-n", "python3", "-c", text]);
            assert_eq!(server.port(), 587);
            let url = "smtp://10.9.25.2";
            let addr = "10.9.25.2:25".parse().unwrap();
            let failure = failed(
                lab.dial_for("tcp://10.9.25.2:25", addr, Duration::from_millis(300))
                    .await,
            );
            let failure = Failure::new(failure.stage(), failure.side(), failure.code())
                .fact(netloom_base::failure::Fact::Tried(addr))
                .at(url);
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "connect.timeout.dropped");
            assert!(
                diagnosis
                    .unchecked
                    .iter()
                    .any(|lacks| lacks.needs == "--deep"),
                "{diagnosis}"
            );
            let asking = Asking {
                deep: true,
                ..Asking::default()
            };
            let diagnosis = diagnose_with(&failure, &lab.probe, asking, &lab.cx).await;
            eprintln!("{diagnosis}");
            assert_eq!(diagnosis.code.name(), "smtp.port-blocked");
            crate::record::noted(diagnosis.code);
            knows(&diagnosis, &["port 587 (submission) answers"]);
            follow(&lab, &diagnosis, "netloom explain submission://10.9.25.2").await;
        },
    );
}
