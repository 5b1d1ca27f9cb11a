//! Messages over streams that are cut at every byte, end at every byte, stand
//! still, and are given up and taken up again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use netloom_base::failure::{Fact, FrameTrouble};
use netloom_base::{Code, Failure, Role, Settings};
use netloom_protocol::{
    Answer, Framed, Framing, LONGEST_MESSAGE, MessageService, Offer, PROTOCOLS, Protocol,
    WithFraming, answering, each_message,
};
use netloom_transport::sim::{Link, Sim};
use netloom_transport::{BoxFuture, Close, Conn, Cx, Messages};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const AT: &str = "tcp://server:7";

/// What both ends of a new connection are.
async fn pair(sim: &Sim) -> (Conn, Conn) {
    let (here, there) = (sim.host("client"), sim.host("server"));
    let stack = there.net().stack(&AT.parse().unwrap(), Role::Bind).unwrap();
    let bound = there.net().bind(&stack, &there).await.unwrap();
    let mut listener = bound[0].listener().unwrap().unwrap();
    let stack = here.net().stack(&AT.parse().unwrap(), Role::Dial).unwrap();
    let (dialled, accepted) = tokio::join!(here.net().dial(&stack, &here), listener.accept());
    (
        dialled.unwrap().stream().unwrap(),
        accepted.unwrap().attach().unwrap(),
    )
}

/// Messages that `framing` can say.
fn messages(framing: Framing) -> Vec<Vec<u8>> {
    let said: &[&[u8]] = match framing {
        Framing::Json => &[b"{\"a\":[1,2]}", b"17", b"\"two words\""],
        Framing::MsgPack => &[b"\x82\xa1a\x92\x01\x02\xa1b\xc3", b"\x11", b"\xa9two words"],
        _ => &[b"hello, world", b"", b"x"],
    };
    said.iter().map(|message| message.to_vec()).collect()
}

fn stream(framing: Framing) -> Vec<u8> {
    let mut stream = Vec::new();
    for message in messages(framing) {
        framing.frame(&message).unwrap().write_to(&mut stream);
    }
    stream
}

/// Every framing that has borders.
fn bordered() -> impl Iterator<Item = Framing> {
    Framing::ALL
        .into_iter()
        .filter(|framing| *framing != Framing::None)
}

async fn all(framed: &mut Framed) -> (Vec<Vec<u8>>, Result<(), Failure>) {
    let mut seen = Vec::new();
    loop {
        match framed.recv().await {
            Ok(Some(message)) => seen.push(message),
            Ok(None) => return (seen, Ok(())),
            Err(failure) => return (seen, Err(failure)),
        }
    }
}

#[test]
fn a_stream_cut_at_any_byte_gives_the_same_messages() {
    for framing in bordered() {
        let stream = stream(framing);
        for cut in 0..=stream.len() {
            let sim = Sim::new(cut as u64);
            sim.block_on(async {
                let (mut client, server) = pair(&sim).await;
                let (head, tail) = stream.split_at(cut);
                let cx = sim.host("client");
                let write = async {
                    client.write_all(head).await.unwrap();
                    cx.sleep(Duration::from_secs(1)).await;
                    // The rest byte by byte, each in a packet of its own.
                    for byte in tail {
                        client.write_all(&[*byte]).await.unwrap();
                        cx.sleep(Duration::from_millis(10)).await;
                    }
                    client.shutdown().await.unwrap();
                };
                let mut framed = server.framed(framing);
                let ((seen, end), ()) = tokio::join!(all(&mut framed), write);
                assert!(end.is_ok(), "{framing} cut at {cut}: {end:?}");
                assert_eq!(seen, messages(framing), "{framing} cut at {cut}");
            })
            .unwrap();
        }
    }
}

#[test]
fn a_stream_that_ends_at_any_byte_is_whole_or_partial() {
    for framing in bordered() {
        let stream = stream(framing);
        let mut borders = vec![0];
        for message in messages(framing) {
            borders.push(borders.last().unwrap() + framing.frame(&message).unwrap().len());
        }
        for end in 0..=stream.len() {
            let sim = Sim::new(end as u64);
            sim.block_on(async {
                let (mut client, server) = pair(&sim).await;
                client.write_all(&stream[..end]).await.unwrap();
                client.shutdown().await.unwrap();
                let mut framed = server.framed(framing);
                let (seen, ended) = all(&mut framed).await;
                let whole = borders.iter().filter(|border| **border <= end).count() - 1;
                assert_eq!(seen, messages(framing)[..whole], "{framing} ended at {end}");
                if borders.contains(&end) {
                    assert!(ended.is_ok(), "{framing} ended at {end}: {ended:?}");
                    return;
                }
                let failure = ended.unwrap_err();
                assert_eq!(
                    failure.code(),
                    Code::RECV_PARTIAL,
                    "{framing} ended at {end}"
                );
                let frame = frame_of(&failure);
                assert_eq!(
                    (frame.before, frame.framing),
                    (whole as u64, framing.name())
                );
                let FrameTrouble::Cut {
                    have,
                    want,
                    in_header,
                } = frame.trouble
                else {
                    panic!("{:?}", frame.trouble);
                };
                let of_frame = (end - borders[whole]) as u64;
                assert!(have <= of_frame);
                let size = messages(framing)[whole].len() as u64;
                if framing.longest().is_some() && !in_header {
                    assert_eq!(want, Some(size), "{framing} ended at {end}");
                }
                // Asked again, it says the same.
                assert_eq!(framed.recv().await.unwrap_err().code(), Code::RECV_PARTIAL);
            })
            .unwrap();
        }
    }
}

fn frame_of(failure: &Failure) -> &netloom_base::failure::BadFrame {
    let found = failure.facts().iter().find_map(|fact| match fact {
        Fact::Frame(frame) => Some(&**frame),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn a_receive_that_is_given_up_loses_nothing() {
    let sim = Sim::new(3);
    sim.block_on(async {
        let (mut client, server) = pair(&sim).await;
        let (here, there) = (sim.host("client"), sim.host("server"));
        let write = async {
            for byte in stream(Framing::Len32) {
                client.write_all(&[byte]).await.unwrap();
                here.sleep(Duration::from_millis(100)).await;
            }
            client.shutdown().await.unwrap();
        };
        let read = async {
            let (mut framed, mut seen, mut given_up) =
                (server.framed(Framing::Len32), Vec::new(), 0);
            loop {
                match there.timeout(Duration::from_millis(7), framed.recv()).await {
                    Some(Ok(Some(message))) => seen.push(message),
                    Some(end) => {
                        end.unwrap();
                        return (seen, given_up);
                    }
                    None => given_up += 1,
                }
            }
        };
        let ((seen, given_up), ()) = tokio::join!(read, write);
        assert_eq!(seen, messages(Framing::Len32));
        assert!(given_up > 100, "{given_up}");
    })
    .unwrap();
}

#[test]
fn a_send_that_is_given_up_is_sent_whole() {
    let sim = Sim::new(4);
    sim.block_on(async {
        let (client, server) = pair(&sim).await;
        let cx = sim.host("client");
        let big = vec![7; 600_000];
        let mut framed = client.framed(Framing::Len32);
        // Nobody reads, so it cannot end: what was begun is kept.
        let sent = cx.timeout(Duration::from_secs(5), framed.send(&big)).await;
        assert!(sent.is_none());
        let mut reader = server.framed(Framing::Len32);
        let write = async {
            framed.send(b"next").await.unwrap();
            Box::new(framed).close().await.unwrap();
        };
        let ((seen, end), ()) = tokio::join!(all(&mut reader), write);
        end.unwrap();
        assert_eq!(seen.len(), 2);
        assert!(seen[0] == big && seen[1] == b"next");
    })
    .unwrap();
}

#[test]
fn what_is_too_large_is_refused_by_its_header_alone() {
    for (framing, header, size) in [
        (Framing::Len32, &b"\0\0\x04\x01"[..], Some(1025)),
        (Framing::Varint, b"\x81\x08", Some(1025)),
        (Framing::Netstring, b"1025:", Some(1025)),
        (Framing::MsgPack, b"\xda\x04\x01", Some(1028)),
    ] {
        let sim = Sim::new(5);
        sim.block_on(async {
            let (mut client, server) = pair(&sim).await;
            client.write_all(header).await.unwrap();
            // The client says no more and does not end: the header is enough.
            let failure = server
                .framed(framing)
                .at_most(1024)
                .recv()
                .await
                .unwrap_err();
            assert_eq!(failure.code(), Code::RECV_FRAME_TOO_LARGE, "{framing}");
            let trouble = frame_of(&failure).trouble;
            assert_eq!(
                trouble,
                FrameTrouble::TooLarge { size, limit: 1024 },
                "{framing}"
            );
            drop(client);
        })
        .unwrap();
    }
}

#[test]
fn what_cannot_be_said_leaves_the_stream_as_it_was() {
    let sim = Sim::new(6);
    sim.block_on(async {
        let (client, mut server) = pair(&sim).await;
        let mut framed = client.framed(Framing::Lines);
        framed.send(b"one").await.unwrap();
        let refused = framed.send(b"t\nwo").await.unwrap_err();
        assert_eq!(refused.code(), Code::SEND_UNFRAMEABLE);
        framed.send(b"three").await.unwrap();
        assert_eq!(framed.moved(), (0, 10));
        Box::new(framed).close().await.unwrap();
        let mut got = String::new();
        server.read_to_string(&mut got).await.unwrap();
        assert_eq!(got, "one\nthree\n");
    })
    .unwrap();
}

/// Sends every message back, and a greeting first.
struct Greeter;

impl MessageService for Greeter {
    fn serve<'a>(
        &'a self,
        mut messages: Box<dyn Messages>,
        _: &'a Cx,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            messages.send(b"welcome").await?;
            while let Some(message) = messages.recv().await? {
                messages.send(&message).await?;
            }
            messages.close().await
        })
    }
}

fn raw() -> &'static dyn Protocol {
    *PROTOCOLS
        .iter()
        .find(|protocol| protocol.card().name == "raw")
        .unwrap()
}

#[test]
fn plain_bytes_carry_messages_when_a_framing_is_set() {
    let ended: Arc<Mutex<Vec<Result<(), Code>>>> = Arc::default();
    let offer = Offer::Messages(Arc::new(Greeter));
    let errors = raw().service_for(&offer, &Settings::new()).err().unwrap();
    assert_eq!(
        errors[0].to_string(),
        "plain bytes cannot carry messages without framing (nearest: `--framing lines`)"
    );
    for framing in [Framing::Lines, Framing::Len16, Framing::Netstring] {
        let settings = Settings::new()
            .with("framing", framing.name())
            .with("max-message", "32");
        let service = raw().service_for(&offer, &settings).unwrap();
        let sim = Sim::new(7);
        sim.links(Link::default().delayed(Duration::from_millis(20), Duration::from_millis(5)));
        sim.block_on(async {
            let (client, server) = pair(&sim).await;
            let there = sim.host("server");
            let (told, held) = (ended.clone(), there.clone());
            there.spawn(async move {
                let result = service
                    .serve(server, &held)
                    .await
                    .map_err(|failure| failure.code());
                told.lock().unwrap().push(result);
            });
            let mut client = client.framed(framing);
            assert_eq!(client.recv().await.unwrap().unwrap(), b"welcome");
            client.send(b"one").await.unwrap();
            client.send(b"two").await.unwrap();
            assert_eq!(client.recv().await.unwrap().unwrap(), b"one");
            assert_eq!(client.recv().await.unwrap().unwrap(), b"two");
            client.send(&[b'x'; 33]).await.unwrap();
            let after = client.recv().await;
            assert!(!matches!(after, Ok(Some(_))), "the server gave up");
            there.tasks_done().await;
        })
        .unwrap();
        let last = ended.lock().unwrap().pop();
        assert_eq!(last, Some(Err(Code::RECV_FRAME_TOO_LARGE)), "{framing}");
    }
}

struct Shout;

impl Answer for Shout {
    fn answer<'r>(&'r self, request: &'r [u8], _: &Cx) -> Option<std::borrow::Cow<'r, [u8]>> {
        (!request.is_empty()).then(|| request.to_ascii_uppercase().into())
    }
}

#[test]
fn what_answers_datagrams_answers_messages() {
    let sim = Sim::new(8);
    sim.block_on(async {
        let (client, server) = pair(&sim).await;
        let there = sim.host("server");
        let held = there.clone();
        let service = each_message(Shout);
        there.spawn(async move {
            let framed = server.framed(Framing::Len8).lingering(&held);
            service.serve(Box::new(framed), &held).await.unwrap();
        });
        let mut client = client.framed(Framing::Len8);
        for (asked, told) in [(&b"one"[..], &b"ONE"[..]), (b"two", b"TWO")] {
            client.send(b"").await.unwrap(); // nothing is said to this
            client.send(asked).await.unwrap();
            assert_eq!(client.recv().await.unwrap().unwrap(), told);
        }
        std::future::poll_fn(|task| client.poll_shutdown(task))
            .await
            .unwrap();
        assert_eq!(client.recv().await.unwrap(), None);
        there.tasks_done().await;
    })
    .unwrap();
}

#[test]
fn a_reset_is_told_as_one() {
    let sim = Sim::new(9);
    sim.block_on(async {
        let (mut client, server) = pair(&sim).await;
        client.write_all(b"\0\0\0\x09half").await.unwrap();
        let mut framed = server.framed(Framing::Len32);
        let cx = sim.host("server");
        assert!(
            cx.timeout(Duration::from_secs(1), framed.recv())
                .await
                .is_none()
        );
        client.close(Close::Abort);
        assert_eq!(framed.recv().await.unwrap_err().code(), Code::RECV_RESET);
    })
    .unwrap();
}

#[test]
fn the_limit_is_a_mebibyte_unless_it_is_chosen() {
    let sim = Sim::new(10);
    sim.block_on(async {
        let (client, server) = pair(&sim).await;
        let longest = vec![1; LONGEST_MESSAGE];
        let mut client = client.framed(Framing::Len32);
        let write = async {
            client.send(&longest).await.unwrap();
            // One more byte; the server ends before it has read it all.
            let _ = client.send(&[&longest[..], b"x"].concat()).await;
        };
        let mut server = server.framed(Framing::Len32);
        let read = async {
            assert!(server.recv().await.unwrap().unwrap() == longest);
            let failure = server.recv().await.unwrap_err();
            assert_eq!(failure.code(), Code::RECV_FRAME_TOO_LARGE);
            drop(server);
        };
        tokio::join!(read, write);
    })
    .unwrap();
}

#[test]
fn datagrams_need_no_framing_and_refuse_one() {
    struct Silent;
    impl netloom_protocol::Service for Silent {
        fn serve<'a>(&'a self, _: Conn, _: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
            Box::pin(async { Ok(()) })
        }
    }
    let cx = Sim::new(11).host("server");
    let udp = cx
        .net()
        .stack(&"udp://server:7".parse().unwrap(), Role::Bind)
        .unwrap();
    let tcp = cx.net().stack(&AT.parse().unwrap(), Role::Bind).unwrap();
    let offer = Offer::Bytes(Arc::new(Silent));
    let framed = Settings::new().with("framing", "len16");
    let told = |stack, settings: &Settings| {
        let errors = answering(stack, &offer, settings).unwrap_err();
        (errors[0].key.clone(), errors[0].message.clone())
    };
    let (key, why) = told(&udp, &framed);
    assert_eq!(key, "framing");
    assert_eq!(
        why,
        "`framing` is for streams, and datagrams are messages already"
    );
    // A kind that knows no messages is not forced into them.
    let (key, why) = told(&tcp, &framed);
    assert_eq!(key, "framing");
    assert!(why.contains("leave `framing` out"), "{why}");
    assert!(answering(&tcp, &offer, &Settings::new()).is_ok());
}
