//! The text that is being typed, and where in it.

use unicode_segmentation::UnicodeSegmentation;

/// The most bytes that one entry may have.
pub(crate) const LONGEST: usize = 32 * 1024;

/// Text with a place in it, which is always between two characters as people
/// see them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Line {
    text: String,
    at: usize,
}

impl Line {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Gives the text up.
    pub(crate) fn take(&mut self) -> String {
        self.at = 0;
        std::mem::take(&mut self.text)
    }

    /// Another text, and the place at its end.
    pub(crate) fn set(&mut self, text: impl Into<String>) {
        self.text = text.into();
        self.at = self.text.len();
    }

    /// `false` when there is no room for it.
    pub(crate) fn insert(&mut self, text: &str) -> bool {
        if self.text.len() + text.len() > LONGEST {
            return false;
        }
        self.text.insert_str(self.at, text);
        self.at += text.len();
        true
    }

    fn before(&self) -> &str {
        &self.text[..self.at]
    }

    fn after(&self) -> &str {
        &self.text[self.at..]
    }

    /// The beginning of the character before the place.
    fn previous(&self) -> usize {
        let last = self.before().grapheme_indices(true).next_back();
        last.map_or(0, |(at, _)| at)
    }

    /// The end of the character after the place.
    fn next(&self) -> usize {
        let first = self.after().graphemes(true).next();
        self.at + first.map_or(0, str::len)
    }

    /// The beginning of the word before the place.
    fn word_before(&self) -> usize {
        let mut words = self.before().unicode_word_indices();
        words.next_back().map_or(0, |(at, _)| at)
    }

    /// The end of the word after the place.
    fn word_after(&self) -> usize {
        let mut words = self.after().unicode_word_indices();
        let end = words.next().map(|(at, word)| self.at + at + word.len());
        end.unwrap_or(self.text.len())
    }

    /// Where the row begins that the place is in.
    fn row_start(&self) -> usize {
        self.before().rfind('\n').map_or(0, |at| at + 1)
    }

    fn row_end(&self) -> usize {
        let end = self.after().find('\n');
        end.map_or(self.text.len(), |at| self.at + at)
    }

    pub(crate) fn left(&mut self) {
        self.at = self.previous();
    }

    pub(crate) fn right(&mut self) {
        self.at = self.next();
    }

    pub(crate) fn word_left(&mut self) {
        self.at = self.word_before();
    }

    pub(crate) fn word_right(&mut self) {
        self.at = self.word_after();
    }

    pub(crate) fn home(&mut self) {
        self.at = self.row_start();
    }

    pub(crate) fn end(&mut self) {
        self.at = self.row_end();
    }

    /// To the row above; `false` when there is none.
    pub(crate) fn up(&mut self) -> bool {
        let start = self.row_start();
        if start == 0 {
            return false;
        }
        let column = self.text[start..self.at].graphemes(true).count();
        self.at = start - 1;
        self.go_to_column(column);
        true
    }

    /// To the row below; `false` when there is none.
    pub(crate) fn down(&mut self) -> bool {
        let end = self.row_end();
        if end == self.text.len() {
            return false;
        }
        let column = self.text[self.row_start()..self.at].graphemes(true).count();
        self.at = end + 1;
        self.go_to_column(column);
        true
    }

    /// To that column of the row, or to its end.
    fn go_to_column(&mut self, column: usize) {
        let (start, end) = (self.row_start(), self.row_end());
        let nth = self.text[start..end].grapheme_indices(true).nth(column);
        self.at = nth.map_or(end, |(at, _)| start + at);
    }

    fn cut(&mut self, from: usize, to: usize) -> String {
        self.at = from;
        self.text.drain(from..to).collect()
    }

    pub(crate) fn backspace(&mut self) {
        self.cut(self.previous(), self.at);
    }

    pub(crate) fn delete(&mut self) {
        self.cut(self.at, self.next());
    }

    /// Back to the last white space, as shells do it.
    pub(crate) fn kill_word_left(&mut self) -> String {
        let word = self.before().trim_end();
        let from = word.rfind(char::is_whitespace).map_or(0, |at| {
            at + word[at..].chars().next().map_or(0, char::len_utf8)
        });
        self.cut(from, self.at)
    }

    pub(crate) fn kill_word_right(&mut self) -> String {
        self.cut(self.at, self.word_after())
    }

    pub(crate) fn kill_to_start(&mut self) -> String {
        self.cut(self.row_start(), self.at)
    }

    pub(crate) fn kill_to_end(&mut self) -> String {
        self.cut(self.at, self.row_end())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_family_is_one_character() {
        let mut line = Line::default();
        line.set("a👩‍👩‍👧é");
        line.left();
        line.left();
        assert_eq!(line.at(), 1);
        line.delete();
        assert_eq!(line.text(), "aé");
    }

    #[test]
    fn words_and_rows() {
        let mut line = Line::default();
        line.set("one two-three\nfour");
        line.word_left();
        assert_eq!(&line.text()[line.at()..], "four");
        assert!(line.up() && !line.up());
        assert_eq!(line.at(), 0);
        line.word_right();
        assert_eq!(line.at(), 3);
        line.end();
        assert_eq!(line.kill_word_left(), "two-three");
        assert!(line.down() && !line.down());
        assert_eq!(line.kill_to_start(), "four");
        assert_eq!(line.text(), "one \n");
    }

    proptest! {
        #[test]
        fn the_place_is_always_between_characters(
            text in "[a-c é漢👩‍👧\n]{0,20}",
            steps in proptest::collection::vec(0u8..14, 0..60),
        ) {
            let mut line = Line::default();
            line.set(text);
            for step in steps {
                match step {
                    0 => line.left(),
                    1 => line.right(),
                    2 => line.word_left(),
                    3 => line.word_right(),
                    4 => line.home(),
                    5 => line.end(),
                    6 => { line.up(); }
                    7 => { line.down(); }
                    8 => line.backspace(),
                    9 => line.delete(),
                    10 => { line.kill_word_left(); }
                    11 => { line.kill_word_right(); }
                    12 => { line.insert("é漢"); }
                    _ => { line.kill_to_end(); }
                }
                prop_assert!(line.text().is_char_boundary(line.at()));
            }
        }
    }
}
