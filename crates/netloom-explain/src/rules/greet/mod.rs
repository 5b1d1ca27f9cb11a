//! Opening words: another protocol, none at all, a refusal, and what FTP and
//! mail have of their own.

mod closed;
mod data;
mod other;
mod port;
mod refused;
#[cfg(test)]
mod tests;

use netloom_base::failure::Fact;
use netloom_base::{Card, Endpoint, Failure};
use netloom_protocol::Protocol;
use netloom_protocol::speaking::card_of;

use super::answers::Answers;
use super::draft::Draft;
use super::{Rule, reached};

pub(super) use port::{left_unchecked, other_ports};

pub(super) const RULES: &[Rule] = &[
    other::wrong_protocol,
    other::speaks_tls,
    closed::closed,
    closed::silent,
    closed::in_the_middle,
    refused::refused,
    data::unreachable,
    port::blocked,
];

/// The endpoint of a failure and the protocol it names.
fn scene(failure: &Failure) -> (Option<Endpoint>, Option<&'static Card>) {
    let endpoint: Option<Endpoint> = failure.endpoint().and_then(|text| text.parse().ok());
    let card = endpoint.as_ref().and_then(card_of);
    (endpoint, card)
}

/// Whether a card is this protocol's.
fn is(card: Option<&'static Card>, protocol: &dyn Protocol) -> bool {
    card.is_some_and(|card| card.name == protocol.card().name)
}

/// The first bytes the peer sent.
fn first_bytes(failure: &Failure) -> Option<&[u8]> {
    failure.facts().iter().find_map(|fact| match fact {
        Fact::FirstBytes(bytes) => Some(bytes.as_slice()),
        _ => None,
    })
}

impl Draft {
    /// Who listens there, where this host can see it.
    fn listener(self, failure: &Failure, answers: &Answers) -> Self {
        let addr = reached(failure).filter(|addr| answers.is_local(addr.ip()));
        match addr.and_then(|addr| answers.listeners_for(addr).next()) {
            Some(entry) => self.held(entry, answers),
            None => self,
        }
    }

    /// The same look once more, or at another endpoint.
    fn explain(self, text: &str, endpoint: &Endpoint) -> Self {
        self.fix(text, super::draft::netloom("explain", endpoint))
    }
}
