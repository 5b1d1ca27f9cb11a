//! Lookups through a name server that does as it is told.

mod server;
mod services;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure};

use super::{AskSystem, Config, Dns, PACE, Pace};
use crate::cx::Cx;
use crate::net::{Assembly, Found, Resolver};
use crate::sys::LookupError;
use server::{Reply, Scripted, ips};

const A: &str = "A";

/// Short enough for a test that waits for silence.
const SHORT: Pace = Pace {
    limit: Duration::from_secs(2),
    delay: Duration::from_millis(200),
};

/// A system that knows no name.
fn nobody(_: &str) -> Result<Vec<IpAddr>, LookupError> {
    Err(LookupError::NoName)
}

/// A system that knows every name.
#[expect(clippy::unnecessary_wraps, reason = "the others fail")]
fn everybody(_: &str) -> Result<Vec<IpAddr>, LookupError> {
    Ok(ips(&["10.7.7.7"]))
}

/// A system that must not be asked.
fn never(name: &str) -> Result<Vec<IpAddr>, LookupError> {
    Err(LookupError::Other(format!("asked for {name}")))
}

fn config(servers: &[&Scripted]) -> Config {
    Config {
        servers: servers.iter().map(|server| server.addr()).collect(),
        ..Config::default()
    }
}

fn dns(config: Config, system: AskSystem) -> Dns {
    let mut dns = Dns::with(config);
    dns.system = system;
    dns
}

/// Runs `work` in a runtime as a client verb has one.
fn run<F: Future>(work: impl FnOnce(Cx) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let net = Assembly::new(vec![], vec![], Arc::new(Dns::with(Config::default())));
        work(Cx::os(Arc::new(net))).await
    })
}

/// One lookup against one server.
fn look_up(
    name: &'static str,
    system: AskSystem,
    script: impl Fn(&str, &str, usize) -> Reply + Send + Sync + 'static,
) -> (Result<Found, Failure>, Vec<String>) {
    look_up_at(PACE, name, system, script)
}

fn look_up_at(
    pace: Pace,
    name: &'static str,
    system: AskSystem,
    script: impl Fn(&str, &str, usize) -> Reply + Send + Sync + 'static,
) -> (Result<Found, Failure>, Vec<String>) {
    run(|cx| async move {
        let server = Scripted::start(&cx, script);
        let mut dns = dns(config(&[&server]), system);
        dns.pace = pace;
        let found = dns.lookup(name, &cx).await;
        (found, server.asked())
    })
}

/// What was answered for a record, in the failure's facts.
fn answered<'a>(facts: &'a [Fact], record: &str) -> Vec<&'a str> {
    let of = |fact: &'a Fact| match fact {
        Fact::Answered { asked, answer, .. } if *asked == record => Some(&**answer),
        _ => None,
    };
    facts.iter().filter_map(of).collect()
}

fn noted(facts: &[Fact], wanted: Code) -> Option<&str> {
    facts.iter().find_map(|fact| match fact {
        Fact::Noted { code, what, .. } if *code == wanted => Some(&**what),
        _ => None,
    })
}

fn said(facts: &[Fact], words: &str) -> bool {
    facts.iter().any(|fact| fact.to_string().contains(words))
}

#[test]
fn both_families_are_asked_and_each_answer_is_a_step() {
    let (found, asked) = look_up("web.example", never, |_, record, _| match record {
        A => Reply::Addresses(ips(&["10.0.0.1", "10.0.0.2"])),
        _ => Reply::Addresses(ips(&["2001:db8::1"])),
    });
    let found = found.unwrap();
    let mut addresses = found.addresses.clone();
    addresses.sort();
    assert_eq!(addresses, ips(&["10.0.0.1", "10.0.0.2", "2001:db8::1"]));
    assert_eq!(found.facts, []);
    assert_eq!(found.steps.len(), 2);
    for (step, record) in found.steps.iter().zip(["AAAA", A]) {
        assert!(
            step.to
                .starts_with(&format!("web.example {record} at 127.0.0.1:"))
        );
        assert_eq!(step.failed, None);
    }
    assert_eq!(asked, ["web.example. A", "web.example. AAAA"]);
}

#[test]
fn a_name_that_does_not_exist_is_asked_of_the_system_too_and_both_are_told() {
    let (found, _) = look_up("nope.example", nobody, |_, _, _| Reply::Rcode(3));
    let failure = found.unwrap_err();
    assert_eq!(failure.code(), Code::RESOLVE_NO_SUCH_NAME);
    assert_eq!(answered(failure.facts(), A), ["NXDOMAIN"]);
    assert_eq!(answered(failure.facts(), "AAAA"), ["NXDOMAIN"]);
    assert!(said(
        failure.facts(),
        "getaddrinfo does not know the name either"
    ));
    assert_eq!(failure.trail().len(), 3, "{:?}", failure.trail());
    assert!(failure.summary().contains("`nope.example`"));
}

#[test]
fn what_only_the_system_knows_is_used_and_both_are_told() {
    let (found, _) = look_up("vpn.example", everybody, |_, _, _| Reply::Rcode(3));
    let found = found.unwrap();
    assert_eq!(found.addresses, ips(&["10.7.7.7"]));
    assert_eq!(answered(&found.facts, A), ["NXDOMAIN"]);
    assert!(said(&found.facts, "getaddrinfo knows 10.7.7.7"));
}

#[test]
fn an_error_is_told_by_its_name_and_its_server() {
    for (rcode, name) in [(2, "SERVFAIL"), (5, "REFUSED"), (4, "NOTIMP")] {
        run(|cx| async move {
            let server = Scripted::start(&cx, move |_, _, _| Reply::Rcode(rcode));
            let dns = dns(config(&[&server]), never);
            let failure = dns.lookup("web.example", &cx).await.unwrap_err();
            assert_eq!(failure.code(), Code::RESOLVE_SERVER_FAILED, "{name}");
            assert!(failure.may_retry());
            assert_eq!(answered(failure.facts(), A), [name]);
            let whole = format!("{} answered {name}", server.addr());
            assert!(failure.summary().contains(&whole), "{failure}");
            assert_eq!(server.asked().len(), 2, "an error is not asked for twice");
        });
    }
}

#[test]
fn silence_is_a_timeout_that_names_who_was_silent() {
    let (found, asked) = look_up_at(SHORT, "web.example", never, |_, _, _| Reply::Silence);
    let failure = found.unwrap_err();
    assert_eq!(failure.code(), Code::RESOLVE_TIMEOUT);
    assert!(failure.may_retry());
    assert_eq!(answered(failure.facts(), A), ["nothing"]);
    let waited = failure.facts().iter().find_map(|fact| match fact {
        Fact::Waited(time) => Some(*time),
        _ => None,
    });
    assert!(waited.unwrap() >= SHORT.limit && waited.unwrap() < SHORT.limit * 2);
    assert!(asked.len() >= 2);
}

/// The kernel hears at once that a UDP port is closed (RFC 1122 §4.1.3.3).
#[test]
fn a_closed_port_is_told_at_once_and_by_name() {
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = closed.local_addr().unwrap();
    drop(closed);
    let (failure, took) = run(|cx| async move {
        let config = Config {
            servers: vec![at],
            ..Config::default()
        };
        let began = cx.now();
        let found = dns(config, never).lookup("web.example", &cx).await;
        (found.unwrap_err(), cx.now() - began)
    });
    assert!(took < PACE.limit / 2, "{took:?}");
    assert_eq!(failure.code(), Code::RESOLVE_SERVER_FAILED);
    assert_eq!(answered(failure.facts(), A), ["ECONNREFUSED"]);
    let summary = failure.summary();
    assert!(
        summary.contains(&format!("no name server listens on {at}")),
        "{summary}"
    );
}

#[test]
fn one_family_is_enough() {
    let (found, _) = look_up("four.example", never, |_, record, _| match record {
        A => Reply::Addresses(ips(&["10.0.0.1"])),
        _ => Reply::Rcode(0),
    });
    let found = found.unwrap();
    assert_eq!(found.addresses, ips(&["10.0.0.1"]));
    assert_eq!(found.steps[0].failed, Some(Code::RESOLVE_NO_ADDRESS));

    let (found, _) = look_up("six.example", never, |_, record, _| match record {
        A => Reply::Rcode(2),
        _ => Reply::Addresses(ips(&["2001:db8::1"])),
    });
    let found = found.unwrap();
    assert_eq!(found.addresses, ips(&["2001:db8::1"]));
    assert_eq!(found.steps[1].failed, Some(Code::RESOLVE_SERVER_FAILED));
}

#[test]
fn a_name_without_an_address_is_not_a_name_that_does_not_exist() {
    let (found, _) = look_up("mail.example", never, |_, _, _| Reply::Rcode(0));
    let failure = found.unwrap_err();
    assert_eq!(failure.code(), Code::RESOLVE_NO_ADDRESS);
    assert_eq!(
        answered(failure.facts(), "AAAA"),
        ["NOERROR without an address"]
    );
}

#[test]
fn a_truncated_answer_is_asked_for_over_tcp() {
    let many: Vec<IpAddr> = (1..=60).map(|n| IpAddr::from([10, 0, 0, n])).collect();
    let (found, asked) = look_up("many.example", never, move |_, record, _| match record {
        A => Reply::OnlyOverTcp(many.clone()),
        _ => Reply::Rcode(0),
    });
    assert_eq!(found.unwrap().addresses.len(), 60);
    assert!(
        asked.contains(&"many.example. A over tcp".to_owned()),
        "{asked:?}"
    );
}

#[test]
fn an_alias_is_followed() {
    let (found, asked) = look_up("www.example", never, |name, record, _| {
        match (name, record) {
            ("www.example.", A) => Reply::Alias("one.example.", vec![]),
            ("one.example.", A) => Reply::Alias("two.example.", ips(&["10.0.0.3"])),
            _ => Reply::Rcode(0),
        }
    });
    assert_eq!(found.unwrap().addresses, ips(&["10.0.0.3"]));
    assert!(asked.contains(&"one.example. A".to_owned()), "{asked:?}");
}

#[test]
fn a_lost_first_question_is_told_as_slow() {
    let (found, _) = look_up_at(SHORT, "web.example", never, |_, record, nth| {
        match (record, nth) {
            (A, 1) => Reply::Silence,
            (A, _) => Reply::Addresses(ips(&["10.0.0.1"])),
            _ => Reply::Rcode(0),
        }
    });
    let found = found.unwrap();
    assert_eq!(found.addresses, ips(&["10.0.0.1"]));
    let note = noted(&found.facts, Code::RESOLVE_SLOW).unwrap();
    assert!(note.contains("answered for A after"), "{note}");
    assert!(note.contains("wait 5 s"), "{note}");
}

#[test]
fn a_slow_answer_is_still_an_answer() {
    let (found, _) = look_up_at(SHORT, "web.example", never, |_, record, nth| {
        match (record, nth) {
            (A, 1) => Reply::Late(Duration::from_millis(250), ips(&["10.0.0.1"])),
            (A, _) => Reply::Silence,
            _ => Reply::Rcode(0),
        }
    });
    let found = found.unwrap();
    assert_eq!(found.addresses, ips(&["10.0.0.1"]));
    assert!(noted(&found.facts, Code::RESOLVE_SLOW).is_some());
}

#[test]
fn one_silent_family_does_not_hold_the_other_back() {
    let (found, _) = look_up_at(SHORT, "web.example", never, |_, record, _| match record {
        A => Reply::Addresses(ips(&["10.0.0.1"])),
        _ => Reply::Silence,
    });
    let found = found.unwrap();
    assert_eq!(found.addresses, ips(&["10.0.0.1"]));
    let note = noted(&found.facts, Code::RESOLVE_SLOW).unwrap();
    assert!(note.contains("AAAA was not answered within"), "{note}");
    let late = found
        .steps
        .iter()
        .find(|s| s.to == "web.example AAAA")
        .unwrap();
    assert_eq!(late.failed, Some(Code::RESOLVE_SLOW));
    assert!(late.took < PACE.limit);
}

#[test]
fn a_dead_first_server_is_joined_by_the_second_and_named() {
    run(|cx| async move {
        let dead = Scripted::start(&cx, |_, _, _| Reply::Silence);
        let alive = Scripted::start(&cx, |_, record, _| match record {
            A => Reply::Addresses(ips(&["10.0.0.1"])),
            _ => Reply::Rcode(0),
        });
        let mut dns = dns(config(&[&dead, &alive]), never);
        dns.pace = SHORT;
        let found = dns.lookup("web.example", &cx).await.unwrap();
        assert_eq!(found.addresses, ips(&["10.0.0.1"]));
        let note = noted(&found.facts, Code::RESOLVE_SLOW).unwrap();
        assert!(
            note.contains(&format!("{} answered for A", alive.addr())),
            "{note}"
        );
        assert!(
            note.contains(&format!("{} not within", dead.addr())),
            "{note}"
        );
        let of_dead = found
            .steps
            .iter()
            .find(|step| step.to.ends_with(&dead.addr().to_string()));
        assert_eq!(of_dead.unwrap().failed, Some(Code::RESOLVE_TIMEOUT));
    });
}

#[test]
fn a_server_that_refuses_is_followed_at_once() {
    run(|cx| async move {
        let refuses = Scripted::start(&cx, |_, _, _| Reply::Rcode(5));
        let knows = Scripted::start(&cx, |_, _, _| Reply::Rcode(3));
        let dns = dns(config(&[&refuses, &knows]), nobody);
        let failure = dns.lookup("web.example", &cx).await.unwrap_err();
        assert_eq!(failure.code(), Code::RESOLVE_NO_SUCH_NAME);
        assert_eq!(answered(failure.facts(), A), ["REFUSED", "NXDOMAIN"]);
    });
}

#[test]
fn search_domains_are_told_and_the_name_is_shown_as_asked() {
    run(|cx| async move {
        let server = Scripted::start(&cx, |name, record, _| match (name, record) {
            ("web.two.example.", A) => Reply::Addresses(ips(&["10.0.0.1"])),
            ("web.two.example.", _) => Reply::Rcode(0),
            _ => Reply::Rcode(3),
        });
        let mut config = config(&[&server]);
        config.search = vec!["one.example".into(), "two.example.".into()];
        let dns = dns(config, nobody);
        let found = dns.lookup("web", &cx).await.unwrap();
        assert_eq!(found.addresses, ips(&["10.0.0.1"]));

        let failure = dns.lookup("mail", &cx).await.unwrap_err();
        assert_eq!(failure.summary(), "the name `mail` does not exist");
        assert!(said(
            failure.facts(),
            "`mail` is looked for in one.example, two.example. too"
        ));
        let mail: Vec<String> = server
            .asked()
            .into_iter()
            .filter(|q| q.ends_with(" A"))
            .collect();
        assert_eq!(
            mail,
            [
                "web.one.example. A",
                "web.two.example. A",
                "mail.one.example. A",
                "mail.two.example. A",
                "mail. A"
            ]
        );
    });
}

#[test]
fn a_single_label_and_local_are_asked_of_the_system_beside_dns() {
    for name in ["printer", "printer.local"] {
        let (found, asked) = look_up(name, everybody, |_, _, _| Reply::Silence);
        let found = found.unwrap();
        assert_eq!(found.addresses, ips(&["10.7.7.7"]), "{name}");
        assert!(said(&found.facts, "no name server had answered after"));
        assert!(said(&found.facts, "getaddrinfo knows 10.7.7.7"));
        assert!(!asked.is_empty(), "{name}");
    }
}

#[test]
fn where_the_two_differ_the_system_is_right_and_both_are_told() {
    let (found, _) = look_up("nas", everybody, |_, record, _| match record {
        A => Reply::Addresses(ips(&["10.0.0.1"])),
        _ => Reply::Rcode(0),
    });
    let found = found.unwrap();
    assert_eq!(found.addresses, ips(&["10.7.7.7"]));
    assert_eq!(answered(&found.facts, A), ["1 address"]);
}

#[test]
fn without_a_name_server_the_system_is_asked_alone() {
    run(|cx| async move {
        let found = dns(Config::default(), everybody)
            .lookup("web.example", &cx)
            .await
            .unwrap();
        assert_eq!(found.addresses, ips(&["10.7.7.7"]));
        assert!(said(&found.facts, "no name server could be asked"));
        let failure = dns(Config::default(), nobody)
            .lookup("web.example", &cx)
            .await
            .unwrap_err();
        assert_eq!(failure.code(), Code::RESOLVE_NO_SUCH_NAME);
        assert!(said(failure.facts(), "no name server is configured"));
    });
}

#[test]
fn what_needs_no_question_asks_none() {
    run(|cx| async move {
        let server = Scripted::start(&cx, |_, _, _| Reply::Silence);
        let mut config = config(&[&server]);
        config.hosts = Some("10.9.9.9 web.example # ours\n2001:db8::9 web.example\n".to_owned());
        let dns = dns(config, never);
        let found = dns.lookup("WEB.example", &cx).await.unwrap();
        assert_eq!(found.addresses, ips(&["10.9.9.9", "2001:db8::9"]));
        assert_eq!(found.steps[0].to, "WEB.example in the hosts file");
        let found = dns.lookup("a.localhost", &cx).await.unwrap();
        assert_eq!(found.addresses, ips(&["::1", "127.0.0.1"]));
        let failure = dns.lookup("a.invalid", &cx).await.unwrap_err();
        assert_eq!(failure.code(), Code::RESOLVE_NO_SUCH_NAME);
        assert!(said(failure.facts(), "nobody was asked"));
        assert!(server.asked().is_empty());
        assert!(dns.made.lock().unwrap().is_empty(), "no resolver was made");
    });
}

#[test]
fn an_answer_is_remembered_as_long_as_it_may_be_and_said_to_be() {
    run(|cx| async move {
        let server = Scripted::start(&cx, |_, record, _| match record {
            A => Reply::Addresses(ips(&["10.0.0.1"])),
            _ => Reply::Addresses(ips(&["2001:db8::1"])),
        });
        let dns = dns(config(&[&server]), never);
        dns.lookup("web.example", &cx).await.unwrap();
        let again = dns.lookup("web.example", &cx).await.unwrap();
        assert_eq!(again.addresses.len(), 2);
        assert!(
            again
                .steps
                .iter()
                .all(|step| step.to.ends_with(", remembered"))
        );
        assert_eq!(server.asked().len(), 2);
    });
}

#[test]
fn every_runtime_has_servers_of_its_own() {
    let dns = Arc::new(dns(
        Config {
            servers: vec!["127.0.0.1:9".parse().unwrap()],
            ..Config::default()
        },
        nobody,
    ));
    for runtimes in 1..=2 {
        let shared = dns.clone();
        run(|_| async move {
            shared.servers().unwrap();
            shared.servers().unwrap();
        });
        assert_eq!(dns.made.lock().unwrap().len(), runtimes);
    }
}
