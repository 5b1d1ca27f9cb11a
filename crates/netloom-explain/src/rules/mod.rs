//! From a failure and recorded answers to a diagnosis: pure functions, one
//! file for each family of failures; `ask` records the answers they need.
//!
//! A rule refines the coarse code that the errno gave into the exact one. It
//! calls a cause confirmed only when what is known excludes the others.

mod answers;
mod ask;
mod bind;
#[cfg(test)]
mod catalogue;
mod connect;
mod datagrams;
mod devices;
mod draft;
mod exec;
mod expires;
mod firewall;
mod framing;
mod greet;
mod header;
mod heard;
mod http;
mod known;
mod lacking;
mod limits;
mod path;
mod proxy;
mod refused;
mod resolve;
mod servers;
mod silence;
mod stuck;
mod talk;
#[cfg(test)]
mod tests;
mod tls;

use std::net::{IpAddr, SocketAddr};

use netloom_base::failure::Fact;
use netloom_base::{Code, Diagnosis, Endpoint, Failure, Stage};

pub use answers::{Answers, ServerWay};
pub use ask::{Asking, diagnose_at_once, diagnose_with};
pub use tls::second::{End, How, Try};

/// One rule: `None` when the failure is not its business, or nothing decides it.
pub type Rule = fn(&Failure, &Answers) -> Option<Diagnosis>;

/// Every rule, in the order they are asked.
pub const RULES: &[&[Rule]] = &[
    header::RULES,
    devices::RULES,
    proxy::RULES,
    greet::RULES,
    path::RULES,
    lacking::RULES,
    bind::RULES,
    refused::RULES,
    connect::RULES,
    limits::RULES,
    http::RULES,
    expires::RULES,
    tls::RULES,
    resolve::RULES,
    datagrams::RULES,
    silence::RULES,
    stuck::RULES,
    talk::RULES,
    exec::RULES,
    framing::RULES,
    known::RULES,
];

/// Asks the rules, those that need nothing to be known last; where none
/// decides, tells what the failure itself knew.
pub fn diagnose(failure: &Failure, answers: &Answers) -> Diagnosis {
    let found = RULES
        .iter()
        .flat_map(|family| family.iter())
        .find_map(|rule| rule(failure, answers))
        .unwrap_or_else(|| crate::diagnose(failure));
    let found = greet::left_unchecked(failure, answers, found);
    firewall::named(found, failure, answers)
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

/// The address that took the connection, where the opening words failed.
pub fn reached(failure: &Failure) -> Option<SocketAddr> {
    if reset_at_once(failure) {
        return target(failure);
    }
    let mut steps = failure.trail().iter().rev();
    let step = steps.find(|step| step.stage == Stage::Connect && step.failed.is_none())?;
    step.to.parse().ok()
}

/// Whether the connection was taken and reset before the dial had returned: a
/// reset that answers the first packet would have been a refusal.
pub fn reset_at_once(failure: &Failure) -> bool {
    failure.stage() == Stage::Connect && failure.code() == Code::RECV_RESET
}

/// The name of the unix socket a failure is about, `@` first for an abstract one.
pub fn unix_name(failure: &Failure) -> Option<String> {
    let endpoint: Endpoint = failure.endpoint()?.parse().ok()?;
    let is_unix = endpoint.scheme() == "unix";
    is_unix.then(|| endpoint.opaque().map(str::to_owned))?
}

/// Whether each interface has a network of this kind of its own.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}
