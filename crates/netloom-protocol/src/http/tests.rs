//! What a visit asks, follows, tells and proves.

use super::place::Next;
use super::*;
use crate::trial::{Answers, End, Went, stack, visit_http};

static ALONE: Http = Http::new(Environment::new(|_| None));

fn visit(url: &str, answers: impl Answers) -> Went {
    visit_http(&ALONE, url, None, answers)
}

macro_rules! closes {
    ($text:expr) => {
        (String::from($text).into_bytes(), End::Close)
    };
}

fn place(url: &str) -> Place {
    Place::of(&stack(url))
}

#[test]
fn host_and_target_are_those_of_the_url() {
    for (url, host, target) in [
        ("http://example.org", "example.org", "/"),
        ("http://example.org:80/a?b=c", "example.org", "/a?b=c"),
        ("https://example.org:443/", "example.org", "/"),
        ("https://example.org:80/", "example.org:80", "/"),
        (
            "http://bücher.example:8080/ü",
            "xn--bcher-kva.example:8080",
            "/%C3%BC",
        ),
        ("http://[fe80::1%eth0]:8080/", "[fe80::1]:8080", "/"),
        ("http://[::1]/%20?", "[::1]", "/%20?"),
        ("http://:8080", "localhost:8080", "/"),
    ] {
        let place = place(url);
        assert_eq!((&*place.host, &*place.target), (host, target), "{url}");
    }
    assert_eq!(place("http://[::1]:80/").bare_host(), None);
    assert_eq!(place("http://[::1]:81/").bare_host(), Some("[::1]"));
}

#[test]
fn a_redirect_is_relative_and_cannot_name_anything_but_a_web_resource() {
    let from = place("http://example.org:8080/a/b?c");
    for (location, target) in [
        ("/x", "/x"),
        ("x?y#z", "/a/x?y"),
        ("?q", "/a/b?q"),
        ("../../../x", "/x"),
        ("http://EXAMPLE.org:8080", "/"),
        ("//example.org:8080/x y", "/x%20y"),
    ] {
        match from.redirected(location) {
            Next::Here(place) => assert_eq!(place.target, target, "{location}"),
            _ => panic!("{location}"),
        }
    }
    let there = |location: &str| match from.redirected(location) {
        Next::There(other) => *other,
        _ => panic!("{location}"),
    };
    for location in [
        "https://example.org:8080/",
        "http://example.org/",
        "//other.example/x?y",
        "http://10.0.0.1/",
        "http://[2001:db8::1]:81/",
    ] {
        let endpoint = there(location).endpoint.unwrap();
        assert!(endpoint.to_string().starts_with("http"), "{location}");
    }
    for location in [
        "https://other.example,insecure,ca=x/",
        "http://other.example,insecure",
        "http://*/",
        "http://any:80/",
        "exec:rm",
        "unix:/run/docker.sock",
        "tcp://example.org:22",
        "ftp://example.org/",
        "javascript:1",
        "data:,x",
        "file:///etc/passwd",
    ] {
        assert!(there(location).endpoint.is_none(), "{location}");
    }
    assert!(matches!(from.redirected("http://[::"), Next::Nowhere));
    let secret = there("https://login.example/?next=/a&state=x&id=0123456789abcdef");
    assert_eq!(
        secret.shown,
        "https://login.example/?next=/a&state=***&id=***"
    );
    let user = there("https://me:hunter2@login.example/");
    assert!(!user.shown.contains("hunter2") && user.endpoint.unwrap().user().is_none());
}

#[test]
fn an_answer_is_told_and_what_it_could_draw_on_a_terminal_is_not() {
    let seen = visit("http://me:open@far/a?b", |_| {
        closes!(
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 404 Not\u{1b} Found\r\nServer: x/1\u{9b}\r\n\
             Content-Type: text/html\r\nContent-Length: 5\r\nVia: 1.1 cache\r\nage: 7\r\n\
             Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n\
             Alt-Svc: h3=\":443\"\r\nSet-Cookie: secret=1\r\n\r\nhello"
                .replace('\u{1b}', "")
        )
    });
    assert_eq!(
        seen.texts(),
        [
            "HTTP/1.1 103 Early Hints came first",
            "HTTP/1.1 404 Not Found",
            "the server calls itself x/1\u{fffd}",
            "text/html, 5 bytes",
            "browsers use https only for 365 days, for names below it too",
            "it came through 1.1 cache",
            "a cache kept it for 7 s",
            "it is also served as h3=\":443\"",
        ]
    );
    let agent = concat!("user-agent: netloom/", env!("CARGO_PKG_VERSION"));
    let lines: Vec<&str> = seen.asked[0].split("\r\n").collect();
    assert_eq!(
        lines,
        [
            "GET /a?b HTTP/1.1",
            "host: far",
            agent,
            "accept: */*",
            "connection: close",
            "authorization: Basic bWU6b3Blbg==",
        ]
    );
    assert!(seen.result.unwrap().conn.is_some());
}

#[test]
fn other_programs_proxy_is_told_without_its_password() {
    static WITH: Http = Http::new(Environment::new(|name| {
        (name == "http_proxy").then(|| "http://me:hunter2@proxy:3128".to_owned())
    }));
    let seen = visit_http(&WITH, "http://far/", None, |_| {
        closes!("HTTP/1.1 204 No Content\r\n\r\n")
    });
    let told = seen.texts().join("\n");
    assert!(
        told.contains("http://me:***@proxy:3128 (http_proxy)"),
        "{told}"
    );
    assert!(!told.contains("hunter2"));
}

#[test]
fn redirects_on_the_same_endpoint_are_followed_and_others_are_told() {
    let seen = visit("http://far/", |asked| {
        if asked.starts_with("GET /b?c ") {
            closes!("HTTP/1.1 302 Found\r\nlocation: https://other.example/x\r\n\r\n")
        } else {
            closes!("HTTP/1.1 301 Moved\r\nlocation: /b?c\r\ncontent-length: 0\r\n\r\n")
        }
    });
    let told = seen.texts().join("\n");
    assert!(told.contains("it redirects to /b?c"), "{told}");
    assert!(
        told.contains("it redirects to https://other.example/x"),
        "{told}"
    );
    assert!(told.contains("it was not followed, --deep does"), "{told}");
    assert_eq!(seen.asked.len(), 2);
    assert!(
        seen.result.unwrap().conn.is_none(),
        "the second is not the first"
    );
}

#[test]
fn a_post_becomes_a_get_unless_the_server_keeps_it() {
    for (status, second) in [(303, "GET /b"), (307, "POST /b")] {
        let seen = visit_http(&ALONE, "http://far/", Some(b"hi"), move |asked| {
            if asked.contains(" /b ") {
                closes!("HTTP/1.1 200 OK\r\n\r\n")
            } else {
                closes!(format!("HTTP/1.1 {status} x\r\nlocation: /b\r\n\r\n"))
            }
        });
        assert!(seen.asked[0].starts_with("POST / "), "{status}");
        assert!(seen.asked[0].contains("content-length: 2"));
        assert!(seen.asked[1].starts_with(second), "{status}");
    }
}

#[test]
fn redirects_in_circles_and_without_end_are_found() {
    let seen = visit("http://far/a", |asked| {
        let to = if asked.starts_with("GET /a ") {
            "/b"
        } else {
            "/a"
        };
        closes!(format!(
            "HTTP/1.1 302 Found\r\nlocation: {to}\r\nset-cookie: sid=secret; path=/\r\n\r\n"
        ))
    });
    assert_eq!(seen.failure().code().name(), "http.redirect-loop");
    seen.knows("/a: 302 to /b");
    seen.knows("/b: 302 to /a");
    seen.knows("set the cookie sid");
    assert_eq!(seen.asked.len(), 2);
    assert!(
        seen.failure()
            .facts()
            .iter()
            .all(|fact| !fact.to_string().contains("secret"))
    );

    let seen = visit("http://far/a", |asked| {
        let target = asked.split(' ').nth(1).unwrap_or_default();
        closes!(format!("HTTP/1.1 302 Found\r\nlocation: {target}a\r\n\r\n"))
    });
    assert_eq!(seen.failure().code().name(), "http.redirect-loop");
    assert_eq!(seen.asked.len(), 11);
}

#[test]
fn a_server_for_other_names_is_found_by_asking_once_more() {
    let seen = visit("http://far:80/", |asked| {
        if asked.contains("host: far\r\n") {
            closes!("HTTP/1.1 404 Not Found\r\n\r\n")
        } else {
            closes!("HTTP/1.1 200 OK\r\n\r\n")
        }
    });
    // The usual port is not said, so there is no other name to try.
    assert_eq!(seen.texts()[0], "HTTP/1.1 404 Not Found");
    assert_eq!(seen.asked.len(), 1);

    let seen = visit("http://far/", |_| {
        closes!("HTTP/1.1 421 Misdirected\r\n\r\n")
    });
    assert_eq!(seen.failure().code().name(), "http.wrong-host");
    seen.knows("GET / with host far");
    seen.knows("HTTP/1.1 421 Misdirected");
}

#[test]
fn who_answered_in_place_of_the_server_is_named() {
    for (head, body, code, evidence) in [
        (
            "407 x\r\nproxy-authenticate: Basic",
            "",
            "http.proxied",
            "407 is the answer of a proxy",
        ),
        (
            "503 x\r\nserver: squid/5.7\r\nx-squid-error: ERR_CONNECT_FAIL 111",
            "",
            "http.proxied",
            "x-squid-error: ERR_CONNECT_FAIL 111",
        ),
        (
            "403 x\r\nserver: squid/5.7\r\nvia: 1.1 gate (squid/5.7)",
            "",
            "http.proxied",
            "name the same program",
        ),
        (
            "403 x\r\nproxy-status: p; error=http_request_denied",
            "",
            "http.proxied",
            "RFC 9209",
        ),
        (
            "502 Bad Gateway\r\nserver: nginx/1.22",
            "",
            "http.gateway",
            "server: nginx/1.22",
        ),
        (
            "503 x\r\nretry-after: 30",
            "",
            "http.gateway",
            "retry-after: 30",
        ),
        (
            "504 x\r\nvia: 1.1 a, 1.1 varnish",
            "",
            "http.gateway",
            "via: 1.1 a, 1.1 varnish",
        ),
        ("511 x", "", "http.captive-portal", "511 means"),
        (
            "302 x\r\nlocation: http://portal.example/",
            "<WISPAccessGatewayParam><LoginURL>http://p.example/l?a=1&amp;b</LoginURL>",
            "http.captive-portal",
            "http://p.example/l?a=1&b",
        ),
        (
            "200 OK",
            "<HTML><!--<WISPAccessGatewayParam>",
            "http.captive-portal",
            "WISPr",
        ),
        (
            "400 x",
            "<h1>400</h1>The plain HTTP request was sent to HTTPS port",
            "tls.peer-speaks-tls",
            "HTTPS port",
        ),
        (
            "400 x",
            "Client sent an HTTP request to an HTTPS server.\n",
            "tls.peer-speaks-tls",
            "HTTPS server",
        ),
        (
            "400 x",
            "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
            "tls.peer-speaks-tls",
            "SSL-enabled",
        ),
    ] {
        let text = format!("HTTP/1.1 {head}\r\n\r\n{body}");
        let answer = text.clone().into_bytes();
        let seen = visit("http://far/", move |_| (answer.clone(), End::Close));
        assert_eq!(seen.failure().code().name(), code, "{text}");
        assert!(seen.failure().endpoint().is_some());
        seen.knows(evidence);
    }
}

#[test]
fn ordinary_answers_are_no_failures() {
    for head in [
        "200 OK",
        "200 OK\r\nserver: squid/5.7\r\nvia: 1.1 gate (squid/5.7)",
        "302 x\r\nlocation: https://login.example/?next=wifi-login",
        "400 x",
        "401 x\r\nwww-authenticate: Basic realm=\"wifi login\"",
        "404 x\r\nserver: AmazonS3\r\nvia: 1.1 x.cloudfront.net (CloudFront)",
        "403 x\r\nproxy-status: p; received-status=403",
        "500 x\r\nvia: 1.1 varnish",
    ] {
        let answer = format!("HTTP/1.1 {head}\r\n\r\n<a href=login>").into_bytes();
        let seen = visit("http://far/", move |_| (answer.clone(), End::Close));
        assert!(!seen.texts().is_empty(), "{head}");
    }
}

#[test]
fn what_is_no_answer_is_told_apart() {
    for (text, code) in [
        ("", "greet.closed-before-banner"),
        ("SSH-2.0-OpenSSH_9.2p1\r\n", "greet.wrong-protocol"),
        (
            "\u{15}\u{3}\u{3}\u{0}\u{2}\u{2}\u{46}",
            "tls.peer-speaks-tls",
        ),
        ("HTTP/1.1 200 OK\r\na: b", "recv.partial"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "recv.partial"),
        ("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", "recv.unexpected"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "recv.unexpected",
        ),
    ] {
        let answer = String::from(text).into_bytes();
        let seen = visit("http://far/", move |_| (answer.clone(), End::Close));
        assert_eq!(seen.failure().code().name(), code, "{text:?}");
    }
    let long = visit("http://far/", |_| {
        closes!("HTTP/1.1 200 OK\r\na: ".to_owned() + &"b".repeat(70_000))
    });
    assert_eq!(long.failure().code().name(), "recv.frame-too-large");
    let endless = visit("http://far/", |_| {
        closes!("HTTP/1.1 103 Early\r\n\r\n".repeat(20))
    });
    assert_eq!(endless.failure().code().name(), "recv.unexpected");
}

#[test]
fn a_server_that_answers_before_the_body_is_heard_is_found() {
    let body = vec![b'x'; 4 << 20];
    for (end, how) in [
        (
            End::Reset,
            "bytes of the body were sent, then sending failed",
        ),
        (
            End::Hold,
            "bytes of the body were sent before the server stopped",
        ),
        (
            End::Close,
            "bytes of the body were sent before the server stopped",
        ),
    ] {
        let seen = visit_http(&ALONE, "http://far/", Some(&body), move |_| {
            let answer = "HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n";
            (answer.into(), end)
        });
        assert_eq!(seen.failure().code().name(), "http.early-reply");
        seen.knows("HTTP/1.1 413 Too Large");
        seen.knows(how);
    }
}

#[test]
fn a_server_that_answers_early_and_takes_the_body_is_left_alone() {
    let body = vec![b'x'; 4 << 20];
    let seen = visit_http(&ALONE, "http://far/", Some(&body), |_| {
        closes!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    });
    assert_eq!(seen.texts()[0], "HTTP/1.1 200 OK");
}
