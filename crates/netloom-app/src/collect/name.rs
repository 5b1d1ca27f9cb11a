//! How the files are called. Nothing that a client says gets into a name.

use netloom_base::Timestamp;
use netloom_base::Value;
use netloom_base::settings::FromValue;

/// A name may be so long, before what makes it unique.
const LONGEST: usize = 120;

/// So much of a peer's address is in a name.
const LONGEST_PEER: usize = 60;

/// A name with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Time,
    Peer,
    Conn,
}

impl Template {
    /// When, who and which, oldest first in a sorted list.
    pub(super) fn usual() -> Self {
        let dash = || Part::Text("-".to_owned());
        Template(vec![Part::Time, dash(), Part::Peer, dash(), Part::Conn])
    }

    /// The name of one connection's file: letters, digits, `.`, `-` and `_`.
    pub(super) fn fill(&self, at: Timestamp, peer: &str, conn: u64) -> String {
        let mut name = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => name.push_str(text),
                // Without the colons, which some systems do not take in a name.
                Part::Time => name.extend(at.to_string().chars().filter(|c| !"-:".contains(*c))),
                Part::Peer => name.extend(peer.chars().map(harmless).take(LONGEST_PEER)),
                Part::Conn => name.push_str(&conn.to_string()),
            }
        }
        if name.starts_with('.') {
            name.replace_range(..1, "_");
        }
        name
    }
}

fn is_harmless(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

fn harmless(c: char) -> char {
    if is_harmless(c) { c } else { '_' }
}

impl FromValue for Template {
    const HINT: &'static str = "NAME";

    fn from_value(value: &Value) -> Result<Self, String> {
        let text = value.to_string();
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, from)) = rest.split_once('{') {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (hole, after) = from
                .split_once('}')
                .ok_or_else(|| format!("a `{{` of `{text}` is never closed"))?;
            parts.push(match hole {
                "time" => Part::Time,
                "peer" => Part::Peer,
                "conn" => Part::Conn,
                other => {
                    return Err(format!(
                        "`{{{other}}}` is not known; there are {{time}}, {{peer}} and {{conn}}"
                    ));
                }
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let own = parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        });
        if let Some(wrong) = own.flat_map(str::chars).find(|c| !is_harmless(*c)) {
            return Err(format!(
                "`{wrong}` cannot stand in the name of a file here: letters, digits, `.`, `-` and `_` can"
            ));
        }
        match parts.first() {
            None => Err("a name is needed, such as {time}-{peer}-{conn}".to_owned()),
            Some(Part::Text(text)) if text.starts_with('.') => Err(
                "a name that begins with a dot is hidden, and ours while it is written".to_owned(),
            ),
            _ if text.len() > LONGEST => Err(format!("a name may have {LONGEST} characters")),
            _ => Ok(Template(parts)),
        }
    }

    fn to_value(&self) -> Option<Value> {
        let words = self.0.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Time => "{time}",
            Part::Peer => "{peer}",
            Part::Conn => "{conn}",
        });
        Some(Value::Text(words.collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(text: &str) -> Result<Template, String> {
        Template::from_value(&Value::from(text))
    }

    #[test]
    fn a_name_has_what_its_holes_say_and_nothing_that_leads_elsewhere() {
        let at = Timestamp::since_epoch(Duration::from_millis(1_700_000_000_250));
        let usual = read("{time}-{peer}-{conn}").unwrap();
        assert_eq!(usual, Template::usual());
        let name = usual.fill(at, "[fe80::1%eth0]:80", 7);
        assert_eq!(name, "20231114T221320.250000Z-_fe80__1_eth0__80-7");
        let name = read("{peer}").unwrap().fill(at, "../../etc/passwd\0\n", 1);
        assert_eq!(name, "_._.._etc_passwd__");
        let long = "x".repeat(4000);
        assert!(usual.fill(at, &long, u64::MAX).len() < 200);
    }

    #[test]
    fn a_template_that_cannot_be_a_name_is_refused() {
        for wrong in [
            "",
            "a/b",
            ".hidden",
            "{who}",
            "{time",
            "a b",
            "ü",
            &"x".repeat(121),
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        for right in ["{conn}", "log.{time}.bin", "x"] {
            let template = read(right).unwrap();
            assert_eq!(template.to_value().unwrap().to_string(), right);
        }
    }
}
