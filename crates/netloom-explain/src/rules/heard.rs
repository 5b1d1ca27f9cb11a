//! What the network said about a dial: the one that failed, when it was made
//! for a person, or else a second one.

use std::time::Duration;

use netloom_base::Failure;
use netloom_base::failure::{Errno, Fact, Icmp};
use netloom_transport::probe::DialEnd;

use super::{Answers, target};

/// A dial that listened to its error queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    pub(super) end: DialEnd,
    pub(super) icmp: Option<Icmp>,
    pub(super) took: Duration,
    /// Whether it was made to look at the failure.
    pub(super) again: bool,
}

impl Heard {
    /// The dial, as it is told of.
    pub(super) fn name(&self) -> &'static str {
        if self.again {
            "a second dial"
        } else {
            "the dial"
        }
    }
}

/// Of the failed dial what ICMP said is best: it is about that very dial. That
/// none came says less than a second dial, where there was one.
pub(super) fn heard(failure: &Failure, answers: &Answers) -> Option<Heard> {
    let first = first(failure);
    let second = answers.dialled.map(|dialled| Heard {
        end: dialled.end,
        icmp: dialled.icmp,
        took: dialled.took,
        again: true,
    });
    first
        .filter(|heard| heard.icmp.is_some())
        .or(second)
        .or(first)
}

/// What the failed dial itself heard; `None` when it did not listen.
pub(super) fn first(failure: &Failure) -> Option<Heard> {
    let icmp = failure.facts().iter().find_map(|fact| match fact {
        Fact::Icmp(icmp) => Some(Some(*icmp)),
        Fact::NoIcmp => Some(None),
        _ => None,
    })?;
    let Errno(errno) = failure.errno()?;
    let to = target(failure)?.to_string();
    let step = failure.trail().iter().rev().find(|step| step.to == to);
    Some(Heard {
        end: DialEnd::Failed(errno),
        icmp,
        took: step.map_or(Duration::ZERO, |step| step.took),
        again: false,
    })
}
