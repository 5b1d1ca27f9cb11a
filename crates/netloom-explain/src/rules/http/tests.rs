//! What the rules make of recorded answers.

use netloom_base::diagnosis::Verdict;
use netloom_base::failure::Fact;
use netloom_base::{Code, Diagnosis, Failure, Side, Stage};
use netloom_protocol::http::codes;
use netloom_protocol::websocket::codes::UPGRADE_REFUSED;

use crate::rules::{Answers, diagnose};

/// The diagnosis of a visit that got this status line and these other facts.
fn of(code: Code, url: &str, status: &str, facts: &[(&str, &'static str)]) -> Diagnosis {
    let failure = Failure::new(Stage::Greet, Side::Peer, code)
        .message("what happened")
        .fact(Fact::said(format!("HTTP/1.1 {status}"), "status line"))
        .at(url);
    let failure = facts.iter().fold(failure, |failure, (what, source)| {
        failure.fact(Fact::said(*what, *source))
    });
    let diagnosis = diagnose(&failure, &Answers::default());
    assert_eq!(diagnosis.code, code);
    assert_eq!(diagnosis.summary, format!("{url}: what happened"));
    assert!(!diagnosis.causes.is_empty(), "{diagnosis}");
    assert!(
        diagnosis.fixes.iter().any(|fix| fix.command.is_some()),
        "{diagnosis}"
    );
    let confirmed = diagnosis
        .causes
        .iter()
        .rposition(|cause| cause.verdict == Verdict::Confirmed);
    assert!(confirmed.is_none_or(|at| at == 0), "{diagnosis}");
    for fix in &diagnosis.fixes {
        let text = fix.command.as_deref().unwrap_or_default();
        assert!(shell_words::split(text).is_ok(), "{text}");
    }
    diagnosis
}

fn cause(diagnosis: &Diagnosis, words: &str) {
    let text = &diagnosis.causes[0].text;
    assert!(text.contains(words), "{text}");
}

fn command(diagnosis: &Diagnosis, words: &str) {
    let mut commands = diagnosis
        .fixes
        .iter()
        .filter_map(|fix| fix.command.as_deref());
    assert!(
        commands.any(|text| text == words),
        "no `{words}` in\n{diagnosis}"
    );
}

#[test]
fn a_loop_is_laid_to_what_it_shows() {
    let code = codes::REDIRECT_LOOP;
    let round = |url, hop, cookie| {
        let mut facts = vec![(hop, "redirect 1")];
        facts.extend(cookie);
        of(code, url, "302 Found", &facts)
    };
    let found = round(
        "http://h/a",
        "/a: 302 to /a",
        Some(("the answers set the cookie sid", "set-cookie")),
    );
    cause(&found, "waits for its cookie");
    command(&found, "curl -sS -o /dev/null -D - -L -b '' http://h/a");
    cause(
        &round("https://h/a", "/a: 301 to /a", None),
        "takes the request for plain http",
    );
    cause(&round("http://h/a", "/a: 301 to /a/", None), "adds a slash");
    cause(
        &round("http://h/a", "/a: 301 to /b", None),
        "each other's addresses",
    );
    command(
        &round("http://:8080/a?b", "/a: 301 to /b", None),
        "curl -sS -o /dev/null -D - 'http://localhost:8080/a?b'",
    );
}

#[test]
fn the_name_that_is_served_is_confirmed_by_its_answer() {
    let code = codes::WRONG_HOST;
    let served = of(
        code,
        "http://127.0.0.1:8080/x",
        "404 Not Found",
        &[
            ("GET /x with host localhost:8080", "second request"),
            ("HTTP/1.1 200 OK", "second status line"),
        ],
    );
    assert_eq!(served.causes[0].verdict, Verdict::Confirmed);
    command(&served, "netloom explain http://localhost:8080/x");
    command(
        &served,
        "curl -sS -o /dev/null -D - -H 'host: localhost:8080' http://127.0.0.1:8080/x",
    );
    let refused = of(code, "https://h/", "421 Misdirected Request", &[]);
    assert_eq!(refused.causes[0].verdict, Verdict::Likely);
    assert_eq!(refused.causes.len(), 2);
}

#[test]
fn each_status_of_a_gateway_has_its_causes() {
    let code = codes::GATEWAY;
    cause(
        &of(code, "http://h/", "502 Bad Gateway", &[]),
        "refused, reset",
    );
    cause(
        &of(code, "http://h/", "504 Gateway Timeout", &[]),
        "slow, hangs",
    );
    let busy = of(code, "http://h/", "503 x", &[("retry-after: 30", "header")]);
    cause(&busy, "overloaded");
    command(&busy, "sleep 30 && netloom explain http://h/");
    let date = of(
        code,
        "http://h/",
        "503 x",
        &[("retry-after: Fri, 31 Dec 1999", "header")],
    );
    assert!(
        date.fixes
            .iter()
            .any(|fix| fix.text.contains("after Fri, 31 Dec"))
    );
    let local = of(
        code,
        "http://localhost/",
        "502 x",
        &[("server: nginx/1.22", "header")],
    );
    command(&local, "tail -n 20 /var/log/nginx/error.log");
}

#[test]
fn a_proxy_is_confirmed_only_by_what_it_says_itself() {
    let code = codes::PROXIED;
    let login = of(code, "http://h:3128/", "407 x", &[]);
    assert_eq!(login.causes[0].verdict, Verdict::Likely);
    let squid = of(
        code,
        "http://h/",
        "503 x",
        &[
            ("x-squid-error: ERR_DNS_FAIL 0", "header"),
            (
                "other programs would go through http://p:3128 (http_proxy)",
                "environment",
            ),
        ],
    );
    cause(&squid, "no address for the server's name");
    assert_eq!(squid.causes[0].verdict, Verdict::Confirmed);
    command(&squid, "export no_proxy=\"$no_proxy,h\"");
    cause(
        &of(
            code,
            "http://h/",
            "403 x",
            &[("proxy-status: p; error=http_request_denied", "header")],
        ),
        "http request denied",
    );
    cause(&of(code, "http://h/", "403 x", &[]), "own rules");
}

#[test]
fn a_body_that_was_not_read_is_laid_to_the_status() {
    let code = codes::EARLY_REPLY;
    let large = of(code, "http://h/", "413 x", &[]);
    assert_eq!(large.causes[0].verdict, Verdict::Confirmed);
    for status in ["401 x", "404 x", "408 x", "415 x", "500 x", "302 x"] {
        let other = of(code, "http://h/", status, &[]);
        assert_eq!(other.causes[0].verdict, Verdict::Likely, "{status}");
    }
}

#[test]
fn a_sign_in_is_opened_where_the_portal_says() {
    let code = codes::CAPTIVE_PORTAL;
    let found = of(
        code,
        "http://h/",
        "511 x",
        &[("http://p/?a=1&b='$(reboot)'", "login page")],
    );
    let open = found.fixes[0].command.as_deref().unwrap();
    assert_eq!(
        shell_words::split(open).unwrap(),
        ["xdg-open", "http://p/?a=1&b='$(reboot)'"]
    );
    command(&of(code, "http://h/a", "511 x", &[]), "xdg-open http://h/a");
}

#[test]
fn each_refusal_of_an_upgrade_has_its_causes() {
    let code = UPGRADE_REFUSED;
    for (status, words) in [
        ("200 OK", "ordinary page"),
        ("302 Found", "elsewhere"),
        ("400 Bad Request", "dropped"),
        ("401 x", "login"),
        ("403 x", "who asks may not"),
        ("404 x", "no WebSocket is served"),
        ("426 x", "dropped"),
        ("500 x", "failed"),
        ("502 x", "gateway"),
        ("505 x", "as http/1.0"),
        ("101 x", "without the headers"),
    ] {
        let found = of(code, "ws://h:81/chat", status, &[]);
        cause(&found, words);
        command(&found, "netloom explain http://h:81/chat");
    }
    let facts = [("sec-websocket-version: 7, 8", "header")];
    cause(&of(code, "wss://h/", "426 x", &facts), "another version");
    command(
        &of(code, "wss://h/", "426 x", &facts),
        "netloom explain https://h/",
    );
    let facts = [(
        "`sec-websocket-accept` does not answer the key that was sent",
        "upgrade",
    )];
    cause(&of(code, "ws://h/", "101 x", &facts), "another request");
    let facts = [("location: ws://other:80/x", "header")];
    command(
        &of(code, "ws://h/", "301 x", &facts),
        "netloom explain ws://other:80/x",
    );
}

#[test]
fn what_stands_in_a_url_cannot_run_in_a_shell() {
    let found = of(codes::GATEWAY, "http://h/a;reboot?$(x)&'y'", "502 x", &[]);
    let first = found.fixes[0].command.as_deref().unwrap();
    let words = shell_words::split(first).unwrap();
    assert_eq!(words.last().unwrap(), "http://h/a;reboot?$(x)&'y'");
}
