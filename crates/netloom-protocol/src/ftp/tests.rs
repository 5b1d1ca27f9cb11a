//! What is made of what servers say.

use netloom_wire::reply::{extended_text, passive_text};

use crate::trial::{Far, bound, visit, visit_with};

const FEAT: &str = "211-Features:\r\n EPSV\r\n AUTH TLS\r\n UTF8\r\n211 End";

/// What the script answers to USER, PASS and PASV; EPSV tells the truth, where
/// there is one.
#[derive(Clone, Copy)]
struct Script {
    banner: &'static str,
    user: &'static str,
    pass: &'static str,
    /// The address in 227; the port there is a real one of this host.
    names: [u8; 4],
    epsv: bool,
}

const GOOD: Script = Script {
    banner: "220 FTP ready",
    user: "331 password",
    pass: "230 in",
    names: [203, 0, 113, 1],
    epsv: true,
};

async fn follow(mut far: Far, script: Script) {
    let (_listener, port) = bound(&far.cx, 0).await;
    let named = std::net::SocketAddrV4::new(script.names.into(), port);
    let passive = format!("227 Entering Passive Mode ({}).", passive_text(named));
    let epsv = if script.epsv {
        format!("229 Extended {}", extended_text(port))
    } else {
        "502 no".to_owned()
    };
    far.say(format!("{}\r\n", script.banner)).await;
    let answers = [
        ("FEAT", FEAT),
        ("USER", script.user),
        ("PASS", script.pass),
        ("EPSV", &epsv),
        ("PASV", &passive),
        ("QUIT", "221 bye"),
    ];
    let lines = far.answer(&answers).await;
    assert!(lines.iter().all(|line| !line.contains("STOR")), "{lines:?}");
}

fn greet(url: &str, script: Script) -> crate::trial::Went {
    visit(url, move |far| follow(far, script))
}

#[test]
fn a_server_is_told_with_both_passive_modes() {
    let went = greet("ftp://far", GOOD);
    let told = went.told();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "ftp: 220 FTP ready");
    assert_eq!(lines[1], "ftp: AUTH TLS is offered; EPSV, AUTH TLS, UTF8");
    assert_eq!(lines[2], "ftp: logged in as anonymous");
    assert!(
        lines[3].starts_with("ftp: EPSV works: a data connection to 203.0.113.1:"),
        "{told}"
    );
    assert!(
        lines[4].starts_with("ftp: PASV works: a data connection to 203.0.113.1:"),
        "{told}"
    );
    assert_eq!(lines.len(), 5, "{told}");
}

#[test]
fn a_private_address_in_227_cannot_be_reached() {
    let script = Script {
        names: [192, 168, 7, 7],
        ..GOOD
    };
    let went = greet("ftp://far", script);
    assert_eq!(went.code(), "ftp.data-unreachable");
    let facts = went.facts();
    assert!(facts.contains("reply 227 names 192.168.7.7:"), "{facts}");
    assert!(facts.contains("203.0.113.1:"), "{facts}");
    assert!(facts.contains("answers in"), "{facts}");
    // It was not dialled: that is another host.
    assert!(
        !facts.lines().any(|line| line.starts_with("192.168.7.7:")),
        "{facts}"
    );
}

#[test]
fn another_public_address_is_dialled_only_when_deep() {
    let script = Script {
        names: [198, 51, 100, 9],
        ..GOOD
    };
    let told = greet("ftp://far", script).told();
    assert!(told.contains("not dialled without --deep"), "{told}");
    let went = visit_with("ftp://far", None, true, move |far| follow(far, script));
    assert_eq!(went.code(), "ftp.data-unreachable");
    assert!(went.facts().contains("198.51.100.9:"), "{}", went.facts());
}

#[test]
fn a_data_port_that_nobody_opened_is_found_by_the_dial() {
    let went = visit("ftp://far", |mut far: Far| async move {
        far.say("220 FTP\r\n").await;
        let answers = [
            ("USER", "230 in"),
            ("EPSV", "229 (|||9|)"),
            ("PASV", "502 no"),
            ("QUIT", "221"),
        ];
        far.answer(&answers).await;
    });
    assert_eq!(went.code(), "ftp.data-unreachable");
    assert!(
        went.facts().contains("reply 229 names 203.0.113.1:9"),
        "{}",
        went.facts()
    );
    assert!(
        went.facts().contains("203.0.113.1:9: nothing listens"),
        "{}",
        went.facts()
    );
}

#[test]
fn who_may_not_log_in_is_told_and_data_is_not_checked() {
    let script = Script {
        pass: "530 no",
        ..GOOD
    };
    let told = greet("ftp://far", script).told();
    assert!(told.contains("anonymous may not log in"), "{told}");
    assert!(told.contains("not checked"), "{told}");
    let told = greet("ftp://bob@far", GOOD).told();
    assert!(told.contains("asks for the password of bob"), "{told}");
}

#[test]
fn a_password_is_said_and_never_told() {
    let went = visit("ftp://bob:hunter2@far", |mut far: Far| async move {
        far.say("220 FTP\r\n").await;
        let answers = [
            ("USER bob", "331 go on"),
            ("PASS hunter2", "230 in"),
            ("QUIT", "221"),
        ];
        let lines = far.answer(&answers).await;
        assert!(lines.contains(&"PASS hunter2".to_owned()), "{lines:?}");
    });
    assert!(went.told().contains("logged in as bob"), "{}", went.told());
    assert!(!went.told().contains("hunter2"), "{}", went.told());
}

#[test]
fn a_user_cannot_carry_a_command_of_its_own() {
    let went = greet("ftp://a%0d%0aDELE%20x@far", GOOD);
    assert_eq!(went.code(), "parse.endpoint");
}

#[test]
fn refusals_and_other_protocols_are_named() {
    let script = Script {
        banner: "421 too many users",
        ..GOOD
    };
    let went = greet("ftp://far", script);
    assert_eq!(went.code(), "greet.refused");
    assert!(went.failure().may_retry());
    assert!(
        went.facts().contains("421 too many users"),
        "{}",
        went.facts()
    );
    let script = Script {
        banner: "220 mx ESMTP Postfix",
        user: "502 what",
        ..GOOD
    };
    let went = greet("ftp://far", script);
    assert_eq!(went.code(), "greet.wrong-protocol");
    assert!(
        went.facts().contains("speaks SMTP, not FTP"),
        "{}",
        went.facts()
    );
}
