//! What is told of each connection when it is over.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use netloom_base::{Code, Event, Failure, Fields, Moment, Record, Side, Stage};
use netloom_transport::carry::{Carried, CarryFailure, End};
use netloom_transport::journal::{Journal, Pen};
use netloom_transport::{Cx, Peer};

use super::reach::{Reached, Unreached};

/// A connection that was carried, or could not be.
#[derive(Debug, Clone)]
pub(super) struct Forwarded {
    service: Arc<str>,
    conn: u64,
    client: Option<Peer>,
    target: Option<String>,
    tries: usize,
    carried: Carried,
    dialled: Option<Duration>,
    lasted: Duration,
    by: By,
    /// Nothing where both had said everything.
    failed: Option<Code>,
    /// Who did not read, where that is why.
    unread_by: Option<&'static str>,
}

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Client,
    Target,
    /// A limit of ours, what this host lacks, or whoever told us to stop.
    Us,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            By::Client => "client",
            By::Target => "target",
            By::Us => "us",
        }
    }
}

impl Record for Forwarded {
    fn kind(&self) -> &'static str {
        "forwarded"
    }

    fn fields(&self, to: &mut dyn Fields) {
        if !self.service.is_empty() {
            to.text("service", &self.service);
        }
        to.number("conn", self.conn);
        if let Some(client) = &self.client {
            to.text("client", &client.to_string());
        }
        if let Some(target) = &self.target {
            to.text("target", target);
        }
        to.number("tries", self.tries as u64);
        to.number("to_target", self.carried.forth);
        to.number("to_client", self.carried.back);
        to.text("gear", self.carried.gear.name());
        if let Some(dialled) = self.dialled {
            to.real("dial_s", dialled.as_secs_f64());
        }
        to.real("lasted_s", self.lasted.as_secs_f64());
        to.text("closed_by", self.by.name());
        to.text("reason", self.failed.map_or("end", Code::name));
        if let Some(who) = self.unread_by {
            to.text("not_reading", who);
        }
    }

    fn in_words(&self) -> Option<String> {
        let mut words = format!("conn {}", self.conn);
        if let Some(client) = &self.client {
            let _ = write!(words, " from {client}");
        }
        if let Some(target) = &self.target {
            let _ = write!(words, " to {target}");
        }
        let Carried { forth, back, .. } = self.carried;
        let lasted = self.lasted.as_secs_f64();
        let _ = write!(words, ": {forth} bytes forth, {back} back in {lasted:.3} s");
        let _ = match (self.failed, self.by) {
            (None, by) => write!(words, "; the {} ended first", by.name()),
            (Some(code), By::Us) => write!(words, "; ended by {code}"),
            (Some(code), by) => write!(words, "; the {} failed: {code}", by.name()),
        };
        let _ = match self.unread_by {
            Some("both") => write!(words, ", neither side reads"),
            Some(who) => write!(words, ", the {who} does not read"),
            None => Ok(()),
        };
        if self.tries > 1 {
            let _ = write!(words, "; {} targets tried", self.tries);
        }
        Some(words)
    }
}

/// A connection that somebody wants to hear of, while it lasts.
pub(super) struct Account {
    conn: u64,
    client: Option<Peer>,
    began: Moment,
    pen: Option<Pen>,
    /// Whether it is told to whoever listens to events.
    listened: bool,
    target: Option<String>,
    tries: usize,
    dialled: Option<Duration>,
}

impl Account {
    /// Begins one, if anybody wants to hear of it.
    pub(super) fn open(
        journal: Option<&Journal>,
        cx: &Cx,
        conn: u64,
        client: impl FnOnce() -> Option<Peer>,
    ) -> Option<Box<Self>> {
        let pen = journal.and_then(Journal::pen);
        if pen.is_none() && !cx.events().wants_connections() {
            return None;
        }
        Some(Box::new(Account {
            conn,
            client: client(),
            began: cx.now(),
            pen,
            listened: true,
            target: None,
            tries: 0,
            dialled: None,
        }))
    }

    /// A target answered.
    pub(super) fn reached(&mut self, reached: &Reached) {
        self.target = Some(reached.pick.target().stack.endpoint.to_string());
        self.tries = reached.tried.len() + 1;
        self.dialled = Some(reached.took);
    }

    /// Both had said everything.
    pub(super) fn carried(self, carried: Carried, cx: &Cx) {
        let by = match carried.ended_first {
            Some(End::Second) => By::Target,
            _ => By::Client,
        };
        self.close(carried, by, None, None, cx);
    }

    /// It broke on the way.
    pub(super) fn broke(self, failed: &CarryFailure, cx: &Cx) {
        let failure = &failed.failure;
        let at = match failed.end {
            End::First => By::Client,
            End::Second => By::Target,
        };
        // Who does not read ends nothing: the idle limit does.
        let stuck = failure.stage() == Stage::Stuck;
        let unread_by = stuck.then(|| match failure.code() {
            Code::STUCK_BOTH_WRITING => "both",
            _ => at.name(),
        });
        let by = if stuck || matches!(failure.side(), Side::Us | Side::Os) {
            By::Us
        } else {
            at
        };
        self.close(failed.carried, by, Some(failure.code()), unread_by, cx);
    }

    /// No target could be reached.
    pub(super) fn unreached(mut self, unreached: &Unreached, cx: &Cx) {
        self.tries = unreached.tries;
        self.target.clone_from(&unreached.target);
        let by = match unreached.side {
            Side::Us | Side::Os => By::Us,
            Side::Peer | Side::Path => By::Target,
        };
        self.close(Carried::default(), by, Some(unreached.code), None, cx);
    }

    /// The client left before a target was reached.
    pub(super) fn left(self, failure: &Failure, cx: &Cx) {
        let by = match failure.side() {
            Side::Us | Side::Os => By::Us,
            Side::Peer | Side::Path => By::Client,
        };
        self.close(Carried::default(), by, Some(failure.code()), None, cx);
    }

    /// The client was not led anywhere, which is told apart, with its reason.
    pub(super) fn turned_away(mut self, failure: &Failure, cx: &Cx) {
        self.listened = false;
        self.left(failure, cx);
    }

    fn close(
        self,
        carried: Carried,
        by: By,
        failed: Option<Code>,
        unread_by: Option<&'static str>,
        cx: &Cx,
    ) {
        let told = Forwarded {
            service: cx.service().clone(),
            conn: self.conn,
            client: self.client,
            target: self.target,
            tries: self.tries,
            carried,
            dialled: self.dialled,
            lasted: cx.now() - self.began,
            by,
            failed,
            unread_by,
        };
        if let Some(pen) = &self.pen {
            pen.write(cx.wall(), Box::new(told.clone()));
        }
        if self.listened {
            cx.events().tell_connection(|| Event::Note(Box::new(told)));
        }
    }
}
