//! The head of an HTTP proxy's answer: its status line, and the few headers
//! that say why it refused. No more is kept than a refusal is explained with.

use httparse::ParserConfig;

use crate::http;

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
        // No empty line stands before it.
        if bytes.first().is_some_and(|first| *first != b'H') {
            return Err(());
        }
        // Whoever refuses may write bad lines: they tell nothing and are passed over.
        let mut way = ParserConfig::default();
        way.ignore_invalid_headers_in_responses(true);
        let read = http::Head::read_as(&way, LONGEST_HEAD, bytes).map_err(|_| ())?;
        Ok(read.map(|(head, length)| (Head::of(&head), length)))
    }

    /// What is kept of it.
    fn of(head: &http::Head) -> Head {
        let telling = |(name, _): &(&str, &str)| TELLING.contains(name);
        let told = head.headers.iter().filter(telling).take(8);
        Head {
            status: head.status,
            reason: printable(&head.reason),
            told: told
                .map(|(name, value)| (name.to_owned(), printable(value)))
                .collect(),
        }
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

/// What may be shown of it.
fn printable(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(200).collect()
}
