//! A complaint about something a person typed: the text, the wrong part, what
//! is wrong with it, and the nearest thing that would have been right.

use std::fmt;
use std::ops::Range;

/// What is wrong with a piece of text, and where.
///
/// `Display` draws one to four lines:
///
/// ```text
/// tcp://:99999: a port is a number from 0 to 65535
///   tcp://:99999
///          ^^^^^
///   nearest: tcp://:9999
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The line the person wrote, without its newline.
    pub text: String,
    /// The wrong part, in bytes of `text`; an empty span points between two characters.
    pub span: Range<usize>,
    /// What is wrong, lower case, no full stop.
    pub message: String,
    /// The nearest valid form.
    pub suggestion: Option<String>,
    /// Where the line stands, when it came from a file.
    pub place: Option<Place>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name as the person gave it.
    pub file: String,
    /// The line's number, from 1.
    pub line: usize,
}

impl Complaint {
    /// A complaint about `span` of `text`. The span is cut to the text.
    pub fn new(text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let start = floor_boundary(text, span.start);
        let end = floor_boundary(text, span.end.max(start));
        Complaint {
            text: text.to_owned(),
            span: start..end,
            message: message.into(),
            suggestion: None,
            place: None,
        }
    }

    /// The same with the nearest valid form.
    pub fn suggest(mut self, suggestion: impl Into<Option<String>>) -> Self {
        self.suggestion = suggestion.into();
        self
    }

    /// The complaint of a whole file's text, reduced to the line its span begins in.
    pub fn in_file(file: &str, text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let at = floor_boundary(text, span.start);
        let line_start = text[..at].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[at..].find('\n').map_or(text.len(), |i| at + i);
        let line = text[line_start..line_end].trim_end_matches('\r');
        let end = span
            .end
            .clamp(at, line_start + line.len().max(at - line_start));
        let mut complaint = Complaint::new(line, at - line_start..end - line_start, message);
        complaint.place = Some(Place {
            file: file.to_owned(),
            line: text[..at].matches('\n').count() + 1,
        });
        complaint
    }

    /// The drawing alone: the line and the caret under the wrong part.
    pub fn caret(&self) -> String {
        let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        let line: String = self.text.chars().map(shown).collect();
        let before = self.text[..self.span.start].chars().count();
        let width = self.text[self.span.clone()].chars().count().max(1);
        format!("  {line}\n  {}{}", " ".repeat(before), "^".repeat(width))
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{}:{}: ", place.file, place.line)?;
        }
        write!(f, "{}\n{}", self.message, self.caret())?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, "\n  nearest: {suggestion}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Complaint {}

/// The candidate closest to `word`, if any is close enough to be what was meant.
///
/// Distance counts insertions, deletions, substitutions and swaps of neighbours
/// (optimal string alignment); a candidate farther than a third of the word's
/// length (at least one) is no help.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64; // typed words are short; a long one has no near neighbour
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase();
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|c| c.len() <= LONGEST)
        .map(|c| (distance(&word, c), c))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_the_caret_under_the_wrong_part() {
        let complaint = Complaint::new("tcp://héllo:x1", 13..15, "a port is a number")
            .suggest("tcp://héllo:1".to_owned());
        let drawn = [
            "a port is a number",
            "  tcp://héllo:x1",
            "              ^^",
            "  nearest: tcp://héllo:1",
        ];
        assert_eq!(complaint.to_string(), drawn.join("\n"));
    }

    #[test]
    fn reduces_a_file_to_the_line() {
        let file = "a = 1\nb = what\nc = 3\n";
        let complaint = Complaint::in_file("netloom.toml", file, 10..14, "not a number");
        assert_eq!(
            complaint.to_string(),
            "netloom.toml:2: not a number\n  b = what\n      ^^^^"
        );
    }

    #[test]
    fn spans_outside_the_text_are_cut() {
        let complaint = Complaint::new("ab", 5..9, "too short");
        assert_eq!(complaint.span, 2..2);
        assert!(complaint.to_string().ends_with("    ^"));
        let at_end = Complaint::in_file("f", "a\nb", 99..120, "end");
        assert_eq!(at_end.place.as_ref().map(|p| p.line), Some(2));
    }

    #[test]
    fn finds_what_was_meant() {
        let words = ["echo", "discard", "reply", "max-conns"];
        assert_eq!(nearest("ehco", words), Some("echo"));
        assert_eq!(nearest("dicard", words), Some("discard"));
        assert_eq!(nearest("max-conn", words), Some("max-conns"));
        assert_eq!(nearest("zebra", words), None);
    }
}
