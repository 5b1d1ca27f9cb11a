//! What keys do: to the line, in the history, in a search, in a command.

use super::history::History;
use super::keys::Key;
use super::line::{LONGEST, Line};

/// Before what is typed.
const PROMPT: &str = "> ";
/// The same where it is a command to this program.
const COMMAND: &str = "netloom> ";

/// What came of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Something on the screen, at most.
    Nothing,
    /// A whole entry, of one line or several.
    Entry(String),
    /// A command to this program.
    Command(String),
    /// A person should know that.
    Say(&'static str),
    Interrupt,
    Eof,
    ClearScreen,
    Suspend,
}

/// The state of what is being typed.
#[derive(Debug, Default)]
pub(super) struct Edit {
    line: Line,
    history: History,
    /// The entry of the history that the line is, while none was changed.
    at: Option<usize>,
    /// What was typed before the history was looked at.
    draft: Line,
    killed: String,
    search: Option<Search>,
    /// The line of the conversation, while a command is typed.
    aside: Option<Line>,
    /// What is typed is not shown and not remembered.
    hidden: bool,
}

#[derive(Debug, Default)]
struct Search {
    text: String,
    found: Option<usize>,
}

impl Edit {
    pub(super) fn new(history: History) -> Self {
        Edit {
            history,
            ..Edit::default()
        }
    }

    /// Whether what is typed stays unseen. Whoever is in the midst of a line
    /// goes on as they began.
    pub(super) fn hide(&mut self, hidden: bool) {
        if self.line.is_empty() && self.aside.is_none() {
            self.hidden = hidden;
        }
    }

    pub(super) fn is_hidden(&self) -> bool {
        self.hidden && self.aside.is_none()
    }

    /// What stands before the line.
    pub(super) fn prompt(&self) -> String {
        match (&self.search, &self.aside) {
            (Some(search), _) => format!("search `{}`: ", search.text),
            (None, Some(_)) => COMMAND.to_owned(),
            (None, None) => PROMPT.to_owned(),
        }
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    pub(super) fn press(&mut self, key: Key) -> Outcome {
        if self.search.is_some() {
            return self.press_in_search(key);
        }
        match key {
            Key::Char(c) => return self.insert(c.encode_utf8(&mut [0; 4])),
            Key::Paste(text, cut) => {
                let done = self.insert(&text);
                return if cut { TOO_LONG } else { done };
            }
            Key::NewLine => return self.insert("\n"),
            Key::Enter => return self.enter(),
            Key::Backspace => self.line.backspace(),
            Key::Delete => self.line.delete(),
            Key::Left => self.line.left(),
            Key::Right => self.line.right(),
            Key::Up => {
                if !self.line.up() {
                    self.older();
                }
            }
            Key::Down => {
                if !self.line.down() {
                    self.newer();
                }
            }
            Key::Home => self.line.home(),
            Key::End => self.line.end(),
            Key::WordLeft => self.line.word_left(),
            Key::WordRight => self.line.word_right(),
            Key::KillWordLeft => self.keep(Line::kill_word_left),
            Key::KillWordRight => self.keep(Line::kill_word_right),
            Key::KillToStart => self.keep(Line::kill_to_start),
            Key::KillToEnd => self.keep(Line::kill_to_end),
            Key::Yank => {
                let killed = self.killed.clone();
                return self.insert(&killed);
            }
            Key::ClearScreen => return Outcome::ClearScreen,
            Key::Suspend => return Outcome::Suspend,
            Key::Search if self.hidden || self.aside.is_some() => {}
            Key::Search => {
                self.draft = self.line.clone();
                self.search = Some(Search::default());
            }
            Key::Escape => self.leave_command(),
            Key::Interrupt => {
                if self.aside.is_some() {
                    self.leave_command();
                } else if self.line.is_empty() {
                    return Outcome::Interrupt;
                } else {
                    self.line.take();
                    self.at = None;
                }
            }
            Key::Eof if !self.line.is_empty() => self.line.delete(),
            Key::Eof if self.aside.is_some() => self.leave_command(),
            Key::Eof => return Outcome::Eof,
            Key::Command => match self.aside {
                Some(_) => self.leave_command(),
                None => self.aside = Some(std::mem::take(&mut self.line)),
            },
        }
        Outcome::Nothing
    }

    fn insert(&mut self, text: &str) -> Outcome {
        self.at = None;
        if self.line.insert(text) {
            Outcome::Nothing
        } else {
            TOO_LONG
        }
    }

    /// Kills, and keeps what that took away.
    fn keep(&mut self, kill: impl Fn(&mut Line) -> String) {
        let killed = kill(&mut self.line);
        if !killed.is_empty() {
            self.killed = killed;
        }
    }

    fn leave_command(&mut self) {
        if let Some(line) = self.aside.take() {
            self.line = line;
        }
    }

    fn enter(&mut self) -> Outcome {
        if self.aside.is_some() {
            let command = self.line.take();
            self.leave_command();
            return Outcome::Command(command);
        }
        let text = self.line.text();
        let backslashes = text.len() - text.trim_end_matches('\\').len();
        if backslashes % 2 == 1 && self.line.at() == text.len() && !self.hidden {
            self.line.backspace();
            return self.insert("\n");
        }
        self.at = None;
        let entry = self.line.take();
        if !self.hidden {
            self.history.add(&entry);
        }
        Outcome::Entry(entry)
    }

    fn older(&mut self) {
        if self.hidden || self.aside.is_some() {
            return;
        }
        let before = self.at.unwrap_or_else(|| self.history.len());
        let Some(at) = before.checked_sub(1) else {
            return;
        };
        if self.at.is_none() {
            self.draft = self.line.clone();
        }
        self.show(at);
    }

    fn newer(&mut self) {
        let Some(at) = self.at else {
            return;
        };
        if at + 1 < self.history.len() {
            self.show(at + 1);
        } else {
            self.line = std::mem::take(&mut self.draft);
            self.at = None;
        }
    }

    fn show(&mut self, number: usize) {
        if let Some(entry) = self.history.get(number) {
            self.line.set(entry);
            self.at = Some(number);
        }
    }

    fn press_in_search(&mut self, key: Key) -> Outcome {
        let Some(search) = &mut self.search else {
            return Outcome::Nothing;
        };
        let newest = self.history.len();
        let before = match key {
            Key::Char(c) if search.text.len() < 256 => {
                search.text.push(c);
                search.found.map_or(newest, |at| at + 1)
            }
            Key::Backspace => {
                search.text.pop();
                newest
            }
            Key::Search => search.found.unwrap_or(newest),
            Key::Char(_) => return Outcome::Nothing,
            Key::Escape | Key::Interrupt => {
                self.search = None;
                self.line = std::mem::take(&mut self.draft);
                return Outcome::Nothing;
            }
            // Any other key takes what was found and does what it does.
            key => {
                self.at = search.found;
                self.search = None;
                return self.press(key);
            }
        };
        let found = self.history.search(&search.text, before);
        if found.is_some() {
            search.found = found;
        }
        if let Some(entry) = found.and_then(|at| self.history.get(at)) {
            self.line.set(entry);
        }
        Outcome::Nothing
    }
}

/// What [`LONGEST`] bytes are in words.
const TOO_LONG: Outcome = Outcome::Say("an entry may have 32 KiB: what does not fit is left out");
const _: () = assert!(LONGEST == 32 * 1024);

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(edit: &mut Edit, text: &str) {
        for c in text.chars() {
            edit.press(Key::Char(c));
        }
    }

    fn entered(edit: &mut Edit, text: &str) -> Outcome {
        typed(edit, text);
        edit.press(Key::Enter)
    }

    #[test]
    fn a_backslash_at_the_end_goes_on_and_two_are_one_and_an_end() {
        let mut edit = Edit::default();
        assert_eq!(entered(&mut edit, "one\\"), Outcome::Nothing);
        assert_eq!(entered(&mut edit, "two"), Outcome::Entry("one\ntwo".into()));
        let two = Outcome::Entry("a\\\\".into());
        assert_eq!(entered(&mut edit, "a\\\\"), two);
    }

    #[test]
    fn the_history_gives_the_draft_back() {
        let mut edit = Edit::default();
        entered(&mut edit, "first");
        entered(&mut edit, "second");
        typed(&mut edit, "dra");
        for (key, shown) in [
            (Key::Up, "second"),
            (Key::Up, "first"),
            (Key::Up, "first"),
            (Key::Down, "second"),
            (Key::Down, "dra"),
            (Key::Down, "dra"),
        ] {
            edit.press(key);
            assert_eq!(edit.line().text(), shown);
        }
    }

    #[test]
    fn a_search_goes_back_from_match_to_match() {
        let mut edit = Edit::default();
        for entry in ["get one", "put", "get two"] {
            entered(&mut edit, entry);
        }
        edit.press(Key::Search);
        typed(&mut edit, "get");
        assert_eq!(edit.line().text(), "get two");
        edit.press(Key::Search);
        assert_eq!(edit.line().text(), "get one");
        assert_eq!(edit.press(Key::Enter), Outcome::Entry("get one".into()));
        edit.press(Key::Search);
        typed(&mut edit, "put");
        edit.press(Key::Escape);
        assert_eq!(edit.line().text(), "");
    }

    #[test]
    fn what_is_hidden_is_not_remembered() {
        let mut edit = Edit::default();
        edit.hide(true);
        assert_eq!(
            entered(&mut edit, "hunter2"),
            Outcome::Entry("hunter2".into())
        );
        edit.hide(false);
        edit.press(Key::Up);
        assert_eq!(edit.line().text(), "");
    }

    #[test]
    fn a_command_leaves_the_line_as_it_was() {
        let mut edit = Edit::default();
        typed(&mut edit, "half a li");
        edit.press(Key::Command);
        assert_eq!(edit.line().text(), "");
        assert_eq!(
            entered(&mut edit, "status"),
            Outcome::Command("status".into())
        );
        assert_eq!(edit.line().text(), "half a li");
        assert_eq!(edit.press(Key::Interrupt), Outcome::Nothing);
        assert_eq!(edit.press(Key::Interrupt), Outcome::Interrupt);
        assert_eq!(edit.press(Key::Eof), Outcome::Eof);
    }

    #[test]
    fn an_entry_has_a_limit() {
        let mut edit = Edit::default();
        let long = "x".repeat(LONGEST);
        assert_eq!(edit.press(Key::Paste(long, false)), Outcome::Nothing);
        assert_eq!(edit.press(Key::Char('y')), TOO_LONG);
        assert_eq!(edit.line().text().len(), LONGEST);
    }
}
