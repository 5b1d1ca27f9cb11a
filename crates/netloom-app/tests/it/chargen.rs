//! `chargen` writes for as long as somebody reads.

use std::time::Duration;

use netloom_base::{Code, Limits, Settings};
use netloom_transport::sim::Sim;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::served::{Served, dial, read_slowly};

#[test]
fn a_slow_reader_gets_every_character_that_was_promised() {
    let sim = Sim::new(1);
    let cx = sim.host("client");
    sim.block_on(async {
        let served = Served::start(&sim, "chargen", Settings::new().with("bytes", "1MiB")).await;
        let mut conn = dial(&cx).await.unwrap();
        conn.write_all(b"what it is sent means nothing")
            .await
            .unwrap();
        // About an hour for a mebibyte.
        let (got, end) = read_slowly(&mut conn, 2048, Duration::from_secs(7), &cx).await;
        end.unwrap();
        assert_eq!(got.len(), 1 << 20);
        assert!(
            got.chunks(74)
                .enumerate()
                .all(|(i, line)| line[0] == b' ' + (i % 95) as u8)
        );
        drop(conn);
        served.stop(&sim).await;
        let ended = served.take_ended();
        assert!(ended[0].result.is_ok() && ended[0].sent == 1 << 20);
    })
    .unwrap();
    assert!(sim.now().since_start() > Duration::from_secs(3500));
}

#[test]
fn a_reader_that_has_had_enough_ends_it_in_order() {
    let sim = Sim::new(1);
    let cx = sim.host("client");
    sim.block_on(async {
        let served = Served::start(&sim, "chargen", Settings::new()).await;
        for _ in 0..100 {
            let mut conn = dial(&cx).await.unwrap();
            conn.read_exact(&mut vec![0; 100_000]).await.unwrap();
        }
        cx.sleep(Duration::from_secs(1)).await;
        assert_eq!(served.seats.taken(), 0);
        served.stop(&sim).await;
        assert!(served.take_ended().iter().all(|ended| ended.result.is_ok()));
    })
    .unwrap();
}

#[test]
fn a_reader_that_never_reads_is_idle() {
    let sim = Sim::new(1);
    let cx = sim.host("client");
    let limits = Limits {
        idle: Some(Duration::from_mins(10)),
        ..Limits::default()
    };
    sim.block_on(async {
        let served = Served::limited(&sim, "chargen", Settings::new(), limits).await;
        let conn = dial(&cx).await.unwrap();
        cx.sleep(Duration::from_secs(700)).await;
        let ended = served.take_ended();
        assert_eq!(
            (ended[0].code(), ended[0].sent),
            (Some(Code::LIMIT_IDLE), 64 * 1024)
        );
        drop(conn);
        served.stop(&sim).await;
    })
    .unwrap();
}
