//! Netstrings: `5:hello,` (D. J. Bernstein, 1997).

use super::decoder::{Border, Progress, Scanned, Wrong};

/// So many digits say every length there is; more are no length.
const MOST_DIGITS: u8 = 19;

#[derive(Debug, Default)]
pub(super) struct Netstring {
    digits: u8,
    size: u64,
    /// Bytes after the `:` that have come.
    have: Option<u64>,
}

impl Netstring {
    pub(super) fn scan(&mut self, input: &[u8], limit: u64) -> Scanned {
        let (at, have) = match self.have {
            Some(have) => (0, have),
            None => match self.header(input)? {
                None => return Ok(None),
                Some(_) if self.size > limit => return Err(Wrong::TooLarge(Some(self.size))),
                Some(at) => (at, 0),
            },
        };
        let whole = self.size + 1; // with its comma
        let (left, here) = (whole - have, (input.len() - at) as u64);
        if here < left {
            self.have = Some(have + here);
            return Ok(None);
        }
        let end = at + left as usize;
        if input[end - 1] != b',' {
            return Err(Wrong::Malformed("no comma follows a netstring's bytes"));
        }
        let border = Border {
            end,
            head: usize::from(self.digits) + 1,
            tail: 1,
        };
        *self = Netstring::default();
        Ok(Some(border))
    }

    fn header(&mut self, input: &[u8]) -> Result<Option<usize>, Wrong> {
        for (at, &byte) in input.iter().enumerate() {
            match byte {
                b':' if self.digits > 0 => return Ok(Some(at + 1)),
                b'0'..=b'9' if self.digits == 1 && self.size == 0 => {
                    return Err(Wrong::Malformed("a netstring's length begins with a zero"));
                }
                b'0'..=b'9' if self.digits < MOST_DIGITS => {
                    self.size = self.size * 10 + u64::from(byte - b'0');
                    self.digits += 1;
                }
                b'0'..=b'9' => return Err(Wrong::TooLarge(None)),
                _ => {
                    return Err(Wrong::Malformed(
                        "a netstring begins with its length and a colon",
                    ));
                }
            }
        }
        Ok(None)
    }

    pub(super) fn progress(&self) -> Progress {
        match self.have {
            Some(have) => Progress {
                have: have.min(self.size),
                want: Some(self.size),
                in_header: false,
            },
            None => Progress {
                have: self.digits.into(),
                want: None,
                in_header: true,
            },
        }
    }
}
