//! Lists that change: the addresses of a name, the servers of a service, a file.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use netloom_base::Code;
use netloom_transport::sim::Sim;
use netloom_transport::{Found, Served, Services};

use super::{Place, entries, name, rules, secs};
use crate::balance::Pool;

fn found(addresses: &[&str], ttl: u64) -> Found {
    let addresses: Vec<IpAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
    Found {
        ttl: Some(secs(ttl)),
        ..addresses.into()
    }
}

fn listed(place: &Place) -> Vec<String> {
    let list = place.pool.list();
    list.held
        .iter()
        .map(|held| held.standing.name.clone())
        .collect()
}

#[test]
fn every_address_of_a_name_is_a_target_and_is_asked_for_again() {
    let sim = Sim::new(1);
    sim.name("app", Ok(found(&["10.1.0.2", "10.1.0.1"], 10)));
    let mut place = Place::of(sim, &["tcp://app:80,each,max-conns=5"], &[]);
    place.pool.keep(&place.cx);
    // Whoever comes before the first answer waits for it.
    let kept = place.pick().unwrap();
    assert_eq!(listed(&place), ["tcp://10.1.0.1:80", "tcp://10.1.0.2:80"]);
    assert_eq!(kept.target().max_conns, Some(5));
    assert_eq!(
        place.heard(),
        Vec::<String>::new(),
        "the first list is no change"
    );

    place
        .sim
        .name("app", Ok(found(&["10.1.0.2", "10.1.0.3"], 10)));
    place.run(secs(9));
    assert_eq!(listed(&place).len(), 2, "the answer is still good");
    place.run(secs(2));
    assert_eq!(listed(&place), ["tcp://10.1.0.2:80", "tcp://10.1.0.3:80"]);
    let gone = name(&kept) == "tcp://10.1.0.1:80";
    let because = if gone { " (1 connection goes on)" } else { "" };
    assert_eq!(
        place.heard(),
        [
            "target tcp://10.1.0.3:80 is new in the list".to_owned(),
            format!("target tcp://10.1.0.1:80 has left the list{because}"),
        ]
    );
    assert!(!place.shares(20).contains_key("tcp://10.1.0.1:80"));
}

#[test]
fn what_cannot_be_learned_changes_nothing_and_is_told_once() {
    let sim = Sim::new(1);
    sim.name("app", Ok(found(&["10.1.0.1"], 2)));
    let mut place = Place::of(sim, &["tcp://app:80,each"], &[]);
    place.pool.keep(&place.cx);
    place.run(secs(1));
    place.sim.name("app", Err(Code::RESOLVE_SERVER_FAILED));
    place.run(secs(60));
    assert_eq!(listed(&place), ["tcp://10.1.0.1:80"]);
    let heard = place.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(
        heard[0]
            .starts_with("targets: the list stays as it was: resolve.server-failed (tcp://app:80"),
        "{heard:?}"
    );
    place.sim.name("app", Ok(found(&["10.1.0.1"], 2)));
    place.run(secs(10));
    assert_eq!(
        place.heard(),
        ["targets: the list is known again (tcp://app:80)"]
    );
}

#[test]
fn how_long_an_answer_is_kept_has_bounds() {
    let sim = Sim::new(1);
    sim.name("app", Ok(found(&["10.1.0.1"], 0)));
    let place = Place::of(sim, &["tcp://app:80,each"], &[]);
    place.pool.keep(&place.cx);
    place.run(Duration::from_millis(500));
    place.sim.name("app", Ok(found(&["10.1.0.2"], 1_000_000)));
    place.run(Duration::from_millis(400));
    assert_eq!(listed(&place), ["tcp://10.1.0.1:80"], "a second at least");
    place.run(Duration::from_millis(400));
    assert_eq!(listed(&place), ["tcp://10.1.0.2:80"]);
    place.sim.name("app", Ok(found(&["10.1.0.3"], 1)));
    place.run(secs(290));
    assert_eq!(listed(&place), ["tcp://10.1.0.2:80"]);
    place.run(secs(20));
    assert_eq!(
        listed(&place),
        ["tcp://10.1.0.3:80"],
        "five minutes at most"
    );
}

#[test]
fn a_name_that_is_never_known_is_refused_with_why() {
    let place = Place::new(&["tcp://nowhere:80,each"], &[]);
    place.pool.keep(&place.cx);
    let failure = place.pick().err().unwrap();
    assert_eq!(failure.code(), Code::CONNECT_NO_TARGET);
    let why: Vec<String> = failure.facts().iter().map(ToString::to_string).collect();
    assert!(why[0].contains("resolve.no-such-name"), "{why:?}");
    // Without anybody who keeps it, the list never comes.
    let place = Place::new(&["tcp://nowhere:80,each"], &[("queue-timeout", "1s")]);
    let failure = place.pick().err().unwrap();
    assert!(failure.summary().contains("not known yet"), "{failure}");
}

#[test]
fn the_servers_of_a_service_are_targets_by_priority_and_weight() {
    let one = |host: &str, port, priority, weight| Served {
        host: host.to_owned(),
        port,
        priority,
        weight,
    };
    let sim = Sim::new(1);
    sim.service(
        "_http._tcp.example",
        Ok(Services {
            list: vec![
                one("a", 8080, 10, 30),
                one("b", 81, 10, 10),
                one("c", 82, 20, 0),
            ],
            ttl: Some(secs(10)),
            steps: Vec::new(),
        }),
    );
    let rules = [
        ("eject-after", "1"),
        ("eject-for", "1h"),
        ("eject-most", "2h"),
    ];
    let mut place = Place::of(sim, &["tcp://_http._tcp.example,srv"], &rules);
    place.pool.keep(&place.cx);
    let shares = place.shares(400);
    assert_eq!(shares["tcp://a:8080"], 300);
    assert_eq!(shares["tcp://b:81"], 100);
    for _ in 0..2 {
        place.pick().unwrap().failed(&netloom_base::Failure::new(
            netloom_base::Stage::Connect,
            netloom_base::Side::Peer,
            Code::CONNECT_REFUSED,
        ));
        place.run(secs(1));
    }
    let left: Vec<String> = place.shares(10).into_keys().collect();
    assert_eq!(left, ["tcp://c:82"], "{:?}", place.heard());
    // The service is given up.
    let none = Services {
        ttl: Some(secs(10)),
        ..Services::default()
    };
    place.sim.service("_http._tcp.example", Ok(none));
    place.run(secs(10));
    assert_eq!(listed(&place), Vec::<String>::new());
    assert_eq!(place.pick().err().unwrap().code(), Code::CONNECT_NO_TARGET);
}

#[test]
fn a_file_is_read_again_when_it_changes_and_a_broken_one_is_not_taken() {
    let folder = std::env::temp_dir().join(format!("netloom-targets-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("targets");
    // As whoever knows how does it: made beside, then put in its place.
    let write = |text: &str| {
        fs::write(folder.join("new"), text).unwrap();
        fs::rename(folder.join("new"), &path).unwrap();
    };
    write("# ours\ntcp://10.0.0.1:80 # the old one\n\ntcp://10.0.0.2:80,weight=2\n");
    let written = path.display().to_string();
    let mut place = Place::new(&["tcp://10.0.0.9:80"], &[("to-file", &written)]);
    place.pool.keep(&place.cx);
    place.run(secs(3));
    assert_eq!(place.heard(), Vec::<String>::new());
    assert_eq!(
        listed(&place),
        [
            "tcp://10.0.0.9:80",
            "tcp://10.0.0.1:80",
            "tcp://10.0.0.2:80"
        ]
    );
    write("tcp://10.0.0.2:80,weight=2\ntcp://10.0.0.3:80,backup\n");
    place.run(secs(2));
    assert_eq!(
        place.heard(),
        [
            "target tcp://10.0.0.3:80 is new in the list",
            "target tcp://10.0.0.1:80 has left the list"
        ]
    );
    write("tcp://10.0.0.2:80\nudp:/10.0.0.3:80\n");
    place.run(secs(5));
    let heard = place.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(
        heard[0].contains("parse.config") && heard[0].contains("line 2"),
        "{heard:?}"
    );
    fs::remove_file(&path).unwrap();
    place.run(secs(5));
    assert_eq!(place.heard().len(), 1);
    assert_eq!(listed(&place).len(), 3, "the last good list stays");
    write("tcp://10.0.0.2:80\n");
    place.run(secs(2));
    assert_eq!(listed(&place), ["tcp://10.0.0.9:80", "tcp://10.0.0.2:80"]);
    // From the first a broken file is refused.
    write("tcp://10.0.0.2:80\nnonsense\n");
    let rules = rules(&[("to-file", &written)]);
    let errors = Pool::of(entries(&[]), rules, place.cx.net()).err().unwrap();
    assert!(errors[0].message.contains("line 2"), "{errors:?}");
    fs::remove_dir_all(&folder).unwrap();
}
