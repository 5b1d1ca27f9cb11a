//! The kinds over datagrams, on the simulated network.

use std::time::Duration;

use netloom_app::kind;
use netloom_base::{Role, Settings};
use netloom_protocol::Answering;
use netloom_transport::datagrams::{recv, send};
use netloom_transport::sim::Sim;
use netloom_transport::{Batch, Cx, Datagrams, Opened, Outgoing};

/// Serves a kind at `udp://server:7`.
async fn serve(sim: &Sim, name: &str, settings: &Settings) {
    let cx = sim.host("server");
    let offer = kind(name).unwrap().build(settings, cx.net()).unwrap();
    let stack = cx
        .net()
        .stack(&"udp://server:7".parse().unwrap(), Role::Bind)
        .unwrap();
    let answering = netloom_protocol::answering(&stack, &offer, &Settings::new()).unwrap();
    let Answering::Datagrams(service) = answering else {
        panic!("{name} gave {answering:?}");
    };
    for held in cx.net().datagrams(&stack, &cx).await.unwrap() {
        let (socket, service, there) =
            (held.socket().unwrap().unwrap(), service.clone(), cx.clone());
        cx.spawn(async move { service.serve(socket, &there).await.unwrap() });
    }
}

/// A socket of another host that talks to it.
async fn dial(cx: &Cx) -> Box<dyn Datagrams> {
    let stack = cx
        .net()
        .stack(&"udp://server:7".parse().unwrap(), Role::Dial)
        .unwrap();
    match cx.net().dial(&stack, cx).await.unwrap() {
        Opened::Datagrams(socket) => socket,
        other => panic!("udp gave {}", other.kind()),
    }
}

/// What comes back for `request`, if anything does.
async fn asked(socket: &mut dyn Datagrams, request: &[u8], cx: &Cx) -> Option<Vec<u8>> {
    send(socket, &[Outgoing::connected(request)]).await.unwrap();
    let mut batch = Batch::new(4, 65_535);
    let came = cx
        .timeout(Duration::from_secs(5), recv(socket, &mut batch))
        .await;
    came.map(Result::unwrap)?;
    let (_, bytes) = batch.iter().next().unwrap();
    Some(bytes.to_vec())
}

/// Runs one kind, and asks it as the host `client`.
fn with<T>(name: &str, settings: &Settings, ask: impl AsyncFnOnce(&Cx) -> T) -> T {
    let sim = Sim::new(7);
    let cx = sim.host("client");
    sim.block_on(async {
        serve(&sim, name, settings).await;
        ask(&cx).await
    })
    .unwrap()
}

#[test]
fn echo_sends_every_datagram_back_as_it_is() {
    with("echo", &Settings::new(), async |cx| {
        let mut socket = dial(cx).await;
        let large = vec![7; 60_000];
        for request in [&b"hello"[..], b"", &large] {
            let back = asked(&mut *socket, request, cx).await;
            assert!(back.as_deref() == Some(request), "{} bytes", request.len());
        }
    });
}

#[test]
fn discard_says_nothing() {
    with("discard", &Settings::new(), async |cx| {
        let mut socket = dial(cx).await;
        assert_eq!(asked(&mut *socket, b"hello", cx).await, None);
    });
}

#[test]
fn reply_says_its_text_and_time_the_time() {
    let text = Settings::new().with("text", "here\\r\\n");
    with("reply", &text, async |cx| {
        let mut socket = dial(cx).await;
        assert_eq!(
            asked(&mut *socket, b"?", cx).await.as_deref(),
            Some(&b"here\r\n"[..])
        );
    });
    with(
        "time",
        &Settings::new().with("format", "time"),
        async |cx| {
            let mut socket = dial(cx).await;
            assert_eq!(
                asked(&mut *socket, b"", cx).await.map(|told| told.len()),
                Some(4)
            );
        },
    );
}

#[test]
fn chargen_answers_with_no_more_than_512_characters() {
    with("chargen", &Settings::new(), async |cx| {
        let mut socket = dial(cx).await;
        let mut lengths = Vec::new();
        for _ in 0..50 {
            lengths.push(asked(&mut *socket, b"x", cx).await.unwrap().len());
        }
        assert!(lengths.iter().all(|len| *len <= 512), "{lengths:?}");
        assert!(lengths.iter().any(|len| *len != lengths[0]), "{lengths:?}");
    });
}

/// Two servers that answer whatever comes would talk to each other for ever
/// over one forged datagram (CERT advisory CA-1996-01).
#[test]
fn a_datagram_that_seems_to_come_from_another_answering_server_is_not_answered() {
    with("echo", &Settings::new(), async |cx| {
        for port in [7, 13, 17, 19, 37, 123] {
            let from = format!("udp://client:{port}");
            let stack = cx.net().stack(&from.parse().unwrap(), Role::Bind).unwrap();
            let held = cx.net().datagrams(&stack, cx).await.unwrap();
            let mut socket = held[0].socket().unwrap().unwrap();
            let server = dial(cx).await.facts().peer.unwrap();
            send(&mut *socket, &[Outgoing::to(&server, b"loop")])
                .await
                .unwrap();
            let mut batch = Batch::new(1, 64);
            let came = cx
                .timeout(Duration::from_secs(5), recv(&mut *socket, &mut batch))
                .await;
            assert!(came.is_none(), "from port {port}");
        }
    });
}

/// A forged sender would get many times what the forger sent.
#[test]
fn a_stranger_gets_no_answer_that_is_much_larger_than_the_question() {
    let text = Settings::new().with("text", "x".repeat(2000));
    with("reply", &text, async |cx| {
        let mut socket = dial(cx).await;
        assert_eq!(asked(&mut *socket, b"?", cx).await, None);
        let long = vec![b'?'; 600];
        assert_eq!(
            asked(&mut *socket, &long, cx).await.map(|told| told.len()),
            Some(2000)
        );
    });
}
