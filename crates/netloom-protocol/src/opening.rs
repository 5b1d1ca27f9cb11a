//! The first words of a conversation, read with a deadline and a limit, and
//! told apart from those of other protocols.

use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Moment, Side, Stage};
use netloom_transport::tls::codes::PEER_SPEAKS_TLS;
use netloom_transport::{Conn, ConnFacts, Cx};
use netloom_wire::tls::looks_like;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::service::finish;

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
    began: Moment,
    until: Moment,
    came: Vec<u8>,
    taken: usize,
    sent: u64,
    /// The peer has shown that it speaks the protocol.
    recognised: bool,
}

impl<'a> Opening<'a> {
    /// Begins; from now on the greeting deadline runs.
    pub fn new(conn: Conn, protocol: &'static str, cx: &'a Cx) -> Self {
        Opening {
            conn,
            cx,
            protocol,
            began: cx.now(),
            until: cx.now() + GREET_TIMEOUT,
            came: Vec::new(),
            taken: 0,
            sent: 0,
            recognised: false,
        }
    }

    /// The peer has shown that it speaks the protocol: from now on an end is an
    /// end in the middle, and no sign of another protocol.
    pub fn recognise(&mut self) {
        self.recognised = true;
    }

    /// The greeting deadline runs anew: for what comes after a first exchange.
    pub fn renew(&mut self) {
        self.until = self.cx.now() + GREET_TIMEOUT;
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
            Some(Ok(())) => {
                self.sent += bytes.len() as u64;
                Ok(())
            }
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
            if self.is_clearly_other() {
                return Err(self.wrong());
            }
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
            return Err(self.broken("said far too much in the middle"));
        }
        let left = self.left();
        let mut buffer = [0; 4096];
        match self.cx.timeout(left, self.conn.read(&mut buffer)).await {
            None => Err(self.late()),
            Some(Ok(0)) if self.came.is_empty() => Err(self.closed("closed in order (FIN)")),
            Some(Ok(0)) => Err(self.broken("ended it in the middle")),
            Some(Ok(n)) => {
                self.came.extend_from_slice(&buffer[..n]);
                Ok(())
            }
            Some(Err(error)) => {
                let failure = self.conn.failure(Stage::Recv, error);
                match failure.errno() {
                    Some(errno) if self.came.is_empty() && failure.code() == Code::RECV_RESET => {
                        let closed = self.closed("reset the connection (RST)");
                        Err(closed.fact(Fact::Errno(errno)))
                    }
                    _ => Err(self.told(failure)),
                }
            }
        }
    }

    /// What the peer's first bytes look like, where that is not what it should
    /// speak.
    pub fn other(&self) -> Option<&'static str> {
        let name = looks_like(&self.came)?;
        let mut names = name.split(" or ");
        names.all(|name| name != self.protocol).then_some(name)
    }

    /// Whether what came before any end of line is of a protocol that has none:
    /// no use to wait for one.
    fn is_clearly_other(&self) -> bool {
        let text = |byte: &u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\r');
        !self.recognised
            && !self.came.iter().all(text)
            && !self.came.contains(&b'\n')
            && self.other().is_some()
    }

    /// The peer ended it before a byte came.
    fn closed(&self, how: &str) -> Failure {
        let after = (self.cx.now() - self.began).as_secs_f64() * 1e3;
        let what = match self.sent {
            0 => format!("the peer {how} after {after:.1} ms"),
            n => format!("the peer {how} after {after:.1} ms, and after {n} bytes from here"),
        };
        let failure = Failure::new(Stage::Greet, Side::Peer, Code::GREET_CLOSED);
        self.along(failure.fact(Fact::said(what, "recv")))
    }

    /// The peer did what its protocol does not, if it is its protocol.
    fn broken(&self, what: &str) -> Failure {
        if !self.recognised {
            return self.wrong();
        }
        let message = format!("the peer {what} of its greeting in {}", self.protocol);
        self.told(Failure::new(Stage::Greet, Side::Peer, Stage::Greet.other()).message(message))
    }

    /// The peer does not speak what it should: which protocol it is, if its
    /// first bytes say so.
    pub fn wrong(&self) -> Failure {
        let wanted = self.protocol;
        let (code, message) = match self.other() {
            Some("TLS") => (
                PEER_SPEAKS_TLS,
                format!("the peer speaks TLS, not plain {wanted}"),
            ),
            Some(other) => (
                Code::GREET_WRONG_PROTOCOL,
                format!("the peer speaks {other}, not {wanted}"),
            ),
            None => (
                Code::GREET_WRONG_PROTOCOL,
                format!("the peer does not speak {wanted}"),
            ),
        };
        self.told(Failure::new(Stage::Greet, Side::Peer, code).message(message))
    }

    /// The peer refuses, in these words, said where `source` tells.
    pub fn refused(&self, message: String, words: String, source: &'static str) -> Failure {
        let failure = Failure::new(Stage::Greet, Side::Peer, Code::GREET_REFUSED);
        self.along(failure.message(message).fact(Fact::said(words, source)))
    }

    /// Adds the steps that led here.
    pub fn along(&self, failure: Failure) -> Failure {
        if failure.trail().is_empty() {
            failure.after(self.conn.trail().iter().cloned())
        } else {
            failure
        }
    }

    /// Adds the first bytes that came, and the steps that led here.
    pub fn told(&self, failure: Failure) -> Failure {
        let failure = self.along(failure);
        match &self.came[..self.came.len().min(FIRST)] {
            [] => failure,
            first => failure.fact(Fact::FirstBytes(first.to_vec())),
        }
    }

    /// Who is at both ends.
    pub fn facts(&self) -> ConnFacts {
        self.conn.facts()
    }

    /// The world it happens in.
    pub fn cx(&self) -> &'a Cx {
        self.cx
    }

    /// Ends it in order, waiting a little for the peer to do so too.
    pub async fn end(self) {
        // Everything was learned; how it ends says nothing more.
        let _ = finish(self.conn, self.cx).await;
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
        if !self.recognised && self.other().is_some() {
            return self.wrong();
        }
        let wanted = self.protocol;
        let message = match self.came.len() {
            0 => format!("the peer said nothing where {wanted} was expected"),
            n => format!("the peer said {n} bytes and then no more, where {wanted} was expected"),
        };
        let failure = Failure::new(Stage::Greet, Side::Peer, Code::GREET_TIMEOUT).message(message);
        self.told(failure.fact(Fact::Waited(GREET_TIMEOUT)))
    }
}
