//! Messages that end with the end of a line; JSON values, one on each.

use memchr::memchr;
use serde_json::value::RawValue;

use super::decoder::{Border, Progress, Scanned, Wrong};

#[derive(Debug)]
pub(super) struct Lines {
    /// Only `\r\n` ends a line.
    crlf: bool,
    /// Bytes of the line that have come.
    have: u64,
    /// The last of them was a `\r`.
    after_cr: bool,
}

impl Lines {
    pub(super) fn new(crlf: bool) -> Self {
        Lines {
            crlf,
            have: 0,
            after_cr: false,
        }
    }

    #[inline]
    pub(super) fn scan(&mut self, input: &[u8], limit: u64) -> Scanned {
        let mut from = 0;
        while let Some(found) = memchr(b'\n', &input[from..]) {
            let at = from + found;
            let after_cr = match at {
                0 => self.after_cr,
                _ => input[at - 1] == b'\r',
            };
            if self.crlf && !after_cr {
                from = at + 1;
                continue;
            }
            let tail = 1 + usize::from(after_cr);
            if self.have + (at + 1) as u64 - tail as u64 > limit {
                return Err(Wrong::TooLarge(None));
            }
            *self = Lines::new(self.crlf);
            return Ok(Some(Border {
                end: at + 1,
                head: 0,
                tail,
            }));
        }
        self.have += input.len() as u64;
        self.after_cr = input.last() == Some(&b'\r');
        // A `\r` at the end may belong to the end of a line that fits.
        if self.have - u64::from(self.after_cr) > limit {
            return Err(Wrong::TooLarge(None));
        }
        Ok(None)
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            have: self.have,
            want: None,
            in_header: false,
        }
    }
}

/// Whether it is one JSON value, whatever it says.
pub(super) fn is_json(line: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(line).is_ok()
}

/// Whether there is nothing in a line but JSON's white space.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter()
        .all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}
