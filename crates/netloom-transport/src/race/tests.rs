//! Races over two hosts, each with both families, on the simulated clock.

use std::net::IpAddr;
use std::time::Duration;

use netloom_base::failure::{Fact, Step};
use netloom_base::{Code, Failure, Role, Side, Stage};
use tokio::io::AsyncReadExt;

use super::interleaved;
use super::outcome::broken_family;
use super::stagger::Run;
use crate::conn::{Conn, Peer};
use crate::cx::Cx;
use crate::listener::Listener;
use crate::sim::{Link, Sim};

/// `here` dials `both`; the address of `six` and the one of `four` are both
/// behind that name, so that a way can be cut for each alone.
struct Races {
    sim: Sim,
    here: Cx,
}

const DELAY: Duration = Duration::from_millis(10);

impl Races {
    fn new() -> Self {
        let sim = Sim::new(3);
        sim.links(Link::default().delayed(DELAY, Duration::ZERO));
        let here = sim.host("here");
        sim.set_addresses("here", ips(&["10.0.0.1", "2001:db8::1"]));
        for host in ["six", "four", "both"] {
            sim.host(host);
        }
        sim.set_addresses("six", ips(&["2001:db8::2"]));
        sim.set_addresses("four", ips(&["10.0.0.2"]));
        // Looked up last, so that each address belongs to the host above.
        sim.set_addresses("both", ips(&["10.0.0.2", "2001:db8::2"]));
        Races { sim, here }
    }

    fn dial(&self, endpoint: &str) -> Result<Conn, Failure> {
        self.sim.block_on(dial(&self.here, endpoint)).unwrap()
    }

    fn listen(&self, host: &str) -> Box<dyn Listener> {
        let cx = self.sim.host(host);
        self.sim.block_on(listen(&cx)).unwrap()
    }

    fn millis(&self) -> u128 {
        self.sim.now().since_start().as_millis()
    }
}

async fn dial(cx: &Cx, endpoint: &str) -> Result<Conn, Failure> {
    let stack = cx.net().stack(&endpoint.parse().unwrap(), Role::Dial)?;
    cx.net().dial(&stack, cx).await?.stream()
}

async fn listen(cx: &Cx) -> Box<dyn Listener> {
    let endpoint = "tcp://*:7".parse().unwrap();
    let stack = cx.net().stack(&endpoint, Role::Bind).unwrap();
    let bound = cx.net().bind(&stack, cx).await.unwrap().remove(0);
    bound.listener().unwrap().unwrap()
}

fn ips(written: &[&str]) -> Vec<IpAddr> {
    written.iter().map(|ip| ip.parse().unwrap()).collect()
}

/// The connecting steps: to what, how they ended, after how many milliseconds.
fn attempts(trail: &[Step]) -> Vec<(&str, Option<Code>, u128)> {
    trail
        .iter()
        .filter(|step| step.stage == Stage::Connect)
        .map(|step| (&*step.to, step.failed, step.took.as_millis()))
        .collect()
}

fn noted(facts: &[Fact], wanted: Code) -> Option<&str> {
    facts.iter().find_map(|fact| match fact {
        Fact::Noted { code, what, .. } if *code == wanted => Some(&**what),
        _ => None,
    })
}

const SIX: &str = "[2001:db8::2]:7";
const FOUR: &str = "10.0.0.2:7";

#[test]
fn both_work_and_ipv6_is_taken() {
    let races = Races::new();
    let _held = (races.listen("six"), races.listen("four"));
    let conn = races.dial("tcp://both:7").unwrap();
    assert_eq!(attempts(conn.trail()), [(SIX, None, 20)]);
    assert_eq!(conn.facts().peer, Some(Peer::Ip(SIX.parse().unwrap())));
    assert_eq!(conn.learned(), []);
}

#[test]
fn a_silent_family_costs_one_delay_and_is_told() {
    let races = Races::new();
    let _held = races.listen("four");
    races.sim.cut("here", "six");
    let conn = races.dial("tcp://both:7").unwrap();
    assert_eq!(races.millis(), 270);
    assert_eq!(
        attempts(conn.trail()),
        [(SIX, Some(Code::CONNECT_OVERTAKEN), 270), (FOUR, None, 20)]
    );
    assert_eq!(
        noted(conn.learned(), Code::CONNECT_FAMILY_BROKEN).unwrap(),
        "IPv4 works, IPv6 does not: [2001:db8::2]:7 had not answered after 270 ms"
    );
}

#[test]
fn a_refusal_starts_the_next_at_once() {
    let races = Races::new();
    let _held = races.listen("four");
    let conn = races.dial("tcp://both:7").unwrap();
    assert_eq!(races.millis(), 40);
    assert_eq!(
        attempts(conn.trail()),
        [(SIX, Some(Code::CONNECT_REFUSED), 20), (FOUR, None, 20)]
    );
    assert_eq!(
        noted(conn.learned(), Code::CONNECT_FAMILY_BROKEN).unwrap(),
        "IPv4 works, IPv6 does not: [2001:db8::2]:7: nothing listens on that port"
    );
}

#[test]
fn a_loopback_that_refuses_is_not_broken_and_one_that_is_silent_is() {
    let noted = |who: &str, code: Code| {
        let run = |who: &str, result| Run {
            who: who.parse().unwrap(),
            began: Sim::new(1).now(),
            took: Duration::ZERO,
            result: Some(result),
        };
        let failure = Failure::new(Stage::Connect, Side::Peer, code);
        let runs = [run(who, Err(failure)), run("127.0.0.1:7", Ok(()))];
        broken_family(&runs).is_some()
    };
    assert!(!noted("[::1]:7", Code::CONNECT_REFUSED));
    assert!(noted("[::1]:7", Code::CONNECT_TIMEOUT));
    assert!(noted("[2001:db8::1]:7", Code::CONNECT_REFUSED));
}

#[test]
fn a_host_without_ipv6_goes_on_at_once_and_nothing_is_broken() {
    let races = Races::new();
    let _held = races.listen("four");
    races.sim.set_addresses("here", ips(&["10.0.0.1"]));
    let conn = races.dial("tcp://both:7").unwrap();
    assert_eq!(races.millis(), 20);
    assert_eq!(
        attempts(conn.trail()),
        [(SIX, Some(Code::CONNECT_NO_ROUTE), 0), (FOUR, None, 20)]
    );
    assert_eq!(conn.learned(), []);
}

#[test]
fn a_slow_first_still_wins_when_it_answers_before_the_second() {
    let races = Races::new();
    let _held = (races.listen("six"), races.listen("four"));
    let slow = |ms| Link::default().delayed(Duration::from_millis(ms), Duration::ZERO);
    races.sim.link("here", "six", slow(150));
    races.sim.link("here", "four", slow(100));
    let conn = races.dial("tcp://both:7").unwrap();
    assert_eq!(races.millis(), 300);
    assert_eq!(
        attempts(conn.trail()),
        [(SIX, None, 300), (FOUR, Some(Code::CONNECT_OVERTAKEN), 50)]
    );
    assert_eq!(conn.learned(), []);
}

#[test]
fn the_loser_leaves_no_connection_behind() {
    let races = Races::new();
    let (mut six, _four) = (races.listen("six"), races.listen("four"));
    let slow = |ms| Link::default().delayed(Duration::from_millis(ms), Duration::ZERO);
    races.sim.link("here", "six", slow(200));
    races.sim.link("here", "four", slow(10));
    let conn = races.dial("tcp://both:7").unwrap();
    assert_eq!(conn.facts().peer, Some(Peer::Ip(FOUR.parse().unwrap())));
    let read = async {
        let mut given_up = six.accept().await.unwrap().attach().unwrap();
        given_up.read(&mut [0; 1]).await
    };
    let read = races.sim.block_on(read).unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert_eq!(races.sim.streams().len(), 1);
}

#[test]
fn when_all_fail_the_one_that_was_tried_is_told_and_all_are_in_the_trail() {
    let races = Races::new();
    races.sim.set_addresses("here", ips(&["10.0.0.1"]));
    let failure = races.dial("tcp://both:7").unwrap_err();
    assert_eq!(failure.code(), Code::CONNECT_REFUSED);
    assert!(
        failure
            .facts()
            .contains(&Fact::Tried(FOUR.parse().unwrap()))
    );
    assert_eq!(
        attempts(failure.trail()),
        [
            (SIX, Some(Code::CONNECT_NO_ROUTE), 0),
            (FOUR, Some(Code::CONNECT_REFUSED), 20)
        ]
    );
}

#[test]
fn a_refusal_says_more_than_silence() {
    let races = Races::new();
    races.sim.cut("here", "six");
    let failure = races.dial("tcp://both:7").unwrap_err();
    assert_eq!(
        (failure.code(), races.millis()),
        (Code::CONNECT_REFUSED, 10_000)
    );
    assert_eq!(
        attempts(failure.trail()),
        [
            (SIX, Some(Code::CONNECT_TIMEOUT), 10_000),
            (FOUR, Some(Code::CONNECT_REFUSED), 20)
        ]
    );
}

#[test]
fn silence_everywhere_takes_one_timeout_and_the_delays() {
    let races = Races::new();
    races.sim.cut("here", "six");
    races.sim.cut("here", "four");
    let failure = races.dial("tcp://both:7").unwrap_err();
    assert_eq!(
        (failure.code(), races.millis()),
        (Code::CONNECT_TIMEOUT, 10_250)
    );
    assert!(
        failure
            .facts()
            .contains(&Fact::Waited(Duration::from_secs(10)))
    );
}

#[test]
fn only_the_family_of_the_source_is_tried() {
    let races = Races::new();
    let _held = (races.listen("six"), races.listen("four"));
    let conn = races.dial("tcp://both:7,source=10.0.0.1").unwrap();
    assert_eq!(attempts(conn.trail()), [(FOUR, None, 20)]);
    let failure = races.dial("tcp://six:7,source=10.0.0.1").unwrap_err();
    assert_eq!(failure.code(), Code::RESOLVE_NO_FAMILY);
    assert_eq!(failure.facts()[0].to_string(), "`six` has 2001:db8::2");
}

#[test]
fn both_loopbacks_are_tried_in_order() {
    let sim = Sim::new(1);
    let cx = sim.cx();
    let refused = sim.block_on(dial(&cx, "tcp://:7")).unwrap().unwrap_err();
    let tried: Vec<&str> = attempts(refused.trail()).iter().map(|a| a.0).collect();
    assert_eq!(tried, ["127.0.0.1:7", "[::1]:7"]);
}

#[test]
fn at_most_sixteen_addresses_are_tried() {
    let races = Races::new();
    let many: Vec<IpAddr> = (1..=40).map(|n| IpAddr::from([10, 1, 0, n])).collect();
    races.sim.set_addresses("both", many);
    let failure = races.dial("tcp://both:7").unwrap_err();
    assert_eq!(attempts(failure.trail()).len(), 16);
}

#[test]
fn the_same_race_ends_the_same_way() {
    let run = || {
        let races = Races::new();
        let _held = races.listen("four");
        races.sim.cut("here", "six");
        let conn = races.dial("tcp://both:7").unwrap();
        (conn.trail().to_vec(), races.sim.now())
    };
    assert_eq!(run(), run());
}

#[test]
fn families_take_turns_ipv6_first() {
    let mixed = ips(&[
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
        "2001:db8::1",
        "10.0.0.1",
    ]);
    assert_eq!(
        interleaved(&mixed),
        ips(&["2001:db8::1", "10.0.0.1", "10.0.0.2", "10.0.0.3"])
    );
    assert_eq!(
        interleaved(&ips(&["::ffff:10.0.0.1", "2001:db8::1"])),
        ips(&["2001:db8::1", "::ffff:10.0.0.1"])
    );
}
