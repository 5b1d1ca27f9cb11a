//! What the attempts of a race say together.

use std::net::SocketAddr;

use netloom_base::failure::{Fact, Icmp};
use netloom_base::{Code, Failure};

use super::stagger::Run;
use super::{ATTEMPT_DELAY, family, is_v6};

/// The failure to tell when all failed, with what the network said about the
/// others. An address that could not even be tried says less than one that was
/// silent, and that less than one that answered.
pub(super) fn most_telling(failures: Vec<(SocketAddr, Failure)>) -> Option<Failure> {
    let weight = |failure: &Failure| match failure.code() {
        code if untried(code) => 0,
        Code::CONNECT_TIMEOUT => 1,
        _ => 2,
    };
    let said: Vec<(SocketAddr, Icmp)> = failures
        .iter()
        .filter_map(|(who, failure)| Some((*who, icmp(failure)?)))
        .collect();
    let (told, failure) = failures
        .into_iter()
        .max_by_key(|(_, failure)| weight(failure))?;
    let others = said.into_iter().filter(|(who, _)| *who != told);
    let failure = others.fold(failure, |failure, (who, icmp)| {
        failure.fact(Fact::said(format!("{who}: {icmp}"), "error queue"))
    });
    // Last, so that it is the one that is looked into.
    Some(failure.fact(Fact::Tried(told)))
}

/// What the network said about an attempt.
fn icmp(failure: &Failure) -> Option<Icmp> {
    failure.facts().iter().find_map(|fact| match fact {
        Fact::Icmp(icmp) => Some(*icmp),
        _ => None,
    })
}

/// Whether nothing was sent to the address: this host has no way there.
fn untried(code: Code) -> bool {
    matches!(
        code,
        Code::CREATE_FAMILY_UNSUPPORTED | Code::CONNECT_NO_ROUTE | Code::CONNECT_NO_LOCAL_PORT
    )
}

/// What is to be noted when one family answered and every attempt over the
/// other failed, or was silent for longer than it gets. A loopback that refuses
/// works: the server listens on the other one alone.
pub(super) fn broken_family<T>(runs: &[Run<SocketAddr, Result<T, Failure>>]) -> Option<Fact> {
    let winner = runs.iter().find(|run| matches!(run.result, Some(Ok(_))))?;
    let works = is_v6(winner.who.ip());
    let mut others = runs.iter().filter(|run| is_v6(run.who.ip()) != works);
    let told = how_it_failed(others.next()?)?;
    if others.any(|run| how_it_failed(run).is_none()) {
        return None;
    }
    let broken = if works { "IPv4" } else { "IPv6" };
    let what = format!(
        "{} works, {broken} does not: {told}",
        family(winner.who.ip())
    );
    Some(Fact::noted(Code::CONNECT_FAMILY_BROKEN, what, "connect"))
}

fn how_it_failed<T>(run: &Run<SocketAddr, Result<T, Failure>>) -> Option<String> {
    let refused_here = |failure: &Failure| {
        failure.code() == Code::CONNECT_REFUSED && run.who.ip().to_canonical().is_loopback()
    };
    match &run.result {
        Some(Err(failure)) if untried(failure.code()) || refused_here(failure) => None,
        Some(Err(failure)) => {
            let told = format!("{}: {}", run.who, failure.code().sentence());
            Some(match icmp(failure) {
                Some(icmp) => format!("{told} ({icmp})"),
                None => told,
            })
        }
        None if run.took >= ATTEMPT_DELAY => Some(format!(
            "{} had not answered after {} ms",
            run.who,
            run.took.as_millis()
        )),
        _ => None,
    }
}
