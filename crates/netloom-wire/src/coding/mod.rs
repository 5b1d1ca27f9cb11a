//! Bytes as people type and read them: text, hex, base64, JSON, MessagePack.
//!
//! ```
//! use netloom_wire::coding::Coding;
//!
//! assert_eq!(Coding::Hex.read("de ad be ef")?, b"\xde\xad\xbe\xef");
//! assert_eq!(Coding::MsgPack.read(r#"{"on":true}"#)?, b"\x81\xa2on\xc3");
//! assert_eq!(Coding::MsgPack.show(b"\x81\xa2on\xc3"), r#"{"on":true}"#);
//! # Ok::<(), netloom_wire::coding::CodingError>(())
//! ```

mod hex;
mod msgpack;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::str::FromStr;

use data_encoding::BASE64;
use netloom_base::Value;
use netloom_base::complaint::nearest;
use netloom_base::settings::FromValue;
use serde_json::value::RawValue;

use crate::escape;

/// How bytes are written for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Text in which `\r \n \t \0 \\ \xNN` stand for bytes; reads and shows any
    /// bytes, and shows them on one line.
    Text,
    /// UTF-8 as it stands, without escapes. What is no printable text is shown
    /// as `\u{fffd}`.
    Utf8,
    /// Two hexadecimal digits a byte; spaces, colons and `0x` are skipped.
    Hex,
    /// RFC 4648 §4.
    Base64,
    /// One JSON value, as it stands.
    Json,
    /// A MessagePack value, typed and shown as JSON.
    MsgPack,
    /// Shown as offsets, bytes and text, on several lines; typed as hex.
    Hexdump,
}

impl Coding {
    /// Every one.
    pub const ALL: [Coding; 7] = [
        Coding::Text,
        Coding::Utf8,
        Coding::Hex,
        Coding::Base64,
        Coding::Json,
        Coding::MsgPack,
        Coding::Hexdump,
    ];

    /// Its name in flags.
    pub const fn name(self) -> &'static str {
        match self {
            Coding::Text => "text",
            Coding::Utf8 => "utf8",
            Coding::Hex => "hex",
            Coding::Base64 => "base64",
            Coding::Json => "json",
            Coding::MsgPack => "msgpack",
            Coding::Hexdump => "hexdump",
        }
    }

    /// The bytes that a typed text means.
    ///
    /// # Errors
    /// What cannot be read, and where.
    pub fn read(self, text: &str) -> Result<Vec<u8>, CodingError> {
        match self {
            Coding::Text => escape::unescape(text)
                .map_err(|error| CodingError::new(error.span.clone(), error.to_string())),
            Coding::Utf8 => Ok(text.into()),
            Coding::Hex | Coding::Hexdump => hex::read(text),
            Coding::Base64 => BASE64.decode(text.trim().as_bytes()).map_err(|error| {
                let at = text.len() - text.trim_start().len() + error.position;
                CodingError::new(at..at + 1, format!("it is no base64: {}", told(error.kind)))
            }),
            Coding::Json => match serde_json::from_str::<&RawValue>(text) {
                Ok(value) => Ok(value.get().into()),
                Err(error) => Err(CodingError::json(text, &error)),
            },
            Coding::MsgPack => match serde_json::from_str(text) {
                Ok(value) => Ok(msgpack::write(&value)),
                Err(error) => Err(CodingError::json(text, &error)),
            },
        }
    }

    /// The bytes as a person reads them. What they cannot be shown as, such as
    /// a JSON value that is none, is shown as [`Coding::Text`].
    pub fn show(self, bytes: &[u8]) -> String {
        let shown = match self {
            Coding::Text => None,
            Coding::Utf8 => Some(printable(bytes)),
            Coding::Hex => Some(hex::show(bytes)),
            Coding::Hexdump => Some(hex::dump(bytes)),
            Coding::Base64 => Some(BASE64.encode(bytes)),
            Coding::Json => one_line(bytes),
            Coding::MsgPack => msgpack::show(bytes),
        };
        shown.unwrap_or_else(|| escape::escape(bytes))
    }
}

fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let shown = |c: char| {
        if c.is_control() && c != '\t' {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

/// A JSON value as it came, its parts on one line.
fn one_line(bytes: &[u8]) -> Option<String> {
    let value: &RawValue = serde_json::from_slice(bytes).ok()?;
    // Outside of its strings a break is white space, and in them there is none.
    Some(tame(&value.get().replace(['\n', '\r'], " ")))
}

/// JSON on one line in which what a terminal would obey is escaped: some of it
/// is legal in a string (RFC 8259 §7).
fn tame(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() && c != '\t' {
            _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

fn told(kind: data_encoding::DecodeKind) -> &'static str {
    match kind {
        data_encoding::DecodeKind::Length => "its length is no multiple of 4",
        data_encoding::DecodeKind::Symbol => "a character is none of its 64",
        data_encoding::DecodeKind::Trailing => "its last bits are not zero",
        data_encoding::DecodeKind::Padding => "its padding is wrong",
    }
}

/// A text that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodingError {
    /// The wrong part, in bytes of the text.
    pub span: Range<usize>,
    message: String,
}

impl CodingError {
    fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        CodingError {
            span,
            message: message.into(),
        }
    }

    fn json(text: &str, error: &serde_json::Error) -> Self {
        // Lines and columns count from 1; a column counts bytes.
        let before: usize = text
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1))
            .map(str::len)
            .sum();
        let at = (before + error.column().saturating_sub(1)).min(text.len());
        let told = error.to_string();
        let why = told.split(" at line ").next().unwrap_or_default();
        CodingError::new(
            at..at + 1,
            format!("it is no JSON value: {}", why.to_lowercase()),
        )
    }
}

impl fmt::Display for CodingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CodingError {}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that names no coding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchCoding {
    /// The word.
    pub word: String,
    /// The nearest that does.
    pub nearest: Option<&'static str>,
}

impl fmt::Display for NoSuchCoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Coding::ALL.iter().map(|coding| coding.name()).collect();
        let (word, names) = (&self.word, names.join(", "));
        write!(f, "no such coding: `{word}`; there are {names}")?;
        match self.nearest {
            Some(name) => write!(f, " (nearest: `{name}`)"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for NoSuchCoding {}

impl FromStr for Coding {
    type Err = NoSuchCoding;

    fn from_str(word: &str) -> Result<Self, NoSuchCoding> {
        let mut all = Coding::ALL.into_iter();
        all.find(|coding| coding.name() == word)
            .ok_or_else(|| NoSuchCoding {
                word: word.to_owned(),
                nearest: nearest(word, Coding::ALL.iter().map(|coding| coding.name())),
            })
    }
}

impl FromValue for Coding {
    const HINT: &'static str = "NAME";

    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(word) => word.parse().map_err(|e: NoSuchCoding| e.to_string()),
            other => Err(format!("the name of a coding is expected, not `{other}`")),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::from(self.name()))
    }
}
