//! The first words are a refusal: what the server says is the evidence.

use netloom_base::diagnosis::Verdict::Confirmed;
use netloom_base::failure::Fact;
use netloom_base::{Code, Diagnosis, Endpoint, Failure, Stage};
use netloom_protocol::mail::Smtp;
use netloom_protocol::mqtt::Mqtt;
use netloom_protocol::ssh::Ssh;

use super::super::answers::Answers;
use super::super::draft::{Draft, sudo};
use super::super::reached;
use super::{is, port, scene};

/// Words of a refusal, in small letters, and what they mean.
const WORDS: &[(&[&str], &str)] = &[
    (
        &["exceeded maxstartups"],
        "as many clients that have not logged in as MaxStartups allows are connected",
    ),
    (
        &["not allowed at this time"],
        "sshd penalises this address for what came from it before (PerSourcePenalties)",
    ),
    (
        &["too many", "exceeded", "maximum", "busy", "rate limit"],
        "the server has as many clients as it takes, in all or from here",
    ),
    (
        &[
            "not authorized",
            "bad user",
            "authentication",
            "login incorrect",
        ],
        "the server takes nobody without the right user and password",
    ),
    (
        &["identifier"],
        "the server takes only clients that it knows by name",
    ),
    (
        &[
            "blacklist",
            "block list",
            "blocklist",
            "spamhaus",
            "dnsbl",
            "is listed",
            "reputation",
        ],
        "this address is on a list of addresses from which no mail is taken",
    ),
    (
        &["reverse", "rdns", "ptr record"],
        "this address has no name, and the server takes mail only from addresses that have one",
    ),
    (
        &[
            "unavailable",
            "try again",
            "later",
            "shutting down",
            "not ready",
        ],
        "the server cannot serve now",
    ),
    (
        &["banned", "denied", "blocked", "not permitted"],
        "a rule of the server shuts this address out",
    ),
];

pub(super) fn refused(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::GREET_REFUSED || failure.stage() != Stage::Greet {
        return None;
    }
    let (endpoint, card) = scene(failure);
    let words = failure.facts().iter().rev().find_map(|fact| match fact {
        Fact::Said { what, .. } => Some(what.as_str()),
        _ => None,
    })?;
    let lower = words.to_lowercase();
    let means = |(any, _): &&(&[&str], &'static str)| any.iter().any(|word| lower.contains(word));
    let cause = WORDS
        .iter()
        .find(means)
        .map_or("a rule of the server refuses this client", |(_, cause)| {
            cause
        });
    let mut draft = Draft::of(
        failure,
        failure.code(),
        format!("the server refuses: {words}"),
    )
    .listener(failure, answers)
    .cause(cause, Confirmed, "the server says so itself");
    if is(card, &Ssh) {
        let here = reached(failure).is_some_and(|addr| answers.is_local(addr.ip()));
        let command = format!(
            "{}sshd -T | grep -iE 'maxstartups|persource'",
            sudo(answers)
        );
        draft = if here {
            draft.fix("see the limits", command)
        } else {
            draft
                .advice("on the server, see the limits: sshd -T | grep -iE 'maxstartups|persource'")
        };
        draft = draft.advice("raise MaxStartups in sshd_config, or find who connects so often");
    }
    if is(card, &Mqtt) {
        draft =
            draft.advice("give the user that the broker knows before the host: mqtt://USER@HOST");
    }
    if is(card, &Smtp)
        && let Some(endpoint) = &endpoint
    {
        for there in submission(endpoint, failure) {
            draft = draft.explain(
                &format!("hand mail on as a user, by {}", there.scheme()),
                &there,
            );
        }
        draft = draft
            .advice("a mail server takes mail from addresses with a name and a good reputation");
    }
    if let Some(endpoint) = &endpoint {
        let text = if failure.may_retry() {
            "try again later"
        } else {
            "see whether it still does"
        };
        draft = draft.explain(text, endpoint);
    }
    draft
        .unchecked("which rule of the server it is", "the server's log")
        .done()
}

/// The ports where users hand mail on, unless this is one.
fn submission(endpoint: &Endpoint, failure: &Failure) -> Vec<Endpoint> {
    let Some(addr) = reached(failure) else {
        return Vec::new();
    };
    let others = port::other_ports(failure, addr);
    others
        .filter_map(|(scheme, _)| port::at(endpoint, scheme))
        .collect()
}
