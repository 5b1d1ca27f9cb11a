//! `time` tells the simulated time.

use std::time::Duration;

use netloom_base::{Moment, Settings};
use netloom_transport::sim::{Link, Sim};
use tokio::io::AsyncReadExt;

use crate::served::{Served, dial};

#[test]
fn the_time_is_that_of_the_server_s_clock() {
    let sim = Sim::new(1);
    sim.links(Link::default().delayed(Duration::from_millis(5), Duration::ZERO));
    let cx = sim.host("client");
    sim.block_on(async {
        let served = Served::start(&sim, "time", Settings::new()).await;
        for minute in 0..60 {
            let mut told = String::new();
            let mut conn = dial(&cx).await.unwrap();
            conn.read_to_string(&mut told).await.unwrap();
            drop(conn);
            // The connection reached the server 5 ms after it was dialled.
            assert_eq!(told, format!("2026-01-01T00:{minute:02}:00.005000Z\r\n"));
            let next = Moment::after_start(Duration::from_mins(minute + 1));
            cx.sleep(next - cx.now()).await;
        }
        served.stop(&sim).await;
        assert!(served.take_ended().iter().all(|ended| ended.result.is_ok()));
    })
    .unwrap();
}
