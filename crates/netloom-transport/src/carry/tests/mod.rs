//! What carrying promises, in every gear.

#[cfg(target_os = "linux")]
mod half_close;
#[cfg(target_os = "linux")]
mod moving;
mod simulated;
#[cfg(target_os = "linux")]
mod sockets;
#[cfg(target_os = "linux")]
mod splicing;
mod turns;

use std::io;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::conn::Conn;

/// Bytes that tell where they stood.
fn text(length: usize) -> Vec<u8> {
    (0..length as u32)
        .flat_map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes())
        .take(length)
        .collect()
}

/// Pieces that are written or read at once, and how long to rest before each.
type Pieces = Vec<(usize, u8)>;

fn pieces(largest: usize) -> impl Strategy<Value = Pieces> {
    prop::collection::vec((1..largest, prop_oneof![3 => Just(0), 1 => 0..20_u8]), 1..8)
}

/// Writes `bytes` in such pieces and ends.
async fn say<R: Future<Output = ()>>(
    mut conn: WriteHalf<Conn>,
    bytes: &[u8],
    pieces: Pieces,
    rest: impl Fn(u8) -> R,
) -> io::Result<()> {
    let mut left = bytes;
    for (size, pause) in pieces.into_iter().cycle() {
        if left.is_empty() {
            break;
        }
        rest(pause).await;
        let (piece, later) = left.split_at(size.min(left.len()));
        conn.write_all(piece).await?;
        left = later;
    }
    conn.shutdown().await
}

/// Reads in such pieces until the end or a failure.
async fn hear<R: Future<Output = ()>>(
    mut conn: ReadHalf<Conn>,
    pieces: Pieces,
    rest: impl Fn(u8) -> R,
) -> (Vec<u8>, io::Result<()>) {
    let mut got = Vec::new();
    for (size, pause) in pieces.into_iter().cycle() {
        rest(pause).await;
        let mut piece = vec![0; size];
        match conn.read(&mut piece).await {
            Ok(0) => break,
            Ok(n) => got.extend_from_slice(&piece[..n]),
            Err(error) => return (got, Err(error)),
        }
    }
    (got, Ok(()))
}

/// So many milliseconds of a simulated clock.
fn millis(count: u8) -> Duration {
    Duration::from_millis(count.into())
}
