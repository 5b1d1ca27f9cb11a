//! Where connections come from.

use std::fmt;
use std::net::IpAddr;

use netloom_base::{Endpoint, Failure, Stage};

use crate::BoxFuture;
use crate::conn::{Conn, Io, Peer};
use crate::guard::Permit;
use crate::socket::RawSocket;

/// An address that is held: the kernel queues connections for it.
pub trait Bound: Send + Sync {
    /// The address with its real port.
    fn endpoint(&self) -> Endpoint;

    /// One more listener on this address for the current runtime. A transport
    /// that cannot share an address gives one and then `None`.
    ///
    /// A listener is not closed while its address stays in use elsewhere:
    /// the connections in its queue would be reset.
    fn listener(&self) -> Result<Option<Box<dyn Listener>>, Failure>;

    /// How to reach it with a tool that many have.
    fn try_with(&self) -> Option<String> {
        None
    }
}

/// Takes connections, one at a time.
pub trait Listener: Send {
    /// The next connection, without any layer crossed. Cancel-safe: dropping
    /// the future loses no connection.
    fn accept(&mut self) -> BoxFuture<'_, Result<Accepted, Failure>>;
}

/// A connection nobody has read from yet. It belongs to no reactor and may
/// cross to another core.
pub struct Accepted {
    raw: Raw,
    from: Peer,
    permit: Option<Permit>,
    id: Option<u64>,
}

enum Raw {
    Socket(RawSocket),
    Io(Box<dyn Io>),
}

impl Accepted {
    /// A kernel socket.
    pub fn socket(raw: RawSocket, from: Peer) -> Self {
        Accepted {
            raw: Raw::Socket(raw),
            from,
            permit: None,
            id: None,
        }
    }

    /// A carrier that needs no reactor: a simulated connection, a pipe.
    pub fn io(io: Box<dyn Io>, from: Peer) -> Self {
        Accepted {
            raw: Raw::Io(io),
            from,
            permit: None,
            id: None,
        }
    }

    /// A connection on its way to another core; it keeps its number.
    pub(crate) fn returning(raw: RawSocket, id: u64) -> Self {
        Accepted {
            raw: Raw::Socket(raw),
            from: Peer::Named("".into()),
            permit: None,
            id: Some(id),
        }
    }

    /// Whether it was served on another core before.
    pub fn has_moved(&self) -> bool {
        self.id.is_some()
    }

    /// Who came.
    pub fn from(&self) -> &Peer {
        &self.from
    }

    /// The address to count it under.
    pub fn source(&self) -> Option<IpAddr> {
        self.from.ip()
    }

    /// Hands it the permit that was taken before it was accepted.
    pub fn with_permit(mut self, permit: Permit) -> Self {
        self.permit = Some(permit);
        self
    }

    /// The permit, to be kept in the connection's seat.
    pub fn take_permit(&mut self) -> Option<Permit> {
        self.permit.take()
    }

    /// Puts it on the reactor of the current runtime.
    pub fn attach(self) -> Result<Conn, Failure> {
        let conn = match self.raw {
            Raw::Socket(raw) => {
                let socket = raw
                    .attach()
                    .map_err(|error| Failure::from_io(Stage::Accept, error))?;
                Conn::new(Box::new(socket))
            }
            Raw::Io(io) => Conn::new(io),
        };
        Ok(match self.id {
            Some(id) => conn.numbered(id),
            None => conn,
        })
    }

    /// Turns it away: the peer sees a reset.
    pub fn refuse(self) {
        match self.raw {
            Raw::Socket(raw) => raw.reset(),
            Raw::Io(io) => io.close(crate::Close::Abort),
        }
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a connection from {}", self.from)
    }
}
