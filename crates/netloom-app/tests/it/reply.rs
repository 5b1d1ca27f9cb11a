//! `reply`: the text arrives whole, however the client behaves.

use std::time::Duration;

use netloom_base::{Code, Settings};
use netloom_transport::sim::{Link, Sim};
use tokio::io::AsyncWriteExt;

use crate::served::{Served, dial, read_slowly, text};

/// Without a linger the unread request would reset the connection, and the
/// reset could overtake the reply.
#[test]
fn a_client_that_talks_first_still_gets_the_text() {
    for seed in 0..50 {
        let sim = Sim::new(seed);
        sim.links(
            Link::default()
                .delayed(Duration::from_millis(10), Duration::from_millis(30))
                .lossy(0.1),
        );
        let cx = sim.host("client");
        sim.block_on(async {
            let long = "all is well ".repeat(1000);
            let served = Served::start(&sim, "reply", Settings::new().with("text", &*long)).await;
            let Ok(mut conn) = dial(&cx).await else {
                return;
            };
            conn.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
            let (got, end) = read_slowly(&mut conn, 700, Duration::from_millis(10), &cx).await;
            assert!(
                end.is_ok() && got == long.as_bytes(),
                "{} of {} bytes: {end:?}",
                got.len(),
                long.len()
            );
            drop(conn);
            cx.sleep(Duration::from_mins(1)).await;
            assert!(served.take_ended()[0].result.is_ok());
            served.stop(&sim).await;
        })
        .unwrap();
    }
}

#[test]
fn a_client_that_never_stops_talking_is_left_after_the_linger() {
    let sim = Sim::new(1);
    let cx = sim.host("client");
    sim.block_on(async {
        let served = Served::start(&sim, "reply", Settings::new().with("text", "bye")).await;
        let (mut reading, mut writing) = tokio::io::split(dial(&cx).await.unwrap());
        let talk = async {
            while writing.write_all(&[b'x'; 1000]).await.is_ok() {
                cx.sleep(Duration::from_millis(100)).await;
            }
        };
        let ((), (got, _)) = tokio::join!(talk, read_slowly(&mut reading, 10, Duration::ZERO, &cx));
        assert_eq!(got, b"bye");
        let ended = served.take_ended();
        assert_eq!(ended[0].at.since_start().as_secs(), 2);
        drop(reading.unsplit(writing));
        served.stop(&sim).await;
    })
    .unwrap();
}

#[test]
fn every_line_gets_its_reply_for_an_hour() {
    let sim = Sim::new(1).shuffled();
    sim.links(
        Link {
            segment: 5,
            ..Link::default()
        }
        .lossy(0.01),
    );
    let cx = sim.host("client");
    sim.block_on(async {
        let settings = Settings::new().with("text", "ok\\n").with("per-line", true);
        let served = Served::start(&sim, "reply", settings).await;
        let (mut reading, mut writing) = tokio::io::split(dial(&cx).await.unwrap());
        let ask = async {
            for i in 0..720 {
                let line = format!("line {i} {}\n", "x".repeat(i % 40));
                let (one, other) = line.split_at(cx.random_below(line.len() as u64) as usize);
                writing.write_all(one.as_bytes()).await.unwrap();
                cx.sleep(Duration::from_secs(5)).await;
                writing.write_all(other.as_bytes()).await.unwrap();
            }
            writing.shutdown().await.unwrap();
        };
        let ((got, end), ()) =
            tokio::join!(read_slowly(&mut reading, 100, Duration::ZERO, &cx), ask);
        end.unwrap();
        assert_eq!(got, b"ok\n".repeat(720));
        drop(reading.unsplit(writing));
        served.stop(&sim).await;
        assert!(served.take_ended()[0].result.is_ok());
    })
    .unwrap();
    assert!(sim.now().since_start() > Duration::from_hours(1));
}

#[test]
fn a_line_without_an_end_is_refused() {
    let sim = Sim::new(1);
    let cx = sim.host("client");
    sim.block_on(async {
        let settings = Settings::new().with("text", "ok").with("per-line", true);
        let served = Served::start(&sim, "reply", settings).await;
        let (mut reading, mut writing) = tokio::io::split(dial(&cx).await.unwrap());
        let endless = text(1, 200_000)
            .into_iter()
            .map(|byte| byte | 0x80)
            .collect::<Vec<_>>();
        let (written, (got, end)) = tokio::join!(
            writing.write_all(&endless),
            read_slowly(&mut reading, 10, Duration::ZERO, &cx)
        );
        assert!(got.is_empty() && (written.is_err() || end.is_err()));
        drop(reading.unsplit(writing));
        served.stop(&sim).await;
        assert_eq!(
            served.take_ended()[0].code(),
            Some(Code::RECV_FRAME_TOO_LARGE)
        );
    })
    .unwrap();
}
