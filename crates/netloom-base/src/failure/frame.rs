//! A message that could not be taken whole, as data.

use std::fmt;

/// A message on a stream that could not be taken whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFrame {
    /// The framing by which it was read, as its flag is written.
    pub framing: &'static str,
    /// What was wrong.
    pub trouble: FrameTrouble,
    /// How many whole messages came before it.
    pub before: u64,
    /// Its first bytes, at most 16.
    pub first: Vec<u8>,
}

/// What was wrong with it. Sizes are bytes of the message, without its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameTrouble {
    /// The stream ended inside of it.
    Cut {
        /// Bytes that had come: of the message, or of its header.
        have: u64,
        /// How many there should be, where that is known.
        want: Option<u64>,
        /// Whether not even the header was whole.
        in_header: bool,
    },
    /// It is larger than the limit.
    TooLarge {
        /// What its header announces, where one tells.
        size: Option<u64>,
        /// The limit.
        limit: u64,
    },
    /// It is not in this framing.
    Malformed,
}

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let framing = self.framing;
        match self.trouble {
            FrameTrouble::Cut {
                have,
                want,
                in_header,
            } => {
                let what = if in_header { "header" } else { "message" };
                match want {
                    Some(want) => {
                        write!(
                            f,
                            "{have} of the {want} bytes of a {framing} {what} had come"
                        )
                    }
                    None => write!(
                        f,
                        "{have} bytes of a {framing} {what} had come, and not its end"
                    ),
                }
            }
            FrameTrouble::TooLarge {
                size: Some(size),
                limit,
            } => write!(
                f,
                "the {framing} header announces {size} bytes, and {limit} are allowed"
            ),
            FrameTrouble::TooLarge { size: None, limit } => write!(
                f,
                "a {framing} message goes on beyond the {limit} bytes allowed"
            ),
            FrameTrouble::Malformed => {
                write!(f, "it was read as {framing}, and begins with")?;
                self.first
                    .iter()
                    .try_for_each(|byte| write!(f, " {byte:02x}"))
            }
        }?;
        match self.before {
            0 => Ok(()),
            1 => f.write_str("; one whole message came before it"),
            n => write!(f, "; {n} whole messages came before it"),
        }
    }
}
