//! Connecting: somebody said no. A reset, or a rejection by ICMP.

use std::net::{IpAddr, SocketAddr};

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible};
use netloom_base::{Code, Diagnosis, Failure, Stage};
use netloom_transport::probe::{DialEnd, Entry, Icmp, State};

use super::answers::Answers;
use super::draft::{Draft, endpoint, netloom, sudo};
use super::heard::heard;
use super::{Rule, target};

pub(super) const RULES: &[Rule] = &[rejected, refused_here, refused_there];

/// How near a port must be to be the one that was meant, and how many are named.
const NEAR: u16 = 1000;
const MOST_NEAR: usize = 3;

/// The network said in words that a rule forbids it.
fn rejected(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.stage() != Stage::Connect {
        return None;
    }
    let addr = target(failure)?;
    let icmp: Icmp = heard(failure, answers)?.icmp.filter(Icmp::is_policy)?;
    let who = icmp.from;
    if answers.is_local(who) {
        return Draft::of(
            failure,
            Code::CONNECT_DENIED_FIREWALL,
            "this host's own rules reject it",
        )
        .knows(icmp, "error queue")
        .rejected_here("the connection", answers)
        .unchecked("which rule it is", "root: nft list ruleset")
        .done();
    }
    let draft = Draft::of(
        failure,
        Code::CONNECT_REJECTED,
        format!("{who} rejected the connection"),
    )
    .knows(icmp, "error queue");
    let themselves =
        "a closed TCP port answers with a reset, not with ICMP, and the host itself sent this";
    draft
        .rejected_by(who, addr, "TCP", themselves)
        .unchecked("whether a program listens behind the rule", "the other end")
        .done()
}

/// Refused by this very host, whose tables say why.
fn refused_here(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let addr = target(failure)?;
    let here = failure.code() == Code::CONNECT_REFUSED && answers.is_local(addr.ip());
    let listeners = answers.listeners.as_ref().filter(|_| here)?;
    if let Some(entry) = answers.listeners_for(addr).next() {
        return listens_after_all(failure, answers, entry);
    }
    let same_port = |entry: &&Entry| entry.local.port() == addr.port();
    let elsewhere: Vec<&Entry> = listeners.iter().filter(same_port).collect();
    let v4 = |of: SocketAddr| of.ip().to_canonical().is_ipv4();
    let loopback = |of: SocketAddr| of.ip().to_canonical().is_loopback();
    let same_family = elsewhere.iter().find(|entry| v4(entry.local) == v4(addr));
    let any = same_family.or_else(|| elsewhere.first());
    match (any, same_family) {
        (None, _) => nobody(failure, answers, addr, listeners),
        (Some(entry), _) if loopback(entry.local) && !loopback(addr) => {
            loopback_only(failure, answers, addr, entry)
        }
        (Some(entry), Some(_)) => other_address(failure, answers, addr, entry),
        (Some(entry), None) => other_family_only(failure, answers, addr, entry),
    }
}

fn listens_after_all(failure: &Failure, answers: &Answers, entry: &Entry) -> Option<Diagnosis> {
    let addr = target(failure)?;
    match answers.dialled?.end {
        DialEnd::Connected => {
            Draft::of(failure, Code::CONNECT_REFUSED, "nothing listened there yet")
                .held(entry, answers)
                .knows("a second dial was answered", "connect")
                .cause(
                    "the server began to listen a moment after the dial",
                    Likely,
                    "it answers now",
                )
                .fix("try again", netloom("connect", &endpoint(failure, addr)))
                .done()
        }
        DialEnd::Failed(_) => Draft::of(
            failure,
            Code::CONNECT_DENIED_FIREWALL,
            "it listens, and this host refuses all the same",
        )
        .held(entry, answers)
        .knows("a second dial was refused too, without ICMP", "error queue")
        .cause(
            "a firewall rule of this host answers with a reset",
            Likely,
            "the port has a listener, and the packets never leave this host",
        )
        .fix(
            "read the rules",
            format!("{}nft list ruleset", sudo(answers)),
        )
        .unchecked("which rule it is", "root: nft list ruleset")
        .done(),
        DialEnd::Silent => None,
    }
}

/// Where a listener can be reached from here.
fn reach(entry: &Entry, asked: SocketAddr) -> SocketAddr {
    let ip = entry.local.ip().to_canonical();
    let ip = match (ip.is_unspecified(), ip.is_ipv4()) {
        (true, true) => std::net::Ipv4Addr::LOCALHOST.into(),
        (true, false) => std::net::Ipv6Addr::LOCALHOST.into(),
        (false, _) => ip,
    };
    let mut there = SocketAddr::new(ip, asked.port());
    if let (SocketAddr::V6(there), SocketAddr::V6(local)) = (&mut there, entry.local) {
        there.set_scope_id(local.scope_id());
    }
    there
}

fn loopback_only(
    failure: &Failure,
    answers: &Answers,
    addr: SocketAddr,
    entry: &Entry,
) -> Option<Diagnosis> {
    let here = endpoint(failure, addr).with_address(reach(entry, addr));
    Draft::of(
        failure,
        Code::CONNECT_LOOPBACK_ONLY,
        "it listens on loopback only",
    )
    .held(entry, answers)
    .cause(
        format!(
            "the server listens on {}, and {} was asked for",
            entry.local.ip(),
            addr.ip()
        ),
        Confirmed,
        "no other socket listens on that port",
    )
    .fix("from this host", netloom("connect", &here))
    .advice("for others: make the server listen on 0.0.0.0, or on `::` for both families")
    .done()
}

fn other_family_only(
    failure: &Failure,
    answers: &Answers,
    addr: SocketAddr,
    entry: &Entry,
) -> Option<Diagnosis> {
    let (has, asked) = if addr.ip().to_canonical().is_ipv4() {
        ("IPv6", "IPv4")
    } else {
        ("IPv4", "IPv6")
    };
    let there = endpoint(failure, addr).with_address(reach(entry, addr));
    Draft::of(
        failure,
        Code::CONNECT_OTHER_FAMILY,
        format!("it listens on {has} only, and {asked} was asked for"),
    )
    .held(entry, answers)
    .cause(
        format!(
            "the server listens on {}, which takes no {asked}",
            entry.local
        ),
        Confirmed,
        "no other socket listens on that port",
    )
    .fix("use the other family", netloom("connect", &there))
    .advice("or make the server listen on both: 0.0.0.0 and `::`")
    .done()
}

fn other_address(
    failure: &Failure,
    answers: &Answers,
    addr: SocketAddr,
    entry: &Entry,
) -> Option<Diagnosis> {
    let there = endpoint(failure, addr).with_address(reach(entry, addr));
    let what = format!(
        "nothing listens on {}, only on {}",
        addr.ip(),
        entry.local.ip()
    );
    Draft::of(failure, Code::CONNECT_REFUSED, what)
        .held(entry, answers)
        .cause(
            "the server listens on another address of this host",
            Confirmed,
            "no other socket listens on that port",
        )
        .fix("use that address", netloom("connect", &there))
        .done()
}

fn nobody(
    failure: &Failure,
    answers: &Answers,
    addr: SocketAddr,
    listeners: &[Entry],
) -> Option<Diagnosis> {
    let port = addr.port();
    let written = endpoint(failure, addr);
    let mut draft = Draft::of(
        failure,
        Code::CONNECT_REFUSED,
        "nothing listens on that port",
    )
    .knows(
        format!(
            "of {} listening sockets none has port {port}",
            listeners.len()
        ),
        "sock_diag",
    );
    let bound = answers.sockets.iter().flatten();
    let mut because = "this host's table of listeners is complete";
    if let Some(entry) = bound.into_iter().find(|entry| entry.state == State::Bound) {
        because = "a socket holds the port, but it does not listen";
        draft = draft.held(entry, answers);
    }
    draft = draft
        .cause("no program listens there", Confirmed, because)
        .fix(
            "start one",
            format!("{} --echo", netloom("listen", &written)),
        );
    for near in nearby(failure, addr, listeners) {
        let there = reach(near, near.local);
        if let Some(holder) = answers.holder(near) {
            draft = draft.knows(
                format!("{} listens on {}", holder.program, near.local),
                "sock_diag",
            );
        } else {
            draft = draft.knows(format!("{} LISTEN", near.local), "sock_diag");
        }
        let command = netloom("connect", &written.with_address(there));
        draft = draft.fix(format!("or port {}", near.local.port()), command);
    }
    draft.done()
}

/// Listeners on nearby ports that a connection to one of the addresses tried would meet.
fn nearby<'a>(failure: &Failure, addr: SocketAddr, listeners: &'a [Entry]) -> Vec<&'a Entry> {
    let tried = failure.trail().iter();
    let tried = tried.filter_map(|step| step.to.parse::<SocketAddr>().ok());
    let tried: Vec<IpAddr> = tried.chain([addr]).map(|addr| addr.ip()).collect();
    let meets = |entry: &&Entry| {
        let there = |ip: &IpAddr| SocketAddr::new(*ip, entry.local.port());
        tried.iter().any(|ip| entry.listens_for(there(ip)))
    };
    let distance = |entry: &&Entry| entry.local.port().abs_diff(addr.port());
    let mut near: Vec<&Entry> = listeners
        .iter()
        .filter(meets)
        .filter(|entry| distance(entry) <= NEAR)
        .collect();
    near.sort_by_key(distance);
    near.dedup_by_key(|entry| entry.local.port());
    near.truncate(MOST_NEAR);
    near
}

/// Refused by another host: one end cannot tell a closed port from a firewall's reset.
fn refused_there(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let addr = target(failure)?;
    if failure.code() != Code::CONNECT_REFUSED || answers.is_local(addr.ip()) {
        return None;
    }
    let heard = heard(failure, answers)?;
    let draft = Draft::of(
        failure,
        Code::CONNECT_REFUSED,
        "the host answered: nothing listens on that port",
    );
    if heard.end == DialEnd::Connected {
        return draft
            .knows("a second dial was answered", "connect")
            .cause(
                "the server began to listen a moment after the dial",
                Likely,
                "it answers now",
            )
            .fix("try again", netloom("connect", &endpoint(failure, addr)))
            .done();
    }
    let (dial, took) = (heard.name(), heard.took.as_secs_f64() * 1e3);
    draft
        .knows(
            format!("{dial} was refused by a reset after {took:.1} ms, without ICMP"),
            "error queue",
        )
        .cause(
            "no program listens there: not started, or another port",
            Likely,
            "a closed port answers so",
        )
        .cause(
            "a firewall answers with a reset",
            Possible,
            "that looks the same from this end",
        )
        .advice(format!(
            "see on {} whether the server runs, and on which port",
            addr.ip()
        ))
        .unchecked(
            format!("what listens on port {} of {}", addr.port(), addr.ip()),
            "the other end",
        )
        .done()
}
