//! SRV records, and how long answers may be kept.

use std::time::Duration;

use netloom_base::{Code, Failure};

use super::server::{Reply, Scripted, ips};
use super::{answered, config, dns, look_up, nobody, run};
use crate::net::{Resolver, Served, Services};

fn services(
    script: impl Fn(&str, &str, usize) -> Reply + Send + Sync + 'static,
) -> Result<Services, Failure> {
    run(|cx| async move {
        let server = Scripted::start(&cx, script);
        let dns = dns(config(&[&server]), nobody);
        dns.services("_http._tcp.example.org", &cx).await
    })
}

#[test]
fn a_service_has_servers_with_priority_weight_and_port() {
    let found = services(|name, record, _| {
        assert_eq!((name, record), ("_http._tcp.example.org.", "SRV"));
        Reply::Services(vec![
            (10, 60, 8080, "a.example.org"),
            (20, 0, 81, "B.example.org"),
        ])
    })
    .unwrap();
    let one = |host: &str, port, priority, weight| Served {
        host: host.to_owned(),
        port,
        priority,
        weight,
    };
    let first = one("a.example.org", 8080, 10, 60);
    assert!(found.list.contains(&first), "{:?}", found.list);
    let second = found.list.iter().find(|one| one.priority == 20).unwrap();
    assert!(second.host.eq_ignore_ascii_case("b.example.org"));
    assert_eq!((found.list.len(), second.port, second.weight), (2, 81, 0));
    assert_eq!(found.ttl, Some(Duration::from_mins(1)));
    assert!(
        found.steps[0].to.contains("SRV at 127.0.0.1"),
        "{}",
        found.steps[0].to
    );
}

#[test]
fn a_lone_root_says_that_there_is_no_such_service() {
    let found = services(|_, _, _| Reply::Services(vec![(0, 0, 0, "")])).unwrap();
    assert_eq!(found.list, []);
}

#[test]
fn what_has_no_servers_is_a_failure_with_what_was_answered() {
    let failure = services(|_, _, _| Reply::Rcode(3)).unwrap_err();
    assert_eq!(failure.code(), Code::RESOLVE_NO_SUCH_NAME);
    assert_eq!(answered(failure.facts(), "SRV"), ["NXDOMAIN"]);
    let failure = services(|_, _, _| Reply::Rcode(2)).unwrap_err();
    assert_eq!(failure.code(), Code::RESOLVE_SERVER_FAILED);
    let failure = services(|_, _, _| Reply::Addresses(Vec::new())).unwrap_err();
    assert_eq!(failure.code(), Code::RESOLVE_NO_ADDRESS);
    assert_eq!(
        answered(failure.facts(), "SRV"),
        ["NOERROR without a server"]
    );
}

#[test]
fn addresses_say_how_long_they_may_be_kept() {
    let (found, _) = look_up("app.example.org", nobody, |_, record, _| match record {
        "A" => Reply::Addresses(ips(&["10.0.0.1"])),
        _ => Reply::Addresses(Vec::new()),
    });
    assert_eq!(found.unwrap().ttl, Some(Duration::from_mins(1)));
}
