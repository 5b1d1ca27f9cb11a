//! One thing that was looked at.

use std::fmt;

use netloom_base::diagnosis::Fix;
use netloom_base::{Fields, Record};

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// As it should be.
    Fine,
    /// It works, and one day somebody will wonder about it.
    Noted,
    /// Conversations will fail because of it.
    Wrong,
}

impl Standing {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Standing::Fine => "ok",
            Standing::Noted => "note",
            Standing::Wrong => "wrong",
        }
    }
}

/// One thing that was looked at, how it stands, and what can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What it is about: `rights`, `limits`, `network`, `ipv6`, `dns`,
    /// `proxies`, `clock`.
    pub about: &'static str,
    /// How it stands.
    pub standing: Standing,
    /// What was seen, lower case, no full stop.
    pub text: String,
    /// The file or system call that said it.
    pub source: &'static str,
    /// What can be done.
    pub fixes: Vec<Fix>,
}

impl Check {
    pub(super) fn new(
        about: &'static str,
        standing: Standing,
        text: impl Into<String>,
        source: &'static str,
    ) -> Self {
        Check {
            about,
            standing,
            text: text.into(),
            source,
            fixes: Vec::new(),
        }
    }

    /// A command that can be pasted.
    pub(super) fn fix(mut self, text: &str, command: impl Into<String>) -> Self {
        self.fixes.push(Fix {
            text: format!("{text}:"),
            command: Some(command.into()),
        });
        self
    }

    /// Something to do that is no command.
    pub(super) fn advice(mut self, text: &str) -> Self {
        self.fixes.push(Fix {
            text: text.to_owned(),
            command: None,
        });
        self
    }
}

/// `ok     clock      kept by a time service  (adjtimex)`, and below it what to do.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (standing, about) = (self.standing.name(), self.about);
        write!(
            f,
            "{standing:<5}  {about:<8}  {}  ({})",
            self.text, self.source
        )?;
        for fix in &self.fixes {
            write!(f, "\n                 {}", fix.text)?;
            if let Some(command) = &fix.command {
                write!(f, "  {command}")?;
            }
        }
        Ok(())
    }
}

impl Record for Check {
    fn kind(&self) -> &'static str {
        "check"
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.text("about", self.about);
        to.text("standing", self.standing.name());
        to.text("text", &self.text);
        to.text("source", self.source);
        let fixes: Vec<&dyn Record> = self.fixes.iter().map(|fix| fix as &dyn Record).collect();
        to.records("fixes", &fixes);
    }
}
