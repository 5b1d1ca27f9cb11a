//! Binding: who holds the address, or why nobody may have it.

use std::net::{IpAddr, SocketAddr};

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible};
use netloom_base::endpoint::Host;
use netloom_base::{Code, Diagnosis, Failure, Stage};
use netloom_transport::probe::{Entry, State};

use super::answers::Answers;
use super::draft::{Draft, endpoint, netloom};
use super::{Rule, is_link_local, target};

pub(super) const RULES: &[Rule] = &[in_use, not_local, privileged_port, no_scope];

/// How many sockets of one kind are told of.
const MOST_TOLD: usize = 3;

/// How an existing socket stands in the way of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Clash {
    Exact,
    Overlap,
}

/// The kernel's rule: the same address, or one of the two is a wildcard that
/// holds the other. An IPv6 wildcard holds IPv4 too unless it is IPV6_V6ONLY.
fn clash(entry: &Entry, asked: SocketAddr) -> Option<Clash> {
    if entry.local.port() != asked.port() {
        return None;
    }
    let (own, asked) = (entry.local.ip().to_canonical(), asked.ip().to_canonical());
    let wildcard = |ip: IpAddr| ip.is_unspecified();
    match (own, asked) {
        (own, asked) if own == asked => Some(Clash::Exact),
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
            (wildcard(own) || wildcard(asked)).then_some(Clash::Overlap)
        }
        (IpAddr::V6(_), IpAddr::V4(_)) => {
            (wildcard(own) && entry.only_v6 != Some(true)).then_some(Clash::Overlap)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) => wildcard(asked).then_some(Clash::Overlap),
    }
}

fn in_use(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::BIND_IN_USE
        || failure.endpoint().is_some_and(|at| at.starts_with("udp"))
    {
        return None;
    }
    let asked = target(failure)?;
    let clashing: Vec<(&Entry, Clash)> = answers
        .sockets
        .as_ref()?
        .iter()
        .filter_map(|entry| Some((entry, clash(entry, asked)?)))
        .collect();
    let of = |state: State| {
        clashing
            .iter()
            .filter(move |(entry, _)| entry.state == state)
    };
    if let Some((entry, kind)) = of(State::Listen).min_by_key(|(_, kind)| *kind) {
        return match kind {
            Clash::Exact => listener(failure, answers, asked, entry),
            Clash::Overlap => overlap(failure, answers, asked, entry),
        };
    }
    if let Some((entry, _)) = of(State::Bound).min_by_key(|(_, kind)| *kind) {
        return bound(failure, answers, asked, entry);
    }
    let connected: Vec<&Entry> = clashing
        .iter()
        .map(|(entry, _)| *entry)
        .filter(|entry| entry.state != State::TimeWait)
        .collect();
    if !connected.is_empty() {
        return connection(failure, answers, asked, &connected);
    }
    let waiting: Vec<&Entry> = of(State::TimeWait).map(|(entry, _)| *entry).collect();
    if waiting.is_empty() {
        gone(failure, asked)
    } else {
        time_wait(failure, answers, asked, &waiting)
    }
}

fn listener(
    failure: &Failure,
    answers: &Answers,
    asked: SocketAddr,
    entry: &Entry,
) -> Option<Diagnosis> {
    let cause = match answers.holder(entry) {
        Some(holder) if holder.pid == answers.own_process => "this program already listens there",
        _ => "another server is already running there",
    };
    Draft::of(failure, Code::BIND_IN_USE, "the port is taken")
        .held(entry, answers)
        .cause(
            cause,
            Confirmed,
            "a socket that listens has this very address",
        )
        .stop(entry, answers)
        .other_port(failure, asked, answers)
        .done()
}

fn overlap(
    failure: &Failure,
    answers: &Answers,
    asked: SocketAddr,
    entry: &Entry,
) -> Option<Diagnosis> {
    let (wide, narrow) = if entry.local.ip().is_unspecified() {
        (entry.local, asked)
    } else {
        (asked, entry.local)
    };
    let what = format!("{} is taken, which overlaps it", entry.local);
    let because = if wide.ip().to_canonical().is_ipv4() == narrow.ip().to_canonical().is_ipv4() {
        format!("{wide} means every address, {} among them", narrow.ip())
    } else {
        format!(
            "{wide} means every address of both families, {} among them",
            narrow.ip()
        )
    };
    Draft::of(failure, Code::BIND_OVERLAP, what)
        .held(entry, answers)
        .cause(
            "another server listens on an overlapping address",
            Confirmed,
            &because,
        )
        .stop(entry, answers)
        .other_port(failure, asked, answers)
        .done()
}

fn bound(
    failure: &Failure,
    answers: &Answers,
    asked: SocketAddr,
    entry: &Entry,
) -> Option<Diagnosis> {
    Draft::of(
        failure,
        Code::BIND_BOUND,
        "a socket that does not listen holds the port",
    )
    .held(entry, answers)
    .cause(
        "a program bound the port and has not called listen",
        Confirmed,
        "the only socket with this address is bound and nothing else",
    )
    .stop(entry, answers)
    .other_port(failure, asked, answers)
    .done()
}

fn connection(
    failure: &Failure,
    answers: &Answers,
    asked: SocketAddr,
    connected: &[&Entry],
) -> Option<Diagnosis> {
    let port = asked.port();
    let mut draft = Draft::of(
        failure,
        Code::BIND_CONNECTION,
        "an open connection holds the port",
    );
    for entry in connected.iter().take(MOST_TOLD) {
        draft = draft.held(entry, answers);
    }
    if connected.len() > MOST_TOLD {
        let all = connected.len();
        draft = draft.knows(
            format!("{all} connections have local port {port}"),
            "sock_diag",
        );
    }
    draft = draft.knows(format!("nothing listens on port {port}"), "sock_diag");
    let of_server = "a connection of a server that no longer listens";
    let of_client = "a client's connection, which was given this port by chance";
    let ephemeral = answers.ports.map(|ports| {
        let (first, last) = ports.ephemeral;
        (first..=last).contains(&port)
    });
    // Clients may bind any port and, to different destinations, share one: nothing here is certain.
    let draft = match (connected.len(), ephemeral) {
        (2.., _) => draft.cause(of_server, Likely, "several connections share the port"),
        (_, Some(false)) => draft.cause(
            of_server,
            Likely,
            "clients are not given this port by the kernel",
        ),
        _ => draft
            .cause(
                of_server,
                Possible,
                "one socket does not tell which end it was",
            )
            .cause(
                of_client,
                Possible,
                "the port is of the range that clients are given",
            ),
    };
    let draft = match connected.iter().find(|entry| entry.inode != 0) {
        Some(entry) => draft.stop(entry, answers),
        None => draft.advice("wait until the connection is closed: no program holds it any more"),
    };
    draft
        .advice("set SO_REUSEADDR in the server that was there before: old connections then let it restart")
        .other_port(failure, asked, answers)
        .done()
}

fn time_wait(
    failure: &Failure,
    answers: &Answers,
    asked: SocketAddr,
    waiting: &[&Entry],
) -> Option<Diagnosis> {
    let left = waiting
        .iter()
        .map(|entry| entry.expires)
        .max()
        .unwrap_or_default();
    let seconds = left.as_secs() + 1;
    let mut draft = Draft::of(
        failure,
        Code::BIND_TIME_WAIT,
        "only closed connections hold the port",
    );
    for entry in waiting.iter().take(MOST_TOLD) {
        draft = draft.knows(entry, "sock_diag");
    }
    if waiting.len() > MOST_TOLD {
        draft = draft.knows(
            format!("{} sockets in TIME_WAIT", waiting.len()),
            "sock_diag",
        );
    }
    let again = netloom("listen", &endpoint(failure, asked));
    draft
        .cause(
            "the server that was there closed its connections first, and had not set SO_REUSEADDR",
            Confirmed,
            "nothing but TIME_WAIT has this address, and this program sets SO_REUSEADDR",
        )
        .fix(
            format!("wait {seconds} s"),
            format!("sleep {seconds}; {again}"),
        )
        .other_port(failure, asked, answers)
        .advice("set SO_REUSEADDR in that server before it binds: both need it (socket(7))")
        .done()
}

fn gone(failure: &Failure, asked: SocketAddr) -> Option<Diagnosis> {
    Draft::of(
        failure,
        Code::BIND_IN_USE,
        "the port was taken a moment ago",
    )
    .knows(
        format!("no TCP socket holds port {} now", asked.port()),
        "sock_diag",
    )
    .cause("whoever held it has let go since", Likely, "")
    .fix("try again", netloom("listen", &endpoint(failure, asked)))
    .done()
}

fn not_local(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::BIND_NOT_LOCAL {
        return None;
    }
    let asked = target(failure)?;
    let own = answers.addresses.as_ref()?;
    if let Some(address) = own.iter().find(|own| own.ip == asked.ip()) {
        let on = answers
            .interface(address.interface)
            .unwrap_or("an interface");
        let draft = Draft::of(
            failure,
            Code::BIND_NOT_LOCAL,
            "the address may not be used yet",
        )
        .knows(format!("{} on {on} is tentative", address.ip), "rtnetlink");
        return address.tentative.then(|| {
            draft
                .cause(
                    "duplicate address detection runs, or found another host with it",
                    Confirmed,
                    "",
                )
                .fix("try again", netloom("listen", &endpoint(failure, asked)))
                .done()
        })?;
    }
    let same_family = |ip: &IpAddr| ip.is_ipv4() == asked.is_ipv4();
    let has: Vec<String> = own
        .iter()
        .map(|own| own.ip)
        .filter(same_family)
        .map(|ip| ip.to_string())
        .collect();
    let has = if has.is_empty() {
        "none".to_owned()
    } else {
        has.join(", ")
    };
    let family = if asked.is_ipv4() { "IPv4" } else { "IPv6" };
    let what = format!("no interface of this host has {}", asked.ip());
    let written = endpoint(failure, asked);
    let draft = Draft::of(failure, Code::BIND_NOT_LOCAL, &what)
        .knows(
            format!("{family} addresses of this host: {has}"),
            "rtnetlink",
        )
        .cause(what, Confirmed, "the kernel lists every address")
        .cause(
            "it is the outside address of a NAT, a container's host or an old lease",
            Possible,
            "",
        )
        .fix(
            "listen on every interface",
            netloom("listen", &written.with_host(Host::Any)),
        );
    let usable = |ip: &IpAddr| same_family(ip) && !ip.is_loopback() && !is_link_local(*ip);
    match own
        .iter()
        .filter(|own| !own.tentative)
        .map(|own| own.ip)
        .find(usable)
    {
        Some(ip) => {
            let there = written.with_host(Host::from(SocketAddr::new(ip, 0)));
            draft
                .fix("or on one that it has", netloom("listen", &there))
                .done()
        }
        None => draft.done(),
    }
}

fn privileged_port(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::BIND_PRIVILEGED_PORT {
        return None;
    }
    let asked = target(failure)?;
    let start = answers.ports?.unprivileged_start;
    let port = asked.port();
    let setting = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    if port >= start {
        let draft = Draft::of(
            failure,
            Stage::Bind.other(),
            "this user may not bind the port",
        );
        return draft
            .knows(format!("ports from {start} on need no capability"), setting)
            .cause(
                "a security module forbids it (SELinux, AppArmor, a container's policy)",
                Likely,
                "",
            )
            .unchecked("which rule forbids it", "root: ausearch -m avc -ts recent")
            .done();
    }
    let user = answers
        .user
        .map_or_else(String::new, |uid| format!(" and this is uid {uid}"));
    let code = Code::BIND_PRIVILEGED_PORT;
    let mut draft = Draft::of(failure, code, format!("port {port} needs a capability"))
        .knows(
            format!("ports below {start} need CAP_NET_BIND_SERVICE{user}"),
            setting,
        )
        .cause(
            format!("this program may not bind ports below {start}"),
            Confirmed,
            "the port is below the limit, and the kernel answered with a refusal",
        );
    if let Some(port) = answers.free_port {
        let there = endpoint(failure, asked).with_port(port);
        draft = draft.fix("take a higher port", netloom("listen", &there));
    }
    if let Some(program) = &answers.program {
        let program = program.to_string_lossy();
        let program = shell_words::quote(&program);
        let command = format!("sudo setcap cap_net_bind_service=+ep {program}");
        draft = draft.fix("or allow this program", command);
    }
    let command = format!("sudo sysctl -w net.ipv4.ip_unprivileged_port_start={port}");
    draft.fix("or everybody", command).done()
}

fn no_scope(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let SocketAddr::V6(asked) = target(failure)? else {
        return None;
    };
    if failure.code() != Code::BIND_NO_SCOPE
        || !is_link_local((*asked.ip()).into())
        || asked.scope_id() != 0
    {
        return None;
    }
    let (verb, summary) = match failure.stage() {
        Stage::Connect => (
            "connect",
            "a link-local address needs the interface to go out by",
        ),
        _ => ("listen", "a link-local address needs its interface"),
    };
    let mut draft = Draft::of(failure, Code::BIND_NO_SCOPE, summary).cause(
        "every interface has a network fe80::/10 of its own, and none was named",
        Confirmed,
        "the address is link-local and its scope is 0 (RFC 4007 §6)",
    );
    let own = answers.addresses.iter().flatten();
    let mut on: Vec<u32> = own
        .filter(|own| {
            is_link_local(own.ip) && (verb == "connect" || own.ip == IpAddr::V6(*asked.ip()))
        })
        .map(|own| own.interface)
        .collect();
    on.dedup();
    for name in on
        .into_iter()
        .filter_map(|index| answers.interface(index))
        .take(MOST_TOLD)
    {
        let host = Host::V6 {
            addr: *asked.ip(),
            zone: Some(name.to_owned()),
        };
        let there = endpoint(failure, asked.into()).with_host(host);
        draft = draft
            .knows(format!("{name} has a link-local address"), "rtnetlink")
            .fix(format!("by {name}"), netloom(verb, &there));
    }
    draft.done()
}
