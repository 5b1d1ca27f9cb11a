//! A request for a WebSocket that got another answer.

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible};
use netloom_base::{Diagnosis, Endpoint, Failure};
use netloom_protocol::websocket::codes::UPGRADE_REFUSED;

use super::answer::Answer;
use crate::rules::answers::Answers;
use crate::rules::draft::{Draft, netloom};

/// What nginx needs to pass an upgrade on; other gateways need the like.
const PASS_ON: &str = "pass the upgrade on; nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";";

/// The request of RFC 6455 §1.3, by hand.
const BY_HAND: &str = "--http1.1 --max-time 5 -H 'connection: upgrade' -H 'upgrade: websocket' -H 'sec-websocket-version: 13' -H 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=='";

pub(super) fn refused(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    let answer = Answer::of(failure, UPGRADE_REFUSED)?;
    let mut draft = answer.draft();
    let version = answer.header("sec-websocket-version");
    let dropped = "a proxy on the way dropped the upgrade header";
    draft = match answer.status() {
        101 => incomplete(draft, &answer),
        300..400 => moved(draft, &answer),
        400 | 426 if version.is_some_and(|version| !lists_13(version)) => draft.cause(
            format!(
                "the server speaks another version of WebSocket: {}",
                version.unwrap_or_default()
            ),
            Confirmed,
            "it names the versions it takes, and 13 is not among them",
        ),
        status @ (400 | 426) => draft
            .cause(
                dropped,
                Likely,
                if status == 426 {
                    "the server asks for the header that was sent"
                } else {
                    "a server that sees the whole request does not call it bad"
                },
            )
            .cause("the server wants a header that was not sent, such as origin", Possible, "")
            .advice(PASS_ON),
        401 | 407 => draft.cause("a login is needed first", Confirmed, "the status says so"),
        403 => draft
            .cause("who asks may not: a login, a cookie or a token is missing", Possible, "")
            .cause(
                "the server takes WebSockets only from its own pages, and this request has no origin",
                Possible,
                "",
            ),
        404 | 405 => draft
            .cause("no WebSocket is served at this path", Likely, "the path is not known")
            .cause(dropped, Possible, "some servers know the path only with it")
            .advice(PASS_ON),
        502..=504 => draft
            .cause(
                "the gateway gets no answer from the WebSocket server behind it",
                Likely,
                "the status is a gateway's",
            )
            .unchecked("the server behind the gateway", "its address, and a way to it"),
        505 => draft
            .cause(
                "a gateway passes the request on as http/1.0, which knows no upgrade",
                Likely,
                "it was asked in http/1.1, and 505 says that the version is not taken",
            )
            .advice(PASS_ON),
        500.. => draft.cause("the server failed while it answered", Likely, "the status says so"),
        _ => draft
            .cause(
                "an ordinary page is served at this path, and no WebSocket",
                Possible,
                "",
            )
            .cause(dropped, Possible, "the server answered as if it had not been sent")
            .advice(PASS_ON),
    };
    if let Some(page) = answer.web() {
        draft = draft.fix(
            "see what an ordinary request gets there",
            netloom("explain", &page),
        );
    }
    match answer.curl(BY_HAND) {
        Some(command) => draft.fix("ask for the upgrade by hand", command).done(),
        None => draft
            .advice("look into the log of the server that answered")
            .done(),
    }
}

fn lists_13(versions: &str) -> bool {
    versions.split(',').any(|version| version.trim() == "13")
}

/// A 101 that opens nothing.
fn incomplete(draft: Draft, answer: &Answer<'_>) -> Draft {
    let lacks: Vec<&str> = answer.from("upgrade").collect();
    let has = |word: &str| lacks.iter().any(|lack| lack.contains(word));
    if has("does not answer the key") {
        draft.cause(
            "the answer is for another request: a cache or a proxy gave it, or the server computes it wrongly",
            Likely,
            "the accept value does not belong to the key that was sent",
        )
    } else if has("nobody offered") {
        draft.cause(
            "the server chose what it was not offered",
            Confirmed,
            "the request offers no subprotocol and no extension",
        )
    } else {
        draft.cause(
            "the server or a proxy sends 101 without the headers that RFC 6455 asks for",
            Confirmed,
            "they are missing in the answer",
        )
    }
}

/// A redirect, which clients of WebSocket need not follow (RFC 6455 §4.1).
fn moved(draft: Draft, answer: &Answer<'_>) -> Draft {
    let draft = draft.cause(
        "the WebSocket is served elsewhere, or after a login there",
        Likely,
        "the answer is a redirect, and clients of WebSocket do not follow one",
    );
    let there = answer.header("location").filter(|to| !to.contains("***"));
    match there.and_then(|to| to.parse::<Endpoint>().ok()) {
        Some(there) if there.options().is_empty() && there.opaque().is_none() => {
            draft.fix("look there", netloom("explain", &there))
        }
        _ => draft,
    }
}
