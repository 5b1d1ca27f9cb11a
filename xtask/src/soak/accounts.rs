//! What the forwarder wrote of the conversations it carried.

use crate::Outcome;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// What a conversation may end by here: one kind is reset by its client.
const REASONS: [&str; 3] = ["end", "recv.reset", "send.peer-closed"];

/// Conversations by the highest gear that carried them.
#[derive(Debug, PartialEq)]
pub(super) struct Accounts(BTreeMap<String, u64>);

impl Accounts {
    /// Reads an access log, which must tell of nothing but what was done here,
    /// and of some that the kernel carried.
    pub(super) fn read(log: &Path) -> Outcome<Self> {
        let failed = |error: std::io::Error| format!("{}: {error}", log.display());
        let lines = BufReader::new(File::open(log).map_err(failed)?).lines();
        Accounts::of(lines.map(|line| line.map_err(failed)))
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.0.values().sum()
    }

    fn of(lines: impl Iterator<Item = Outcome<String>>) -> Outcome<Self> {
        let mut gears = BTreeMap::new();
        for line in lines {
            let line = line?;
            let account: Value =
                serde_json::from_str(&line).map_err(|error| format!("{error} in {line}"))?;
            let text = |name: &str| account[name].as_str().unwrap_or_default();
            let by_client = text("closed_by") == "client" || text("reason") == "end";
            if !REASONS.contains(&text("reason")) || !by_client {
                return Err(format!("one ended so: {line}"));
            }
            *gears.entry(text("gear").to_owned()).or_default() += 1_u64;
        }
        if gears.contains_key("splice") {
            Ok(Accounts(gears))
        } else {
            Err(format!("nothing was spliced: {gears:?}"))
        }
    }
}

impl fmt::Display for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("by their highest gear")?;
        for (i, (gear, count)) in self.0.iter().enumerate() {
            write!(f, "{} {count} {gear}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Accounts;

    fn of(lines: &[(&str, &str, &str)]) -> Result<Accounts, String> {
        let line = |(gear, by, reason): &(&str, &str, &str)| {
            let line = serde_json::json!({ "gear": gear, "closed_by": by, "reason": reason });
            Ok(line.to_string())
        };
        Accounts::of(lines.iter().map(line))
    }

    #[test]
    fn what_was_not_done_here_or_not_spliced_is_seen() {
        let good = [
            ("idle", "client", "end"),
            ("splice", "target", "end"),
            ("splice", "client", "recv.reset"),
        ];
        let read = of(&good).unwrap();
        assert_eq!(read.to_string(), "by their highest gear 1 idle, 2 splice");
        assert_eq!(read.count(), 3);
        assert!(of(&good[..1]).unwrap_err().contains("nothing was spliced"));
        for bad in [
            ("splice", "target", "recv.reset"),
            ("splice", "us", "limit.idle"),
            ("idle", "client", "recv.other"),
        ] {
            assert!(of(&[good[1], bad]).is_err(), "{bad:?}");
        }
    }
}
