//! Replies of three digits and a text, as SMTP (RFC 5321 §4.2) and FTP
//! (RFC 959 §4.2) give them.
//!
//! One line is `250 text`. Several begin with `250-` and end with the first
//! line that begins with `250 `. Between them SMTP repeats the code and FTP
//! need not; both are read here.

mod ehlo;
mod passive;

use std::fmt;

pub use ehlo::Keyword;
pub use passive::{extended, extended_text, passive, passive_text};

/// The longest line that is read, in bytes without its end. RFC 5321
/// §4.5.3.1.5 allows 512; real servers send more.
pub const MAX_LINE: usize = 4096;

/// The most lines one reply may have.
pub const MAX_LINES: usize = 512;

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    lines: Vec<Vec<u8>>,
}

/// What is wrong with a line that should be a reply's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyError {
    /// It does not begin with three digits of a code and a space or `-`.
    NoCode,
    /// It is longer than [`MAX_LINE`].
    TooLong,
    /// The reply has more than [`MAX_LINES`] lines.
    TooMany,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplyError::NoCode => f.write_str("a reply begins with a code of three digits"),
            ReplyError::TooLong => write!(f, "a line was longer than {MAX_LINE} bytes"),
            ReplyError::TooMany => write!(f, "a reply had more than {MAX_LINES} lines"),
        }
    }
}

impl std::error::Error for ReplyError {}

impl Reply {
    /// A reply of these lines; `None` unless the code is one (100 to 699), there
    /// is at least one line and not too many, and no line has an end inside or
    /// is too long.
    pub fn new(code: u16, lines: Vec<Vec<u8>>) -> Option<Self> {
        let fits = |line: &Vec<u8>| {
            line.len() + 4 <= MAX_LINE && !line.iter().any(|byte| matches!(byte, b'\r' | b'\n'))
        };
        let good = (100..700).contains(&code)
            && (1..=MAX_LINES).contains(&lines.len())
            && lines.iter().all(fits);
        good.then_some(Reply { code, lines })
    }

    /// The code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Its first digit: 2 is done, 3 wants more, 4 not now, 5 never.
    pub fn kind(&self) -> u8 {
        (self.code / 100) as u8
    }

    /// The texts of its lines, without the code; there is at least one.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.lines.iter().map(Vec::as_slice)
    }

    /// The last line's text, where a command's answer stands.
    pub fn last(&self) -> &[u8] {
        self.lines.last().map_or(&[], Vec::as_slice)
    }

    /// Everything it says as one text, without the codes, a space between lines.
    pub fn text(&self) -> Vec<u8> {
        self.lines.join(&b' ')
    }

    /// The reply as it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (i, line) in self.lines.iter().enumerate() {
            let between = if i + 1 == self.lines.len() {
                b' '
            } else {
                b'-'
            };
            out.extend_from_slice(self.code.to_string().as_bytes());
            out.push(between);
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
        }
        out
    }
}

/// Puts a reply together from its lines.
///
/// ```
/// use netloom_wire::reply::Replies;
///
/// let mut replies = Replies::default();
/// assert_eq!(replies.line(b"220-mx.example.org")?, None);
/// let reply = replies.line(b"220 ESMTP").unwrap().unwrap();
/// assert_eq!((reply.code(), reply.last()), (220, &b"ESMTP"[..]));
/// # Ok::<(), netloom_wire::reply::ReplyError>(())
/// ```
#[derive(Debug, Default)]
pub struct Replies {
    /// The reply that has begun: its code and the lines so far.
    begun: Option<(u16, Vec<Vec<u8>>)>,
}

impl Replies {
    /// Takes the next line, without its end, and gives the reply it completes.
    /// After an error the stream has lost its meaning.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        if line.len() > MAX_LINE {
            return Err(ReplyError::TooLong);
        }
        let head = head(line);
        let Some((code, mut lines)) = self.begun.take() else {
            let (code, more, text) = head.ok_or(ReplyError::NoCode)?;
            let lines = vec![text.to_vec()];
            if more {
                self.begun = Some((code, lines));
                return Ok(None);
            }
            return Ok(Some(Reply { code, lines }));
        };
        if lines.len() == MAX_LINES {
            return Err(ReplyError::TooMany);
        }
        match head.filter(|(own, ..)| *own == code) {
            Some((_, false, text)) => {
                lines.push(text.to_vec());
                return Ok(Some(Reply { code, lines }));
            }
            Some((_, true, text)) => lines.push(text.to_vec()),
            // FTP's lines in between may be anything.
            None => lines.push(line.to_vec()),
        }
        self.begun = Some((code, lines));
        Ok(None)
    }
}

/// A line's code, whether more lines follow, and its text. The space after the
/// code of a last line without text may be missing (RFC 5321 §4.2).
fn head(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    let code = std::str::from_utf8(digits).ok()?.parse().ok()?;
    if !digits.iter().all(u8::is_ascii_digit) || !(100..700).contains(&code) {
        return None;
    }
    match rest.split_first() {
        None => Some((code, false, rest)),
        Some((b' ', text)) => Some((code, false, text)),
        Some((b'-', text)) => Some((code, true, text)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Option<Reply>, ReplyError> {
        let mut replies = Replies::default();
        let mut last = Ok(None);
        for line in text.lines() {
            last = replies.line(line.as_bytes());
        }
        last
    }

    #[test]
    fn several_lines_end_with_the_code_and_a_space() {
        let text = "211-Features:\n MDTM\n211-odd\n220 not the end\n211 End";
        let reply = read(text).unwrap().unwrap();
        let lines: Vec<&[u8]> = reply.lines().collect();
        assert_eq!(
            lines,
            [
                &b"Features:"[..],
                b" MDTM",
                b"odd",
                b"220 not the end",
                b"End"
            ]
        );
        assert_eq!((reply.code(), reply.kind()), (211, 2));
    }

    #[test]
    fn a_code_alone_is_a_reply() {
        assert_eq!(read("250").unwrap().unwrap().last(), b"");
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for text in [
            "SSH-2.0-x",
            "22",
            "2200 x",
            "+20 x",
            "999 x",
            "099 x",
            "220_x",
        ] {
            assert_eq!(read(text), Err(ReplyError::NoCode), "{text}");
        }
        assert_eq!(Replies::default().line(b""), Err(ReplyError::NoCode));
        assert_eq!(
            Replies::default().line(&[b'2'; MAX_LINE + 1]),
            Err(ReplyError::TooLong)
        );
    }

    #[test]
    fn a_reply_without_end_is_given_up() {
        let mut replies = Replies::default();
        let mut last = Ok(None);
        for _ in 0..=MAX_LINES {
            last = replies.line(b"250-more");
        }
        assert_eq!(last, Err(ReplyError::TooMany));
    }

    proptest! {
        #[test]
        fn what_is_built_is_read(
            code in 100u16..700,
            lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..9),
        ) {
            let Some(reply) = Reply::new(code, lines) else { return Ok(()) };
            let mut replies = Replies::default();
            let bytes = reply.to_bytes();
            let mut read = Vec::new();
            for line in bytes.strip_suffix(b"\r\n").unwrap().split(|&byte| byte == b'\n') {
                read.extend(replies.line(line.strip_suffix(b"\r").unwrap_or(line)).unwrap());
            }
            prop_assert_eq!(read, [reply]);
        }

        #[test]
        fn any_lines_are_read_or_refused(lines: Vec<Vec<u8>>) {
            let mut replies = Replies::default();
            for line in &lines {
                if let Ok(Some(reply)) = replies.line(line) {
                    prop_assert!(reply.lines().len() >= 1);
                    let _ = (reply.keywords().count(), passive(reply.last()), extended(reply.last()));
                }
            }
        }
    }
}
