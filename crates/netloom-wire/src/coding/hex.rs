//! Bytes as hexadecimal digits, and as a dump.

use std::fmt::Write as _;

use super::CodingError;

/// Bytes on one line of a dump.
const ROW: usize = 16;

pub(super) fn read(text: &str) -> Result<Vec<u8>, CodingError> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut high: Option<(usize, u32)> = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (c.to_digit(16), high) {
            // `0x` before a byte says what all of it is.
            (Some(0), None)
                if chars
                    .next_if(|(_, next)| matches!(next, 'x' | 'X'))
                    .is_some() => {}
            (Some(digit), None) => high = Some((at, digit)),
            (Some(digit), Some((_, first))) => {
                bytes.push((first << 4 | digit) as u8);
                high = None;
            }
            (None, None) if c == ':' || c.is_whitespace() => {}
            (None, Some((from, _))) if c == ':' || c.is_whitespace() => {
                return Err(half(from));
            }
            (None, _) => {
                let span = at..at + c.len_utf8();
                return Err(CodingError::new(span, "this is no hexadecimal digit"));
            }
        }
    }
    match high {
        Some((from, _)) => Err(half(from)),
        None => Ok(bytes),
    }
}

fn half(at: usize) -> CodingError {
    CodingError::new(at..at + 1, "a byte has two hexadecimal digits")
}

pub(super) fn show(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len() * 3);
    for (i, byte) in bytes.iter().enumerate() {
        let space = if i == 0 { "" } else { " " };
        _ = write!(shown, "{space}{byte:02x}");
    }
    shown
}

/// As `hexdump -C` shows it: the offset, sixteen bytes, and the same as text.
pub(super) fn dump(bytes: &[u8]) -> String {
    let rows = bytes.chunks(ROW).enumerate().map(|(i, row)| {
        let (left, right) = row.split_at(row.len().min(ROW / 2));
        let text: String = row.iter().map(|byte| printable(*byte)).collect();
        let (left, right) = (show(left), show(right));
        format!("{:08x}  {left:<23}  {right:<23}  |{text}|", i * ROW)
    });
    rows.collect::<Vec<_>>().join("\n")
}

fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' {
        byte.into()
    } else {
        '.'
    }
}
