//! Who closes first, what is counted, and what each costs in time: on a
//! simulated network, where a millisecond is a millisecond.

use std::time::Duration;

use netloom_base::{Code, Role};
use netloom_transport::sim::{Link, Sim};
use netloom_transport::{BoxFuture, Close, Conn, Cx};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// What a server does with its one connection.
type Served = fn(Conn, Cx) -> BoxFuture<'static, ()>;

/// A server 5 ms away that serves one connection, and what `client` makes of it.
fn met<T, F: Future<Output = T>>(serve: Served, client: impl FnOnce(Stack, Cx) -> F) -> T {
    let sim = Sim::new(1);
    sim.links(Link::default().delayed(Duration::from_millis(5), Duration::ZERO));
    let (here, server) = (sim.host("client"), sim.host("server"));
    let met = sim.block_on(async {
        let endpoint = "tcp://server:7".parse().unwrap();
        let bind = server.net().stack(&endpoint, Role::Bind).unwrap();
        let bound = server.net().bind(&bind, &server).await.unwrap().remove(0);
        let cx = server.clone();
        server.spawn_loose(async move {
            let mut listener = bound.listener().unwrap().unwrap();
            let conn = listener.accept().await.unwrap().attach().unwrap();
            serve(conn, cx).await;
        });
        let dial = here.net().stack(&endpoint, Role::Dial).unwrap();
        client(dial, here.clone()).await
    });
    met.unwrap()
}

/// How a conversation ends in which nobody greets.
fn ended(serve: Served) -> (String, Seen, Duration) {
    met(serve, |stack, cx| async move {
        let conn = cx.net().dial(&stack, &cx).await.unwrap().stream().unwrap();
        let began = cx.now();
        let (conn, seen) = watched(conn, &cx);
        let told = ending::end(Some(conn), &seen, Some(CLOSE_PATIENCE), &cx).await;
        (told.unwrap().text, seen.so_far(), cx.now() - began)
    })
}

fn line<'a>(story: &'a Story, about: &str) -> &'a str {
    let mut told = story.told.iter();
    told.find(|told| told.about == about)
        .map_or("", |told| &told.text)
}

#[test]
fn a_server_that_says_a_word_and_closes_was_first() {
    let serve: Served = |mut conn, cx| {
        Box::pin(async move {
            cx.sleep(Duration::from_millis(3)).await;
            conn.write_all(b"220 hello\r\n").await.unwrap();
            conn.shutdown().await.unwrap();
            // The client's end is waited for, so that nothing is reset.
            let _ = conn.read(&mut [0; 16]).await;
        })
    };
    let story = met(serve, |stack, cx| async move {
        let visiting = Visiting {
            probe: false, // the kernel knows nothing of this world
            ..Visiting::default()
        };
        visit(&stack, visiting, &Probe::new(), &cx).await
    })
    .unwrap();
    let close = line(&story, "close");
    assert!(
        close.starts_with("the peer closed first; we followed "),
        "{close}"
    );
    assert_eq!((story.received, story.sent), (11, 0));
    let timing = line(&story, "timing");
    assert_eq!(
        timing,
        "first byte after 13.0 ms, 3.0 ms of it since the connection was open"
    );
    assert_eq!(story.steps.len(), 2, "{:?}", story.steps);
}

#[test]
fn a_server_that_waits_is_closed_first_and_follows() {
    let (close, seen, _) = ended(|mut conn, _| {
        Box::pin(async move {
            while conn.read(&mut [0; 16]).await.unwrap() > 0 {}
            conn.shutdown().await.unwrap();
        })
    });
    assert_eq!(
        close,
        "we closed first, after 50.0 ms of silence; the peer followed 10.0 ms later"
    );
    assert_eq!(seen.first_byte, None);
}

#[test]
fn a_half_that_stays_open_is_told_and_no_failure() {
    let (close, _, took) = ended(|mut conn, cx| {
        Box::pin(async move {
            while conn.read(&mut [0; 16]).await.unwrap() > 0 {}
            cx.sleep(Duration::from_hours(1)).await;
        })
    });
    assert!(
        close.ends_with("; the peer keeps its half open (1.0 s later still)"),
        "{close}"
    );
    assert_eq!(took, Duration::from_millis(1050));
}

#[test]
fn a_reset_instead_of_an_end_is_told_on_whichever_side_it_comes() {
    let (early, ..) = ended(|conn, _| Box::pin(async move { conn.close(Close::Abort) }));
    assert_eq!(
        early,
        "the peer reset the connection instead of closing it, before we closed"
    );
    let (late, ..) = ended(|mut conn, _| {
        Box::pin(async move {
            while conn.read(&mut [0; 16]).await.unwrap() > 0 {}
            conn.close(Close::Abort);
        })
    });
    assert_eq!(
        late,
        "the peer reset the connection instead of closing it, after we closed first"
    );
}

#[test]
fn a_peer_that_never_stops_sending_is_hung_up_on() {
    let (close, seen, _) = ended(|mut conn, _| {
        Box::pin(async move { while conn.write_all(&[b'x'; 4096]).await.is_ok() {} })
    });
    assert!(close.contains("hung up"), "{close}");
    assert!(seen.received < 2 << 20, "{}", seen.received);
}

#[test]
fn a_refusal_keeps_its_steps() {
    let sim = Sim::new(1);
    let client = sim.host("client");
    sim.host("server");
    let told = sim.block_on(async {
        let dial = client
            .net()
            .stack(&"tcp://server:9".parse().unwrap(), Role::Dial)?;
        visit(&dial, Visiting::default(), &Probe::new(), &client).await
    });
    let failure = told.unwrap().unwrap_err();
    assert_eq!(failure.code(), Code::CONNECT_REFUSED);
    assert_eq!(failure.endpoint(), Some("tcp://server:9"));
    let passed = failure.trail().iter().filter(|step| step.failed.is_none());
    assert_eq!(passed.count(), 1);
}

#[test]
fn what_was_wrong_on_the_way_is_a_note_with_its_code() {
    let code = Code::CONNECT_FAMILY_BROKEN;
    let noted = Fact::noted(code, "IPv6 hangs, IPv4 answers", "race");
    let note = remark(&noted).unwrap();
    assert_eq!((note.about, note.code), ("note", Some(code)));
    let story = Story {
        endpoint: "tcp://h:1".to_owned(),
        stack: "tcp://h:1".to_owned(),
        told: vec![note],
        ..Story::default()
    };
    let text = story.plain(100);
    assert!(
        text.contains("note      IPv6 hangs, IPv4 answers [connect.family-broken]  (race)"),
        "{text}"
    );
    assert_eq!(remark(&Fact::Chain(Vec::new())), None);
}
