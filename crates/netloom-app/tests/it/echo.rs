//! `echo` for an hour of cuts, resets, losses, slow readers and half-closes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use netloom_base::{Code, Limits, Moment, Settings};
use netloom_transport::sim::{Link, Sim, SimNet};
use netloom_transport::{Close, ConnFacts, Cx, Peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::served::{Served, dial, read_slowly, text};

const HOUR: Duration = Duration::from_hours(1);
const CLIENTS: u64 = 24;

/// What became of the clients' conversations.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    whole: u32,
    left: u32,
    broken: u32,
    unreached: u32,
    bytes: u64,
}

#[test]
fn an_hour_of_trouble_loses_nothing_and_leaves_nothing() {
    let first = hour(1);
    assert!(
        first.whole > 1000 && first.left > 100 && first.broken > 10,
        "{first:?}"
    );
    assert_eq!(first, hour(1), "the same seed tells the same");
    assert_ne!(first, hour(2));
}

fn hour(seed: u64) -> Tally {
    let sim = Sim::new(seed).shuffled();
    sim.links(
        Link::default()
            .delayed(Duration::from_millis(20), Duration::from_millis(10))
            .lossy(0.01),
    );
    let tally = Arc::new(Mutex::new(Tally::default()));
    let limits = Limits {
        idle: Some(Duration::from_mins(2)),
        ..Limits::default()
    };
    sim.block_on(async {
        let served = Served::limited(&sim, "echo", Settings::new(), limits).await;
        for i in 0..CLIENTS {
            let cx = sim.host(&format!("client{i}"));
            cx.spawn(client(i, cx.clone(), tally.clone()));
        }
        let trouble = sim.host("trouble");
        trouble.spawn(make_trouble(trouble.clone(), sim.net().clone()));
        for i in 0..CLIENTS {
            sim.host(&format!("client{i}")).tasks_done().await;
        }
        trouble.tasks_done().await;
        served.stop(&sim).await;
        assert!(served.guard.most() > 3);
    })
    .unwrap();
    assert_eq!(sim.tasks(), 0);
    Arc::into_inner(tally).unwrap().into_inner().unwrap()
}

/// Conversation after conversation, for an hour.
async fn client(me: u64, cx: Cx, tally: Arc<Mutex<Tally>>) {
    let mut round = me << 32;
    while cx.now() < Moment::after_start(HOUR) {
        cx.sleep(Duration::from_millis(cx.random_below(60_000)))
            .await;
        round += 1;
        let Ok(conn) = dial(&cx).await else {
            tally.lock().unwrap().unreached += 1;
            continue;
        };
        let sent = text(round, cx.random_below(80_000) as usize);
        let leaves = cx.random_below(8) == 0;
        let (mut reading, mut writing) = tokio::io::split(conn);
        let write = async {
            for piece in sent.chunks(1 + cx.random_below(30_000) as usize) {
                writing.write_all(piece).await?;
                cx.sleep(Duration::from_millis(cx.random_below(300))).await;
            }
            if leaves {
                Ok(())
            } else {
                writing.shutdown().await
            }
        };
        let piece = 1 + cx.random_below(20_000) as usize;
        let rest = Duration::from_millis(cx.random_below(200));
        if leaves {
            // Says something, reads a little, and is gone without a goodbye.
            let some = async { reading.read(&mut vec![0; piece]).await };
            let _ = tokio::join!(
                cx.timeout(Duration::from_secs(2), write),
                cx.timeout(Duration::from_secs(2), some)
            );
            reading.unsplit(writing).close(Close::Abort);
            tally.lock().unwrap().left += 1;
            continue;
        }
        let ((got, read), written) =
            tokio::join!(read_slowly(&mut reading, piece, rest, &cx), write);
        let mut tally = tally.lock().unwrap();
        tally.bytes += got.len() as u64;
        if read.is_ok() && written.is_ok() {
            assert!(
                got == sent,
                "{} of {} bytes came back",
                got.len(),
                sent.len()
            );
            tally.whole += 1;
        } else {
            assert!(
                sent.starts_with(&got),
                "what came before the reset is what was sent"
            );
            tally.broken += 1;
        }
    }
}

/// Cuts lines for a while and resets connections, for an hour.
async fn make_trouble(cx: Cx, net: SimNet) {
    while cx.now() < Moment::after_start(HOUR) {
        cx.sleep(Duration::from_millis(cx.random_below(30_000)))
            .await;
        let client = format!("client{}", cx.random_below(CLIENTS));
        net.cut(&client, "server");
        cx.sleep(Duration::from_millis(cx.random_below(15_000)))
            .await;
        net.heal(&client, "server");
        let open = net.streams();
        if let Some((one, other)) = open.get(cx.random_below(open.len() as u64) as usize) {
            assert!(net.reset(&ConnFacts {
                local: Some(Peer::Ip(*one)),
                peer: Some(Peer::Ip(*other))
            }));
        }
    }
}

#[test]
fn a_cut_at_every_byte_gives_what_came_before_it() {
    let sent = text(1, 40);
    for (from, to) in [("client", "server"), ("server", "client")] {
        for cut in 0..=sent.len() {
            let sim = Sim::new(1);
            sim.links(Link {
                segment: 7,
                ..Link::default()
            });
            let cx = sim.host("client");
            sim.block_on(async {
                let served = Served::start(&sim, "echo", Settings::new()).await;
                sim.cut_after(from, to, cut as u64);
                let conn = dial(&cx).await.unwrap();
                let (mut reading, mut writing) = tokio::io::split(conn);
                let write = async {
                    writing.write_all(&sent).await?;
                    writing.shutdown().await
                };
                let ((got, read), _) =
                    tokio::join!(read_slowly(&mut reading, 64, Duration::ZERO, &cx), write);
                assert!(
                    read.is_err() && sent[..cut].starts_with(&got),
                    "cut after {cut} from {from}"
                );
                if from == "server" {
                    assert_eq!(got.len(), cut);
                }
                drop(reading.unsplit(writing));
                served.stop(&sim).await;
                let ended = served.take_ended();
                assert_eq!(ended.len(), 1);
                // A server that has said everything is gone before it could learn of a cut.
                if from == "client" {
                    assert_eq!(ended[0].received, cut as u64);
                    assert!(matches!(
                        ended[0].code(),
                        Some(Code::RECV_RESET | Code::SEND_PEER_CLOSED)
                    ));
                }
            })
            .unwrap();
        }
    }
}

#[test]
fn a_reader_that_sleeps_for_half_an_hour_gets_the_rest() {
    let sim = Sim::new(1);
    let cx = sim.host("client");
    sim.block_on(async {
        let served = Served::start(&sim, "echo", Settings::new()).await;
        let sent = text(1, 1_000_000);
        let (mut reading, mut writing) = tokio::io::split(dial(&cx).await.unwrap());
        let write = async {
            writing.write_all(&sent).await.unwrap();
            writing.shutdown().await.unwrap();
        };
        let read = async {
            cx.sleep(HOUR / 2).await;
            read_slowly(&mut reading, 64 * 1024, Duration::ZERO, &cx).await
        };
        let ((got, end), ()) = tokio::join!(read, write);
        end.unwrap();
        assert!(got == sent);
        drop(reading.unsplit(writing));
        served.stop(&sim).await;
        let ended = served.take_ended();
        assert!(ended[0].result.is_ok() && ended[0].received == ended[0].sent);
    })
    .unwrap();
}
