//! What the terminal shows: lines that stay, and below them what still
//! changes – the unfinished line that came last, what is typed, the status.
//!
//! Only this changing part is ever drawn anew. The cursor goes to its first
//! row, all from there is erased, finished lines are written and scroll up as
//! in any terminal, and the part is drawn below them.

use std::fmt::Write as _;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::harmless::harmless;

/// What still changes.
#[derive(Debug, Default)]
pub(super) struct Live<'a> {
    /// Of the line that came last, what is there.
    pub(super) tail: &'a str,
    pub(super) prompt: &'a str,
    /// What is typed, and where the cursor is in it.
    pub(super) typed: &'a str,
    pub(super) at: usize,
    /// Below all; empty for none.
    pub(super) status: &'a str,
}

/// The terminal as far as it is known.
#[derive(Debug)]
pub(super) struct Screen {
    width: usize,
    height: usize,
    color: bool,
    /// The columns of every row of the part that is drawn.
    drawn: Vec<usize>,
    /// The cursor's row in it, and its column.
    row: usize,
    column: usize,
}

/// What stands out, where there is colour (ECMA-48 §8.3.117).
const SENT: &str = "\x1b[36m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

impl Screen {
    pub(super) fn new((width, height): (usize, usize), color: bool) -> Self {
        Screen {
            width: width.max(4),
            height: height.max(2),
            color,
            drawn: Vec::new(),
            row: 0,
            column: 0,
        }
    }

    /// The window has another size. Terminals break rows anew that are longer
    /// than they are wide now.
    pub(super) fn resize(&mut self, (width, height): (usize, usize)) {
        let (width, height) = (width.max(4), height.max(2));
        let rows = |columns: &usize| columns.div_ceil(width).max(1);
        let above: usize = self.drawn.iter().take(self.row).map(rows).sum();
        self.row = (above + self.column / width).min(height - 1);
        self.column %= width;
        self.drawn.clear();
        (self.width, self.height) = (width, height);
    }

    /// The window is empty now, with the cursor at its top.
    pub(super) fn clear(&mut self) -> &'static str {
        (self.row, self.column) = (0, 0);
        self.drawn.clear();
        "\x1b[H\x1b[2J"
    }

    /// An entry as it is shown among the lines when it has been sent.
    pub(super) fn sent(&self, entry: &str) -> String {
        let shown = harmless(entry).replace('\n', "\n  ");
        format!("{}> {shown}{}\n", self.style(SENT), self.style(PLAIN))
    }

    /// Something that this program says.
    pub(super) fn said(&self, text: &str) -> String {
        let (dim, plain) = (self.style(DIM), self.style(PLAIN));
        let lines = text.lines().map(|line| format!("{dim}{line}{plain}\n"));
        lines.collect()
    }

    fn style(&self, style: &'static str) -> &'static str {
        if self.color { style } else { "" }
    }

    /// Of an unfinished line, the rows that are full: they can stay.
    pub(super) fn full_rows(&self, tail: &mut String) -> String {
        let mut rows = Rows::new(self.width);
        rows.put(tail);
        let most = (self.height / 2).max(1);
        if rows.all.len() <= most {
            return String::new();
        }
        let last = rows.all.pop().unwrap_or_default();
        *tail = last.text;
        let full = rows.all.into_iter().map(|row| row.text + "\n");
        full.collect()
    }

    /// Erases what is drawn and leaves the cursor where it began.
    pub(super) fn erase(&mut self, out: &mut String) {
        out.push('\r');
        if self.row > 0 {
            _ = write!(out, "\x1b[{}A", self.row);
        }
        out.push_str("\x1b[J");
        (self.row, self.column) = (0, 0);
        self.drawn.clear();
    }

    /// Writes whole lines, and what still changes below them.
    pub(super) fn paint(&mut self, lines: &str, live: &Live<'_>) -> String {
        let mut out = String::with_capacity(lines.len() + 256);
        self.erase(&mut out);
        write_lines(lines, &mut out);

        let mut rows = Rows::new(self.width);
        if !live.tail.is_empty() {
            rows.put(live.tail);
            rows.end_row();
        }
        rows.styled(self.style(SENT), live.prompt, self.style(PLAIN));
        rows.typed(live.typed, live.at);
        let (row, column) = rows.cursor;
        let status = usize::from(!live.status.is_empty() && self.height > 2);
        let room = self.height - status;
        // A window on it that has the cursor, if not all fits.
        let first = rows.all.len().saturating_sub(room).min(row);
        let shown: Vec<Row> = rows.all.into_iter().skip(first).take(room).collect();
        for (number, row) in shown.iter().enumerate() {
            out.push_str(if number == 0 { "" } else { "\r\n" });
            out.push_str(&row.text);
        }
        self.drawn = shown.iter().map(|row| row.columns).collect();
        if status == 1 {
            let mut rows = Rows::new(self.width - 1);
            rows.put(live.status);
            let only = rows.all.swap_remove(0);
            let (dim, plain) = (self.style(DIM), self.style(PLAIN));
            _ = write!(out, "\r\n{dim}{}{plain}", only.text);
            self.drawn.push(only.columns);
        }
        (self.row, self.column) = (row - first, column);
        let up = self.drawn.len() - 1 - self.row;
        if up > 0 {
            _ = write!(out, "\x1b[{up}A");
        }
        out.push('\r');
        if column > 0 {
            _ = write!(out, "\x1b[{column}C");
        }
        out
    }
}

/// Whole lines, each with the end that a terminal in any mode takes for one.
pub(super) fn write_lines(lines: &str, out: &mut String) {
    for line in lines.lines() {
        out.push_str(line);
        out.push_str("\r\n");
    }
}

/// Text broken into rows.
struct Rows {
    width: usize,
    all: Vec<Row>,
    cursor: (usize, usize),
}

#[derive(Default)]
struct Row {
    text: String,
    columns: usize,
}

impl Rows {
    fn new(width: usize) -> Self {
        Rows {
            width,
            all: vec![Row::default()],
            cursor: (0, 0),
        }
    }

    fn end_row(&mut self) {
        self.all.push(Row::default());
    }

    fn last(&mut self) -> &mut Row {
        if self.all.is_empty() {
            self.end_row();
        }
        let last = self.all.len() - 1;
        &mut self.all[last]
    }

    /// One character as it is shown, which stays in one row.
    fn place(&mut self, shown: &str) {
        let (columns, width) = (shown.width(), self.width);
        if self.last().columns + columns > width {
            self.end_row();
        }
        let last = self.last();
        last.text.push_str(shown);
        last.columns += columns;
    }

    fn put(&mut self, text: &str) {
        for character in text.graphemes(true) {
            match character {
                "\t" => {
                    let wide = 8 - self.last().columns % 8;
                    for _ in 0..wide.min(self.width - self.last().columns.min(self.width)) {
                        self.place(" ");
                    }
                }
                "\n" => {
                    self.end_row();
                    self.place(" ");
                    self.place(" ");
                }
                character if character.chars().any(char::is_control) => {
                    for shown in harmless(character).chars() {
                        self.place(shown.encode_utf8(&mut [0; 4]));
                    }
                }
                character => self.place(character),
            }
        }
    }

    fn styled(&mut self, style: &str, text: &str, plain: &str) {
        self.last().text.push_str(style);
        self.put(text);
        self.last().text.push_str(plain);
    }

    /// What is typed, with the cursor at byte `at` of it.
    fn typed(&mut self, text: &str, at: usize) {
        self.put(&text[..at]);
        // In front of a character that begins a row the cursor is on that row.
        let next = text[at..].graphemes(true).next().unwrap_or(" ");
        let wide = if next == "\n" { 0 } else { next.width().max(1) };
        if self.last().columns + wide > self.width {
            self.end_row();
        }
        let column = self.last().columns.min(self.width - 1);
        self.cursor = (self.all.len() - 1, column);
        self.put(&text[at..]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terminal(rows: u16, columns: u16) -> vt100::Parser {
        let size = |n| std::num::NonZero::new(n).unwrap();
        vt100::Parser::new(size(rows), size(columns), 1000)
    }

    fn shown(parser: &vt100::Parser) -> Vec<String> {
        let (_, width) = parser.screen().size();
        let rows = parser.screen().rows(0, width.get());
        let mut rows: Vec<String> = rows.map(|row| row.trim_end().to_owned()).collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }

    #[test]
    fn lines_go_above_what_is_typed() {
        let mut terminal = terminal(8, 20);
        let mut screen = Screen::new((20, 8), false);
        let mut live = Live {
            prompt: "> ",
            typed: "漢字 half",
            at: 6,
            status: "1 byte",
            ..Live::default()
        };
        terminal.process(screen.paint("", &live).as_bytes());
        assert_eq!(shown(&terminal), ["> 漢字 half", "1 byte"]);
        assert_eq!(terminal.screen().cursor_position(), (0, 6));
        live.tail = "login: ";
        terminal.process(screen.paint("one\ntwo\n", &live).as_bytes());
        let rows = ["one", "two", "login:", "> 漢字 half", "1 byte"];
        assert_eq!(shown(&terminal), rows);
        live.tail = "";
        live.typed = "";
        live.at = 0;
        terminal.process(screen.paint("login: bob\n", &live).as_bytes());
        assert_eq!(
            shown(&terminal),
            ["one", "two", "login: bob", ">", "1 byte"]
        );
    }

    #[test]
    fn what_fits_on_no_screen_is_seen_through_a_window() {
        let mut terminal = terminal(4, 10);
        let mut screen = Screen::new((10, 4), false);
        let typed = "a\nb\nc\nd\ne\nf";
        for at in 0..=typed.len() {
            let live = Live {
                prompt: "> ",
                typed,
                at,
                status: "st",
                ..Live::default()
            };
            terminal.process(screen.paint("", &live).as_bytes());
            let (row, _) = terminal.screen().cursor_position();
            let rows = shown(&terminal);
            let letter = typed[..at].lines().last().unwrap_or("a");
            if !typed[..at].ends_with('\n') && at > 0 {
                let row = &rows[usize::from(row)];
                assert!(row.ends_with(letter), "{at}: {row} in {rows:?}");
            }
            assert_eq!(rows.last().unwrap(), "st");
        }
    }

    proptest! {
        #[test]
        fn no_line_is_ever_torn(
            steps in proptest::collection::vec(
                ("[a-z漢 ]{0,12}\n?", "[a-z漢é\n]{0,30}", 0usize..30, any::<bool>()), 1..12,
            ),
            width in 8u16..24,
        ) {
            let mut terminal = terminal(12, width);
            let mut screen = Screen::new((usize::from(width), 12), true);
            let mut lines = Vec::new();
            for (line, typed, at, status) in steps {
                let mut at = at.min(typed.len());
                while !typed.is_char_boundary(at) {
                    at -= 1;
                }
                let line = if line.is_empty() { line } else { format!("{}\n", line.trim_end()) };
                let live = Live {
                    prompt: "> ",
                    typed: &typed,
                    at,
                    status: if status { "status" } else { "" },
                    ..Live::default()
                };
                terminal.process(screen.paint(&line, &live).as_bytes());
                lines.extend(line.lines().map(str::to_owned));
                // The cursor is where the program thinks it is, and the rows of
                // the part below are there.
                let (row, column) = terminal.screen().cursor_position();
                prop_assert_eq!(usize::from(column), screen.column);
                prop_assert!(usize::from(row) >= screen.row);
            }
            let mut out = String::new();
            screen.erase(&mut out);
            terminal.process(out.as_bytes());
            // All that is left on the terminal is the lines, each of them whole.
            terminal.screen_mut().set_scrollback(1000);
            let scrolled = terminal.screen().scrollback();
            let mut all = String::new();
            for back in (0..=scrolled).rev() {
                terminal.screen_mut().set_scrollback(back);
                let rows: Vec<String> = terminal.screen().rows(0, width).collect();
                if back == 0 {
                    all.push_str(&rows.concat());
                } else {
                    all.push_str(&rows[0]);
                }
            }
            let squeezed = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(squeezed(&all), squeezed(&lines.concat()));
        }
    }
}
