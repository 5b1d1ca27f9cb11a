//! A multicast group from which nothing was heard: this host's own side is
//! looked at, and what only switches, routers and the other host know is said.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use netloom_base::diagnosis::Verdict::{Likely, Possible, Refuted};
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

/// Whether a switch passes the group on to everybody, whoever has joined it
/// (RFC 4541 §2.1.2, §3).
fn is_never_snooped(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group.octets()[..3] == [224, 0, 0],
        IpAddr::V6(group) => group == Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
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

fn counted(n: u64, one: &str, more: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { more })
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
        Some(1) => draft.knows(
            "1 multicast packet, of whatever group, was taken meanwhile",
            table,
        ),
        Some(n) => draft.knows(
            format!("{n} multicast packets, of whatever groups, were taken meanwhile"),
            table,
        ),
        None => draft,
    };
    if let Some(n @ 1..) = silent.wrong_way {
        let were = counted(n, "packet was", "packets were");
        draft = draft.knows(
            format!("{were} dropped by the reverse path filter meanwhile"),
            table,
        );
    }
    if let Some(n @ 1..) = silent.unwanted {
        let table = if silent.group.is_ipv4() {
            "/proc/net/snmp"
        } else {
            table
        };
        let came = counted(n, "datagram", "datagrams");
        draft = draft.knows(
            format!("{came} to a group or to everybody came for a port that nobody has open"),
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
    draft = nobody_sends(draft, silent, &here, answers);
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
    if !is_never_snooped(group) {
        draft = draft.cause(
            "a switch between does not pass the group on to this host",
            Possible,
            "with IGMP or MLD snooping and no querier it forgets who has joined (RFC 4541 §2.1)",
        );
    }
    draft = rules_of_this_host(draft, silent, answers);
    draft = mended(draft, silent, &here, answers);
    unknown(draft, &here, answers).done()
}

/// Whether it is the sender. That nothing at all came is what a router, a
/// switch and another interface would look like too: only where all of these
/// are out of the question it is likely.
fn nobody_sends(draft: Draft, silent: &SilentGroup, here: &Here, answers: &Answers) -> Draft {
    let cause = format!("nobody sends to {}", silent.group);
    if silent.arrived != Some(0) {
        let why = "what came may have been for other groups, which are counted with it";
        return draft.cause(cause, Possible, why);
    }
    let near = is_never_snooped(silent.group.ip()) && here.others.is_empty();
    let clear = answers.firewall.as_ref().is_some_and(|rules| {
        let mut hooks = rules.iter().map(|rule| &*rule.hook);
        !hooks.any(comes_in)
    });
    if near && clear && silent.wrong_way == Some(0) && !here.without_carrier() {
        let why = "no multicast packet came at all by any interface, no rule drops one, and every switch passes this group on";
        return draft.cause(cause, Likely, why);
    }
    let why = "no multicast packet came at all where it is joined; one that ended on its way would look the same";
    draft.cause(cause, Possible, why)
}

/// What this host's own rules may have to do with it. The kernel counts a
/// packet of a group between the rules of `prerouting` and those of `input`.
fn rules_of_this_host(draft: Draft, silent: &SilentGroup, answers: &Answers) -> Draft {
    let Some(rules) = &answers.firewall else {
        return draft.cause("a rule of this host drops what comes in", Possible, "");
    };
    if !rules.iter().any(|rule| comes_in(&rule.hook)) {
        return draft.cause(
            "a rule of nftables here drops what comes in",
            Refuted,
            "none of them drops or rejects anything on its way in",
        );
    }
    let exact = about_the_port(answers, silent.group.port());
    let text = "a rule of this host drops the datagrams as they come in";
    match exact {
        Some(rule) if rule.hook == "input" && silent.arrived == Some(0) => draft.cause(
            text,
            Possible,
            "it is about this very port; but until now no multicast packet came as far as that rule",
        ),
        Some(_) => draft.cause(text, Likely, "it is about this very port"),
        None => {
            let coming = rules.iter().filter(|rule| comes_in(&rule.hook));
            let named = coming.take(MOST).fold(draft, |draft, rule| {
                let FirewallRule {
                    table, chain, rule, ..
                } = rule;
                draft.knows(format!("table {table}, chain {chain}: {rule}"), "nft")
            });
            let why = "it has rules for what comes in that name no port, or another";
            named.cause("a rule of this host drops what comes in", Possible, why)
        }
    }
}

/// The rule that drops what comes in for this very port.
fn about_the_port(answers: &Answers, port: u16) -> Option<&FirewallRule> {
    let mut rules = answers.firewall.iter().flatten();
    rules.find(|rule| comes_in(&rule.hook) && firewall::names_port(&rule.rule, port))
}

/// Whether a firewall's rule meets what comes in, as far as its place says it.
pub(super) fn comes_in(hook: &str) -> bool {
    matches!(hook, "" | "input" | "prerouting" | "ingress")
}

/// The causes that lie on this host.
fn this_host(mut draft: Draft, silent: &SilentGroup, here: &Here, answers: &Answers) -> Draft {
    if here.without_carrier() {
        draft = draft.cause(
            format!("{} is connected to nothing", names(&here.joined)),
            Likely,
            "an interface without a carrier receives nothing from outside, and the group is joined on no other",
        );
    }
    if let Some(1..) = silent.wrong_way {
        draft = draft.cause(
            "this host drops what comes because it would not answer the sender by that interface",
            Likely,
            "the reverse path filter dropped packets while the group was waited for",
        );
    }
    // Each of these was a datagram of a joined group, unless it was broadcast.
    if let (Some(unwanted @ 1..), Some(arrived)) = (silent.unwanted, silent.arrived) {
        let verdict = if unwanted <= arrived {
            Likely
        } else {
            Possible
        };
        draft = draft.cause(
            format!("the sender speaks to another port than {}", silent.group.port()),
            verdict,
            "datagrams came to a group that is joined here, or to everybody, and no socket has their port",
        );
    }
    if let Some(entry) = answers.towards.iter().flatten().next() {
        draft = draft.held(entry, answers).cause(
            "a program of this host has a socket to the group and is not heard: it says nothing now, its loopback is off, or it sends through another interface",
            Likely,
            "the socket is open (IP_MULTICAST_LOOP, IP_MULTICAST_IF)",
        );
    }
    if !here.others.is_empty() && !here.joined.is_empty() {
        let leads = matches!(&answers.route, Some(Route::Way { interface, .. })
            if here.others.iter().any(|other| other.index == *interface));
        let why = "only what comes in by an interface that was joined is heard; another program that joined it there would hear it (IP_MULTICAST_ALL)";
        draft = draft.cause(
            format!(
                "the datagrams come in by {}, where the group is not joined",
                names(&here.others)
            ),
            // This host would itself send to the group there.
            if leads { Likely } else { Possible },
            why,
        );
    } else if here.only_loopback() {
        draft = draft.cause(
            "the sender is another host",
            Possible,
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
    if let Some(rule) = about_the_port(answers, silent.group.port()) {
        draft = draft.fix(
            "look at that rule; its handle is what `nft delete rule` needs",
            format!("{sudo}nft -a list chain {} {}", rule.table, rule.chain),
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
    draft = draft.unchecked(
        "whether anybody sends to the group, by which interface and with which TTL",
        format!("the sender: tcpdump -c 1 -n -v -i any dst host {group}"),
    );
    if !is_never_snooped(group) {
        draft = draft.unchecked(
            "whether a switch keeps the group from this host (IGMP or MLD snooping without a querier)",
            "a look at the switch, or its bridge: bridge mdb show",
        );
    }
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
        format!("nobody has joined {group} on port {}", here.group.port()),
        Possible,
        "a group refuses nothing: what nobody hears is lost without a word",
    );
    draft = draft.cause(
        "whoever hears it does not answer",
        Possible,
        "who listens to a group need not speak",
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
