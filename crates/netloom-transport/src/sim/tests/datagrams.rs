//! Datagrams: whole, and otherwise without promises.

use std::time::Duration;

use netloom_base::{Code, Failure, Role};

use super::super::{Link, Sim};
use super::open;
use crate::cx::Cx;
use crate::datagrams::{Batch, Datagrams, Outgoing, recv, send};
use crate::net::Opened;

async fn bound(cx: &Cx, endpoint: &str) -> Result<Box<dyn Datagrams>, Failure> {
    let stack = cx.net().stack(&endpoint.parse().unwrap(), Role::Bind)?;
    let held = cx.net().datagrams(&stack, cx).await?;
    Ok(held[0].socket()?.unwrap())
}

async fn say(socket: &mut dyn Datagrams, bytes: &[u8]) -> Result<(), Failure> {
    send(socket, &[Outgoing::connected(bytes)]).await
}

async fn dialled(cx: &Cx, endpoint: &str) -> Box<dyn Datagrams> {
    match open(cx, endpoint).await.unwrap() {
        Opened::Datagrams(datagrams) => datagrams,
        other => panic!("udp gave {}", other.kind()),
    }
}

/// What is left of 1000 numbered datagrams over `link`, in the order of arrival.
fn flood(seed: u64, link: Link) -> Vec<u16> {
    let sim = Sim::new(seed);
    sim.links(link);
    let (a, b) = (sim.host("a"), sim.host("b"));
    sim.block_on(async {
        let mut there = bound(&b, "udp://b:9").await.unwrap();
        let mut here = dialled(&a, "udp://b:9").await;
        for i in 0..1000_u16 {
            say(&mut *here, &i.to_be_bytes()).await.unwrap();
            a.sleep(Duration::from_micros(100)).await;
        }
        let mut got = Vec::new();
        let mut batch = Batch::new(16, 8);
        while let Some(came) = b
            .timeout(Duration::from_secs(1), recv(&mut *there, &mut batch))
            .await
        {
            came.unwrap();
            got.extend(
                batch
                    .iter()
                    .map(|(_, bytes)| u16::from_be_bytes(bytes.try_into().unwrap())),
            );
        }
        got
    })
    .unwrap()
}

#[test]
fn a_good_link_loses_nothing_and_keeps_the_order() {
    let still = Link::default().delayed(Duration::from_millis(5), Duration::ZERO);
    assert_eq!(flood(1, still), (0..1000).collect::<Vec<_>>());
}

#[test]
fn a_bad_link_loses_doubles_and_reorders_by_the_seed() {
    let bad = Link {
        loss: 0.1,
        doubled: 0.1,
        reordered: 0.1,
        ..Link::default()
    };
    let got = flood(1, bad);
    assert_eq!(got, flood(1, bad));
    assert_ne!(got, flood(2, bad));
    let mut once = got.clone();
    once.sort_unstable();
    once.dedup();
    assert!(
        (850..950).contains(&once.len()),
        "{} of 1000 came",
        once.len()
    );
    assert!(
        got.len() > once.len() + 50,
        "{} doubled",
        got.len() - once.len()
    );
    assert!(!got.is_sorted());
}

#[test]
fn borders_are_kept_and_what_does_not_fit_is_told() {
    let sim = Sim::new(1);
    let cx = sim.cx();
    sim.block_on(async {
        let mut there = bound(&cx, "udp://:0").await.unwrap();
        let to = there.facts().local.unwrap();
        let mut here = bound(&cx, "udp://:0").await.unwrap();
        let run = [&b"one"[..], b"", b"three"].map(|bytes| Outgoing::to(&to, bytes));
        send(&mut *here, &run).await.unwrap();
        cx.sleep(Duration::from_millis(1)).await;
        let mut batch = Batch::new(8, 4);
        recv(&mut *there, &mut batch).await.unwrap();
        let got: Vec<_> = batch
            .iter()
            .map(|(of, bytes)| (bytes, of.truncated_from))
            .collect();
        assert_eq!(got, [(&b"one"[..], None), (b"", None), (b"thre", Some(5))]);
        assert_eq!(
            Some(&batch.iter().next().unwrap().0.from),
            here.facts().local.as_ref()
        );
        assert_eq!(there.lost().truncated, 1);
        let large = send(&mut *here, &[Outgoing::to(&to, &vec![0; 65_508])]).await;
        assert!(large.is_err());
        assert!(say(&mut *here, b"to whom").await.is_err());
    })
    .unwrap();
}

#[test]
fn a_connected_socket_hears_that_nobody_is_there() {
    let sim = Sim::new(1);
    let cx = sim.cx();
    sim.block_on(async {
        let mut here = dialled(&cx, "udp://127.0.0.1:9").await;
        say(&mut *here, b"hello").await.unwrap();
        let refused = recv(&mut *here, &mut Batch::new(1, 1)).await.unwrap_err();
        assert_eq!(
            refused.errno().map(|e| e.to_string()),
            Some("ECONNREFUSED".to_owned())
        );
        assert_eq!(refused.code(), Code::SEND_REFUSED);
        let taken = bound(&cx, &format!("udp://{}", addr(&*here)))
            .await
            .map(drop);
        assert_eq!(taken.unwrap_err().code(), Code::BIND_IN_USE);
    })
    .unwrap();
}

fn addr(datagrams: &dyn Datagrams) -> String {
    datagrams.facts().local.unwrap().to_string()
}
