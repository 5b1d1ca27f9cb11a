//! The conversation itself: reset, closed, silent, or not as expected.

use std::net::SocketAddr;

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible, Refuted};
use netloom_base::failure::{Fact, Flow};
use netloom_base::{Code, Diagnosis, Endpoint, Failure, Stage};
use netloom_transport::probe::{Entry, Holder, State};

use super::Rule;
use super::answers::Answers;
use super::draft::{Draft, netloom};

pub(super) const RULES: &[Rule] = &[reset, keep_alive_race, peer_closed, timeout, unexpected];

/// Bytes that had come, and that had been sent.
pub(super) fn moved(failure: &Failure) -> Option<(u64, u64)> {
    let mut facts = failure.facts().iter().rev();
    facts.find_map(|fact| match fact {
        Fact::Moved { received, sent } => Some((*received, *sent)),
        _ => None,
    })
}

pub(super) fn flow(failure: &Failure) -> Option<&Flow> {
    failure.facts().iter().find_map(|fact| match fact {
        Fact::Flow(flow) => Some(flow),
        _ => None,
    })
}

/// With whom the conversation was.
pub(super) fn peer(failure: &Failure) -> Option<SocketAddr> {
    let said = failure.facts().iter().find_map(|fact| match fact {
        Fact::Said { what, source } if source == "getpeername" => {
            what.rsplit(' ').next()?.parse().ok()
        }
        Fact::Flow(flow) => Some(flow.remote),
        _ => None,
    });
    said.or_else(|| super::tls::second::met(failure))
}

/// The server's listening socket, where it is on this host.
pub(super) fn listener<'a>(failure: &Failure, answers: &'a Answers) -> Option<&'a Entry> {
    let peer = peer(failure)?;
    let mut sockets = answers.sockets.iter().flatten();
    sockets.find(|entry| entry.listens_for(peer))
}

pub(super) fn here(failure: &Failure, answers: &Answers) -> bool {
    peer(failure).is_some_and(|peer| answers.is_local(peer.ip()))
}

pub(super) fn endpoint(failure: &Failure) -> Option<Endpoint> {
    failure.endpoint()?.parse().ok()
}

/// The same conversation again, while the kernel's side of it can be watched.
pub(super) fn watch(draft: Draft, failure: &Failure, answers: &Answers) -> Draft {
    let verb = if answers.is_stream {
        "connect"
    } else {
        "explain"
    };
    let draft = match endpoint(failure) {
        Some(endpoint) => draft.fix(
            "see every step of another try",
            format!("{} -v", netloom(verb, &endpoint)),
        ),
        None => draft,
    };
    match peer(failure) {
        Some(peer) => draft.fix(
            "see what the kernel says of such connections",
            format!("ss -tinp dst {}", shell_words::quote(&peer.to_string())),
        ),
        None => draft,
    }
}

fn reset(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::RECV_RESET {
        return None;
    }
    let mut draft = Draft::begun(failure);
    let moved = moved(failure);
    let local = here(failure, answers);
    let listens = listener(failure, answers);
    if let Some(entry) = listens {
        draft = draft.held(entry, answers);
    }
    let unread = "the program at the other end closed while bytes of this end lay unread there";
    draft = match moved {
        Some((_, 0)) => draft.cause(unread, Refuted, "nothing had been sent"),
        Some((received, sent)) => draft.cause(
            unread,
            if received == 0 { Likely } else { Possible },
            &if received == 0 {
                format!("{sent} bytes had been sent, and not one came back: closing over unread bytes resets")
            } else {
                format!("{sent} bytes had been sent: closing over unread bytes resets")
            },
        ),
        None => draft.cause(unread, Possible, "closing over unread bytes resets"),
    };
    if local && answers.sockets.is_some() && listens.is_none() {
        draft = draft.cause(
            "the server ended or crashed",
            Likely,
            "nothing listens on its port any more",
        );
    } else {
        draft = draft.cause(
            "the program at the other end crashed or was killed, or aborts on purpose (SO_LINGER 0)",
            if matches!(moved, Some((_, 0))) { Likely } else { Possible },
            if matches!(moved, Some((_, 0))) {
                "without unread bytes only an abort resets"
            } else {
                ""
            },
        );
    }
    draft = if local {
        draft.cause(
            "something on the way reset it",
            Refuted,
            "the connection never left this host",
        )
    } else {
        draft.cause(
            "a firewall or balancer on the way reset it: it forgot the connection, or a rule forbids it",
            Possible,
            "that looks the same from this end",
        )
    };
    draft = draft
        .advice("in the other program: read until the end before closing, and look into its log");
    watch(draft, failure, answers)
        .unchecked(
            "which of these it is",
            "the other end, or a capture of both ends",
        )
        .done()
}

fn keep_alive_race(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::RECV_KEEP_ALIVE_RACE {
        return None;
    }
    let draft = Draft::begun(failure).cause(
        "the server closed the idle connection at the moment it was used again",
        Likely,
        "it had been idle for about as long as servers keep one",
    );
    watch(draft, failure, answers)
        .advice("keep idle connections for less time than the server does, and repeat what may be repeated")
        .done()
}

fn peer_closed(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::SEND_PEER_CLOSED {
        return None;
    }
    let mut draft = Draft::begun(failure);
    if let Some(entry) = listener(failure, answers) {
        draft = draft.held(entry, answers);
    }
    let (received, sent) = moved(failure).unwrap_or_default();
    draft = draft.cause(
        "the program at the other end had closed before everything was sent",
        Confirmed,
        "the kernel says EPIPE only of a connection that was closed or reset",
    );
    draft = if received > 0 {
        draft.cause(
            "it had said why: an error, or a goodbye",
            Likely,
            &format!("{received} bytes had come before"),
        )
    } else {
        draft.cause(
            "it did not want what it got, or crashed",
            Possible,
            &format!("{sent} bytes had been sent, and nothing came back"),
        )
    };
    draft = draft.advice("read what the peer says before sending more");
    watch(draft, failure, answers)
        .unchecked("why it closed", "its log, or the other end")
        .done()
}

/// The peer's socket, where it is on this host: it stays until its program closes it.
pub(super) fn other_end<'a>(
    flow: &Flow,
    answers: &'a Answers,
) -> Option<(&'a Entry, Option<&'a Holder>)> {
    let same = |a: SocketAddr, b: SocketAddr| {
        a.port() == b.port() && a.ip().to_canonical() == b.ip().to_canonical()
    };
    let mut sockets = answers.sockets.iter().flatten();
    let entry = sockets.find(|entry| {
        same(entry.local, flow.remote)
            && same(entry.remote, flow.local)
            && matches!(entry.state, State::Established | State::CloseWait)
    })?;
    Some((entry, answers.holder(entry)))
}

fn timeout(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::RECV_TIMEOUT {
        return None;
    }
    if matches!(failure.stage(), Stage::Resolve | Stage::Connect) {
        return not_reached(failure, answers);
    }
    let mut draft = Draft::begun(failure);
    let flow = flow(failure);
    let other = flow.and_then(|flow| other_end(flow, answers));
    draft = match (flow, other) {
        (_, Some((entry, holder))) if entry.unread() > 0 => {
            let who = holder.map_or_else(
                || "the program at the other end".to_owned(),
                |holder| format!("process {} `{}`", holder.pid, holder.program),
            );
            draft
                .knows(
                    format!("{} bytes lie unread at the other end", entry.unread()),
                    "sock_diag",
                )
                .held(entry, answers)
                .cause(
                    format!("{who} does not read what it was sent"),
                    Confirmed,
                    "the bytes lie in its socket",
                )
        }
        (_, Some((entry, _))) => draft.held(entry, answers).cause(
            "the other program has read everything, and does not answer: it works, waits for more, or has nothing to say",
            Likely,
            "nothing lies unread at its end",
        ),
        (Some(flow), None) if flow.window == Some(0) => draft.cause(
            "the program at the other end reads slowly, or stopped reading",
            Confirmed,
            "its window is closed now",
        ),
        (Some(flow), None) if flow.unsent > 0 && flow.again > 0 => draft
            .cause(
                "the other host is gone, or packets are lost on the way",
                Likely,
                "what was sent was not acknowledged, though it was sent again",
            )
            .cause("large packets are lost, small ones pass", Possible, "a router that drops what is too large, silently"),
        (Some(flow), None) if flow.unsent == 0 => draft
            .cause(
                "the other program got everything, and does not answer: it works, waits for more, or has nothing to say",
                Likely,
                "the other host acknowledged all that was sent",
            )
            .cause("packets are lost on the way", Refuted, "nothing is unacknowledged"),
        _ => draft
            .cause(
                "the other program is slow, or waits for more than it was sent",
                Possible,
                "an end of line or of input, for one",
            )
            .cause("the other host is gone", Possible, ""),
    };
    if failure.stage() == Stage::Tls {
        let why = "the handshake had begun, and was not over";
        draft = draft.cause("the other program does not speak TLS", Possible, why);
    }
    draft = draft
        .advice("give it more time: --timeout; or send what it waits for, such as an end of line");
    watch(draft, failure, answers)
        .unchecked(
            "what the other program waits for",
            "its log, or the other end",
        )
        .done()
}

/// The time was over before there was a connection.
fn not_reached(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let draft = Draft::begun(failure);
    let draft = if failure.stage() == Stage::Resolve {
        let why = "the time was over while the name was looked up";
        draft
            .cause("the name servers are slow or silent", Likely, why)
            .unchecked("which name server is silent", "more time: --timeout")
    } else {
        let why = "the time was over before a connection was there";
        draft
            .cause(
                "a firewall drops the packets, or the host is gone",
                Likely,
                why,
            )
            .cause(
                "the way there is slow, or the server takes no new connections",
                Possible,
                "",
            )
            .unchecked("where the packets are lost", "more time: --timeout")
    };
    let draft = draft.advice("give it more time: --timeout");
    watch(draft, failure, answers).done()
}

fn unexpected(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::RECV_UNEXPECTED {
        return None;
    }
    let Some((received, sent)) = moved(failure) else {
        return against_the_protocol(failure);
    };
    let mut draft = Draft::begun(failure);
    draft = if received == 0 {
        draft
            .cause(
                "the other program closed without a word",
                Confirmed,
                "not one byte came before its end",
            )
            .cause(
                "it waited for words that were not sent",
                Possible,
                &format!("{sent} bytes had been sent"),
            )
    } else {
        draft
            .cause(
                "the other program says something else",
                Confirmed,
                &format!("{received} bytes came, and what was expected is not among them"),
            )
            .cause(
                "it speaks another protocol, or another version of it",
                Possible,
                "",
            )
    };
    if let Some(endpoint) = endpoint(failure) {
        draft = draft.fix(
            "see what it says",
            format!("{} -v </dev/null", netloom("connect", &endpoint)),
        );
    }
    draft.advice("or expect another text: --expect").done()
}

/// Words of a protocol that its rules do not allow: what they are is told.
fn against_the_protocol(failure: &Failure) -> Option<Diagnosis> {
    let draft = Draft::begun(failure)
        .cause(
            "the server, or something that answers in its place, breaks the rules of its protocol",
            Likely,
            "what is wrong with its words is told above",
        )
        .cause("the answer was tampered with on the way", Possible, "");
    let draft = match endpoint(failure) {
        Some(endpoint) => draft.fix(
            "see whether it does so again",
            netloom("explain", &endpoint),
        ),
        None => draft,
    };
    draft
        .advice("in the server: repair what is told above")
        .done()
}
