//! Runs that go as one message, on real sockets of loopback.

use std::net::UdpSocket as Plain;
use std::os::fd::AsFd;
use std::time::Duration;

use netloom_base::Role;

use super::manner::{Manner, peer};
use super::{Mailbox, Udp, sys};
use crate::cx::Cx;
use crate::datagrams::{Datagrams, LARGEST, recv, send};
use crate::{Batch, Outgoing, trial};

const SOON: Duration = Duration::from_secs(10);

/// Two sockets of ours, each connected to the other.
fn pair() -> (Mailbox, Mailbox) {
    let sockets = [(); 2].map(|()| Plain::bind("127.0.0.1:0").unwrap());
    let places = [0, 1].map(|i: usize| sockets[i].local_addr().unwrap());
    let mut other = places.iter().rev();
    let [a, b] = sockets.map(|socket| {
        let to = *other.next().unwrap();
        socket.connect(to).unwrap();
        socket.set_nonblocking(true).unwrap();
        let manner = Manner {
            local: Some(peer(socket.local_addr().unwrap())),
            connected: Some(peer(to)),
            ..Manner::default()
        };
        Mailbox::new(socket.into(), manner).unwrap()
    });
    (a, b)
}

async fn take(cx: &Cx, socket: &mut dyn Datagrams, count: usize) -> Vec<Vec<u8>> {
    let mut batch = Batch::new(32, LARGEST);
    let mut came = Vec::new();
    while came.len() < count {
        let more = cx.timeout(SOON, recv(socket, &mut batch)).await;
        more.expect("nothing came").unwrap();
        came.extend(batch.iter().map(|(_, bytes)| bytes.to_vec()));
    }
    came
}

/// Sizes such as come: long runs, single ones between them, a shorter last one.
fn mixed() -> Vec<Vec<u8>> {
    let runs = [
        (64, 40),
        (3, 1),
        (1200, 33),
        (1199, 1),
        (0, 2),
        (1200, 16),
        (1, 64),
        (9000, 5),
    ];
    let sizes = runs.iter().flat_map(|(size, count)| vec![*size; *count]);
    let made = sizes.enumerate().map(|(i, size)| {
        let byte = |at: usize| (i * 31 + at * 7) as u8;
        (0..size).map(byte).collect()
    });
    made.collect()
}

#[tokio::test]
async fn long_runs_of_mixed_sizes_arrive_byte_for_byte() {
    let cx = trial::cx(Udp);
    let (mut from, mut to) = pair();
    let all = mixed();
    // In pieces that the receive buffer has room for.
    for part in all.chunks(50) {
        let run: Vec<_> = part
            .iter()
            .map(|bytes| Outgoing::connected(bytes))
            .collect();
        send(&mut from, &run).await.unwrap();
        assert!(take(&cx, &mut to, part.len()).await == part);
    }
    assert_eq!(from.joins_up_to(), super::segments::Joining::ON);
}

#[tokio::test]
async fn whoever_does_not_join_hears_single_datagrams() {
    let (mut from, _) = pair();
    let plain = Plain::bind("127.0.0.1:0").unwrap();
    plain.set_read_timeout(Some(SOON)).unwrap();
    let to = peer(plain.local_addr().unwrap());
    let server = Plain::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let manner = Manner {
        local: from.facts().local,
        ..Manner::default()
    };
    from = Mailbox::new(server.into(), manner).unwrap();
    let bytes: Vec<[u8; 100]> = (0..30).map(|i| [i; 100]).collect();
    let run: Vec<_> = bytes.iter().map(|bytes| Outgoing::to(&to, bytes)).collect();
    send(&mut from, &run).await.unwrap();
    let mut room = [0; 200];
    for bytes in &bytes {
        let len = plain.recv(&mut room).unwrap();
        assert_eq!(&room[..len], bytes);
    }
}

/// A socket that makes no checksums cannot have the kernel make the parts
/// (udp(7)), and refuses with EINVAL; a device may refuse with EIO.
#[tokio::test]
async fn what_the_kernel_refuses_together_goes_singly() {
    let cx = trial::cx(Udp);
    let (mut from, mut to) = pair();
    sys::set(
        from.socket().as_fd(),
        libc::SOL_SOCKET,
        libc::SO_NO_CHECK,
        1,
    )
    .unwrap();
    for size in [500, 100] {
        let all: Vec<Vec<u8>> = (0..40).map(|i| vec![i; size]).collect();
        let run: Vec<_> = all.iter().map(|bytes| Outgoing::connected(bytes)).collect();
        send(&mut from, &run).await.unwrap();
        assert!(take(&cx, &mut to, all.len()).await == all);
    }
    let shorter = from.joins_up_to();
    assert_ne!(shorter, super::segments::Joining::ON, "it is remembered");
}

#[tokio::test]
async fn shards_share_the_peers_from_the_beginning() {
    let cx = trial::cx(Udp);
    let url = "udp://127.0.0.1:0".parse().unwrap();
    let stack = cx.net().stack(&url, Role::Bind).unwrap();
    let held = cx.net().datagrams(&stack, &cx).await.unwrap().remove(0);
    held.share_among(4).unwrap();
    let to = ("127.0.0.1", held.endpoint().port().unwrap());
    // Before anybody serves them.
    let clients: Vec<Plain> = (0..64)
        .map(|_| Plain::bind("127.0.0.1:0").unwrap())
        .collect();
    for client in &clients {
        client.send_to(b"x", to).unwrap();
    }
    let mut shards = Vec::new();
    for _ in 0..4 {
        shards.push(held.socket().unwrap().unwrap());
    }
    for client in &clients {
        client.send_to(b"y", to).unwrap();
    }
    let mut batch = Batch::new(32, 64);
    let mut all = 0;
    for shard in &mut shards {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        while let Some(came) = cx
            .timeout(Duration::ZERO, recv(&mut **shard, &mut batch))
            .await
        {
            came.unwrap();
            for (of, bytes) in batch.iter() {
                let whose = if bytes == b"x" {
                    &mut first
                } else {
                    &mut second
                };
                whose.push(of.from.clone());
            }
        }
        assert_eq!(first, second, "who spoke to it goes on to do so");
        all += first.len();
    }
    assert_eq!(all, clients.len());
}
