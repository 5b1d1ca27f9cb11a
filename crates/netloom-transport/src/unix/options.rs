//! The options of a unix socket.

use netloom_base::settings::FromValue;
use netloom_base::{Value, settings};

settings! {
    /// Options of a bound unix endpoint.
    pub struct ListenOptions {
        /// who may connect: the permissions of the socket file, octal such as 600 (chmod(1))
        mode: Option<Mode>,
        /// connections the kernel queues before they are accepted (listen(2))
        backlog: u32 = 4096,
    }
}

/// The permissions of a file, written octal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl FromValue for Mode {
    const HINT: &'static str = "MODE";

    fn from_value(value: &Value) -> Result<Self, String> {
        let wanted = || format!("octal permissions such as 600 or 660 are expected, not `{value}`");
        match value {
            Value::Text(text) => {
                let digits = text.strip_prefix("0o").unwrap_or(text);
                let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                match u32::from_str_radix(digits, 8) {
                    Ok(bits) if plain && bits <= 0o777 => Ok(Mode(bits)),
                    _ => Err(wanted()),
                }
            }
            // A file's `600` and `0o600` are two different numbers, and only the writer knows which was meant.
            Value::Int(_) => Err(format!("octal permissions stand in quotes: \"{value}\"")),
            _ => Err(wanted()),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::Text(format!("{:03o}", self.0)))
    }
}
