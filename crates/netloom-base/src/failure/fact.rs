//! Facts: what was known while the socket lived. Evidence, not opinion.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::certificate::Certificate;
use super::code::Code;
use super::errno::Errno;
use super::flow::{Flow, OtherProgram};
use super::frame::BadFrame;
use super::group::SilentGroup;
use super::icmp::Icmp;
use super::proxy::ProxyAnswer;

/// One thing known about a failure.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Fact {
    /// What the kernel answered.
    Errno(Errno),
    /// What the network said about our packets, and who said it.
    Icmp(Icmp),
    /// The socket listened for what the network says (ip(7), `IP_RECVERR`), and
    /// nobody said anything: what failed was not rejected by ICMP.
    NoIcmp,
    /// The local address of the socket.
    Local(SocketAddr),
    /// The address that was tried.
    Tried(SocketAddr),
    /// A limit: its name, what it is, what was asked for.
    Limit {
        /// The limit's name, as its setting is called.
        name: &'static str,
        /// What it allows.
        allows: u64,
    },
    /// How long was waited.
    Waited(Duration),
    /// Bytes received and sent before.
    Moved {
        /// Bytes received.
        received: u64,
        /// Bytes sent.
        sent: u64,
    },
    /// The first bytes the peer sent, at most 256 of them.
    FirstBytes(Vec<u8>),
    /// The TLS alert the peer sent, by its number (RFC 8446 §6).
    Alert(u8),
    /// The certificates that were presented, the end's own first.
    Chain(Vec<Certificate>),
    /// Where the certificate of a certificate's issuer can be fetched, by its own
    /// word (RFC 5280 §4.2.2.1).
    IssuerAt(String),
    /// What the kernel counted of the connection.
    Flow(Flow),
    /// The program at its other end.
    Program(Box<OtherProgram>),
    /// A message that could not be taken whole.
    Frame(Box<BadFrame>),
    /// A multicast group from which nothing was heard.
    Silent(Box<SilentGroup>),
    /// How a program ended.
    Exit(String),
    /// What a person wrote, drawn with a caret.
    Complaint(Box<crate::complaint::Complaint>),
    /// What a proxy on the way answered.
    Proxy(Box<ProxyAnswer>),
    /// What a name server answered.
    Answered {
        /// The server.
        server: SocketAddr,
        /// What was asked for: `A` or `AAAA`.
        asked: &'static str,
        /// The answer: `2 addresses`, an RCODE by name, `nothing`.
        answer: Cow<'static, str>,
        /// How long it took, or how long was waited for it.
        took: Duration,
    },
    /// Where an FTP server said that it waits for data (RFC 959 §4.1.2).
    DataPort {
        /// The reply that said so: 227 or 229.
        reply: u16,
        /// The address it named.
        named: SocketAddr,
        /// The other end of the control connection.
        peer: SocketAddr,
        /// Whether a connection to it was answered; `None` where none was tried.
        reached: Option<bool>,
        /// Whether the same port at `peer`'s address was; `None` where that was
        /// not tried.
        beside: Option<bool>,
    },
    /// Something wrong that did not end the conversation, by its code.
    Noted {
        /// The code it would have as a failure.
        code: Code,
        /// What was seen.
        what: String,
        /// The system call, file or program that showed it.
        source: Cow<'static, str>,
    },
    /// Something else, with who said it.
    Said {
        /// What.
        what: String,
        /// The system call, file or program that said it.
        source: Cow<'static, str>,
    },
}

impl Fact {
    /// A fact in words, with its source.
    pub fn said(what: impl Into<String>, source: impl Into<Cow<'static, str>>) -> Self {
        Fact::Said {
            what: what.into(),
            source: source.into(),
        }
    }

    /// Something wrong that did not end the conversation, with what showed it.
    pub fn noted(
        code: Code,
        what: impl Into<String>,
        source: impl Into<Cow<'static, str>>,
    ) -> Self {
        Fact::Noted {
            code,
            what: what.into(),
            source: source.into(),
        }
    }

    /// Whether it is a remark that a person should hear though all went well,
    /// and not only a detail of how it went.
    pub fn is_remark(&self) -> bool {
        matches!(self, Fact::Noted { .. } | Fact::Said { .. })
    }

    /// Where it is known from.
    pub fn source(&self) -> &str {
        match self {
            Fact::Errno(_) => "errno",
            Fact::Icmp(_) | Fact::NoIcmp => "error queue",
            Fact::Local(_) => "getsockname",
            Fact::Tried(_) => "connect",
            Fact::Limit { .. } => "limits",
            Fact::Waited(_) => "clock",
            Fact::Moved { .. } => "counters",
            Fact::FirstBytes(_) => "recv",
            Fact::Alert(_) | Fact::Chain(_) => "tls",
            Fact::IssuerAt(_) => "certificate",
            Fact::Flow(_) => "TCP_INFO",
            Fact::Program(_) => "/proc",
            Fact::Frame(_) => "framing",
            Fact::Silent(group) => group.table(),
            Fact::Exit(_) => "wait",
            Fact::Complaint(_) => "parse",
            Fact::Proxy(answer) => answer.protocol,
            Fact::Answered { .. } => "dns",
            Fact::DataPort { reply: 229, .. } => "229",
            Fact::DataPort { .. } => "227",
            Fact::Said { source, .. } | Fact::Noted { source, .. } => source,
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::Errno(errno) => write!(f, "the kernel answered {errno}"),
            Fact::Icmp(icmp) => write!(f, "{icmp}"),
            Fact::NoIcmp => f.write_str("no ICMP came with it"),
            Fact::Local(addr) => write!(f, "local address {addr}"),
            Fact::Tried(addr) => write!(f, "tried {addr}"),
            Fact::Limit { name, allows } => write!(f, "{name} allows {allows}"),
            Fact::Waited(d) => write!(f, "waited {}", Spoken(*d)),
            Fact::Moved { received, sent } => write!(f, "{received} bytes received, {sent} sent"),
            Fact::FirstBytes(bytes) => write!(f, "the first bytes were {}", bytes.escape_ascii()),
            Fact::Alert(number) => write!(f, "the peer sent the TLS alert {number}"),
            Fact::Chain(chain) => {
                for (i, certificate) in chain.iter().enumerate() {
                    write!(f, "{}{certificate}", if i == 0 { "" } else { "; then " })?;
                }
                Ok(())
            }
            Fact::IssuerAt(place) => write!(f, "its issuer's certificate is at {place}"),
            Fact::Flow(flow) => write!(f, "{flow}"),
            Fact::Program(program) => write!(f, "{program}"),
            Fact::Frame(frame) => write!(f, "{frame}"),
            Fact::Silent(group) => write!(f, "{group}"),
            Fact::Exit(how) => write!(f, "the program ended with {how}"),
            Fact::Complaint(complaint) => write!(f, "{complaint}"),
            Fact::Proxy(answer) => write!(f, "{answer}"),
            Fact::Answered {
                server,
                asked,
                answer,
                took,
            } => {
                let took = Spoken(*took);
                // What the kernel says of a server is no answer of that server.
                match Errno::named(answer).and_then(Errno::name) {
                    Some("ECONNREFUSED") => write!(
                        f,
                        "{server} refused the question for {asked} after {took}: nothing listens there (ECONNREFUSED)"
                    ),
                    Some(errno) => write!(
                        f,
                        "{server} cannot be reached for {asked}: {errno} after {took}"
                    ),
                    None => write!(f, "{server} answered {answer} for {asked} in {took}"),
                }
            }
            Fact::DataPort { reply, named, .. } => write!(f, "reply {reply} names {named}"),
            Fact::Said { what, .. } | Fact::Noted { what, .. } => f.write_str(what),
        }
    }
}

/// A duration as people say it: `105 µs`, `1.5 ms`, `2.3 s`.
#[derive(Debug, Clone, Copy)]
pub struct Spoken(pub Duration);

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.0.as_secs_f64();
        if s < 999.5e-6 {
            write!(f, "{:.0} µs", s * 1e6)
        } else if s < 1.0 {
            write!(f, "{:.1} ms", s * 1e3)
        } else {
            write!(f, "{s:.1} s")
        }
    }
}
