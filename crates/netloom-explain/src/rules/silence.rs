//! A multicast group from which nothing was heard: this host's own side is
//! looked at, and what only switches, routers and the other host know is said.

use std::net::{IpAddr, SocketAddr};

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible, Refuted};
use netloom_base::failure::{Fact, SilentGroup};
use netloom_base::{Code, Diagnosis, Endpoint, Failure};
use netloom_transport::probe::{FirewallRule, Interface, Route};

use super::answers::Answers;
use super::draft::{Draft, endpoint, netloom, sudo};
use super::{Rule, firewall};

pub(super) const RULES: &[Rule] = &[listening, asking];

/// How many interfaces are named.
const MOST: usize = 4;

/// The group that stayed silent.
pub(super) fn waited(failure: &Failure) -> Option<&SilentGroup> {
    failure.facts().iter().find_map(|fact| match fact {
        Fact::Silent(group) => Some(&**group),
        _ => None,
    })
}

/// Whether no router ever passes the group on, whatever the TTL (RFC 5771 §4,
/// RFC 4291 §2.7).
fn stays_on_its_network(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group.octets()[..3] == [224, 0, 0],
        IpAddr::V6(group) => group.octets()[1] & 0xf <= 2,
    }
}

/// What this host knows of the group's interfaces.
struct Here<'a> {
    group: SocketAddr,
    /// As it was written, or the group's own address.
    endpoint: Endpoint,
    joined: Vec<&'a Interface>,
    /// Up and able, and yet the group is not joined there.
    others: Vec<&'a Interface>,
}

impl<'a> Here<'a> {
    fn of(failure: &Failure, silent: &SilentGroup, answers: &'a Answers) -> Self {
        let is_joined = |interface: &&Interface| {
            let mut names = silent.joined.iter().flatten();
            names.any(|(name, _)| *name == interface.name)
        };
        let all = answers.interfaces.iter().flatten();
        let (joined, rest): (Vec<_>, Vec<_>) = all.partition(is_joined);
        Here {
            group: silent.group,
            endpoint: endpoint(failure, silent.group),
            joined,
            others: rest
                .into_iter()
                .filter(|other| other.up && other.multicast && !other.loopback)
                .collect(),
        }
    }

    /// The same group without options, on every interface that can.
    fn plainly(&self) -> Endpoint {
        self.endpoint.with_address(self.group).without_options()
    }

    /// A command for another host that says something to the group.
    fn say(&self, ttl: Option<&str>) -> String {
        let there = self.plainly();
        let there = match ttl {
            Some(ttl) => there.with_option("ttl", Some(ttl)),
            None => there,
        };
        format!("{} --send hello", netloom("connect", &there))
    }

    fn only_loopback(&self) -> bool {
        !self.joined.is_empty() && self.joined.iter().all(|interface| interface.loopback)
    }

    fn without_carrier(&self) -> bool {
        let dead = |interface: &&Interface| !interface.loopback && !interface.running;
        !self.joined.is_empty() && self.joined.iter().all(dead)
    }
}

fn names(interfaces: &[&Interface]) -> String {
    let named = interfaces.iter().take(MOST).map(|one| &*one.name);
    named.collect::<Vec<_>>().join(", ")
}

/// What decides, put down as evidence.
fn looked(mut draft: Draft, silent: &SilentGroup, here: &Here, answers: &Answers) -> Draft {
    for interface in here.joined.iter().take(MOST) {
        if !interface.loopback && !interface.running {
            draft = draft.knows(format!("{} has no carrier", interface.name), "rtnetlink");
        }
    }
    if !here.others.is_empty() && silent.listens {
        draft = draft.knows(
            format!(
                "not joined on {}, which is up and carries multicast",
                names(&here.others)
            ),
            "rtnetlink",
        );
    }
    let table = if silent.group.is_ipv4() {
        "/proc/net/netstat"
    } else {
        "/proc/net/snmp6"
    };
    draft = match silent.arrived {
        Some(0) => draft.knows(
            "no multicast packet of any group was taken meanwhile",
            table,
        ),
        Some(n) => draft.knows(
            format!("{n} multicast packets, of whatever groups, were taken meanwhile"),
            table,
        ),
        None => draft,
    };
    if let Some(n @ 1..) = silent.wrong_way {
        draft = draft.knows(
            format!("{n} packets were dropped by the reverse path filter meanwhile"),
            table,
        );
    }
    match &answers.route {
        Some(Route::Way { interface, .. }) => match answers.interface(*interface) {
            Some(name) => draft.knows(
                format!("by its routes this host sends to the group through {name}"),
                "rtnetlink",
            ),
            None => draft,
        },
        Some(Route::Refused(_)) => draft.knows("no route covers the group", "rtnetlink"),
        None => draft,
    }
}

/// Nothing came to whoever listens.
fn listening(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let silent = waited(failure).filter(|silent| silent.listens)?;
    let here = Here::of(failure, silent, answers);
    let group = silent.group.ip();
    let what = "nothing was heard from the group";
    let mut draft = Draft::of(failure, Code::LAN_MULTICAST_SILENT, what);
    draft = looked(draft, silent, &here, answers);
    draft = this_host(draft, silent, &here, answers);
    let none_came = silent.arrived == Some(0);
    draft = draft.cause(
        format!("nobody sends to {}", silent.group),
        if none_came { Likely } else { Possible },
        if none_came {
            "where it is joined, no multicast packet came at all"
        } else {
            "other groups are counted with it"
        },
    );
    draft = if stays_on_its_network(group) {
        draft.cause(
            "the sender is on another network",
            Possible,
            "no router passes this group on, whatever the TTL",
        )
    } else {
        draft.cause(
            "the sender is behind a router, and its datagrams end there",
            Possible,
            "what is sent to a group has the TTL 1 unless its program says more",
        )
    };
    draft = match &answers.firewall {
        Some(rules) if !rules.iter().any(|rule| comes_in(&rule.hook)) => draft.cause(
            "a rule of nftables here drops what comes in",
            Refuted,
            "none of them drops or rejects anything on its way in",
        ),
        Some(rules) if rules.iter().any(|rule| drops(rule, silent.group.port())) => draft.cause(
            "a rule of this host drops the datagrams as they come in",
            Likely,
            "it is about this very port",
        ),
        _ => draft.cause("a rule of this host drops what comes in", Possible, ""),
    };
    draft = mended(draft, silent, &here, answers);
    unknown(draft, &here, answers).done()
}

/// Whether a firewall's rule meets what comes in, as far as its place says it.
pub(super) fn comes_in(hook: &str) -> bool {
    matches!(hook, "" | "input" | "prerouting" | "ingress")
}

fn drops(rule: &FirewallRule, port: u16) -> bool {
    comes_in(&rule.hook) && firewall::names_port(&rule.rule, port)
}

/// The causes that lie on this host.
fn this_host(mut draft: Draft, silent: &SilentGroup, here: &Here, answers: &Answers) -> Draft {
    if here.without_carrier() {
        draft = draft.cause(
            format!("{} is connected to nothing", names(&here.joined)),
            Confirmed,
            "an interface without a carrier receives nothing, and the group is joined on no other",
        );
    }
    if let Some(1..) = silent.wrong_way {
        draft = draft.cause(
            "this host drops what comes because it would not answer the sender by that interface",
            Likely,
            "the reverse path filter dropped packets while the group was waited for",
        );
    }
    if let Some(entry) = answers.towards.iter().flatten().next() {
        draft = draft.held(entry, answers).cause(
            "a program of this host talks to the group, and this host does not hear itself: its loopback is off, or it sends through another interface",
            Likely,
            "it has a socket to the group open (IP_MULTICAST_LOOP, IP_MULTICAST_IF)",
        );
    }
    if !here.others.is_empty() && !here.joined.is_empty() {
        draft = draft.cause(
            format!(
                "the datagrams come in by {}, where the group is not joined",
                names(&here.others)
            ),
            Likely,
            "only what comes in by an interface that was joined is heard; another program that joined it there would hear it (IP_MULTICAST_ALL)",
        );
    } else if here.only_loopback() {
        draft = draft.cause(
            "the sender is another host",
            Likely,
            "the group is joined on loopback only, by which nothing comes from outside",
        );
    }
    if here.endpoint.options().last("from").is_some() {
        draft = draft.cause(
            "another sends than the one that may be heard",
            Possible,
            "`from` leaves out everybody else",
        );
    }
    draft
}

fn mended(mut draft: Draft, silent: &SilentGroup, here: &Here, answers: &Answers) -> Draft {
    let sudo = sudo(answers);
    if let Some(1..) = silent.wrong_way {
        draft = draft.fix(
            "take what comes from wherever a route leads (RFC 3704 §2.4)",
            format!("{sudo}sysctl -w net.ipv4.conf.all.rp_filter=2"),
        );
    }
    if !here.others.is_empty() || here.only_loopback() {
        draft = draft.fix(
            "join it on every interface",
            netloom("listen", &here.plainly()),
        );
    }
    draft = draft.fix("on a host of this network, say something", here.say(None));
    if !stays_on_its_network(silent.group.ip()) {
        draft = draft.fix("on a host behind a router", here.say(Some("8")));
    }
    draft
        .fix("see where this host has joined it", "ip maddr show")
        .fix(
            "see whether it comes to this host",
            format!(
                "{sudo}tcpdump -c 1 -n -v -i any dst host {} and udp port {}",
                silent.group.ip(),
                silent.group.port()
            ),
        )
}

/// What one end cannot know.
fn unknown(mut draft: Draft, here: &Here, answers: &Answers) -> Draft {
    let group = here.group.ip();
    draft = draft
        .unchecked(
            "whether anybody sends to the group, by which interface and with which TTL",
            format!("the sender: tcpdump -n -v dst host {group}"),
        )
        .unchecked(
            "whether a switch keeps the group from this host (IGMP or MLD snooping without a querier)",
            "a look at the switch, or its bridge: bridge mdb show",
        );
    if !stays_on_its_network(group) {
        draft = draft.unchecked(
            "whether a router between passes the group on",
            "a look at the router: ip mroute show",
        );
    }
    if answers.firewall.is_none() {
        draft = draft.unchecked("which rules this host has", "root: nft list ruleset");
    }
    draft
}

/// Something was said to the group, and nobody answered.
fn asking(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let silent = waited(failure).filter(|silent| !silent.listens)?;
    let here = Here::of(failure, silent, answers);
    let group = silent.group.ip();
    let what = "nobody answered from the group";
    let mut draft = Draft::of(failure, Code::LAN_MULTICAST_SILENT, what);
    draft = looked(draft, silent, &here, answers);
    draft = draft.cause(
        format!(
            "nobody has joined {group} and answers on port {}",
            here.group.port()
        ),
        Likely,
        "a group refuses nothing: what nobody hears is lost without a word",
    );
    if here.endpoint.options().last("interface").is_some() {
        draft = draft.cause(
            "whoever listens is reached by another interface",
            Possible,
            "it was sent through the one that was named",
        );
    }
    let ttl = here.endpoint.options().last("ttl").is_some();
    draft = if stays_on_its_network(group) {
        let why = "no router passes this group on, whatever the TTL";
        draft.cause("whoever listens is on another network", Possible, why)
    } else if ttl {
        let why = "routers pass a group on only where they are set up for it";
        draft.cause("whoever listens is behind a router", Possible, why)
    } else {
        let why = "it was sent with the TTL 1, which no router passes on";
        draft.cause("whoever listens is behind a router", Possible, why)
    };
    draft = draft.fix(
        "on another host, answer whoever asks",
        format!("{} --echo", netloom("listen", &here.plainly())),
    );
    if !stays_on_its_network(group) && !ttl {
        draft = draft.fix("let it pass routers", here.say(Some("8")));
    }
    unknown(draft, &here, answers).done()
}

#[cfg(test)]
#[path = "silence_tests.rs"]
mod tests;
