//! What the words of other programs mean: an errno, a TLS alert, an HTTP
//! status, an answer of a name server, an ICMP message; and which failures
//! Netloom makes of them.
//!
//! The tables are knowledge, not rules: they say what a word means wherever it
//! is met. Where a failure is at hand, [`crate::rules`] know more.

mod alert;
mod errno;
mod icmp;
mod rcode;
mod status;

use std::fmt;

use netloom_base::layout::Sheet;
use netloom_base::{CodeCard, Fields, Record, Stage};

use crate::catalogue::card;

/// What a word means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// What kind of word it is: `errno`, `alert`, `status`, `rcode`, `icmp`.
    pub of: &'static str,
    /// The word as its documents write it, such as `ECONNREFUSED`.
    pub name: String,
    /// The other way to write it, such as `errno 111`; empty where there is none.
    pub also: String,
    /// What it means, lower case, no full stop.
    pub says: &'static str,
    /// The stages that give it, the most usual first.
    pub stages: &'static [Stage],
    /// The codes that Netloom makes of it.
    codes: &'static [&'static str],
    /// How to go on.
    pub next: &'static [&'static str],
    /// The document that defines it.
    pub read: &'static str,
}

/// One row of a table.
#[derive(Debug, Clone, Copy)]
struct Row {
    name: &'static str,
    says: &'static str,
    stages: &'static [Stage],
    codes: &'static [&'static str],
    next: &'static [&'static str],
}

impl Row {
    fn meaning(self, of: &'static str, name: String, also: String, read: &'static str) -> Meaning {
        Meaning {
            of,
            name,
            also,
            says: self.says,
            stages: self.stages,
            codes: self.codes,
            next: self.next,
            read,
        }
    }
}

/// The meaning of a word as people write it: `ECONNREFUSED`, `errno 111`,
/// `TLS alert 48`, `unknown_ca`, `HTTP 502`, `502`, `NXDOMAIN`, `ICMP 3/13`.
pub fn find(text: &str) -> Option<Meaning> {
    let text = text.trim();
    if text.len() > 64 {
        return None;
    }
    errno::find(text)
        .or_else(|| alert::find(text))
        .or_else(|| status::find(text))
        .or_else(|| rcode::find(text))
        .or_else(|| icmp::find(text))
}

/// Every word that is a name and no number, for whoever looks for the nearest.
pub fn names() -> impl Iterator<Item = &'static str> {
    let tables = [errno::ROWS, alert::ROWS, rcode::ROWS];
    tables.into_iter().flatten().map(|row| row.name)
}

/// What comes after one of `words`, in any case: `alert 48` and `TLS alert 48`
/// both leave `48`.
fn after<'a>(text: &'a str, words: &[&str]) -> Option<&'a str> {
    words.iter().find_map(|word| {
        let (head, rest) = text.split_at_checked(word.len())?;
        let parted = rest.starts_with([' ', ':', '=']);
        (head.eq_ignore_ascii_case(word) && parted).then(|| rest[1..].trim())
    })
}

impl Meaning {
    /// The codes that Netloom makes of it, of those that are in this build.
    pub fn codes(&self) -> Vec<CodeCard> {
        self.codes.iter().filter_map(|code| card(code)).collect()
    }

    /// In words, in lines of at most `width` columns where words allow it.
    pub fn plain(&self, width: usize) -> String {
        let mut sheet = Sheet::new();
        sheet.row("means", self.says, "");
        let stages: Vec<&str> = self.stages.iter().map(|stage| stage.name()).collect();
        sheet.row("stage", stages.join(", "), "");
        let codes = self.codes();
        let widest = codes.iter().map(|card| card.code.len()).max().unwrap_or(0);
        for card in codes {
            let CodeCard { code, sentence, .. } = card;
            sheet.point("codes", format_args!("{code:<widest$}  {sentence}"));
        }
        for next in self.next {
            sheet.point("next", next);
        }
        sheet.row("read", self.read, "");
        let title = match self.also.as_str() {
            "" => self.name.clone(),
            also => format!("{}, {also}", self.name),
        };
        format!("{title}\n{}", sheet.lines(width).join("\n"))
    }
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plain(netloom_base::story::WIDTH))
    }
}

impl Record for Meaning {
    fn kind(&self) -> &'static str {
        "page"
    }

    fn fields(&self, to: &mut dyn Fields) {
        let list = |items: &[&str]| -> Vec<String> {
            items.iter().map(|item| (*item).to_owned()).collect()
        };
        to.text("of", self.of);
        to.text("name", &self.name);
        if !self.also.is_empty() {
            to.text("also", &self.also);
        }
        to.text("text", self.says);
        let stages: Vec<&str> = self.stages.iter().map(|stage| stage.name()).collect();
        to.texts("stages", &list(&stages));
        let codes = self.codes();
        let codes: Vec<&str> = codes.iter().map(|card| card.code).collect();
        to.texts("codes", &list(&codes));
        to.texts("next", &list(self.next));
        to.text("read", self.read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::comes_with_a_protocol;

    fn all() -> impl Iterator<Item = &'static Row> {
        [
            errno::ROWS,
            alert::ROWS,
            status::ROWS,
            rcode::ROWS,
            icmp::ROWS,
        ]
        .into_iter()
        .flatten()
    }

    #[test]
    fn every_code_that_is_named_exists() {
        for row in all() {
            for code in row.codes {
                let here = card(code).is_some() || comes_with_a_protocol(code);
                assert!(here, "{}: no such code: {code}", row.name);
            }
        }
    }

    #[test]
    fn every_row_is_in_house_style_and_says_how_to_go_on() {
        for row in all() {
            let says = row.says;
            let begins = says.starts_with(|c: char| !c.is_uppercase())
                || says.starts_with(|c: char| c.is_ascii_uppercase())
                    && says.chars().nth(1).is_some_and(char::is_uppercase);
            assert!(begins && !says.ends_with('.'), "{}: {says}", row.name);
            assert!(
                !row.stages.is_empty() && !row.next.is_empty(),
                "{}",
                row.name
            );
            for next in row.next {
                assert!(
                    !next.is_empty() && !next.ends_with('.'),
                    "{}: {next}",
                    row.name
                );
            }
        }
    }

    #[test]
    fn words_are_read_as_people_write_them() {
        for (text, name) in [
            ("ECONNREFUSED", "ECONNREFUSED"),
            ("econnreset", "ECONNRESET"),
            ("TLS alert 48", "unknown_ca"),
            ("alert 48", "unknown_ca"),
            ("alert unknown_ca", "unknown_ca"),
            ("Unknown-CA", "unknown_ca"),
            ("502", "HTTP 502"),
            ("HTTP 502", "HTTP 502"),
            ("http 407", "HTTP 407"),
            ("NXDOMAIN", "NXDOMAIN"),
            ("servfail", "SERVFAIL"),
            ("rcode 5", "REFUSED"),
            ("ICMP 3/13", "ICMP 3/13"),
            ("icmp 3 13", "ICMP 3/13"),
            ("ICMP 11/0", "ICMP 11/0"),
            ("ICMPv6 1/4", "ICMPv6 1/4"),
        ] {
            let found = find(text).unwrap_or_else(|| panic!("{text} means nothing"));
            assert_eq!(found.name, name, "{text}");
            assert!(!found.plain(80).is_empty());
        }
        #[cfg(target_os = "linux")]
        assert_eq!(
            find("errno 111").map(|found| found.name).as_deref(),
            Some("ECONNREFUSED")
        );
        for nothing in [
            "111",
            "host:80",
            "tcp://h:1",
            "alert 255",
            "HTTP 999",
            "ICMP 99/0",
            "",
        ] {
            assert_eq!(find(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn no_name_stands_for_two_things() {
        let all: Vec<&str> = names().collect();
        for (i, name) in all.iter().enumerate() {
            let same = |other: &&str| other.eq_ignore_ascii_case(name);
            assert!(!all[..i].iter().any(same), "{name} stands twice");
        }
    }
}
