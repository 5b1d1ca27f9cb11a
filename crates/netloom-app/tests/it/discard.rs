//! `discard` takes everything and says nothing.

use std::time::Duration;

use netloom_base::{Code, Settings};
use netloom_transport::Close;
use netloom_transport::sim::{Link, Sim};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::served::{Served, dial, text};

#[test]
fn an_hour_of_clients_is_taken_to_the_byte() {
    let sim = Sim::new(1).shuffled();
    sim.links(
        Link::default()
            .delayed(Duration::from_millis(5), Duration::from_millis(20))
            .lossy(0.02),
    );
    let served = sim.block_on(async {
        let served = Served::start(&sim, "discard", Settings::new()).await;
        for i in 0..60_u64 {
            let cx = sim.host(&format!("client{i}"));
            sim.host(&format!("client{i}")).spawn(async move {
                cx.sleep(Duration::from_secs(i * 60)).await;
                let mut conn = dial(&cx).await.unwrap();
                for piece in text(i, 100_000).chunks(5000 + cx.random_below(50_000) as usize) {
                    conn.write_all(piece).await.unwrap();
                    cx.sleep(Duration::from_millis(cx.random_below(10_000)))
                        .await;
                }
                conn.shutdown().await.unwrap();
                assert_eq!(conn.read(&mut [0]).await.unwrap(), 0);
            });
        }
        served
    });
    let served = served.unwrap();
    sim.run_for(Duration::from_mins(65)).unwrap();
    sim.block_on(served.stop(&sim)).unwrap();
    let ended = served.take_ended();
    assert_eq!(ended.len(), 60);
    assert!(
        ended
            .iter()
            .all(|e| e.result.is_ok() && (e.received, e.sent) == (100_000, 0))
    );
    assert_eq!(sim.tasks(), 0);
}

#[test]
fn a_client_that_aborts_is_told_apart_from_one_that_ends() {
    let sim = Sim::new(1);
    let cx = sim.host("client");
    sim.block_on(async {
        let served = Served::start(&sim, "discard", Settings::new()).await;
        let mut conn = dial(&cx).await.unwrap();
        conn.write_all(b"half a sen").await.unwrap();
        cx.sleep(Duration::from_secs(1)).await;
        conn.close(Close::Abort);
        cx.sleep(Duration::from_secs(1)).await;
        served.stop(&sim).await;
        let ended = served.take_ended();
        assert_eq!(
            (ended[0].received, ended[0].code()),
            (10, Some(Code::RECV_RESET))
        );
    })
    .unwrap();
}
