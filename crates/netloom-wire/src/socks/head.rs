//! The head of an HTTP proxy's answer: its status line, and the few headers
//! that say why it refused.
// To be joined with `wire::http::Head`, which reads every header; this one
// keeps no more than a refusal is explained with.

/// The longest head that is read, in bytes.
pub const LONGEST_HEAD: usize = 16 * 1024;

/// The headers that say who refused and what it wants.
const TELLING: [&str; 4] = ["proxy-authenticate", "server", "via", "x-squid-error"];

/// An HTTP proxy's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status, from 100 to 999.
    pub status: u16,
    /// The words after it; empty where there are none.
    pub reason: String,
    /// The headers that say who answered and why, each with its name in lower case.
    pub told: Vec<(String, String)>,
}

impl Head {
    /// Reads a head, and says how many bytes it has. `Ok(None)` while it has
    /// not come whole, `Err` for what is no head of HTTP/1 or is too long.
    #[expect(clippy::result_unit_err, reason = "there is one way to be no head")]
    pub fn read(bytes: &[u8]) -> Result<Option<(Head, usize)>, ()> {
        const WORD: &[u8] = b"HTTP/1.";
        let begins = WORD.len().min(bytes.len());
        if bytes[..begins] != WORD[..begins] {
            return Err(());
        }
        let seen = &bytes[..bytes.len().min(LONGEST_HEAD)];
        let Some(length) = end(seen) else {
            return if bytes.len() >= LONGEST_HEAD {
                Err(())
            } else {
                Ok(None)
            };
        };
        let text = String::from_utf8_lossy(&seen[..length]);
        let mut lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
        let (status, reason) = lines.next().and_then(status_line).ok_or(())?;
        let told = lines.filter_map(telling).take(8).collect();
        let head = Head {
            status,
            reason,
            told,
        };
        Ok(Some((head, length)))
    }

    /// The status as it reads: `407 Proxy Authentication Required`.
    pub fn status_line(&self) -> String {
        format!("{} {}", self.status, self.reason)
            .trim_end()
            .to_owned()
    }

    /// The value of one of the headers that are kept; `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let of_name = self.told.iter().find(|(own, _)| own == name);
        of_name.map(|(_, value)| &**value)
    }
}

/// Where the empty line ends.
fn end(bytes: &[u8]) -> Option<usize> {
    let mut line = 0;
    for (i, byte) in bytes.iter().enumerate() {
        if *byte == b'\n' {
            if matches!(&bytes[line..i], b"" | b"\r") {
                return Some(i + 1);
            }
            line = i + 1;
        }
    }
    None
}

/// `HTTP/1.1 200 Connection established`
fn status_line(line: &str) -> Option<(u16, String)> {
    let mut words = line.splitn(3, ' ');
    let version = words.next()?.strip_prefix("HTTP/1.")?;
    let digits = words.next()?;
    let three = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let status = digits.parse().ok().filter(|status| *status >= 100)?;
    (three && version.len() == 1).then(|| (status, printable(words.next().unwrap_or_default())))
}

fn telling(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let name = name.to_ascii_lowercase();
    TELLING
        .contains(&&*name)
        .then(|| (name, printable(value.trim())))
}

/// What may be shown of it.
fn printable(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(200).collect()
}
