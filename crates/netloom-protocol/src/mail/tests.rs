//! What is made of what servers say.

use crate::trial::{Far, visit};

const EHLO: &str = "250-mx.example.org\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-STARTTLS\r\n\
    250-AUTH PLAIN LOGIN\r\n250-AUTH=PLAIN\r\n250-8BITMIME\r\n250 SMTPUTF8";

#[test]
fn a_server_is_told_and_left_in_order() {
    let went = visit("smtp://far", |mut far: Far| async move {
        far.say("220-mx.example.org ESMTP\r\n220 no spam\r\n").await;
        let lines = far
            .answer(&[("EHLO [10.0.0.1]", EHLO), ("QUIT", "221 bye")])
            .await;
        assert_eq!(lines, ["EHLO [10.0.0.1]", "QUIT"]);
    });
    let lines = [
        "smtp: 220 mx.example.org ESMTP no spam",
        "smtp: takes messages of up to 10240000 bytes",
        "smtp: STARTTLS is offered",
        "smtp: logs in with LOGIN, PLAIN",
        "smtp: knows PIPELINING, 8BITMIME, SMTPUTF8",
    ];
    assert_eq!(went.told().lines().collect::<Vec<_>>(), lines);
}

#[test]
fn a_server_that_knows_only_helo_is_healthy() {
    let went = visit("submission://far", |mut far: Far| async move {
        far.say("220 old\r\n").await;
        far.answer(&[("HELO", "250 hello"), ("QUIT", "221 bye")])
            .await;
    });
    assert!(went.told().contains("HELO only"), "{}", went.told());
}

#[test]
fn no_starttls_is_told() {
    let went = visit("smtp://far", |mut far: Far| async move {
        far.say("220 ftp.example.org ESMTP\r\n").await;
        far.answer(&[("EHLO", "250-x\r\n250 SIZE 0"), ("QUIT", "221 bye")])
            .await;
    });
    assert!(went.told().contains("in the clear"), "{}", went.told());
    assert!(went.told().contains("any size"), "{}", went.told());
}

#[test]
fn a_refusal_is_quoted() {
    for (banner, ehlo, quoted, retry) in [
        (
            "554 5.7.1 your address is listed",
            "",
            "554 5.7.1 your address is listed",
            false,
        ),
        ("421 too busy", "", "421 too busy", true),
        ("220 mx SMTP", "550 who are you", "550 who are you", false),
        ("220 mx SMTP", "451 later", "451 later", true),
    ] {
        let went = visit("smtp://far", move |mut far: Far| async move {
            far.say(format!("{banner}\r\n")).await;
            far.answer(&[("EHLO", ehlo), ("HELO", ehlo)]).await;
        });
        assert_eq!(went.code(), "greet.refused");
        assert!(went.facts().contains(quoted), "{}", went.facts());
        assert_eq!(went.failure().may_retry(), retry, "{banner} {ehlo}");
    }
}

#[test]
fn an_ftp_server_is_known_by_its_banner_and_its_answer() {
    let went = visit("smtp://far", |mut far: Far| async move {
        far.say("220 (vsFTPd 3.0.5)\r\n").await;
        far.answer(&[
            ("EHLO", "530 Please login with USER and PASS."),
            ("HELO", "530 Please login"),
        ])
        .await;
    });
    assert_eq!(went.code(), "greet.wrong-protocol");
    assert!(
        went.facts().contains("speaks FTP, not SMTP"),
        "{}",
        went.facts()
    );
}

#[test]
fn what_is_no_reply_is_another_protocol() {
    let went = visit("smtp://far", |mut far: Far| async move {
        far.say("SSH-2.0-OpenSSH_9.2\r\n").await;
        far.line().await;
    });
    assert_eq!(went.code(), "greet.wrong-protocol");
    let went = visit("smtp://far", |mut far: Far| async move {
        far.say("220 mx SMTP\r\n").await;
        far.line().await;
        far.say("250-mx\r\n").await;
    });
    assert_eq!(went.code(), "greet.wrong-protocol");
}
