//! Whatever is written arrives once, in order, to the byte.

use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::{Link, Sim};
use super::pair;
use crate::conn::Conn;
use crate::cx::Cx;

/// A link of any quality.
fn links() -> impl Strategy<Value = Link> {
    (
        0..50_000_u64,
        0..50_000_u64,
        0.0..0.5_f64,
        1..100_000_usize,
        1..20_000_usize,
        prop::option::of(10_000..10_000_000_u64),
    )
        .prop_map(|(delay, jitter, loss, window, segment, bandwidth)| Link {
            delay: Duration::from_micros(delay),
            jitter: Duration::from_micros(jitter),
            loss,
            window,
            segment: segment.max(window / 64),
            bandwidth,
            ..Link::default()
        })
}

/// A connection over `link`, whose losses begin once it stands.
async fn pair_over(sim: &Sim, link: Link) -> (Conn, Conn) {
    sim.link("a", "b", link.lossy(0.0));
    let ends = pair(sim).await;
    sim.link("a", "b", link);
    ends
}

/// Bytes that tell where they stood.
fn text(length: usize) -> Vec<u8> {
    (0..length as u32)
        .flat_map(|i| (i.wrapping_mul(2_654_435_761)).to_be_bytes())
        .take(length)
        .collect()
}

/// Writes `bytes` in pieces of these sizes, resting now and then, and ends.
async fn write(
    mut conn: tokio::io::WriteHalf<Conn>,
    bytes: Vec<u8>,
    sizes: Vec<usize>,
    cx: Cx,
) -> std::io::Result<()> {
    let mut rest = &bytes[..];
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, later) = rest.split_at((*size).min(rest.len()));
        conn.write_all(piece).await?;
        rest = later;
        if cx.random_below(4) == 0 {
            cx.sleep(Duration::from_millis(cx.random_below(20))).await;
        }
    }
    conn.shutdown().await
}

/// Reads in pieces of these sizes until the end or a failure.
async fn read(
    mut conn: tokio::io::ReadHalf<Conn>,
    sizes: Vec<usize>,
    cx: Cx,
) -> (Vec<u8>, std::io::Result<()>) {
    let mut got = Vec::new();
    for size in sizes.iter().cycle() {
        let mut piece = vec![0; *size];
        match conn.read(&mut piece).await {
            Ok(0) => break,
            Ok(n) => got.extend_from_slice(&piece[..n]),
            Err(error) => return (got, Err(error)),
        }
        if cx.random_below(8) == 0 {
            cx.sleep(Duration::from_millis(cx.random_below(20))).await;
        }
    }
    (got, Ok(()))
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..5000_usize, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn both_directions_arrive_whole(
        seed: u64,
        link in links(),
        lengths in (0..60_000_usize, 0..60_000_usize),
        pieces in (sizes(), sizes(), sizes()),
        cuts in prop::collection::vec((0..2000_u64, 0..2000_u64), 0..3),
    ) {
        let sim = Sim::new(seed).shuffled();
        let (there, back) = (text(lengths.0), text(lengths.1));
        let (a, b) = (sim.host("a"), sim.host("b"));
        let net = sim.net().clone();
        let (got, echoed) = sim.block_on(async {
            let (one, other) = pair_over(&sim, link).await;
            let clock = a.clone();
            a.spawn(async move {
                for (before, long) in cuts {
                    clock.sleep(Duration::from_millis(before)).await;
                    net.cut("a", "b");
                    clock.sleep(Duration::from_millis(long)).await;
                    net.heal("a", "b");
                }
            });
            let (one_in, one_out) = tokio::io::split(one);
            let (other_in, other_out) = tokio::io::split(other);
            let (got, echoed, sent, answered) = tokio::join!(
                read(other_in, pieces.0, b.clone()),
                read(one_in, pieces.1, a.clone()),
                write(one_out, there.clone(), pieces.2.clone(), a.clone()),
                write(other_out, back.clone(), pieces.2, b.clone()),
            );
            sent.unwrap();
            answered.unwrap();
            (got, echoed)
        }).unwrap();
        prop_assert!(got.0 == there && echoed.0 == back);
        prop_assert!(got.1.is_ok() && echoed.1.is_ok());
        prop_assert!(sim.streams().is_empty());
    }

    #[test]
    fn a_cut_after_n_bytes_gives_exactly_n_and_then_a_failure(
        seed: u64,
        link in links(),
        (length, cut) in (1..20_000_usize).prop_flat_map(|length| (Just(length), 0..=length)),
        pieces in (sizes(), sizes()),
    ) {
        let sim = Sim::new(seed);
        let whole = text(length);
        let (a, b) = (sim.host("a"), sim.host("b"));
        let (got, failed) = sim.block_on(async {
            sim.cut_after("a", "b", cut as u64);
            let (one, other) = pair_over(&sim, link).await;
            let (_one_in, one_out) = tokio::io::split(one);
            let (other_in, _other_out) = tokio::io::split(other);
            let writing = write(one_out, whole.clone(), pieces.0, a.clone());
            let ((got, failed), _) = tokio::join!(read(other_in, pieces.1, b.clone()), writing);
            (got, failed)
        }).unwrap();
        prop_assert_eq!(&got[..], &whole[..cut]);
        prop_assert!(failed.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset));
        prop_assert!(sim.streams().is_empty());
    }
}
