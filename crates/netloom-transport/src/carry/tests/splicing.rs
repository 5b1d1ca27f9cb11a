//! Over real sockets, through real pipes.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::yield_now;

use super::super::splice::Pipe;
use super::super::{Carried, End, Gear, Until, carry};
use super::sockets::{Kind, alone, block_on, carried, pair};
use super::{hear, pieces, say, text};
use crate::conn::Close;
use crate::seat::{Deadlines, Seats};
use netloom_base::{Code, Stage};
use std::time::Duration;

/// Lets everybody else go on so many times.
async fn stall(turns: u8) {
    for _ in 0..turns {
        yield_now().await;
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Tcp), Just(Kind::Unix)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_is_spliced_arrives_whatever_the_pace(
        kinds in (kinds(), kinds()),
        lengths in (0..3_000_000_usize, 0..3_000_000_usize),
        paces in (
            pieces(300_000),
            pieces(300_000),
            pieces(300_000),
            pieces(300_000),
        ),
        at_once: bool,
    ) {
        let _alone = alone();
        let (question, answer) = (text(lengths.0), text(lengths.1));
        let (told, heard, back) = block_on(async {
            let (client, carrying, server) = carried(kinds.0, kinds.1).await;
            let carrying = if at_once { carrying.at_once() } else { carrying };
            let (client_in, client_out) = tokio::io::split(client);
            let (server_in, server_out) = tokio::io::split(server);
            let (told, heard, back, said, answered) = tokio::join!(
                carrying,
                hear(server_in, paces.0, stall),
                hear(client_in, paces.1, stall),
                say(client_out, &question, paces.2, stall),
                say(server_out, &answer, paces.3, stall),
            );
            said.unwrap();
            answered.unwrap();
            (told.unwrap(), heard, back)
        });
        prop_assert!(heard.0 == question && back.0 == answer);
        prop_assert!(heard.1.is_ok() && back.1.is_ok());
        prop_assert_eq!((told.forth, told.back), (lengths.0 as u64, lengths.1 as u64));
        if at_once && lengths.0 + lengths.1 > 0 {
            prop_assert_eq!(told.gear, Gear::Splice);
            prop_assert!(told.spliced > 0);
        }
    }
}

/// The reader has stopped and a pipe is full; then one end is reset.
#[test]
fn a_reset_is_passed_on_while_a_pipe_is_full() {
    let _alone = alone();
    for broken in [End::First, End::Second] {
        let failed = block_on(async {
            let (mut client, carrying, mut server) = carried(Kind::Tcp, Kind::Tcp).await;
            let talk = async {
                // Until neither takes more.
                fill(&mut client).await;
                fill(&mut server).await;
                let (reset, mut left) = match broken {
                    End::First => (client, server),
                    End::Second => (server, client),
                };
                reset.close(Close::Abort);
                let mut got = Vec::new();
                let error = left.read_to_end(&mut got).await.unwrap_err();
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            };
            tokio::join!(carrying.at_once(), talk).0.unwrap_err()
        });
        assert_eq!(failed.end, broken);
        assert_eq!(failed.failure.code(), Code::RECV_RESET);
        assert_eq!(failed.carried.gear, Gear::Splice);
    }
}

/// Writes until, for a while, nothing more is taken.
async fn fill(conn: &mut crate::Conn) {
    let bytes = text(64 * 1024);
    loop {
        tokio::select! {
            biased;
            written = conn.write(&bytes) => { written.unwrap(); }
            () = stall(200) => return,
        }
    }
}

/// A limit passes while the receiver does not read: nobody is left to think
/// that this was all.
#[test]
fn a_limit_in_the_midst_of_a_splice_resets() {
    let _alone = alone();
    block_on(async {
        let seats = Seats::new(Deadlines {
            idle: Some(Duration::from_secs(16)),
            ..Deadlines::default()
        });
        let (mut client, first) = pair(Kind::Tcp).await;
        let (second, mut server) = pair(Kind::Tcp).await;
        let seat = seats.take(None);
        let first = first.seated(seat.clone());
        let carrying = carry(first, second, Until::BothEnd).at_once();
        let talk = async {
            fill(&mut client).await;
            assert_eq!(seat.gears(), (Gear::Splice, Gear::Splice));
            assert!(seat.received() > 64 * 1024, "seen while it runs");
            for _ in 0..18 {
                seats.go_round();
            }
            stall(20).await;
            let mut got = Vec::new();
            let error = server.read_to_end(&mut got).await.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        };
        let failed = tokio::join!(carrying, talk).0.unwrap_err();
        // Time is made up here, and the kernel's is not: whether it had closed
        // the window by then is its own affair.
        match failed.end {
            End::First => assert_eq!(failed.failure.code(), Code::LIMIT_IDLE),
            End::Second => assert_eq!(failed.failure.code(), Code::STUCK_READER_STOPPED),
        }
    });
}

/// A limit passes while one side has ended and the other says nothing.
#[test]
fn a_limit_is_noticed_after_a_half_close() {
    block_on(async {
        let seats = Seats::new(Deadlines {
            idle: Some(Duration::from_secs(16)),
            ..Deadlines::default()
        });
        let (mut client, first) = pair(Kind::Tcp).await;
        let (second, mut server) = pair(Kind::Tcp).await;
        let first = first.seated(seats.take(None));
        let carrying = carry(first, second, Until::BothEnd);
        let talk = async {
            client.shutdown().await.unwrap();
            assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
            for _ in 0..18 {
                seats.go_round();
            }
            // Nothing was under way, so this is an end in order.
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        };
        let failed = tokio::join!(carrying, talk).0.unwrap_err();
        assert_eq!(failed.failure.code(), Code::LIMIT_IDLE);
        assert_eq!(failed.failure.stage(), Stage::Recv);
    });
}

#[test]
fn without_a_pipe_bytes_are_copied_and_pipes_come_back() {
    let _alone = alone();
    block_on(async {
        let mut all = Vec::new();
        while let Some(pipe) = Pipe::take() {
            all.push(pipe);
        }
        assert!(
            all.len() > 16,
            "this user may have a few pipes of full size"
        );
        let length = 2_000_000;
        assert_eq!(transfer(length).await.spliced, 0);
        all.clear();
        assert!(transfer(length).await.spliced > 0);
    });
}

/// So many bytes from a client to a server that asked for them at once.
async fn transfer(length: usize) -> Carried {
    let (client, carrying, server) = carried(Kind::Tcp, Kind::Tcp).await;
    let bytes = text(length);
    let (_client_in, client_out) = tokio::io::split(client);
    let (server_in, mut server_out) = tokio::io::split(server);
    server_out.shutdown().await.unwrap();
    let (told, said, heard) = tokio::join!(
        carrying.at_once(),
        say(client_out, &bytes, vec![(length, 0)], stall),
        hear(server_in, vec![(length, 0)], stall),
    );
    said.unwrap();
    assert!(heard.0 == bytes);
    told.unwrap()
}

#[test]
fn a_thousand_pairs_need_no_more_pipes_than_one() {
    let _alone = alone();
    block_on(async {
        transfer(100_000).await;
        let before = Pipe::open();
        for _ in 0..1000 {
            transfer(1000).await;
        }
        assert_eq!(Pipe::open(), before);
    });
}

#[test]
fn what_is_in_a_pipe_can_be_taken_out_by_hand() {
    let _alone = alone();
    block_on(async {
        let (mut one, mut other) = pair(Kind::Tcp).await;
        let bytes = text(50_000);
        one.write_all(&bytes).await.unwrap();
        let mut pipe = Pipe::take().unwrap();
        let mut got = Vec::new();
        while got.len() < bytes.len() {
            std::future::poll_fn(|task| pipe.fill(&mut other, task))
                .await
                .unwrap();
            got.extend(pipe.rescue().unwrap());
        }
        assert!(got == bytes);
        assert!(pipe.is_empty());
    });
}

#[test]
fn a_pipe_that_holds_bytes_is_not_used_again() {
    let _alone = alone();
    block_on(async {
        let (mut one, mut other) = pair(Kind::Tcp).await;
        one.write_all(b"not for the next").await.unwrap();
        let mut pipe = Pipe::take().unwrap();
        std::future::poll_fn(|task| pipe.fill(&mut other, task))
            .await
            .unwrap();
        let before = Pipe::open();
        drop(pipe);
        assert_eq!(Pipe::open(), before - 1);
    });
}
