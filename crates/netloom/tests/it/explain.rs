//! `explain`: stories, diagnoses, pages and meanings, as people read them and
//! as programs do.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use crate::peers::are_here;
use crate::program::{Ended, Folder, Program, Server, netloom, run};
use crate::told;

/// What changes from run to run becomes a letter: `N` a number, `T` a time; and
/// columns that its width moves are joined.
fn masked(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let (heading, rest) = line.split_at(line.char_indices().nth(12).map_or(0, |(at, _)| at));
        let mut masked = String::new();
        let mut chars = rest.chars().peekable();
        while let Some(c) = chars.next() {
            if c.is_ascii_digit() {
                while chars.next_if(|c| c.is_ascii_digit() || *c == '.').is_some() {}
                masked.push('N');
            } else if c != ' ' || !masked.ends_with(' ') {
                masked.push(c);
            }
        }
        for unit in ["N µs", "N ms", "N s"] {
            masked = masked
                .split(unit)
                .fold(None, |whole: Option<String>, part| {
                    let joint = if part.starts_with(char::is_alphabetic) {
                        unit
                    } else {
                        "T"
                    };
                    Some(whole.map_or_else(String::new, |whole| whole + joint) + part)
                })
                .unwrap_or_default();
        }
        if let Some((before, _)) = masked.split_once("congestion control ") {
            masked = format!("{before}congestion control C (sock_diag)");
        }
        let heading = if heading.is_empty() {
            " ".repeat(indent)
        } else {
            heading.to_owned()
        };
        lines.push(format!("{heading}{masked}"));
    }
    lines.join("\n")
}

fn explain(args: &[&str]) -> Ended {
    run([&["explain"], args].concat(), b"")
}

/// The plain answer of something that goes well.
fn plain(args: &[&str]) -> String {
    let ended = explain(args);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), ""),
        "{args:?}: {}",
        ended.text()
    );
    ended.text()
}

/// The one record of `--json`.
fn record(args: &[&str], code: i32) -> Value {
    let ended = explain(&[args, &["--json"]].concat());
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(code), ""),
        "{args:?}: {ended:?}"
    );
    let lines = told::lines(&ended.stdout);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].clone()
}

/// The lines of a story about one thing.
fn lines<'a>(story: &'a Value, about: &str) -> Vec<&'a str> {
    let told = story["told"].as_array().unwrap().iter();
    told.filter(|told| told["about"] == about)
        .map(|told| told::text(told, "text"))
        .collect()
}

fn echo() -> Server {
    Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"])
}

/// A key and a certificate that signs itself, for `days` days.
fn certificate(folder: &Folder, days: u32) -> (String, String) {
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
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ])
        .args(["-days", &days.to_string(), "-keyout", &key, "-out", &cert])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    (key.replace('/', "%2F"), cert.replace('/', "%2F"))
}

/// A TLS echo server with such a certificate, and its endpoint with `ca=`.
fn secure(folder: &Folder, days: u32) -> (Server, String) {
    let (key, cert) = certificate(folder, days);
    let at = format!("tls://127.0.0.1:0,cert={cert},key={key}");
    let server = Server::netloom(&["listen", &at, "--echo"]);
    let endpoint = format!("{},ca={cert}", server.endpoint());
    (server, endpoint)
}

#[test]
fn the_story_of_a_plain_conversation() {
    let server = echo();
    let text = plain(&[server.endpoint()]);
    insta::assert_snapshot!(masked(&text));
    let pid = format!("process {} `netloom`", server.program.pid());
    assert!(text.contains(&pid), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
}

#[test]
fn the_story_as_a_record_has_the_same_lines() {
    let server = echo();
    let story = record(&[server.endpoint()], 0);
    assert_eq!(told::text(&story, "kind"), "story");
    assert_eq!(told::text(&story, "peer"), server.addr().to_string());
    assert_eq!(story["steps"][0]["stage"], "connect");
    assert!(lines(&story, "tcp")[0].starts_with("MSS "), "{story}");
    assert!(
        lines(&story, "tcp")[2].starts_with("round trip "),
        "{story}"
    );
    assert!(
        lines(&story, "close")[0].contains("closed first"),
        "{story}"
    );
    // Who may not ask the kernel still has a conversation.
    let bare = record(&[server.endpoint(), "--no-probe"], 0);
    assert_eq!(lines(&bare, "tcp"), [""; 0]);
    assert_eq!(lines(&bare, "server"), [""; 0]);
    assert_eq!(lines(&bare, "close").len(), 1);
}

#[test]
fn the_story_of_tls_has_its_chain_and_what_tcp_did_below() {
    if !are_here(&["openssl"]) {
        return;
    }
    let folder = Folder::new();
    let (_server, endpoint) = secure(&folder, 90);
    let story = record(&[&endpoint], 0);
    let steps = story["steps"].as_array().unwrap();
    let tls = steps.iter().find(|step| step["stage"] == "tls").unwrap();
    let agreed = told::text(tls, "to");
    assert!(
        agreed.contains("TLS 1.3") && agreed.contains("X25519"),
        "{agreed}"
    );
    let chain = lines(&story, "chain");
    assert!(
        chain[0].starts_with("CN=localhost for localhost 127.0.0.1, signed by itself; "),
        "{chain:?}"
    );
    assert!(
        chain[0].ends_with("89 days left") || chain[0].ends_with("90 days left"),
        "{chain:?}"
    );
    assert_eq!(lines(&story, "tcp").len(), 3, "{story}");
    assert_eq!(lines(&story, "note"), [""; 0]);
    // What was not checked is said, and the chain is no remark of `connect`.
    let unchecked = endpoint.replace(",ca=", ",insecure,ca=");
    let story = record(&[&unchecked], 0);
    assert_eq!(lines(&story, "note"), ["the certificate was not checked"]);
    let talked = run(["connect", &endpoint, "--send", "x"], b"");
    assert_eq!((talked.code, talked.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_certificate_that_expires_soon_fails_before_it_does() {
    if !are_here(&["openssl"]) {
        return;
    }
    let folder = Folder::new();
    let (_server, endpoint) = secure(&folder, 10);
    assert_eq!(
        explain(&[&endpoint, "--expires-within", "5d"]).code,
        Some(0)
    );
    for within in ["30d", "2w", "1000h"] {
        let diagnosis = record(&[&endpoint, "--expires-within", within], 1);
        assert_eq!(
            told::text(&diagnosis, "code"),
            "tls.expires-soon",
            "{within}"
        );
        let summary = told::text(&diagnosis, "summary");
        assert!(
            summary.contains("the certificate expires on 2"),
            "{summary}"
        );
        assert!(
            summary.ends_with("9 days left") || summary.ends_with("10 days left"),
            "{summary}"
        );
        let stages: Vec<&str> = diagnosis["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| told::text(step, "stage"))
            .collect();
        assert_eq!(stages, ["connect", "tls"]);
        let fixes = diagnosis["fixes"].as_array().unwrap();
        let command = |wanted: &str| {
            fixes
                .iter()
                .any(|fix| fix["command"].as_str().is_some_and(|c| c.contains(wanted)))
        };
        assert!(
            command("openssl req -x509") && command("crontab -"),
            "{fixes:?}"
        );
    }
    // Without a certificate there is nothing to ask about.
    let server = echo();
    let wrong = record(&[server.endpoint(), "--expires-within", "30d"], 2);
    assert_eq!(told::text(&wrong, "code"), "parse.usage");
}

#[test]
fn a_server_that_closes_first_was_first() {
    const SERVER: &str = r#"
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print("listening", listener.getsockname()[1], file=sys.stderr, flush=True)
while True:
    conn, _ = listener.accept()
    conn.sendall(b"220 bye\r\n")
    conn.shutdown(socket.SHUT_WR)
    conn.recv(1)
    conn.close()
"#;
    if !are_here(&["python3"]) {
        return;
    }
    let server = Program::start(Command::new("python3").args(["-c", SERVER]));
    let line = server.stderr.line("listening ");
    let endpoint = format!("tcp://127.0.0.1:{}", line.trim_start_matches("listening "));
    // On a busy machine its word may come too late: then it is seen the next time.
    let seen = (0..20).any(|_| {
        let story = record(&[&endpoint], 0);
        let close = lines(&story, "close")[0].to_owned();
        let first = close.starts_with("the peer closed first");
        assert!(!first || story["received"] == 9, "{story}");
        let timing = lines(&story, "timing");
        assert!(
            !first || timing[0].starts_with("first byte after "),
            "{story}"
        );
        let program = lines(&story, "server")[0];
        assert!(
            program.starts_with(&format!("process {} `python3", server.pid())),
            "{program}"
        );
        first
    });
    assert!(seen, "it never was first");
}

#[test]
fn unix_sockets_and_programs_have_stories_too() {
    let folder = Folder::new();
    let path = folder.join("echo.sock");
    let server = Server::netloom(&["listen", &format!("unix:{path}"), "--echo"]);
    let story = record(&[server.endpoint()], 0);
    let program = format!("process {} `netloom`, on this host", server.program.pid());
    assert_eq!(lines(&story, "server"), [program]);
    assert_eq!(story["steps"][0]["stage"], "connect");

    let text = plain(&["exec:cat"]);
    assert!(text.contains("\n  with      exec:cat pid "), "{text}");
    let failed = explain(&["exec:false"]);
    assert_eq!(failed.code, Some(1));
    assert!(
        failed.stderr.contains("error[exec.failed]"),
        "{}",
        failed.stderr
    );
    let own = plain(&["-"]);
    assert!(own.contains("left open"), "{own}");
}

#[test]
fn a_port_that_refuses_is_diagnosed_with_what_went_well() {
    let held = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    held.bind(&any.into()).unwrap();
    let port = held.local_addr().unwrap().as_socket().unwrap().port();
    let endpoint = format!("localhost:{port}");
    let ended = explain(&[&endpoint]);
    assert_eq!((ended.code, ended.text().as_str()), (Some(1), ""));
    let said = ended.stderr;
    assert!(
        said.starts_with("error[connect.refused.no-listener]: "),
        "{said}"
    );
    assert!(
        said.contains("\n  stage     resolve ok · connect failed (ECONNREFUSED)\n"),
        "{said}"
    );
    assert!(said.contains("\n  evidence  localhost in "), "{said}");
    let diagnosis = record(&[&endpoint], 1);
    assert_eq!(diagnosis["evidence"][0]["source"], "resolve");
    assert_eq!(told::text(&diagnosis, "kind"), "diagnosis");
}

#[test]
fn a_port_that_is_taken_was_read_and_made() {
    let server = echo();
    let taken = run(["listen", server.endpoint(), "--echo"], b"");
    assert_eq!(taken.code, Some(1));
    let stages = "\n  stage     parse ok · create ok · bind failed (EADDRINUSE)\n";
    assert!(taken.stderr.contains(stages), "{}", taken.stderr);
}

#[test]
fn a_deadline_ends_the_story() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // A handshake that nobody answers.
    let endpoint = format!("tls://{},insecure", silent.local_addr().unwrap());
    let diagnosis = record(&[&endpoint, "--timeout", "200ms"], 1);
    assert_eq!(told::text(&diagnosis, "code"), "recv.timeout");
    assert_eq!(told::text(&diagnosis, "endpoint"), endpoint);
}

#[test]
fn a_report_tells_all_but_the_secrets() {
    let folder = Folder::new();
    let (story, diagnosis) = (folder.join("story.md"), folder.join("diagnosis.md"));
    let server = echo();
    let at = server.endpoint().replace("tcp://", "tcp://joe:hunter2@");
    let ended = explain(&[&at, "--report", &story]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.text().contains("hunter2"), "{}", ended.text());
    let text = std::fs::read_to_string(&story).unwrap();
    assert!(text.starts_with("# Netloom report\n"), "{text}");
    for part in [
        "- asked: `netloom explain tcp://***@127.0.0.1:",
        "- system: Linux ",
        "## In words",
        "```json\n{\"kind\":\"story\"",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert!(!text.contains("hunter2") && !text.contains("joe"), "{text}");
    let mode = std::fs::metadata(&story).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // A program that fails, with secrets wherever one may stand.
    let command = "exec:sh -c 'exit 3' /home/maria/x https://ann:swordfish@h/p?key=opensesame Authorization: Bearer abracadabra,env=API=xyzzy";
    let ended = run(["explain", command, "--report", &diagnosis], b"");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let text = std::fs::read_to_string(&diagnosis).unwrap();
    for secret in [
        "maria",
        "ann:",
        "swordfish",
        "opensesame",
        "abracadabra",
        "xyzzy",
    ] {
        assert!(!text.contains(secret), "`{secret}` is in:\n{text}");
    }
    assert!(
        text.contains("exec.failed") && text.contains("\"kind\":\"diagnosis\""),
        "{text}"
    );

    // A report replaces a report and nothing else.
    assert_eq!(
        explain(&[server.endpoint(), "--report", &story]).code,
        Some(0)
    );
    let diary = folder.join("diary.md");
    std::fs::write(&diary, "# Diary\n").unwrap();
    let refused = explain(&[server.endpoint(), "--report", &diary]);
    assert_eq!((refused.code, refused.text().as_str()), (Some(2), ""));
    assert_eq!(std::fs::read_to_string(&diary).unwrap(), "# Diary\n");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn a_code_has_its_page_in_both_languages() {
    let page = plain(&["bind.in-use.time-wait"]);
    for part in [
        "bind.in-use.time-wait: ",
        "\n  stage     bind\n",
        "\n  means     ",
        "\n  by hand   ",
        "\n  causes    ",
        "\n  fixes     ",
        "\n  read      ",
    ] {
        assert!(page.contains(part), "no `{part}` in:\n{page}");
    }
    assert!(!page.contains('`') && !page.contains("## "), "{page}");
    for set in ["LC_ALL", "LC_MESSAGES", "LANG"] {
        let mut command = netloom();
        command
            .args(["explain", "tls.expired"])
            .env(set, "zh_CN.UTF-8");
        let ended = Program::start(&mut command).end();
        assert!(
            ended.text().contains("\n  含义      "),
            "{set}: {}",
            ended.text()
        );
    }
    assert!(plain(&["tls.expired", "--lang", "zh"]).contains("\n  解决      "));
    let record = record(&["tls.expired", "--lang", "zh-CN"], 0);
    assert_eq!(told::text(&record, "kind"), "page");
    assert_eq!(told::text(&record, "code"), "tls.expired");
    assert_eq!(told::text(&record, "lang"), "zh");
    for section in ["means", "by_hand", "causes", "fixes", "read"] {
        assert!(!record[section].as_array().unwrap().is_empty(), "{record}");
    }
    assert_eq!(explain(&["tls.expired", "--lang", "tlh"]).code, Some(2));
}

#[test]
fn words_of_other_programs_have_meanings() {
    for (subject, title, code) in [
        (
            &["ECONNREFUSED"][..],
            "ECONNREFUSED, errno 111",
            "connect.refused.no-listener",
        ),
        (&["errno", "104"], "ECONNRESET, errno 104", "recv.reset"),
        (
            &["TLS alert 48"],
            "unknown_ca, TLS alert 48",
            "tls.untrusted-issuer",
        ),
        (
            &["unknown_ca"],
            "unknown_ca, TLS alert 48",
            "tls.untrusted-issuer",
        ),
        (
            &["NXDOMAIN"],
            "NXDOMAIN, DNS rcode 3",
            "resolve.no-such-name",
        ),
        (&["ICMP 3/13"], "ICMP 3/13", "connect.rejected.firewall"),
        (&["HTTP", "502"], "HTTP 502, Bad Gateway", ""),
    ] {
        let text = plain(subject);
        assert!(
            text.starts_with(&format!("{title}\n  means     ")),
            "{text}"
        );
        assert!(text.contains(code), "{text}");
        let record = record(subject, 0);
        assert_eq!(told::text(&record, "kind"), "page");
        let codes = record["codes"].as_array().unwrap();
        assert!(code.is_empty() || codes.contains(&code.into()), "{record}");
    }
}

#[test]
fn a_typo_gets_what_is_nearest() {
    for (typed, near) in [
        ("connect.selv", "nearest: connect.self"),
        ("bind.in-use", "no such code: `bind.in-use`"),
        ("ECONREFUSED", "nearest: ECONNREFUSED"),
        ("NXDOMAN", "nearest: NXDOMAIN"),
        ("example.org", "example.org:443"),
    ] {
        let ended = explain(&[typed]);
        assert_eq!(
            (ended.code, ended.text().as_str()),
            (Some(2), ""),
            "{typed}"
        );
        assert!(ended.stderr.contains(near), "{typed}: {}", ended.stderr);
    }
    // Nothing to send to a page.
    assert_eq!(explain(&["EPIPE", "--send", "x"]).code, Some(2));
}

#[test]
fn a_refusal_after_the_handshake_is_diagnosed_once() {
    if !are_here(&["openssl"]) {
        return;
    }
    let folder = Folder::new();
    let (key, cert) = certificate(&folder, 90);
    // In TLS 1.3 a client learns only after its handshake that it was refused.
    let at =
        format!("tls://127.0.0.1:0,cert={cert},key={key},client-auth=require,client-ca={cert}");
    let server = Server::netloom(&["listen", &at, "--echo"]);
    let endpoint = format!("{},ca={cert}", server.endpoint());
    let diagnosis = record(&[&endpoint], 1);
    assert_eq!(
        told::text(&diagnosis, "code"),
        "tls.client-certificate-required"
    );
    let steps = diagnosis["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 2, "{steps:?}");
    let said = diagnosis["evidence"].to_string();
    assert!(
        said.contains("the TLS alert 116, certificate_required"),
        "{said}"
    );
}
