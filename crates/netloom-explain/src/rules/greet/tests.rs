//! What the rules make of recorded answers.

use std::net::SocketAddr;
use std::time::Duration;

use netloom_base::diagnosis::Verdict;
use netloom_base::failure::{Errno, Fact, Step};
use netloom_base::{Code, Diagnosis, Failure, Side, Stage};
use netloom_protocol::ftp::codes::DATA_UNREACHABLE;
use netloom_transport::probe::{Address, DialEnd, Dialled, Entry, Holder, State};
use netloom_transport::tls::codes::PEER_SPEAKS_TLS;

use super::super::{Answers, diagnose};

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn greeting(url: &str, to: &str, code: Code) -> Failure {
    let step = Step {
        stage: Stage::Connect,
        to: to.to_owned(),
        failed: None,
        took: Duration::from_millis(1),
    };
    Failure::new(Stage::Greet, Side::Peer, code)
        .at(url)
        .after([step])
}

fn commands(diagnosis: &Diagnosis) -> Vec<&str> {
    diagnosis
        .fixes
        .iter()
        .filter_map(|fix| fix.command.as_deref())
        .collect()
}

fn first(diagnosis: &Diagnosis) -> (Verdict, &str) {
    (diagnosis.causes[0].verdict, &diagnosis.causes[0].text)
}

/// This host listens there with this program.
fn held(port: &str, program: &str) -> Answers {
    let entry = Entry {
        local: addr(port),
        remote: addr("0.0.0.0:0"),
        state: State::Listen,
        recv_queue: 0,
        send_queue: 128,
        uid: 0,
        inode: 7,
        cgroup: None,
        only_v6: None,
        expires: Duration::ZERO,
    };
    let holder = Holder {
        inode: 7,
        pid: 99,
        fd: 3,
        program: program.to_owned(),
        command: program.to_owned(),
        uid: 0,
        unit: (program == "sshd").then(|| "ssh.service".to_owned()),
    };
    Answers {
        user: Some(1000),
        listeners: Some(vec![entry]),
        holders: vec![holder],
        ..Answers::default()
    }
}

#[test]
fn another_protocol_gives_the_endpoint_that_speaks_it() {
    let cases: &[(&str, &[u8], &str, &[&str])] = &[
        (
            "ssh://h:25",
            b"220 mx ESMTP\r\n",
            "SMTP, not ssh",
            &["netloom explain smtp://h:25", "netloom explain tcp://h:25"],
        ),
        (
            "smtps://h",
            b"HTTP/1.1 400 x\r\n",
            "HTTP, not smtp",
            &["netloom explain tls://h:465"],
        ),
        (
            "mqtt://h:22",
            b"SSH-2.0-x\r\n",
            "SSH, not mqtt",
            &["netloom explain ssh://h:22"],
        ),
        (
            "ftp://h/x",
            b"220 mail\r\n",
            "SMTP, not ftp",
            &["netloom explain smtp://h:21"],
        ),
        (
            "smtp://h",
            b"220 ready\r\n",
            "SMTP or FTP, not smtp",
            &["netloom explain ftp://h:25"],
        ),
        (
            "ssh://h",
            b"\x4a\0\0\0\x0a8.0.36\0",
            "MySQL, not ssh",
            &["netloom explain tcp://h:22"],
        ),
        (
            "ssh://h",
            b"what\r\n",
            "does not speak ssh",
            &["netloom explain tcp://h:22"],
        ),
    ];
    for (url, said, what, fixes) in cases {
        let failure = greeting(url, "192.0.2.1:22", Code::GREET_WRONG_PROTOCOL)
            .fact(Fact::FirstBytes(said.to_vec()));
        let diagnosis = diagnose(&failure, &Answers::default());
        if *what == "SMTP or FTP, not smtp" {
            // What it should speak is among what it may speak.
            assert!(
                diagnosis.summary.contains("does not speak smtp"),
                "{diagnosis}"
            );
            continue;
        }
        assert!(diagnosis.summary.contains(what), "{diagnosis}");
        let confirmed = diagnosis.causes[0].verdict == Verdict::Confirmed;
        assert_eq!(confirmed, !what.contains("does not"), "{diagnosis}");
        for fix in *fixes {
            assert!(commands(&diagnosis).contains(fix), "{diagnosis}");
        }
    }
}

#[test]
fn tls_where_plain_words_were_said() {
    for (url, command) in [
        ("smtp://h:465", "netloom explain smtps://h:465"),
        ("mqtt://h:8883", "netloom explain mqtts://h:8883"),
        ("tcp://h:443", "netloom explain tls://h:443"),
    ] {
        let failure = greeting(url, "192.0.2.1:1", PEER_SPEAKS_TLS)
            .fact(Fact::FirstBytes(b"\x15\x03\x03\0\x02\x02\x0a".to_vec()));
        let diagnosis = diagnose(&failure, &Answers::default());
        assert_eq!(commands(&diagnosis)[0], command, "{diagnosis}");
        assert_eq!(first(&diagnosis).0, Verdict::Confirmed);
        assert_eq!(diagnosis.causes[0].because, "it answered with a TLS alert");
    }
}

#[test]
fn a_handshake_that_is_answered_decides_what_silence_means() {
    for code in [Code::GREET_CLOSED, Code::GREET_TIMEOUT] {
        let failure = greeting("mqtt://h", "192.0.2.1:1883", code);
        let mut answers = Answers {
            speaks_tls: Some(false),
            ..Answers::default()
        };
        assert_eq!(diagnose(&failure, &answers).code, code);
        answers.speaks_tls = Some(true);
        let diagnosis = diagnose(&failure, &answers);
        assert_eq!(diagnosis.code, PEER_SPEAKS_TLS);
        assert_eq!(first(&diagnosis).0, Verdict::Confirmed);
        assert_eq!(commands(&diagnosis), ["netloom explain mqtts://h:1883"]);
    }
}

#[test]
fn closed_without_a_byte_is_told_by_how_and_by_whom() {
    let failure = || greeting("ssh://127.0.0.1:22", "127.0.0.1:22", Code::GREET_CLOSED);
    let of_sshd = diagnose(&failure(), &held("127.0.0.1:22", "sshd"));
    assert!(first(&of_sshd).1.contains("hosts.deny"), "{of_sshd}");
    let all = commands(&of_sshd);
    assert!(
        all.contains(&"sudo journalctl -u ssh.service -n 20"),
        "{of_sshd}"
    );
    assert!(
        all.contains(&"sudo sshd -T | grep -i maxstartups"),
        "{of_sshd}"
    );
    let refuted = of_sshd.causes.last().unwrap();
    assert_eq!(
        (refuted.verdict, refuted.text.contains("forwarder")),
        (Verdict::Refuted, true)
    );

    let of_proxy = diagnose(&failure(), &held("127.0.0.1:22", "docker-proxy"));
    assert_eq!(first(&of_proxy).0, Verdict::Likely, "{of_proxy}");
    assert!(first(&of_proxy).1.contains("forwarder"), "{of_proxy}");

    let reset = failure().fact(Fact::Errno(Errno(104)));
    let of_reset = diagnose(&reset, &Answers::default());
    assert!(of_reset.summary.contains("reset it"), "{of_reset}");
    assert!(first(&of_reset).1.contains("balancer"), "{of_reset}");
    assert!(
        of_reset
            .causes
            .iter()
            .all(|cause| cause.verdict != Verdict::Confirmed)
    );

    let broker = greeting("mqtt://192.0.2.1", "192.0.2.1:1883", Code::GREET_CLOSED);
    let of_broker = diagnose(&broker, &Answers::default());
    assert!(
        first(&of_broker).1.contains("our first words"),
        "{of_broker}"
    );
}

#[test]
fn silence_is_explained_by_the_port() {
    let failure = greeting("smtp://h:465", "192.0.2.1:465", Code::GREET_TIMEOUT);
    let diagnosis = diagnose(&failure, &Answers::default());
    assert_eq!(first(&diagnosis).0, Verdict::Likely);
    assert_eq!(
        commands(&diagnosis)[0],
        "netloom explain smtps://h:465",
        "{diagnosis}"
    );
    let failure = greeting("ssh://h:2222", "192.0.2.1:2222", Code::GREET_TIMEOUT);
    let diagnosis = diagnose(&failure, &Answers::default());
    assert!(
        first(&diagnosis).1.contains("waits for the client"),
        "{diagnosis}"
    );
    assert!(
        commands(&diagnosis).contains(&"netloom explain tls://h:2222"),
        "{diagnosis}"
    );
    assert!(!diagnosis.unchecked.is_empty());
}

#[test]
fn a_refusal_means_what_it_says() {
    let cases = [
        ("ssh://192.0.2.1", "Exceeded MaxStartups", "MaxStartups"),
        (
            "ssh://192.0.2.1",
            "Not allowed at this time",
            "PerSourcePenalties",
        ),
        (
            "smtp://192.0.2.1",
            "554 5.7.1 blocked using zen.spamhaus.org",
            "on a list",
        ),
        (
            "smtp://192.0.2.1",
            "421 4.3.2 try again later",
            "cannot serve now",
        ),
        (
            "mqtt://192.0.2.1",
            "CONNACK 0x05, not authorized",
            "the right user",
        ),
        (
            "ftp://192.0.2.1",
            "421 too many connections",
            "as many clients",
        ),
        ("ftp://192.0.2.1", "530 no", "a rule of the server"),
    ];
    for (url, words, meaning) in cases {
        let failure =
            greeting(url, "192.0.2.1:25", Code::GREET_REFUSED).fact(Fact::said(words, "banner"));
        let diagnosis = diagnose(&failure, &Answers::default());
        assert!(first(&diagnosis).1.contains(meaning), "{diagnosis}");
        assert!(
            diagnosis.evidence.iter().any(|known| known.fact == words),
            "{diagnosis}"
        );
        let again = format!("netloom explain {url}");
        assert!(commands(&diagnosis).contains(&&*again), "{diagnosis}");
        if url.starts_with("smtp") {
            assert!(
                commands(&diagnosis).contains(&"netloom explain submission://192.0.2.1"),
                "{diagnosis}"
            );
        }
    }
}

fn port(reply: u16, named: &str, reached: Option<bool>, beside: Option<bool>) -> Fact {
    Fact::DataPort {
        reply,
        named: addr(named),
        peer: addr("203.0.113.1:21"),
        reached,
        beside,
    }
}

#[test]
fn an_inner_address_of_a_server_behind_nat() {
    let failure = greeting("ftp://203.0.113.1", "203.0.113.1:21", DATA_UNREACHABLE)
        .fact(port(227, "192.168.7.7:5000", None, Some(true)))
        .fact(port(229, "203.0.113.1:5001", Some(true), None));
    let diagnosis = diagnose(&failure, &Answers::default());
    assert_eq!(first(&diagnosis).0, Verdict::Confirmed, "{diagnosis}");
    let told = diagnosis.to_string();
    for words in [
        "192.168.7.7 is a private address (RFC 1918)",
        "with 203.0.113.1:21",
        "pasv_address=203.0.113.1",
        "--deep",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert_eq!(
        commands(&diagnosis),
        [
            "curl -sS ftp://203.0.113.1/",
            "curl -sS --disable-epsv --ftp-skip-pasv-ip ftp://203.0.113.1/",
        ]
    );
    let failure = greeting("ftp://203.0.113.1", "203.0.113.1:21", DATA_UNREACHABLE).fact(port(
        229,
        "203.0.113.1:5001",
        Some(false),
        None,
    ));
    let diagnosis = diagnose(&failure, &Answers::default());
    assert_eq!(first(&diagnosis).0, Verdict::Likely, "{diagnosis}");
    assert!(
        diagnosis.to_string().contains("pasv_min_port"),
        "{diagnosis}"
    );
}

fn unreached(code: Code, to: &str) -> Failure {
    Failure::new(Stage::Connect, Side::Path, code)
        .fact(Fact::Tried(addr(to)))
        .at("smtp://192.0.2.1")
}

fn dialled(end: DialEnd) -> Dialled {
    Dialled {
        end,
        icmp: None,
        took: Duration::from_millis(3),
    }
}

#[test]
fn port_25_is_blocked_only_when_another_answers() {
    let mut answers = Answers {
        dialled: Some(dialled(DialEnd::Silent)),
        ..Answers::default()
    };
    let failure = unreached(Code::CONNECT_TIMEOUT, "192.0.2.1:25");
    // Nobody asked: the diagnosis is the ordinary one, and says what it lacks.
    let diagnosis = diagnose(&failure, &answers);
    assert_eq!(diagnosis.code, Code::CONNECT_TIMEOUT);
    let missing = diagnosis.unchecked.last().unwrap();
    assert_eq!(
        (missing.needs.as_str(), missing.what.contains("587 or 465")),
        ("--deep", true)
    );

    answers.elsewhere = Some(vec![
        ("submission", 587, dialled(DialEnd::Silent)),
        ("smtps", 465, dialled(DialEnd::Failed(111))),
    ]);
    assert_eq!(diagnose(&failure, &answers).code, Code::CONNECT_TIMEOUT);

    answers.elsewhere = Some(vec![
        ("submission", 587, dialled(DialEnd::Connected)),
        ("smtps", 465, dialled(DialEnd::Silent)),
    ]);
    for (code, verdict) in [
        (Code::CONNECT_TIMEOUT, "lets nobody out"),
        (Code::CONNECT_REFUSED, "users only"),
        (Code::CONNECT_REJECTED, "lets nobody out"),
    ] {
        let diagnosis = diagnose(&unreached(code, "192.0.2.1:25"), &answers);
        assert_eq!(diagnosis.code.name(), "smtp.port-blocked");
        assert!(first(&diagnosis).1.contains(verdict), "{diagnosis}");
        assert_eq!(
            commands(&diagnosis),
            ["netloom explain submission://192.0.2.1"],
            "{diagnosis}"
        );
    }
    // Another port of the same protocol is no sign of anything.
    let other = unreached(Code::CONNECT_TIMEOUT, "192.0.2.1:2525");
    assert_eq!(diagnose(&other, &answers).code, Code::CONNECT_TIMEOUT);
    // On this host the tables know better.
    answers.addresses = Some(vec![Address {
        ip: addr("192.0.2.1:0").ip(),
        prefix: 24,
        interface: 2,
        tentative: false,
    }]);
    assert_ne!(
        diagnose(&failure, &answers).code.name(),
        "smtp.port-blocked"
    );
}
