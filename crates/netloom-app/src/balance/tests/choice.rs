//! Each way to choose, and who may be chosen.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use netloom_base::{Code, Failure, Side, Stage};
use proptest::prelude::*;

use super::super::choice::{Balance, Lot, Seen, number_of};
use super::{Place, name, secs};

fn seen(weights: &[u64]) -> Vec<Seen> {
    let one = |(place, weight): (usize, &u64)| Seen {
        place,
        weight: weight * 1000,
        open: 0,
        time: 0.0,
        key: number_of(format!("tcp://10.0.0.{place}:80").as_bytes()),
    };
    weights.iter().enumerate().map(one).collect()
}

/// A source of numbers that is the same in every run.
fn lots() -> impl FnMut(u64) -> u64 {
    let mut n = 0_u64;
    move |below| {
        n += 1;
        number_of(&n.to_le_bytes()).wrapping_mul(0x9e37_79b9_7f4a_7c15) % below
    }
}

/// Which places are chosen one after the other; each connection stays open where
/// `stay` says so.
fn run(balance: Balance, seen: &mut [Seen], picks: u64, stay: bool) -> Vec<usize> {
    let (mut turns, mut draw) = (Vec::new(), lots());
    let mut chosen = Vec::new();
    for client in 0..picks {
        let mut lot = Lot {
            client: Some(number_of(&client.to_le_bytes())),
            turns: &mut turns,
            draw: &mut draw,
        };
        let at = balance.choose(seen, &mut lot);
        seen[at].open += usize::from(stay);
        chosen.push(seen[at].place);
    }
    chosen
}

fn counts(chosen: &[usize], of: usize) -> Vec<u64> {
    let mut counts = vec![0; of];
    for place in chosen {
        counts[*place] += 1;
    }
    counts
}

#[test]
fn turns_are_smooth() {
    let chosen = run(Balance::RoundRobin, &mut seen(&[5, 1, 1]), 7, false);
    assert_eq!(chosen, [0, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn the_fewest_connections_for_its_weight_wins_and_ties_take_turns() {
    let mut targets = seen(&[1, 1, 2]);
    let chosen = run(Balance::LeastConnections, &mut targets, 400, true);
    assert_eq!(counts(&chosen, 3), [100, 100, 200]);
    let chosen = run(Balance::LeastConnections, &mut seen(&[1, 1, 1]), 300, false);
    assert_eq!(counts(&chosen, 3), [100, 100, 100]);
}

#[test]
fn who_answers_sooner_gets_more_and_who_was_never_asked_is_asked() {
    let mut targets = seen(&[1, 1]);
    (targets[0].time, targets[1].time) = (0.010, 0.030);
    let chosen = run(Balance::LeastTime, &mut targets, 400, true);
    assert_eq!(counts(&chosen, 2), [300, 100]);
    targets[1].time = 0.0;
    assert_eq!(run(Balance::LeastTime, &mut targets, 1, false), [1]);
}

#[test]
fn the_less_busy_of_two_is_taken() {
    let mut targets = seen(&[1, 1, 1, 1]);
    let chosen = run(Balance::PowerOfTwo, &mut targets, 4000, true);
    for count in counts(&chosen, 4) {
        assert!((990..=1010).contains(&count), "{count}");
    }
    targets[3].open = 1_000_000;
    let chosen = run(Balance::PowerOfTwo, &mut targets, 1000, false);
    assert_eq!(counts(&chosen, 4)[3], 0, "the busiest never wins of two");
}

#[test]
fn the_first_is_filled_first() {
    assert_eq!(run(Balance::First, &mut seen(&[1, 9]), 3, true), [0, 0, 0]);
}

proptest! {
    /// Over a whole round everybody has had exactly as many turns as its weight.
    #[test]
    fn a_round_of_turns_is_exact(weights in prop::collection::vec(1u64..20, 1..8)) {
        let all = weights.iter().sum();
        let chosen = run(Balance::RoundRobin, &mut seen(&weights), all, false);
        prop_assert_eq!(counts(&chosen, weights.len()), weights);
    }

    /// Hashing and lots give everybody its share, within what chance allows.
    #[test]
    fn shares_follow_weights(weights in prop::collection::vec(1u64..6, 2..6)) {
        let all: u64 = weights.iter().sum();
        for balance in [Balance::Source, Balance::PowerOfTwo] {
            let picks = 4000;
            let stay = balance == Balance::PowerOfTwo;
            let chosen = run(balance, &mut seen(&weights), picks, stay);
            for (count, weight) in counts(&chosen, weights.len()).iter().zip(&weights) {
                let fair = (picks * weight) as f64 / all as f64;
                let off = (*count as f64 - fair).abs();
                // Five standard deviations of a binomial draw.
                prop_assert!(off <= 5.0 * fair.sqrt() + 5.0, "{:?} {} for {}", balance, count, fair);
            }
        }
    }

    /// When a target goes, its own clients move and nobody else; when it comes
    /// back, they come back.
    #[test]
    fn only_the_clients_of_a_lost_target_move(
        weights in prop::collection::vec(1u64..6, 2..8),
        lost in 0usize..8,
    ) {
        let lost = lost % weights.len();
        let all = seen(&weights);
        let rest: Vec<Seen> = all.iter().filter(|s| s.place != lost).copied().collect();
        let before = run(Balance::Source, &mut all.clone(), 500, false);
        let after = run(Balance::Source, &mut rest.clone(), 500, false);
        for (was, is) in before.iter().zip(&after) {
            prop_assert!(was == is || *was == lost);
            prop_assert!(*is != lost);
        }
    }

    /// Whatever is seen, something of it is chosen.
    #[test]
    fn what_is_chosen_was_seen(
        way in 0usize..6,
        loads in prop::collection::vec((1u64..100_000, 0usize..1_000_000, 0f64..1e6, any::<u64>()), 1..9),
        client in any::<Option<u64>>(),
    ) {
        let ways = [Balance::RoundRobin, Balance::LeastConnections, Balance::LeastTime,
            Balance::PowerOfTwo, Balance::Source, Balance::First];
        let targets: Vec<Seen> = loads.iter().enumerate().map(|(i, (weight, open, time, key))| Seen {
            place: i * 3, weight: *weight, open: *open, time: *time, key: *key,
        }).collect();
        let (mut turns, mut draw) = (vec![i64::MAX / 2; 2], lots());
        let mut lot = Lot { client, turns: &mut turns, draw: &mut draw };
        prop_assert!(ways[way].choose(&targets, &mut lot) < targets.len());
    }
}

const THREE: [&str; 3] = ["tcp://a:80", "tcp://b:80", "tcp://c:80"];

fn refused() -> Failure {
    Failure::new(Stage::Connect, Side::Peer, Code::CONNECT_REFUSED)
}

#[test]
fn a_plain_pool_takes_turns_and_leaves_out_what_was_tried() {
    let place = Place::new(&THREE, &[]);
    let shares = place.shares(300);
    assert!(shares.values().all(|n| *n == 100), "{shares:?}");
    let mut tried = vec![place.pick().unwrap()];
    for _ in 0..2 {
        let next = place.pick_for(None, &tried).unwrap();
        assert!(tried.iter().all(|pick| name(pick) != name(&next)));
        tried.push(next);
    }
    let failure = place.pick_for(None, &tried).err().unwrap();
    assert_eq!(failure.code(), Code::CONNECT_NO_TARGET);
    assert!(failure.summary().contains("3 of 3"), "{failure}");
}

#[test]
fn a_client_keeps_its_target_with_source() {
    let place = Place::new(&THREE, &[("balance", "source")]);
    let mut shares = BTreeMap::<String, usize>::new();
    for n in 0..300_u16 {
        let [high, low] = n.to_be_bytes();
        let client = IpAddr::V4(Ipv4Addr::new(192, 168, high, low));
        let first = name(&place.pick_for(Some(client), &[]).unwrap());
        let mapped = match client {
            IpAddr::V4(v4) => IpAddr::V6(v4.to_ipv6_mapped()),
            v6 @ IpAddr::V6(_) => v6,
        };
        assert_eq!(first, name(&place.pick_for(Some(mapped), &[]).unwrap()));
        *shares.entry(first).or_default() += 1;
    }
    assert!(shares.values().all(|n| (60..140).contains(n)), "{shares:?}");
}

#[test]
fn weights_hold_and_none_is_no_share() {
    let targets = ["tcp://a:80,weight=3", "tcp://b:80", "tcp://c:80,weight=0"];
    let shares = Place::new(&targets, &[]).shares(400);
    assert_eq!(shares.values().copied().collect::<Vec<_>>(), [300, 100]);
    let failure = Place::new(&["tcp://c:80,weight=0"], &[])
        .pick()
        .err()
        .unwrap();
    assert_eq!(failure.code(), Code::CONNECT_NO_TARGET);
}

#[test]
fn backups_come_in_only_when_no_other_is_up_and_the_down_only_when_none_is() {
    let targets = ["tcp://a:80", "tcp://b:80", "tcp://c:80,backup"];
    let mut place = Place::new(&targets, &[("eject-after", "1"), ("eject-for", "1h")]);
    let fail = |place: &Place, which: &str| {
        loop {
            let pick = place.pick().unwrap();
            if name(&pick) == which {
                pick.failed(&refused());
                return;
            }
        }
    };
    fail(&place, "tcp://a:80");
    assert_eq!(
        place.shares(20).into_keys().collect::<Vec<_>>(),
        ["tcp://b:80"]
    );
    fail(&place, "tcp://b:80");
    assert_eq!(
        place.shares(20).into_keys().collect::<Vec<_>>(),
        ["tcp://c:80"]
    );
    let heard = place.heard();
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(
        heard[0].starts_with(
            "target tcp://a:80 is left out: connect.refused.no-listener (1 dial, for "
        )
    );
    fail(&place, "tcp://c:80");
    assert_eq!(place.shares(30).len(), 3, "nothing is up: all are tried");
    let heard = place.heard();
    assert_eq!(heard.len(), 2, "told once: {heard:?}");
    assert_eq!(
        heard[1],
        "targets: none is up, and they are tried all the same"
    );
    // One that answers is up again, and has all to itself.
    loop {
        let pick = place.pick().unwrap();
        if name(&pick) == "tcp://b:80" {
            pick.answered(secs(0));
            break;
        }
    }
    assert_eq!(place.heard(), ["target tcp://b:80 is taken again"]);
    assert_eq!(
        place.shares(20).into_keys().collect::<Vec<_>>(),
        ["tcp://b:80"]
    );
}

#[test]
fn what_this_process_lacks_is_no_fault_of_the_target() {
    let mut place = Place::new(&THREE, &[("eject-after", "1")]);
    let lack = Failure::new(Stage::Create, Side::Us, Code::CREATE_NO_DESCRIPTORS);
    let ports = Failure::new(Stage::Connect, Side::Us, Code::CONNECT_NO_LOCAL_PORT);
    for failure in [lack, ports] {
        place.pick().unwrap().failed(&failure);
    }
    assert_eq!(place.heard(), Vec::<String>::new());
    assert_eq!(place.shares(30).len(), 3);
}

#[test]
fn least_time_turns_to_who_answers_soonest_and_forgets() {
    let place = Place::new(&THREE[..2], &[("balance", "least-time")]);
    for _ in 0..2 {
        let pick = place.pick().unwrap();
        let slow = name(&pick) == "tcp://a:80";
        pick.answered(std::time::Duration::from_millis(if slow {
            300
        } else {
            10
        }));
    }
    assert_eq!(
        place.shares(50).into_keys().collect::<Vec<_>>(),
        ["tcp://b:80"]
    );
    // b is asked meanwhile and a is not: what is known of a fades.
    for _ in 0..60 {
        place.run(secs(1));
        let pick = place.pick().unwrap();
        if name(&pick) == "tcp://a:80" {
            return;
        }
        pick.answered(std::time::Duration::from_millis(10));
    }
    panic!("a slow target was never tried again");
}
