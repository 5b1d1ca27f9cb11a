//! Messages after their length: in a fixed number of bytes, or as a varint.

use super::decoder::{Border, Progress, Scanned, Wrong};

/// A varint of 64 bits has at most so many bytes.
const LONGEST_VARINT: u8 = 10;

#[derive(Debug)]
pub(super) struct Length {
    form: Form,
    /// Bytes of the header that have come.
    got: u8,
    /// What they say so far.
    size: u64,
    /// Bytes of the message that have come, once the header is whole.
    have: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Fixed { width: u8, little: bool },
    Varint,
}

impl Length {
    /// In `width` bytes, at most four.
    pub(super) fn fixed(width: u8, little: bool) -> Self {
        Length::new(Form::Fixed { width, little })
    }

    pub(super) fn varint() -> Self {
        Length::new(Form::Varint)
    }

    fn new(form: Form) -> Self {
        Length {
            form,
            got: 0,
            size: 0,
            have: None,
        }
    }

    #[inline]
    pub(super) fn scan(&mut self, input: &[u8], limit: u64) -> Scanned {
        let (at, have) = match self.have {
            Some(have) => (0, have),
            None => match self.header(input)? {
                Some(_) if self.size > limit => return Err(Wrong::TooLarge(Some(self.size))),
                Some(at) => (at, 0),
                None => return Ok(None),
            },
        };
        let (left, here) = (self.size - have, (input.len() - at) as u64);
        if here < left {
            self.have = Some(have + here);
            return Ok(None);
        }
        let border = Border {
            end: at + left as usize,
            head: usize::from(self.got),
            tail: 0,
        };
        *self = Length::new(self.form);
        Ok(Some(border))
    }

    /// Where the header ends in `input`, and its size put down.
    #[inline]
    fn header(&mut self, input: &[u8]) -> Result<Option<usize>, Wrong> {
        match (self.form, input) {
            // Whole in one read, as nearly always.
            (Form::Fixed { width: 4, little }, &[a, b, c, d, ..]) if self.got == 0 => {
                let bytes = [a, b, c, d];
                let size = if little {
                    u32::from_le_bytes(bytes)
                } else {
                    u32::from_be_bytes(bytes)
                };
                (self.size, self.got) = (size.into(), 4);
                Ok(Some(4))
            }
            (Form::Fixed { width, little }, _) => {
                for (at, &byte) in input.iter().enumerate() {
                    self.size = if little {
                        self.size | u64::from(byte) << (8 * self.got)
                    } else {
                        self.size << 8 | u64::from(byte)
                    };
                    self.got += 1;
                    if self.got == width {
                        return Ok(Some(at + 1));
                    }
                }
                Ok(None)
            }
            (Form::Varint, _) => {
                for (at, &byte) in input.iter().enumerate() {
                    // The tenth byte has room for one bit of 64.
                    if self.got == LONGEST_VARINT - 1 && byte > 1 {
                        return Err(Wrong::Malformed("a length has more than 64 bits"));
                    }
                    self.size |= u64::from(byte & 0x7f) << (7 * self.got);
                    self.got += 1;
                    if byte & 0x80 == 0 {
                        return Ok(Some(at + 1));
                    }
                }
                Ok(None)
            }
        }
    }

    pub(super) fn progress(&self) -> Progress {
        match (self.have, self.form) {
            (Some(have), _) => Progress {
                have,
                want: Some(self.size),
                in_header: false,
            },
            (None, Form::Fixed { width, .. }) => Progress {
                have: self.got.into(),
                want: Some(width.into()),
                in_header: true,
            },
            (None, Form::Varint) => Progress {
                have: self.got.into(),
                want: None,
                in_header: true,
            },
        }
    }
}

/// A length as protobuf writes it: seven bits a byte, the low ones first.
pub(super) fn put_varint(mut size: u64, mut put: impl FnMut(u8)) {
    while size >= 0x80 {
        put(size as u8 | 0x80);
        size >>= 7;
    }
    put(size as u8);
}
