//! How targets are chosen, watched and waited for, as a person says it.

use std::path::PathBuf;
use std::time::Duration;

use netloom_base::settings::FromValue;
use netloom_base::{SettingError, Value, settings};

use super::choice::Balance;

settings! {
    /// How targets are chosen, watched and waited for.
    pub struct Rules {
        /// how a target is chosen: round-robin, least-connections, least-time, power-of-two, source or first
        balance: Balance = Balance::RoundRobin,
        /// a file with targets, one a line, read again when it changes
        to_file: Option<PathBuf>,
        /// how long the share of a target that came back grows to its whole
        slow_start: Duration = Duration::ZERO,
        /// at most so many connections to a target at a time, unless it says otherwise
        target_conns: Option<u32>,
        /// how many connections may wait while every target has as many as it may
        queue: u32 = 1000,
        /// how long one waits there
        queue_timeout: Duration = Duration::from_secs(5),
        /// how targets are checked: connect, tls, http or send
        check: Option<Check>,
        /// how long between two checks of a target
        check_every: Duration = Duration::from_secs(5),
        /// how long a check may take
        check_timeout: Duration = Duration::from_secs(2),
        /// how many good checks in a row bring a target back
        rise: u32 = 2,
        /// how many failed checks in a row take a target out
        fall: u32 = 3,
        /// what a check says, with the escapes \r \n \t \0 \\ \xNN
        check_send: Option<String>,
        /// what a check waits for, with the same escapes
        check_expect: Option<String>,
        /// what a check by http asks for [default: /]
        check_path: Option<String>,
        /// the host a check by http asks for [default: the target's]
        check_host: Option<String>,
        /// which statuses are good, such as 200 or 200-299,401 [default: 200-399]
        check_status: Option<Statuses>,
        /// how many failed dials in a row leave a target out for a while; 0 is never
        eject_after: u32 = 3,
        /// how long it is left out the first time; twice as long each further time
        eject_for: Duration = Duration::from_secs(5),
        /// how long it is left out at most
        eject_most: Duration = Duration::from_mins(5),
    }
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            balance: Balance::RoundRobin,
            to_file: None,
            slow_start: Duration::ZERO,
            target_conns: None,
            queue: 1000,
            queue_timeout: Duration::from_secs(5),
            check: None,
            check_every: Duration::from_secs(5),
            check_timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
            check_send: None,
            check_expect: None,
            check_path: None,
            check_host: None,
            check_status: None,
            eject_after: 3,
            eject_for: Duration::from_secs(5),
            eject_most: Duration::from_mins(5),
        }
    }
}

/// The least time between two checks of a target.
const LEAST_EVERY: Duration = Duration::from_millis(10);

impl Rules {
    /// What is wrong with them together.
    ///
    /// # Errors
    /// A key without the one it belongs to, and values nobody can keep to.
    pub fn check(&self) -> Result<(), Vec<SettingError>> {
        let mut errors = Vec::new();
        let mut wrong = |key: &str, message: &str| {
            errors.push(SettingError::new(key, None, message.to_owned()));
        };
        let sends = self.check == Some(Check::Send);
        if self.check_send.is_some() && !sends {
            wrong("check-send", "`check-send` goes with `check = send`");
        }
        if self.check_expect.is_some() && !sends {
            wrong("check-expect", "`check-expect` goes with `check = send`");
        }
        if sends && self.check_expect.is_none() {
            wrong("check-expect", "`check = send` needs `check-expect`");
        }
        let asks = self.check == Some(Check::Http);
        let http_only = [
            ("check-path", self.check_path.is_some()),
            ("check-host", self.check_host.is_some()),
            ("check-status", self.check_status.is_some()),
        ];
        for (key, _) in http_only.iter().filter(|(_, given)| *given && !asks) {
            wrong(key, &format!("`{key}` goes with `check = http`"));
        }
        if self.check_every < LEAST_EVERY {
            wrong("check-every", "checks are 10ms apart at least");
        }
        for (key, time) in [
            ("check-timeout", self.check_timeout),
            ("queue-timeout", self.queue_timeout),
            ("eject-for", self.eject_for),
        ] {
            if time.is_zero() {
                wrong(key, &format!("`{key}` is more than nothing"));
            }
        }
        for (key, times) in [("rise", self.rise), ("fall", self.fall)] {
            if times == 0 {
                wrong(key, &format!("`{key}` is 1 at least"));
            }
        }
        if self.target_conns == Some(0) {
            wrong("target-conns", "`target-conns` is 1 at least");
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }
}

/// How a target is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// It can be connected to.
    Connect,
    /// It shakes hands over TLS, whosever certificate it has.
    Tls,
    /// It answers a request with a good status.
    Http,
    /// It says what is expected, maybe after something was said to it.
    Send,
}

impl FromValue for Check {
    const HINT: &'static str = "HOW";

    fn from_value(value: &Value) -> Result<Self, String> {
        match value.to_string().as_str() {
            "connect" => Ok(Check::Connect),
            "tls" => Ok(Check::Tls),
            "http" => Ok(Check::Http),
            "send" => Ok(Check::Send),
            other => Err(format!(
                "connect, tls, http or send is expected, not `{other}`"
            )),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::from(match self {
            Check::Connect => "connect",
            Check::Tls => "tls",
            Check::Http => "http",
            Check::Send => "send",
        }))
    }
}

/// Statuses of HTTP: single ones and ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    /// Whether it is one of these.
    pub fn has(&self, status: u16) -> bool {
        let mut ranges = self.0.iter();
        ranges.any(|(from, to)| (*from..=*to).contains(&status))
    }
}

/// An answer, or one that says where the answer is.
impl Default for Statuses {
    fn default() -> Self {
        Statuses(vec![(200, 399)])
    }
}

impl std::fmt::Display for Statuses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (from, to)) in self.0.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { "," })?;
            if from == to {
                write!(f, "{from}")?;
            } else {
                write!(f, "{from}-{to}")?;
            }
        }
        Ok(())
    }
}

impl FromValue for Statuses {
    const HINT: &'static str = "STATUS";

    fn from_value(value: &Value) -> Result<Self, String> {
        let text = value.to_string();
        let wanted =
            || format!("statuses from 100 to 999 are expected, such as 200-299,401, not `{text}`");
        let one = |text: &str| {
            let (from, to) = text.split_once('-').unwrap_or((text, text));
            let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
            (100 <= from && from <= to && to <= 999).then_some((from, to))
        };
        let ranges: Option<Vec<(u16, u16)>> = text.split(',').map(one).collect();
        ranges.map(Statuses).ok_or_else(wanted)
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::from(self.to_string().as_str()))
    }
}
