//! Limits fire when they should, and only then.

use std::time::Duration;

use netloom_base::{Code, Limits, Settings, Stage};
use netloom_transport::sim::Sim;
use netloom_transport::{Close, Cx};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::served::{Ended, Served, dial};

const SECOND: Duration = Duration::from_secs(1);

/// A limit is noticed between its value and a sixteenth more; the network adds
/// a moment.
fn on_time(limit: Duration, took: Duration) -> bool {
    limit <= took && took <= limit + limit / 16 + SECOND / 10
}

/// Says `x`, and waits for it to come back.
async fn chat(conn: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin)) {
    conn.write_all(b"x").await.unwrap();
    conn.read_exact(&mut [0]).await.unwrap();
}

#[test]
fn a_quiet_connection_ends_at_the_idle_limit_and_a_lively_one_does_not() {
    for start in [0, 1, 17, 59] {
        let sim = Sim::new(start);
        let (quiet, lively) = (sim.host("quiet"), sim.host("lively"));
        let limits = Limits {
            idle: Some(60 * SECOND),
            ..Limits::default()
        };
        sim.block_on(async {
            let served = Served::limited(&sim, "echo", Settings::new(), limits).await;
            let chatting = async {
                let mut conn = dial(&lively).await.unwrap();
                for _ in 0..72 {
                    chat(&mut conn).await;
                    lively.sleep(50 * SECOND).await;
                }
            };
            let falling_silent = async {
                quiet.sleep(start as u32 * SECOND).await;
                let mut conn = dial(&quiet).await.unwrap();
                quiet.sleep(30 * SECOND).await;
                chat(&mut conn).await;
                let last = quiet.now();
                assert_eq!(conn.read(&mut [0]).await.unwrap(), 0);
                assert!(
                    on_time(60 * SECOND, quiet.now() - last),
                    "{:?}",
                    quiet.now() - last
                );
            };
            tokio::join!(chatting, falling_silent);
            served.stop(&sim).await;
            let codes: Vec<_> = served.take_ended().iter().map(Ended::code).collect();
            assert_eq!(codes, [Some(Code::LIMIT_IDLE), None]);
        })
        .unwrap();
    }
}

#[test]
fn nobody_chose_and_an_hour_is_the_limit() {
    let sim = Sim::new(1);
    let cx = sim.host("client");
    sim.block_on(async {
        let served = Served::start(&sim, "echo", Settings::new()).await;
        let mut conn = dial(&cx).await.unwrap();
        assert_eq!(conn.read(&mut [0]).await.unwrap(), 0);
        assert!(on_time(3600 * SECOND, cx.now().since_start()));
        drop(conn);
        served.stop(&sim).await;
    })
    .unwrap();
}

#[test]
fn a_client_that_must_speak_first_is_held_to_the_greeting() {
    let sim = Sim::new(1);
    let (silent, speaking) = (sim.host("silent"), sim.host("speaking"));
    sim.block_on(async {
        let settings = Settings::new().with("text", "ok").with("per-line", true);
        let served = Served::start(&sim, "reply", settings).await;
        let mut spoken = dial(&speaking).await.unwrap();
        spoken.write_all(b"h").await.unwrap();
        speaking.sleep(3 * SECOND).await;
        let began = silent.now();
        let mut conn = dial(&silent).await.unwrap();
        assert_eq!(conn.read(&mut [0]).await.unwrap(), 0);
        assert!(
            on_time(10 * SECOND, silent.now() - began),
            "{:?}",
            silent.now() - began
        );
        assert_eq!(served.take_ended()[0].code(), Some(Code::GREET_TIMEOUT));
        spoken.write_all(b"ello\n").await.unwrap();
        spoken.read_exact(&mut [0; 2]).await.unwrap();
        drop((conn, spoken));
        served.stop(&sim).await;
    })
    .unwrap();
}

#[test]
fn a_life_ends_however_lively_it_is() {
    let sim = Sim::new(1);
    let cx = sim.host("client");
    let limits = Limits {
        lifetime: Some(600 * SECOND),
        ..Limits::default()
    };
    sim.block_on(async {
        let served = Served::limited(&sim, "echo", Settings::new(), limits).await;
        let mut conn = dial(&cx).await.unwrap();
        while conn.write_all(b"x").await.is_ok() && conn.read(&mut [0]).await.is_ok_and(|n| n > 0) {
            cx.sleep(SECOND).await;
        }
        // Its end shows when it next speaks.
        assert!(on_time(
            600 * SECOND,
            cx.now().since_start().saturating_sub(SECOND)
        ));
        drop(conn);
        served.stop(&sim).await;
        assert_eq!(served.take_ended()[0].code(), Some(Code::LIMIT_LIFETIME));
    })
    .unwrap();
}

#[test]
fn clients_that_vanish_in_silence_leave_no_seat_behind() {
    let sim = Sim::new(1);
    let limits = Limits {
        idle: Some(300 * SECOND),
        ..Limits::default()
    };
    sim.block_on(async {
        let served = Served::limited(&sim, "echo", Settings::new(), limits).await;
        let mut conns = Vec::new();
        for i in 0..50 {
            let cx = sim.host(&format!("client{i}"));
            let mut conn = dial(&cx).await.unwrap();
            chat(&mut conn).await;
            conns.push(conn);
        }
        for i in 0..50 {
            sim.cut(&format!("client{i}"), "server");
        }
        for conn in conns {
            conn.close(Close::Abort);
        }
        served.cx.sleep(SECOND).await;
        assert_eq!(served.seats.taken(), 50);
        served.cx.sleep(320 * SECOND).await;
        assert_eq!(served.seats.taken(), 0);
        assert!(
            served
                .take_ended()
                .iter()
                .all(|ended| ended.code() == Some(Code::LIMIT_IDLE))
        );
        served.stop(&sim).await;
    })
    .unwrap();
}

#[test]
fn no_more_come_in_than_may() {
    let sim = Sim::new(1);
    let (one, other) = (sim.host("one"), sim.host("other"));
    let limits = Limits {
        max_conns: Some(3),
        max_conns_per_source: 2,
        ..Limits::default()
    };
    sim.block_on(async {
        let served = Served::limited(&sim, "echo", Settings::new(), limits).await;
        let (mut first, mut second) = (dial(&one).await.unwrap(), dial(&one).await.unwrap());
        chat(&mut first).await;
        chat(&mut second).await;
        let mut refused = dial(&one).await.unwrap();
        assert!(
            refused.read(&mut [0]).await.is_err(),
            "one address has two already"
        );
        let mut third = dial(&other).await.unwrap();
        chat(&mut third).await;
        // The kernel takes it, and it waits there for a permit.
        let mut waiting = dial(&other).await.unwrap();
        assert!(
            other
                .timeout(60 * SECOND, chat(&mut waiting))
                .await
                .is_none()
        );
        drop(first);
        waiting.read_exact(&mut [0]).await.unwrap();
        assert_eq!((served.guard.most(), served.guard.take_refused()), (3, 1));
        drop((second, third, waiting, refused));
        served.stop(&sim).await;
    })
    .unwrap();
}

#[test]
fn a_stop_ends_who_rests_at_once_and_waits_for_who_is_busy() {
    let sim = Sim::new(1);
    let (resting, busy) = (sim.host("resting"), sim.host("busy"));
    sim.block_on(async {
        let served = Served::start(&sim, "echo", Settings::new()).await;
        let mut rests = dial(&resting).await.unwrap();
        chat(&mut rests).await;
        let mut works = dial(&busy).await.unwrap();
        works.write_all(&vec![1; 60_000]).await.unwrap();
        busy.sleep(SECOND).await;
        let began = sim.now();
        let ends = async {
            assert_eq!(rests.read(&mut [0]).await.unwrap(), 0);
            assert!(sim.now() - began < SECOND);
            drop(rests);
        };
        let reads = async {
            let got = read_all(&mut works, &busy).await;
            drop(works);
            got
        };
        let ((), got, ()) = tokio::join!(ends, reads, served.stop(&sim));
        assert_eq!(got, 60_000);
        assert!(served.take_ended().iter().all(|ended| ended.result.is_ok()));
    })
    .unwrap();
}

async fn read_all(conn: &mut (impl tokio::io::AsyncRead + Unpin), cx: &Cx) -> usize {
    let mut got = 0;
    loop {
        match conn.read(&mut [0; 10_000]).await.unwrap() {
            0 => return got,
            n => got += n,
        }
        cx.sleep(SECOND / 2).await;
    }
}

/// An end in order would make the client take the part for the whole.
#[test]
fn a_limit_in_the_midst_of_sending_is_seen_as_a_reset() {
    for kind in ["chargen", "echo"] {
        let sim = Sim::new(3);
        let cx = sim.host("client");
        sim.block_on(async {
            let limits = Limits {
                idle: Some(60 * SECOND),
                ..Limits::default()
            };
            let served = Served::limited(&sim, kind, Settings::new(), limits).await;
            let mut conn = dial(&cx).await.unwrap();
            if kind == "echo" {
                // More than both windows hold, and nothing is read.
                let _ = cx.timeout(SECOND, conn.write_all(&vec![7; 1 << 20])).await;
            }
            cx.sleep(120 * SECOND).await;
            let mut got = Vec::new();
            let failed = conn
                .read_to_end(&mut got)
                .await
                .map_err(|error| conn.failure(Stage::Recv, error).code());
            assert_eq!(failed, Err(Code::RECV_RESET), "{kind} after {}", got.len());
            drop(conn);
            served.stop(&sim).await;
            let codes: Vec<_> = served.take_ended().iter().map(Ended::code).collect();
            assert_eq!(codes, [Some(Code::LIMIT_IDLE)]);
        })
        .unwrap();
    }
}
