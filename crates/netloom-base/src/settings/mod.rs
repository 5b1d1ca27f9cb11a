//! What a person chose: keys with values, from flags, the file, an endpoint's
//! options or a program.
//!
//! All of those make [`Settings`]; only the room that owns a key reads it. A
//! room names its keys once with [`settings!`](crate::settings!), which makes
//! the struct, its list of [`Key`]s for help and completion, the reader that
//! reports every mistake at once, and the writer behind `--print-config`.

mod define;
mod value;

use std::fmt;
use std::ops::Range;

pub use define::{kebab, read_key};
pub use value::{ByteSize, FromValue, Secret, Value};

use crate::complaint::{Complaint, nearest};

/// One key a room understands.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The name in flags, file and options: `max-conns`.
    pub name: &'static str,
    /// What it does, one sentence, lower case.
    pub help: &'static str,
    /// The form of its value, for help: `DURATION`, `PATH`; empty for a switch.
    pub hint: &'static str,
    /// Whether it may be given more than once.
    pub many: bool,
    /// The value it has when not given, as a person would write it.
    pub default: fn() -> Option<String>,
}

/// One choice: a key, its value, and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The key, in kebab case.
    pub key: String,
    /// The value.
    pub value: Value,
    /// Where it stands in the text it came from, in bytes, if it came from one.
    pub span: Option<Range<usize>>,
}

/// A list of choices in the order they were made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    entries: Vec<Setting>,
}

impl Settings {
    /// No choices.
    pub fn new() -> Self {
        Settings::default()
    }

    /// Adds a choice. `key` may be written with `_` or `-`.
    pub fn push(&mut self, key: &str, value: Value, span: Option<Range<usize>>) {
        self.entries.push(Setting {
            key: canonical(key),
            value,
            span,
        });
    }

    /// The same, for building in one expression.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.push(key, value.into(), None);
        self
    }

    /// Every choice of `key`, in order.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Setting> {
        self.entries.iter().filter(move |s| s.key == key)
    }

    /// The last choice of `key`: a later one replaces an earlier one.
    pub fn last(&self, key: &str) -> Option<&Setting> {
        self.entries.iter().rev().find(|s| s.key == key)
    }

    /// All choices in order.
    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.entries.iter()
    }

    /// Whether nothing was chosen.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes the choices whose key is in `keys` out of this list.
    pub fn take(&mut self, keys: &[Key]) -> Settings {
        let owned = |s: &Setting| keys.iter().any(|k| k.name == s.key);
        let (taken, kept) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(owned);
        self.entries = kept;
        Settings { entries: taken }
    }

    /// An error for every choice whose key is not in `keys`, each with the nearest one.
    pub fn unknown(&self, keys: &[Key]) -> Vec<SettingError> {
        let known = |s: &&Setting| !keys.iter().any(|k| k.name == s.key);
        self.entries
            .iter()
            .filter(known)
            .map(|s| SettingError::unknown(s, keys.iter().map(|k| k.name)))
            .collect()
    }
}

impl FromIterator<Setting> for Settings {
    fn from_iter<T: IntoIterator<Item = Setting>>(iter: T) -> Self {
        Settings {
            entries: iter.into_iter().collect(),
        }
    }
}

impl Extend<Setting> for Settings {
    fn extend<T: IntoIterator<Item = Setting>>(&mut self, iter: T) {
        self.entries.extend(iter);
    }
}

/// What is wrong with one choice. The face that knows the text turns it into a
/// [`Complaint`] with a caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError {
    /// The key it is about.
    pub key: String,
    /// Where that was written, in bytes of the text it came from.
    pub span: Option<Range<usize>>,
    /// Which of several values it is about, where the key has a list.
    pub value: Option<String>,
    /// Which bytes of the value are wrong; `None` where all of it is.
    pub part: Option<Range<usize>>,
    /// What is wrong, lower case, no full stop.
    pub message: String,
    /// The nearest valid form.
    pub suggestion: Option<String>,
}

impl SettingError {
    /// A complaint about the value or absence of `key`.
    pub fn new(key: &str, span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        SettingError {
            key: key.to_owned(),
            span,
            value: None,
            part: None,
            message: message.into(),
            suggestion: None,
        }
    }

    /// Says which bytes of the value are wrong.
    pub fn within(mut self, part: Range<usize>) -> Self {
        self.part = Some(part);
        self
    }

    /// Says which of several values is wrong.
    pub fn of(mut self, value: impl Into<String>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Says the nearest valid form.
    pub fn suggest(mut self, suggestion: impl Into<Option<String>>) -> Self {
        self.suggestion = suggestion.into();
        self
    }

    /// A key nobody knows, with the nearest of `candidates`.
    pub fn unknown<'a>(setting: &Setting, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        let key = &setting.key;
        let mut error =
            SettingError::new(key, setting.span.clone(), format!("no such key: `{key}`"));
        error.suggestion = nearest(key, candidates).map(str::to_owned);
        error
    }

    /// The complaint about this error in `text`, in which its span counts.
    pub fn in_text(&self, text: &str) -> Complaint {
        let span = self.span.clone().unwrap_or(text.len()..text.len());
        Complaint::new(text, span, self.message.clone()).suggest(self.suggestion.clone())
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, " (nearest: `{suggestion}`)"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SettingError {}

/// A key as it is stored: lower case, `-` between words.
fn canonical(key: &str) -> String {
    key.to_ascii_lowercase().replace('_', "-")
}
