//! Somebody is there and speaks something else.

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible};
use netloom_base::{Code, Diagnosis, Failure, Stage};
use netloom_protocol::speaking::{card_of, meant_by, over_tls, plain, spoken};
use netloom_transport::tls::codes::PEER_SPEAKS_TLS;
use netloom_wire::tls::looks_like;

use super::super::answers::Answers;
use super::super::draft::Draft;
use super::{first_bytes, scene};

/// The first bytes are of another protocol.
pub(super) fn wrong_protocol(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::GREET_WRONG_PROTOCOL {
        return None;
    }
    let (endpoint, card) = scene(failure);
    let wanted = card.map(|card| card.name);
    let name = first_bytes(failure).and_then(looks_like);
    let own = |name: &str| meant_by(name).any(|meant| Some(meant.name) == wanted);
    let named = name.filter(|name| !own(name));
    let what = match (named, wanted) {
        (Some(name), Some(wanted)) => format!("it speaks {name}, not {wanted}"),
        (Some(name), None) => format!("it speaks {name}"),
        (None, Some(wanted)) => format!("it does not speak {wanted}"),
        (None, None) => "it speaks another protocol".to_owned(),
    };
    let mut draft = Draft::of(failure, failure.code(), what).listener(failure, answers);
    match named {
        Some(name) => {
            draft = draft.cause(
                format!("the server on that port speaks {name}"),
                Confirmed,
                "its first bytes say so",
            );
            let cards = meant_by(name).filter(|card| Some(card.name) != wanted);
            for card in cards {
                if let Some(there) = endpoint.as_ref().and_then(|from| spoken(from, card)) {
                    draft = draft.explain(&format!("speak {} there", card.name), &there);
                }
            }
        }
        None => {
            draft = draft
                .cause("another service listens on that port", Likely, "")
                .cause("something on the way answers in its place", Possible, "");
        }
    }
    if let Some(bytes) = endpoint.as_ref().and_then(plain) {
        draft = draft.explain("or see what it says first", &bytes);
    }
    draft
        .advice("or use the port on which the server that was meant listens")
        .done()
}

/// TLS answers where plain words were said: with a record of its own, or with
/// nothing at all, and then to a handshake.
pub(super) fn speaks_tls(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let (endpoint, _) = scene(failure);
    let said = failure.code() == PEER_SPEAKS_TLS && failure.stage() == Stage::Greet;
    let silent = matches!(failure.code(), Code::GREET_CLOSED | Code::GREET_TIMEOUT);
    let because = match first_bytes(failure) {
        Some([21, ..]) if said => "it answered with a TLS alert",
        _ if said => "its first bytes are a TLS record",
        _ if silent && answers.speaks_tls == Some(true) => "it answered a TLS handshake",
        _ => return None,
    };
    let what = "it speaks TLS, and was spoken to without";
    let mut draft = Draft::of(failure, PEER_SPEAKS_TLS, what).listener(failure, answers);
    if !said {
        draft = draft.knows(
            "a second dial, with a TLS handshake, was answered",
            "second dial",
        );
    }
    let draft = draft.cause("the server expects TLS on that port", Confirmed, because);
    let plain = endpoint.as_ref().is_some_and(|e| card_of(e).is_none());
    match endpoint.as_ref().and_then(over_tls) {
        Some(there) if plain => draft.explain("see what it is", &there).fix(
            "or talk to it",
            super::super::draft::netloom("connect", &there),
        ),
        Some(there) => draft.explain("speak TLS", &there),
        None => draft.advice("speak TLS to it, or use its port for plain words"),
    }
    .done()
}
