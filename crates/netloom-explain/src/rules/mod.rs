//! From a failure and recorded answers to a diagnosis: pure functions, one
//! file for each family of failures; `ask` records the answers they need.
//!
//! A rule refines the coarse code that the errno gave into the exact one. It
//! calls a cause confirmed only when what is known excludes the others.

mod answers;
mod ask;
mod bind;
mod connect;
mod draft;
mod limits;
mod path;
mod proxy;
mod refused;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use netloom_base::failure::Fact;
use netloom_base::{Diagnosis, Endpoint, Failure};

pub use answers::Answers;
pub use ask::{Asking, diagnose_at_once, diagnose_with};

/// One rule: `None` when the failure is not its business, or nothing decides it.
pub type Rule = fn(&Failure, &Answers) -> Option<Diagnosis>;

/// Every rule, in the order they are asked.
pub const RULES: &[&[Rule]] = &[
    proxy::RULES,
    path::RULES,
    bind::RULES,
    refused::RULES,
    connect::RULES,
    limits::RULES,
];

/// Asks the rules; where none decides, tells what the failure itself knew.
pub fn diagnose(failure: &Failure, answers: &Answers) -> Diagnosis {
    RULES
        .iter()
        .flat_map(|family| family.iter())
        .find_map(|rule| rule(failure, answers))
        .unwrap_or_else(|| crate::diagnose(failure))
}

/// The address that was tried last.
pub fn target(failure: &Failure) -> Option<SocketAddr> {
    let tried = failure.facts().iter().rev().find_map(|fact| match fact {
        Fact::Tried(addr) => Some(*addr),
        _ => None,
    });
    let failed = || {
        let mut steps = failure.trail().iter().rev();
        steps.find(|step| step.failed.is_some())?.to.parse().ok()
    };
    tried.or_else(failed)
}

/// The name of the unix socket a failure is about, `@` first for an abstract one.
pub fn unix_name(failure: &Failure) -> Option<String> {
    let endpoint: Endpoint = failure.endpoint()?.parse().ok()?;
    let is_unix = endpoint.scheme() == "unix";
    is_unix.then(|| endpoint.opaque().map(str::to_owned))?
}
