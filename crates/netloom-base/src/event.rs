//! What is happening: one stream of plain data that every face reads.
//!
//! Terminal, JSON, dashboard and Python see the same [`Event`]s. Each is a
//! [`Record`]: a kind and named fields, told to whoever wants to write them.

use std::sync::Arc;
use std::time::Duration;

use crate::failure::{Fact, Failure, Step};

/// Something that happened, told while it does.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A service is bound; the endpoint carries the real port.
    Listening {
        /// The service's name.
        service: Arc<str>,
        /// Where.
        endpoint: String,
        /// Where it leads, when what comes is carried on.
        to: Option<String>,
        /// How to reach it with a tool that many have.
        tool: Option<String>,
    },
    /// A connection was accepted or dialled.
    Opened {
        /// The service's name; empty for a client verb.
        service: Arc<str>,
        /// The connection's number, unique in this process.
        conn: u64,
        /// Who is at the other end.
        peer: String,
    },
    /// A connection ended in good order.
    Closed {
        /// The service's name; empty for a client verb.
        service: Arc<str>,
        /// The connection's number.
        conn: u64,
        /// Bytes received.
        received: u64,
        /// Bytes sent.
        sent: u64,
        /// How long it lived.
        lasted: Duration,
    },
    /// A connection, or a service, failed.
    Failed {
        /// The service's name; empty for a client verb.
        service: Arc<str>,
        /// The connection's number, if it was one.
        conn: Option<u64>,
        /// What went wrong.
        failure: Failure,
    },
    /// Connections were turned away at the door since the last such event.
    Refused {
        /// The service's name.
        service: Arc<str>,
        /// How many.
        count: u64,
        /// The limit that turned them away, as its setting is called.
        limit: &'static str,
    },
    /// Anything else worth a line.
    Note(Box<dyn Record>),
    /// So many events were dropped because nobody read them in time.
    Lost(u64),
}

/// A remark in words, for [`Event::Note`].
#[derive(Debug, Clone)]
pub struct Remark {
    /// The service it is about; empty for none.
    pub service: Arc<str>,
    /// The remark, lower case, no full stop.
    pub text: String,
}

/// Data with a kind and named fields.
///
/// JSON lines, the terminal, the dashboard and Python are each one
/// implementation of [`Fields`].
pub trait Record: Send + Sync + std::fmt::Debug {
    /// The word under `"kind"`.
    fn kind(&self) -> &'static str;

    /// Tells every field, in order. An absent field is not told.
    fn fields(&self, to: &mut dyn Fields);

    /// The same in words, for people; `None` where its fields say it as well.
    fn in_words(&self) -> Option<String> {
        None
    }
}

/// Whoever writes a record's fields down.
pub trait Fields {
    /// A piece of text.
    fn text(&mut self, name: &'static str, value: &str);
    /// A whole number.
    fn number(&mut self, name: &'static str, value: u64);
    /// A real number, in the unit its name says.
    fn real(&mut self, name: &'static str, value: f64);
    /// Yes or no.
    fn flag(&mut self, name: &'static str, value: bool);
    /// Several pieces of text.
    fn texts(&mut self, name: &'static str, values: &[String]);
    /// Several records inside this one; their kinds are not told.
    fn records(&mut self, name: &'static str, records: &[&dyn Record]);
    /// Bytes: as text when they are printable UTF-8, otherwise in base64.
    fn bytes(&mut self, value: &[u8]);
}

impl Record for Event {
    fn kind(&self) -> &'static str {
        match self {
            Event::Listening { .. } => "listening",
            Event::Opened { .. } => "opened",
            Event::Closed { .. } => "closed",
            Event::Failed { .. } => "failed",
            Event::Refused { .. } => "refused",
            Event::Note(record) => record.kind(),
            Event::Lost(_) => "lost",
        }
    }

    fn fields(&self, to: &mut dyn Fields) {
        match self {
            Event::Listening {
                service,
                endpoint,
                to: leads_to,
                tool,
            } => {
                whose(to, service, None);
                to.text("endpoint", endpoint);
                if let Some(leads_to) = leads_to {
                    to.text("to", leads_to);
                }
                if let Some(tool) = tool {
                    to.text("tool", tool);
                }
            }
            Event::Opened {
                service,
                conn,
                peer,
            } => {
                whose(to, service, Some(*conn));
                to.text("peer", peer);
            }
            Event::Closed {
                service,
                conn,
                received,
                sent,
                lasted,
            } => {
                whose(to, service, Some(*conn));
                to.number("received", *received);
                to.number("sent", *sent);
                to.real("lasted_s", lasted.as_secs_f64());
            }
            Event::Failed {
                service,
                conn,
                failure,
            } => {
                whose(to, service, *conn);
                failure_fields(failure, to);
            }
            Event::Refused {
                service,
                count,
                limit,
            } => {
                whose(to, service, None);
                to.number("count", *count);
                to.text("limit", limit);
            }
            Event::Note(record) => record.fields(to),
            Event::Lost(count) => to.number("count", *count),
        }
    }
}

impl Record for Remark {
    fn kind(&self) -> &'static str {
        "note"
    }

    fn fields(&self, to: &mut dyn Fields) {
        whose(to, &self.service, None);
        to.text("text", &self.text);
    }
}

impl Record for Step {
    fn kind(&self) -> &'static str {
        "step"
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.text("stage", self.stage.name());
        to.text("to", &self.to);
        if let Some(code) = self.failed {
            to.text("failed", code.name());
        }
        to.real("took_s", self.took.as_secs_f64());
    }
}

fn whose(to: &mut dyn Fields, service: &str, conn: Option<u64>) {
    if !service.is_empty() {
        to.text("service", service);
    }
    if let Some(conn) = conn {
        to.number("conn", conn);
    }
}

fn failure_fields(failure: &Failure, to: &mut dyn Fields) {
    to.text("code", failure.code().name());
    to.text("stage", failure.stage().name());
    to.text("side", failure.side().name());
    if let Some(endpoint) = failure.endpoint() {
        to.text("endpoint", endpoint);
    }
    to.text("summary", &failure.summary());
    if let Some(errno) = failure.errno() {
        to.text("errno", &errno.to_string());
    }
    let moved = failure.facts().iter().find_map(|fact| match fact {
        Fact::Moved { received, sent } => Some((*received, *sent)),
        _ => None,
    });
    if let Some((received, sent)) = moved {
        to.number("received", received);
        to.number("sent", sent);
    }
}
