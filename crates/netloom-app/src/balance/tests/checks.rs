//! Checks, and targets that are left out and come back.

use std::collections::BTreeMap;
use std::time::Duration;

use netloom_base::{Code, Failure, Side, Stage};
use netloom_transport::sim::{Link, Sim};

use super::{Place, name, secs, serve_saying};

const TWO: [&str; 2] = ["tcp://a:80", "tcp://b:80"];

fn keys(shares: BTreeMap<String, usize>) -> Vec<String> {
    shares.into_keys().collect()
}

#[test]
fn a_target_that_is_down_is_found_told_once_and_comes_back() {
    let mut place = Place::new(
        &TWO,
        &[
            ("check", "connect"),
            ("check-every", "1s"),
            ("rise", "2"),
            ("fall", "3"),
        ],
    );
    let a = place.serve("a");
    let _b = place.serve("b");
    place.pool.keep(&place.cx);
    place.run(secs(5));
    assert_eq!(place.heard(), Vec::<String>::new());
    drop(a);
    place.run(secs(2));
    assert_eq!(
        place.heard(),
        Vec::<String>::new(),
        "three checks must fail"
    );
    place.run(secs(3));
    assert_eq!(
        place.heard(),
        ["target tcp://a:80 is down: connect.refused.no-listener (3 checks)"]
    );
    assert_eq!(keys(place.shares(10)), ["tcp://b:80"]);
    let _a = place.serve("a");
    place.run(secs(5));
    assert_eq!(place.heard(), ["target tcp://a:80 is up again (2 checks)"]);
    assert_eq!(place.shares(10).len(), 2);
}

#[test]
fn whoever_comes_back_by_checks_is_not_left_out_for_what_failed_meanwhile() {
    let mut place = Place::new(
        &TWO,
        &[
            ("check", "connect"),
            ("check-every", "1s"),
            ("eject-after", "1"),
            ("eject-for", "1h"),
        ],
    );
    let _b = place.serve("b");
    place.sim.host("a");
    let pick = loop {
        let pick = place.pick().unwrap();
        if name(&pick) == "tcp://a:80" {
            break pick;
        }
    };
    pick.failed(&refused());
    place.pool.keep(&place.cx);
    place.run(secs(1));
    assert_eq!(place.heard().len(), 2, "left out, and down");
    let _a = place.serve("a");
    place.run(secs(5));
    assert_eq!(place.heard(), ["target tcp://a:80 is up again (2 checks)"]);
    assert_eq!(place.shares(10).len(), 2);
}

#[test]
fn a_dial_that_fails_late_does_not_undo_what_checks_found() {
    let mut place = Place::new(&TWO, &[("check", "connect"), ("check-every", "1s")]);
    let _b = place.serve("b");
    place.sim.host("a");
    let a = || loop {
        let pick = place.pick().unwrap();
        if name(&pick) == "tcp://a:80" {
            return pick;
        }
    };
    let (late, picks) = (a(), [a(), a(), a()]);
    for pick in picks {
        pick.failed(&refused());
    }
    place.pool.keep(&place.cx);
    place.run(secs(1));
    assert_eq!(place.heard().len(), 2, "left out, and down");
    let _a = place.serve("a");
    place.run(secs(5));
    assert_eq!(place.heard(), ["target tcp://a:80 is up again (2 checks)"]);
    late.failed(&refused());
    assert_eq!(place.heard(), Vec::<String>::new());
    assert_eq!(place.shares(10).len(), 2);
}

#[test]
fn the_first_check_decides_alone_and_silence_is_found_too() {
    let mut place = Place::new(&TWO, &[("check", "connect"), ("check-timeout", "1s")]);
    let _a = place.serve("a");
    let _b = place.serve("b");
    place.sim.cut("here", "a");
    place.pool.keep(&place.cx);
    place.run(secs(2));
    assert_eq!(
        place.heard(),
        ["target tcp://a:80 is down: connect.timeout.dropped (1 check)"]
    );
    place.sim.heal("here", "a");
    place.run(secs(30));
    assert_eq!(place.heard(), ["target tcp://a:80 is up again (2 checks)"]);
}

#[test]
fn what_a_server_says_is_checked() {
    let http = [
        ("check", "http"),
        ("check-path", "/health"),
        ("check-every", "1s"),
    ];
    let send = [
        ("check", "send"),
        ("check-send", "PING\\r\\n"),
        ("check-expect", "+PONG"),
        ("check-every", "1s"),
    ];
    let cases: [(&[_], &'static [u8], Option<&str>); 8] = [
        (&http, b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (
            &http,
            b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            None,
        ),
        (
            &http,
            b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
            Some("greet.refused"),
        ),
        (&http, b"SSH-2.0-OpenSSH\r\n", Some("greet.wrong-protocol")),
        (&http, b"HTTP/1.1 2", Some("recv.timeout")),
        (&send, b"hello\r\n+PONG\r\n", None),
        (&send, b"-LOADING\r\n", Some("recv.timeout")),
        (&send, b"", Some("recv.timeout")),
    ];
    for (rules, says, code) in cases {
        let sim = Sim::new(3);
        let _a = serve_saying(&sim, "a", says);
        let mut place = Place::of(sim, &["tcp://a:80"], rules);
        place.pool.keep(&place.cx);
        place.run(secs(4));
        let heard = place.heard();
        match code {
            None => assert_eq!(heard, Vec::<String>::new()),
            Some(code) => {
                assert_eq!(heard.len(), 1, "{heard:?}");
                assert!(heard[0].contains(&format!("is down: {code}")), "{heard:?}");
            }
        }
    }
}

#[test]
fn checks_are_bounded_and_spread() {
    let hosts: Vec<String> = (0..300).map(|n| format!("tcp://h{n}:80")).collect();
    let targets: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let place = Place::new(&targets, &[("check", "connect"), ("check-every", "1s")]);
    let slow = Link::default().delayed(Duration::from_millis(20), Duration::ZERO);
    place.sim.links(slow);
    let servers: Vec<_> = (0..300).map(|n| place.serve(&format!("h{n}"))).collect();
    place.pool.keep(&place.cx);
    let mut most = 0;
    for _ in 0..200 {
        place.run(Duration::from_millis(10));
        most = most.max(place.sim.streams().len());
    }
    assert!((32..=2 * 64).contains(&most), "{most} at a time");
    drop(servers);
}

fn refused() -> Failure {
    Failure::new(Stage::Connect, Side::Peer, Code::CONNECT_REFUSED)
}

#[test]
fn a_target_that_fails_is_left_out_longer_each_time_and_looked_at_before_clients_are() {
    let mut place = Place::new(&TWO, &[("eject-for", "4s"), ("eject-after", "3")]);
    let _b = place.serve("b");
    place.sim.host("a");
    place.pool.keep(&place.cx);
    for n in 0..6 {
        let pick = place.pick().unwrap();
        if name(&pick) == "tcp://a:80" {
            pick.failed(&refused());
        } else {
            pick.answered(secs(0));
        }
        let left_out = n >= 4;
        assert_eq!(
            keys(place.shares(4)).len(),
            if left_out { 1 } else { 2 },
            "{n}"
        );
    }
    let heard = place.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(
        heard[0].contains("connect.refused.no-listener (3 dials, for"),
        "{heard:?}"
    );
    // 4 s, 8 s, 16 s have passed after 28 s, with a tenth more or less; no
    // client was let near meanwhile.
    for _ in 0..40 {
        place.run(Duration::from_millis(500));
        assert_eq!(keys(place.shares(4)), ["tcp://b:80"]);
    }
    assert_eq!(place.heard(), Vec::<String>::new());
    let _a = place.serve("a");
    place.run(secs(12));
    assert_eq!(place.heard(), ["target tcp://a:80 is taken again"]);
    assert_eq!(place.shares(10).len(), 2);
}

#[test]
fn a_target_that_came_back_gets_its_share_slowly() {
    let mut place = Place::new(
        &TWO,
        &[
            ("check", "connect"),
            ("check-every", "1s"),
            ("rise", "1"),
            ("slow-start", "100s"),
        ],
    );
    let _b = place.serve("b");
    place.pool.keep(&place.cx);
    place.run(secs(3));
    assert_eq!(place.heard().len(), 1);
    let _a = place.serve("a");
    let share = |place: &Place| place.shares(300).get("tcp://a:80").copied().unwrap_or(0);
    while place.heard().is_empty() {
        place.run(Duration::from_millis(100));
    }
    let (early, mut last) = (share(&place), 0);
    assert!(early < 10, "{early}");
    for _ in 0..4 {
        place.run(secs(25));
        let now = share(&place);
        assert!(now > last, "{now} after {last}");
        last = now;
    }
    assert!((140..=160).contains(&share(&place)), "{last}");
}

#[test]
fn keeping_ends_with_the_service() {
    let place = Place::new(&TWO, &[("check", "connect")]);
    place.pool.keep(&place.cx);
    place.pool.keep(&place.cx);
    place.run(secs(1));
    assert_eq!(place.cx.tasks(), 1);
    place.cx.shutdown().drain();
    place.run(secs(1));
    assert_eq!(place.cx.tasks(), 0);
    let plain = Place::new(&TWO[..1], &[]);
    plain.pool.keep(&plain.cx);
    assert_eq!(
        plain.cx.tasks(),
        0,
        "one target without checks needs nobody"
    );
}
