//! What is said of a silent group for each thing that this host can know of it.

use netloom_base::diagnosis::Verdict::{self, Likely, Possible};
use netloom_base::failure::{Fact, SilentGroup};
use netloom_base::{Code, Diagnosis, Failure, Side, Stage};
use netloom_transport::probe::{FirewallRule, Interface, Route};

use super::super::{Answers, diagnose};

fn interface(index: u32, name: &str, running: bool) -> Interface {
    Interface {
        index,
        name: name.to_owned(),
        up: true,
        running,
        loopback: name == "lo",
        multicast: name != "lo",
    }
}

fn silent(group: &str, joined: &[&str]) -> SilentGroup {
    SilentGroup {
        group: group.parse().unwrap(),
        listens: true,
        joined: Some(joined.iter().map(|name| ((*name).to_owned(), 1)).collect()),
        arrived: Some(0),
        wrong_way: Some(0),
        unwanted: Some(0),
    }
}

fn told(url: &str, silent: SilentGroup, answers: &Answers) -> Diagnosis {
    let failure = Failure::new(Stage::Recv, Side::Peer, Code::RECV_TIMEOUT)
        .fact(Fact::Silent(Box::new(silent)))
        .at(url);
    let told = diagnose(&failure, answers);
    assert_eq!(told.code, Code::LAN_MULTICAST_SILENT, "{told}");
    told
}

fn verdict(told: &Diagnosis, words: &str) -> Option<Verdict> {
    let mut causes = told.causes.iter();
    Some(causes.find(|cause| cause.text.contains(words))?.verdict)
}

const URL: &str = "udp://239.1.2.3:5000";
const GROUP: &str = "239.1.2.3:5000";

#[test]
fn nothing_here_is_wrong_and_yet_one_end_cannot_know() {
    let answers = Answers {
        interfaces: Some(vec![interface(2, "eth0", true)]),
        ..Answers::default()
    };
    let told = told(URL, silent(GROUP, &["eth0"]), &answers);
    assert!(told.causes[0].text.contains("nobody sends"), "{told}");
    let verdicts: Vec<Verdict> = told.causes.iter().map(|cause| cause.verdict).collect();
    assert!(verdicts.iter().all(|one| *one == Possible), "{told}");
    assert!(verdict(&told, "behind a router").is_some(), "{told}");
    assert!(verdict(&told, "a switch between").is_some(), "{told}");
    let ttl = "netloom connect 'udp://239.1.2.3:5000,ttl=8' --send hello";
    let has = told
        .fixes
        .iter()
        .any(|fix| fix.command.as_deref() == Some(ttl));
    assert!(has, "{told}");
    let snooping = told
        .unchecked
        .iter()
        .any(|one| one.what.contains("snooping"));
    assert!(snooping, "{told}");
}

#[test]
fn an_interface_without_a_carrier_hears_nothing() {
    let answers = Answers {
        interfaces: Some(vec![interface(2, "eth0", false)]),
        ..Answers::default()
    };
    let told = told(URL, silent(GROUP, &["eth0"]), &answers);
    assert_eq!(verdict(&told, "connected to nothing"), Some(Likely));
    assert!(told.causes[0].text.contains("eth0"), "{told}");
}

#[test]
fn nobody_sends_is_likely_only_where_nothing_else_could_be() {
    let near = "udp://224.0.0.99:5000";
    let clear = || Answers {
        interfaces: Some(vec![interface(2, "eth0", true)]),
        firewall: Some(Vec::new()),
        ..Answers::default()
    };
    let silence = || silent("224.0.0.99:5000", &["eth0"]);
    let of = |silent, answers: &Answers| verdict(&told(near, silent, answers), "nobody sends");
    assert_eq!(of(silence(), &clear()), Some(Likely));
    let mut other = clear();
    other.interfaces = Some(vec![interface(2, "eth0", true), interface(3, "eth1", true)]);
    assert_eq!(of(silence(), &other), Some(Possible), "it may come there");
    let unread = Answers {
        firewall: None,
        ..clear()
    };
    assert_eq!(of(silence(), &unread), Some(Possible), "a rule may drop it");
    let mut noisy = silence();
    noisy.arrived = Some(2);
    assert_eq!(of(noisy, &clear()), Some(Possible));
}

#[test]
fn an_interface_that_is_not_joined_is_likely_only_where_routes_lead_to_it() {
    let mut answers = Answers {
        interfaces: Some(vec![interface(2, "eth0", true), interface(3, "eth1", true)]),
        ..Answers::default()
    };
    let of = |answers: &Answers| {
        let told = told(URL, silent(GROUP, &["eth0"]), answers);
        verdict(&told, "come in by eth1")
    };
    assert_eq!(of(&answers), Some(Possible));
    answers.route = Some(Route::Way {
        local: false,
        interface: 3,
        via: None,
        from: None,
    });
    assert_eq!(of(&answers), Some(Likely));
}

#[test]
fn datagrams_for_a_port_that_nobody_has_tell_of_another_port() {
    let mut group = silent(GROUP, &["eth0"]);
    (group.arrived, group.unwanted) = (Some(3), Some(3));
    let told_so = told(URL, group.clone(), &Answers::default());
    assert_eq!(verdict(&told_so, "another port"), Some(Likely));
    let has = |words: &str| told_so.evidence.iter().any(|one| one.fact.contains(words));
    assert!(has("3 datagrams to a group or to everybody"), "{told_so}");
    // More than multicast packets came: some of them were broadcast.
    group.arrived = Some(1);
    let told_so = told(URL, group, &Answers::default());
    assert_eq!(verdict(&told_so, "another port"), Some(Possible));
}

#[test]
fn the_reverse_path_filter_is_told_when_it_dropped_something() {
    let group = SilentGroup {
        wrong_way: Some(3),
        ..silent(GROUP, &["eth0"])
    };
    let told = told(URL, group, &Answers::default());
    assert_eq!(verdict(&told, "would not answer"), Some(Likely), "{told}");
    let fix = told.fixes[0].command.as_deref().unwrap();
    assert!(fix.ends_with("sysctl -w net.ipv4.conf.all.rp_filter=2"));
}

#[test]
fn a_rule_for_the_port_is_named_and_none_is_refuted() {
    let rule = FirewallRule {
        table: "inet filter".to_owned(),
        chain: "in".to_owned(),
        hook: "input".to_owned(),
        rule: "udp dport 5000 drop".to_owned(),
    };
    let mut answers = Answers {
        firewall: Some(vec![rule]),
        ..Answers::default()
    };
    let with = told(URL, silent(GROUP, &["eth0"]), &answers);
    let early = verdict(&with, "as they come in");
    assert_eq!(early, Some(Possible), "nothing came so far: {with}");
    let mut came = silent(GROUP, &["eth0"]);
    came.arrived = Some(4);
    let with = told(URL, came, &answers);
    assert_eq!(verdict(&with, "as they come in"), Some(Likely), "{with}");
    answers.firewall = Some(Vec::new());
    let none = told(URL, silent(GROUP, &["eth0"]), &answers);
    assert_eq!(verdict(&none, "a rule of nftables"), Some(Verdict::Refuted));
}

#[test]
fn a_group_that_no_router_passes_on_is_told_as_such() {
    for (url, group) in [
        ("udp://[ff02::114%eth0]:5000", "[ff02::114]:5000"),
        ("udp://224.0.0.251:5353", "224.0.0.251:5353"),
    ] {
        let told = told(url, silent(group, &["eth0"]), &Answers::default());
        assert_eq!(verdict(&told, "on another network"), Some(Possible));
        assert_eq!(verdict(&told, "behind a router"), None, "{told}");
    }
}

#[test]
fn whoever_asks_a_group_is_told_of_its_ttl() {
    let asked = |url: &str| {
        let group = SilentGroup {
            listens: false,
            ..silent(GROUP, &[])
        };
        told(url, group, &Answers::default())
    };
    let near = |told: &Diagnosis| told.causes.iter().any(|c| c.because.contains("the TTL 1,"));
    let told = asked(URL);
    assert!(near(&told), "{told}");
    let fix = told.fixes[0].command.as_deref();
    assert_eq!(fix, Some("netloom listen udp://239.1.2.3:5000 --echo"));
    let far = asked("udp://239.1.2.3:5000,ttl=8");
    assert!(!near(&far), "{far}");
}
