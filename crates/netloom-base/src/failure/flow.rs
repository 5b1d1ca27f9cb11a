//! What the kernel counted of a connection at the moment it was given up.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::fact::Spoken;

/// A TCP connection that still lived (tcp(7), `TCP_INFO`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// Bytes that came and were not read by this program.
    pub unread: u32,
    /// Bytes that were sent and not acknowledged, or wait to be sent.
    pub unsent: u32,
    /// The window that the peer offers, in bytes; `None` where the kernel does not say.
    pub window: Option<u32>,
    /// How often segments were sent again.
    pub again: u32,
    /// How long ago data last came. Before any did, since the connection was made.
    pub silent: Duration,
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flow { local, remote, .. } = self;
        write!(f, "{local} with {remote}: ")?;
        match self.unsent {
            0 => write!(f, "all that was sent is acknowledged")?,
            n => write!(f, "{n} bytes are not acknowledged")?,
        }
        if self.window == Some(0) {
            write!(f, ", the peer's window is closed")?;
        }
        if self.again > 0 {
            write!(f, ", {} segments were sent again", self.again)?;
        }
        write!(f, ", nothing came for {}", Spoken(self.silent))
    }
}
