//! Nobody takes more than a turn, and a pair at rest costs little.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::{Carry, Gear, Until, carry};
use crate::conn::{Close, Conn, ConnFacts, Io};
use crate::socket::Socket;

/// Never ends, and takes everything.
struct Endless;

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let rest = buf.remaining();
        buf.initialize_unfilled();
        buf.advance(rest);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Io for Endless {
    fn facts(&self) -> ConnFacts {
        ConnFacts::default()
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self)
    }

    fn close(self: Box<Self>, _: Close) {}
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_pair_that_is_never_done_lets_others_run() {
    let woken = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(woken.clone());
    let mut task = Context::from_waker(&waker);
    let endless = || Conn::new(Box::new(Endless));
    let mut carrying = carry(endless(), endless(), Until::BothEnd);
    let mut before = 0;
    for turn in 1..=4 {
        assert!(Pin::new(&mut carrying).poll(&mut task).is_pending());
        assert!(woken.0.load(Ordering::Relaxed) >= turn, "it goes on");
        let forth = carrying.so_far().forth;
        assert!((1 << 20..2 << 20).contains(&(forth - before)));
        assert_eq!(forth, carrying.so_far().back, "both have their turn");
        before = forth;
    }
    assert_eq!(carrying.gears(), (Gear::Copy, Gear::Copy));
}

#[test]
fn a_pair_at_rest_is_small() {
    assert!(size_of::<Carry>() <= 384, "{}", size_of::<Carry>());
}
