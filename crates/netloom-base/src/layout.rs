//! Rows under headings: how a story, an answer or a page stands on a terminal.
//!
//! ```text
//!   heading   what is told, which may go on        (who said it)
//!             in a second line
//! ```
//!
//! Widths are counted in columns of a terminal, where a Chinese character
//! takes two.

use std::fmt::Display;

/// The column where a row's text begins.
pub const TEXT: usize = 12;

/// The columns of a heading.
const HEADING: usize = 9;

/// The least room for text, however narrow the terminal.
const LEAST: usize = 24;

/// Rows under headings.
#[derive(Debug, Clone, Default)]
pub struct Sheet(Vec<Row>);

#[derive(Debug, Clone)]
enum Row {
    /// Heading, text, and who said it.
    Told(String, String, String),
    /// Heading and text, of which the second line is indented.
    Point(String, String),
    /// Text that is never broken, such as a command.
    Fixed(String),
    /// An empty line.
    Gap,
}

impl Sheet {
    /// No rows yet.
    pub fn new() -> Self {
        Sheet::default()
    }

    /// A row. The same heading as before is not written twice in a row.
    pub fn row(&mut self, heading: &str, text: impl Display, source: impl Display) {
        let row = Row::Told(heading.to_owned(), text.to_string(), source.to_string());
        self.0.push(row);
    }

    /// A row of a list: where it goes on in a second line, that is indented.
    pub fn point(&mut self, heading: &str, text: impl Display) {
        self.0
            .push(Row::Point(heading.to_owned(), text.to_string()));
    }

    /// A line that is not broken, indented under the text.
    pub fn fixed(&mut self, text: impl Display) {
        self.0.push(Row::Fixed(text.to_string()));
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.0.push(Row::Gap);
    }

    /// The lines, no longer than `width` columns where words allow it. Sources
    /// stand below each other.
    pub fn lines(&self, width: usize) -> Vec<String> {
        let told = self.0.iter().filter_map(|row| match row {
            Row::Told(_, text, source) if !source.is_empty() => {
                Some((columns(text), columns(source)))
            }
            _ => None,
        });
        let (widest, source) = told.fold((0, 0), |(text, source), row| {
            (text.max(row.0), source.max(row.1))
        });
        let room = width.saturating_sub(TEXT).max(LEAST);
        let beside = room.saturating_sub(source + 2).max(LEAST).min(widest);

        let mut lines = Vec::new();
        let mut before = None;
        for row in &self.0 {
            match row {
                Row::Gap => {
                    lines.push(String::new());
                    before = None;
                }
                Row::Fixed(text) => lines.push(format!("{:TEXT$}{text}", "")),
                Row::Told(heading, text, source) => {
                    let shown = if before == Some(heading) { "" } else { heading };
                    before = Some(heading);
                    let room = if source.is_empty() { room } else { beside };
                    let parts = wrap(text, room);
                    let first = match source.as_str() {
                        "" => parts[0].clone(),
                        source => format!("{}  {source}", padded(&parts[0], room)),
                    };
                    put(&mut lines, shown, &first, &parts[1..], "");
                }
                Row::Point(heading, text) => {
                    let shown = if before == Some(heading) { "" } else { heading };
                    before = Some(heading);
                    let parts = wrap(text, room - 2);
                    put(&mut lines, shown, &parts[0], &parts[1..], "  ");
                }
            }
        }
        lines
    }
}

fn put(lines: &mut Vec<String>, heading: &str, first: &str, others: &[String], indent: &str) {
    let line = format!("  {} {first}", padded(heading, HEADING));
    lines.push(line.trim_end().to_owned());
    lines.extend(
        others
            .iter()
            .map(|part| format!("{:TEXT$}{indent}{part}", "")),
    );
}

/// How many columns of a terminal a text takes.
pub fn columns(text: &str) -> usize {
    text.chars().map(column).sum()
}

/// East Asian wide and fullwidth characters take two (Unicode UAX #11).
fn column(c: char) -> usize {
    if is_wide(c) {
        2
    } else {
        usize::from(!c.is_control())
    }
}

fn is_wide(c: char) -> bool {
    matches!(u32::from(c),
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1f64f
        | 0x2_0000..=0x3_fffd)
}

/// The text and blanks up to so many columns.
pub fn padded(text: &str, to: usize) -> String {
    let blanks = to.saturating_sub(columns(text));
    format!("{text}{:blanks$}", "")
}

/// Breaks a text into lines of at most `width` columns: between words, and
/// between Chinese characters except before closing and after opening marks.
/// A word that is longer than a line is broken where the line ends.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for piece in pieces(text) {
        let visible = piece.trim_end();
        if used + columns(visible) > width && used > 0 {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
            used = 0;
        }
        if columns(visible) <= width {
            line.push_str(piece);
            used += columns(piece);
            continue;
        }
        for c in piece.chars() {
            if used + column(c) > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(c);
            used += column(c);
        }
    }
    let last = line.trim_end();
    if !last.is_empty() || lines.is_empty() {
        lines.push(last.to_owned());
    }
    lines
}

/// The parts between which a line may end; each keeps the blanks after it.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut from = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let Some(&(_, next)) = chars.peek() else {
            break;
        };
        let between_words = c == ' ' && next != ' ';
        let between_signs = (is_wide(c) || is_wide(next)) && next != ' ';
        if between_words || (between_signs && !closes(next) && !opens(c)) {
            let end = at + c.len_utf8();
            pieces.push(&text[from..end]);
            from = end;
        }
    }
    pieces.push(&text[from..]);
    pieces
}

fn closes(c: char) -> bool {
    "，。、；：？！）」』》】〉”’…,.;:?!)]}".contains(c)
}

fn opens(c: char) -> bool {
    "（「『《【〈“‘([{".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_stand_below_each_other_and_long_rows_go_on() {
        let mut sheet = Sheet::new();
        sheet.row("connect", "127.0.0.1:7 in 1 ms", "(connect)");
        sheet.row(
            "tcp",
            "one two three four five six seven eight nine ten",
            "(sock_diag)",
        );
        sheet.row("tcp", "short", "(/proc)");
        sheet.row("moved", "2 bytes", "");
        sheet.fixed("ss -ltn");
        let lines = sheet.lines(52);
        assert_eq!(
            lines.join("\n"),
            "  connect   127.0.0.1:7 in 1 ms          (connect)\n  \
               tcp       one two three four five six  (sock_diag)\n            \
                         seven eight nine ten\n            \
                         short                        (/proc)\n  \
               moved     2 bytes\n            ss -ltn"
        );
    }

    #[test]
    fn chinese_breaks_anywhere_but_at_its_marks() {
        assert_eq!(columns("端口 80"), 7);
        assert_eq!(
            wrap("端口已被占用，换一个", 8),
            ["端口已被", "占用，换", "一个"]
        );
        assert_eq!(wrap("占用，换", 4), ["占", "用，", "换"]);
        assert_eq!(wrap("监听 TCP 端口", 8), ["监听 TCP", "端口"]);
        assert_eq!(wrap("", 8), [""]);
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_long_and_no_sign_is_lost(text in "[a-z端口，（ ]{0,80}", width in 2usize..30) {
            let lines = wrap(&text, width);
            proptest::prop_assert!(lines.iter().all(|line| columns(line) <= width), "{lines:?}");
            let signs = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            proptest::prop_assert_eq!(signs(&lines.concat()), signs(&text));
        }
    }
}
