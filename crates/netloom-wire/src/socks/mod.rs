//! What a client says to a proxy and hears from it, until bytes pass through:
//! SOCKS5 (RFC 1928) with a user's name and password (RFC 1929), SOCKS4a, and
//! HTTP CONNECT (RFC 9110 §9.3.6).
//!
//! A [`Dialogue`] is the whole exchange without a socket: it says what to send,
//! is given what came however it was cut, and keeps what belongs to the
//! conversation behind the proxy. What it holds is bounded.

mod answer;
mod dialogue;
mod head;
mod target;
#[cfg(test)]
mod tests;

pub use answer::{Refusal, Reply5};
pub use dialogue::{Dialogue, Next};
pub use head::{Head, LONGEST_HEAD};
pub use target::{Login, Target, Unsayable};

/// How a proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// SOCKS version 5 (RFC 1928).
    Socks5,
    /// SOCKS version 4a: version 4 that also takes names.
    Socks4a,
    /// HTTP/1.1 CONNECT.
    Connect,
}
