//! OpenSSL's `s_client` and `s_server` at the other end.

use std::process::Stdio;

use netloom_transport::tls::codes;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::certs::{Folder, Leaf, root};
use super::{Served, dial, told, world};

#[expect(clippy::print_stdout, reason = "what is skipped is said")]
pub(super) fn installed() -> bool {
    let found = std::process::Command::new("openssl")
        .arg("version")
        .output()
        .is_ok();
    if !found {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "openssl is not installed"
        );
        println!("skipped: openssl is not installed");
    }
    found
}

pub(super) fn openssl(arguments: &str) -> Child {
    Command::new("openssl")
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// What `s_server` says, and the port it told.
pub(super) async fn accepting(server: &mut Child) -> (Lines<BufReader<ChildStdout>>, String) {
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    loop {
        let line = lines
            .next_line()
            .await
            .unwrap()
            .expect("s_server told no port");
        if let Some(address) = line.strip_prefix("ACCEPT ") {
            let port = address.rsplit_once(':').unwrap().1.to_owned();
            return (lines, port);
        }
    }
}

#[tokio::test]
async fn s_client_talks_to_us() {
    if !installed() {
        return;
    }
    let (cx, folder, root) = (world(), Folder::new("s-client"), root("root"));
    let cert = folder.write("leaf.pem", &Leaf::default().signed_by(&root));
    let ca = folder.write("ca.pem", &root.pem()).replace("%2F", "/");
    for version in ["-tls1_2", "-tls1_3"] {
        let mut served = Served::at(&cx, &format!("tls://127.0.0.1:0,cert={cert},alpn=netloom"))
            .await
            .unwrap();
        let mut client = openssl(&format!(
            "s_client -quiet -verify_return_error -CAfile {ca} -servername localhost -alpn netloom {version} -connect 127.0.0.1:{}",
            served.port()
        ));
        let mut conn = served.answer().await.unwrap();
        conn.write_all(b"greetings\n").await.unwrap();
        conn.flush().await.unwrap();
        let mut line = String::new();
        BufReader::new(client.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .await
            .unwrap();
        assert_eq!(line, "greetings\n");
        client
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"likewise\n")
            .await
            .unwrap();
        let mut answer = [0; 9];
        conn.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"likewise\n");
    }
    // It says why it refuses.
    let mut served = Served::at(&cx, "tls://127.0.0.1:0,cert=auto")
        .await
        .unwrap();
    let _client = openssl(&format!(
        "s_client -verify_return_error -connect 127.0.0.1:{}",
        served.port()
    ));
    let failure = served.answer().await.unwrap_err();
    assert_eq!(failure.code(), codes::SELF_SIGNED, "{}", told(&failure));
}

#[tokio::test]
async fn we_talk_to_s_server() {
    if !installed() {
        return;
    }
    let (cx, folder, root) = (world(), Folder::new("s-server"), root("root"));
    let cert = folder.write("leaf.pem", &Leaf::default().signed_by(&root));
    let ca = folder.write("ca.pem", &root.pem());
    let cert = cert.replace("%2F", "/");
    for (serve, ask, code) in [
        ("-tls1_3", "", None),
        ("-tls1_2", "", None),
        ("-no_tls1_3", "min=1.3", Some(codes::NO_COMMON_VERSION)),
        ("-alpn h2", "alpn=mqtt", Some(codes::NO_COMMON_ALPN)),
        (
            "-tls1_2 -cipher AES128-SHA",
            "",
            Some(codes::NO_COMMON_CIPHER),
        ),
        (
            "-tls1_2 -Verify 1",
            "",
            Some(codes::CLIENT_CERTIFICATE_REQUIRED),
        ),
        (
            "-servername other.example -servername_fatal",
            "sni=localhost",
            Some(codes::UNKNOWN_NAME),
        ),
    ] {
        let fatal = if serve.contains("servername") {
            format!("-cert2 {cert} -key2 {cert}")
        } else {
            String::new()
        };
        let mut server = openssl(&format!(
            "s_server -accept 127.0.0.1:0 -cert {cert} -key {cert} {fatal} {serve}"
        ));
        let (mut lines, port) = accepting(&mut server).await;
        let dialled = dial(
            &cx,
            format!("tls://127.0.0.1:{port},ca={ca},ca-only,{ask}").trim_end_matches(','),
        )
        .await;
        match (dialled, code) {
            (Ok(mut conn), None) => {
                conn.write_all(b"hello there\n").await.unwrap();
                conn.flush().await.unwrap();
                // Among what it says of the session.
                while lines.next_line().await.unwrap().expect("it hears nothing") != "hello there" {
                }
                server
                    .stdin
                    .as_mut()
                    .unwrap()
                    .write_all(b"hello here\n")
                    .await
                    .unwrap();
                let mut answer = [0; 11];
                conn.read_exact(&mut answer).await.unwrap();
                assert_eq!(&answer, b"hello here\n");
            }
            (Err(failure), Some(code)) => {
                assert_eq!(failure.code(), code, "{serve}: {}", told(&failure));
            }
            (Ok(_), Some(code)) => panic!("{serve}: {code} was expected"),
            (Err(failure), None) => panic!("{serve}: {}", told(&failure)),
        }
    }
}
