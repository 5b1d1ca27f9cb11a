//! What a proxy answers when it does not do it.

use std::fmt;

use super::head::Head;

/// What a SOCKS5 proxy answered (RFC 1928 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply5(pub u8);

impl Reply5 {
    /// What the number means; `None` for one that RFC 1928 has not.
    pub const fn words(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "succeeded",
            1 => "general failure",
            2 => "connection not allowed by the ruleset",
            3 => "network unreachable",
            4 => "host unreachable",
            5 => "connection refused",
            6 => "TTL expired",
            7 => "command not supported",
            8 => "address type not supported",
            _ => return None,
        })
    }
}

impl fmt::Display for Reply5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            Some(words) => write!(f, "{} {words}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Why a proxy does not pass bytes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// SOCKS5: it could not or would not reach the target.
    Reply5(Reply5),
    /// SOCKS5: it takes none of the ways to log in that were offered. Whether
    /// one with a password was among them.
    NoMethod {
        /// A user's name and a password were offered.
        offered_login: bool,
    },
    /// SOCKS5: it does not take this user's name and password (RFC 1929 §2).
    WrongLogin(u8),
    /// SOCKS4: 91 is a refusal or a failure, 92 and 93 are about the user.
    Reply4(u8),
    /// HTTP: any status but a success.
    Status(Head),
    /// What came is no answer of this protocol.
    OtherProtocol,
}

impl Refusal {
    /// Whether it is about who asked, or about what this proxy allows, rather
    /// than about reaching the target.
    pub fn is_denial(&self) -> bool {
        match self {
            Refusal::Reply5(Reply5(code)) => *code == 2,
            Refusal::NoMethod { .. } | Refusal::WrongLogin(_) => true,
            Refusal::Reply4(code) => matches!(code, 92 | 93),
            Refusal::Status(head) => matches!(head.status, 401 | 403 | 407),
            Refusal::OtherProtocol => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Reply5(reply) => write!(f, "{reply}"),
            Refusal::NoMethod {
                offered_login: false,
            } => f.write_str("it wants a login, and none was given"),
            Refusal::NoMethod {
                offered_login: true,
            } => f.write_str("it takes no user's name and password"),
            Refusal::WrongLogin(status) => write!(f, "login refused (status {status})"),
            Refusal::Reply4(91) => f.write_str("91 rejected or failed"),
            Refusal::Reply4(92) => f.write_str("92 this host runs no identd"),
            Refusal::Reply4(93) => f.write_str("93 identd names another user"),
            Refusal::Reply4(code) => write!(f, "{code}"),
            Refusal::Status(head) => f.write_str(&head.status_line()),
            Refusal::OtherProtocol => f.write_str("this is no answer of that protocol"),
        }
    }
}
