//! Port 25 is blocked by many providers, so that their customers hand mail on
//! to a server of their own (RFC 5068 §3.1); 587 and 465 are open.

use std::net::SocketAddr;

use netloom_base::diagnosis::Unchecked;
use netloom_base::diagnosis::Verdict::{Likely, Possible, Refuted};
use netloom_base::{Code, Diagnosis, Endpoint, Failure, Stage};
use netloom_protocol::mail::codes::PORT_BLOCKED;
use netloom_transport::probe::DialEnd;

use super::super::answers::Answers;
use super::super::draft::Draft;
use super::super::target;
use super::scene;

/// The other schemes and ports of a protocol whose first port may be blocked,
/// where the failed one is that port.
pub(in super::super) fn other_ports(
    failure: &Failure,
    addr: SocketAddr,
) -> impl Iterator<Item = (&'static str, u16)> {
    let (_, card) = scene(failure);
    let card = card.filter(|card| {
        let first = card.schemes.first().and_then(|scheme| scheme.default_port);
        card.codes.iter().any(|row| row.code == PORT_BLOCKED.name()) && first == Some(addr.port())
    });
    let schemes = card.map_or(&[][..], |card| card.schemes);
    // The plainer one first: submission before smtps.
    let all = schemes
        .iter()
        .rev()
        .filter_map(|scheme| Some((scheme.name, scheme.default_port?)));
    all.filter(move |(_, port)| *port != addr.port())
}

/// The endpoint's host in another scheme, at that scheme's port.
pub(super) fn at(endpoint: &Endpoint, scheme: &str) -> Option<Endpoint> {
    format!("{scheme}://{}", endpoint.host()).parse().ok()
}

/// How a way can fail that a block on the way would make fail.
fn may_be_blocked(failure: &Failure, answers: &Answers, addr: SocketAddr) -> bool {
    failure.stage() == Stage::Connect
        && matches!(
            failure.code(),
            Code::CONNECT_TIMEOUT
                | Code::CONNECT_REFUSED
                | Code::CONNECT_REJECTED
                | Code::CONNECT_NEIGHBOUR
                | Code::CONNECT_NO_ROUTE
                | Code::CONNECT_DENIED_FIREWALL
        )
        && !answers.is_local(addr.ip())
        && other_ports(failure, addr).next().is_some()
}

pub(super) fn blocked(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let addr = target(failure)?;
    if !may_be_blocked(failure, answers, addr) {
        return None;
    }
    let tried = answers.elsewhere.as_ref()?;
    let open = |(.., dialled): &&(_, _, netloom_transport::probe::Dialled)| {
        dialled.end == DialEnd::Connected
    };
    let (first, port, _) = tried.iter().find(open)?;
    // It was only a moment's silence.
    if answers
        .dialled
        .is_some_and(|dialled| dialled.end == DialEnd::Connected)
    {
        return None;
    }
    let (endpoint, _) = scene(failure);
    let own = addr.port();
    let refused = failure.code() == Code::CONNECT_REFUSED;
    let mut draft = Draft::of(
        failure,
        PORT_BLOCKED,
        format!("port {own} is blocked, and port {port} of the same address answers"),
    );
    for (scheme, port, dialled) in tried {
        let how = match dialled.end {
            DialEnd::Connected => format!("answers in {:.1} ms", dialled.took.as_secs_f64() * 1e3),
            DialEnd::Failed(errno) => format!("answered {}", netloom_base::failure::Errno(errno)),
            DialEnd::Silent => "is silent".to_owned(),
        };
        draft = draft.knows(format!("port {port} ({scheme}) {how}"), "connect");
    }
    draft = if refused {
        draft
            .cause(
                "the host takes mail from users only: nobody listens on port 25 there",
                Likely,
                "a closed port answers with a reset",
            )
            .cause(
                "a provider or firewall answers for port 25 with a reset",
                Possible,
                "that looks the same from this end",
            )
    } else {
        draft
            .cause(
                "the provider or network of this host lets nobody out to port 25",
                Likely,
                "many do, against spam, and the host answers on another port",
            )
            .cause(
                "the firewall of that host lets nobody in on port 25",
                Possible,
                "that looks the same from this end",
            )
    };
    draft = draft.cause(
        "the host is off, or cannot be reached",
        Refuted,
        "it answers on another port",
    );
    if let Some(there) = endpoint.as_ref().and_then(|endpoint| at(endpoint, first)) {
        draft = draft.explain(&format!("hand mail on by {first}"), &there);
    }
    draft
        .advice("or ask the provider to open outgoing port 25")
        .unchecked("whose rule it is", "a dial of port 25 from another network")
        .done()
}

/// What a look at other ports would have said, where it was not allowed.
pub(in super::super) fn left_unchecked(
    failure: &Failure,
    answers: &Answers,
    mut diagnosis: Diagnosis,
) -> Diagnosis {
    let Some(addr) = target(failure) else {
        return diagnosis;
    };
    if answers.elsewhere.is_none() && may_be_blocked(failure, answers, addr) {
        let ports: Vec<String> = other_ports(failure, addr)
            .map(|(_, port)| port.to_string())
            .collect();
        diagnosis.unchecked.push(Unchecked {
            what: format!(
                "whether only port {} is blocked, and {} answers",
                addr.port(),
                ports.join(" or ")
            ),
            needs: "--deep".to_owned(),
        });
    }
    diagnosis
}
