//! MessagePack from JSON and back.
//!
//! JSON has no bytes, no extensions and only texts as keys. Bytes are shown as
//! `{"base64":"…"}`, an extension as `{"ext":5,"base64":"…"}`, a key that is no
//! text as its JSON. Numbers that JSON cannot write are shown as texts. A value
//! with an array or a map as a key has no JSON.

use std::fmt::Write as _;

use data_encoding::BASE64;
use serde_json::Value;

use crate::framing::DEEPEST;

/// The value in its shortest form.
pub(super) fn write(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    put(value, &mut out);
    out
}

fn put(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(no) if !no => out.push(0xc2),
        Value::Bool(_) => out.push(0xc3),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(n), _) => unsigned(n, out),
            (None, Some(n)) => negative(n, out),
            (None, None) => {
                out.push(0xcb);
                out.extend(number.as_f64().unwrap_or(f64::NAN).to_be_bytes());
            }
        },
        Value::String(text) => {
            sized(text.len(), Some((0xa0, 31)), Some(0xd9), 0xda, out);
            out.extend(text.as_bytes());
        }
        Value::Array(values) => {
            sized(values.len(), Some((0x90, 15)), None, 0xdc, out);
            for value in values {
                put(value, out);
            }
        }
        Value::Object(pairs) => {
            sized(pairs.len(), Some((0x80, 15)), None, 0xde, out);
            for (key, value) in pairs {
                sized(key.len(), Some((0xa0, 31)), Some(0xd9), 0xda, out);
                out.extend(key.as_bytes());
                put(value, out);
            }
        }
    }
}

/// A type and a length in the fewest bytes: in one with the type, in one byte
/// after it, in two (`two`) or four (the next type).
fn sized(size: usize, small: Option<(u8, usize)>, one: Option<u8>, two: u8, out: &mut Vec<u8>) {
    match (small, one) {
        (Some((kind, most)), _) if size <= most => out.push(kind | size as u8),
        (_, Some(kind)) if size <= 0xff => out.extend([kind, size as u8]),
        _ if size <= 0xffff => {
            out.push(two);
            out.extend((size as u16).to_be_bytes());
        }
        _ => {
            out.push(two + 1);
            out.extend((size as u32).to_be_bytes());
        }
    }
}

fn unsigned(n: u64, out: &mut Vec<u8>) {
    match n {
        0..=0x7f => out.push(n as u8),
        0x80..=0xff => out.extend([0xcc, n as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend((n as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend((n as u32).to_be_bytes());
        }
        _ => {
            out.push(0xcf);
            out.extend(n.to_be_bytes());
        }
    }
}

fn negative(n: i64, out: &mut Vec<u8>) {
    if n >= -32 {
        out.push(n as u8);
    } else if let Ok(n) = i8::try_from(n) {
        out.extend([0xd0, n as u8]);
    } else if let Ok(n) = i16::try_from(n) {
        out.push(0xd1);
        out.extend(n.to_be_bytes());
    } else if let Ok(n) = i32::try_from(n) {
        out.push(0xd2);
        out.extend(n.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend(n.to_be_bytes());
    }
}

/// One value as JSON on one line; `None` when the bytes are not one value.
pub(super) fn show(bytes: &[u8]) -> Option<String> {
    let mut reader = Reader { left: bytes };
    let mut json = String::new();
    reader.value(&mut json, 0)?;
    reader.left.is_empty().then_some(json)
}

struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(n)?;
        self.left = left;
        Some(taken)
    }

    /// A number of `n` bytes, the high one first.
    fn number(&mut self, n: usize) -> Option<u64> {
        let bytes = self.take(n)?.iter();
        Some(bytes.fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn size(&mut self, n: usize) -> Option<usize> {
        self.number(n).and_then(|size| usize::try_from(size).ok())
    }

    fn value(&mut self, json: &mut String, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        let kind = self.number(1)? as u8;
        match kind {
            0x00..=0x7f => put_shown(json, kind),
            0x80..=0x8f => return self.map((kind & 0x0f).into(), json, depth),
            0x90..=0x9f => return self.array((kind & 0x0f).into(), json, depth),
            0xa0..=0xbf => return self.text((kind & 0x1f).into(), json),
            0xc0 => json.push_str("null"),
            0xc1 => return None,
            0xc2 => json.push_str("false"),
            0xc3 => json.push_str("true"),
            0xc4..=0xc6 => {
                let size = self.size(1 << (kind - 0xc4))?;
                let bytes = BASE64.encode(self.take(size)?);
                _ = write!(json, r#"{{"base64":"{bytes}"}}"#);
            }
            0xc7..=0xc9 => {
                let size = self.size(1 << (kind - 0xc7))?;
                return self.extension(size, json);
            }
            0xca => float(f32::from_bits(self.number(4)? as u32), json),
            0xcb => float(f64::from_bits(self.number(8)?), json),
            0xcc..=0xcf => put_shown(json, self.number(1 << (kind - 0xcc))?),
            0xd0 => put_shown(json, self.number(1)? as i8),
            0xd1 => put_shown(json, self.number(2)? as i16),
            0xd2 => put_shown(json, self.number(4)? as i32),
            0xd3 => put_shown(json, self.number(8)?.cast_signed()),
            0xd4..=0xd8 => return self.extension(1 << (kind - 0xd4), json),
            0xd9..=0xdb => {
                let size = self.size(1 << (kind - 0xd9))?;
                return self.text(size, json);
            }
            0xdc | 0xdd => {
                let count = self.size(2 << (kind - 0xdc))?;
                return self.array(count, json, depth);
            }
            0xde | 0xdf => {
                let count = self.size(2 << (kind - 0xde))?;
                return self.map(count, json, depth);
            }
            0xe0..=0xff => put_shown(json, kind.cast_signed()),
        }
        Some(())
    }

    fn text(&mut self, size: usize, json: &mut String) -> Option<()> {
        quoted(&String::from_utf8_lossy(self.take(size)?), json);
        Some(())
    }

    fn extension(&mut self, size: usize, json: &mut String) -> Option<()> {
        let kind = self.number(1)? as i8;
        let bytes = BASE64.encode(self.take(size)?);
        _ = write!(json, r#"{{"ext":{kind},"base64":"{bytes}"}}"#);
        Some(())
    }

    fn array(&mut self, count: usize, json: &mut String, depth: usize) -> Option<()> {
        json.push('[');
        for i in 0..count {
            if i > 0 {
                json.push(',');
            }
            self.value(json, depth + 1)?;
        }
        json.push(']');
        Some(())
    }

    fn map(&mut self, count: usize, json: &mut String, depth: usize) -> Option<()> {
        json.push('{');
        for i in 0..count {
            if i > 0 {
                json.push(',');
            }
            if matches!(self.left.first(), Some(0x80..=0x9f | 0xdc..=0xdf)) {
                return None; // quoted in quotes in quotes: it would double with each
            }
            let mut key = String::new();
            self.value(&mut key, depth + 1)?;
            if key.starts_with('"') {
                json.push_str(&key);
            } else {
                quoted(&key, json);
            }
            json.push(':');
            self.value(json, depth + 1)?;
        }
        json.push('}');
        Some(())
    }
}

fn put_shown(json: &mut String, number: impl std::fmt::Display) {
    _ = write!(json, "{number}");
}

fn float<F: Into<f64> + Copy + std::fmt::Debug>(number: F, json: &mut String) {
    if number.into().is_finite() {
        // The shortest that reads the same, and always with its point.
        _ = write!(json, "{number:?}");
    } else {
        quoted(&number.into().to_string(), json);
    }
}

fn quoted(text: &str, json: &mut String) {
    json.push_str(&super::tame(&Value::from(text).to_string()));
}
