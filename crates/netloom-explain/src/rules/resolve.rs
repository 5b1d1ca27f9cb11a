//! Names: who was asked, who answered what, and who said nothing.

use std::net::SocketAddr;

use netloom_base::complaint::nearest;
use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible, Refuted};
use netloom_base::failure::Fact;
use netloom_base::{Code, Diagnosis, Endpoint, Failure, Stage};

use super::answers::Answers;
use super::draft::{Draft, netloom};
use super::{Rule, servers};

pub(super) const RULES: &[Rule] = &[
    unconfigured,
    no_such_name,
    servers::failed,
    servers::timeout,
    servers::slow,
    no_address,
    no_family,
    other,
];

/// What one server answered to one question.
pub(super) struct Said<'a> {
    pub(super) server: SocketAddr,
    pub(super) answer: &'a str,
}

impl Said<'_> {
    pub(super) fn is_silence(&self) -> bool {
        self.answer == "nothing"
    }
}

pub(super) fn answered(failure: &Failure) -> Vec<Said<'_>> {
    let said = failure.facts().iter().filter_map(|fact| match fact {
        Fact::Answered { server, answer, .. } => Some(Said {
            server: *server,
            answer,
        }),
        _ => None,
    });
    said.collect()
}

/// The servers that were asked, each once.
pub(super) fn asked(failure: &Failure) -> Vec<SocketAddr> {
    let mut all: Vec<SocketAddr> = Vec::new();
    for said in answered(failure) {
        if !all.contains(&said.server) {
            all.push(said.server);
        }
    }
    all
}

fn endpoint(failure: &Failure) -> Option<Endpoint> {
    failure.endpoint()?.parse().ok()
}

pub(super) fn name(failure: &Failure) -> Option<String> {
    Some(endpoint(failure)?.host().name()?.to_owned())
}

fn said_by<'a>(failure: &'a Failure, by: &str) -> impl Iterator<Item = &'a str> {
    failure.facts().iter().filter_map(move |fact| match fact {
        Fact::Said { what, source } if source == by => Some(&what[..]),
        _ => None,
    })
}

/// A question to one server, by hand; `more` are further flags.
pub(super) fn dig(server: SocketAddr, name: &str, more: &str) -> String {
    let port = match server.port() {
        53 => String::new(),
        port => format!(" -p {port}"),
    };
    format!(
        "dig{more} +time=2 +tries=1 @{}{port} {}",
        server.ip(),
        shell_words::quote(name.trim_end_matches('.'))
    )
}

/// The verb for an endpoint like this one.
fn again(failure: &Failure, host: &str, answers: &Answers) -> Option<String> {
    let there = endpoint(failure)?.with_host(host.parse().ok()?);
    let verb = if answers.is_stream {
        "connect"
    } else {
        "explain"
    };
    Some(netloom(verb, &there))
}

/// What every answer about a name can be looked at with.
pub(super) fn look(draft: Draft, failure: &Failure, more: &str) -> Draft {
    let Some(name) = name(failure) else {
        return draft;
    };
    let quoted = shell_words::quote(&name).into_owned();
    let draft = asked(failure)
        .into_iter()
        .take(3)
        .fold(draft, |draft, server| {
            draft.fix(
                format!("ask {} by hand", server.ip()),
                dig(server, &name, more),
            )
        });
    draft.fix(
        "see what other programs get",
        format!("getent ahosts {quoted} || echo not found"),
    )
}

/// A stub of systemd-resolved: who it asks is said elsewhere.
pub(super) fn stub(draft: Draft, failure: &Failure) -> Draft {
    let stub = |server: &SocketAddr| {
        matches!(
            server.ip().to_string().as_str(),
            "127.0.0.53" | "127.0.0.54"
        )
    };
    if asked(failure).iter().any(stub) {
        draft.fix("see whom it asks in turn", "resolvectl status")
    } else {
        draft
    }
}

/// There is nobody to ask.
fn unconfigured(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    let why = said_by(failure, "resolv.conf").find(|said| said.starts_with("no name server"))?;
    if failure.stage() != Stage::Resolve {
        return None;
    }
    let why = why.rsplit(": ").next().unwrap_or(why);
    Draft::begun(failure)
        .cause(
            "this host is told of no name server that can be asked",
            Confirmed,
            why,
        )
        .fix("see what it is told", "cat /etc/resolv.conf")
        .advice("name one in /etc/resolv.conf: a line such as `nameserver 192.0.2.53`")
        .advice("or dial the address instead of the name, or name it in /etc/hosts")
        .done()
}

fn no_such_name(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::RESOLVE_NO_SUCH_NAME {
        return None;
    }
    let written = name(failure).unwrap_or_default();
    let bare = written.trim_end_matches('.');
    let mut draft = Draft::begun(failure);
    if said_by(failure, "RFC 6761, RFC 7686").next().is_some() {
        return draft
            .cause(
                "names that end so never exist in DNS",
                Confirmed,
                "that is what these endings are for",
            )
            .advice("write the name of a host that exists, or its address")
            .done();
    }
    let known = answers.host_names.iter().flatten().map(String::as_str);
    let near = nearest(bare, known.filter(|known| *known != bare));
    if let Some(near) = near {
        draft = draft
            .knows(format!("the hosts file knows {near}"), "/etc/hosts")
            .cause(
                format!("it is a slip: {near} was meant"),
                Likely,
                "the hosts file knows that name, and it differs by little",
            );
        if let Some(command) = again(failure, near, answers) {
            draft = draft.fix("that name", command);
        }
    }
    let labels = bare.split('.').count();
    let searched = said_by(failure, "resolv.conf").find(|said| said.contains("looked for in"));
    if labels == 1 && written.ends_with('.') {
        draft = draft.cause(
            "the dot at its end keeps it from being looked for in the search domains",
            Likely,
            "with it a single word is a top-level domain",
        );
        if let Some(command) = again(failure, bare, answers) {
            draft = draft.fix("without the dot", command);
        }
    } else if labels == 1 {
        draft = match searched {
            None => draft.cause(
                "a single word is only found in a search domain or the hosts file, and there is no search domain",
                Likely,
                "resolv.conf names none",
            ),
            Some(_) => draft.cause(
                "the host is in none of the search domains",
                Likely,
                "each of them was asked for",
            ),
        };
        draft = draft.advice(format!(
            "write the name with its domain: {bare}.example.org"
        ));
    } else if bare
        .rsplit('.')
        .next()
        .is_some_and(|last| last.eq_ignore_ascii_case("local"))
    {
        draft = draft
            .cause(
                "the host is off, or not on this network: names in .local are told by the hosts themselves",
                Likely,
                "RFC 6762",
            )
            .cause(
                "this system does not ask for such names",
                Possible,
                "that needs avahi-daemon and libnss-mdns, or systemd-resolved",
            )
            .fix("see whether the system would ask", "grep ^hosts /etc/nsswitch.conf");
    } else {
        draft = draft.cause(
            "the name is misspelt, or is not registered any more",
            Likely,
            "who answered is sure that there is none",
        );
    }
    let said = answered(failure);
    let differ = said
        .iter()
        .any(|one| one.answer != "NXDOMAIN" && !one.is_silence());
    draft = draft.cause(
        "another name server knows it: that of a company or a VPN",
        Possible,
        if differ {
            "the servers do not agree"
        } else {
            "only the servers of this host were asked"
        },
    );
    let others = other_servers(failure, answers);
    for server in others.into_iter().take(2) {
        draft = draft.fix(
            format!("ask {}, which was not asked", server.ip()),
            dig(server, bare, ""),
        );
    }
    stub(look(draft, failure, ""), failure).done()
}

/// Servers that the configuration names and nobody asked.
fn other_servers(failure: &Failure, answers: &Answers) -> Vec<SocketAddr> {
    let asked = asked(failure);
    let Some(config) = &answers.resolver_config else {
        return Vec::new();
    };
    if asked.iter().any(|server| server.port() != 53) {
        return Vec::new(); // it was not this configuration that was used
    }
    let named = config.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok())?
    });
    named
        .map(|ip| SocketAddr::new(ip, 53))
        .filter(|server| !asked.contains(server))
        .collect()
}

fn no_address(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::RESOLVE_NO_ADDRESS {
        return None;
    }
    let written = name(failure).unwrap_or_default();
    let bare = written.trim_end_matches('.');
    let said = answered(failure);
    let both = said
        .iter()
        .filter(|one| one.answer.starts_with("NOERROR"))
        .count()
        >= 2;
    let mut draft = Draft::begun(failure).cause(
        "the name is there for something else: mail, a service, or names below it",
        if both { Confirmed } else { Likely },
        "the servers know the name, and have neither an IPv4 nor an IPv6 address for it",
    );
    draft = draft.cause(
        "the name does not exist",
        Refuted,
        "NXDOMAIN would be the answer",
    );
    if let Some(server) = asked(failure).first() {
        for record in ["MX", "SRV", "CNAME"].into_iter().take(1) {
            draft = draft.fix(
                "see whether it is there for mail",
                format!("{} {record}", dig(*server, bare, "")),
            );
        }
    }
    if !bare.starts_with("www.")
        && let Some(command) = again(failure, &format!("www.{bare}"), answers)
    {
        draft = draft.fix("perhaps its web server was meant", command);
    }
    look(draft, failure, "").done()
}

fn no_family(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::RESOLVE_NO_FAMILY {
        return None;
    }
    let written = name(failure).unwrap_or_default();
    let mut draft = Draft::begun(failure).cause(
        "the address to dial from is of the other family than every address of the name",
        Confirmed,
        "both are told above",
    );
    // The family is given by `source`; without it, any address will do.
    if let Some(endpoint) = endpoint(failure) {
        let kept = endpoint
            .options()
            .iter()
            .filter(|setting| setting.key != "source");
        let without = kept.fold(endpoint.without_options(), |endpoint, setting| {
            endpoint.with_option(&setting.key, Some(&setting.value.to_string()))
        });
        let verb = if answers.is_stream {
            "connect"
        } else {
            "explain"
        };
        draft = draft.fix("leave out source=", netloom(verb, &without));
    }
    draft
        .fix(
            "see every address of the name",
            format!(
                "getent ahosts {}",
                shell_words::quote(written.trim_end_matches('.'))
            ),
        )
        .done()
}

fn other(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    if failure.code() != Stage::Resolve.other() {
        return None;
    }
    let draft = Draft::begun(failure).cause(
        "the resolver of this system is not set up as it should be",
        Possible,
        "what it says is told above",
    );
    look(draft, failure, "")
        .fix("see whom it asks", "cat /etc/resolv.conf")
        .fix(
            "and in which order",
            "grep ^hosts /etc/nsswitch.conf || true",
        )
        .done()
}
