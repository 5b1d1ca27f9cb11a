//! Leading TLS clients by name, in simulation: the hello cut at every byte, and
//! clients that are slow, silent or gone.

use std::time::Duration;

use netloom_base::{Code, Settings, Value};
use netloom_transport::sim::{Link, Sim};
use netloom_transport::tls::codes;
use netloom_transport::{Close, Conn, Cx};
use netloom_wire::tls::{Hello, NEW_CIPHERS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::served::{Served, dial};

fn hello(name: Option<&str>) -> Vec<u8> {
    let hello = Hello {
        version: 0x0303,
        only_13: true,
        ciphers: NEW_CIPHERS,
        groups: &[29],
        name,
    };
    hello.bytes([7; 32])
}

fn routes(routes: &[&str]) -> Settings {
    let mut settings = Settings::new();
    let list = routes.iter().map(|route| Value::from(*route)).collect();
    settings.push("route", Value::List(list), None);
    settings
}

/// A target that answers what it heard, once its client has ended.
async fn target(cx: &Cx, port: u16) {
    let endpoint = format!("tcp://:{port}").parse().unwrap();
    let stack = cx.net().stack(&endpoint, netloom_base::Role::Bind).unwrap();
    for bound in cx.net().bind(&stack, cx).await.unwrap() {
        let mut listener = bound.listener().unwrap().unwrap();
        let cx = cx.clone();
        cx.clone().spawn_loose(async move {
            let _bound = bound;
            while let Ok(accepted) = listener.accept().await {
                let mut conn = accepted.attach().unwrap();
                cx.spawn_loose(async move {
                    let mut heard = Vec::new();
                    if conn.read_to_end(&mut heard).await.is_ok() {
                        heard.extend(port.to_be_bytes());
                        let _ = conn.write_all(&heard).await;
                    }
                    conn.close(Close::Orderly);
                });
            }
        });
    }
}

async fn through(cx: &Cx, sent: &[u8]) -> (Vec<u8>, Conn) {
    let mut conn = dial(cx).await.unwrap();
    conn.write_all(sent).await.unwrap();
    conn.shutdown().await.unwrap();
    let mut heard = Vec::new();
    conn.read_to_end(&mut heard).await.unwrap();
    (heard, conn)
}

#[test]
fn a_hello_cut_anywhere_leads_to_its_target_with_every_byte() {
    let named = hello(Some("a.b.example"));
    for segment in (1..named.len()).step_by(13).chain([1, 2, 5, 16_384]) {
        let sim = Sim::new(segment as u64);
        sim.links(Link {
            segment,
            ..Link::default()
        });
        let client = sim.host("client");
        sim.block_on(async {
            let settings = routes(&[
                "*.b.example=tcp://localhost:1001",
                "default=tcp://localhost:1002",
            ]);
            let served = Served::start(&sim, "forward", settings).await;
            for port in [1001, 1002] {
                target(&served.cx, port).await;
            }
            for (name, port) in [
                (Some("a.b.example"), 1001u16),
                (Some("b.example"), 1002),
                (None, 1002),
            ] {
                let sent = [&hello(name)[..], b"and more"].concat();
                let (heard, _conn) = through(&client, &sent).await;
                assert_eq!(
                    heard,
                    [&sent[..], &port.to_be_bytes()].concat(),
                    "by {segment}"
                );
            }
            served.stop(&sim).await;
            let ended = served.take_ended();
            // What was read twice counts once.
            let received: Vec<u64> = ended.iter().map(|ended| ended.received).collect();
            assert!(received.contains(&(named.len() as u64 + 8)), "{received:?}");
        })
        .unwrap();
    }
}

#[test]
fn who_is_not_led_is_told_why_and_nobody_waits_for_ever() {
    let good = hello(Some("a.example"));
    let cases: [(&[u8], bool, Code); 6] = [
        (&hello(Some("b.example")), true, codes::UNKNOWN_NAME),
        (&good[..good.len() - 1], true, codes::CLOSED),
        (b"", true, Code::GREET_CLOSED),
        (b"GET / HTTP/1.1\r\n\r\n", true, codes::PEER_SPEAKS_PLAIN),
        (&good[..40], false, Code::GREET_TIMEOUT),
        (b"", false, Code::GREET_TIMEOUT),
    ];
    for (sent, ends, code) in cases {
        let sim = Sim::new(3);
        let client = sim.host("client");
        sim.block_on(async {
            let settings = routes(&["a.example=tcp://localhost:1001"]);
            let served = Served::start(&sim, "forward", settings).await;
            let mut conn = dial(&client).await.unwrap();
            let began = client.now();
            conn.write_all(sent).await.unwrap();
            if ends {
                conn.shutdown().await.unwrap();
            }
            // A reset is an end too.
            let _ = conn.read_to_end(&mut Vec::new()).await;
            let took = client.now() - began;
            assert!(took < Duration::from_secs(12), "{took:?}");
            conn.close(Close::Orderly);
            served.stop(&sim).await;
            let codes: Vec<_> = served
                .take_ended()
                .iter()
                .map(crate::served::Ended::code)
                .collect();
            assert_eq!(codes, [Some(code)]);
        })
        .unwrap();
    }
}

#[test]
fn routes_are_read_with_all_their_mistakes_at_once() {
    let sim = Sim::new(1);
    let cx = sim.cx();
    let build = |list: &[&str]| {
        netloom_app::kind("forward")
            .unwrap()
            .build(&routes(list), cx.net())
    };
    let wrong = build(&[
        "a.example",
        "a.example=",
        "192.0.2.1=tcp://h:1",
        "a..example=tcp://h:1",
        "*.*.example=tcp://h:1",
        "a.example=tcp://h:1-2",
        "a.example=tpc://h:1",
        "good.example=tcp://h:1",
    ]);
    let errors = wrong.map(drop).unwrap_err();
    let told: Vec<_> = errors
        .iter()
        .map(|error| error.value.clone().unwrap())
        .collect();
    assert_eq!(told.len(), 7, "{told:?}");
    let last = errors.last().unwrap();
    assert_eq!(last.suggestion.as_deref(), Some("a.example=tcp://h:1"));
    let offer = build(&["b\u{fc}cher.example=tcp://h:1", "default=tcp://h:2"]).unwrap();
    let leads = offer.leads_to().unwrap();
    assert!(leads.contains("default at tcp://h:2"), "{leads}");
}
