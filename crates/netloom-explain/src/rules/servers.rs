//! Name servers: who answered with an error, and who with nothing.

use std::net::SocketAddr;

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible};
use netloom_base::failure::{Errno, Fact};
use netloom_base::{Code, Diagnosis, Failure, Stage};
use netloom_transport::probe::{DialEnd, Route};

use super::answers::{Answers, ServerWay};
use super::draft::Draft;
use super::resolve::{answered, asked, dig, look, name, stub};

pub(super) fn failed(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::RESOLVE_SERVER_FAILED {
        return None;
    }
    let name = name(failure).unwrap_or_default();
    let no_way = |server: SocketAddr| {
        let mut ways = answers.servers.iter();
        ways.any(|way| way.server == server && matches!(way.route, Some(Route::Refused(_))))
    };
    let mut draft = Draft::begun(failure);
    if let Some(way) = asked(failure).into_iter().find(|server| no_way(*server)) {
        let what = format!("this host has no route to its name server {}", way.ip());
        draft = Draft::of(failure, failure.code(), what);
    }
    let mut told: Vec<(SocketAddr, &str)> = Vec::new();
    for said in answered(failure) {
        if !told.contains(&(said.server, said.answer)) {
            told.push((said.server, said.answer));
        }
    }
    let mut secured = false;
    for (server, answer) in &told {
        let who = server.ip();
        if no_way(*server) {
            draft = draft.cause(
                format!("this host has no route to its name server {who}"),
                if told.len() == 1 { Confirmed } else { Likely },
                "the kernel was asked for this very address",
            );
            continue;
        }
        draft = match *answer {
            "SERVFAIL" => {
                secured = true;
                draft.cause(
                    format!(
                        "the servers that {who} asks in turn do not answer it, or answer wrongly"
                    ),
                    Possible,
                    "SERVFAIL says only that it got no answer that it would pass on",
                )
            }
            "REFUSED" => draft.cause(
                format!("{who} does not answer for this host, or not for this name"),
                Confirmed,
                "REFUSED is a policy of that server (RFC 1035 §4.1.1)",
            ),
            "NOTAUTH" | "NOTIMP" | "FORMERR" | "BADVERS" => draft.cause(
                format!("{who} is no resolver, or a very old one"),
                Likely,
                "it does not understand a plain question",
            ),
            "nothing" => draft.cause(
                format!("{who} is off, or cannot be reached"),
                Likely,
                "it said nothing",
            ),
            errno
                if Errno::named(errno)
                    .is_some_and(|errno| errno.name() == Some("ECONNREFUSED")) =>
            {
                let mut ways = answers.servers.iter();
                let here = ways.any(|way| way.server == *server && way.runs == Some(false));
                let alone = told.len() == 1;
                if here {
                    draft
                        .knows(
                            format!("no socket of this host has UDP port {}", server.port()),
                            "/proc/net/udp",
                        )
                        .cause(
                            format!("no name server runs on {who}, which is this host"),
                            if alone { Confirmed } else { Likely },
                            "nobody has its port",
                        )
                } else {
                    draft
                        .cause(
                            format!("no name server runs on {who}"),
                            Likely,
                            "a closed UDP port is answered so, by ICMP",
                        )
                        .cause(
                            format!("a firewall rejects questions to {who}"),
                            Possible,
                            "that looks the same from this end",
                        )
                }
            }
            errno if Errno::named(errno).is_some() => draft.cause(
                format!("{who} cannot be reached"),
                Confirmed,
                "the kernel says so",
            ),
            _ => draft.cause(
                format!("{who} answered with an error"),
                Likely,
                "it is told above",
            ),
        };
    }
    if told.is_empty() {
        draft = draft.cause(
            "the resolver of this system got no answer",
            Likely,
            "getaddrinfo says so",
        );
    }
    if secured {
        draft = draft.cause(
            "the name's signatures (DNSSEC) are broken, and the server checks them",
            Possible,
            "servers say SERVFAIL to that",
        );
        for (server, _) in told
            .iter()
            .filter(|(_, answer)| *answer == "SERVFAIL")
            .take(1)
        {
            draft = draft.fix(
                "see whether it is the signatures: without the check",
                dig(*server, &name, " +cd"),
            );
        }
        draft = draft.unchecked(
            "whether the name's signatures are the reason",
            "a question without the check: dig +cd",
        );
    }
    draft = ways(draft, answers);
    stub(look(draft, failure, ""), failure)
        .advice("or name another server in /etc/resolv.conf")
        .done()
}

/// The ways to the servers, as far as they were looked at.
fn ways(draft: Draft, answers: &Answers) -> Draft {
    answers.servers.iter().fold(draft, |draft, way| {
        let who = way.server.ip();
        let draft = match way.route {
            Some(Route::Refused(errno)) => draft.knows(
                format!("the route lookup for {who} answered {}", Errno(errno)),
                "rtnetlink",
            ),
            _ => draft,
        };
        match way.over_tcp {
            Some(DialEnd::Connected) => {
                draft.knows(format!("{} accepts TCP", way.server), "connect")
            }
            Some(DialEnd::Failed(errno)) => draft.knows(
                format!("{} over TCP: {}", way.server, Errno(errno)),
                "connect",
            ),
            Some(DialEnd::Silent) => {
                draft.knows(format!("{} is silent over TCP too", way.server), "connect")
            }
            None => draft,
        }
    })
}

pub(super) fn timeout(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::RESOLVE_TIMEOUT {
        return None;
    }
    let said = answered(failure);
    let mut silent: Vec<SocketAddr> = Vec::new();
    for one in said.iter().filter(|one| one.is_silence()) {
        if !silent.contains(&one.server) {
            silent.push(one.server);
        }
    }
    let mut draft = ways(Draft::begun(failure), answers);
    if silent.is_empty() {
        draft = draft
            .cause(
                "the resolver of this system waits for a server that is silent",
                Likely,
                "",
            )
            .fix("see whom it asks", "cat /etc/resolv.conf");
    }
    let way = |server: &SocketAddr| answers.servers.iter().find(|way| way.server == *server);
    for server in &silent {
        let who = server.ip();
        draft = match way(server) {
            Some(ServerWay {
                route: Some(Route::Refused(_)),
                ..
            }) => draft.cause(
                format!("this host has no route to its name server {who}"),
                if silent.len() == 1 { Confirmed } else { Likely },
                "the kernel was asked for this very address",
            ),
            Some(ServerWay {
                runs: Some(false), ..
            }) => draft
                .knows(
                    format!("no socket of this host has UDP port {}", server.port()),
                    "/proc/net/udp",
                )
                .cause(
                    format!("no name server runs on {who}, which is this host"),
                    if silent.len() == 1 { Confirmed } else { Likely },
                    "nobody has its port",
                ),
            Some(ServerWay {
                over_tcp: Some(DialEnd::Connected),
                ..
            }) => draft.cause(
                format!("UDP to {who} is dropped, or its UDP side hangs"),
                Likely,
                "it accepts TCP on the same port",
            ),
            Some(ServerWay {
                route: Some(Route::Way { local: true, .. }),
                ..
            }) => draft.cause(
                format!("the name server on this host, {who}, hangs, or gets no answer itself"),
                Likely,
                "the way to it stays on this host, and a closed port would say so at once",
            ),
            Some(ServerWay {
                over_tcp: Some(DialEnd::Silent),
                ..
            }) => draft.cause(
                format!("{who} is off, or a firewall drops everything to it"),
                Likely,
                "it is silent over TCP too",
            ),
            _ => draft
                .cause(
                    format!("{who} is off, or is no name server any more"),
                    Likely,
                    "it said nothing",
                )
                .cause(
                    format!(
                        "a firewall drops questions to {who}, UDP port {}",
                        server.port()
                    ),
                    Possible,
                    "that looks the same from this end",
                ),
        };
    }
    let deaf = answers.servers.iter().any(|way| way.over_tcp.is_none());
    if deaf && !silent.is_empty() {
        draft = draft.unchecked("whether the server answers over TCP", "--deep");
    }
    if let Some(server) = silent.first() {
        draft = draft.fix(
            format!("see the way to {}", server.ip()),
            format!("ip route get {} || true", server.ip()),
        );
    }
    stub(look(draft, failure, ""), failure)
        .advice("or name a server that answers in /etc/resolv.conf")
        .done()
}

pub(super) fn slow(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let noted = failure
        .facts()
        .iter()
        .any(|fact| matches!(fact, Fact::Noted { code, .. } if *code == Code::RESOLVE_SLOW));
    if failure.code() != Code::RESOLVE_SLOW && !(noted && failure.code() == Stage::Resolve.other())
    {
        return None;
    }
    let said = answered(failure);
    let dead = said.iter().find(|one| one.is_silence());
    let draft = ways(Draft::begun(failure), answers);
    let draft = match dead {
        Some(one) => draft.cause(
            format!(
                "{} is silent, and each program waits for it before it asks the next",
                one.server.ip()
            ),
            Likely,
            "another server answered at once",
        ),
        None => draft.cause(
            "the first name server is silent, and each program waits for it",
            Possible,
            "answers come in steps of its timeout",
        ),
    };
    look(draft, failure, "")
        .cause(
            "the questions for IPv4 and IPv6 go out together, and a router loses one",
            Possible,
            "resolv.conf(5): single-request-reopen",
        )
        .cause(
            "every search domain is asked first",
            Possible,
            "resolv.conf(5): ndots",
        )
        .fix("see the order and the options", "cat /etc/resolv.conf")
        .advice("take the silent server out, or put it last")
        .done()
}
