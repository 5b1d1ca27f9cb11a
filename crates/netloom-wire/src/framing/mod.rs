//! Messages on a stream of bytes: where one ends and the next begins.
//!
//! TCP carries bytes, not messages: one `recv` may bring half a message, or
//! three and a half. A [`Framing`] is the convention by which both ends tell
//! them apart. A [`Decoder`] is fed whatever a read brought and gives out whole
//! messages; [`Framing::frame`] puts one on the wire.
//!
//! ```
//! use netloom_wire::framing::{Decoder, Framing};
//!
//! let framing: Framing = "len16".parse()?;
//! let mut stream = Vec::new();
//! framing.frame(b"one")?.write_to(&mut stream);
//! framing.frame(b"two")?.write_to(&mut stream);
//! assert_eq!(stream, b"\0\x03one\0\x03two");
//!
//! let mut decoder = Decoder::new(framing, 1024);
//! let mut seen = Vec::new();
//! for read in stream.chunks(4) {
//!     decoder.feed(read, |message| seen.push(message.to_vec()))?;
//! }
//! assert_eq!(seen, [b"one", b"two"]);
//! assert_eq!(decoder.end(), Ok(()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decoder;
mod encoder;
mod length;
mod lines;
mod msgpack;
mod netstring;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use netloom_base::Value;
use netloom_base::complaint::nearest;
use netloom_base::settings::FromValue;

pub use decoder::{Decoder, FrameError, Partial, Wrong};
pub use encoder::{Frame, Unframeable};

/// How deeply a MessagePack or JSON value may be nested.
pub const DEEPEST: usize = 128;

/// How messages are told apart on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Not at all: a message is whatever one read brought.
    None,
    /// A message ends with `\n`; a `\r` before it belongs to the end.
    Lines,
    /// A message ends with `\r\n`; a `\r` or `\n` alone is part of it.
    Crlf,
    /// After its length in one byte.
    Len8,
    /// After its length in two bytes, the high one first.
    Len16,
    /// After its length in two bytes, the low one first.
    Len16Le,
    /// After its length in four bytes, the high one first.
    Len32,
    /// After its length in four bytes, the low one first.
    Len32Le,
    /// After its length as an unsigned LEB128 of at most ten bytes, as protobuf
    /// delimits messages. A length that could be said in fewer bytes is taken
    /// when read, as protobuf's own parsers take it, and never written.
    Varint,
    /// `5:hello,` – D. J. Bernstein's netstrings.
    Netstring,
    /// One JSON value on a line (JSON Lines, NDJSON). Blank lines are skipped.
    Json,
    /// One MessagePack value after the other, without anything between.
    MsgPack,
}

impl Framing {
    /// Every one.
    pub const ALL: [Framing; 12] = [
        Framing::None,
        Framing::Lines,
        Framing::Crlf,
        Framing::Len8,
        Framing::Len16,
        Framing::Len16Le,
        Framing::Len32,
        Framing::Len32Le,
        Framing::Varint,
        Framing::Netstring,
        Framing::Json,
        Framing::MsgPack,
    ];

    /// Its name in flags, files and options.
    pub const fn name(self) -> &'static str {
        match self {
            Framing::None => "none",
            Framing::Lines => "lines",
            Framing::Crlf => "crlf",
            Framing::Len8 => "len8",
            Framing::Len16 => "len16",
            Framing::Len16Le => "len16le",
            Framing::Len32 => "len32",
            Framing::Len32Le => "len32le",
            Framing::Varint => "varint",
            Framing::Netstring => "netstring",
            Framing::Json => "json",
            Framing::MsgPack => "msgpack",
        }
    }

    /// The same lengths in the other byte order, where there is one.
    pub const fn swapped(self) -> Option<Framing> {
        match self {
            Framing::Len16 => Some(Framing::Len16Le),
            Framing::Len16Le => Some(Framing::Len16),
            Framing::Len32 => Some(Framing::Len32Le),
            Framing::Len32Le => Some(Framing::Len32),
            _ => None,
        }
    }

    /// The longest message it can say, in bytes; `None` where nothing in it
    /// bounds one.
    pub const fn longest(self) -> Option<u64> {
        match self {
            Framing::Len8 => Some(u8::MAX as u64),
            Framing::Len16 | Framing::Len16Le => Some(u16::MAX as u64),
            Framing::Len32 | Framing::Len32Le => Some(u32::MAX as u64),
            _ => None,
        }
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that names no framing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchFraming {
    /// The word.
    pub word: String,
    /// The nearest that does.
    pub nearest: Option<&'static str>,
}

impl fmt::Display for NoSuchFraming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Framing::ALL.iter().map(|framing| framing.name()).collect();
        let (word, names) = (&self.word, names.join(", "));
        write!(f, "no such framing: `{word}`; there are {names}")?;
        match self.nearest {
            Some(name) => write!(f, " (nearest: `{name}`)"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for NoSuchFraming {}

impl FromStr for Framing {
    type Err = NoSuchFraming;

    fn from_str(word: &str) -> Result<Self, NoSuchFraming> {
        let named = |framing: &&Framing| framing.name() == word;
        Framing::ALL
            .iter()
            .find(named)
            .copied()
            .ok_or_else(|| NoSuchFraming {
                word: word.to_owned(),
                nearest: nearest(word, Framing::ALL.iter().map(|framing| framing.name())),
            })
    }
}

impl FromValue for Framing {
    const HINT: &'static str = "NAME";

    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(word) => word.parse().map_err(|e: NoSuchFraming| e.to_string()),
            other => Err(format!("the name of a framing is expected, not `{other}`")),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::from(self.name()))
    }
}
