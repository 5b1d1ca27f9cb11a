//! Caps, and those who wait.

use std::sync::Arc;
use std::sync::Mutex;

use netloom_base::Code;

use super::{Place, name, secs};

#[test]
fn who_finds_all_full_waits_its_turn() {
    let place = Place::new(
        &["tcp://a:80,max-conns=1", "tcp://b:80"],
        &[("target-conns", "2")],
    );
    let mut open: Vec<_> = (0..3).map(|_| place.pick().unwrap()).collect();
    let served = Arc::new(Mutex::new(Vec::new()));
    for n in 0..3 {
        let (pool, cx, served) = (place.pool.clone(), place.cx.clone(), served.clone());
        place.cx.spawn(async move {
            let pick = pool.pick(None, &[], &cx).await.unwrap();
            served.lock().unwrap().push((n, pick));
        });
    }
    place.run(secs(1));
    assert_eq!(served.lock().unwrap().len(), 0);
    let first = open.remove(1);
    let freed = name(&first);
    drop(first);
    place.run(secs(1));
    let got: Vec<(i32, String)> = served
        .lock()
        .unwrap()
        .iter()
        .map(|(n, pick)| (*n, name(pick)))
        .collect();
    assert_eq!(got, [(0, freed)]);
    open.clear();
    place.run(secs(1));
    let order: Vec<i32> = served.lock().unwrap().iter().map(|(n, _)| *n).collect();
    assert_eq!(order, [0, 1, 2]);
}

#[test]
fn a_line_has_an_end_and_a_wait_too() {
    let place = Place::new(
        &["tcp://a:80,max-conns=1"],
        &[("queue", "1"), ("queue-timeout", "2s")],
    );
    let open = place.pick().unwrap();
    let late = Arc::new(Mutex::new(None));
    let (pool, cx, told) = (place.pool.clone(), place.cx.clone(), late.clone());
    place.cx.spawn(async move {
        *told.lock().unwrap() = pool.pick(None, &[], &cx).await.err();
    });
    place.run(secs(1));
    let refused = place.pick().err().unwrap();
    assert_eq!(refused.code(), Code::LIMIT_REACHED);
    assert!(refused.summary().contains("1 wait already"), "{refused}");
    place.run(secs(2));
    let late = late.lock().unwrap().take().unwrap();
    assert_eq!(late.code(), Code::LIMIT_QUEUE_TIMEOUT);
    drop(open);
    assert!(place.pick().is_ok(), "nobody waits any more");
}

#[test]
fn who_gives_up_leaves_the_line_and_takes_nothing_along() {
    let place = Place::new(&["tcp://a:80,max-conns=1"], &[]);
    let open = place.pick().unwrap();
    {
        let pool = place.pool.clone();
        let gives_up = pool.pick(None, &[], &place.cx);
        let waited = place.sim.block_on(place.cx.timeout(secs(1), gives_up));
        assert!(waited.unwrap().is_none());
    }
    drop(open);
    assert!(place.pick().is_ok());
}

#[test]
fn caps_hold_whatever_the_order() {
    for seed in 0..20 {
        let sim = netloom_transport::sim::Sim::new(seed).shuffled();
        let place = Place::of(
            sim,
            &["tcp://a:80,max-conns=2", "tcp://b:80,max-conns=1"],
            &[("balance", "power-of-two"), ("queue-timeout", "1h")],
        );
        let most = Arc::new(Mutex::new((0_usize, 0_usize, 0_usize)));
        for n in 0..40 {
            let (pool, cx, most) = (place.pool.clone(), place.cx.clone(), most.clone());
            place.cx.spawn(async move {
                let pick = pool.pick(None, &[], &cx).await.unwrap();
                {
                    let mut now = most.lock().unwrap();
                    now.0 += 1;
                    now.1 = now.1.max(now.0);
                }
                cx.sleep(std::time::Duration::from_millis(
                    cx.random_below(20) + n % 3,
                ))
                .await;
                let mut now = most.lock().unwrap();
                now.0 -= 1;
                now.2 += 1;
                drop(now);
                drop(pick);
            });
        }
        place.run(secs(10));
        assert_eq!(*most.lock().unwrap(), (0, 3, 40));
    }
}

#[test]
fn a_retry_waits_for_another_target_than_it_tried() {
    let place = Place::new(&["tcp://a:80,max-conns=1", "tcp://b:80,max-conns=1"], &[]);
    let (one, other) = (place.pick().unwrap(), place.pick().unwrap());
    let got = Arc::new(Mutex::new(None));
    let (pool, cx, told, wanted) = (
        place.pool.clone(),
        place.cx.clone(),
        got.clone(),
        name(&other),
    );
    let tried = vec![one];
    let freed = Arc::new(Mutex::new(Some(other)));
    let free = freed.clone();
    place.cx.spawn(async move {
        *told.lock().unwrap() = Some(name(&pool.pick(None, &tried, &cx).await.unwrap()));
    });
    place.run(secs(1));
    assert!(got.lock().unwrap().is_none());
    drop(free.lock().unwrap().take());
    place.run(secs(1));
    assert_eq!(got.lock().unwrap().take(), Some(wanted));
}
