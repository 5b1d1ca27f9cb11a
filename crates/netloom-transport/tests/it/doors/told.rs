//! A layer that only says something first, as the PROXY protocol does: who the
//! client really is. After that the bytes pass unchanged.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use netloom_base::endpoint::Level;
use netloom_base::{
    Address, Card, Code, Failure, Kind, Opens, Scheme, Side, Stack, Stage, settings,
};
use netloom_transport::socket::Socket;
use netloom_transport::{BoxFuture, Close, ConnFacts, Cx, Io, Layer, Opened, Peer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

settings! {
    /// What is told.
    struct ToldSettings {
        /// the client's address
        client: String = String::new(),
    }
}

pub(super) struct Told;

static CARD: Card = Card {
    name: "told",
    summary: "the client's address, then the bytes",
    schemes: &[Scheme {
        name: "told",
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
    dial_keys: ToldSettings::KEYS,
    bind_keys: ToldSettings::KEYS,
    codes: &[],
    opens: Opens::Client,
};

/// The longest header that is read: a client cannot make this side wait for more.
const LONGEST: usize = 107;

impl Layer for Told {
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
            let wrong = |_| Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT);
            let client = ToldSettings::read(&level.settings).map_err(wrong)?.client;
            let header = format!("{client}\n");
            conn.write_all(header.as_bytes())
                .await
                .map_err(|error| conn.failure(Stage::Greet, error))?;
            Ok(Opened::Stream(conn))
        })
    }

    fn answer<'a>(
        &'a self,
        below: Opened,
        _: &'a Level,
        _: &'a Stack,
        _: &'a Cx,
    ) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move {
            let mut conn = below.stream()?;
            let mut header = Vec::new();
            // Byte by byte, so that what follows stays where it is.
            while !header.ends_with(b"\n") && header.len() < LONGEST {
                header.push(
                    conn.read_u8()
                        .await
                        .map_err(|error| conn.failure(Stage::Greet, error))?,
                );
            }
            let peer: Option<SocketAddr> = std::str::from_utf8(&header)
                .ok()
                .and_then(|text| text.trim().parse().ok());
            let Some(peer) = peer else {
                conn.close(Close::Abort);
                return Err(Failure::new(Stage::Greet, Side::Peer, Stage::Greet.other()));
            };
            Ok(Opened::Stream(
                conn.wrap(|below| Box::new(Behind { below, peer })),
            ))
        })
    }
}

/// The same connection with another peer.
struct Behind {
    below: Box<dyn Io>,
    peer: SocketAddr,
}

impl Io for Behind {
    fn facts(&self) -> ConnFacts {
        ConnFacts {
            peer: Some(Peer::Ip(self.peer)),
            ..self.below.facts()
        }
    }

    fn socket_mut(&mut self) -> Option<&mut Socket> {
        self.below.socket_mut() // the bytes pass unchanged
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self) // the socket alone would not know its client
    }

    fn close(self: Box<Self>, how: Close) {
        self.below.close(how);
    }
}

impl AsyncRead for Behind {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.below).poll_read(cx, buf)
    }
}

impl AsyncWrite for Behind {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.below).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.below).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.below).poll_shutdown(cx)
    }
}
