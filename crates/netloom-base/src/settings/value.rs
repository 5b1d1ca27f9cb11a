//! Values as people write them, and the types they are read into.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A value before anybody has said what it should be.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// The key alone, without a value: a switch turned on.
    Present,
    /// Text from a flag, an option or a file.
    Text(String),
    /// A whole number from a file or a program.
    Int(i64),
    /// A real number from a file or a program.
    Real(f64),
    /// Yes or no.
    Bool(bool),
    /// Several values.
    List(Vec<Value>),
    /// Text that must never be shown.
    Hidden(Secret),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Value {
    /// The value as it is written in an endpoint's option or after a flag.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Present => f.write_str("true"),
            Value::Text(text) => f.write_str(text),
            Value::Int(n) => write!(f, "{n}"),
            Value::Real(n) => write!(f, "{n}"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Hidden(secret) => write!(f, "{secret:?}"),
            Value::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { "" } else { "," })?;
                }
                Ok(())
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Value::Bool(b)
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Value::Int(n)
    }
}

/// Text that is never printed: passwords, keys, tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being shown.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// A number of bytes, written `64`, `64KiB`, `1.5MB`, `2G` (binary).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut n, mut unit) = (self.0, "");
        for next in ["KiB", "MiB", "GiB", "TiB"] {
            if n == 0 || n % 1024 != 0 {
                break;
            }
            (n, unit) = (n / 1024, next);
        }
        write!(f, "{n}{unit}")
    }
}

/// A type a setting can be read into.
pub trait FromValue: Sized {
    /// The form of the value, for help. Empty for a switch.
    const HINT: &'static str;
    /// Whether several choices make one value.
    const MANY: bool = false;

    /// Reads it, or says what was expected.
    fn from_value(value: &Value) -> Result<Self, String>;

    /// Writes it so that `from_value` reads the same; `None` when there is nothing to write.
    fn to_value(&self) -> Option<Value>;

    /// What it is when nobody chose and the room gave no default.
    fn absent() -> Option<Self> {
        None
    }
}

impl FromValue for bool {
    const HINT: &'static str = "";

    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Present => Ok(true),
            Value::Bool(b) => Ok(*b),
            Value::Text(t) => match t.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Ok(true),
                "false" | "no" | "off" | "0" => Ok(false),
                _ => Err(format!("`{t}` is neither true nor false")),
            },
            other => Err(format!("`{other}` is neither true nor false")),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::Bool(*self))
    }

    fn absent() -> Option<Self> {
        Some(false)
    }
}

macro_rules! whole_numbers {
    ($($ty:ty),*) => {$(
        impl FromValue for $ty {
            const HINT: &'static str = "N";

            fn from_value(value: &Value) -> Result<Self, String> {
                let wanted = || format!("a whole number from {} to {} is expected, not `{value}`", <$ty>::MIN, <$ty>::MAX);
                match value {
                    Value::Int(n) => <$ty>::try_from(*n).map_err(|_| wanted()),
                    Value::Text(t) => t.replace('_', "").parse().map_err(|_| wanted()),
                    _ => Err(wanted()),
                }
            }

            fn to_value(&self) -> Option<Value> {
                Some(i64::try_from(*self).map_or_else(|_| Value::Text(self.to_string()), Value::Int))
            }
        }
    )*};
}
whole_numbers!(u8, u16, u32, u64, usize, i32, i64);

impl FromValue for f64 {
    const HINT: &'static str = "NUMBER";

    fn from_value(value: &Value) -> Result<Self, String> {
        let number = match value {
            Value::Int(n) => *n as f64,
            Value::Real(n) => *n,
            Value::Text(t) => t.parse().unwrap_or(f64::NAN),
            _ => f64::NAN,
        };
        if number.is_finite() {
            Ok(number)
        } else {
            Err(format!("a number is expected, not `{value}`"))
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::Real(*self))
    }
}

impl FromValue for String {
    const HINT: &'static str = "TEXT";

    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(t) => Ok(t.clone()),
            Value::Int(_) | Value::Real(_) | Value::Bool(_) => Ok(value.to_string()),
            _ => Err("text is expected".to_owned()),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::Text(self.clone()))
    }
}

impl FromValue for PathBuf {
    const HINT: &'static str = "PATH";

    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(t) if !t.is_empty() => Ok(PathBuf::from(t)),
            _ => Err("a path is expected".to_owned()),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::Text(self.to_string_lossy().into_owned()))
    }
}

impl FromValue for Secret {
    const HINT: &'static str = "SECRET";

    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Hidden(secret) => Ok(secret.clone()),
            Value::Text(t) => Ok(Secret::new(t.clone())),
            _ => Err("text is expected".to_owned()),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::Hidden(self.clone()))
    }
}

impl FromValue for ByteSize {
    const HINT: &'static str = "SIZE";

    fn from_value(value: &Value) -> Result<Self, String> {
        let wanted = || format!("a size such as 64KiB, 10MB or 2GiB is expected, not `{value}`");
        match value {
            Value::Int(n) => u64::try_from(*n).map(ByteSize).map_err(|_| wanted()),
            Value::Text(t) => {
                let scale = |unit: &str| {
                    Some(match unit.to_ascii_lowercase().as_str() {
                        "" | "b" => 1.0,
                        "k" | "kib" => 1024.0,
                        "kb" => 1e3,
                        "m" | "mib" => 1_048_576.0,
                        "mb" => 1e6,
                        "g" | "gib" => 1_073_741_824.0,
                        "gb" => 1e9,
                        "t" | "tib" => 1_099_511_627_776.0,
                        "tb" => 1e12,
                        _ => return None,
                    })
                };
                let (number, unit) = split_unit(t);
                if unit.is_empty() {
                    return number.parse().map(ByteSize).map_err(|_| wanted());
                }
                let bytes = number
                    .parse::<f64>()
                    .ok()
                    .zip(scale(unit))
                    .map(|(n, s)| n * s);
                match bytes {
                    Some(b) if b.is_finite() && (0.0..=9e18).contains(&b) => {
                        Ok(ByteSize(b.round() as u64))
                    }
                    _ => Err(wanted()),
                }
            }
            _ => Err(wanted()),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::Text(self.to_string()))
    }
}

impl FromValue for Duration {
    const HINT: &'static str = "DURATION";

    fn from_value(value: &Value) -> Result<Self, String> {
        let wanted =
            || format!("a duration such as 500ms, 30s, 5m, 1h or 30d is expected, not `{value}`");
        match value {
            Value::Int(n) => u64::try_from(*n)
                .map(Duration::from_secs)
                .map_err(|_| wanted()),
            Value::Real(n) => Duration::try_from_secs_f64(*n).map_err(|_| wanted()),
            Value::Text(t) => {
                let (number, unit) = split_unit(t);
                let scale = match unit {
                    "us" | "µs" => 1e-6,
                    "ms" => 1e-3,
                    "" | "s" => 1.0,
                    "m" | "min" => 60.0,
                    "h" => 3600.0,
                    "d" => 86400.0,
                    "w" => 604_800.0,
                    _ => return Err(wanted()),
                };
                let seconds = number.parse::<f64>().map_err(|_| wanted())? * scale;
                // A thousand years: enough for any wait, small enough to add to a clock.
                match Duration::try_from_secs_f64(seconds) {
                    Ok(d) if d.as_secs() <= 31_536_000_000 => Ok(d),
                    _ => Err(wanted()),
                }
            }
            _ => Err(wanted()),
        }
    }

    fn to_value(&self) -> Option<Value> {
        let text = match (self.as_secs(), self.subsec_nanos()) {
            (0, 0) => "0s".to_owned(),
            (s, 0) if s % 86400 == 0 => format!("{}d", s / 86400),
            (s, 0) if s % 3600 == 0 => format!("{}h", s / 3600),
            (s, 0) if s % 60 == 0 => format!("{}m", s / 60),
            (s, 0) => format!("{s}s"),
            (_, n) if n % 1_000_000 == 0 => format!("{}ms", self.as_millis()),
            _ => format!("{}us", self.as_micros()),
        };
        Some(Value::Text(text))
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const HINT: &'static str = T::HINT;

    fn from_value(value: &Value) -> Result<Self, String> {
        T::from_value(value).map(Some)
    }

    fn to_value(&self) -> Option<Value> {
        self.as_ref().and_then(T::to_value)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    const HINT: &'static str = T::HINT;
    const MANY: bool = true;

    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::List(items) => items.iter().map(T::from_value).collect(),
            one => T::from_value(one).map(|v| vec![v]),
        }
    }

    fn to_value(&self) -> Option<Value> {
        if self.is_empty() {
            None
        } else {
            Some(Value::List(self.iter().filter_map(T::to_value).collect()))
        }
    }

    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let at = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    (&text[..at], text[at..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: FromValue>(text: &str) -> Result<T, String> {
        T::from_value(&Value::from(text))
    }

    #[test]
    fn durations_and_sizes_read_as_people_write_them() {
        assert_eq!(read("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(read("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(read("2"), Ok(Duration::from_secs(2)));
        assert_eq!(read("1h"), Ok(Duration::from_hours(1)));
        assert_eq!(read("12h"), Ok(Duration::from_hours(12)));
        assert_eq!(read("30d"), Ok(Duration::from_hours(30 * 24)));
        assert_eq!(read("2w"), Ok(Duration::from_hours(14 * 24)));
        assert_eq!(read("64KiB"), Ok(ByteSize(65536)));
        assert_eq!(read("1.5MB"), Ok(ByteSize(1_500_000)));
        assert_eq!(read("2g"), Ok(ByteSize(2 << 30)));
        assert!(read::<Duration>("-1s").is_err());
        assert!(read::<Duration>("1e99h").is_err());
        assert!(read::<Duration>("soon").is_err());
        assert!(read::<ByteSize>("64 parsecs").is_err());
        assert!(read::<u16>("70000").is_err());
        assert!(read::<f64>("inf").is_err());
    }

    #[test]
    fn a_secret_is_never_shown() {
        let value = Value::Hidden(Secret::new("hunter2"));
        assert_eq!(format!("{value} {value:?}"), "(hidden) (hidden)");
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_the_same(micros in 0u64..4_000_000_000_000, bytes: u64, flag: bool) {
            let d = Duration::from_micros(micros);
            let written = d.to_value().map(|v| Duration::from_value(&v));
            let off = written.and_then(Result::ok).map(|back| back.abs_diff(d));
            proptest::prop_assert!(off.is_some_and(|o| o < Duration::from_micros(1)));
            let bytes = ByteSize(bytes >> 12);
            proptest::prop_assert_eq!(bytes.to_value().map(|v| ByteSize::from_value(&v)), Some(Ok(bytes)));
            proptest::prop_assert_eq!(flag.to_value().map(|v| bool::from_value(&v)), Some(Ok(flag)));
        }
    }
}
