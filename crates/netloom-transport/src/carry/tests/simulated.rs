//! Over a simulated network: no sockets, so bytes are copied.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::{Carried, Carry, End, Gear, Until, carry};
use super::{Pieces, hear, millis, pieces, say, text};
use crate::conn::{Close, Conn};
use crate::cx::Cx;
use crate::sim::{Link, Sim};
use crate::trial::{bind, dial};
use netloom_base::{Code, Stage};

/// A client, what carries it, and the server it is carried to.
async fn carried(sim: &Sim) -> (Conn, Carry, Conn) {
    let (client, relay, server) = (sim.host("client"), sim.host("relay"), sim.host("server"));
    let (client, first) = pair(&client, &relay, "tcp://relay:1").await;
    let (second, server) = pair(&relay, &server, "tcp://server:1").await;
    (client, carry(first, second, Until::BothEnd), server)
}

async fn pair(from: &Cx, to: &Cx, endpoint: &str) -> (Conn, Conn) {
    let bound = bind(to, endpoint).await.unwrap().remove(0);
    let mut listener = bound.listener().unwrap().unwrap();
    let conn = dial(from, endpoint).await.unwrap();
    let accepted = listener.accept().await.unwrap().attach().unwrap();
    (conn, accepted)
}

async fn all(conn: &mut Conn) -> std::io::Result<Vec<u8>> {
    let mut got = Vec::new();
    conn.read_to_end(&mut got).await.map(|_| got)
}

/// Says a word and ends.
async fn end(conn: &mut Conn, word: &str) {
    conn.write_all(word.as_bytes()).await.unwrap();
    conn.shutdown().await.unwrap();
}

#[test]
fn one_side_may_end_and_still_be_answered() {
    for first in [End::First, End::Second] {
        let sim = Sim::new(1);
        let carried = sim
            .block_on(async {
                let (client, carrying, server) = carried(&sim).await;
                let (mut early, mut late) = match first {
                    End::First => (client, server),
                    End::Second => (server, client),
                };
                let talk = async {
                    end(&mut early, "question").await;
                    assert_eq!(all(&mut late).await.unwrap(), b"question");
                    end(&mut late, "the answer").await;
                    assert_eq!(all(&mut early).await.unwrap(), b"the answer");
                };
                tokio::join!(carrying, talk).0.unwrap()
            })
            .unwrap();
        let moved = match first {
            End::First => (carried.forth, carried.back),
            End::Second => (carried.back, carried.forth),
        };
        assert_eq!(moved, (8, 10));
        assert_eq!(carried.ended_first, Some(first));
        assert_eq!((carried.gear, carried.spliced), (Gear::Idle, 0));
        assert!(sim.streams().is_empty());
    }
}

#[test]
fn both_may_end_at_once_and_with_nothing_said() {
    let sim = Sim::new(1);
    let carried = sim
        .block_on(async {
            let (mut client, carrying, mut server) = carried(&sim).await;
            let talk = async {
                tokio::join!(end(&mut client, ""), end(&mut server, ""));
                assert_eq!(all(&mut client).await.unwrap(), b"");
                assert_eq!(all(&mut server).await.unwrap(), b"");
            };
            tokio::join!(carrying, talk).0.unwrap()
        })
        .unwrap();
    assert_eq!((carried.forth, carried.back), (0, 0));
    assert!(sim.streams().is_empty());
}

/// Of two that talk, `broken` is reset; the other must not take what it got
/// for the whole.
#[test]
fn a_reset_is_passed_on() {
    for broken in [End::First, End::Second] {
        let sim = Sim::new(1);
        let failed = sim
            .block_on(async {
                let (mut client, carrying, mut server) = carried(&sim).await;
                let talk = async {
                    client.write_all(b"half of").await.unwrap();
                    server.write_all(b"a part of").await.unwrap();
                    client.read_exact(&mut [0; 9]).await.unwrap();
                    server.read_exact(&mut [0; 7]).await.unwrap();
                    let (reset, mut left) = match broken {
                        End::First => (client, server),
                        End::Second => (server, client),
                    };
                    reset.close(Close::Abort);
                    let error = all(&mut left).await.unwrap_err();
                    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                };
                tokio::join!(carrying, talk).0.unwrap_err()
            })
            .unwrap();
        assert_eq!(failed.end, broken);
        assert_eq!(failed.failure.code(), Code::RECV_RESET);
        assert_eq!(failed.failure.stage(), Stage::Recv);
        assert_eq!((failed.carried.forth, failed.carried.back), (7, 9));
        assert!(sim.streams().is_empty());
    }
}

/// A second end that is reset before anything was said costs the first nothing.
#[test]
fn the_first_is_spared_what_had_not_begun() {
    for said in [None, Some(End::First), Some(End::Second)] {
        let sim = Sim::new(1);
        let (spared, heard) = sim
            .block_on(async {
                let (mut client, carrying, mut server) = carried(&sim).await;
                let talk = async {
                    match said {
                        None => {}
                        Some(End::First) => {
                            client.write_all(b"x").await.unwrap();
                            server.read_exact(&mut [0]).await.unwrap();
                        }
                        Some(End::Second) => {
                            server.write_all(b"x").await.unwrap();
                            client.read_exact(&mut [0]).await.unwrap();
                        }
                    }
                    server.close(Close::Abort);
                };
                let failed = tokio::join!(carrying, talk).0.unwrap_err();
                assert_eq!(failed.end, End::Second);
                assert_eq!(failed.failure.code(), Code::RECV_RESET);
                let spared = failed.spared.is_some();
                if let Some(mut first) = failed.spared {
                    first.write_all(b"from another").await.unwrap();
                    first.shutdown().await.unwrap();
                }
                (spared, all(&mut client).await)
            })
            .unwrap();
        assert_eq!(spared, said.is_none());
        match heard {
            Ok(heard) => assert!(spared && heard == b"from another"),
            Err(error) => {
                assert!(!spared && error.kind() == std::io::ErrorKind::ConnectionReset);
            }
        }
    }
}

#[test]
fn with_an_end_in_sight_it_is_over_when_the_second_has_ended() {
    let sim = Sim::new(1);
    let carried = sim
        .block_on(async {
            let (mut client, carrying, mut server) = carried(&sim).await;
            let mut carrying = carrying;
            carrying.until = Until::SecondEnds;
            let talk = async {
                client.write_all(b"more to come").await.unwrap();
                end(&mut server, "enough").await;
                assert_eq!(all(&mut client).await.unwrap(), b"enough");
            };
            tokio::join!(carrying, talk).0.unwrap()
        })
        .unwrap();
    assert_eq!((carried.back, carried.ended_first), (6, Some(End::Second)));
}

fn links() -> impl Strategy<Value = Link> {
    (0..20_u8, 0..20_u8, 0.0..0.2_f64, 1..200_000_usize).prop_map(
        |(delay, jitter, loss, window)| Link {
            delay: millis(delay),
            jitter: millis(jitter),
            loss,
            window,
            segment: (window / 16).max(1),
            ..Link::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_said_arrives_whatever_the_pace(
        seed: u64,
        ways in (links(), links()),
        lengths in (0..400_000_usize, 0..400_000_usize),
        paces in (pieces(90_000), pieces(90_000), pieces(90_000), pieces(90_000)),
    ) {
        let sim = Sim::new(seed).shuffled();
        let (question, answer) = (text(lengths.0), text(lengths.1));
        let cx = sim.host("client");
        let rest = |pause| cx.sleep(millis(pause));
        let (told, heard, back) = sim.block_on(async {
            let (client, carrying, server) = carried(&sim).await;
            sim.link("client", "relay", ways.0);
            sim.link("relay", "server", ways.1);
            let (client_in, client_out) = tokio::io::split(client);
            let (server_in, server_out) = tokio::io::split(server);
            let (told, heard, back, said, answered) = tokio::join!(
                carrying,
                hear(server_in, paces.0, rest),
                hear(client_in, paces.1, rest),
                say(client_out, &question, paces.2, rest),
                say(server_out, &answer, paces.3, rest),
            );
            said.unwrap();
            answered.unwrap();
            (told.unwrap(), heard, back)
        }).unwrap();
        prop_assert!(heard.0 == question && back.0 == answer);
        prop_assert!(heard.1.is_ok() && back.1.is_ok());
        let Carried { forth, back, spliced, .. } = told;
        prop_assert_eq!((forth, back, spliced), (lengths.0 as u64, lengths.1 as u64, 0));
        prop_assert!(sim.streams().is_empty());
    }

    /// A cut anywhere on either side: each gets the beginning of what the other
    /// said, and never an end that is none.
    #[test]
    fn a_cut_never_looks_like_an_end(
        seed: u64,
        (length, cut) in (1..60_000_usize).prop_flat_map(|length| (Just(length), 0..length)),
        place in 0..4_usize,
        paces in (pieces(20_000), pieces(20_000)),
    ) {
        cut_once(seed, (length, cut), place, paces)?;
    }
}

#[test]
fn a_cut_before_the_first_byte_looks_like_no_end_either() {
    for (place, length) in (0..4).flat_map(|place| [(place, 1), (place, 60_000)]) {
        let plain = || vec![(20_000, 0)];
        cut_once(1, (length, 0), place, (plain(), plain())).unwrap();
    }
}

/// Cuts one of the four ways while whoever is farther up it speaks.
fn cut_once(
    seed: u64,
    (length, cut): (usize, usize),
    place: usize,
    paces: (Pieces, Pieces),
) -> Result<(), TestCaseError> {
    let (from, to) = [
        ("client", "relay"),
        ("relay", "server"),
        ("server", "relay"),
        ("relay", "client"),
    ][place];
    let sim = Sim::new(seed);
    let whole = text(length);
    let cx = sim.host("client");
    let rest = |pause| cx.sleep(millis(pause));
    let (heard, ended) = sim
        .block_on(async {
            sim.cut_after(from, to, cut as u64);
            let (client, carrying, server) = carried(&sim).await;
            let (speaker, hearer) = if place < 2 {
                (client, server)
            } else {
                (server, client)
            };
            let (_speaker_in, speaker_out) = tokio::io::split(speaker);
            let (hearer_in, _hearer_out) = tokio::io::split(hearer);
            // A client that is given back has nobody else to go to here.
            let ending = async {
                let end = |spared: Box<Conn>| spared.close(Close::Abort);
                let ended = carrying.await;
                ended.map_err(|failure| failure.spared.map(end).is_some())
            };
            let (ended, heard, _) = tokio::join!(
                ending,
                hear(hearer_in, paces.0, rest),
                say(speaker_out, &whole, paces.1, rest),
            );
            (heard, ended)
        })
        .unwrap();
    prop_assert!(whole.starts_with(&heard.0));
    prop_assert!(heard.0.len() <= cut);
    prop_assert!(
        heard
            .1
            .is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset)
    );
    let spared = ended.expect_err("it was cut");
    prop_assert!(!spared || cut == 0);
    prop_assert!(sim.streams().is_empty());
    Ok(())
}
