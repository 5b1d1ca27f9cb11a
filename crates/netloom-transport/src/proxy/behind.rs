//! A connection whose client is somebody else than who connected.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use netloom_base::failure::Flow;
use netloom_wire::proxy_protocol::Header;
use tokio::io::{AsyncRead, ReadBuf};

use crate::BoxFuture;
use crate::below::writes_to_below;
use crate::conn::{Close, ConnFacts, Io};
use crate::socket::Socket;

/// What a header said of the client.
pub(super) struct Behind {
    facts: ConnFacts,
    authority: Option<Box<str>>,
    alpn: Option<Box<[u8]>>,
}

impl Behind {
    /// `None` where the header said nothing of a client.
    pub(super) fn of(header: &Header, facts: ConnFacts) -> Option<Self> {
        facts.peer.as_ref()?;
        Some(Behind {
            facts,
            authority: header.authority().map(Box::from),
            alpn: header.alpn().map(Box::from),
        })
    }

    pub(super) fn over(self, below: Box<dyn Io>) -> PassedOn {
        PassedOn { below, said: self }
    }
}

/// The same bytes with another peer.
pub(super) struct PassedOn {
    below: Box<dyn Io>,
    said: Behind,
}

impl Io for PassedOn {
    fn facts(&self) -> ConnFacts {
        self.said.facts.clone()
    }

    fn alpn(&self) -> Option<&[u8]> {
        self.said.alpn.as_deref().or_else(|| self.below.alpn())
    }

    fn server_name(&self) -> Option<&str> {
        let said = self.said.authority.as_deref();
        said.or_else(|| self.below.server_name())
    }

    fn encrypts(&self) -> bool {
        self.below.encrypts()
    }

    fn flow(&self) -> Option<Flow> {
        self.below.flow()
    }

    fn gone(&mut self) -> BoxFuture<'_, io::Error> {
        self.below.gone()
    }

    fn ends_by_closing(&self) -> bool {
        self.below.ends_by_closing()
    }

    fn socket_mut(&mut self) -> Option<&mut Socket> {
        self.below.socket_mut() // nothing but the header was read from it
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self) // the socket alone would not know its client
    }

    fn close(self: Box<Self>, how: Close) {
        self.below.close(how);
    }
}

impl AsyncRead for PassedOn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.below).poll_read(cx, buf)
    }
}

writes_to_below!(PassedOn, below);
