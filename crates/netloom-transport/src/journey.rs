//! How a connection leaves its core, and arrives on another.

use netloom_base::{Failure, Stage};

use crate::conn::Conn;
use crate::listener::Accepted;
use crate::socket::RawSocket;

/// A connection on no reactor: it may cross to another core.
pub(crate) struct Travelling {
    raw: RawSocket,
    /// All of it but what carries its bytes.
    conn: Conn,
}

impl Travelling {
    /// Puts it on the reactor of the current runtime.
    pub(crate) fn arrive(self) -> Result<Conn, Failure> {
        match self.raw.attach() {
            Ok(socket) => Ok(self.conn.carried_by(Box::new(socket))),
            Err(error) => Err(Failure::from_io(Stage::Create, error)),
        }
    }
}

/// Whether a connection left its reactor.
pub(crate) enum Journey {
    Away(Travelling),
    /// It cannot be taken off it.
    Here(Conn),
}

impl Conn {
    /// Leaves this core, when [`Conn::notice`] said [`Move`](crate::Notice::Move) and
    /// nothing is in flight. After `None` the service returns; it will be
    /// called again with the same connection on another core. A connection
    /// that cannot be taken off its reactor comes back.
    pub fn depart(self) -> Result<Option<Conn>, Failure> {
        let Some(seat) = self.seat().cloned() else {
            return Ok(Some(self));
        };
        match self.travel()? {
            Journey::Away(gone) => {
                seat.put_departure(Accepted::returning(gone.raw, gone.conn.id()));
                Ok(None)
            }
            Journey::Here(conn) => Ok(Some(conn)),
        }
    }

    /// Takes it off its reactor, where nothing is in flight.
    pub(crate) fn travel(self) -> Result<Journey, Failure> {
        let (io, conn) = self.hollow();
        match io.into_socket() {
            Ok(socket) => {
                let raw = socket
                    .into_raw()
                    .map_err(|error| Failure::from_io(Stage::Close, error))?;
                Ok(Journey::Away(Travelling { raw, conn }))
            }
            Err(io) => Ok(Journey::Here(conn.carried_by(io))),
        }
    }
}
