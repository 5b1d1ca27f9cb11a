//! What a proxy answered instead of passing bytes through.

use std::fmt;

/// A proxy's answer, or that none came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyAnswer {
    /// The proxy as it was written, without secrets: `socks5://proxy:1080`.
    pub proxy: String,
    /// Where it was asked to connect to: a host and a port.
    pub target: String,
    /// The protocol it was spoken to with: `SOCKS5`, `SOCKS4a`, `HTTP CONNECT`.
    pub protocol: &'static str,
    /// What the answer means.
    pub why: ProxyRefusal,
    /// The answer in the proxy's own words.
    pub said: String,
}

/// What a proxy's answer means, as far as its protocol can say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyRefusal {
    /// It wants a user and a password, and none were given.
    NoLogin,
    /// It does not take the login it was given.
    WrongLogin,
    /// Its rules do not allow this.
    Ruleset,
    /// The target answered that nothing listens.
    ConnectionRefused,
    /// It finds no way to the host.
    HostUnreachable,
    /// It finds no way to the network.
    NetworkUnreachable,
    /// The target did not answer it.
    TimedOut,
    /// It cannot resolve the target's name.
    NameUnknown,
    /// It does not do what was asked, or not with such an address.
    Unsupported,
    /// It failed, and its protocol does not say why.
    Unsaid,
    /// It closed without an answer.
    Closed,
    /// It was silent.
    Silent,
    /// What it answered is of another protocol.
    OtherProtocol,
}

impl fmt::Display for ProxyAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            ProxyRefusal::Closed | ProxyRefusal::Silent | ProxyRefusal::OtherProtocol => {
                write!(f, "{}: {}", self.proxy, self.said)
            }
            _ => write!(f, "{} answered: {}", self.proxy, self.said),
        }
    }
}
