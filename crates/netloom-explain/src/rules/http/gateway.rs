//! Answers of whoever stands between: gateways before a server, proxies before
//! a client.

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible};
use netloom_base::{Diagnosis, Failure};
use netloom_protocol::http::codes;

use super::answer::Answer;
use crate::rules::answers::Answers;
use crate::rules::draft::{Draft, netloom};

/// 502, 503, 504 (RFC 9110 §15.6).
pub(super) fn gateway(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    let answer = Answer::of(failure, codes::GATEWAY)?;
    let later = answer.header("retry-after");
    let mut draft = answer.draft();
    draft = match answer.status() {
        502 => draft
            .cause(
                "the server behind it refused, reset, or does not speak what the gateway expects",
                Likely,
                "502 is what a gateway says of an answer it cannot use",
            )
            .cause(
                "the gateway speaks http to a server that wants https, or the other way round",
                Possible,
                "",
            ),
        504 => draft
            .cause(
                "the server behind it is slow, hangs, or cannot be reached",
                Likely,
                "504 is what a gateway says when its patience ends",
            )
            .cause("a firewall between the two drops the packets", Possible, ""),
        _ if later.is_some() => draft.cause(
            "the server is overloaded or being maintained",
            Likely,
            "it says when to come back",
        ),
        _ => draft
            .cause(
                "the server is overloaded or being maintained",
                Possible,
                "503 says no more",
            )
            .cause("the gateway has no healthy server behind it", Possible, ""),
    };
    draft = seen_by_hand(draft, &answer, "");
    if let (Some(later), Some(endpoint)) = (later, answer.endpoint()) {
        let again = netloom("explain", endpoint);
        draft = match later.parse::<u32>() {
            Ok(seconds) => draft.fix(
                "come back when it says",
                format!("sleep {seconds} && {again}"),
            ),
            Err(_) => draft.advice(format!("come back after {later}")),
        };
    }
    let local = answer
        .endpoint()
        .is_some_and(|endpoint| endpoint.host().is_loopback());
    let server = answer.header("server").unwrap_or_default();
    if local && server.starts_with("nginx") {
        draft = draft.fix("see why, in its log", "tail -n 20 /var/log/nginx/error.log");
    }
    draft
        .advice("ask the server behind it directly, from the gateway's host: netloom explain says whether it answers there")
        .unchecked("the server behind the gateway", "its address, and a way to it")
        .done()
}

/// A proxy that answered itself.
pub(super) fn proxied(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    let answer = Answer::of(failure, codes::PROXIED)?;
    let mut draft = answer.draft();
    let squid = answer.header("x-squid-error");
    let squid = squid.and_then(|error| error.split(' ').next());
    let status = answer.header("proxy-status");
    let of_status = status.and_then(|status| status.split_once("error="));
    draft = match (answer.status(), squid, of_status) {
        (407, ..) => draft
            .cause(
                "the address is a proxy's, and the proxy wants a login",
                Likely,
                "nobody else answers 407",
            )
            .cause("a proxy on the way answers for every address", Possible, ""),
        (_, Some(error), _) => squid_says(draft, error),
        (_, _, Some((_, error))) => {
            let error = error.split([';', ',', ' ']).next().unwrap_or_default();
            let words = error.replace('_', " ");
            draft.cause(
                format!("the proxy reports: {words}"),
                Confirmed,
                "it says so in proxy-status (RFC 9209)",
            )
        }
        _ => draft.cause(
            "the proxy's own rules refuse the request",
            Likely,
            "the answer was made by the proxy",
        ),
    };
    draft = seen_by_hand(draft, &answer, "--noproxy '*'");
    if answer.said("environment").is_some()
        && let Some(endpoint) = answer.endpoint()
    {
        let host = endpoint.host().to_string();
        let host = if host.is_empty() { "localhost" } else { &host };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        draft = draft.fix(
            "keep other programs from going through a proxy too",
            format!("export no_proxy=\"$no_proxy,{host}\""),
        );
    }
    draft
        .advice("or ask whoever keeps the proxy to let the request pass")
        .unchecked(
            "what the server itself answers",
            "a way to it without the proxy",
        )
        .done()
}

fn squid_says(draft: Draft, error: &str) -> Draft {
    let text = match error {
        "ERR_ACCESS_DENIED" => "the proxy's rules forbid the request",
        "ERR_CACHE_ACCESS_DENIED" => "the proxy wants a login",
        "ERR_CONNECT_FAIL" => "the proxy could not connect to the server",
        "ERR_DNS_FAIL" => "the proxy found no address for the server's name",
        "ERR_READ_TIMEOUT" | "ERR_READ_ERROR" => "the server did not answer the proxy in full",
        "ERR_INVALID_URL" | "ERR_INVALID_REQ" => {
            "the proxy was asked as if it were the server, and cannot know which one is meant"
        }
        "ERR_SECURE_CONNECT_FAIL" => "the proxy could not open TLS to the server",
        _ => "the proxy could not get the answer",
    };
    draft.cause(text, Confirmed, "the proxy names its error")
}

fn seen_by_hand(draft: Draft, answer: &Answer<'_>, flags: &str) -> Draft {
    match answer.curl(flags) {
        Some(command) => draft.fix("see who answers, by hand", command),
        None => draft,
    }
}
