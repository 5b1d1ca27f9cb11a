//! Connections: how they begin, fill, break and end.

use std::io::ErrorKind;
use std::time::Duration;

use netloom_base::{Code, Failure, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::{Link, Sim};
use super::{bind, dial, listen, pair};
use crate::conn::{Close, Peer};

/// Two hosts with 10 ms between them, to the nanosecond.
fn steady() -> Sim {
    let sim = Sim::new(1);
    sim.links(Link::default().delayed(Duration::from_millis(10), Duration::ZERO));
    sim.host("a");
    sim.host("b");
    sim
}

fn millis(sim: &Sim) -> u128 {
    sim.now().since_start().as_millis()
}

#[test]
fn nobody_listens_and_the_refusal_takes_its_way() {
    let sim = steady();
    let refused = sim
        .block_on(dial(&sim.host("a"), "tcp://b:7"))
        .unwrap()
        .unwrap_err();
    assert_eq!((refused.code(), millis(&sim)), (Code::CONNECT_REFUSED, 20));
    assert_eq!(refused.endpoint(), Some("tcp://b:7"));
    let steps: Vec<_> = refused
        .trail()
        .iter()
        .map(|step| (step.stage, &*step.to, step.failed))
        .collect();
    assert_eq!(
        steps,
        [
            (Stage::Resolve, "b", None),
            (Stage::Connect, "10.0.0.2:7", Some(Code::CONNECT_REFUSED))
        ]
    );
}

#[test]
fn a_cut_link_is_silent_until_the_connect_timeout() {
    let sim = steady();
    sim.cut("a", "b");
    let silent = sim
        .block_on(dial(&sim.host("a"), "tcp://b:7"))
        .unwrap()
        .unwrap_err();
    assert_eq!(
        (silent.code(), silent.may_retry(), millis(&sim)),
        (Code::CONNECT_TIMEOUT, true, 10_000)
    );
}

#[test]
fn what_can_be_wrong_with_an_address_is_what_is_wrong_with_a_real_one() {
    let sim = steady();
    let (a, b) = (sim.host("a"), sim.host("b"));
    fn code<T>(result: Result<T, Failure>) -> Code {
        result.map(drop).unwrap_err().code()
    }
    sim.block_on(async {
        assert_eq!(
            code(dial(&a, "tcp://nowhere:7").await),
            Code::RESOLVE_NO_SUCH_NAME
        );
        assert_eq!(
            code(dial(&a, "tcp://10.9.9.9:7").await),
            Code::CONNECT_NO_ROUTE
        );
        assert_eq!(code(dial(&a, "tpc://b:7").await), Code::PARSE_ENDPOINT);
        assert_eq!(
            code(dial(&a, "tcp://b:7,nodeley").await),
            Code::PARSE_ENDPOINT
        );
        assert_eq!(
            code(dial(&a, "tcp://b:7,source=10.0.0.2").await),
            Code::BIND_NOT_LOCAL
        );
        let _held = bind(&b, "tcp://*:7").await.unwrap();
        assert_eq!(code(bind(&b, "tcp://b:7").await), Code::BIND_IN_USE);
        assert_eq!(
            code(bind(&b, "tcp://10.0.0.1:7").await),
            Code::BIND_NOT_LOCAL
        );
        bind(&a, "tcp://*:7").await.unwrap();
    })
    .unwrap();
}

#[test]
fn a_free_port_is_the_same_on_both_loopbacks_and_given_back() {
    let sim = Sim::new(1);
    let cx = sim.cx();
    sim.block_on(async {
        let bound = bind(&cx, "tcp://:0").await.unwrap();
        let ports: Vec<_> = bound.iter().map(|b| b.endpoint().port()).collect();
        assert!(ports.len() == 2 && ports[0] == ports[1] && ports[0] != Some(0));
        let port = ports[0].unwrap();
        let refused = dial(&cx, &format!("tcp://[::1]:{port}")).await.unwrap_err();
        assert_eq!(
            refused.code(),
            Code::CONNECT_REFUSED,
            "bound, but not listening"
        );
        let _listener = bound[1].listener().unwrap().unwrap();
        assert!(bound[1].listener().unwrap().is_none());
        let conn = dial(&cx, &format!("tcp://:{port}")).await.unwrap();
        assert_eq!(
            conn.facts().peer,
            Some(Peer::Ip(format!("[::1]:{port}").parse().unwrap()))
        );
        assert_eq!(conn.trail().len(), 2, "the other loopback was tried first");
        drop(bound);
        assert!(
            bind(&cx, &format!("tcp://[::1]:{port}")).await.is_err(),
            "its listener lives"
        );
        bind(&cx, &format!("tcp://127.0.0.1:{port}")).await.unwrap();
    })
    .unwrap();
}

#[test]
fn each_end_knows_both_addresses() {
    let sim = steady();
    sim.block_on(async {
        let (one, other) = pair(&sim).await;
        let (mine, theirs) = (one.facts(), other.facts());
        assert_eq!((&mine.local, &mine.peer), (&theirs.peer, &theirs.local));
        assert!(matches!(mine.local, Some(Peer::Ip(addr)) if sim.addresses("a") == [addr.ip()]));
    })
    .unwrap();
}

#[test]
fn a_full_queue_keeps_the_next_client_waiting() {
    let sim = steady();
    sim.block_on(async {
        let mut listener = listen(&sim.host("b"), "tcp://b:7,backlog=1").await;
        let (a, b) = (sim.host("a"), sim.host("b"));
        let _first = dial(&a, "tcp://b:7").await.unwrap();
        b.spawn({
            let b = b.clone();
            async move {
                b.sleep(Duration::from_secs(2)).await;
                let first = listener.accept().await.unwrap();
                let second = listener.accept().await.unwrap();
                drop((first, second));
            }
        });
        dial(&a, "tcp://b:7").await.unwrap();
    })
    .unwrap();
    assert_eq!(millis(&sim), 20 + 3000 + 20, "it knocks after 0, 1 and 3 s");
}

#[test]
fn a_writer_waits_for_a_reader_that_does_not_read() {
    let sim = steady();
    sim.block_on(async {
        let (mut one, mut other) = pair(&sim).await;
        let cx = sim.host("a");
        let big = vec![7; 100_000];
        let mut sent = 0;
        let full = cx.timeout(Duration::from_mins(1), async {
            while sent < big.len() {
                sent += one.write(&big[sent..]).await.unwrap();
            }
        });
        assert_eq!(full.await, None);
        assert_eq!(sent, 64 * 1024);
        let mut taken = vec![0; 1000];
        other.read_exact(&mut taken).await.unwrap();
        cx.sleep(Duration::from_millis(10)).await;
        assert_eq!(one.write(&big).await.unwrap(), 1000);
    })
    .unwrap();
}

#[test]
fn one_direction_ends_and_the_other_goes_on() {
    let sim = steady();
    sim.block_on(async {
        let (mut one, mut other) = pair(&sim).await;
        one.write_all(b"question").await.unwrap();
        one.shutdown().await.unwrap();
        assert_eq!(
            one.write(b"more").await.unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
        let (mut asked, mut answered) = (String::new(), String::new());
        other.read_to_string(&mut asked).await.unwrap();
        other.write_all(b"answer").await.unwrap();
        other.shutdown().await.unwrap();
        other.close(Close::Orderly);
        one.read_to_string(&mut answered).await.unwrap();
        one.close(Close::Orderly);
        assert_eq!((&*asked, &*answered), ("question", "answer"));
    })
    .unwrap();
    assert_eq!(sim.streams(), []);
}

#[test]
fn closing_with_unread_bytes_resets() {
    let sim = steady();
    sim.block_on(async {
        let (mut one, other) = pair(&sim).await;
        one.write_all(b"unread").await.unwrap();
        sim.host("b").sleep(Duration::from_millis(10)).await;
        other.close(Close::Orderly);
        let reset = one.read(&mut [0]).await.unwrap_err();
        assert_eq!(one.failure(Stage::Recv, reset).code(), Code::RECV_RESET);
        assert_eq!(
            one.write(b"x").await.unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
    })
    .unwrap();
}

#[test]
fn bytes_for_a_closed_end_come_back_as_a_reset() {
    let sim = steady();
    sim.block_on(async {
        let (mut one, other) = pair(&sim).await;
        other.close(Close::Orderly);
        assert_eq!(one.read(&mut [0]).await.unwrap(), 0);
        one.write_all(b"too late").await.unwrap();
        sim.host("a").sleep(Duration::from_millis(21)).await;
        let over = one.write(b"again").await.unwrap_err();
        assert_eq!(
            one.failure(Stage::Send, over).code(),
            Code::SEND_PEER_CLOSED
        );
    })
    .unwrap();
}

#[test]
fn an_abort_and_a_hand_reset_reach_whoever_waits() {
    let sim = steady();
    sim.block_on(async {
        let (mut one, other) = pair(&sim).await;
        other.close(Close::Abort);
        assert_eq!(
            one.read(&mut [0]).await.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
        let (mut one, mut other) = pair(&sim).await;
        assert!(sim.reset(&other.facts()));
        assert_eq!(
            one.read(&mut [0]).await.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
        assert_eq!(
            other.write(&[0]).await.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
    })
    .unwrap();
    assert_eq!(sim.streams(), []);
}

#[test]
fn who_gives_up_connecting_and_who_was_never_accepted_are_reset() {
    let sim = steady();
    sim.block_on(async {
        let mut listener = listen(&sim.host("b"), "tcp://b:7").await;
        let a = sim.host("a");
        assert!(
            a.timeout(Duration::from_millis(15), dial(&a, "tcp://b:7"))
                .await
                .is_none()
        );
        let mut never = listener.accept().await.unwrap().attach().unwrap();
        assert_eq!(
            never.read(&mut [0]).await.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
        let mut waiting = dial(&a, "tcp://b:7").await.unwrap();
        drop(listener);
        assert_eq!(
            waiting.read(&mut [0]).await.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
    })
    .unwrap();
    assert_eq!(sim.streams(), []);
}

#[test]
fn a_cut_delays_and_loses_nothing() {
    let sim = steady();
    sim.block_on(async {
        let (mut one, mut other) = pair(&sim).await;
        one.write_all(b"before ").await.unwrap();
        sim.cut("a", "b");
        one.write_all(b"and during").await.unwrap();
        one.shutdown().await.unwrap();
        let b = sim.host("b");
        let mut byte = [0];
        assert!(
            b.timeout(Duration::from_mins(10), other.read(&mut byte))
                .await
                .is_none()
        );
        sim.heal("a", "b");
        let mut all = String::new();
        other.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "before and during");
    })
    .unwrap();
}

#[test]
fn who_was_reset_in_silence_learns_it_when_it_speaks() {
    let sim = steady();
    sim.block_on(async {
        let (mut one, other) = pair(&sim).await;
        sim.cut("a", "b");
        other.close(Close::Abort);
        let a = sim.host("a");
        a.sleep(Duration::from_secs(1)).await;
        sim.heal("a", "b");
        assert!(
            a.timeout(Duration::from_mins(10), one.read(&mut [0]))
                .await
                .is_none()
        );
        one.write_all(b"hello?").await.unwrap();
        assert_eq!(
            one.read(&mut [0]).await.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
    })
    .unwrap();
}

#[test]
fn a_slow_link_takes_the_time_its_bandwidth_needs() {
    let sim = steady();
    sim.link(
        "a",
        "b",
        Link::default()
            .delayed(Duration::from_millis(10), Duration::ZERO)
            .limited(100_000),
    );
    sim.block_on(async {
        let (mut one, mut other) = pair(&sim).await;
        let sending = async {
            one.write_all(&vec![1; 200_000]).await.unwrap();
            one.shutdown().await.unwrap();
        };
        let mut got = Vec::new();
        let (read, ()) = tokio::join!(other.read_to_end(&mut got), sending);
        assert_eq!(read.unwrap(), 200_000);
    })
    .unwrap();
    assert!((2030..2100).contains(&millis(&sim)), "{}", millis(&sim));
}
