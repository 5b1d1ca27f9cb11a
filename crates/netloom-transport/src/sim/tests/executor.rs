//! Tasks, time and chance.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use netloom_base::Stage;
use tokio::sync::{Notify, mpsc};

use super::super::{Link, Sim};
use super::{dial, listen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn an_hour_passes_at_once_and_in_order() {
    let sim = Sim::new(1);
    let cx = sim.cx();
    let (tell, mut told) = mpsc::channel(8);
    for minutes in [30, 10, 20] {
        let (cx, tell) = (cx.clone(), tell.clone());
        sim.cx().spawn(async move {
            cx.sleep(Duration::from_secs(minutes * 60)).await;
            tell.send((minutes, cx.now())).await.unwrap();
        });
    }
    drop(tell);
    sim.run_for(Duration::from_hours(1)).unwrap();
    let mut order = Vec::new();
    while let Ok((minutes, at)) = told.try_recv() {
        assert_eq!(at.since_start(), Duration::from_secs(minutes * 60));
        order.push(minutes);
    }
    assert_eq!(order, [10, 20, 30]);
    assert_eq!(
        (sim.tasks(), cx.tasks(), sim.now().since_start().as_secs()),
        (0, 0, 3600)
    );
    assert_eq!(cx.wall().to_string(), "2026-01-01T01:00:00.000000Z");
}

#[test]
fn whoever_waits_for_nothing_is_told_instead_of_hanging() {
    let sim = Sim::new(1);
    let never = Arc::new(Notify::new());
    let theirs = never.clone();
    sim.host("a").spawn(async move { theirs.notified().await });
    let stuck = sim.block_on(never.notified()).unwrap_err();
    assert_eq!(stuck.stage(), Stage::Stuck);
    assert!(
        stuck
            .summary()
            .contains("no alarm is set 0ns after the start"),
        "{stuck}"
    );
    assert!(
        stuck.summary().contains("as is the task of 1 on `a`"),
        "{stuck}"
    );
}

#[test]
fn a_task_that_wakes_itself_for_ever_is_told() {
    let sim = Sim::new(1);
    let spinning = sim.block_on(std::future::poll_fn::<(), _>(|cx| {
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    }));
    assert!(
        spinning
            .unwrap_err()
            .summary()
            .contains("wakes itself for ever")
    );
}

#[test]
fn a_wait_that_was_given_up_does_not_move_the_clock() {
    let sim = Sim::new(1);
    let cx = sim.cx();
    let answer = sim
        .block_on(cx.timeout(Duration::from_secs(9), cx.sleep(Duration::from_secs(1))))
        .unwrap();
    assert_eq!(answer, Some(()));
    let late = sim
        .block_on(cx.timeout(Duration::from_secs(1), cx.sleep(Duration::from_secs(9))))
        .unwrap();
    assert_eq!(late, None);
    assert!(sim.block_on(std::future::pending::<()>()).is_err());
    assert_eq!(sim.now().since_start(), Duration::from_secs(2));
}

#[test]
fn tasks_of_a_part_can_be_waited_for() {
    let sim = Sim::new(1);
    let cx = sim.cx();
    let (draining, stop) = (cx.clone(), cx.clone());
    cx.spawn(async move { draining.shutdown().draining().await });
    sim.cx().spawn(async move {
        stop.sleep(Duration::from_secs(5)).await;
        stop.shutdown().drain();
    });
    sim.block_on(cx.tasks_done()).unwrap();
    assert_eq!((cx.tasks(), sim.now().since_start().as_secs()), (0, 5));
}

#[test]
fn tasks_that_never_end_go_with_the_simulation() {
    let alive = Arc::new(());
    let sim = Sim::new(1);
    for _ in 0..3 {
        let (cx, alive) = (sim.cx(), alive.clone());
        sim.cx().spawn(async move {
            let _listener = listen(&cx, "tcp://:0").await;
            std::future::pending::<()>().await;
            drop(alive);
        });
    }
    sim.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!((sim.tasks(), Arc::strong_count(&alive)), (3, 4));
    drop(sim);
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// Three clients talk over a jittery, lossy link; what happened, line by line.
fn story(seed: u64, shuffled: bool) -> Vec<String> {
    let sim = Sim::new(seed);
    let sim = if shuffled { sim.shuffled() } else { sim };
    sim.links(
        Link::default()
            .delayed(Duration::from_millis(20), Duration::from_millis(5))
            .lossy(0.1),
    );
    sim.record();
    let server = sim.host("server");
    sim.host("server").spawn(async move {
        let mut listener = listen(&server, "tcp://server:7").await;
        loop {
            let mut conn = listener.accept().await.unwrap().attach().unwrap();
            server.spawn(async move {
                let (mut got, mut byte) = (Vec::new(), [0]);
                while conn.read(&mut byte).await.is_ok_and(|n| n > 0) {
                    got.push(byte[0]);
                }
                let _ = conn.write_all(&got).await;
            });
        }
    });
    for name in ["a", "b", "c"] {
        let cx = sim.host(name);
        sim.host(name).spawn(async move {
            cx.sleep(Duration::from_millis(cx.random_below(10))).await;
            let mut conn = dial(&cx, "tcp://server:7").await.unwrap();
            conn.write_all(name.repeat(100).as_bytes()).await.unwrap();
            conn.shutdown().await.unwrap();
            let mut back = String::new();
            conn.read_to_string(&mut back).await.unwrap();
            assert_eq!(back, name.repeat(100));
        });
    }
    sim.run_for(Duration::from_mins(1)).unwrap();
    assert_eq!(sim.streams(), []);
    sim.trace()
}

#[test]
fn the_same_seed_tells_the_same_story_and_another_a_different_one() {
    for shuffled in [false, true] {
        let told = story(7, shuffled);
        assert!(told.len() >= 15, "{told:#?}");
        assert_eq!(told, story(7, shuffled));
        assert_ne!(told, story(8, shuffled));
    }
}

#[test]
fn shuffled_tasks_take_other_turns() {
    let order = |seed| {
        let sim = Sim::new(seed).shuffled();
        let order = Arc::new(Mutex::new(Vec::new()));
        for i in 0..8 {
            let order = order.clone();
            sim.cx().spawn(async move { order.lock().unwrap().push(i) });
        }
        sim.run_for(Duration::ZERO).unwrap();
        drop(sim);
        Arc::into_inner(order).unwrap().into_inner().unwrap()
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}
