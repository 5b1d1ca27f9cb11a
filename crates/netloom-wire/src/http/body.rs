//! How long the body of an answer is (RFC 9112 §6.3), and its beginning.

use std::error::Error;
use std::fmt;

use super::head::Head;

/// The longest line that says a chunk's size, in bytes.
const LONGEST_SIZE: usize = 1024;

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// There is none.
    None,
    /// After so many bytes.
    Exactly(u64),
    /// After the chunk of length 0.
    Chunked,
    /// When the server closes.
    UntilClose,
}

/// Two readers could find two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ambiguous {
    /// `content-length` is no number, or says two of them.
    Length,
    /// `transfer-encoding` and `content-length` both say where it ends.
    Both,
}

/// What is there of a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beginning {
    /// The bytes, without the marks of chunks.
    pub bytes: Vec<u8>,
    /// Nothing more will come.
    pub whole: bool,
    /// The marks of a chunk cannot be read; `bytes` is what stood before.
    pub broken: bool,
}

/// Where the body of the answer to `method` ends.
///
/// # Errors
/// A head from which two readers could read two lengths.
pub fn length(method: &str, head: &Head) -> Result<Length, Ambiguous> {
    if method == "HEAD" || matches!(head.status, 100..=199 | 204 | 304) {
        return Ok(Length::None);
    }
    let mut lengths = head.headers.all("content-length");
    let written = lengths.next();
    if let Some(written) = written {
        let digits = !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || lengths.any(|other| other != written) {
            return Err(Ambiguous::Length);
        }
    }
    let mut codings = head.headers.all("transfer-encoding");
    if let Some(last) = codings.by_ref().last() {
        if written.is_some() {
            return Err(Ambiguous::Both);
        }
        let coding = last.rsplit(',').next().unwrap_or_default().trim();
        return Ok(if coding.eq_ignore_ascii_case("chunked") {
            Length::Chunked
        } else {
            Length::UntilClose
        });
    }
    match written {
        None => Ok(Length::UntilClose),
        Some(written) => match written.parse() {
            Ok(0) => Ok(Length::None),
            Ok(length) => Ok(Length::Exactly(length)),
            Err(_) => Err(Ambiguous::Length),
        },
    }
}

/// What `raw`, the bytes after the head, holds of the body.
pub fn beginning(length: Length, raw: &[u8]) -> Beginning {
    match length {
        Length::None => Beginning {
            whole: true,
            ..Beginning::default()
        },
        Length::UntilClose => Beginning {
            bytes: raw.to_vec(),
            ..Beginning::default()
        },
        Length::Exactly(length) => {
            let most = usize::try_from(length).unwrap_or(usize::MAX);
            Beginning {
                bytes: raw[..raw.len().min(most)].to_vec(),
                whole: raw.len() >= most,
                broken: false,
            }
        }
        Length::Chunked => chunks(raw),
    }
}

/// The bytes of chunks (RFC 9112 §7.1). Trailers are not looked at.
fn chunks(raw: &[u8]) -> Beginning {
    let mut body = Beginning::default();
    let mut rest = raw;
    loop {
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else {
            body.broken = rest.len() > LONGEST_SIZE;
            return body;
        };
        let Some(size) = chunk_size(&rest[..end]) else {
            body.broken = true;
            return body;
        };
        rest = &rest[end + 2..];
        if size == 0 {
            body.whole = true;
            return body;
        }
        let there = rest.len().min(size);
        body.bytes.extend_from_slice(&rest[..there]);
        rest = &rest[there..];
        match rest {
            [b'\r', b'\n', ..] => rest = &rest[2..],
            [] | [b'\r'] => return body,
            _ => {
                body.broken = true;
                return body;
            }
        }
    }
}

/// A size in hexadecimal, before what may stand after `;`.
fn chunk_size(line: &[u8]) -> Option<usize> {
    if line.len() > LONGEST_SIZE {
        return None;
    }
    let text = str::from_utf8(line).ok()?;
    let digits = text.split(';').next()?.trim_end_matches([' ', '\t']);
    let hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| usize::from_str_radix(digits, 16).ok())?
}

impl fmt::Display for Ambiguous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ambiguous::Length => "its content-length says no number or two different ones",
            Ambiguous::Both => "it has both transfer-encoding and content-length",
        })
    }
}

impl Error for Ambiguous {}
