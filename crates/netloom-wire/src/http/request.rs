//! Writing a request.

use std::error::Error;
use std::fmt::{self, Write};

use data_encoding::BASE64;

/// A request's line and headers (RFC 9112 §3).
///
/// ```
/// use netloom_wire::http::Request;
///
/// let request = Request::new("GET", "/a?b")?.header("host", "example.org")?;
/// assert_eq!(request.bytes(), b"GET /a?b HTTP/1.1\r\nhost: example.org\r\n\r\n");
/// assert!(Request::new("GET", "/a\r\nx: y").is_err());
/// # Ok::<(), netloom_wire::http::Unwritable>(())
/// ```
#[derive(Debug, Clone)]
pub struct Request {
    text: String,
}

/// Which part of a request cannot be written: it would say something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwritable {
    /// The method is no token (RFC 9110 §9.1).
    Method,
    /// The target has a space, a control character or a byte outside ASCII.
    Target,
    /// A header's name is no token.
    Name,
    /// A header's value has a line break, a control character, a byte outside
    /// ASCII, or space around it.
    Value,
}

impl Request {
    /// A request without headers.
    ///
    /// # Errors
    /// A method that is no token, a target that could end the line.
    pub fn new(method: &str, target: &str) -> Result<Self, Unwritable> {
        if !is_token(method) {
            return Err(Unwritable::Method);
        }
        if target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Unwritable::Target);
        }
        Ok(Request {
            text: format!("{method} {target} HTTP/1.1\r\n"),
        })
    }

    /// Adds a header.
    ///
    /// # Errors
    /// A name or a value that could end the line or begin another one.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Unwritable> {
        if !is_token(name) {
            return Err(Unwritable::Name);
        }
        let written = |byte: u8| byte == b'\t' || byte == b' ' || byte.is_ascii_graphic();
        if !value.bytes().all(written) || value.trim_ascii().len() != value.len() {
            return Err(Unwritable::Value);
        }
        self.text.push_str(name);
        self.text.push_str(": ");
        self.text.push_str(value);
        self.text.push_str("\r\n");
        Ok(self)
    }

    /// The bytes to send; a body follows them.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.text.clone().into_bytes();
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

/// `text` as it may stand in a target: what may not is percent-encoded. Escapes
/// that are there stay as they are.
///
/// ```
/// assert_eq!(netloom_wire::http::in_target("/a b/ü%20"), "/a%20b/%C3%BC%20");
/// ```
pub fn in_target(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'#' {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The value of `authorization` for a user and a password (RFC 7617).
pub fn basic(user: &str, password: &str) -> String {
    format!(
        "Basic {}",
        BASE64.encode(format!("{user}:{password}").as_bytes())
    )
}

/// A token (RFC 9110 §5.6.2).
fn is_token(text: &str) -> bool {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(in_token)
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unwritable::Method => "the method is no word of HTTP",
            Unwritable::Target => "the path or query has a character that must be escaped",
            Unwritable::Name => "a header's name is no word of HTTP",
            Unwritable::Value => "a header's value has a line break or another control character",
        })
    }
}

impl Error for Unwritable {}
