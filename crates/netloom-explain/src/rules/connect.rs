//! Connecting: no way there, no answer, or no port to go out by.

use std::net::{IpAddr, SocketAddr};

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible};
use netloom_base::failure::Errno;
use netloom_base::{Code, Diagnosis, Failure, Stage};
use netloom_transport::probe::{DialEnd, Neighbour, Route, State};

use super::answers::Answers;
use super::draft::{Draft, endpoint, netloom, sudo};
use super::heard::heard;
use super::{Rule, is_link_local, target};

pub(super) const RULES: &[Rule] = &[
    no_route,
    neighbour,
    router_says,
    queue_full,
    silent_here,
    silent_there,
    no_local_port,
    to_itself,
    unreached_unnamed,
    denied_unnamed,
];

/// How a failure to reach anybody at all is coded at first.
fn unreached(failure: &Failure) -> bool {
    failure.stage() == Stage::Connect
        && (matches!(
            failure.code(),
            Code::CONNECT_NO_ROUTE
                | Code::CONNECT_NEIGHBOUR
                | Code::CONNECT_TIMEOUT
                | Code::CONNECT_DENIED_FIREWALL
        ) || failure.code() == Stage::Connect.other()
            || is_einval(failure))
}

/// What a blackhole route makes of connect: coded as a scope that is missing,
/// which only an address of one interface can lack.
fn is_einval(failure: &Failure) -> bool {
    failure.code() == Code::BIND_NO_SCOPE
        && target(failure).is_some_and(|addr| !is_link_local(addr.ip()))
}

/// This host has no way there.
fn no_route(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let addr = target(failure)?;
    let Some(Route::Refused(errno)) = answers.route else {
        return None;
    };
    if !unreached(failure) {
        return None;
    }
    let ip = addr.ip();
    let named = Errno(errno);
    let mut draft = Draft::of(
        failure,
        Code::CONNECT_NO_ROUTE,
        format!("this host has no route to {ip}"),
    )
    .knows(
        format!("the route lookup for {ip} answered {named}"),
        "rtnetlink",
    );
    let global =
        |ip: &IpAddr| ip.is_ipv4() == addr.is_ipv4() && !ip.is_loopback() && !is_link_local(*ip);
    let own: Vec<IpAddr> = answers
        .addresses
        .iter()
        .flatten()
        .map(|own| own.ip)
        .filter(global)
        .collect();
    let (family, flag) = if addr.is_ipv4() {
        ("IPv4", "")
    } else {
        ("IPv6", "-6 ")
    };
    let kind = match named.name() {
        Some("EHOSTUNREACH") => Some("unreachable"),
        Some("EACCES") => Some("prohibit"),
        Some("EINVAL") => Some("blackhole"),
        _ => None,
    };
    draft = match kind {
        Some(kind) => draft
            .cause(
                format!("a route of this host forbids it: it is of the type {kind}"),
                Confirmed,
                "the kernel found a route, and its type is a refusal",
            )
            .fix("see that route", format!("ip {flag}route show type {kind}")),
        _ if own.is_empty() => draft.cause(
            format!("this host has no {family} address beyond loopback"),
            Confirmed,
            "the kernel lists every address, and no route covers the destination",
        ),
        _ => draft.cause(
            format!("no route covers {ip}, and there is no default route"),
            Confirmed,
            "the kernel was asked for this very destination",
        ),
    };
    for down in answers
        .interfaces
        .iter()
        .flatten()
        .filter(|i| !i.up && !i.loopback)
        .take(3)
    {
        let name = &down.name;
        let command = format!(
            "{}ip link set {} up",
            sudo(answers),
            shell_words::quote(name)
        );
        draft = draft
            .knows(format!("interface {name} is switched off"), "rtnetlink")
            .fix(format!("switch {name} on"), command);
    }
    if addr.is_ipv6() && own.is_empty() {
        draft = draft.advice("use the host's IPv4 address");
    }
    draft
        .advice(match kind {
            Some(_) => format!("take it away, or add a narrower one to {ip}, with its gateway"),
            None => {
                format!("or add a route to {ip}: ip route add, with the gateway that leads there")
            }
        })
        .done()
}

/// The next hop does not answer: this host's own neighbour table says so.
fn neighbour(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let addr = target(failure)?;
    let (next, known) = answers.neighbour?;
    let own_word = heard(failure, answers)
        .and_then(|heard| heard.icmp)
        .is_some_and(|icmp| answers.is_local(icmp.from) && !icmp.is_policy());
    if !unreached(failure)
        || answers.is_local(addr.ip())
        || !(answers.next_hop_is_dead() || own_word)
    {
        return None;
    }
    let on = match answers.route {
        Some(Route::Way { interface, .. }) => {
            answers.interface(interface).unwrap_or("its interface")
        }
        _ => "its interface",
    };
    let asks = if next.is_ipv4() {
        "ARP"
    } else {
        "neighbour discovery"
    };
    let state = known.map_or("no entry", Neighbour::name);
    let what = if next == addr.ip() {
        format!("nobody on {on} answers for {next}")
    } else {
        format!("the router {next} on {on} does not answer")
    };
    Draft::of(failure, Code::CONNECT_NEIGHBOUR, &what)
        .knows(format!("{next} on {on}: {state}"), "rtnetlink")
        .cause(what, Confirmed, &format!("{asks} got no answer"))
        .cause(
            "it is switched off, or does not have this address",
            Likely,
            "",
        )
        .cause(
            "it is on another network: a wrong mask, VLAN, cable or access point",
            Possible,
            "",
        )
        .advice(format!("switch {next} on, or correct the address"))
        .unchecked("whether the host is on at all", "somebody beside it")
        .done()
}

/// A router on the way has no way further.
fn router_says(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let addr = target(failure)?;
    let said = heard(failure, answers)?.icmp;
    let icmp = said.filter(|icmp| !icmp.is_policy())?;
    if !unreached(failure) || answers.is_local(icmp.from) {
        return None;
    }
    let no_host = matches!(
        (icmp.from.is_ipv6(), icmp.kind, icmp.code),
        (false, 3, 1) | (true, 1, 3)
    );
    let (code, cause) = if no_host {
        (
            Code::CONNECT_NEIGHBOUR,
            format!(
                "the router {} cannot find {} on its network",
                icmp.from,
                addr.ip()
            ),
        )
    } else {
        (
            Code::CONNECT_NO_ROUTE,
            format!("the router {} has no way to {}", icmp.from, addr.ip()),
        )
    };
    Draft::of(failure, code, &cause)
        .knows(icmp, "error queue")
        .cause(cause, Confirmed, "it says so itself")
        .cause("the host is off, or the address is wrong", Likely, "")
        .advice(format!(
            "correct the address, or ask whoever runs {}",
            icmp.from
        ))
        .done()
}

/// A server on this host is alive and does not accept.
fn queue_full(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let addr = target(failure)?;
    if failure.code() != Code::CONNECT_TIMEOUT {
        return None;
    }
    let entry = answers
        .listeners_for(addr)
        .find(|entry| entry.queue_is_full())?;
    let mut draft = Draft::of(
        failure,
        Code::CONNECT_QUEUE_FULL,
        "the server's accept queue is full",
    )
    .held(entry, answers)
    .knows(
        format!(
            "{} connections wait to be accepted, {} may",
            entry.recv_queue, entry.send_queue
        ),
        "sock_diag",
    );
    if let Some(drops) = answers.drops {
        draft = draft.knows(
            format!("ListenOverflows {}", drops.overflows),
            "/proc/net/netstat",
        );
    }
    let who = answers.holder(entry).map_or_else(
        || "the server".to_owned(),
        |holder| format!("process {} `{}`", holder.pid, holder.program),
    );
    draft
        .cause(
            format!("{who} does not accept, or not fast enough"),
            Confirmed,
            "the kernel drops connections while more wait than the backlog allows",
        )
        .advice("accept faster, or in more threads; a longer backlog only helps against bursts")
        .stop(entry, answers)
        .done()
}

/// Packets of this host to itself do not get lost: a rule takes them.
fn silent_here(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let addr = target(failure)?;
    let silent = matches!(
        failure.code(),
        Code::CONNECT_TIMEOUT | Code::CONNECT_DENIED_FIREWALL
    );
    if !silent || !answers.is_local(addr.ip()) || answers.listeners.is_none() {
        return None;
    }
    if answers.dialled?.end != DialEnd::Silent {
        return None;
    }
    let draft = Draft::of(
        failure,
        Code::CONNECT_DENIED_FIREWALL,
        "this host's own rules drop it",
    );
    let text = "a firewall rule of this host drops the packets";
    let draft = match answers.listeners_for(addr).next() {
        Some(entry) => draft.held(entry, answers).cause(
            text,
            Likely,
            "the packets never leave this host, and the queue has room",
        ),
        None => draft
            .knows(
                format!("nothing listens on port {}", addr.port()),
                "sock_diag",
            )
            .cause(
                text,
                Confirmed,
                "without a rule this host would refuse at once, because nothing listens",
            ),
    };
    draft
        .fix(
            "read the rules",
            format!("{}nft list ruleset", sudo(answers)),
        )
        .unchecked("which rule it is", "root: nft list ruleset")
        .done()
}

/// Silence from another host.
fn silent_there(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let addr = target(failure)?;
    if failure.code() != Code::CONNECT_TIMEOUT || answers.is_local(addr.ip()) {
        return None;
    }
    let dialled = answers.dialled?;
    let ip = addr.ip();
    if dialled.end == DialEnd::Connected {
        let took = dialled.took.as_secs_f64() * 1e3;
        return Draft::of(failure, Code::CONNECT_TIMEOUT, "no answer came in time")
            .knows(
                format!("a second dial was answered after {took:.1} ms"),
                "connect",
            )
            .cause(
                "packets were lost, or the server was busy",
                Possible,
                "it answers now",
            )
            .fix("try again", netloom("connect", &endpoint(failure, addr)))
            .done();
    }
    let mut draft = Draft::of(failure, Code::CONNECT_TIMEOUT, "no answer came");
    let on_link = answers
        .neighbour
        .filter(|(next, known)| *next == ip && *known == Some(Neighbour::Reachable));
    let last = answers.path.as_ref().and_then(|path| path.hops.last());
    draft = match (on_link, last) {
        (Some(_), _) => draft
            .knows(
                format!(
                    "{ip} is on this network and answered ARP or neighbour discovery: REACHABLE"
                ),
                "rtnetlink",
            )
            .cause(
                "a firewall on that host drops the packets",
                Likely,
                "the host is on, and says nothing on this port",
            )
            .cause(
                "its server's accept queue is full",
                Possible,
                "that is silent too",
            )
            .cause(
                "the host is off",
                netloom_base::diagnosis::Verdict::Refuted,
                "it answered its neighbour",
            ),
        (None, Some((hops, router))) => draft
            .knows(
                format!("{router} answered at hop {hops}, and nobody after it"),
                "connect with IP_TTL",
            )
            .cause(
                format!("a firewall after {router} drops the packets"),
                Likely,
                "the way is good until there",
            )
            .cause(
                "the host is off",
                Possible,
                "a router may keep silent about it",
            )
            .cause(
                "its server's accept queue is full",
                Possible,
                "that is silent too",
            ),
        (None, None) => draft
            .knows("nobody answered on the way", "connect with IP_TTL")
            .cause(
                "a firewall drops the packets, here or on the way",
                Likely,
                "silence is what a drop rule gives",
            )
            .cause("the host is off", Possible, "")
            .cause(
                "its server's accept queue is full",
                Possible,
                "that is silent too",
            ),
    };
    draft
        .advice(format!(
            "let TCP port {} of {ip} pass, in the firewall of the host or its network",
            addr.port()
        ))
        .unchecked("which of these it is", "the other end")
        .unchecked(
            "whether this host's own rules drop it",
            "root: nft list ruleset",
        )
        .done()
}

fn no_local_port(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let addr = target(failure)?;
    let (first, last) = answers.ports?.ephemeral;
    let towards = answers.towards.as_ref()?;
    if failure.code() != Code::CONNECT_NO_LOCAL_PORT {
        return None;
    }
    let room = usize::from(last - first) + 1;
    let inside = |port: u16| (first..=last).contains(&port);
    let used: Vec<_> = towards
        .iter()
        .filter(|entry| inside(entry.local.port()))
        .collect();
    if used.len() * 10 < room * 9 {
        return None; // something else is missing: an address of this family, for one
    }
    let waiting = used
        .iter()
        .filter(|entry| entry.state == State::TimeWait)
        .count();
    let all = used.len() >= room;
    let mut draft = Draft::of(
        failure,
        Code::CONNECT_NO_LOCAL_PORT,
        format!("no local port is left for {addr}"),
    )
    .knows(
        format!(
            "{} of the {room} ports {first}-{last} are used towards {addr}",
            used.len()
        ),
        "sock_diag",
    )
    .knows(format!("{waiting} of them are in TIME_WAIT"), "sock_diag");
    let holder = used.iter().find_map(|entry| answers.holder(entry));
    if let Some(holder) = holder {
        let own = answers
            .holders
            .iter()
            .filter(|h| h.pid == holder.pid)
            .count();
        draft = draft.knows(
            format!(
                "process {} `{}` holds at least {own} of them",
                holder.pid, holder.command
            ),
            "/proc",
        );
    }
    let verdict = if all { Confirmed } else { Likely };
    let text = "every port that clients are given is used towards this destination";
    draft = draft.cause(
        text,
        verdict,
        "a connection needs a local port of its own for each destination",
    );
    draft = if waiting * 2 > used.len() {
        draft.advice("keep connections and use them again, instead of one for each request")
    } else {
        draft.advice("close connections that are not needed, or share them in a pool")
    };
    let sysctl = format!(
        "{}sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"",
        sudo(answers)
    );
    draft.fix("give out more ports", sysctl).done()
}

fn to_itself(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::CONNECT_SELF {
        return None;
    }
    let addr = target(failure)?;
    let (first, last) = answers.ports?.ephemeral;
    let port = addr.port();
    let mut draft = Draft::of(
        failure,
        Code::CONNECT_SELF,
        "the socket connected to itself",
    )
    .knows(
        format!("clients are given ports {first}-{last}, and {port} is one of them"),
        "/proc/sys/net/ipv4",
    )
    .cause(
        "nothing listens there, and the kernel gave this client the very port that it dialled",
        Confirmed,
        "both ends have the same address and port (RFC 9293 §3.5, simultaneous open)",
    );
    if let Some(free) = answers
        .free_port
        .filter(|free| !(first..=last).contains(free))
    {
        let there: SocketAddr = SocketAddr::new(addr.ip(), free);
        let command = netloom("listen", &endpoint(failure, addr).with_address(there));
        draft = draft.fix(format!("listen outside {first}-{last}"), command);
    }
    draft.advice("start the server before its clients").done()
}

/// Unreachable, and nobody said by whom: routers answer only so often.
fn unreached_unnamed(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let addr = target(failure)?;
    if failure.code() != Code::CONNECT_NEIGHBOUR || answers.is_local(addr.ip()) {
        return None;
    }
    Draft::of(
        failure,
        Code::CONNECT_NEIGHBOUR,
        "the host cannot be reached",
    )
    .cause(
        "the last router on the way cannot find the host",
        Possible,
        "",
    )
    .cause(
        "a router or firewall on the way rejects it",
        Possible,
        "the kernel answers the same",
    )
    .fix("try again", netloom("connect", &endpoint(failure, addr)))
    .unchecked(
        "who said that it cannot be reached",
        "a further try: routers limit how often they answer",
    )
    .done()
}

/// EACCES over IPv6: the kernel says so of a prohibition that came by ICMPv6,
/// and of a rule of its own.
fn denied_unnamed(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let addr = target(failure)?;
    let eacces = failure.errno().and_then(Errno::name) == Some("EACCES");
    if failure.stage() != Stage::Connect
        || failure.code() != Code::CONNECT_DENIED_FIREWALL
        || !eacces
        || addr.is_ipv4()
        || answers.is_local(addr.ip())
    {
        return None;
    }
    // A prohibition among the routes of this host would have been found.
    let code = match answers.route {
        Some(Route::Way { .. }) => Code::CONNECT_REJECTED,
        _ => failure.code(),
    };
    Draft::of(failure, code, "the connection is prohibited")
        .cause(
            "a router or firewall on the way prohibits it, by ICMPv6",
            Possible,
            "the kernel answers EACCES to that",
        )
        .cause(
            "a rule of this host rejects it",
            Possible,
            "the kernel answers the same",
        )
        .fix(
            "read the rules of this host",
            format!("{}nft list ruleset", sudo(answers)),
        )
        .fix("or try again", netloom("connect", &endpoint(failure, addr)))
        .unchecked(
            "who prohibits it",
            "a further try: routers limit how often they answer",
        )
        .done()
}
