//! Several addresses, one connection: happy eyeballs (RFC 8305).
//!
//! The addresses of a name are tried IPv6 first and the families in turn, each
//! [`ATTEMPT_DELAY`] after the one before it, or at once when one fails. The
//! first to answer is the connection; the others are given up, and the trail
//! keeps how far each had come.

mod outcome;
mod stagger;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use netloom_base::endpoint::Host;
use netloom_base::failure::{Fact, Step};
use netloom_base::{Code, Failure, Side, Stack, Stage};

use crate::addresses::{found, scoped};
use crate::conn::{Conn, Io};
use crate::cx::Cx;
use crate::net::Opened;
use outcome::{broken_family, most_telling};
pub(crate) use stagger::{Run, stagger};

/// How long one address may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the next address waits for the one before it (RFC 8305 §5).
pub(crate) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How many addresses of one name are tried.
const MOST_ADDRESSES: usize = 16;

/// Resolves the stack's host and calls `attempt` for its addresses until one
/// answers. `source` is the local address it is dialled from, when one is
/// asked for: only its family can be tried.
pub(crate) async fn connect<T, F>(
    stack: &Stack,
    source: Option<SocketAddr>,
    cx: &Cx,
    attempt: impl Fn(SocketAddr) -> F,
) -> Result<Opened, Failure>
where
    T: Io + 'static,
    F: Future<Output = Result<T, Failure>>,
{
    let host = stack.endpoint.host();
    let port = stack.port().unwrap_or(0);
    let attempt = &attempt;
    let within = |addr: &SocketAddr| {
        let addr = *addr;
        async move {
            // Pinned where it is made: what is handed on by value is kept twice.
            let work = pin!(attempt(addr));
            cx.timeout(CONNECT_TIMEOUT, work)
                .await
                .unwrap_or_else(|| Err(no_answer()))
        }
    };
    match host.ip() {
        Some(literal) => only(scoped(literal, port, host)?, cx, within).await,
        // Large, and most dials do without.
        None => Box::pin(race(host, port, source, cx, within)).await,
    }
}

/// All that a name needs: its addresses, and an attempt at each.
async fn race<T, F>(
    host: &Host,
    port: u16,
    source: Option<SocketAddr>,
    cx: &Cx,
    within: impl Fn(&SocketAddr) -> F,
) -> Result<Opened, Failure>
where
    T: Io + 'static,
    F: Future<Output = Result<T, Failure>>,
{
    let found = found(host, cx).await?;
    let mut steps = found.steps;
    let mut field = Vec::new();
    for ip in line_up(found.addresses, host, source).map_err(|f| f.after(steps.clone()))? {
        field.push(scoped(ip, port, host)?);
    }

    let runs = match field[..] {
        [only] => vec![alone(cx, only, within).await],
        _ => stagger(cx, field, delay(host), within, Result::is_ok).await,
    };

    steps.extend(runs.iter().map(step));
    let mut facts = found.facts;
    if *host != Host::Loopback {
        facts.extend(broken_family(&runs));
    }
    let mut failures = Vec::new();
    for run in runs {
        match run.result {
            Some(Ok(io)) => {
                let mut conn = Conn::new(Box::new(io));
                conn.remember(steps);
                conn.learn(facts);
                return Ok(Opened::Stream(conn));
            }
            Some(Err(failure)) => failures.push((run.who, failure)),
            None => {}
        }
    }
    let nothing = || Failure::new(Stage::Resolve, Side::Peer, Code::RESOLVE_NO_ADDRESS);
    let failure = most_telling(failures).unwrap_or_else(nothing).after(steps);
    Err(facts.into_iter().fold(failure, Failure::fact))
}

/// An address that was written needs no name, no race and no words.
async fn only<T: Io + 'static, F: Future<Output = Result<T, Failure>>>(
    addr: SocketAddr,
    cx: &Cx,
    within: impl Fn(&SocketAddr) -> F,
) -> Result<Opened, Failure> {
    let began = cx.now();
    let result = within(&addr).await;
    let took = cx.now() - began;
    match result {
        Ok(io) => {
            let mut conn = Conn::new(Box::new(io));
            conn.reached(addr, took);
            Ok(Opened::Stream(conn))
        }
        Err(failure) => {
            let step = Step {
                stage: Stage::Connect,
                to: addr.to_string(),
                failed: Some(failure.code()),
                took,
            };
            Err(failure.fact(Fact::Tried(addr)).after([step]))
        }
    }
}

/// One address needs no race.
async fn alone<R, F: Future<Output = R>>(
    cx: &Cx,
    who: SocketAddr,
    start: impl Fn(&SocketAddr) -> F,
) -> Run<SocketAddr, R> {
    let began = cx.now();
    let result = start(&who).await;
    Run {
        who,
        began,
        took: cx.now() - began,
        result: Some(result),
    }
}

fn no_answer() -> Failure {
    Failure::new(Stage::Connect, Side::Path, Code::CONNECT_TIMEOUT)
        .fact(Fact::Waited(CONNECT_TIMEOUT))
        .retry()
}

/// The two loopbacks are tried one after the other: which of them answers is
/// part of what an empty host means, and neither keeps anybody waiting.
fn delay(host: &Host) -> Duration {
    match host {
        Host::Loopback => CONNECT_TIMEOUT,
        _ => ATTEMPT_DELAY,
    }
}

/// The addresses in the order to try them.
fn line_up(
    addresses: Vec<IpAddr>,
    host: &Host,
    source: Option<SocketAddr>,
) -> Result<Vec<IpAddr>, Failure> {
    let Host::Name(name) = host else {
        return Ok(addresses);
    };
    let mut addresses = addresses;
    if let Some(source) = source {
        let known = addresses.clone();
        addresses.retain(|ip| ip.is_ipv4() == source.is_ipv4());
        if addresses.is_empty() && !known.is_empty() {
            return Err(no_family(name, source, &known));
        }
    }
    let mut line = interleaved(&addresses);
    line.truncate(MOST_ADDRESSES);
    Ok(line)
}

/// IPv6 first, then the families in turn; the resolver's order within each. An
/// address that this host has no route to fails at once and costs nothing.
fn interleaved(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let of = |v6| addresses.iter().filter(move |ip| is_v6(**ip) == v6);
    let (mut six, mut four) = (of(true), of(false));
    let mut line: Vec<IpAddr> = Vec::with_capacity(addresses.len());
    loop {
        let pair = [six.next(), four.next()];
        if pair == [None, None] {
            return line;
        }
        for ip in pair.into_iter().flatten() {
            if !line.contains(ip) {
                line.push(*ip);
            }
        }
    }
}

/// Whether packets to it are IPv6: not those to `::ffff:192.0.2.1`.
fn is_v6(ip: IpAddr) -> bool {
    ip.to_canonical().is_ipv6()
}

fn family(ip: IpAddr) -> &'static str {
    if is_v6(ip) { "IPv6" } else { "IPv4" }
}

fn no_family(name: &str, source: SocketAddr, known: &[IpAddr]) -> Failure {
    let asked = family(source.ip());
    let known: Vec<String> = known.iter().map(ToString::to_string).collect();
    Failure::new(Stage::Resolve, Side::Us, Code::RESOLVE_NO_FAMILY)
        .message(format!(
            "`{name}` has no {asked} address, and it is to be dialled from {}",
            source.ip()
        ))
        .fact(Fact::said(
            format!("`{name}` has {}", known.join(", ")),
            "resolver",
        ))
}

fn step<T>(run: &Run<SocketAddr, Result<T, Failure>>) -> Step {
    Step {
        stage: Stage::Connect,
        to: run.who.to_string(),
        failed: match &run.result {
            Some(Ok(_)) => None,
            Some(Err(failure)) => Some(failure.code()),
            None => Some(Code::CONNECT_OVERTAKEN),
        },
        took: run.took,
    }
}
