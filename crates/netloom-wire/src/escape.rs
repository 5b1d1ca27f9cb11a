//! Bytes as a person types them: text with backslash escapes.

use std::fmt;
use std::ops::Range;

/// What is wrong with an escape, and where in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EscapeError {
    /// The escape, in bytes of the text.
    pub span: Range<usize>,
    message: &'static str,
}

impl fmt::Display for EscapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl std::error::Error for EscapeError {}

/// Reads text in which `\r \n \t \0 \\ \xNN` stand for bytes. Everything
/// else stands for itself, in UTF-8.
///
/// ```
/// assert_eq!(netloom_wire::escape::unescape(r"hi\r\n\xff")?, b"hi\r\n\xff");
/// # Ok::<(), netloom_wire::escape::EscapeError>(())
/// ```
pub fn unescape(text: &str) -> Result<Vec<u8>, EscapeError> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte != b'\\' {
            out.push(byte);
            at += 1;
            continue;
        }
        let (value, width) = match bytes.get(at + 1) {
            Some(b'r') => (b'\r', 2),
            Some(b'n') => (b'\n', 2),
            Some(b't') => (b'\t', 2),
            Some(b'0') => (0, 2),
            Some(b'\\') => (b'\\', 2),
            Some(b'x') => match (hex(bytes.get(at + 2)), hex(bytes.get(at + 3))) {
                (Some(high), Some(low)) => (high << 4 | low, 4),
                _ => {
                    return Err(wrong(
                        text,
                        at,
                        4,
                        r"two hexadecimal digits must follow `\x`",
                    ));
                }
            },
            Some(_) => return Err(wrong(text, at, 2, r"known escapes are \r \n \t \0 \\ \xNN")),
            None => return Err(wrong(text, at, 1, r"a lone `\` at the end is written `\\`")),
        };
        out.push(value);
        at += width;
    }
    Ok(out)
}

/// Writes bytes so that [`unescape`] reads the same.
pub fn escape(bytes: &[u8]) -> String {
    use fmt::Write as _;

    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\r' => out.push_str("\\r"),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\0' => out.push_str("\\0"),
                '\\' => out.push_str("\\\\"),
                // Those beyond ASCII too: a terminal obeys some of them.
                c if c.is_control() => {
                    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                        _ = write!(out, "\\x{byte:02x}");
                    }
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

fn hex(byte: Option<&u8>) -> Option<u8> {
    byte.and_then(|b| char::from(*b).to_digit(16))
        .map(|digit| digit as u8)
}

fn wrong(text: &str, at: usize, width: usize, message: &'static str) -> EscapeError {
    let mut end = (at + width).min(text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    EscapeError {
        span: at..end,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_escape_is_pointed_at() {
        assert_eq!(unescape(r"ab\q").unwrap_err().span, 2..4);
        assert_eq!(unescape(r"\x4").unwrap_err().span, 0..3);
        assert_eq!(unescape("\\é").unwrap_err().span, 0..3);
        assert_eq!(unescape("end\\").unwrap_err().span, 3..4);
    }

    proptest::proptest! {
        #[test]
        fn what_is_escaped_reads_the_same(bytes: Vec<u8>) {
            proptest::prop_assert_eq!(unescape(&escape(&bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            if let Err(error) = unescape(&text) {
                proptest::prop_assert!(text.get(error.span).is_some());
            }
        }
    }
}
