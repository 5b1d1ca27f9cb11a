//! A pair that leaves its core goes on on another as if nothing had been.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::super::{Carried, Carry, End, Pause, Paused, Until, carry};
use super::sockets::{Kind, alone, block_on, pair};
use super::text;
use crate::conn::Conn;
use crate::listener::Accepted;
use crate::seat::{Deadlines, Seat, Seats, let_move};

/// A client, what carries it on a seat, and the server it is carried to.
async fn seated(kind: Kind) -> (Conn, Carry, Conn) {
    let (client, first) = pair(kind).await;
    let (second, server) = pair(kind).await;
    let first = first.seated(Seats::new(Deadlines::default()).take(None));
    (client, carry(first, second, Until::BothEnd), server)
}

/// Does `work` while the pair is carried, which neither ends nor leaves.
async fn meanwhile<T>(carrying: &mut Carry, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|task| {
        assert!(carrying.poll_here(task).is_pending());
        work.as_mut().poll(task)
    })
    .await
}

async fn says(from: &mut Conn, to: &mut Conn, words: &[u8]) {
    let mut heard = vec![0; words.len()];
    let (said, got) = tokio::join!(from.write_all(words), to.read_exact(&mut heard));
    said.unwrap();
    got.unwrap();
    assert!(heard == words);
}

async fn ends(from: &mut Conn, to: &mut Conn) {
    from.shutdown().await.unwrap();
    assert_eq!(to.read(&mut [0]).await.unwrap(), 0);
}

/// Takes the pair off this core; its two parts are for another thread.
async fn leaves(mut carrying: Carry) -> (Accepted, Arc<Seat>) {
    let_move(1);
    let ended = poll_fn(|task| carrying.poll_here(task)).await;
    assert!(ended.is_none(), "{ended:?}");
    let Ok(Pause::Away(paused, seat)) = carrying.pause() else {
        panic!("two sockets can leave");
    };
    seat.pack(paused);
    (seat.take_departure().unwrap(), seat)
}

/// Carries on, on a core of its own, to the end.
fn arrives((accepted, seat): (Accepted, Arc<Seat>)) -> Carried {
    block_on(async {
        let paused = seat.unpack::<Paused>().unwrap();
        let first = accepted.attach().unwrap().seated(seat);
        paused.resume(first).unwrap().await.unwrap()
    })
}

#[test]
fn whatever_was_said_before_it_goes_on() {
    let _alone = alone();
    for kind in [Kind::Tcp, Kind::Unix] {
        for (splices, half_closed) in [(false, false), (false, true), (true, false), (true, true)] {
            let words = text(if splices { 300_000 } else { 30 });
            let carried = block_on(async {
                let (mut client, carrying, mut server) = seated(kind).await;
                let mut carrying = if splices {
                    carrying.at_once()
                } else {
                    carrying
                };
                meanwhile(&mut carrying, async {
                    says(&mut client, &mut server, &words).await;
                    says(&mut server, &mut client, &words).await;
                    if half_closed {
                        ends(&mut client, &mut server).await;
                    }
                })
                .await;
                let pair = leaves(carrying).await;
                let there = std::thread::spawn(|| arrives(pair));
                if !half_closed {
                    says(&mut client, &mut server, &words).await;
                    ends(&mut client, &mut server).await;
                }
                says(&mut server, &mut client, &words).await;
                ends(&mut server, &mut client).await;
                there.join().unwrap()
            });
            let length = words.len() as u64;
            let forth = if half_closed { length } else { 2 * length };
            assert_eq!((carried.forth, carried.back), (forth, 2 * length));
            assert_eq!(carried.ended_first, Some(End::First));
            assert_eq!(carried.spliced == forth + 2 * length, splices);
        }
    }
}

#[test]
fn what_cannot_leave_stays_and_goes_on() {
    block_on(async {
        let (mut client, first) = pair(Kind::Tcp).await;
        let (second, mut server) = pair(Kind::Tcp).await;
        let first = first.seated(Seats::new(Deadlines::default()).take(None));
        // What was read of it already, its socket alone would not say again.
        let second = second.unread(b"a word before".to_vec());
        let Ok(Pause::Here(mut carrying)) = carry(first, second, Until::BothEnd).pause() else {
            panic!("a word would be lost");
        };
        meanwhile(&mut carrying, async {
            let mut heard = [0; 13];
            client.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"a word before");
            says(&mut client, &mut server, b"an answer").await;
        })
        .await;
    });
}

#[test]
fn whoever_has_bytes_under_way_is_not_called_away() {
    block_on(async {
        let (mut client, mut carrying, mut server) = seated(Kind::Unix).await;
        // More than all buffers hold, and the server does not read yet.
        let words = text(1 << 20);
        let reads = Notify::new();
        let mut talk = pin!(async {
            let mut heard = vec![0; words.len()];
            let talk = tokio::join!(client.write_all(&words), async {
                reads.notified().await;
                server.read_exact(&mut heard).await
            });
            talk.0.unwrap();
            talk.1.unwrap();
            heard
        });
        poll_fn(|task| {
            assert!(talk.as_mut().poll(task).is_pending());
            assert!(carrying.poll_here(task).is_pending());
            if carrying.forth.is_at_rest() {
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        let_move(1);
        poll_fn(|task| {
            assert!(carrying.poll_here(task).is_pending());
            Poll::Ready(())
        })
        .await;
        let_move(0);
        reads.notify_one();
        assert!(meanwhile(&mut carrying, talk).await == words);
        leaves(carrying).await;
    });
}
