//! Real sockets in a folder of their own.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

use netloom_base::{Failure, Role};

use super::Unixgram;
use crate::cx::Cx;
use crate::datagrams::{BoundDatagrams, Datagrams, recv, send};
use crate::net::Opened;
use crate::trial::{self, Folder};
use crate::{Batch, Outgoing, Peer};

const SOON: Duration = Duration::from_secs(10);

async fn hold(cx: &Cx, url: &str) -> Result<Arc<dyn BoundDatagrams>, Failure> {
    let stack = cx.net().stack(&url.parse().unwrap(), Role::Bind)?;
    Ok(cx.net().datagrams(&stack, cx).await?.remove(0))
}

async fn dial(cx: &Cx, url: &str) -> Result<Box<dyn Datagrams>, Failure> {
    let stack = cx.net().stack(&url.parse().unwrap(), Role::Dial)?;
    match cx.net().dial(&stack, cx).await? {
        Opened::Datagrams(socket) => Ok(socket),
        other => panic!("unixgram gave {}", other.kind()),
    }
}

async fn there_and_back(cx: &Cx, url: &str) {
    let mut server = hold(cx, url).await.unwrap().socket().unwrap().unwrap();
    let mut client = dial(cx, url).await.unwrap();
    send(&mut *client, &[Outgoing::connected(b"ping")])
        .await
        .unwrap();
    let mut batch = Batch::new(4, 64);
    cx.timeout(SOON, recv(&mut *server, &mut batch))
        .await
        .unwrap()
        .unwrap();
    let (of, bytes) = batch.iter().next().unwrap();
    assert_eq!(bytes, b"ping");
    assert_eq!(
        Some(&of.from),
        client.facts().local.as_ref(),
        "it has a name"
    );
    send(&mut *server, &[Outgoing::to(&of.from, b"pong")])
        .await
        .unwrap();
    cx.timeout(SOON, recv(&mut *client, &mut batch))
        .await
        .unwrap()
        .unwrap();
    let (of, bytes) = batch.iter().next().unwrap();
    assert_eq!((bytes, &of.from), (&b"pong"[..], &Peer::Named(url.into())));
}

#[tokio::test]
async fn answers_come_to_the_name_that_the_kernel_chose() {
    let folder = Folder::new("gram-echo");
    let cx = trial::cx(Unixgram);
    there_and_back(&cx, &format!("unixgram:{}", folder.join("s"))).await;
    there_and_back(
        &cx,
        &format!("unixgram:@netloom-gram-{}", std::process::id()),
    )
    .await;
    assert!(!folder.path().join("s").exists(), "the file is removed");
}

#[tokio::test]
async fn a_left_over_file_is_cleared_away_and_a_used_one_is_not() {
    let folder = Folder::new("gram-stale");
    let cx = trial::cx(Unixgram);
    let path = folder.join("s");
    let url = format!("unixgram:{path}");
    drop(UnixDatagram::bind(&path).unwrap());
    let stale = dial(&cx, &url).await.err().unwrap();
    assert_eq!(stale.code().name(), "connect.stale-socket");
    let held = hold(&cx, &format!("{url},mode=600")).await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let taken = hold(&cx, &url).await.err().unwrap();
    assert_eq!(taken.code().name(), "bind.in-use.socket-file");
    drop(held);
    let gone = dial(&cx, &url).await.err().unwrap();
    assert_eq!(gone.code().name(), "connect.no-such-path");
    std::fs::write(&path, "x").unwrap();
    let file = hold(&cx, &url).await.err().unwrap();
    assert_eq!(file.code().name(), "bind.in-use.socket-file");
}

#[tokio::test]
async fn a_streams_socket_is_told_from_one_for_datagrams() {
    let folder = Folder::new("gram-stream");
    let path = folder.join("s");
    let _stream = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let wrong = dial(&trial::cx(Unixgram), &format!("unixgram:{path}"))
        .await
        .err()
        .unwrap();
    assert!(wrong.to_string().contains("a stream's socket"), "{wrong}");
}

/// Whoever answers a client that does not read would wait for ever.
#[tokio::test]
async fn a_client_that_does_not_read_is_left_out_and_one_that_waits_is_woken() {
    let cx = trial::cx(Unixgram);
    let url = format!("unixgram:@netloom-gram-full-{}", std::process::id());
    let held = hold(&cx, &url).await.unwrap();
    let mut server = held.socket().unwrap().unwrap();
    let idle = dial(&cx, &url).await.unwrap();
    let to = idle.facts().local.unwrap();
    let full = loop {
        match cx
            .timeout(SOON, send(&mut *server, &[Outgoing::to(&to, b"x")]))
            .await
            .unwrap()
        {
            Ok(()) => {}
            Err(failure) => break failure,
        }
    };
    assert!(full.may_retry(), "{full}");

    let mut client = dial(&cx, &url).await.unwrap();
    let many = vec![Outgoing::connected(b"y"); 500];
    let mut batch = Batch::new(32, 64);
    let mut came = 0;
    let reading = async {
        while came < many.len() {
            recv(&mut *server, &mut batch).await.unwrap();
            came += batch.len();
        }
    };
    let both = async { tokio::join!(send(&mut *client, &many), reading).0 };
    cx.timeout(SOON, both).await.unwrap().unwrap();
    assert_eq!(came, 500, "none is lost");
}
