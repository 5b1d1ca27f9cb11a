//! A layer from a stream to a stream, as TLS is one: a handshake, then every
//! byte changed. XOR hides nothing; the shape is what counts.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use netloom_base::endpoint::Level;
use netloom_base::{
    Address, Card, Code, Failure, Kind, Opens, Scheme, Side, Stack, Stage, settings,
};
use netloom_transport::socket::Socket;
use netloom_transport::{BoxFuture, Close, ConnFacts, Cx, Io, Layer, Opened};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

settings! {
    /// What both sides must know.
    struct VeilSettings {
        /// what every byte is changed with
        key: u8 = 1,
    }
}

pub(super) struct Veil;

static CARD: Card = Card {
    name: "veil",
    summary: "bytes that are changed on their way",
    schemes: &[Scheme {
        name: "veil",
        over: &["tcp"],
        default_port: None,
    }],
    address: Address::HostPort,
    owns_path: false,
    owns_query: false,
    needs: Some(Kind::Stream),
    gives: Kind::Stream,
    encrypts: false,
    rfcs: &[],
    dial_keys: VeilSettings::KEYS,
    bind_keys: VeilSettings::KEYS,
    codes: &[],
    opens: Opens::Client,
};

impl Layer for Veil {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn dial<'a>(
        &'a self,
        below: Opened,
        level: &'a Level,
        _: &'a Stack,
        _: &'a Cx,
    ) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move {
            let mut conn = below.stream()?;
            let key = key(level)?;
            conn.write_all(&[key])
                .await
                .map_err(|error| conn.failure(Stage::Tls, error))?;
            Ok(Opened::Stream(conn.wrap(|below| veiled(below, key))))
        })
    }

    fn answer<'a>(
        &'a self,
        below: Opened,
        level: &'a Level,
        _: &'a Stack,
        _: &'a Cx,
    ) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move {
            let mut conn = below.stream()?;
            let theirs = conn
                .read_u8()
                .await
                .map_err(|error| conn.failure(Stage::Tls, error))?;
            if theirs != key(level)? {
                conn.close(Close::Abort);
                return Err(Failure::new(Stage::Tls, Side::Peer, Stage::Tls.other()));
            }
            Ok(Opened::Stream(conn.wrap(|below| veiled(below, theirs))))
        })
    }
}

fn key(level: &Level) -> Result<u8, Failure> {
    let wrong = |_| Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT);
    VeilSettings::read(&level.settings)
        .map(|settings| settings.key)
        .map_err(wrong)
}

/// What `Conn::wrap` puts on.
pub(super) fn veiled(below: Box<dyn Io>, key: u8) -> Box<dyn Io> {
    Box::new(Veiled {
        below,
        key,
        changed: Vec::new(),
    })
}

struct Veiled {
    below: Box<dyn Io>,
    key: u8,
    /// Changed and not yet taken by what is below.
    changed: Vec<u8>,
}

impl Veiled {
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.changed.is_empty() {
            let n = ready!(Pin::new(&mut self.below).poll_write(cx, &self.changed))?;
            self.changed.drain(..n);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Veiled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.below).poll_read(cx, buf))?;
        buf.filled_mut()[before..]
            .iter_mut()
            .for_each(|byte| *byte ^= self.key);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Veiled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.drain(cx))?;
        self.changed = buf.iter().map(|byte| byte ^ self.key).collect();
        // Taken is taken, even when what is below has no room for it now.
        match self.drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(buf.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(cx))?;
        Pin::new(&mut self.below).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(cx))?;
        Pin::new(&mut self.below).poll_shutdown(cx)
    }
}

impl Io for Veiled {
    fn facts(&self) -> ConnFacts {
        self.below.facts()
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self) // the socket alone would be without the veil
    }

    fn close(self: Box<Self>, how: Close) {
        self.below.close(how);
    }
}
