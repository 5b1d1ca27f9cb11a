//! Real sockets on loopback.

use std::net::UdpSocket as Plain;
use std::sync::Arc;
use std::time::Duration;

use netloom_base::{Failure, Role};

use super::Udp;
use crate::cx::Cx;
use crate::datagrams::{BoundDatagrams, Datagrams, recv, send};
use crate::net::Opened;
use crate::trial;
use crate::{Batch, Outgoing, Peer};

const SOON: Duration = Duration::from_secs(10);

fn world() -> Cx {
    trial::cx(Udp)
}

async fn hold(cx: &Cx, url: &str) -> Result<Vec<Arc<dyn BoundDatagrams>>, Failure> {
    let stack = cx.net().stack(&url.parse().unwrap(), Role::Bind)?;
    cx.net().datagrams(&stack, cx).await
}

async fn held(cx: &Cx, url: &str) -> (Box<dyn Datagrams>, u16) {
    let bound = hold(cx, url).await.unwrap();
    let port = bound[0].endpoint().port().unwrap();
    (bound[0].socket().unwrap().unwrap(), port)
}

async fn dial(cx: &Cx, url: &str) -> Result<Box<dyn Datagrams>, Failure> {
    let stack = cx.net().stack(&url.parse().unwrap(), Role::Dial)?;
    match cx.net().dial(&stack, cx).await? {
        Opened::Datagrams(socket) => Ok(socket),
        other => panic!("udp gave {}", other.kind()),
    }
}

async fn take(cx: &Cx, socket: &mut dyn Datagrams, batch: &mut Batch) {
    let came = cx.timeout(SOON, recv(socket, batch)).await;
    came.expect("nothing came").unwrap();
}

fn ip(peer: &Peer) -> std::net::SocketAddr {
    peer.addr().unwrap()
}

#[tokio::test]
async fn many_come_exactly_as_they_were_sent() {
    let cx = world();
    let (mut server, port) = held(&cx, "udp://127.0.0.1:0,rcvbuf=4MiB").await;
    let mut client = dial(&cx, &format!("udp://127.0.0.1:{port}")).await.unwrap();
    let all: Vec<Vec<u8>> = (0..200_usize)
        .map(|i| vec![i as u8; i * 7 % 1400])
        .collect();
    let run: Vec<Outgoing<'_>> = all.iter().map(|bytes| Outgoing::connected(bytes)).collect();
    send(&mut *client, &run).await.unwrap();
    let mut batch = Batch::new(32, server.room());
    let mut came = Vec::new();
    while came.len() < all.len() {
        take(&cx, &mut *server, &mut batch).await;
        came.extend(batch.iter().map(|(of, bytes)| {
            assert_eq!(of.truncated_from, None);
            bytes.to_vec()
        }));
    }
    assert!(came == all, "they differ");
}

#[tokio::test]
async fn what_is_cut_tells_its_real_length() {
    let cx = world();
    let (mut server, port) = held(&cx, "udp://127.0.0.1:0,buffer=10").await;
    assert_eq!(server.room(), 10);
    let client = Plain::bind("127.0.0.1:0").unwrap();
    client.send_to(&[7; 25], ("127.0.0.1", port)).unwrap();
    client.send_to(&[8; 10], ("127.0.0.1", port)).unwrap();
    let mut batch = Batch::new(4, server.room());
    take(&cx, &mut *server, &mut batch).await;
    let (of, bytes) = batch.iter().next().unwrap();
    assert_eq!((of.truncated_from, bytes), (Some(25), &[7; 10][..]));
    assert_eq!(server.lost().truncated, 1);
}

#[tokio::test]
async fn what_the_kernel_dropped_is_counted() {
    let cx = world();
    let (mut server, port) = held(&cx, "udp://127.0.0.1:0,rcvbuf=4KiB").await;
    let client = Plain::bind("127.0.0.1:0").unwrap();
    let sent = 200_u64;
    for _ in 0..sent {
        client.send_to(&[1; 1000], ("127.0.0.1", port)).unwrap();
    }
    let mut batch = Batch::new(32, server.room());
    let mut came = 0;
    // The count comes with the next datagram that finds room.
    while came + server.lost().dropped < sent {
        take(&cx, &mut *server, &mut batch).await;
        came += batch.len() as u64;
        client.send_to(b"", ("127.0.0.1", port)).unwrap();
        came -= batch.iter().filter(|(_, bytes)| bytes.is_empty()).count() as u64;
    }
    assert!(server.lost().dropped > 100, "{:?}", server.lost());
}

#[tokio::test]
async fn one_socket_serves_both_families_and_answers_from_where_it_was_asked() {
    let cx = world();
    let (mut server, port) = held(&cx, "udp://*:0").await;
    let mut batch = Batch::new(4, 64);
    for (own, to) in [
        ("127.0.0.1:0", "127.0.0.9"),
        ("127.0.0.1:0", "127.0.0.1"),
        ("[::1]:0", "::1"),
    ] {
        let Ok(client) = Plain::bind(own) else {
            continue; // a host without IPv6
        };
        // Connected: the kernel lets in answers from that very address only.
        client.connect((to, port)).unwrap();
        client.send(b"?").unwrap();
        take(&cx, &mut *server, &mut batch).await;
        let (of, _) = batch.iter().next().unwrap();
        let from = ip(&of.from);
        assert_eq!(from, client.local_addr().unwrap(), "no ::ffff: is shown");
        assert_eq!(of.to, Some(to.parse().unwrap()));
        assert!(of.interface.is_some());
        let answer = Outgoing {
            to: Some(&of.from),
            from: of.to,
            bytes: b"!",
        };
        send(&mut *server, &[answer]).await.unwrap();
        client.set_read_timeout(Some(SOON)).unwrap();
        let mut back = [0; 4];
        assert_eq!(client.recv(&mut back).unwrap(), 1);
    }
}

#[tokio::test]
async fn loopback_is_both_families_on_one_port() {
    let cx = world();
    let bound = hold(&cx, "udp://:0").await.unwrap();
    let ports: Vec<_> = bound.iter().map(|b| b.endpoint().port()).collect();
    assert!(ports.windows(2).all(|pair| pair[0] == pair[1]), "{ports:?}");
    assert!(
        bound[0]
            .endpoint()
            .to_string()
            .starts_with("udp://127.0.0.1:")
    );
}

#[tokio::test]
async fn a_taken_port_is_refused_and_our_own_sockets_share_it() {
    let cx = world();
    let bound = hold(&cx, "udp://127.0.0.1:0").await.unwrap();
    let url = bound[0].endpoint().to_string();
    let first = bound[0].socket().unwrap().unwrap();
    let second = bound[0].socket().unwrap().unwrap();
    assert_eq!(first.facts().local, second.facts().local);
    let taken = hold(&cx, &url).await.err().unwrap();
    assert_eq!(taken.code().name(), "bind.in-use.bound");
}

#[tokio::test]
async fn what_the_network_says_wakes_whoever_waits_for_datagrams() {
    let cx = world();
    let closed = Plain::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let mut client = dial(&cx, &format!("udp://127.0.0.1:{port}")).await.unwrap();
    for _ in 0..3 {
        send(&mut *client, &[Outgoing::connected(b"?")])
            .await
            .unwrap();
        let mut batch = Batch::new(1, 64);
        let said = cx.timeout(SOON, recv(&mut *client, &mut batch)).await;
        let failure = said.expect("nobody was woken").unwrap_err();
        assert_eq!(failure.code().name(), "send.refused.no-listener");
        let told = failure
            .facts()
            .iter()
            .any(|fact| fact.to_string().contains("ICMP 3/3"));
        assert!(told, "{:?}", failure.facts());
    }
}

#[tokio::test]
async fn the_second_send_is_told_of_the_first() {
    let cx = world();
    let closed = Plain::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let mut client = dial(&cx, &format!("udp://127.0.0.1:{port}")).await.unwrap();
    send(&mut *client, &[Outgoing::connected(b"1")])
        .await
        .unwrap();
    // On loopback the answer is there before the call returns.
    let failure = send(&mut *client, &[Outgoing::connected(b"2")])
        .await
        .unwrap_err();
    assert_eq!(failure.code().name(), "send.refused.no-listener");
}

#[tokio::test]
async fn a_dialled_socket_leaves_from_where_it_is_told_to() {
    let cx = world();
    let (mut server, port) = held(&cx, "udp://127.0.0.1:0").await;
    let url = format!("udp://127.0.0.1:{port},source=127.0.0.77,ttl=3,dscp=46,df");
    let mut client = dial(&cx, &url).await.unwrap();
    send(&mut *client, &[Outgoing::connected(b"x")])
        .await
        .unwrap();
    let mut batch = Batch::new(1, 64);
    take(&cx, &mut *server, &mut batch).await;
    let (of, _) = batch.iter().next().unwrap();
    assert_eq!(ip(&of.from).ip().to_string(), "127.0.0.77");
}

#[tokio::test]
async fn an_interface_that_is_not_there_is_told() {
    let cx = world();
    let no = hold(&cx, "udp://239.1.2.3:0,interface=nope0")
        .await
        .err()
        .unwrap();
    assert_eq!(no.code().name(), "bind.no-device");
}
