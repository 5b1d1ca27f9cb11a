//! Peers that say what a script has them say.

use netloom_base::failure::Fact;
use netloom_base::{Failure, Stage};
use netloom_transport::sim::Sim;
use netloom_transport::tls::{Tls, codes};
use netloom_transport::{Conn, Cx, Layer};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Served, dial, told};

fn sim() -> Sim {
    let sim = Sim::with_layers(3, vec![Arc::new(Tls::default()) as Arc<dyn Layer>]);
    sim.host("a");
    sim.host("b");
    sim
}

/// Dials a host that answers the hello with `answer` and then closes.
fn answered_with(answer: &[u8], options: &str) -> Failure {
    let sim = sim();
    sim.block_on(async {
        let (a, b) = (sim.host("a"), sim.host("b"));
        let mut served = Served::at(&b, "tcp://b:1").await.unwrap();
        let scripted = async {
            let mut conn = served.answer().await.unwrap();
            let _ = conn.read(&mut [0; 4096]).await.unwrap();
            conn.write_all(answer).await.unwrap();
            conn.shutdown().await.unwrap();
            let _ = conn.read_to_end(&mut Vec::new()).await;
        };
        let endpoint = format!("tls://b:1,{options}");
        let (dialled, ()) = tokio::join!(dial(&a, &endpoint), scripted);
        dialled.map(drop).unwrap_err()
    })
    .unwrap()
}

/// Serves TLS to a client that says `words`.
fn greeted_with(words: &[u8]) -> Failure {
    let sim = sim();
    sim.block_on(async {
        let (a, b) = (sim.host("a"), sim.host("b"));
        let mut served = Served::at(&b, "tls://b:1,cert=auto").await.unwrap();
        let scripted = async {
            let mut conn = dial(&a, "tcp://b:1").await.unwrap();
            conn.write_all(words).await.unwrap();
            let mut rest = Vec::new();
            let _ = conn.read_to_end(&mut rest).await;
            let _ = conn.shutdown().await;
        };
        let (met, ()) = tokio::join!(served.answer(), scripted);
        met.map(drop).unwrap_err()
    })
    .unwrap()
}

#[test]
fn every_alert_has_its_code() {
    let table = [
        (10, Stage::Tls.other()),
        (20, Stage::Tls.other()),
        (22, Stage::Tls.other()),
        (40, codes::NO_COMMON_CIPHER),
        (42, Stage::Tls.other()),
        (45, codes::EXPIRED),
        (46, Stage::Tls.other()),
        (47, Stage::Tls.other()),
        (48, codes::UNTRUSTED_ISSUER),
        (50, Stage::Tls.other()),
        (51, Stage::Tls.other()),
        (70, codes::NO_COMMON_VERSION),
        (71, codes::NO_COMMON_CIPHER),
        (80, Stage::Tls.other()),
        (86, codes::NO_COMMON_VERSION),
        (109, Stage::Tls.other()),
        (110, Stage::Tls.other()),
        (112, codes::UNKNOWN_NAME),
        (115, Stage::Tls.other()),
        (116, codes::CLIENT_CERTIFICATE_REQUIRED),
        (120, codes::NO_COMMON_ALPN),
        (200, Stage::Tls.other()),
    ];
    for (alert, code) in table {
        let failure = answered_with(&[21, 3, 3, 0, 2, 2, alert], "sni=b.example");
        assert_eq!(failure.code(), code, "{alert}: {}", told(&failure));
        assert!(
            failure.facts().contains(&Fact::Alert(alert)),
            "{}",
            told(&failure)
        );
        assert!(failure.summary().contains(&alert.to_string()), "{failure}");
    }
    let failure = answered_with(&[21, 3, 3, 0, 2, 2, 112], "sni=b.example");
    assert!(
        told(&failure).contains("this end asked for b.example"),
        "{}",
        told(&failure)
    );
}

#[test]
fn what_a_plain_server_speaks_is_told() {
    for (words, protocol) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "HTTP"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "SSH"),
        (b"220 mx.example.org ESMTP\r\n", "SMTP"),
        (b"220 (vsFTPd 3.0.3)\r\n", "FTP"),
        (b"* OK ready\r\n", "IMAP"),
        (b"+OK ready\r\n", "POP3"),
        (b"-ERR unknown command\r\n", "Redis"),
        (b"\x4a\0\0\0\x0a8.0.36\0", "MySQL"),
    ] {
        let failure = answered_with(words, "min=1.2");
        assert_eq!(
            failure.code(),
            codes::PEER_SPEAKS_PLAIN,
            "{}",
            told(&failure)
        );
        assert_eq!(
            failure.summary(),
            format!("tls://b:1,min=1.2: the peer speaks {protocol}, not TLS")
        );
        assert!(failure.facts().contains(&Fact::FirstBytes(words.to_vec())));
    }
    let failure = answered_with(b"hello, who is there?\n", "min=1.2");
    assert_eq!(failure.code(), codes::PEER_SPEAKS_PLAIN);
    let failure = answered_with(b"", "min=1.2");
    assert_eq!(failure.code(), codes::CLOSED, "{}", told(&failure));
    let failure = answered_with(&[22, 3, 3], "min=1.2");
    assert_eq!(failure.code(), codes::CLOSED, "{}", told(&failure));
}

#[test]
fn an_echo_is_not_tls() {
    let sim = sim();
    sim.block_on(async {
        let (a, b) = (sim.host("a"), sim.host("b"));
        let mut served = Served::at(&b, "tcp://b:1").await.unwrap();
        let echo = async {
            let mut conn = served.answer().await.unwrap();
            let mut hello = vec![0; 4096];
            while let Ok(n @ 1..) = conn.read(&mut hello).await {
                if conn.write_all(&hello[..n]).await.is_err() {
                    return;
                }
            }
        };
        let (dialled, ()) = tokio::join!(dial(&a, "tls://b:1"), echo);
        let failure = dialled.map(drop).unwrap_err();
        assert_eq!(
            failure.code(),
            codes::PEER_SPEAKS_PLAIN,
            "{}",
            told(&failure)
        );
        assert!(failure.summary().contains("an echo"), "{failure}");
    })
    .unwrap();
}

#[test]
fn what_a_plain_client_speaks_is_told() {
    let failure = greeted_with(b"GET / HTTP/1.1\r\nHost: b\r\n\r\n");
    assert_eq!(
        failure.code(),
        codes::PEER_SPEAKS_PLAIN,
        "{}",
        told(&failure)
    );
    assert!(
        failure.summary().ends_with("the peer speaks HTTP, not TLS"),
        "{failure}"
    );
    let failure = greeted_with(b"EHLO me\r\n");
    assert!(
        failure.summary().ends_with("the peer speaks SMTP, not TLS"),
        "{failure}"
    );
}

#[test]
fn a_silent_server_is_given_ten_seconds() {
    let sim = sim();
    sim.block_on(async {
        let (a, b) = (sim.host("a"), sim.host("b"));
        let mut served = Served::at(&b, "tcp://b:1").await.unwrap();
        let silent = async {
            let mut conn = served.answer().await.unwrap();
            let _ = conn.read_to_end(&mut Vec::new()).await;
        };
        let (dialled, ()) = tokio::join!(dial(&a, "tls://b:1"), silent);
        let failure = dialled.map(drop).unwrap_err();
        assert_eq!(failure.code(), codes::TIMEOUT);
        assert!(
            failure
                .facts()
                .contains(&Fact::Waited(Duration::from_secs(10)))
        );
        let steps: Vec<_> = failure
            .trail()
            .iter()
            .map(|step| (step.stage, step.failed))
            .collect();
        assert_eq!(
            steps[steps.len() - 2..],
            [(Stage::Connect, None), (Stage::Tls, Some(codes::TIMEOUT))]
        );
    })
    .unwrap();
    assert!(sim.now().since_start() >= Duration::from_secs(10));
}

/// A peer of rustls itself with other settings: no version, no cipher in common.
#[tokio::test]
async fn no_common_version_and_no_common_cipher() {
    let cx = super::world();
    for (serve, versions, suite, code) in [
        (
            "min=1.3",
            [&rustls::version::TLS12],
            None,
            codes::NO_COMMON_VERSION,
        ),
        (
            "min=1.2",
            [&rustls::version::TLS12],
            Some(0xc02f_u16),
            codes::NO_COMMON_CIPHER,
        ),
    ] {
        let mut served = Served::at(&cx, &format!("tls://127.0.0.1:0,cert=auto,{serve}"))
            .await
            .unwrap();
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        if let Some(only) = suite {
            // For RSA keys, and the made certificate has one of P-256.
            provider
                .cipher_suites
                .retain(|suite| u16::from(suite.suite()) == only);
        }
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&versions)
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let plain = dial(&cx, &format!("tcp://127.0.0.1:{}", served.port()))
            .await
            .unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let connecting = connector.connect("localhost".try_into().unwrap(), plain);
        let (met, answered) = tokio::join!(connecting, served.answer());
        assert!(met.is_err());
        let failure = answered.unwrap_err();
        assert_eq!(failure.code(), code, "{}", told(&failure));
        assert!(
            told(&failure).contains("this end speaks TLS"),
            "{}",
            told(&failure)
        );
    }
}

/// A cut without close_notify: tolerated, or a failure where it is asked for.
#[test]
fn an_end_without_goodbye() {
    for (options, code) in [
        ("insecure", None),
        ("insecure,strict-end", Some(codes::TRUNCATED)),
    ] {
        let sim = sim();
        sim.block_on(async {
            let (a, b) = (sim.host("a"), sim.host("b"));
            let (mut here, there) = pair(&a, &b, options).await;
            let mut there = there;
            there.write_all(b"half a sen").await.unwrap();
            there.flush().await.unwrap();
            drop(there); // the transport is closed, TLS never was
            let mut all = Vec::new();
            let end = here.read_to_end(&mut all).await;
            assert_eq!(all, b"half a sen");
            let failed = end
                .err()
                .map(|error| here.failure(Stage::Recv, error).code());
            assert_eq!(failed, code);
        })
        .unwrap();
    }
}

pub(super) async fn pair(a: &Cx, b: &Cx, options: &str) -> (Conn, Conn) {
    let mut served = Served::at(b, "tls://b:1,cert=auto").await.unwrap();
    let endpoint = format!("tls://b:1,{options}");
    let (dialled, answered) = tokio::join!(dial(a, &endpoint), served.answer());
    (dialled.unwrap(), answered.unwrap())
}

/// A client that comes again goes on with the ticket it was given.
#[tokio::test]
async fn a_session_is_resumed() {
    let cx = super::world();
    let mut served = Served::at(&cx, "tls://127.0.0.1:0,cert=auto")
        .await
        .unwrap();
    let insecure = super::certs::Anything::default();
    for versions in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = rustls::ClientConfig::builder_with_provider(insecure.provider())
            .with_protocol_versions(&[versions])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(insecure.clone()))
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let plain = dial(&cx, &format!("tcp://127.0.0.1:{}", served.port()))
                .await
                .unwrap();
            let connecting = connector.connect("localhost".try_into().unwrap(), plain);
            let (met, answered) = tokio::join!(connecting, served.answer());
            let (mut conn, mut there) = (met.unwrap(), answered.unwrap());
            there.write_all(b"x").await.unwrap();
            there.shutdown().await.unwrap();
            conn.read_to_end(&mut Vec::new()).await.unwrap(); // with the tickets
            kinds.push(conn.get_ref().1.handshake_kind().unwrap());
        }
        assert_eq!(
            kinds,
            [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed]
        );
    }
}
