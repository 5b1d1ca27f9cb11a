//! What the kernel counted of a connection at the moment it was given up.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::code::Code;
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
    /// The window that this end offers, in bytes; `None` where the kernel does not say.
    pub offered: Option<u32>,
    /// How long ago data was last sent. Asking whether a closed window opens is
    /// no data.
    pub paused: Duration,
    /// How often segments were sent again.
    pub again: u32,
    /// How long ago data last came. Before any did, since the connection was made.
    pub silent: Duration,
    /// The peer's socket, where that is on this host and was looked at.
    pub other: Option<OtherEnd>,
}

/// The peer's socket of a connection within one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherEnd {
    /// Bytes that came there and were not read.
    pub unread: u32,
    /// Bytes that were sent there, and that this end has not acknowledged.
    pub unsent: u32,
    /// The socket's inode; 0 where no program holds it.
    pub inode: u32,
    /// The user that made it.
    pub uid: u32,
}

/// The program at the other end of a connection within one host, as it was
/// found while the connection lived (proc(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherProgram {
    /// Its process.
    pub pid: u32,
    /// Its descriptor of the connection.
    pub fd: u32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Its command line, shortened.
    pub command: String,
    /// Whether it is stopped: by a signal, its terminal or a debugger.
    pub stopped: bool,
    /// What one of its threads waits in on this very descriptor, where that may
    /// be seen.
    pub waits_in: Option<Waiting>,
}

/// What a thread waits for on a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// That something comes.
    ToRead,
    /// That there is room.
    ToWrite,
}

impl fmt::Display for OtherProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OtherProgram { fd, pid, .. } = self;
        write!(
            f,
            "the other end is fd {fd} of process {pid} `{}`",
            self.command
        )?;
        if self.stopped {
            f.write_str(", which is stopped")?;
        }
        match self.waits_in {
            Some(Waiting::ToRead) => f.write_str(", where a thread waits in a read"),
            Some(Waiting::ToWrite) => f.write_str(", where a thread waits in a write"),
            None => Ok(()),
        }
    }
}

impl Flow {
    /// Whether there is more to send, and the peer takes none of it: its
    /// program does not read, and its buffer is full (RFC 9293 §3.8.6).
    pub fn is_shut(&self) -> bool {
        self.unsent > 0 && self.window == Some(0)
    }

    /// Whether the peer has no room here either: what came was not read.
    pub fn shuts_out(&self) -> bool {
        let waits = self.other.is_some_and(|other| other.unsent > 0);
        self.unread > 0 && (waits || self.offered == Some(0))
    }

    /// Which way it is stuck while somebody waits to send, if it is. Full
    /// windows say which program does not read; empty ones say nothing.
    pub fn stuck(&self) -> Option<Code> {
        match (self.is_shut(), self.shuts_out()) {
            (true, true) => Some(Code::STUCK_BOTH_WRITING),
            (true, false) => Some(Code::STUCK_READER_STOPPED),
            (false, _) => None,
        }
    }
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
            write!(f, " and nothing could be sent for {}", Spoken(self.paused))?;
        }
        if self.again > 0 {
            write!(f, ", {} segments were sent again", self.again)?;
        }
        if self.unread > 0 {
            write!(f, ", {} bytes lie unread here", self.unread)?;
        }
        if self.unread > 0 && self.offered == Some(0) {
            write!(f, ", and the window here is closed too")?;
        }
        write!(f, ", nothing came for {}", Spoken(self.silent))?;
        let Some(other) = self.other else {
            return Ok(());
        };
        match (other.unread, other.unsent) {
            (0, 0) => Ok(()),
            (unread, 0) => write!(f, "; {unread} bytes lie unread at the other end"),
            (0, unsent) => write!(f, "; {unsent} bytes of the other end wait to be taken here"),
            (unread, unsent) => write!(
                f,
                "; {unread} bytes lie unread at the other end, and {unsent} of its own wait there"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> Flow {
        Flow {
            local: ([127, 0, 0, 1], 1).into(),
            remote: ([127, 0, 0, 1], 2).into(),
            unread: 0,
            unsent: 9,
            window: Some(0),
            offered: Some(100),
            paused: Duration::from_secs(2),
            again: 0,
            silent: Duration::from_secs(3),
            other: None,
        }
    }

    #[test]
    fn full_windows_tell_who_does_not_read() {
        let reader_stopped = flow();
        assert_eq!(reader_stopped.stuck(), Some(Code::STUCK_READER_STOPPED));
        let both = Flow {
            unread: 5,
            offered: Some(0),
            ..flow()
        };
        assert_eq!(both.stuck(), Some(Code::STUCK_BOTH_WRITING));
        // What is unread here, with room for more, holds nobody up.
        let room = Flow {
            unread: 5,
            ..flow()
        };
        assert_eq!(room.stuck(), Some(Code::STUCK_READER_STOPPED));
        // An older kernel does not tell our own window; the other end may.
        let seen = Flow {
            offered: None,
            other: Some(OtherEnd {
                unread: 9,
                unsent: 7,
                inode: 1,
                uid: 0,
            }),
            ..both
        };
        assert_eq!(seen.stuck(), Some(Code::STUCK_BOTH_WRITING));
        for healthy in [
            Flow {
                window: Some(1),
                ..both
            },
            Flow {
                window: None,
                ..both
            },
            Flow { unsent: 0, ..both },
        ] {
            assert_eq!(healthy.stuck(), None, "{healthy}");
        }
    }

    #[test]
    fn the_figures_that_decide_are_told() {
        assert_eq!(
            flow().to_string(),
            "127.0.0.1:1 with 127.0.0.1:2: 9 bytes are not acknowledged, the peer's window is closed \
             and nothing could be sent for 2.0 s, nothing came for 3.0 s"
        );
    }
}
