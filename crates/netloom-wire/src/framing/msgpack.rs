//! MessagePack values: where one ends, found by walking over it.
//!
//! Nothing is built and nothing is copied. What is kept of a value is how many
//! more belong to each array and map that is open.

use super::DEEPEST;
use super::decoder::{Border, Progress, Scanned, Wrong};

#[derive(Debug, Default)]
pub(super) struct Values {
    /// How many values are missing in each open array or map, outermost first.
    open: Vec<u64>,
    /// How many values have not begun: each is at least one byte.
    missing: u64,
    /// Bytes of the whole value that have come.
    have: u64,
    /// Bytes that are left of a text or another value without parts.
    skip: u64,
    /// A value's type and the bytes of its length, while they come.
    head: Head,
}

#[derive(Debug, Default, Clone, Copy)]
struct Head {
    kind: u8,
    /// Bytes of the length that are still to come.
    left: u8,
    size: u64,
}

/// What follows the first byte of a value.
enum After {
    /// Nothing, or so many bytes.
    Bytes(u64),
    /// So many values.
    Values(u64),
    /// First its length, in so many bytes.
    Length(u8),
}

impl Values {
    pub(super) fn scan(&mut self, input: &[u8], limit: u64) -> Scanned {
        let mut at = 0;
        while at < input.len() {
            let here = (input.len() - at) as u64;
            if self.skip > 0 {
                let n = self.skip.min(here);
                at += n as usize;
                self.have += n;
                self.skip -= n;
                if self.skip > 0 {
                    return Ok(None);
                }
            } else {
                let byte = input[at];
                at += 1;
                self.have += 1;
                let after = if self.head.left == 0 {
                    self.head.kind = byte;
                    self.missing -= u64::from(!self.open.is_empty());
                    first(byte)?
                } else {
                    self.head.size = self.head.size << 8 | u64::from(byte);
                    self.head.left -= 1;
                    if self.head.left > 0 {
                        continue;
                    }
                    sized(self.head.kind, self.head.size)
                };
                match after {
                    After::Length(left) => {
                        (self.head.left, self.head.size) = (left, 0);
                        continue;
                    }
                    After::Bytes(n) => self.skip = n,
                    After::Values(0) => {}
                    After::Values(_) if self.open.len() >= DEEPEST => {
                        return Err(Wrong::Malformed("a MessagePack value is nested too deeply"));
                    }
                    After::Values(n) => {
                        self.missing = self.missing.saturating_add(n);
                        self.open.push(n);
                    }
                }
                self.within(limit)?;
                if self.skip > 0 || matches!(after, After::Values(1..)) {
                    continue;
                }
            }
            if self.value_ended() {
                *self = Values {
                    open: std::mem::take(&mut self.open),
                    ..Values::default()
                };
                return Ok(Some(Border {
                    end: at,
                    head: 0,
                    tail: 0,
                }));
            }
        }
        Ok(None)
    }

    /// Refuses a value as soon as what it announces is more than the limit.
    fn within(&self, limit: u64) -> Result<(), Wrong> {
        let announced = self.have.saturating_add(self.skip);
        if announced.saturating_add(self.missing) > limit {
            return Err(Wrong::TooLarge(self.open.is_empty().then_some(announced)));
        }
        Ok(())
    }

    /// One value has ended, and with it each array and map whose last it was.
    /// Whether that was the outermost.
    fn value_ended(&mut self) -> bool {
        while let Some(missing) = self.open.last_mut() {
            *missing -= 1;
            if *missing > 0 {
                return false;
            }
            self.open.pop();
        }
        true
    }

    pub(super) fn progress(&self) -> Progress {
        let alone = self.open.is_empty() && self.skip > 0;
        Progress {
            have: self.have,
            want: alone.then_some(self.have + self.skip),
            in_header: false,
        }
    }
}

/// What a value's first byte says (the MessagePack specification, "Formats").
fn first(kind: u8) -> Result<After, Wrong> {
    Ok(match kind {
        0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => After::Bytes(0),
        0x80..=0x8f => After::Values(u64::from(kind & 0x0f) * 2),
        0x90..=0x9f => After::Values((kind & 0x0f).into()),
        0xa0..=0xbf => After::Bytes((kind & 0x1f).into()),
        0xc1 => return Err(Wrong::Malformed("no MessagePack value begins with c1")),
        0xc4 | 0xc7 | 0xd9 => After::Length(1),
        0xc5 | 0xc8 | 0xda | 0xdc | 0xde => After::Length(2),
        0xc6 | 0xc9 | 0xdb | 0xdd | 0xdf => After::Length(4),
        0xcc | 0xd0 => After::Bytes(1),
        0xcd | 0xd1 | 0xd4 => After::Bytes(2),
        0xd5 => After::Bytes(3),
        0xca | 0xce | 0xd2 => After::Bytes(4),
        0xd6 => After::Bytes(5),
        0xcb | 0xcf | 0xd3 => After::Bytes(8),
        0xd7 => After::Bytes(9),
        0xd8 => After::Bytes(17),
    })
}

/// What follows the length of a value that has one.
fn sized(kind: u8, size: u64) -> After {
    match kind {
        0xc7..=0xc9 => After::Bytes(size + 1), // an extension's type comes first
        0xdc | 0xdd => After::Values(size),
        0xde | 0xdf => After::Values(size * 2),
        _ => After::Bytes(size),
    }
}

/// Whether `bytes` are one value and nothing more.
pub(super) fn is_value(bytes: &[u8]) -> bool {
    let whole = Values::default().scan(bytes, bytes.len() as u64);
    matches!(whole, Ok(Some(border)) if border.end == bytes.len())
}
