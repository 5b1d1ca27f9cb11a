//! The TLS rooms at the record layer: whatever a peer sends, in whatever
//! pieces, a handshake with it fails with a code of TLS and nothing panics. The
//! first byte chooses the side we are on, the second how the rest is cut.
#![no_main]

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use libfuzzer_sys::fuzz_target;
use netloom_base::{Role, Stack};
use netloom_transport::conn::{Close, ConnFacts, Io};
use netloom_transport::sim::Sim;
use netloom_transport::socket::Socket;
use netloom_transport::tls::Tls;
use netloom_transport::{Conn, Cx, Layer, Opened};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A world whose clock costs nothing to wait on, and both sides of an endpoint.
struct World {
    sim: Sim,
    cx: Cx,
    tls: Arc<Tls>,
    server: Stack,
    client: Stack,
}

impl World {
    fn new() -> Self {
        let tls = Arc::new(Tls::default());
        let sim = Sim::with_layers(1, vec![tls.clone() as Arc<dyn Layer>]);
        let cx = sim.host("here");
        let stack = |text: &str, role| {
            let endpoint = text.parse().expect("an endpoint");
            cx.net().stack(&endpoint, role).expect("a stack")
        };
        World {
            server: stack("tls://here:1,cert=auto,alpn=netloom", Role::Bind),
            client: stack("tls://there:1,insecure,alpn=netloom", Role::Dial),
            sim,
            cx,
            tls,
        }
    }
}

thread_local! {
    static WORLD: World = World::new();
}

fuzz_target!(|input: &[u8]| {
    let [side, cut, bytes @ ..] = input else {
        return;
    };
    WORLD.with(|world| {
        let conn = Conn::new(Box::new(Script {
            bytes: bytes.to_vec(),
            at: 0,
            cut: usize::from(*cut).max(1),
        }));
        let opened = Opened::Stream(conn);
        let (tls, cx) = (&world.tls, &world.cx);
        let met = world.sim.block_on(async {
            if side % 2 == 0 {
                let (level, stack) = (&world.server.levels[0], &world.server);
                tls.answer(opened, level, stack, cx).await.map(drop)
            } else {
                let (level, stack) = (&world.client.levels[0], &world.client);
                tls.dial(opened, level, stack, cx).await.map(drop)
            }
        });
        // Nobody who did not see our hello can end a handshake.
        let failure = met.expect("it waits for ever").expect_err("a handshake");
        assert!(failure.code().name().starts_with("tls."), "{failure}");
    });
});

/// Says its bytes in pieces and then ends; hears everything.
struct Script {
    bytes: Vec<u8>,
    at: usize,
    cut: usize,
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.bytes.len() - self.at;
        let piece = left.min(self.cut).min(buf.remaining());
        buf.put_slice(&self.bytes[self.at..self.at + piece]);
        self.at += piece;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Io for Script {
    fn facts(&self) -> ConnFacts {
        ConnFacts::default()
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self)
    }

    fn close(self: Box<Self>, _: Close) {}
}
