//! A layer from a stream to messages, as WebSocket is one: each message after
//! its length in two bytes.

use netloom_base::endpoint::Level;
use netloom_base::{Address, Card, Code, Failure, Kind, Opens, Scheme, Side, Stack, Stage};
use netloom_transport::{BoxFuture, Conn, ConnFacts, Cx, Layer, Messages, Opened};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(super) struct Framed;

static CARD: Card = Card {
    name: "framed",
    summary: "messages after their length",
    // `framed://` is short for `framed+tcp://`.
    schemes: &[Scheme {
        name: "framed",
        over: &["tcp"],
        default_port: None,
    }],
    address: Address::HostPort,
    owns_path: false,
    owns_query: false,
    needs: Some(Kind::Stream),
    gives: Kind::Messages,
    encrypts: false,
    rfcs: &[],
    dial_keys: &[],
    bind_keys: &[],
    codes: &[],
    opens: Opens::Either,
};

impl Layer for Framed {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn dial<'a>(
        &'a self,
        below: Opened,
        _: &'a Level,
        _: &'a Stack,
        _: &'a Cx,
    ) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move {
            Ok(Opened::Messages(Box::new(Frames {
                conn: below.stream()?,
                got: Vec::new(),
            })))
        })
    }

    fn answer<'a>(
        &'a self,
        below: Opened,
        level: &'a Level,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Opened, Failure>> {
        self.dial(below, level, stack, cx) // both sides speak alike
    }
}

struct Frames {
    conn: Conn,
    /// Received and not yet given out. It outlives a `recv` that is given up.
    got: Vec<u8>,
}

impl Frames {
    fn whole(&mut self) -> Option<Vec<u8>> {
        let length = usize::from(u16::from_be_bytes(*self.got.first_chunk()?));
        let message = self.got.get(2..2 + length)?.to_vec();
        self.got.drain(..2 + length);
        Some(message)
    }
}

impl Messages for Frames {
    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, Failure>> {
        Box::pin(async move {
            loop {
                if let Some(message) = self.whole() {
                    return Ok(Some(message));
                }
                match self.conn.read_buf(&mut self.got).await {
                    Ok(0) if self.got.is_empty() => return Ok(None),
                    Ok(0) => {
                        return Err(Failure::new(Stage::Recv, Side::Peer, Code::RECV_UNEXPECTED));
                    }
                    Ok(_) => {}
                    Err(error) => return Err(self.conn.failure(Stage::Recv, error)),
                }
            }
        })
    }

    fn send<'a>(&'a mut self, message: &'a [u8]) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let too_large = |_| Failure::new(Stage::Send, Side::Us, Code::RECV_FRAME_TOO_LARGE);
            let length = u16::try_from(message.len()).map_err(too_large)?;
            let frame = [&length.to_be_bytes(), message].concat();
            self.conn
                .write_all(&frame)
                .await
                .map_err(|error| self.conn.failure(Stage::Send, error))
        })
    }

    fn close(mut self: Box<Self>) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(async move {
            self.conn
                .shutdown()
                .await
                .map_err(|error| self.conn.failure(Stage::Close, error))
        })
    }

    fn facts(&self) -> ConnFacts {
        self.conn.facts()
    }
}
