//! `forward` between streams and datagrams on a simulated network: whole
//! messages, or none.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use netloom_app::kind;
use netloom_base::{Code, Failure, Role, Settings};
use netloom_protocol::{Answering, answering};
use netloom_transport::datagrams::{recv, send};
use netloom_transport::sim::{Link, Sim};
use netloom_transport::{Batch, Conn, Cx, Datagrams, Opened, Outgoing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::forward::{SECOND, target, to};

/// Serves `kind` at `at` on the host `name`, carried as `carried` says.
async fn serve(
    sim: &Sim,
    name: &str,
    kind_name: &str,
    own: &Settings,
    at: &str,
    carried: &Settings,
) -> Cx {
    serve_and_tell(sim, name, kind_name, own, at, carried)
        .await
        .0
}

/// How conversations of a service ended, oldest first.
type Ends = Arc<Mutex<Vec<Result<(), Failure>>>>;

/// The same, with how its conversations over streams end.
async fn serve_and_tell(
    sim: &Sim,
    name: &str,
    kind_name: &str,
    own: &Settings,
    at: &str,
    carried: &Settings,
) -> (Cx, Ends) {
    let ends = Ends::default();
    let cx = sim.host(name);
    let offer = kind(kind_name).unwrap().build(own, cx.net()).unwrap();
    let stack = cx.net().stack(&at.parse().unwrap(), Role::Bind).unwrap();
    match answering(&stack, &offer, carried).unwrap() {
        Answering::Datagrams(service) => {
            for held in cx.net().datagrams(&stack, &cx).await.unwrap() {
                let socket = held.socket().unwrap().unwrap();
                let (service, there) = (service.clone(), cx.clone());
                cx.spawn(async move { service.serve(socket, &there).await.unwrap() });
            }
        }
        Answering::Conns(service) => {
            let bound = cx.net().bind(&stack, &cx).await.unwrap().remove(0);
            let mut listener = bound.listener().unwrap().unwrap();
            let (there, told) = (cx.clone(), ends.clone());
            cx.spawn(async move {
                let _bound = bound;
                while let Ok(accepted) = listener.accept().await {
                    let (service, cx) = (service.clone(), there.clone());
                    let told = told.clone();
                    there.spawn(async move {
                        let ended = service.serve(accepted.attach().unwrap(), &cx).await;
                        told.lock().unwrap().push(ended);
                    });
                }
            });
        }
    }
    (cx, ends)
}

fn framing(word: &str) -> Settings {
    Settings::new().with("framing", word)
}

async fn open(cx: &Cx, at: &str) -> Opened {
    let stack = cx.net().stack(&at.parse().unwrap(), Role::Dial).unwrap();
    cx.net().dial(&stack, cx).await.unwrap()
}

#[test]
fn messages_of_a_stream_become_datagrams_and_back() {
    let sim = Sim::new(9);
    let cx = sim.host("client");
    sim.block_on(async {
        let none = Settings::new();
        serve(&sim, "a", "echo", &none, "udp://a:9", &none).await;
        let targets = to(&["udp://a:9"]);
        serve(
            &sim,
            "server",
            "forward",
            &targets,
            "tcp://server:7",
            &framing("len16"),
        )
        .await;
        let mut conn = open(&cx, "tcp://server:7").await.stream().unwrap();
        for message in [&b"one"[..], &[7; 1400], b""] {
            let mut framed = (message.len() as u16).to_be_bytes().to_vec();
            framed.extend_from_slice(message);
            conn.write_all(&framed).await.unwrap();
            let mut back = vec![0; framed.len()];
            conn.read_exact(&mut back).await.unwrap();
            assert_eq!(back, framed);
        }
        // The last question is answered, though the client has ended.
        conn.write_all(b"\0\x04last").await.unwrap();
        conn.shutdown().await.unwrap();
        let mut rest = Vec::new();
        conn.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"\0\x04last");
    })
    .unwrap();
}

async fn socket(cx: &Cx, at: &str) -> Box<dyn Datagrams> {
    match open(cx, at).await {
        Opened::Datagrams(socket) => socket,
        other => panic!("{at} gave {}", other.kind()),
    }
}

/// What comes back for `request`, if anything does.
async fn asked(socket: &mut dyn Datagrams, request: &[u8], cx: &Cx) -> Option<Vec<u8>> {
    send(socket, &[Outgoing::connected(request)]).await.unwrap();
    let mut batch = Batch::new(4, 65_535);
    let came = cx.timeout(5 * SECOND, recv(socket, &mut batch)).await;
    came?.ok()?;
    Some(batch.iter().next().unwrap().1.to_vec())
}

#[test]
fn datagrams_become_messages_of_a_stream_for_each_client() {
    let sim = Sim::new(9);
    let (one, other) = (sim.host("one"), sim.host("other"));
    sim.block_on(async {
        let none = Settings::new();
        let lines = framing("lines");
        serve(&sim, "a", "echo", &none, "tcp://a:9", &lines).await;
        let targets = to(&["tcp://a:9"]).with("session-idle", "20s");
        let here = serve(
            &sim,
            "server",
            "forward",
            &targets,
            "udp://server:7",
            &lines,
        )
        .await;
        let mut first = socket(&one, "udp://server:7").await;
        let mut second = socket(&other, "udp://server:7").await;
        for word in [&b"hello"[..], b"again"] {
            assert_eq!(asked(&mut *first, word, &one).await.as_deref(), Some(word));
            assert_eq!(
                asked(&mut *second, word, &other).await.as_deref(),
                Some(word)
            );
        }
        // A stream for each client, until nothing was heard of it for so long.
        assert_eq!(sim.net().streams().len(), 2);
        here.sleep(30 * SECOND).await;
        assert_eq!(sim.net().streams(), []);
        assert_eq!(
            asked(&mut *first, b"back", &one).await.as_deref(),
            Some(&b"back"[..])
        );
        // What no line can hold is dropped, and the next goes on.
        assert_eq!(asked(&mut *first, b"two\nlines", &one).await, None);
        assert_eq!(
            asked(&mut *first, b"one", &one).await.as_deref(),
            Some(&b"one"[..])
        );
    })
    .unwrap();
}

#[test]
fn clients_of_datagrams_are_not_remembered_without_end() {
    let sim = Sim::new(9);
    sim.block_on(async {
        let none = Settings::new();
        let lines = framing("lines");
        serve(&sim, "a", "echo", &none, "tcp://a:9", &lines).await;
        let targets = to(&["tcp://a:9"]).with("max-sessions", "3");
        serve(
            &sim,
            "server",
            "forward",
            &targets,
            "udp://server:7",
            &lines,
        )
        .await;
        let mut answered = 0;
        for i in 0..5 {
            let cx = sim.host(&format!("client{i}"));
            let mut socket = socket(&cx, "udp://server:7").await;
            answered += usize::from(asked(&mut *socket, b"x", &cx).await.is_some());
        }
        assert_eq!((answered, sim.net().streams().len()), (3, 3));
    })
    .unwrap();
}

/// These messages as `len16` tells them apart.
fn framed(messages: &[&[u8]]) -> Vec<u8> {
    let one = |message: &&[u8]| {
        let length = (message.len() as u16).to_be_bytes();
        [&length[..], message].concat()
    };
    messages.iter().flat_map(one).collect()
}

/// How many messages are whole in so many bytes of them, and whether another
/// has begun.
fn whole(messages: &[&[u8]], bytes: usize) -> (usize, bool) {
    let mut end = 0;
    for (count, message) in messages.iter().enumerate() {
        if end + 2 + message.len() > bytes {
            return (count, bytes > end);
        }
        end += 2 + message.len();
    }
    (messages.len(), bytes > end)
}

const MESSAGES: [&[u8]; 3] = [b"one", b"", b"the third"];

/// A client that ends inside a message has said a part of it: what was whole
/// before goes on, and no datagram is made of the rest.
#[test]
fn a_stream_that_ends_at_any_byte_makes_no_datagram_of_a_part() {
    let all = framed(&MESSAGES);
    for cut in 0..=all.len() {
        let sim = Sim::new(cut as u64);
        let cx = sim.host("client");
        // No datagram overtakes another.
        sim.net()
            .links(Link::default().delayed(SECOND / 1000, Duration::ZERO));
        sim.block_on(async {
            let none = Settings::new();
            serve(&sim, "a", "echo", &none, "udp://a:9", &none).await;
            let (targets, len16) = (to(&["udp://a:9"]), framing("len16"));
            let at = "tcp://server:7";
            let (_, ends) = serve_and_tell(&sim, "server", "forward", &targets, at, &len16).await;
            let mut conn = open(&cx, at).await.stream().unwrap();
            conn.write_all(&all[..cut]).await.unwrap();
            conn.shutdown().await.unwrap();
            let mut back = Vec::new();
            let ended = conn.read_to_end(&mut back).await;
            let (count, partial) = whole(&MESSAGES, cut);
            let answers = framed(&MESSAGES[..count]);
            drop(conn);
            cx.sleep(SECOND).await;
            let told = ends.lock().unwrap().remove(0);
            if partial {
                assert!(answers.starts_with(&back), "{cut}: {back:?}");
                assert_eq!(told.unwrap_err().code(), Code::RECV_PARTIAL, "{cut}");
                assert!(ended.is_err(), "{cut}: it looks whole");
            } else {
                assert_eq!((back, ended.is_ok()), (answers, true), "{cut}");
                assert!(told.is_ok(), "{cut}: {told:?}");
            }
            assert_eq!(sim.net().streams(), []);
        })
        .unwrap();
    }
}

/// The stream towards a target is cut at any byte, in either direction: answers
/// are whole, in order, and the next question gets another stream.
#[test]
fn a_stream_to_a_target_that_is_cut_at_any_byte_makes_no_answer_of_a_part() {
    let bytes = framed(&MESSAGES).len();
    for (from, to_host) in [("server", "a"), ("a", "server")] {
        for cut in 0..=bytes + 1 {
            let sim = Sim::new(cut as u64);
            let cx = sim.host("client");
            sim.block_on(async {
                let (none, len16) = (Settings::new(), framing("len16"));
                serve(&sim, "a", "echo", &none, "tcp://a:9", &len16).await;
                let targets = to(&["tcp://a:9"]);
                serve(
                    &sim,
                    "server",
                    "forward",
                    &targets,
                    "udp://server:7",
                    &len16,
                )
                .await;
                sim.net().cut_after(from, to_host, cut as u64);
                let mut socket = socket(&cx, "udp://server:7").await;
                let mut answered = Vec::new();
                for message in MESSAGES {
                    send(&mut *socket, &[Outgoing::connected(message)])
                        .await
                        .unwrap();
                    let mut batch = Batch::new(4, 65_535);
                    let came = cx.timeout(5 * SECOND, recv(&mut *socket, &mut batch)).await;
                    if let Some(Ok(())) = came {
                        answered.extend(batch.iter().map(|(_, bytes)| bytes.to_vec()));
                    }
                }
                // One was lost with the stream at most, and none where it was whole.
                let least = MESSAGES.len() - usize::from(cut <= bytes);
                assert!(answered.len() >= least, "{from} {cut}: {answered:?}");
                let mut left = MESSAGES.iter();
                let known = |answer: &Vec<u8>| left.any(|message| message == answer);
                assert!(answered.iter().all(known), "{from} {cut}: {answered:?}");
            })
            .unwrap();
        }
    }
}

#[test]
fn a_target_that_ends_is_dialled_again_for_the_next_datagram() {
    let sim = Sim::new(9);
    let cx = sim.host("client");
    sim.block_on(async {
        // It answers once, and ends.
        target(&sim, "a", |mut conn: Conn, _| async move {
            let mut asked = [0; 6];
            conn.read_exact(&mut asked).await.unwrap();
            conn.write_all(&asked).await.unwrap();
            conn.shutdown().await.unwrap();
        })
        .await;
        let (targets, lines) = (to(&["tcp://a:9"]), framing("lines"));
        serve(
            &sim,
            "server",
            "forward",
            &targets,
            "udp://server:7",
            &lines,
        )
        .await;
        let mut socket = socket(&cx, "udp://server:7").await;
        for word in [&b"first"[..], b"other", b"third"] {
            assert_eq!(asked(&mut *socket, word, &cx).await.as_deref(), Some(word));
            cx.sleep(SECOND).await;
            assert_eq!(sim.net().streams(), []);
        }
    })
    .unwrap();
}
