//! How one conversation went, from the first step to the last byte.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::event::{Fields, Record};
use crate::failure::{Step, fact::Spoken};

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
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.endpoint)?;
        if self.stack != self.endpoint {
            write!(f, "\n  stack     {}", self.stack)?;
        }
        if let (Some(local), Some(peer)) = (&self.local, &self.peer) {
            write!(f, "\n  between   {local} and {peer}")?;
        }
        for step in &self.steps {
            write!(f, "\n  {:<9} {step}", step.stage.name())?;
        }
        let mut about = "";
        for told in &self.told {
            let heading = if told.about == about { "" } else { told.about };
            about = told.about;
            write!(f, "\n  {heading:<9} {}  ({})", told.text, told.source)?;
        }
        write!(
            f,
            "\n  moved     {} bytes received, {} sent, in {}",
            self.received,
            self.sent,
            Spoken(self.lasted)
        )
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
        let told: Vec<&dyn Record> = self.told.iter().map(|t| t as &dyn Record).collect();
        to.records("told", &told);
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
    }
}
