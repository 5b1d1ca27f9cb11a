//! `forward` on a simulated network: every byte or a reset, one target after
//! the other, and nothing that stays behind.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use netloom_base::{Code, Limits, Role, Settings, Value};
use netloom_transport::sim::Sim;
use netloom_transport::{Close, Conn, Cx};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::served::{Served, dial, text};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// The settings of a forwarder to these.
pub(crate) fn to(targets: &[&str]) -> Settings {
    let list = targets.iter().map(|target| Value::from(*target)).collect();
    Settings::new().with("to", Value::List(list))
}

/// Listens on host `name` at port 9 and gives every connection to `hold`.
pub(crate) async fn target<F: Future<Output = ()> + Send + 'static>(
    sim: &Sim,
    name: &str,
    hold: impl Fn(Conn, Cx) -> F + Send + 'static,
) {
    let cx = sim.host(name);
    let endpoint = format!("tcp://{name}:9").parse().unwrap();
    let stack = cx.net().stack(&endpoint, Role::Bind).unwrap();
    let bound = cx.net().bind(&stack, &cx).await.unwrap().remove(0);
    let mut listener = bound.listener().unwrap().unwrap();
    let there = cx.clone();
    cx.spawn(async move {
        let _bound = bound;
        while let Ok(accepted) = listener.accept().await {
            there.spawn(hold(accepted.attach().unwrap(), there.clone()));
        }
    });
}

/// What a conversation with one side's end saw.
#[derive(Debug, Clone, Default, PartialEq)]
struct Saw {
    got: Vec<u8>,
    /// Whether what the peer said ended in order.
    whole: bool,
}

/// Says `words`, ends, and hears the peer out.
async fn exchange(conn: Conn, words: Vec<u8>) -> Saw {
    let (mut reads, mut writes) = tokio::io::split(conn);
    let said = async {
        let _ = writes.write_all(&words).await;
        let _ = writes.shutdown().await;
    };
    let heard = async {
        let mut saw = Saw::default();
        let mut piece = [0; 7];
        loop {
            match reads.read(&mut piece).await {
                Ok(0) => break saw.whole = true,
                Ok(n) => saw.got.extend_from_slice(&piece[..n]),
                Err(_) => break,
            }
        }
        saw
    };
    tokio::join!(said, heard).1
}

/// A target that says `words` and keeps what it saw.
async fn talker(sim: &Sim, name: &str, words: Vec<u8>) -> Arc<Mutex<Vec<Saw>>> {
    let all: Arc<Mutex<Vec<Saw>>> = Arc::default();
    let kept = all.clone();
    target(sim, name, move |conn, _| {
        let (words, kept) = (words.clone(), kept.clone());
        async move {
            let saw = exchange(conn, words).await;
            kept.lock().unwrap().push(saw);
        }
    })
    .await;
    all
}

#[test]
fn a_line_that_is_cut_at_any_byte_never_makes_a_part_look_whole() {
    let (question, answer) = (text(1, 40), text(2, 50));
    let lines = [
        ("client", "server"),
        ("server", "client"),
        ("server", "a"),
        ("a", "server"),
    ];
    for (from, to_host) in lines {
        for at in 0..=52 {
            let sim = Sim::new(at);
            let cx = sim.host("client");
            sim.block_on(async {
                let heard = talker(&sim, "a", answer.clone()).await;
                let served = Served::start(&sim, "forward", to(&["tcp://a:9"])).await;
                sim.net().cut_after(from, to_host, at);
                let saw = match dial(&cx).await {
                    Ok(conn) => exchange(conn, question.clone()).await,
                    Err(_) => Saw::default(),
                };
                served.stop(&sim).await;
                let whole = |saw: &Saw, all: &[u8]| {
                    assert!(all.starts_with(&saw.got), "{from} {at}: {saw:?}");
                    assert!(!saw.whole || saw.got == all, "{from} {at}: {saw:?}");
                };
                whole(&saw, &answer);
                for saw in heard.lock().unwrap().iter() {
                    whole(saw, &question);
                }
                // Where nothing was cut, everything came.
                if at > 50 {
                    assert!(saw.whole && heard.lock().unwrap()[0].whole);
                    let ended = served.take_ended();
                    assert!(ended[0].result.is_ok(), "{ended:?}");
                }
            })
            .unwrap();
        }
    }
}

#[test]
fn either_side_may_end_first_and_the_other_goes_on() {
    for (client_waits, target_waits) in [(0, 0), (0, 60), (60, 0), (5, 5)] {
        let sim = Sim::new(3);
        let cx = sim.host("client");
        sim.block_on(async {
            let (question, answer) = (text(1, 100_000), text(2, 90_000));
            let heard: Arc<Mutex<Option<Saw>>> = Arc::default();
            let (kept, words) = (heard.clone(), answer.clone());
            target(&sim, "a", move |conn, cx| {
                let (kept, words) = (kept.clone(), words.clone());
                async move {
                    let saw = late(conn, words, target_waits, &cx).await;
                    *kept.lock().unwrap() = Some(saw);
                }
            })
            .await;
            let served = Served::start(&sim, "forward", to(&["tcp://a:9"])).await;
            let conn = dial(&cx).await.unwrap();
            let saw = late(conn, question.clone(), client_waits, &cx).await;
            assert!(saw.whole && saw.got == answer);
            served.stop(&sim).await;
            let heard = heard.lock().unwrap().take().unwrap();
            assert!(heard.whole && heard.got == question);
            let ended = served.take_ended();
            assert!(ended[0].result.is_ok(), "{ended:?}");
            assert_eq!((ended[0].received, ended[0].sent), (100_000, 90_000));
        })
        .unwrap();
    }
}

/// As [`exchange`], but speaks only after so many seconds, when it may have
/// heard the peer's end long ago.
async fn late(conn: Conn, words: Vec<u8>, waits: u32, cx: &Cx) -> Saw {
    let (mut reads, mut writes) = tokio::io::split(conn);
    let said = async {
        cx.sleep(waits * SECOND).await;
        let _ = writes.write_all(&words).await;
        let _ = writes.shutdown().await;
    };
    let heard = async {
        let mut got = Vec::new();
        let whole = reads.read_to_end(&mut got).await.is_ok();
        Saw { got, whole }
    };
    tokio::join!(said, heard).1
}

#[test]
fn a_target_that_refuses_or_is_silent_is_followed_by_the_next() {
    let sim = Sim::new(5);
    let cx = sim.host("client");
    sim.host("refusing");
    sim.host("silent");
    sim.net().cut("server", "silent");
    sim.block_on(async {
        let heard = talker(&sim, "a", text(2, 10)).await;
        let targets = ["tcp://refusing:9", "tcp://silent:9", "tcp://a:9"];
        let settings = to(&targets).with("balance", "first");
        let served = Served::start(&sim, "forward", settings).await;
        let saw = exchange(dial(&cx).await.unwrap(), text(1, 10)).await;
        assert!(saw.whole && saw.got == text(2, 10));
        // Refused at once, then silence for as long as a target may take.
        let waited = sim.now().since_start();
        assert!((10 * SECOND..12 * SECOND).contains(&waited), "{waited:?}");
        served.stop(&sim).await;
        let heard = heard.lock().unwrap();
        assert_eq!((heard.len(), &heard[0].got), (1, &text(1, 10)));
    })
    .unwrap();
}

/// A target that resets whoever comes, at once.
async fn resets_all(sim: &Sim, name: &str) {
    target(sim, name, |conn, _| async move { conn.close(Close::Abort) }).await;
}

#[test]
fn a_target_that_is_reset_before_a_word_was_said_is_followed_by_the_next() {
    // Whether a target that speaks is within as many as are tried.
    for (retries, answers) in [("0", false), ("1", false), ("2", true)] {
        let sim = Sim::new(5);
        let cx = sim.host("client");
        sim.block_on(async {
            resets_all(&sim, "a").await;
            resets_all(&sim, "b").await;
            let heard = talker(&sim, "c", text(2, 10)).await;
            let settings = to(&["tcp://a:9", "tcp://b:9", "tcp://c:9"])
                .with("balance", "first")
                .with("retries", retries);
            let served = Served::start(&sim, "forward", settings).await;
            // It waits to be spoken to.
            let saw = late(dial(&cx).await.unwrap(), text(1, 10), 30, &cx).await;
            served.stop(&sim).await;
            let ended = served.take_ended();
            if answers {
                assert!(saw.whole && saw.got == text(2, 10));
                assert!(heard.lock().unwrap()[0].whole);
                assert_eq!(ended[0].code(), None);
            } else {
                assert_eq!(saw, Saw::default(), "a reset, and no end in order");
                assert_eq!(ended[0].code(), Some(Code::RECV_RESET));
            }
        })
        .unwrap();
    }
}

#[test]
fn what_was_said_to_a_target_that_is_reset_is_not_said_to_another() {
    let sim = Sim::new(5);
    let cx = sim.host("client");
    sim.block_on(async {
        target(&sim, "a", |mut conn, _| async move {
            conn.read_exact(&mut [0]).await.unwrap();
            conn.close(Close::Abort);
        })
        .await;
        let heard = talker(&sim, "b", text(2, 10)).await;
        let settings = to(&["tcp://a:9", "tcp://b:9"]).with("balance", "first");
        let served = Served::start(&sim, "forward", settings).await;
        let saw = exchange(dial(&cx).await.unwrap(), text(1, 10)).await;
        served.stop(&sim).await;
        assert_eq!(saw, Saw::default());
        assert_eq!(served.take_ended()[0].code(), Some(Code::RECV_RESET));
        assert!(heard.lock().unwrap().is_empty());
    })
    .unwrap();
}

#[test]
fn where_no_target_answers_the_client_sees_a_reset() {
    // The third would answer; so many others are tried.
    for (retries, answers) in [("0", false), ("1", false), ("2", true), ("9", true)] {
        let sim = Sim::new(5);
        let cx = sim.host("client");
        sim.host("a");
        sim.host("b");
        sim.block_on(async {
            talker(&sim, "c", text(2, 10)).await;
            let settings = to(&["tcp://a:9", "tcp://b:9", "tcp://c:9"])
                .with("balance", "first")
                .with("retries", retries);
            let served = Served::start(&sim, "forward", settings).await;
            let saw = exchange(dial(&cx).await.unwrap(), text(1, 10)).await;
            served.stop(&sim).await;
            let code = served.take_ended()[0].code();
            if answers {
                assert!(saw.whole && saw.got == text(2, 10));
                assert_eq!(code, None);
            } else {
                assert_eq!(saw, Saw::default(), "no bytes, and no end in order");
                assert_eq!(code, Some(Code::CONNECT_REFUSED));
            }
        })
        .unwrap();
    }
}

#[test]
fn a_client_that_leaves_while_its_target_is_dialled_is_noticed() {
    let sim = Sim::new(5);
    let cx = sim.host("client");
    sim.host("silent");
    sim.net().cut("server", "silent");
    sim.block_on(async {
        let served = Served::start(&sim, "forward", to(&["tcp://silent:9"])).await;
        let mut conn = dial(&cx).await.unwrap();
        conn.write_all(b"are you there").await.unwrap();
        cx.sleep(SECOND).await;
        assert_eq!(served.seats.taken(), 1);
        conn.close(Close::Abort);
        cx.sleep(SECOND).await;
        // Long before the target would have been given up.
        assert_eq!(served.seats.taken(), 0);
        let ended = served.take_ended();
        assert_eq!(ended[0].code(), Some(Code::RECV_RESET));
        assert_eq!(
            ended[0].received, 0,
            "nothing is read before a target answers"
        );
        served.stop(&sim).await;
    })
    .unwrap();
}

#[test]
fn a_client_that_has_said_everything_still_gets_its_target() {
    let sim = Sim::new(5);
    let cx = sim.host("client");
    sim.host("silent");
    sim.net().cut("server", "silent");
    sim.block_on(async {
        let heard = talker(&sim, "a", text(2, 10)).await;
        let settings = to(&["tcp://silent:9", "tcp://a:9"]).with("balance", "first");
        let served = Served::start(&sim, "forward", settings).await;
        // Its end comes while the first target is dialled.
        let saw = exchange(dial(&cx).await.unwrap(), text(1, 10)).await;
        assert!(saw.whole && saw.got == text(2, 10));
        assert!(heard.lock().unwrap()[0].whole);
        served.stop(&sim).await;
    })
    .unwrap();
}

#[test]
fn a_pair_that_rests_ends_at_the_idle_limit_on_both_sides() {
    let sim = Sim::new(5);
    let cx = sim.host("client");
    let limits = Limits {
        idle: Some(60 * SECOND),
        ..Limits::default()
    };
    sim.block_on(async {
        let heard = talker(&sim, "a", Vec::new()).await;
        let served = Served::limited(&sim, "forward", to(&["tcp://a:9"]), limits).await;
        let mut conn = dial(&cx).await.unwrap();
        conn.write_all(b"x").await.unwrap();
        let _ = conn.read(&mut [0]).await;
        cx.sleep(70 * SECOND).await;
        assert_eq!(served.take_ended()[0].code(), Some(Code::LIMIT_IDLE));
        assert_eq!(heard.lock().unwrap()[0].got, b"x");
        drop(conn);
        served.stop(&sim).await;
    })
    .unwrap();
}

#[test]
fn a_drain_lets_pairs_go_on_as_long_as_it_may() {
    let sim = Sim::new(5);
    let (cx, late) = (sim.host("client"), sim.host("late"));
    sim.block_on(async {
        talker(&sim, "a", text(2, 10)).await;
        let served = Served::start(&sim, "forward", to(&["tcp://a:9"])).await;
        let mut conn = dial(&cx).await.unwrap();
        let mut got = vec![0; 10];
        conn.read_exact(&mut got).await.unwrap();
        let stopping = served.stop(&sim);
        let talking = async {
            cx.sleep(5 * SECOND).await;
            // Nobody new is let in, and this one is not cut.
            assert!(dial(&late).await.is_err());
            conn.write_all(b"still here").await.unwrap();
            conn.shutdown().await.unwrap();
            assert_eq!(conn.read(&mut [0]).await.unwrap(), 0);
            drop(conn);
        };
        tokio::join!(stopping, talking);
        let ended = served.take_ended();
        assert!(ended[0].result.is_ok(), "{ended:?}");
        assert_eq!(ended[0].received, 10);
    })
    .unwrap();
}
