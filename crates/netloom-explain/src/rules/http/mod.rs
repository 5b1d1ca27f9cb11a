//! What an HTTP answer means that is not the one that was asked for, and what
//! to do: from the status line and the headers that the visit kept.

mod answer;
mod gateway;
#[cfg(test)]
mod tests;
mod upgrade;

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible};
use netloom_base::{Diagnosis, Failure};
use netloom_protocol::http::codes;

use super::Rule;
use super::answers::Answers;
use super::draft::netloom;
use answer::Answer;

pub(super) const RULES: &[Rule] = &[
    redirect_loop,
    wrong_host,
    captive_portal,
    early_reply,
    gateway::gateway,
    gateway::proxied,
    upgrade::refused,
];

fn redirect_loop(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    let answer = Answer::of(failure, codes::REDIRECT_LOOP)?;
    let hops: Vec<&str> = answer.from("redirect ").collect();
    let ends = |hop: &str| {
        let (from, rest) = hop.split_once(": ")?;
        Some((from.to_owned(), rest.split_once(" to ")?.1.to_owned()))
    };
    let ends: Vec<(String, String)> = hops.iter().filter_map(|hop| ends(hop)).collect();
    let mut draft = answer.draft();
    let (mut known, curl) = (false, answer.curl(""));
    if answer.said("set-cookie").is_some() {
        known = true;
        draft = draft.cause(
            "the server waits for its cookie to come back, and this visit keeps none",
            Likely,
            "the answers set a cookie",
        );
        if let Some(command) = answer.curl("-L -b ''") {
            draft = draft.fix("see whether a client with cookies gets through", command);
        }
    }
    if answer.encrypted() && ends.iter().any(|(from, to)| from == to) {
        known = true;
        draft = draft
            .cause(
                "the server is behind a gateway that ends TLS, and takes the request for plain http",
                Likely,
                "an https resource redirects to itself",
            )
            .advice("tell it what the client spoke; nginx: proxy_set_header X-Forwarded-Proto $scheme;");
    }
    let slash = |(from, to): &(String, String)| {
        from != to && from.trim_end_matches('/') == to.trim_end_matches('/')
    };
    if !known && ends.iter().any(slash) {
        known = true;
        draft = draft
            .cause(
                "one rule of the server adds a slash to the path, and another takes it away",
                Likely,
                "the redirects differ in nothing else",
            )
            .advice("keep one of the two rules");
    }
    if !known {
        draft = draft.cause(
            "rules of the server rewrite to each other's addresses",
            Possible,
            "",
        );
        draft = draft.advice(
            "compare what rewrites addresses: the server, the application, a gateway before it",
        );
    }
    if let Some(command) = curl {
        draft = draft.fix("see the first redirect by hand", command);
    }
    draft.done()
}

fn wrong_host(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    let answer = Answer::of(failure, codes::WRONG_HOST)?;
    let mut draft = answer.draft();
    let second = answer.said("second status line").map(answer::status_in);
    let other = answer
        .said("second request")
        .and_then(|asked| asked.split_once(" with host "))
        .map(|(_, host)| host);
    if let (Some(200..300), Some(other)) = (second, other) {
        draft = draft.cause(
            format!("the server has a site for {other}, and none for the host that was asked for"),
            Confirmed,
            "the same request under that name was answered",
        );
        if let Some(there) = answer.under(other) {
            draft = draft.fix("ask for the name it serves", netloom("explain", &there));
        }
        let header = shell_words::quote(&format!("host: {other}")).into_owned();
        if let Some(command) = answer.curl(&format!("-H {header}")) {
            draft = draft.fix("or see its answer by hand", command);
        }
    } else {
        draft = draft.cause(
            "the server, or the certificate it shows here, is not for that name",
            Likely,
            "421 says that the request came to the wrong server (RFC 9110 §15.5.20)",
        );
        if answer.encrypted() {
            draft = draft.cause(
                "TLS was opened for another name than the request asks for",
                Possible,
                "",
            );
        }
        if let Some(command) = answer.curl("") {
            draft = draft.fix("see the same answer by hand", command);
        }
    }
    draft
        .advice("or serve the name too: server_name in nginx, ServerAlias in Apache, the allowed hosts of the application")
        .done()
}

fn captive_portal(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    let answer = Answer::of(failure, codes::CAPTIVE_PORTAL)?;
    let mut draft = answer.draft().cause(
        "this network lets nobody out before a sign-in",
        Likely,
        "the answer has a captive portal's mark",
    );
    let page = answer.said("login page").map(str::to_owned);
    let page = page.or_else(|| answer.url());
    if let Some(page) = page {
        let command = format!("xdg-open {}", shell_words::quote(&page));
        draft = draft.fix("sign in with a browser", command);
    }
    if let Some(endpoint) = answer.endpoint() {
        draft = draft.fix("then look again", netloom("explain", endpoint));
    }
    draft.done()
}

fn early_reply(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    let answer = Answer::of(failure, codes::EARLY_REPLY)?;
    let mut draft = answer.draft();
    draft = match answer.status() {
        413 => draft
            .cause(
                "the body is larger than the server takes",
                Confirmed,
                "413 says so, and the rest was not read",
            )
            .advice("send less, or allow more: client_max_body_size in nginx, LimitRequestBody in Apache"),
        401 | 403 | 407 => draft.cause(
            "the server refuses the request for who asks, whatever its body",
            Likely,
            "the status is about rights",
        ),
        404 | 405 => draft.cause(
            "nothing at this path takes a body",
            Likely,
            "the status is about the path or the method",
        ),
        408 => draft.cause(
            "the body came too slowly for the server",
            Likely,
            "408 says so",
        ),
        411 | 415 | 417 => draft.cause(
            "the server does not take a body like this one",
            Likely,
            "the status is about the body's form",
        ),
        status => draft.cause(
            "the server had decided before it had read the body",
            Likely,
            if status >= 500 { "it answered with an error of its own" } else { "it answered first" },
        ),
    };
    if let Some(command) = answer.curl("-X POST -H 'expect: 100-continue' --data-binary @-") {
        // A body by hand, which the server may refuse before it is sent.
        let command = format!("printf x | {command}");
        draft = draft.fix("ask before sending, as other clients do", command);
    }
    if let Some(endpoint) = answer.endpoint() {
        draft = draft.fix(
            "see what it answers without a body",
            netloom("explain", endpoint),
        );
    }
    draft.done()
}
