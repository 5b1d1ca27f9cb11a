//! Handshakes that fail, with OpenSSL's server and scripted ones at the other end.

use netloom_base::diagnosis::Verdict;
use netloom_base::{Diagnosis, Failure, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::certs::{Leaf, below, root, write};
use crate::place::{Lab, Program, failed, fix, has, in_folder, is_confirmed, knows, sh};

const LEAF: &str = "-cert leaf.pem -key leaf.key";

async fn told(lab: &Lab, url: &str, code: &str) -> Diagnosis {
    let diagnosis = lab.explain(&failed(lab.dial(url).await)).await;
    assert_eq!(diagnosis.code.name(), code, "{diagnosis}");
    diagnosis
}

fn verdict(diagnosis: &Diagnosis, words: &str) -> Verdict {
    let found = diagnosis
        .causes
        .iter()
        .find(|cause| cause.text.contains(words));
    found
        .unwrap_or_else(|| panic!("no cause has {words:?} in:\n{diagnosis}"))
        .verdict
}

/// A server that accepts, reads a little, says `answer` and closes.
fn scripted(answer: &str) -> (Program, u16) {
    Program::python(&format!(
        "import socket\ns = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print(s.getsockname()[1])\n\
         while True:\n c, _ = s.accept(); c.recv(9999); c.sendall({answer}); c.close()"
    ))
}

#[test]
fn a_certificate_is_out_of_its_time() {
    in_folder("tls::a_certificate_is_out_of_its_time", |lab| async move {
        if !has("openssl") {
            return;
        }
        let root = root();
        for (years, code, words) in [
            ((2019, 2021), "tls.expired", "ran out on 2021-01-02"),
            ((2090, 2091), "tls.not-yet-valid", "was made for 2090-01-02"),
        ] {
            Leaf {
                years,
                ..Leaf::default()
            }
            .signed("leaf", &root);
            let (_server, port) = Program::s_server(LEAF);
            let url = format!("tls://localhost:{port},ca=root.pem");
            let diagnosis = told(&lab, &url, code).await;
            knows(&diagnosis, &["this host's clock says 20"]);
            let clock = lab.probe.clock().unwrap();
            let certain = verdict(&diagnosis, words) == Verdict::Confirmed;
            assert_eq!(certain, clock.synchronised, "{diagnosis}");
            let about_clock = verdict(&diagnosis, "this host's clock is");
            assert_eq!(about_clock == Verdict::Refuted, clock.synchronised);
            lab.follow(fix(&diagnosis, "openssl s_client")).await;
        }
    });
}

#[test]
fn a_certificate_is_for_other_names() {
    in_folder("tls::a_certificate_is_for_other_names", |lab| async move {
        if !has("openssl") {
            return;
        }
        Leaf {
            names: &["a.example", "b.example"],
            ..Leaf::default()
        }
        .signed("leaf", &root());
        let (_server, port) = Program::s_server(LEAF);
        let url = format!("tls://localhost:{port},ca=root.pem");
        let diagnosis = told(&lab, &url, "tls.name-mismatch").await;
        knows(&diagnosis, &["a.example b.example"]);
        knows(&diagnosis, &["with the name a.example: agreed on TLS 1.3"]);
        assert_eq!(
            verdict(&diagnosis, "the one it shows to everybody"),
            Verdict::Likely
        );
        lab.follow(fix(&diagnosis, "netloom connect")).await;
        lab.follow(fix(&diagnosis, "openssl s_client")).await;

        let url = format!("tls://127.0.0.1:{port},ca=root.pem");
        let diagnosis = told(&lab, &url, "tls.name-mismatch").await;
        assert!(is_confirmed(&diagnosis));
        assert!(diagnosis.causes[0].text.contains("by its address"));
        lab.follow(fix(&diagnosis, "netloom connect")).await;
    });
}

#[test]
fn the_right_certificate_is_shown_only_without_a_name() {
    in_folder(
        "tls::the_right_certificate_is_shown_only_without_a_name",
        |lab| async move {
            if !has("openssl") {
                return;
            }
            let root = root();
            Leaf::default().signed("leaf", &root);
            Leaf {
                names: &["other.example"],
                ..Leaf::default()
            }
            .signed("other", &root);
            let (_server, port) = Program::s_server(&format!(
                "{LEAF} -servername localhost -cert2 other.pem -key2 other.key"
            ));
            let url = format!("tls://localhost:{port},ca=root.pem");
            let diagnosis = told(&lab, &url, "tls.name-mismatch").await;
            assert!(is_confirmed(&diagnosis));
            let ask_none = fix(&diagnosis, "netloom connect");
            assert!(ask_none.command.as_ref().unwrap().contains("sni=off"));
            lab.follow(ask_none).await;
        },
    );
}

#[test]
fn a_certificate_signs_itself_until_it_is_trusted() {
    in_folder(
        "tls::a_certificate_signs_itself_until_it_is_trusted",
        |lab| async move {
            if !has("openssl") {
                return;
            }
            Leaf::default().self_signed("leaf");
            let (_server, port) = Program::s_server(LEAF);
            let diagnosis = told(&lab, &format!("tls://localhost:{port}"), "tls.self-signed").await;
            knows(&diagnosis, &["issued by itself", "SHA-256"]);
            lab.follow(fix(&diagnosis, "openssl s_client")).await;
            lab.follow(fix(&diagnosis, "openssl x509 -in server.pem"))
                .await;
            lab.follow(fix(&diagnosis, "netloom connect")).await;
        },
    );
}

#[test]
fn an_authority_is_private_until_it_is_trusted() {
    in_folder(
        "tls::an_authority_is_private_until_it_is_trusted",
        |lab| async move {
            if !has("openssl") {
                return;
            }
            Leaf::default().signed("leaf", &root());
            let (_server, port) = Program::s_server(&format!("{LEAF} -cert_chain root.pem"));
            let url = format!("tls://localhost:{port}");
            let diagnosis = told(&lab, &url, "tls.untrusted-issuer").await;
            knows(&diagnosis, &["CN=root"]);
            lab.follow(fix(&diagnosis, "openssl s_client")).await;
            lab.follow(fix(&diagnosis, "openssl crl2pkcs7")).await;
            lab.follow(fix(&diagnosis, "netloom connect")).await;

            // The same without the chain, by a store that is not there.
            let (_server, port) = Program::s_server(LEAF);
            let url = format!("tls://localhost:{port}");
            let diagnosis = told(&lab, &url, "tls.untrusted-issuer").await;
            lab.follow(fix(&diagnosis, "openssl s_client")).await;
            lab.follow(fix(&diagnosis, "netloom connect")).await;
        },
    );
}

#[test]
fn a_certificate_between_is_missing_and_can_be_fetched() {
    in_folder(
        "tls::a_certificate_between_is_missing_and_can_be_fetched",
        |lab| async move {
            if !has("openssl") || !has("curl") {
                return;
            }
            let (_web, web) = Program::python(
                "import http.server as h; s = h.HTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler); print(s.server_port); s.serve_forever()",
            );
            let place = format!("http://127.0.0.1:{web}/between.der");
            write(
                "leaf.ext",
                &format!(
                    "subjectAltName=DNS:localhost\nauthorityInfoAccess=caIssuers;URI:{place}\n"
                ),
            );
            write("ca.ext", "basicConstraints=critical,CA:TRUE\n");
            sh("openssl req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -subj /CN=top -days 9 2>/dev/null;
                openssl req -newkey rsa:2048 -nodes -keyout between.key -out between.csr -subj /CN=between 2>/dev/null;
                openssl x509 -req -in between.csr -CA root.pem -CAkey root.key -extfile ca.ext -out between.pem -days 9 2>/dev/null;
                openssl x509 -in between.pem -outform DER -out between.der;
                openssl req -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.csr -subj /CN=leaf 2>/dev/null;
                openssl x509 -req -in leaf.csr -CA between.pem -CAkey between.key -extfile leaf.ext -out leaf.pem -days 9 2>/dev/null");
            let (_server, port) = Program::s_server(LEAF);
            let url = format!("tls://localhost:{port},ca=root.pem");
            let diagnosis = told(&lab, &url, "tls.missing-intermediate").await;
            knows(&diagnosis, &["its issuer's certificate is at", &place]);
            lab.follow(fix(&diagnosis, "curl ")).await;
            lab.follow(fix(&diagnosis, "openssl x509 -inform DER"))
                .await;
            lab.follow(fix(&diagnosis, "netloom connect")).await;
            lab.follow(fix(&diagnosis, "openssl s_client")).await;
        },
    );
}

#[test]
fn the_server_wants_a_certificate_of_the_client() {
    in_folder(
        "tls::the_server_wants_a_certificate_of_the_client",
        |lab| async move {
            if !has("openssl") {
                return;
            }
            let root = root();
            Leaf::default().signed("leaf", &root);
            for version in ["-tls1_2", "-tls1_3"] {
                let (_server, port) = Program::s_server(&format!(
                    "{LEAF} {version} -Verify 2 -verify_return_error -CAfile root.pem"
                ));
                let url = format!("tls://localhost:{port},ca=root.pem");
                let failure = match lab.dial(&url).await {
                    Err(failure) => failure,
                    // TLS 1.3 says so only to whoever reads.
                    Ok(mut conn) => {
                        let error = conn.read(&mut [0; 16]).await.unwrap_err();
                        conn.failure(Stage::Recv, error).at(&url)
                    }
                };
                let diagnosis = lab.explain(&failure).await;
                assert_eq!(diagnosis.code.name(), "tls.client-certificate-required");
                knows(&diagnosis, &["issued by", "CN=root"]);
                assert_eq!(is_confirmed(&diagnosis), version == "-tls1_3");
                lab.follow(fix(&diagnosis, "openssl req -new")).await;
                lab.follow(fix(&diagnosis, "openssl s_client")).await;
                let client = Leaf {
                    client: true,
                    ..Leaf::default()
                };
                client.signed("client", &root);
                lab.follow(fix(&diagnosis, "netloom connect")).await;
            }
        },
    );
}

#[test]
fn there_is_no_version_in_common() {
    in_folder("tls::there_is_no_version_in_common", |lab| async move {
        if !has("openssl") {
            return;
        }
        Leaf::default().signed("leaf", &root());
        for (flag, name) in [("-tls1", "TLS 1.0"), ("-tls1_1", "TLS 1.1")] {
            let (_server, port) =
                Program::s_server(&format!("{LEAF} {flag} -cipher ALL:@SECLEVEL=0"));
            let url = format!("tls://localhost:{port},ca=root.pem");
            let diagnosis = told(&lab, &url, "tls.no-common-version").await;
            assert!(is_confirmed(&diagnosis));
            knows(&diagnosis, &["with TLS 1.1 and older", "chose", name]);
            knows(&diagnosis, &["this end speaks TLS 1.2 and 1.3"]);
            lab.follow(fix(&diagnosis, "openssl s_client")).await;
        }
        let (_server, port) = Program::s_server(&format!("{LEAF} -tls1_2"));
        let url = format!("tls://localhost:{port},ca=root.pem,min=1.3");
        let diagnosis = told(&lab, &url, "tls.no-common-version").await;
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &["with TLS 1.2 too: agreed on TLS 1.2"]);
        lab.follow(fix(&diagnosis, "netloom connect")).await;
        let (_server, port) = Program::s_server(&format!("{LEAF} -tls1_3"));
        let url = format!("tls://localhost:{port},ca=root.pem,max=1.2");
        let diagnosis = told(&lab, &url, "tls.no-common-version").await;
        lab.follow(fix(&diagnosis, "netloom connect")).await;
    });
}

#[test]
fn there_is_no_cipher_or_group_in_common() {
    in_folder(
        "tls::there_is_no_cipher_or_group_in_common",
        |lab| async move {
            if !has("openssl") {
                return;
            }
            sh(
                "openssl req -x509 -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.pem -subj /CN=x -addext subjectAltName=DNS:localhost -days 9 2>/dev/null",
            );
            for (flags, what) in [
                ("-tls1_2 -cipher AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA"),
                ("-tls1_3 -groups P-521", "secp521r1"),
                (
                    "-tls1_3 -ciphersuites TLS_AES_128_CCM_SHA256",
                    "TLS_AES_128_CCM_SHA256",
                ),
            ] {
                let (_server, port) = Program::s_server(&format!("{LEAF} {flags}"));
                let url = format!("tls://localhost:{port},ca=leaf.pem");
                let diagnosis = told(&lab, &url, "tls.no-common-cipher").await;
                assert!(is_confirmed(&diagnosis));
                assert!(diagnosis.causes[0].text.contains(what), "{diagnosis}");
                knows(
                    &diagnosis,
                    &["this end speaks", "ciphers TLS13_AES"]
                        .map(|w| w.trim_end_matches("TLS13_AES")),
                );
                lab.follow(fix(&diagnosis, "openssl s_client")).await;
            }
        },
    );
}

#[test]
fn there_is_no_application_protocol_in_common() {
    in_folder(
        "tls::there_is_no_application_protocol_in_common",
        |lab| async move {
            if !has("openssl") {
                return;
            }
            Leaf::default().signed("leaf", &root());
            let (_server, port) = Program::s_server(&format!("{LEAF} -alpn h2"));
            let url = format!("tls://localhost:{port},ca=root.pem,alpn=mqtt");
            let diagnosis = told(&lab, &url, "tls.no-common-alpn").await;
            assert!(is_confirmed(&diagnosis));
            assert_eq!(diagnosis.causes[0].text, "the server speaks h2");
            knows(&diagnosis, &["protocols mqtt"]);
            for fix in diagnosis.fixes.iter().filter(|fix| fix.command.is_some()) {
                lab.follow(fix).await;
            }
        },
    );
}

#[test]
fn the_server_does_not_know_the_name() {
    in_folder("tls::the_server_does_not_know_the_name", |lab| async move {
        if !has("openssl") {
            return;
        }
        Leaf::default().signed("leaf", &root());
        let (_server, port) = Program::s_server(&format!(
            "{LEAF} -servername other.example -servername_fatal -cert2 leaf.pem -key2 leaf.key"
        ));
        let url = format!("tls://localhost:{port},ca=root.pem");
        let diagnosis = told(&lab, &url, "tls.unknown-name").await;
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &["without a name: agreed on"]);
        lab.follow(fix(&diagnosis, "netloom connect")).await;
        lab.follow(fix(&diagnosis, "openssl s_client")).await;
    });
}

#[test]
fn the_server_speaks_something_else() {
    in_folder("tls::the_server_speaks_something_else", |lab| async move {
        for (answer, words) in [
            ("b'SSH-2.0-OpenSSH_9.2p1\\r\\n'", "the server speaks SSH"),
            ("b'220 mx.example ESMTP\\r\\n'", "the server speaks SMTP"),
            ("b'hello\\n'", "does not speak TLS"),
        ] {
            let (server, port) = scripted(answer);
            let url = format!("tls://127.0.0.1:{port}");
            let diagnosis = told(&lab, &url, "tls.peer-speaks-plain").await;
            assert!(is_confirmed(&diagnosis));
            assert!(diagnosis.causes[0].text.contains(words), "{diagnosis}");
            knows(&diagnosis, &[&format!("process {}", server.pid())]);
            lab.follow(fix(&diagnosis, "netloom connect tcp://")).await;
        }
        if has("socat") {
            let (_echo, port) = Program::python(
                "import socketserver as s, sys\n\
                 class E(s.BaseRequestHandler):\n def handle(self): self.request.sendall(self.request.recv(9999))\n\
                 t = s.TCPServer(('127.0.0.1', 0), E); print(t.server_address[1]); t.serve_forever()",
            );
            let url = format!("tls://127.0.0.1:{port}");
            let diagnosis = told(&lab, &url, "tls.peer-speaks-plain").await;
            assert!(diagnosis.causes[0].text.contains("echo"), "{diagnosis}");
        }
    });
}

#[test]
fn the_server_says_nothing() {
    in_folder("tls::the_server_says_nothing", |lab| async move {
        let (server, port) = Program::python(
            "import socket, sys\ns = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print(s.getsockname()[1])\n\
             kept = []\nwhile True: kept.append(s.accept())",
        );
        let diagnosis = told(&lab, &format!("tls://127.0.0.1:{port}"), "tls.timeout").await;
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &["bytes wait at the server's socket, unread"]);
        let process = format!("process {}", server.pid());
        assert!(diagnosis.causes[0].text.contains(&process), "{diagnosis}");
        lab.follow(fix(&diagnosis, "netloom connect tcp://")).await;
        let diagnosis = told(&lab, "tls://127.0.0.1:1", "connect.refused.no-listener").await;
        assert!(is_confirmed(&diagnosis));
        drop(server);
    });
}

#[test]
fn the_server_closes_at_the_first_hello() {
    in_folder(
        "tls::the_server_closes_at_the_first_hello",
        |lab| async move {
            let (_server, port) = scripted("b''");
            let diagnosis = told(&lab, &format!("tls://127.0.0.1:{port}"), "tls.closed").await;
            assert!(!is_confirmed(&diagnosis));
            knows(&diagnosis, &["with TLS 1.2 only: "]);
            assert_eq!(verdict(&diagnosis, "TLS 1.3 upsets"), Verdict::Refuted);
            lab.follow(fix(&diagnosis, "netloom connect tcp://")).await;

            // One that closes only the first time.
            Leaf::default().self_signed("leaf");
            let (_server, port) = Program::python(
                "import socket, ssl\n\
             x = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); x.load_cert_chain('leaf.pem', 'leaf.key')\n\
             s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print(s.getsockname()[1])\n\
             c, _ = s.accept(); c.recv(9999); c.close()\n\
             while True:\n\
             \x20c, _ = s.accept(); x.wrap_socket(c, server_side=True)",
            );
            let url = format!("tls://localhost:{port},ca=leaf.pem");
            let diagnosis = told(&lab, &url, "tls.closed").await;
            assert!(!is_confirmed(&diagnosis));
            knows(&diagnosis, &["the same again: agreed on"]);
            lab.follow(fix(&diagnosis, "netloom connect")).await;

            // One that closes only at a hello that offers TLS 1.3.
            if !has("openssl") {
                return;
            }
            Leaf::default().signed("leaf", &root());
            let (_server, inner) = Program::s_server(&format!("{LEAF} -tls1_2"));
            let (_before, port) = Program::python(&format!(
                "import socket, threading\n\
             s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print(s.getsockname()[1])\n\
             def pump(a, b):\n\
             \x20while True:\n\
             \x20 d = a.recv(65536)\n\
             \x20 if not d: break\n\
             \x20 b.sendall(d)\n\
             \x20b.shutdown(socket.SHUT_WR)\n\
             while True:\n\
             \x20c, _ = s.accept(); d = c.recv(65536)\n\
             \x20if b'\\x00\\x2b\\x00\\x05\\x04\\x03\\x04' in d: c.close(); continue\n\
             \x20o = socket.create_connection(('127.0.0.1', {inner})); o.sendall(d)\n\
             \x20threading.Thread(target=pump, args=(c, o), daemon=True).start()\n\
             \x20threading.Thread(target=pump, args=(o, c), daemon=True).start()"
            ));
            let url = format!("tls://localhost:{port},ca=root.pem");
            let diagnosis = told(&lab, &url, "tls.closed").await;
            assert!(is_confirmed(&diagnosis));
            knows(&diagnosis, &["with TLS 1.2 only: agreed on TLS 1.2"]);
            lab.follow(fix(&diagnosis, "netloom connect")).await;
        },
    );
}

#[test]
fn the_stream_is_cut_without_a_goodbye() {
    in_folder(
        "tls::the_stream_is_cut_without_a_goodbye",
        |lab| async move {
            Leaf::default().signed("leaf", &root());
            let (_server, port) = Program::python(
                "import socket, ssl\n\
             x = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); x.load_cert_chain('leaf.pem', 'leaf.key')\n\
             s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print(s.getsockname()[1])\n\
             while True:\n\
             \x20c, _ = s.accept(); t = x.wrap_socket(c, server_side=True); t.sendall(b'half'); t.recv(9)\n\
             \x20t.close()",
            );
            let url = format!("tls://localhost:{port},ca=root.pem,strict-end");
            let mut conn = lab.dial(&url).await.unwrap();
            conn.write_all(b"go").await.unwrap();
            conn.flush().await.unwrap();
            let error = conn.read_to_end(&mut Vec::new()).await.unwrap_err();
            let failure: Failure = conn.failure(Stage::Recv, error).at(&url);
            drop(conn);
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "tls.truncated");
            let again = fix(&diagnosis, "netloom connect");
            assert!(!again.command.as_ref().unwrap().contains("strict-end"));
            lab.follow(again).await;
        },
    );
}

#[test]
fn the_server_has_a_fault_of_its_own() {
    in_folder("tls::the_server_has_a_fault_of_its_own", |lab| async move {
        let (_server, port) = scripted("bytes([21, 3, 3, 0, 2, 2, 80])");
        let diagnosis = told(&lab, &format!("tls://127.0.0.1:{port}"), "tls.other").await;
        assert!(diagnosis.causes[0].text.contains("a fault of its own"));
        if has("openssl") {
            lab.follow(fix(&diagnosis, "openssl s_client")).await;
        }
    });
}

#[test]
fn a_client_that_does_not_trust_us_is_told_of() {
    in_folder(
        "tls::a_client_that_does_not_trust_us_is_told_of",
        |lab| async move {
            if !has("openssl") {
                return;
            }
            let between = below(&root(), "between");
            Leaf::default().signed("leaf", &between);
            let url = "tls://127.0.0.1:0,cert=leaf.pem,key=leaf.key";
            let bound = lab.bind(url).await.unwrap().remove(0);
            let port = bound.endpoint().port().unwrap();
            let mut listener = bound.listener().unwrap().unwrap();
            let _client = Program::start(&[
                "openssl",
                "s_client",
                "-verify_return_error",
                "-connect",
                &format!("127.0.0.1:{port}"),
            ]);
            let conn = listener.accept().await.unwrap().attach().unwrap();
            let stack = lab
                .cx
                .net()
                .stack(&url.parse().unwrap(), netloom_base::Role::Bind)
                .unwrap();
            let Err(failure) = lab.cx.net().answer(&stack, conn, &lab.cx).await else {
                panic!("s_client took it");
            };
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "tls.untrusted-issuer");
            assert!(
                diagnosis.causes[0].text.contains("CN=between"),
                "{diagnosis}"
            );
        },
    );
}
