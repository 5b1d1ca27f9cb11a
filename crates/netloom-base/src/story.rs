//! How one conversation went, from the first step to the last byte.

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
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// How long it lasted.
    pub lasted: Duration,
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
        to.number("received", self.received);
        to.number("sent", self.sent);
        to.real("lasted_s", self.lasted.as_secs_f64());
    }
}
