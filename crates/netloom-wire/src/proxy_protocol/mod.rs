//! The PROXY protocol, versions 1 and 2: the header with which a proxy or a
//! balancer says at the beginning of a connection who its client is
//! (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>).
//!
//! [`read`] wants exactly as many bytes as it is sure the header still has, so
//! whoever reads from a connection never takes a byte of what comes behind. It
//! is strict: what is not written as the specification says is no header.
//!
//! Own code, though there are crates for it: `ppp` and what is made of it read
//! from a buffer that may hold more than the header, and check no CRC32C. They
//! are asked in the tests whether they read and write the same.

mod tlv;
mod v1;
mod v2;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;

pub use tlv::{Tls, Tlv};

/// The longest line of version 1, its CRLF with it, in bytes.
pub const LONGEST_LINE: usize = 107;

/// The most bytes behind the first 16 of version 2 that are read or written.
/// The format could have 65,535; the addresses and everything that a balancer
/// has to say of TLS need a few hundred.
pub const MOST: usize = 4096;

/// How a header is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A line of text: TCP over IPv4 or IPv6, and nothing else.
    V1,
    /// Binary, with more to say.
    V2,
}

/// For whom a connection was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// For the proxy itself, such as a health check: the connection's own
    /// addresses count.
    Local,
    /// For a client.
    Proxy,
}

/// What carried the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// TCP, or a unix stream.
    Stream,
    /// UDP, or unix datagrams.
    Datagram,
}

/// The two ends of the client's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ends {
    /// Not said, or of a kind that is not known: the connection's own count.
    Unspecified,
    /// Internet addresses.
    Ip {
        /// What carried it.
        carrier: Carrier,
        /// Where the client came from.
        client: SocketAddr,
        /// Where it came to.
        server: SocketAddr,
    },
    /// Unix sockets, by what names them, without the zeros at the end.
    Unix {
        /// What carried it.
        carrier: Carrier,
        /// The client's.
        client: Vec<u8>,
        /// The server's.
        server: Vec<u8>,
    },
}

/// A header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// How it is written.
    pub version: Version,
    /// For whom the connection is.
    pub command: Command,
    /// The client's connection.
    pub ends: Ends,
    /// What else is said; version 1 can say nothing else.
    pub tlvs: Vec<Tlv>,
}

/// What a header was read as so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// It is not whole, and has at least so many bytes more.
    More(usize),
    /// It is whole, and has so many bytes.
    Whole(Header, usize),
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// They do not begin as one: whoever sent them speaks another protocol.
    Other,
    /// The line does not end within [`LONGEST_LINE`].
    LongLine,
    /// The line has a byte that does not belong there, such as a lone line feed.
    Control,
    /// The line is not written as version 1 is.
    Line,
    /// The version is neither 1 nor 2.
    Version,
    /// The command is none that is known.
    Command,
    /// The kind of addresses is none that is known.
    Family,
    /// It says that it is longer than [`MOST`], namely so long.
    Long(u16),
    /// It is shorter than its addresses.
    Short,
    /// What it says beyond the addresses does not fit into it, or into its type.
    Extra(u8),
    /// It says twice what can be said once.
    Twice(u8),
    /// Its checksum is another than that of its bytes.
    Checksum,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Other => write!(f, "it does not begin as a PROXY header does"),
            Wrong::LongLine => write!(f, "its line does not end within {LONGEST_LINE} bytes"),
            Wrong::Control => write!(f, "its line has a byte that may not stand there"),
            Wrong::Line => write!(f, "its line is not written as version 1 is"),
            Wrong::Version => write!(f, "it is of a version that does not exist"),
            Wrong::Command => write!(f, "its command is unknown"),
            Wrong::Family => write!(f, "its kind of addresses is unknown"),
            Wrong::Long(length) => {
                write!(f, "it says that {length} bytes follow, and {MOST} may")
            }
            Wrong::Short => write!(f, "it is too short for its addresses"),
            Wrong::Extra(kind) => write!(f, "its field of type 0x{kind:02x} does not fit"),
            Wrong::Twice(kind) => write!(f, "its field of type 0x{kind:02x} stands twice"),
            Wrong::Checksum => write!(f, "its checksum is another than that of its bytes"),
        }
    }
}

impl std::error::Error for Wrong {}

/// Reads a header from what came so far: all of it, from its first byte. Taking
/// no more than [`Read::More`] says each time takes nothing that is behind it.
///
/// ```
/// use netloom_wire::proxy_protocol::{Read, read};
///
/// assert_eq!(read(b""), Ok(Read::More(15)));
/// let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
/// let Ok(Read::Whole(header, 45)) = read(line) else { panic!() };
/// assert_eq!(header.client().unwrap().to_string(), "192.0.2.7:56324");
/// ```
///
/// # Errors
/// Why this can be no header, as soon as that is sure.
pub fn read(bytes: &[u8]) -> Result<Read, Wrong> {
    let begins = |word: &[u8]| bytes.iter().zip(word).all(|(byte, other)| byte == other);
    if begins(v1::WORD) {
        v1::read(bytes)
    } else if begins(v2::SIGNATURE) {
        v2::read(bytes)
    } else {
        Err(Wrong::Other)
    }
}

impl Header {
    /// That a connection is the proxy's own.
    pub fn local(version: Version) -> Self {
        Header {
            version,
            command: Command::Local,
            ends: Ends::Unspecified,
            tlvs: Vec::new(),
        }
    }

    /// That a connection is for a client.
    pub fn of(version: Version, client: SocketAddr, server: SocketAddr) -> Self {
        Header {
            version,
            command: Command::Proxy,
            ends: Ends::Ip {
                carrier: Carrier::Stream,
                client,
                server,
            },
            tlvs: Vec::new(),
        }
    }

    /// The client's address, where it has one.
    pub fn client(&self) -> Option<SocketAddr> {
        match (self.command, &self.ends) {
            (Command::Proxy, Ends::Ip { client, .. }) => Some(*client),
            _ => None,
        }
    }

    /// The name the client asked for, where that is said.
    pub fn authority(&self) -> Option<&str> {
        self.tlvs.iter().find_map(|tlv| match tlv {
            Tlv::Authority(name) => Some(&**name),
            _ => None,
        })
    }

    /// The protocol the client agreed on in TLS, where that is said.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tlvs.iter().find_map(|tlv| match tlv {
            Tlv::Alpn(name) => Some(&**name),
            _ => None,
        })
    }

    /// What is said of the client's TLS session.
    pub fn tls(&self) -> Option<&Tls> {
        self.tlvs.iter().find_map(|tlv| match tlv {
            Tlv::Ssl(tls) => Some(tls),
            _ => None,
        })
    }

    /// Its bytes; `None` when it has more to say than [`MOST`]. Version 1 says
    /// `UNKNOWN` of what it has no words for. Two addresses of which only one is
    /// IPv6 are both written so, the other one mapped.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self.version {
            Version::V1 => Some(v1::line(self).into_bytes()),
            Version::V2 => v2::bytes(self),
        }
    }
}

/// Both in one family.
enum Pair {
    V4(std::net::SocketAddrV4, std::net::SocketAddrV4),
    V6(std::net::SocketAddrV6, std::net::SocketAddrV6),
}

impl Pair {
    fn of(client: SocketAddr, server: SocketAddr) -> Self {
        let v6 = |addr: SocketAddr| match addr {
            SocketAddr::V6(addr) => addr,
            SocketAddr::V4(addr) => {
                std::net::SocketAddrV6::new(addr.ip().to_ipv6_mapped(), addr.port(), 0, 0)
            }
        };
        match (client, server) {
            (SocketAddr::V4(client), SocketAddr::V4(server)) => Pair::V4(client, server),
            _ => Pair::V6(v6(client), v6(server)),
        }
    }
}
