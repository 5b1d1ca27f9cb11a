//! Datagrams: what came back instead of an answer, what would not leave, and
//! where a group could not be joined.

use std::net::SocketAddr;

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible};
use netloom_base::failure::{Fact, Icmp};
use netloom_base::{Code, Diagnosis, Endpoint, Failure, Stage};
use netloom_transport::probe::{Entry, Route};

use super::answers::Answers;
use super::draft::{Draft, endpoint, netloom, sudo};
use super::{Rule, target};

pub(super) const RULES: &[Rule] = &[
    taken,
    refused,
    rejected,
    too_large,
    own_firewall,
    broadcast,
    no_interface,
    no_way,
    peer_closed,
    unix_left_over,
    unix_missing,
];

fn icmp(failure: &Failure) -> Option<Icmp> {
    failure.facts().iter().find_map(|fact| match fact {
        Fact::Icmp(icmp) => Some(*icmp),
        _ => None,
    })
}

/// The endpoint with one more option.
fn with_option(endpoint: &Endpoint, option: &str) -> String {
    let text = endpoint.to_string();
    // Options stand directly after the authority, before a path or query.
    let start = text.find("//").map_or(0, |at| at + 2);
    let end = text[start..]
        .find(['/', '?'])
        .map_or(text.len(), |at| start + at);
    let (front, rest) = text.split_at(end);
    let joined = format!("{front},{option}{rest}");
    format!("netloom connect {}", shell_words::quote(&joined))
}

/// Another program receives there. What found it binds datagrams: of streams
/// the coarse code is another one.
fn taken(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::BIND_BOUND {
        return None;
    }
    let addr = target(failure)?;
    let sockets = answers.sockets.as_ref()?;
    let overlaps = |entry: &&Entry| {
        let (own, other) = (addr.ip().to_canonical(), entry.local.ip().to_canonical());
        own == other || own.is_unspecified() || other.is_unspecified()
    };
    let draft = Draft::of(failure, Code::BIND_BOUND, "the port is taken");
    let other = netloom("listen", &endpoint(failure, addr).with_port(0));
    let Some(entry) = sockets.iter().find(overlaps) else {
        return draft
            .cause("a program had it, and has let go of it since", Likely, "")
            .fix("try again", netloom("listen", &endpoint(failure, addr)))
            .done();
    };
    draft
        .held(entry, answers)
        .cause(
            "another program receives datagrams there",
            Confirmed,
            "a UDP socket has this very port",
        )
        .stop(entry, answers)
        .fix("or any free port", other)
        .done()
}

/// The host itself says that the port is closed.
fn refused(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::SEND_REFUSED {
        return None;
    }
    let addr = target(failure)?;
    let port = addr.port();
    let what = "nothing receives on that UDP port";
    let draft = Draft::of(failure, Code::SEND_REFUSED, what);
    let here = answers.is_local(addr.ip());
    let near = endpoint(failure, addr);
    let start = netloom("listen", &near.without_options());
    if here {
        return draft
            .cause(
                format!(
                    "no program of this host has UDP port {port} of {} open",
                    addr.ip()
                ),
                Confirmed,
                "this host itself answered that the port is closed",
            )
            .fix("start one", format!("{start} --echo"))
            .fix("see what is open", format!("ss -lun 'sport = :{port}'"))
            .done();
    }
    draft
        .cause(
            format!("no program there has UDP port {port} open"),
            Likely,
            "the answer came from the host itself",
        )
        .cause(
            "a firewall on that host rejects it and says the same",
            Possible,
            "",
        )
        .fix("look there", format!("ss -lun 'sport = :{port}'"))
        .unchecked(
            format!("whether a program has the port open on {}", addr.ip()),
            "the other end",
        )
        .done()
}

/// Somebody on the way, or a rule of the host, says no.
fn rejected(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::SEND_REJECTED {
        return None;
    }
    let addr = target(failure)?;
    let who = icmp(failure)?.from;
    let draft = Draft::of(
        failure,
        Code::SEND_REJECTED,
        format!("{who} rejected the datagram"),
    );
    if answers.is_local(who) {
        return draft.rejected_here("it", answers).done();
    }
    let themselves = "a closed port is told in other words, and the host itself sent this";
    draft
        .rejected_by(who, addr, "UDP", themselves)
        .unchecked(
            "whether a program receives behind the rule",
            "the other end",
        )
        .done()
}

fn too_large(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::SEND_TOO_LARGE {
        return None;
    }
    let addr = target(failure)?;
    let limit = |asked: &str| {
        failure.facts().iter().find_map(|fact| match fact {
            Fact::Limit { name, allows } if *name == asked => Some(*allows),
            _ => None,
        })
    };
    let what = failure.summary();
    let what = what.split_once(": ").map_or(&*what, |(_, what)| what);
    let draft = Draft::of(failure, Code::SEND_TOO_LARGE, what);
    if let Some(most) = limit("a datagram") {
        return draft
            .cause(
                format!("no datagram carries more than {most} bytes"),
                Confirmed,
                "its length is a number of 16 bits, with the headers (RFC 768)",
            )
            .advice("send it in parts of at most 1200 bytes, which every path carries whole")
            .fix(
                "or as a stream",
                format!(
                    "netloom connect {}",
                    shell_words::quote(&Endpoint::tcp(addr).to_string())
                ),
            )
            .done();
    }
    let headers = if addr.ip().to_canonical().is_ipv4() {
        28
    } else {
        48
    };
    let draft = match (limit("the path MTU"), icmp(failure)) {
        (Some(mtu), Some(icmp)) => draft.cause(
            format!(
                "a link behind {} carries packets of at most {mtu} bytes",
                icmp.from
            ),
            Confirmed,
            "it says so itself",
        ),
        (Some(mtu), None) => draft.cause(
            format!("a link on the way there carries packets of at most {mtu} bytes"),
            Confirmed,
            "the kernel knows it from its interface, or from an earlier answer",
        ),
        _ => draft.cause("a link on the way there carries less", Likely, ""),
    };
    let draft = match limit("the path MTU") {
        Some(mtu) => draft.advice(format!(
            "send at most {} bytes in one datagram",
            mtu.saturating_sub(headers)
        )),
        None => draft.advice("send at most 1200 bytes in one datagram"),
    };
    draft
        .fix("see the path's MTU", format!("tracepath -n {}", addr.ip()))
        .advice("or leave `df` out of the endpoint: then it is sent in fragments")
        .done()
}

/// The kernel itself forbids it.
fn own_firewall(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::SEND_DENIED_FIREWALL {
        return None;
    }
    Draft::of(
        failure,
        Code::SEND_DENIED_FIREWALL,
        "this host's own rules keep the datagram from leaving",
    )
    .cause(
        "a firewall rule for outgoing packets drops it (nftables or iptables, chain output)",
        Confirmed,
        "the kernel answers EPERM to a datagram only when a filter of this host drops it",
    )
    .fix(
        "read the rules",
        format!("{}nft list ruleset", sudo(answers)),
    )
    .unchecked("which rule it is", "root: nft list ruleset")
    .done()
}

fn broadcast(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::SEND_DENIED_BROADCAST {
        return None;
    }
    let addr = target(failure)?;
    Draft::of(
        failure,
        Code::SEND_DENIED_BROADCAST,
        "this goes to every host of a network, and that was not asked for",
    )
    .cause(
        format!(
            "{} is a broadcast address, and broadcast was not allowed",
            addr.ip()
        ),
        Confirmed,
        "sending there needs SO_BROADCAST (socket(7))",
    )
    .fix(
        "allow it",
        with_option(&endpoint(failure, addr), "broadcast"),
    )
    .done()
}

fn no_interface(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::JOIN_NO_INTERFACE {
        return None;
    }
    let addr = target(failure)?;
    let interfaces = answers.interfaces.as_ref()?;
    let group = addr.ip();
    let mut draft = Draft::of(
        failure,
        Code::JOIN_NO_INTERFACE,
        format!("no interface of this host reaches the group {group}"),
    );
    let down = |down: &&netloom_transport::probe::Interface| down.multicast && !down.up;
    if let Some(down) = interfaces.iter().find(down) {
        draft = draft
            .cause(
                format!("{} is switched off", down.name),
                Likely,
                "it would carry multicast",
            )
            .fix(
                "switch it on",
                format!("{}ip link set {} up", sudo(answers), down.name),
            );
    }
    let able = |up: &&netloom_transport::probe::Interface| up.multicast && up.up;
    if let Some(able) = interfaces.iter().find(able) {
        let example = if group.is_ipv4() {
            "192.0.2.10/24"
        } else {
            "fe80::10/64"
        };
        draft = draft
            .cause(
                format!(
                    "{} has no address to send from, or was set not to join",
                    able.name
                ),
                Likely,
                "it is up and carries multicast",
            )
            .fix(
                "give it one, such as",
                format!("{}ip addr add {example} dev {}", sudo(answers), able.name),
            );
    } else if interfaces.iter().all(|interface| !interface.multicast) {
        draft = draft.cause(
            "this host has no interface for multicast",
            Confirmed,
            "no interface has the flag MULTICAST",
        );
    }
    let here = endpoint(failure, addr);
    draft
        .fix("or stay on this host", with_option(&here, "interface=lo"))
        .done()
}

/// No route, or nobody at its end.
fn no_way(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let code = failure.code();
    let ours = failure.stage() == Stage::Send;
    if !ours || !matches!(code, Code::CONNECT_NO_ROUTE | Code::CONNECT_NEIGHBOUR) {
        return None;
    }
    let addr: SocketAddr = target(failure)?;
    let ip = addr.ip();
    if code == Code::CONNECT_NO_ROUTE {
        let route = format!("ip route get {ip}");
        return Draft::of(failure, code, format!("this host has no route to {ip}"))
            .cause(
                "no entry of the routing table leads there",
                if matches!(answers.route, Some(Route::Refused(_))) {
                    Confirmed
                } else {
                    Likely
                },
                "the kernel refused before anything was sent",
            )
            .fix("see the routes", route)
            .done();
    }
    let draft = Draft::of(failure, code, format!("{ip} cannot be reached"));
    let draft = match icmp(failure).filter(|icmp| !answers.is_local(icmp.from)) {
        Some(icmp) => draft.cause(
            format!("the router {} finds no way on", icmp.from),
            Confirmed,
            "it says so itself",
        ),
        None => draft.cause(
            "no host of that network answers for the address",
            Confirmed,
            "this host asked for it and had no answer",
        ),
    };
    draft
        .fix("see who answers there", format!("ip neigh get {ip} dev $(ip route get {ip} | grep -o \"dev [^ ]*\" | cut -d\" \" -f2)"))
        .done()
}

/// The other end of a unix datagram socket is gone.
fn peer_closed(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    let name = unixgram(failure)?;
    if failure.code() != Code::SEND_PEER_CLOSED {
        return None;
    }
    Draft::of(
        failure,
        Code::SEND_PEER_CLOSED,
        "its receiver has closed the socket",
    )
    .cause(
        "the program that received there has ended or closed it",
        Confirmed,
        "a unix socket tells its senders at once",
    )
    .fix("start one", listen_there(name))
    .done()
}

/// The name of a unix datagram endpoint.
fn unixgram(failure: &Failure) -> Option<&str> {
    failure.endpoint()?.strip_prefix("unixgram:")
}

fn listen_there(name: &str) -> String {
    let url = format!("unixgram:{name}");
    format!("netloom listen {} --echo", shell_words::quote(&url))
}

fn unix_left_over(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    let name = unixgram(failure)?;
    if failure.code() != Code::CONNECT_STALE_SOCKET {
        return None;
    }
    Draft::of(failure, failure.code(), "nobody has the socket file open")
        .cause(
            "the program that made the file ended without removing it",
            Confirmed,
            "the kernel refuses a socket file that no open socket belongs to",
        )
        .fix("remove it", format!("rm {}", shell_words::quote(name)))
        .fix("start the receiver again", listen_there(name))
        .done()
}

fn unix_missing(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    let name = unixgram(failure)?;
    if !matches!(
        failure.code(),
        Code::CONNECT_NO_SUCH_PATH | Code::CONNECT_REFUSED
    ) {
        return None;
    }
    Draft::of(failure, failure.code(), "nobody receives under that name")
        .cause(
            "the receiver is not running, or has another name",
            Confirmed,
            "nothing is there to send to",
        )
        .fix("start one", listen_there(name))
        .done()
}

#[cfg(test)]
mod tests {
    use netloom_base::Side;
    use netloom_base::failure::Errno;
    use netloom_transport::probe::Interface;

    use super::super::diagnose;
    use super::*;

    fn failed(code: Code, to: &str) -> Failure {
        Failure::new(Stage::Send, Side::Path, code)
            .fact(Fact::Errno(Errno(111)))
            .fact(Fact::Tried(to.parse().unwrap()))
            .at(format!("udp://{to}"))
    }

    fn said(kind: u8, code: u8, from: &str) -> Fact {
        let from = from.parse().unwrap();
        Fact::Icmp(Icmp { kind, code, from })
    }

    #[test]
    fn a_closed_port_here_is_certain_and_there_is_likely() {
        let here = failed(Code::SEND_REFUSED, "127.0.0.1:9").fact(said(3, 3, "127.0.0.1"));
        let diagnosis = diagnose(&here, &Answers::default());
        assert_eq!(diagnosis.causes[0].verdict, Confirmed);
        let fix = diagnosis.fixes[0].command.as_deref();
        assert_eq!(fix, Some("netloom listen udp://127.0.0.1:9 --echo"));
        let there = failed(Code::SEND_REFUSED, "192.0.2.1:9").fact(said(3, 3, "192.0.2.1"));
        let diagnosis = diagnose(&there, &Answers::default());
        assert_eq!(diagnosis.causes[0].verdict, Likely);
        assert_eq!(diagnosis.causes.len(), 2);
    }

    #[test]
    fn whoever_rejects_is_named() {
        let failure = failed(Code::SEND_REJECTED, "192.0.2.1:9").fact(said(3, 13, "10.0.0.1"));
        let text = diagnose(&failure, &Answers::default()).to_string();
        assert!(
            text.contains("10.0.0.1, a router or firewall on the way"),
            "{text}"
        );
        let own = failed(Code::SEND_REJECTED, "127.0.0.1:9").fact(said(3, 13, "127.0.0.1"));
        let text = diagnose(&own, &Answers::default()).to_string();
        assert!(text.contains("rule of this host"), "{text}");
    }

    #[test]
    fn too_large_says_how_much_fits() {
        let limit = |name, allows| Fact::Limit { name, allows };
        let path = failed(Code::SEND_TOO_LARGE, "192.0.2.1:9")
            .message("a datagram of 1400 bytes is too large for the way there")
            .fact(limit("the path MTU", 1280))
            .fact(said(3, 4, "10.0.0.1"));
        let text = diagnose(&path, &Answers::default()).to_string();
        assert!(text.contains("a link behind 10.0.0.1"), "{text}");
        assert!(text.contains("at most 1252 bytes"), "{text}");
        let most = failed(Code::SEND_TOO_LARGE, "192.0.2.1:9").fact(limit("a datagram", 65_507));
        let text = diagnose(&most, &Answers::default()).to_string();
        assert!(text.contains("65507"), "{text}");
        assert!(text.contains("netloom connect tcp://192.0.2.1:9"), "{text}");
    }

    #[test]
    fn broadcast_and_groups_end_with_what_to_paste() {
        let failure = failed(Code::SEND_DENIED_BROADCAST, "255.255.255.255:9");
        let diagnosis = diagnose(&failure, &Answers::default());
        assert_eq!(
            diagnosis.fixes[0].command.as_deref(),
            Some("netloom connect udp://255.255.255.255:9,broadcast")
        );
        let interface = |name: &str, up, multicast| Interface {
            index: 1,
            name: name.to_owned(),
            up,
            running: up,
            loopback: false,
            multicast,
        };
        let failure = failed(Code::JOIN_NO_INTERFACE, "239.1.1.1:9");
        let mut answers = Answers {
            user: Some(0),
            interfaces: Some(vec![
                interface("lo", true, false),
                interface("eth0", false, true),
            ]),
            ..Answers::default()
        };
        let diagnosis = diagnose(&failure, &answers);
        assert_eq!(
            diagnosis.fixes[0].command.as_deref(),
            Some("ip link set eth0 up")
        );
        answers.interfaces = Some(vec![interface("lo", true, false)]);
        assert_eq!(diagnose(&failure, &answers).causes[0].verdict, Confirmed);
    }

    #[test]
    fn own_rules_and_closed_unix_sockets_are_certain() {
        let failure = failed(Code::SEND_DENIED_FIREWALL, "192.0.2.1:9");
        let diagnosis = diagnose(&failure, &Answers::default());
        assert_eq!(diagnosis.causes[0].verdict, Confirmed);
        let closed =
            Failure::new(Stage::Send, Side::Peer, Code::SEND_PEER_CLOSED).at("unixgram:/run/x");
        let diagnosis = diagnose(&closed, &Answers::default());
        assert_eq!(
            diagnosis.fixes[0].command.as_deref(),
            Some("netloom listen unixgram:/run/x --echo")
        );
    }
}
