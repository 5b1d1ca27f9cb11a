//! How one conversation went, from the first step to the last byte.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::event::{Fields, Record};
use crate::failure::{Code, Spoken, Step};
use crate::layout::{Sheet, wrap};

/// The story of a conversation that went well. One that did not ends in a
/// [`Diagnosis`](crate::Diagnosis) instead.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// With whom, as it was written.
    pub endpoint: String,
    /// The stack it became, top first: `http+tls+tcp`.
    pub stack: String,
    /// This end's address.
    pub local: Option<String>,
    /// The other end's address.
    pub peer: Option<String>,
    /// What was done, in order, with times.
    pub steps: Vec<Step>,
    /// What was learned on the way, in the order of the conversation.
    pub told: Vec<Told>,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// How long it lasted.
    pub lasted: Duration,
}

/// One thing learned in a conversation that went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What it is about, in one word of at most nine letters: a layer, a
    /// protocol, a stage.
    pub about: &'static str,
    /// What was learned, lower case, no full stop.
    pub text: String,
    /// The system call, file or peer that said it.
    pub source: Cow<'static, str>,
    /// The code of something wrong that did not end the conversation.
    pub code: Option<Code>,
}

impl Told {
    /// Something learned, and who said it.
    pub fn new(
        about: &'static str,
        text: impl Into<String>,
        source: impl Into<Cow<'static, str>>,
    ) -> Self {
        Told {
            about,
            text: text.into(),
            source: source.into(),
            code: None,
        }
    }

    /// The same as a note of something wrong, under the code it would have as
    /// a failure.
    pub fn under(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }
}

impl Story {
    /// The story in words, in lines of at most `width` columns where words allow it.
    pub fn plain(&self, width: usize) -> String {
        let mut sheet = Sheet::new();
        if self.stack != self.endpoint {
            sheet.row("stack", &self.stack, "");
        }
        for step in &self.steps {
            sheet.row(step.stage.name(), step, "");
        }
        match (&self.local, &self.peer) {
            (Some(local), Some(peer)) => {
                sheet.row("between", format_args!("{local} and {peer}"), "");
            }
            // A peer that is named as the endpoint says nothing new.
            (_, Some(peer)) if *peer != self.endpoint => sheet.row("with", peer, ""),
            _ => {}
        }
        for told in &self.told {
            let text: &dyn fmt::Display = match told.code {
                Some(code) => &format!("{} [{code}]", told.text),
                None => &told.text,
            };
            sheet.row(told.about, text, format_args!("({})", told.source));
        }
        let (received, sent) = (Counted(self.received), self.sent);
        let lasted = Spoken(self.lasted);
        sheet.row(
            "moved",
            format_args!("{received} received, {sent} sent, in {lasted}"),
            "",
        );
        let mut lines = wrap(&self.endpoint, width);
        lines.extend(sheet.lines(width));
        lines.join("\n")
    }
}

/// The columns of the plain form, where no terminal says how many it has.
pub const WIDTH: usize = 100;

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plain(WIDTH))
    }
}

/// A number of bytes in words.
struct Counted(u64);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 byte"),
            n => write!(f, "{n} bytes"),
        }
    }
}

impl Record for Story {
    fn kind(&self) -> &'static str {
        "story"
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.text("endpoint", &self.endpoint);
        to.text("stack", &self.stack);
        if let Some(local) = &self.local {
            to.text("local", local);
        }
        if let Some(peer) = &self.peer {
            to.text("peer", peer);
        }
        let steps: Vec<&dyn Record> = self.steps.iter().map(|s| s as &dyn Record).collect();
        to.records("steps", &steps);
        // `connect` tells what was said, and nothing about it.
        if !self.told.is_empty() {
            let told: Vec<&dyn Record> = self.told.iter().map(|t| t as &dyn Record).collect();
            to.records("told", &told);
        }
        to.number("received", self.received);
        to.number("sent", self.sent);
        to.real("lasted_s", self.lasted.as_secs_f64());
    }
}

impl Record for Told {
    fn kind(&self) -> &'static str {
        "told"
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.text("about", self.about);
        to.text("text", &self.text);
        to.text("source", &self.source);
        if let Some(code) = self.code {
            to.text("code", code.name());
        }
    }
}
