//! Reading the head of an answer.

use std::error::Error;
use std::fmt;

use httparse::{EMPTY_HEADER, ParserConfig, Response, Status};

/// The longest head that is read, in bytes.
pub const LONGEST_HEAD: usize = 64 * 1024;

/// The most headers that are read.
pub const MOST_HEADERS: usize = 256;

/// The status line and the headers of an answer (RFC 9112 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The number after `HTTP/1.`: 0 or 1.
    pub minor: u8,
    /// The status, from 100 to 999.
    pub status: u16,
    /// The words after the status; empty where there are none.
    pub reason: String,
    /// The headers, as they came.
    pub headers: Headers,
}

/// Headers in the order they came, each with its name in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

/// Why a head cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadError {
    /// It does not begin as an answer of HTTP/1 does.
    NotHttp,
    /// It goes on after [`LONGEST_HEAD`] bytes.
    TooLong,
    /// It has more than [`MOST_HEADERS`] headers.
    TooMany,
    /// The status line is none.
    StatusLine,
    /// The request line is none.
    RequestLine,
    /// A header's name is none: a space before the colon, or a line that goes
    /// on with the one before (RFC 9112 §5.1, §5.2).
    Name,
    /// A header's value has a control character, such as a carriage return that
    /// ends no line.
    Value,
}

impl Head {
    /// Reads a head, and says how many bytes it has. `None` while it has not
    /// come whole.
    ///
    /// # Errors
    /// What is no head, is too long, or could be understood in two ways.
    pub fn read(bytes: &[u8]) -> Result<Option<(Head, usize)>, HeadError> {
        // The default is the strict reading: no folded lines, no space before a
        // colon, no line that is passed over.
        Head::read_as(&ParserConfig::default(), LONGEST_HEAD, bytes)
    }

    /// The same with the lines of headers read in another way, and another
    /// limit in bytes.
    pub(crate) fn read_as(
        way: &ParserConfig,
        longest: usize,
        bytes: &[u8],
    ) -> Result<Option<(Head, usize)>, HeadError> {
        let start = bytes.iter().position(|byte| !b"\r\n".contains(byte));
        let text = &bytes[start.unwrap_or(bytes.len())..];
        let word = b"HTTP/1.";
        if !text.starts_with(&word[..word.len().min(text.len())]) {
            return Err(HeadError::NotHttp);
        }
        let seen = &bytes[..bytes.len().min(longest)];
        let mut headers = [EMPTY_HEADER; MOST_HEADERS];
        let mut response = Response::new(&mut headers);
        let read = way.parse_response(&mut response, seen);
        match read {
            Ok(Status::Complete(length)) => {
                let status = response.code.unwrap_or_default();
                if status < 100 {
                    return Err(HeadError::StatusLine);
                }
                let head = Head {
                    minor: response.version.unwrap_or_default(),
                    status,
                    reason: response.reason.unwrap_or_default().trim().to_owned(),
                    headers: Headers::of(response.headers),
                };
                Ok(Some((head, length)))
            }
            Ok(Status::Partial) if bytes.len() >= longest => Err(HeadError::TooLong),
            Ok(Status::Partial) => Ok(None),
            Err(error) => Err(HeadError::of(error)),
        }
    }

    /// The status line as it reads: `HTTP/1.1 200 OK`.
    pub fn status_line(&self) -> String {
        let line = format!("HTTP/1.{} {} {}", self.minor, self.status, self.reason);
        line.trim_end().to_owned()
    }

    /// Whether it comes before the answer itself (RFC 9110 §15.2). `101` is the
    /// answer: the connection speaks something else after it.
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }
}

impl HeadError {
    pub(super) fn of(error: httparse::Error) -> Self {
        match error {
            httparse::Error::TooManyHeaders => HeadError::TooMany,
            httparse::Error::Version | httparse::Error::Status => HeadError::StatusLine,
            httparse::Error::Token => HeadError::RequestLine,
            httparse::Error::HeaderName => HeadError::Name,
            _ => HeadError::Value,
        }
    }
}

impl Headers {
    pub(super) fn of(parsed: &[httparse::Header<'_>]) -> Self {
        let header = |header: &httparse::Header<'_>| {
            let value = String::from_utf8_lossy(header.value.trim_ascii());
            (header.name.to_ascii_lowercase(), value.into_owned())
        };
        Headers(parsed.iter().map(header).collect())
    }

    /// The first value of a header; `name` is in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let of_name = self.0.iter().find(|(own, _)| own == name);
        of_name.map(|(_, value)| &**value)
    }

    /// Every value of a header, in the order they came.
    pub fn all<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s str> {
        let of_name = move |(own, _): &&(String, String)| own == name;
        self.0.iter().filter(of_name).map(|(_, value)| &**value)
    }

    /// Whether a list of words has this one, however it is written (RFC 9110 §5.6.1).
    pub fn lists(&self, name: &str, word: &str) -> bool {
        let words = self.all(name).flat_map(|value| value.split(','));
        words
            .map(str::trim)
            .any(|own| own.eq_ignore_ascii_case(word))
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeadError::NotHttp => "it does not begin as HTTP/1 does",
            HeadError::TooLong => "its head has more than 64 KiB",
            HeadError::TooMany => "it has more than 256 headers",
            HeadError::StatusLine => "its status line cannot be read",
            HeadError::RequestLine => "its request line cannot be read",
            HeadError::Name => "a header's name has a space or stands on a folded line",
            HeadError::Value => "a header's value has a control character",
        })
    }
}

impl Error for HeadError {}
