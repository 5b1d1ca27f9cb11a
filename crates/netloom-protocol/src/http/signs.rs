//! What an answer proves of who gave it.

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Side, Stage};
use netloom_transport::tls::codes::PEER_SPEAKS_TLS;

use super::codes;
use super::exchange::{Answer, Asked};
use super::tell::clean;

/// The headers that say who answered, or what to do.
const TELLING: &[&str] = &[
    "server",
    "via",
    "x-squid-error",
    "proxy-status",
    "proxy-authenticate",
    "proxy-agent",
    "x-cache",
    "x-served-by",
    "retry-after",
    "location",
    "upgrade",
    "connection",
    "sec-websocket-version",
    "www-authenticate",
];

/// What servers of TLS answer to a request that came without it. Each is the
/// whole sentence of one program: nginx, Apache, Go's net/http, Tomcat.
const WITHOUT_TLS: &[&str] = &[
    "The plain HTTP request was sent to HTTPS port",
    "You're speaking plain HTTP to an SSL-enabled server port",
    "Client sent an HTTP request to an HTTPS server",
    "This combination of host and port requires TLS",
];

/// A failure, if the answer proves that it is not the one that was asked for.
pub(super) fn judge(asked: &Asked<'_>, answer: &Answer<'_>) -> Option<Failure> {
    peer_speaks_tls(asked, answer)
        .or_else(|| captive(asked, answer))
        .or_else(|| proxied(asked, answer))
        .or_else(|| gateway(asked, answer))
        .or_else(|| early(asked, answer))
}

/// A failure of the visit, with the request, the status line and the headers
/// that say who answered.
pub(crate) fn facts(
    code: Code,
    side: Side,
    message: impl Into<String>,
    asked: &Asked<'_>,
    answer: &Answer<'_>,
) -> Failure {
    let failure = Failure::new(Stage::Greet, side, code).message(message);
    let mut failure = answer
        .opening
        .along(failure)
        .fact(Fact::said(asked.shown(), "request"))
        .fact(Fact::said(clean(&answer.head.status_line()), "status line"));
    for name in TELLING {
        for value in answer.head.headers.all(name).take(4) {
            let value = match *name {
                "location" => asked.place.redirect_shown(value),
                _ => clean(value),
            };
            failure = failure.fact(Fact::said(format!("{name}: {value}"), "header"));
        }
    }
    failure
}

/// Who answered, by what it calls itself.
pub(crate) fn hop(answer: &Answer<'_>) -> Option<String> {
    let server = answer.header("server").map(clean);
    let last = answer.head.headers.all("via").last();
    let last = last.and_then(|via: &str| via.rsplit(',').next());
    // `1.1 name (program)`: the version of what came is no part of the name.
    let via = last.and_then(|via| Some(clean(via.trim().split_once(' ')?.1)));
    server.or(via).filter(|who| !who.is_empty())
}

/// A server of TLS that answers a plain request in words. Over TLS the same
/// words are those of a server behind a gateway.
pub(crate) fn peer_speaks_tls(asked: &Asked<'_>, answer: &Answer<'_>) -> Option<Failure> {
    if answer.status() != 400 || asked.place.encrypted() {
        return None;
    }
    let text = answer.text();
    let said = WITHOUT_TLS.iter().find(|said| text.contains(**said))?;
    let message = "the server wants TLS, and was asked without";
    let failure = facts(PEER_SPEAKS_TLS, Side::Us, message, asked, answer);
    Some(failure.fact(Fact::said(*said, "body")))
}

/// A network that lets nobody out before a sign-in: RFC 6585 §6, WISPr 2.0,
/// RFC 8908. A redirect to a page with a login proves nothing.
fn captive(asked: &Asked<'_>, answer: &Answer<'_>) -> Option<Failure> {
    let text = answer.text();
    let of_api = answer
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/captive+json"));
    let (proof, source) = if text.contains("<WISPAccessGatewayParam") {
        let proof = "the body has a WISPr message, which hotspots send instead of the page";
        (proof, "body")
    } else if of_api {
        let proof = "the body is application/captive+json, which captive portals send";
        (proof, "content-type")
    } else if answer.status() == 511 {
        let proof = "511 means that the network asks for a sign-in (RFC 6585)";
        (proof, "status")
    } else {
        return None;
    };
    let message = "the network answered in place of the server, and asks for a sign-in";
    let failure = facts(codes::CAPTIVE_PORTAL, Side::Path, message, asked, answer);
    let failure = failure.fact(Fact::said(proof, source));
    let login = between(&text, "<LoginURL>", "</LoginURL>");
    let login = login.filter(|url| url.starts_with("http") && !url.contains(char::is_whitespace));
    Some(match login {
        Some(url) => {
            let url = url.replace("&amp;", "&");
            failure.fact(Fact::said(clean(&url), "login page"))
        }
        None => failure,
    })
}

/// A proxy that answers itself.
fn proxied(asked: &Asked<'_>, answer: &Answer<'_>) -> Option<Failure> {
    let status = answer.status();
    let has = |name| answer.header(name).is_some();
    let proof = if status == 407 {
        "status 407 is the answer of a proxy that wants a login"
    } else if status < 400 {
        return None;
    } else if has("x-squid-error") {
        "only Squid itself sends x-squid-error"
    } else if has("proxy-authenticate") {
        "only a proxy sends proxy-authenticate"
    } else if answer
        .header("proxy-status")
        .is_some_and(|status| status.contains("error="))
    {
        "proxy-status says that the proxy made this answer (RFC 9209)"
    } else if (502..=504).contains(&status) {
        return None;
    } else if names_itself(answer) {
        "server and via name the same program: the proxy made this answer"
    } else {
        return None;
    };
    let who = hop(answer).map_or_else(|| "a proxy".to_owned(), |who| format!("the proxy {who}"));
    let message = format!("{who} answered {status} instead of the server");
    let failure = facts(codes::PROXIED, Side::Path, message, asked, answer);
    Some(failure.fact(Fact::said(proof, "headers")))
}

/// Whether the program that made the answer is the one that passed it on.
fn names_itself(answer: &Answer<'_>) -> bool {
    let product = |text: &str| {
        let word = text.split(['/', ' ', '(', ')']).next().unwrap_or_default();
        word.to_ascii_lowercase()
    };
    let Some(server) = answer.header("server").map(product) else {
        return false;
    };
    let last = answer.head.headers.all("via").last();
    let last = last
        .and_then(|via| via.rsplit(',').next())
        .unwrap_or_default();
    // `1.1 name (squid/5.7)`: the program is in the comment.
    let comment = between(last, "(", ")").map(product);
    !server.is_empty() && comment == Some(server)
}

/// A gateway whose server failed it (RFC 9110 §15.6.3 to §15.6.5).
fn gateway(asked: &Asked<'_>, answer: &Answer<'_>) -> Option<Failure> {
    let what = match answer.status() {
        502 => "got no usable answer from the server behind it",
        503 => "cannot answer now",
        504 => "got no answer in time from the server behind it",
        _ => return None,
    };
    let who = hop(answer).unwrap_or_else(|| "the server or a gateway before it".to_owned());
    let message = format!("{who} {what} ({})", answer.status());
    Some(facts(codes::GATEWAY, Side::Peer, message, asked, answer))
}

/// A server that has answered and does not take the rest.
fn early(asked: &Asked<'_>, answer: &Answer<'_>) -> Option<Failure> {
    let cut = answer.cut.as_ref()?;
    let (sent, whole) = (cut.sent, asked.body.len());
    let message = format!(
        "the server answered {} and did not take the whole body",
        answer.status()
    );
    let failure = facts(codes::EARLY_REPLY, Side::Peer, message, asked, answer);
    let how = match &cut.error {
        Some(error) => {
            let end = Failure::from_io(Stage::Send, std::io::Error::from(error.kind()));
            let errno = error.raw_os_error().map(netloom_base::failure::Errno);
            let words = errno.map_or_else(|| end.summary(), |errno| errno.to_string());
            format!("{sent} of {whole} bytes of the body were sent, then sending failed ({words})")
        }
        None if sent == whole => {
            format!("{whole} bytes were sent, then the server reset the connection")
        }
        None => format!("{sent} of {whole} bytes of the body were sent before the server stopped"),
    };
    Some(failure.fact(Fact::said(how, "send")))
}

fn between<'t>(text: &'t str, begin: &str, end: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(begin)?;
    Some(rest.split_once(end)?.0)
}
