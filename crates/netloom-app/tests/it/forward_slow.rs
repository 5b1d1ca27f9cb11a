//! Slow clients of `forward` on a simulated network: what they cost, and which
//! limit lets them go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use netloom_base::{Code, Limits};
use netloom_transport::sim::{Link, Sim};
use netloom_transport::{Conn, Cx};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::forward::{SECOND, target, to};
use crate::served::{Served, dial, text};

/// Bytes that may be under way on one side of the forwarder.
const WINDOW: usize = 1000;

fn narrow() -> Link {
    Link {
        window: WINDOW,
        segment: 100,
        ..Link::default()
    }
}

/// A target that talks without end; how much it could say.
async fn talks_on(sim: &Sim) -> Arc<AtomicU64> {
    let said = Arc::new(AtomicU64::new(0));
    let counted = said.clone();
    target(sim, "a", move |mut conn: Conn, _| {
        let said = counted.clone();
        async move {
            while conn.write_all(&[7; 10]).await.is_ok() {
                said.fetch_add(10, Ordering::Relaxed);
            }
        }
    })
    .await;
    said
}

/// So many bytes, one each second.
async fn reads_slowly(conn: &mut Conn, bytes: u64, cx: &Cx) {
    for _ in 0..bytes {
        conn.read_exact(&mut [0]).await.unwrap();
        cx.sleep(SECOND).await;
    }
}

#[test]
fn a_target_is_held_back_by_a_client_that_reads_a_byte_a_second() {
    let sim = Sim::new(5);
    let (cx, other) = (sim.host("client"), sim.host("other"));
    sim.host("server");
    sim.host("a");
    sim.net().link("client", "server", narrow());
    sim.net().link("server", "a", narrow());
    sim.block_on(async {
        let said = talks_on(&sim).await;
        let served = Served::start(&sim, "forward", to(&["tcp://a:9"])).await;
        let mut slow = dial(&cx).await.unwrap();
        reads_slowly(&mut slow, 100, &cx).await;
        // A window on either side, and what was read at once between them.
        let most = 100 + 3 * WINDOW as u64;
        let so_far = said.load(Ordering::Relaxed);
        assert!((100..=most).contains(&so_far), "{so_far} bytes for 100");
        // Nobody else waits for that one.
        let began = sim.now();
        let mut quick = dial(&other).await.unwrap();
        quick.read_exact(&mut vec![0; 50_000]).await.unwrap();
        assert!(sim.now() - began < SECOND);
        drop((slow, quick));
        served.stop(&sim).await;
    })
    .unwrap();
}

#[test]
fn what_a_client_says_byte_by_byte_is_passed_on_byte_by_byte() {
    let sim = Sim::new(5);
    let cx = sim.host("client");
    sim.block_on(async {
        let heard = Arc::new(AtomicU64::new(0));
        let counted = heard.clone();
        target(&sim, "a", move |mut conn: Conn, _| {
            let heard = counted.clone();
            async move {
                while conn.read_exact(&mut [0]).await.is_ok() {
                    heard.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
        .await;
        let served = Served::start(&sim, "forward", to(&["tcp://a:9"])).await;
        let mut conn = dial(&cx).await.unwrap();
        for (nth, byte) in text(1, 100).into_iter().enumerate() {
            conn.write_all(&[byte]).await.unwrap();
            cx.sleep(SECOND).await;
            assert_eq!(heard.load(Ordering::Relaxed), nth as u64 + 1);
        }
        drop(conn);
        served.stop(&sim).await;
    })
    .unwrap();
}

/// A byte now and then is no silence: only a lifetime ends that.
#[test]
fn whoever_is_slow_for_ever_is_let_go_by_the_lifetime_and_whoever_stops_by_idle() {
    let (idle, lifetime) = (Some(30 * SECOND), Some(300 * SECOND));
    for (reads_on, code) in [(true, Code::LIMIT_LIFETIME), (false, Code::LIMIT_IDLE)] {
        let sim = Sim::new(5);
        let cx = sim.host("client");
        sim.host("server");
        sim.host("a");
        sim.net().link(
            "client",
            "server",
            Link {
                window: 10,
                segment: 1,
                ..narrow()
            },
        );
        sim.net().link("server", "a", narrow());
        sim.block_on(async {
            talks_on(&sim).await;
            let limits = Limits {
                idle,
                lifetime,
                ..Limits::default()
            };
            let served = Served::limited(&sim, "forward", to(&["tcp://a:9"]), limits).await;
            let mut conn = dial(&cx).await.unwrap();
            reads_slowly(&mut conn, if reads_on { 290 } else { 20 }, &cx).await;
            assert_eq!(served.seats.taken(), 1);
            cx.sleep(60 * SECOND).await;
            let ended = served.take_ended();
            assert_eq!(ended[0].code(), Some(code));
            // What was under way is cut off, and does not look whole.
            let error = conn.read_to_end(&mut Vec::new()).await.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            drop(conn);
            served.stop(&sim).await;
        })
        .unwrap();
    }
}
