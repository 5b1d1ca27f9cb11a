//! From a message to what goes on the wire.

use std::fmt;

use memchr::memmem;

use super::Framing;
use super::length::put_varint;
use super::lines::{is_blank, is_json};
use super::msgpack::is_value;

/// No header is longer: the digits of a netstring's length, and a colon.
const LONGEST_HEAD: usize = 21;

/// A message in its frame: three parts, to be written in order.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    head: [u8; LONGEST_HEAD],
    head_len: u8,
    message: &'a [u8],
    tail: &'static [u8],
}

impl<'a> Frame<'a> {
    fn new(message: &'a [u8], tail: &'static [u8]) -> Self {
        Frame {
            head: [0; LONGEST_HEAD],
            head_len: 0,
            message,
            tail,
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        let from = usize::from(self.head_len);
        self.head[from..from + bytes.len()].copy_from_slice(bytes);
        self.head_len += bytes.len() as u8;
    }

    /// Its header, the message and its end, for a vectored write. Header and
    /// end may be empty.
    pub fn parts(&self) -> [&[u8]; 3] {
        let head = &self.head[..usize::from(self.head_len)];
        [head, self.message, self.tail]
    }

    /// Its length on the wire in bytes.
    pub fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// Whether nothing goes on the wire.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends it to a buffer.
    pub fn write_to(&self, buffer: &mut Vec<u8>) {
        buffer.reserve(self.len());
        for part in self.parts() {
            buffer.extend_from_slice(part);
        }
    }
}

/// A message that a framing cannot say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unframeable {
    /// The framing.
    pub framing: Framing,
    why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    TooLong(usize, u64),
    Says(&'static str),
}

impl fmt::Display for Unframeable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let framing = self.framing;
        match &self.why {
            Why::TooLong(size, most) => {
                write!(
                    f,
                    "a message of {size} bytes cannot be said in {framing}: {most} are the most"
                )
            }
            Why::Says(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Unframeable {}

impl Framing {
    /// Puts a message into its frame. Nothing is copied.
    ///
    /// # Errors
    /// What this framing cannot say so that the other end reads the same: a
    /// line with a line break in it, more bytes than the length has room for,
    /// something else than one JSON or MessagePack value.
    pub fn frame(self, message: &[u8]) -> Result<Frame<'_>, Unframeable> {
        let cannot = |why| Unframeable { framing: self, why };
        if let Some(most) = self.longest().filter(|most| message.len() as u64 > *most) {
            return Err(cannot(Why::TooLong(message.len(), most)));
        }
        self.sound(message).map_err(|why| cannot(Why::Says(why)))?;
        let size = message.len();
        let tail: &[u8] = match self {
            Framing::Lines | Framing::Json => b"\n",
            Framing::Crlf => b"\r\n",
            Framing::Netstring => b",",
            _ => b"",
        };
        let mut frame = Frame::new(message, tail);
        match self {
            Framing::Len8 => frame.put(&[size as u8]),
            Framing::Len16 => frame.put(&(size as u16).to_be_bytes()),
            Framing::Len16Le => frame.put(&(size as u16).to_le_bytes()),
            Framing::Len32 => frame.put(&(size as u32).to_be_bytes()),
            Framing::Len32Le => frame.put(&(size as u32).to_le_bytes()),
            Framing::Varint => put_varint(size as u64, |byte| frame.put(&[byte])),
            Framing::Netstring => frame.put(format!("{size}:").as_bytes()),
            _ => {}
        }
        Ok(frame)
    }

    fn sound(self, message: &[u8]) -> Result<(), &'static str> {
        let has = |byte| memchr::memchr(byte, message).is_some();
        match self {
            Framing::Lines if has(b'\n') => Err("a line cannot hold a line break"),
            Framing::Lines if message.ends_with(b"\r") => {
                Err("a line cannot end in \\r: it would be taken for the line's end")
            }
            Framing::Crlf if memmem::find(message, b"\r\n").is_some() => {
                Err("a line cannot hold \\r\\n")
            }
            Framing::Json if is_blank(message) => Err("nothing is no JSON value"),
            Framing::Json if has(b'\n') || message.ends_with(b"\r") => {
                Err("a JSON value on a line cannot hold a line break")
            }
            Framing::Json if !is_json(message) => Err("it is no JSON value"),
            Framing::MsgPack if !is_value(message) => Err("it is not one MessagePack value"),
            _ => Ok(()),
        }
    }
}
