use netloom_base::{Code, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Vsock;
use crate::cx::Cx;
use crate::listener::Listener;
use crate::trial;

/// A listener on a free port, and its endpoint; `None` where this kernel has no such sockets.
async fn listen(cx: &Cx) -> Option<(Box<dyn Listener>, u32)> {
    match trial::bind(cx, "vsock:any:0").await {
        Ok(mut bound) => {
            let bound = bound.remove(0);
            let endpoint = bound.endpoint().to_string();
            let port = endpoint.rsplit(':').next().unwrap().parse().unwrap();
            assert_eq!(endpoint, format!("vsock:any:{port}"));
            Some((bound.listener().unwrap().unwrap(), port))
        }
        Err(failure) => {
            assert_eq!(failure.code(), Code::CREATE_FAMILY_UNSUPPORTED);
            eprintln!("skipped: this kernel has no AF_VSOCK");
            None
        }
    }
}

#[tokio::test]
async fn both_directions_and_the_end_of_each() {
    let cx = trial::cx(Vsock);
    let Some((mut listener, port)) = listen(&cx).await else {
        return;
    };
    // A kernel without vsock_loopback has no way to itself.
    let mut dialled = match trial::dial(&cx, &format!("vsock:local:{port}")).await {
        Ok(dialled) => dialled,
        Err(failure) => {
            assert_eq!(failure.stage(), Stage::Connect, "{failure}");
            assert_eq!(failure.trail().len(), 1);
            eprintln!("skipped: no vsock loopback here: {failure}");
            return;
        }
    };
    let mut accepted = listener.accept().await.unwrap().attach().unwrap();
    assert_eq!(
        dialled.facts().peer.unwrap().to_string(),
        format!("vsock:1:{port}")
    );
    let bytes: Vec<u8> = (0u32..200_000).flat_map(u32::to_le_bytes).collect();
    let say = async {
        dialled.write_all(&bytes).await.unwrap();
        dialled.shutdown().await.unwrap();
        let mut back = String::new();
        dialled.read_to_string(&mut back).await.unwrap();
        back
    };
    let hear = async {
        let mut all = Vec::new();
        accepted.read_to_end(&mut all).await.unwrap();
        accepted.write_all(b"done").await.unwrap();
        accepted.shutdown().await.unwrap();
        all
    };
    let (back, all) = tokio::join!(say, hear);
    assert!(all == bytes && back == "done");
}

#[tokio::test]
async fn a_port_that_is_taken() {
    let cx = trial::cx(Vsock);
    let Some((_listener, port)) = listen(&cx).await else {
        return;
    };
    let again = trial::bind(&cx, &format!("vsock:any:{port}")).await;
    assert_eq!(again.err().unwrap().code(), Code::BIND_IN_USE);
}

#[tokio::test]
async fn addresses_that_cannot_be_read() {
    let cx = trial::cx(Vsock);
    for endpoint in [
        "vsock:2",
        "vsock:x:1",
        "vsock:2:x",
        "vsock:any:1",
        "vsock:1:0",
        "vsock:4294967296:1",
    ] {
        let failure = trial::dial(&cx, endpoint).await.err().unwrap();
        assert_eq!(failure.code(), Code::PARSE_ENDPOINT, "{endpoint}");
    }
}
