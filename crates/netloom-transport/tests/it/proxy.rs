//! PROXY headers, from the side that sends them to the side that believes them,
//! in simulation: who the client is, what is refused, and that the bytes behind
//! a header are never touched.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::{Code, Event, Failure, Role};
use netloom_transport::proxy::{Proxy, codes};
use netloom_transport::seat::{Deadlines, Seats};
use netloom_transport::sim::{Link, Sim};
use netloom_transport::tls::Tls;
use netloom_transport::{Bound, Conn, ConnFacts, Cx, Events, Guard, Layer, Opened, Origin, Peer};
use netloom_wire::proxy_protocol::{Header, Tlv, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Hosts `lb` and `web`, and nothing but the sizes of packets between them.
fn world(segment: usize) -> Sim {
    let layers: Vec<Arc<dyn Layer>> = vec![Arc::new(Proxy), Arc::new(Tls::default())];
    let sim = Sim::with_layers(7, layers);
    sim.links(Link {
        segment,
        ..Link::default()
    });
    sim.host("lb");
    sim.host("web");
    sim
}

async fn listener(cx: &Cx, endpoint: &str) -> (netloom_base::Stack, Arc<dyn Bound>) {
    let stack = cx
        .net()
        .stack(&endpoint.parse().unwrap(), Role::Bind)
        .unwrap();
    let bound = cx.net().bind(&stack, cx).await.unwrap().remove(0);
    (stack, bound)
}

/// What `web` makes of a connection, its seat given, when `lb` does `ask`.
async fn answered<T>(
    sim: &Sim,
    serve: &str,
    ask: impl AsyncFnOnce(Cx) -> T,
) -> (Result<Conn, Failure>, T) {
    let (lb, web) = (sim.host("lb"), sim.host("web"));
    let (stack, bound) = listener(&web, serve).await;
    let mut listener = bound.listener().unwrap().unwrap();
    let answering = async {
        let conn = listener.accept().await?.attach()?;
        web.net().answer(&stack, conn, &web).await?.stream()
    };
    tokio::join!(answering, ask(lb))
}

async fn dial(cx: &Cx, endpoint: &str) -> Result<Conn, Failure> {
    let stack = cx.net().stack(&endpoint.parse().unwrap(), Role::Dial)?;
    cx.net().dial(&stack, cx).await.and_then(Opened::stream)
}

/// Sends these bytes, as they are, and ends.
fn raw(bytes: Vec<u8>) -> impl AsyncFnOnce(Cx) -> Conn {
    async move |cx: Cx| {
        let mut conn = dial(&cx, "tcp://web:80").await.unwrap();
        // Whoever is refused at once resets; that is looked at on the other side.
        let _ = conn.write_all(&bytes).await;
        let _ = conn.shutdown().await;
        conn
    }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn client() -> Origin {
    Origin {
        client: ConnFacts {
            peer: Some(Peer::Ip(addr("203.0.113.7:5000"))),
            local: Some(Peer::Ip(addr("198.51.100.1:443"))),
        },
        server_name: Some("a.example".into()),
        alpn: Some((*b"h2").into()),
    }
}

const TRUSTING: &str = "proxy+tcp://web:80,from=any";

#[test]
fn the_client_is_passed_on_in_both_versions() {
    for (version, says_more) in [("1", false), ("2", true), ("2,checksum", true)] {
        let sim = world(3);
        sim.block_on(async {
            let (met, dialled) = answered(&sim, TRUSTING, async |cx: Cx| {
                let cx = cx.on_behalf_of(client());
                let endpoint = format!("proxy+tcp://web:80,version={version}");
                let mut conn = dial(&cx, &endpoint).await.unwrap();
                conn.write_all(b"hello").await.unwrap();
                conn
            })
            .await;
            let mut conn = met.unwrap();
            let facts = conn.facts();
            assert_eq!(facts.peer, client().client.peer);
            assert_eq!(facts.local, client().client.local);
            assert_eq!(conn.server_name(), says_more.then_some("a.example"));
            assert_eq!(conn.alpn(), says_more.then_some(&b"h2"[..]));
            let mut hello = [0; 5];
            conn.read_exact(&mut hello).await.unwrap();
            assert_eq!(&hello, b"hello");
            // Both who came and for whom is in the trail.
            let trail = conn.trail().last().unwrap().to.clone();
            assert!(
                trail.contains("203.0.113.7:5000") && trail.contains("10.0.0."),
                "{trail}"
            );
            let sent = dialled.trail().last().unwrap().to.clone();
            assert!(sent.contains("203.0.113.7:5000"), "{sent}");
        })
        .unwrap();
    }
}

#[test]
fn who_dials_for_itself_says_so() {
    for version in ["1", "2"] {
        let sim = world(99);
        sim.block_on(async {
            let (met, dialled) = answered(&sim, TRUSTING, async |cx: Cx| {
                dial(&cx, &format!("proxy+tcp://web:80,version={version}"))
                    .await
                    .unwrap()
            })
            .await;
            assert_eq!(met.unwrap().facts().peer, dialled.facts().local);
        })
        .unwrap();
    }
}

#[test]
fn a_client_without_an_address_has_none_made_up() {
    let sim = world(99);
    sim.block_on(async {
        let unix = Origin {
            client: ConnFacts {
                peer: Some(Peer::Named("unix:pid 7 uid 0".into())),
                local: None,
            },
            ..Origin::default()
        };
        let (met, dialled) = answered(&sim, TRUSTING, async |cx: Cx| {
            dial(&cx.on_behalf_of(unix), "proxy+tcp://web:80")
                .await
                .unwrap()
        })
        .await;
        assert_eq!(met.unwrap().facts().peer, dialled.facts().local);
    })
    .unwrap();
}

#[test]
fn the_client_is_known_beneath_tls() {
    let sim = world(1000);
    sim.block_on(async {
        let serve = "tls+proxy+tcp://web:443,cert=auto,from=any,alpn=h2";
        let (met, dialled) = answered(&sim, serve, async |cx: Cx| {
            let cx = cx.on_behalf_of(client());
            dial(
                &cx,
                "tls+proxy+tcp://web:443,insecure,sni=b.example,alpn=h2",
            )
            .await
            .unwrap()
        })
        .await;
        let conn = met.unwrap();
        // The client's address is the header's, the name is that of the nearer TLS.
        let origin = conn.origin();
        assert_eq!(origin.client.peer, client().client.peer);
        assert_eq!(origin.server_name.as_deref(), Some("b.example"));
        assert_eq!(origin.alpn.as_deref(), Some(&b"h2"[..]));
        drop(dialled);
    })
    .unwrap();
}

#[test]
fn nothing_behind_a_header_is_taken_however_it_is_cut() {
    let mut v2 = Header::of(
        Version::V2,
        addr("203.0.113.7:5000"),
        addr("198.51.100.1:443"),
    );
    v2.tlvs = vec![Tlv::Noop(9), Tlv::Checksum(0)];
    let v1 = Header {
        version: Version::V1,
        ..v2.clone()
    };
    for header in [v1, v2] {
        let header = header.bytes().unwrap();
        // A second header is what the client says, and nobody's business here.
        let second = Header::of(Version::V1, addr("6.6.6.6:6"), addr("6.6.6.6:6"));
        let rest = [&second.bytes().unwrap()[..], b"data"].concat();
        for segment in 1..=header.len() + 1 {
            let sim = world(segment);
            let stream = [&header[..], &rest].concat();
            sim.block_on(async {
                let (met, _) = answered(&sim, TRUSTING, raw(stream)).await;
                let mut conn = met.unwrap();
                assert_eq!(conn.facts().peer, client().client.peer, "by {segment}");
                let mut came = Vec::new();
                conn.read_to_end(&mut came).await.unwrap();
                assert_eq!(came, rest, "by {segment}");
            })
            .unwrap();
        }
    }
}

#[test]
fn whoever_is_not_named_is_reset_and_counted_without_being_read() {
    let sim = world(99);
    sim.block_on(async {
        for serve in [
            "proxy+tcp://web:80",
            "proxy+tcp://web:80,from=192.0.2.0%2F24",
        ] {
            let (lb, web) = (sim.host("lb"), sim.host("web"));
            let (stack, bound) = listener(&web, serve).await;
            let mut listener = bound.listener().unwrap().unwrap();
            let guard = Guard::new(8, 8);
            let seats = Seats::new(Deadlines::default());
            let spoof = Header::of(Version::V2, addr("127.0.0.1:1"), addr("127.0.0.1:2"));
            let asking = raw([&spoof.bytes().unwrap()[..], b"let me in"].concat());
            let answering = async {
                let seat = seats.take(guard.try_permit());
                let conn = listener.accept().await.unwrap().attach().unwrap();
                let conn = conn.seated(seat);
                web.net()
                    .answer(&stack, conn, &web)
                    .await
                    .map(|_| ())
                    .unwrap_err()
            };
            let (failure, mut lb) = tokio::join!(answering, asking(lb));
            assert_eq!(failure.code(), codes::HEADER_UNTRUSTED);
            assert_eq!(guard.take_turned_away(), [("from", 1)]);
            assert!(guard.take_turned_away().is_empty());
            let error = lb.read(&mut [0; 9]).await.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    })
    .unwrap();
}

#[test]
fn what_is_no_header_has_its_code_and_its_first_bytes() {
    let v2 = b"\r\n\r\n\0\r\nQUIT\n";
    let longest = [&v2[..], b"\x21\x11\xff\xff", &vec![0; 65_535]].concat();
    for (sent, code) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], codes::HEADER_MISSING),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaa",
            codes::HEADER_MISSING,
        ),
        (b"PROXIES", codes::HEADER_MISSING),
        (
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\nGET / HTTP/1.1\r\n\r\n",
            codes::HEADER_INVALID,
        ),
        (
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rGET / HTTP/1.1\r\n\r\n",
            codes::HEADER_INVALID,
        ),
        (
            b"PROXY UNKNOWN\n\r\nPROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
            codes::HEADER_INVALID,
        ),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1", codes::HEADER_INVALID),
        (&longest, codes::HEADER_INVALID),
        (&longest[..14], codes::HEADER_INVALID),
        (b"", Code::GREET_CLOSED),
    ] {
        for segment in [1, 16 * 1024] {
            let sim = world(segment);
            sim.block_on(async {
                let (met, _) = answered(&sim, TRUSTING, raw(sent.to_vec())).await;
                let failure = met.map(drop).unwrap_err();
                let shown = sent[..sent.len().min(40)].escape_ascii();
                assert_eq!(failure.code(), code, "{shown}: {failure}");
                let first = failure.facts().iter().find_map(|fact| match fact {
                    Fact::FirstBytes(first) => Some(first.len()),
                    _ => None,
                });
                assert_eq!(first.is_some(), !sent.is_empty());
                assert!(first.is_none_or(|length| length <= 256));
            })
            .unwrap();
        }
    }
}

#[test]
fn a_header_that_drips_is_given_up() {
    let sim = world(1);
    sim.link(
        "lb",
        "web",
        Link {
            segment: 1,
            bandwidth: Some(1),
            ..Link::default()
        },
    );
    sim.block_on(async {
        let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec();
        let (met, _) = answered(&sim, TRUSTING, raw(line)).await;
        let failure = met.map(drop).unwrap_err();
        assert_eq!(failure.code(), Code::GREET_TIMEOUT, "{failure}");
        let waited = failure
            .facts()
            .contains(&Fact::Waited(Duration::from_secs(10)));
        let first = failure
            .facts()
            .iter()
            .any(|f| matches!(f, Fact::FirstBytes(b) if b.starts_with(b"PROXY")));
        assert!(waited && first);
    })
    .unwrap();
}

#[test]
fn a_connection_that_was_passed_on_is_told_of() {
    let sim = world(99);
    sim.block_on(async {
        let (lb, web) = (sim.host("lb"), sim.host("web"));
        let clock: Arc<dyn netloom_transport::Clock> = Arc::new(Stopped);
        let (events, mut told) = Events::queue(8, true, clock);
        let web = web.child(events, netloom_base::Limits::default());
        let (stack, bound) = listener(&web, TRUSTING).await;
        let mut listener = bound.listener().unwrap().unwrap();
        let answering = async {
            let conn = listener.accept().await.unwrap().attach().unwrap();
            web.net()
                .answer(&stack, conn, &web)
                .await
                .map(drop)
                .unwrap();
        };
        let dialling = async {
            let cx = lb.on_behalf_of(client());
            dial(&cx, "proxy+tcp://web:80").await.unwrap()
        };
        let ((), _dialled) = tokio::join!(answering, dialling);
        let Event::Note(record) = told.try_recv().unwrap().event else {
            panic!("it is a record of its own");
        };
        assert_eq!(record.kind(), "passed");
        let shown = format!("{record:?}");
        for part in ["203.0.113.7:5000", "198.51.100.1:443", "a.example"] {
            assert!(shown.contains(part), "{shown}");
        }
    })
    .unwrap();
}

/// A clock that nobody reads.
struct Stopped;

impl netloom_transport::Clock for Stopped {
    fn now(&self) -> netloom_base::Moment {
        netloom_base::Moment::after_start(Duration::ZERO)
    }

    fn wall(&self) -> netloom_base::Timestamp {
        netloom_base::Timestamp::since_epoch(Duration::ZERO)
    }

    fn sleep_until(&self, _: netloom_base::Moment) -> netloom_transport::BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn options_are_read_before_anything_is_opened() {
    let sim = world(99);
    let cx = sim.cx();
    for (endpoint, role) in [
        ("proxy+tcp://web:80,version=3", Role::Dial),
        ("proxy+tcp://:80,from=nobody", Role::Bind),
        ("proxy+tcp://:80?from=10.1.2.3/8", Role::Bind),
        ("proxy+tcp://:80,version=1", Role::Bind),
        ("proxy+tcp://web:80,from=any", Role::Dial),
    ] {
        let failure = cx
            .net()
            .stack(&endpoint.parse().unwrap(), role)
            .map(drop)
            .unwrap_err();
        assert_eq!(failure.code(), Code::PARSE_ENDPOINT, "{endpoint}");
    }
    for endpoint in [
        "proxy://:80",
        "proxy+tcp://:80?from=10.0.0.0/8",
        "proxy+tcp://:80?from=10.0.0.0/8,192.0.2.1&from=2001:db8::/32",
        "proxy+tcp://:80,from=10.0.0.0%2F8,from=192.0.2.1",
        "tls+proxy+tcp://:80,cert=auto,from=any",
    ] {
        let stack = cx.net().stack(&endpoint.parse().unwrap(), Role::Bind);
        assert!(stack.is_ok(), "{endpoint}");
    }
}
