//! The first words of a conversation, read with a deadline and a limit, and
//! told apart from those of other protocols.

use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Moment, Side, Stage};
use netloom_transport::tls::codes::PEER_SPEAKS_TLS;
use netloom_transport::{Conn, Cx};
use netloom_wire::tls::looks_like;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long a server may take for its first words.
pub const GREET_TIMEOUT: Duration = Duration::from_secs(10);

/// How many bytes a server's first words may have.
const MOST: usize = 64 * 1024;

/// How many of the first bytes are kept as a fact.
const FIRST: usize = 256;

/// A dialled conversation while its first words are said.
pub struct Opening<'a> {
    conn: Conn,
    cx: &'a Cx,
    /// What the peer should speak, as people call it.
    protocol: &'static str,
    until: Moment,
    came: Vec<u8>,
    taken: usize,
}

impl<'a> Opening<'a> {
    /// Begins; from now on the greeting deadline runs.
    pub fn new(conn: Conn, protocol: &'static str, cx: &'a Cx) -> Self {
        Opening {
            conn,
            cx,
            protocol,
            until: cx.now() + GREET_TIMEOUT,
            came: Vec::new(),
            taken: 0,
        }
    }

    /// Says something.
    ///
    /// # Errors
    /// `send.*` or `greet.timeout`; where the peer had said something before it
    /// stopped listening, `greet.wrong-protocol` or what else fits that.
    pub async fn say(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let left = self.left();
        let said = async {
            self.conn.write_all(bytes).await?;
            self.conn.flush().await
        };
        match self.cx.timeout(left, said).await {
            None => Err(self.late()),
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(self.told(self.conn.failure(Stage::Send, error))),
        }
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// `greet.closed-before-banner` when not one byte came, `greet.timeout`,
    /// `greet.wrong-protocol` when the peer ends or goes on without an end of
    /// line, `recv.*`.
    pub async fn line(&mut self) -> Result<Vec<u8>, Failure> {
        let mut looked = self.taken;
        loop {
            if let Some(end) = self.came[looked..].iter().position(|&byte| byte == b'\n') {
                let line = &self.came[self.taken..looked + end];
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.taken = looked + end + 1;
                return Ok(line);
            }
            looked = self.came.len();
            self.more().await?;
        }
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// As [`Opening::line`].
    pub async fn bytes(&mut self, n: usize) -> Result<Vec<u8>, Failure> {
        while self.came.len() - self.taken < n {
            self.more().await?;
        }
        let taken = self.came[self.taken..self.taken + n].to_vec();
        self.taken += n;
        Ok(taken)
    }

    /// What came and was not taken, without waiting.
    pub fn rest(&self) -> &[u8] {
        &self.came[self.taken..]
    }

    /// Reads once more.
    ///
    /// # Errors
    /// As [`Opening::line`].
    pub async fn more(&mut self) -> Result<(), Failure> {
        if self.came.len() >= MOST {
            return Err(self.wrong());
        }
        let left = self.left();
        let mut buffer = [0; 4096];
        match self.cx.timeout(left, self.conn.read(&mut buffer)).await {
            None => Err(self.late()),
            Some(Ok(0)) if self.came.is_empty() => {
                let failure = Failure::new(Stage::Greet, Side::Peer, Code::GREET_CLOSED);
                Err(self.told(failure))
            }
            Some(Ok(0)) => Err(self.wrong()),
            Some(Ok(n)) => {
                self.came.extend_from_slice(&buffer[..n]);
                Ok(())
            }
            Some(Err(error)) => Err(self.told(self.conn.failure(Stage::Recv, error))),
        }
    }

    /// The peer does not speak what it should: which protocol it is, if its
    /// first bytes say so.
    pub fn wrong(&self) -> Failure {
        let wanted = self.protocol;
        let (code, message) = match looks_like(&self.came) {
            Some("TLS") => (
                PEER_SPEAKS_TLS,
                format!("the peer speaks TLS, not plain {wanted}"),
            ),
            Some(other) if other != wanted => (
                Code::GREET_WRONG_PROTOCOL,
                format!("the peer speaks {other}, not {wanted}"),
            ),
            _ => (
                Code::GREET_WRONG_PROTOCOL,
                format!("the peer does not speak {wanted}"),
            ),
        };
        self.told(Failure::new(Stage::Greet, Side::Peer, code).message(message))
    }

    /// Adds the first bytes that came, and the steps that led here.
    pub fn told(&self, failure: Failure) -> Failure {
        let failure = if failure.trail().is_empty() {
            failure.after(self.conn.trail().iter().cloned())
        } else {
            failure
        };
        match &self.came[..self.came.len().min(FIRST)] {
            [] => failure,
            first => failure.fact(Fact::FirstBytes(first.to_vec())),
        }
    }

    /// The connection, when the first words are over.
    pub fn into_conn(self) -> Conn {
        self.conn
    }

    fn left(&self) -> Duration {
        let now = self.cx.now();
        if now < self.until {
            self.until - now
        } else {
            Duration::ZERO
        }
    }

    fn late(&self) -> Failure {
        let wanted = self.protocol;
        let message = match self.came.len() {
            0 => format!("the peer said nothing where {wanted} was expected"),
            n => format!("the peer said {n} bytes and then no more, where {wanted} was expected"),
        };
        let failure = Failure::new(Stage::Greet, Side::Peer, Code::GREET_TIMEOUT).message(message);
        self.told(failure.fact(Fact::Waited(GREET_TIMEOUT)))
    }
}
