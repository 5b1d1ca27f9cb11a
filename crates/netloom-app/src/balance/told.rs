//! What is told of targets: each change once, when it happens.

use std::sync::Arc;
use std::time::Duration;

use netloom_base::{Code, Event, Failure, Fields, Record};
use netloom_transport::Cx;

use super::standing::{Standing, Turn};

/// Where a pool tells what happens.
pub(super) struct Told(pub(super) Cx);

/// A target changed, or the list of them.
#[derive(Debug)]
struct Change {
    service: Arc<str>,
    /// The target's endpoint; empty where it is about the list.
    target: String,
    state: &'static str,
    code: Option<Code>,
    because: String,
}

impl Record for Change {
    fn kind(&self) -> &'static str {
        if self.target.is_empty() {
            "targets"
        } else {
            "target"
        }
    }

    fn fields(&self, to: &mut dyn Fields) {
        if !self.service.is_empty() {
            to.text("service", &self.service);
        }
        if !self.target.is_empty() {
            to.text("target", &self.target);
        }
        to.text("state", self.state);
        if let Some(code) = self.code {
            to.text("code", code.name());
        }
        if !self.because.is_empty() {
            to.text("because", &self.because);
        }
    }

    fn in_words(&self) -> Option<String> {
        let what = match self.state {
            "up" => "is up again",
            "down" => "is down",
            "ejected" => "is left out",
            "back" => "is taken again",
            "added" => "is new in the list",
            "removed" => "has left the list",
            "all-down" => "none is up, and they are tried all the same",
            "stale" => "the list stays as it was",
            _ => "the list is known again",
        };
        let whose = if self.target.is_empty() {
            "targets:".to_owned()
        } else {
            format!("target {}", self.target)
        };
        Some(match (self.code, self.because.is_empty()) {
            (Some(code), true) => format!("{whose} {what}: {code}"),
            (Some(code), false) => format!("{whose} {what}: {code} ({})", self.because),
            (None, true) => format!("{whose} {what}"),
            (None, false) => format!("{whose} {what} ({})", self.because),
        })
    }
}

impl Told {
    fn tell(&self, target: &str, state: &'static str, code: Option<Code>, because: String) {
        self.0.events().tell(|| {
            Event::Note(Box::new(Change {
                service: self.0.service().clone(),
                target: target.to_owned(),
                state,
                code,
                because,
            }))
        });
    }

    pub(super) fn turned(&self, standing: &Standing, turn: Turn) {
        let (state, code, because) = match turn {
            Turn::Down(code, checks) => ("down", Some(code), many(checks, "check")),
            Turn::Up(checks) => ("up", None, many(checks, "check")),
            Turn::Ejected(code, dials, time) => {
                let because = format!("{}, for {}", many(dials, "dial"), rounded(time));
                ("ejected", Some(code), because)
            }
            Turn::Back => ("back", None, String::new()),
        };
        self.tell(&standing.name, state, code, because);
    }

    pub(super) fn added(&self, target: &str) {
        self.tell(target, "added", None, String::new());
    }

    pub(super) fn removed(&self, target: &str, open: usize) {
        let because = match open {
            0 => String::new(),
            1 => "1 connection goes on".to_owned(),
            many => format!("{many} connections go on"),
        };
        self.tell(target, "removed", None, because);
    }

    pub(super) fn all_down(&self) {
        self.tell("", "all-down", None, String::new());
    }

    /// The list could not be learned, so the last one stays.
    pub(super) fn stale(&self, of: &str, failure: &Failure) {
        let because = format!("{of}: {}", failure.summary());
        self.tell("", "stale", Some(failure.code()), because);
    }

    pub(super) fn fresh(&self, of: &str) {
        self.tell("", "fresh", None, of.to_owned());
    }
}

fn many(count: u32, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

fn rounded(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{:.0} s", time.as_secs_f64())
    }
}
