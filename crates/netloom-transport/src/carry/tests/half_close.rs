//! The end of one direction is passed on and the other goes on: whoever ends
//! first, over whatever, in every gear.

use std::cell::Cell;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::splice::Pipe;
use super::super::{Carried, End, Gear};
use super::sockets::{Kind, alone, block_on, carried};
use super::text;
use crate::conn::Conn;

/// How both are made to be in a gear.
#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    /// A word is never more than the smallest gear carries.
    Words,
    /// Much, and no pipe to be had.
    Copying,
    /// A pipe from the first byte on.
    Splicing,
}

/// What is said by whoever ends first and last.
struct Words {
    first: Vec<u8>,
    last: Vec<u8>,
}

/// `first` says all it has and ends, and only then does the other begin.
async fn talk(kinds: (Kind, Kind), first: End, by: By, words: &Words) -> Carried {
    let (client, carrying, server) = carried(kinds.0, kinds.1).await;
    let carrying = match by {
        By::Splicing => carrying.at_once(),
        By::Words | By::Copying => carrying,
    };
    let (mut early, mut late) = match first {
        End::First => (client, server),
        End::Second => (server, client),
    };
    let talk = async {
        tokio::join!(
            ends(&mut early, &words.first),
            hears(&mut late, &words.first)
        );
        tokio::join!(ends(&mut late, &words.last), hears(&mut early, &words.last));
    };
    tokio::join!(carrying, talk).0.unwrap()
}

async fn ends(conn: &mut Conn, words: &[u8]) {
    conn.write_all(words).await.unwrap();
    conn.shutdown().await.unwrap();
}

async fn hears(conn: &mut Conn, words: &[u8]) {
    let mut got = Vec::new();
    conn.read_to_end(&mut got).await.unwrap();
    assert!(got == words, "{} of {} bytes", got.len(), words.len());
}

fn every(by: By, lengths: &[(usize, usize)], gear: impl Fn(&Carried) -> Gear) {
    for client in [Kind::Tcp, Kind::Unix] {
        for server in [Kind::Tcp, Kind::Unix] {
            for first in [End::First, End::Second] {
                for &(said, answered) in lengths {
                    let words = Words {
                        first: text(said),
                        last: text(answered),
                    };
                    let told = block_on(talk((client, server), first, by, &words));
                    let moved = match first {
                        End::First => (told.forth, told.back),
                        End::Second => (told.back, told.forth),
                    };
                    let which = format!("{client:?} {server:?} {first:?} {said} {answered}");
                    assert_eq!(moved, (said as u64, answered as u64), "{which}");
                    assert_eq!(told.ended_first, Some(first), "{which}");
                    assert_eq!(told.gear, gear(&told), "{which}");
                }
            }
        }
    }
}

#[test]
fn words_are_answered_after_the_end() {
    every(By::Words, &[(0, 0), (0, 9), (9, 0), (9, 9)], |_| Gear::Idle);
}

#[test]
fn what_is_spliced_is_answered_after_the_end() {
    let _alone = alone();
    let lengths = [
        (0, 9),
        (9, 0),
        (9, 9),
        (0, 900_000),
        (900_000, 0),
        (900_000, 900_000),
    ];
    every(By::Splicing, &lengths, |told| {
        assert_eq!(told.spliced, told.forth + told.back);
        Gear::Splice
    });
}

#[test]
fn what_is_copied_is_answered_after_the_end() {
    let _alone = alone();
    let mut pipes = Vec::new();
    while let Some(pipe) = Pipe::take() {
        pipes.push(pipe);
    }
    let lengths = [(0, 900_000), (900_000, 0), (900_000, 900_000)];
    let copied = Cell::new(0);
    every(By::Copying, &lengths, |told| {
        // How much there is to read at once is the kernel's to say.
        copied.set(copied.get() + u32::from(told.gear == Gear::Copy));
        told.gear.min(Gear::Copy)
    });
    assert!(copied.get() > 0);
}
