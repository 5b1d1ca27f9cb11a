//! How things are shown: plain text, or JSON Lines.

mod data;
mod plain;

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use clap::ArgMatches;
use netloom_base::event::Remark;
use netloom_base::story::WIDTH;
use netloom_base::{Diagnosis, Event, Failure, Fields, Record, Stage, Timestamp};
use netloom_transport::Clock;
use netloom_transport::cx::{OsClock, Stamped};
pub(crate) use netloom_wire::record::line as json_line;

pub(crate) use data::Data;

/// The face a verb shows.
#[derive(Clone)]
pub(crate) struct Face {
    json: bool,
    quiet: bool,
    verbose: bool,
    color: bool,
    /// Under every address, how to talk to it.
    hints: bool,
    /// Nobody reads stdout any more.
    closed: Arc<AtomicBool>,
    /// The first failure to write there for another reason.
    unwritten: Arc<OnceLock<io::Error>>,
    /// Who takes lines meanwhile that would go to the terminal or to stdout.
    voice: Arc<Mutex<Option<Voice>>>,
}

/// Takes lines while somebody else writes where they would go.
pub(crate) type Voice = Box<dyn Fn(&str) + Send>;

impl Face {
    pub(crate) fn new(matches: &ArgMatches) -> Self {
        let flag = |name| {
            matches
                .try_get_one::<bool>(name)
                .ok()
                .flatten()
                .is_some_and(|set| *set)
        };
        let color = match matches
            .try_get_one::<String>("color")
            .ok()
            .flatten()
            .map(String::as_str)
        {
            Some("always") => true,
            Some("never") => false,
            _ => {
                io::stderr().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            }
        };
        Face {
            json: flag("json"),
            quiet: flag("quiet"),
            verbose: matches
                .try_get_one::<u8>("verbose")
                .ok()
                .flatten()
                .is_some_and(|n| *n > 0),
            color,
            hints: false,
            closed: Arc::default(),
            unwritten: Arc::default(),
            voice: Arc::default(),
        }
    }

    /// The face for what goes wrong before the flags are read.
    pub(crate) fn json() -> Self {
        Face {
            json: true,
            quiet: false,
            verbose: false,
            color: false,
            hints: false,
            closed: Arc::default(),
            unwritten: Arc::default(),
            voice: Arc::default(),
        }
    }

    /// The same, showing under every address how to talk to it.
    pub(crate) fn with_hints(&self) -> Self {
        Face {
            hints: true,
            ..self.clone()
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Whether single connections are worth telling of.
    pub(crate) fn wants_connections(&self) -> bool {
        self.json || self.verbose
    }

    /// Whether stdout turned out to be closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Whoever read stdout has left.
    pub(crate) fn reader_left(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Why something that was asked for could not be written; a reader that
    /// left is no reason.
    pub(crate) fn unwritten(&self) -> Option<Failure> {
        let error = self.unwritten.get()?;
        let errno = error.raw_os_error();
        let error = errno.map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
        let failure = Failure::from_io(Stage::Send, error);
        Some(failure.message("standard output cannot be written"))
    }

    /// Shows an event.
    pub(crate) fn event(&self, stamped: &Stamped) {
        if self.json {
            self.out(&json_line(&stamped.event, stamped.at));
        } else if let Some(text) =
            plain::event(&stamped.event, self.quiet, self.verbose, self.hints)
        {
            self.speak(&self.painted(&text));
        }
    }

    /// Shows a record that ends a verb: a story.
    pub(crate) fn record(&self, record: &dyn Record, plain: impl std::fmt::Display, at: Timestamp) {
        if self.json {
            self.out(&json_line(record, at));
        } else if self.verbose {
            self.speak(&plain.to_string());
        }
    }

    /// Tells of something that was waited for.
    pub(crate) fn reached(&self, what: &(impl Record + std::fmt::Display)) {
        if self.json {
            self.out(&json_line(what, now()));
        } else {
            self.say(&what.to_string());
        }
    }

    /// Ends a verb whose work was told already: only a program is told again.
    pub(crate) fn finished(&self, text: &str) {
        if self.json {
            self.done(text);
        }
    }

    /// Writes what somebody said: as it is, or as JSON.
    pub(crate) fn heard(&self, record: &dyn Record, plain: &str) {
        if self.json {
            self.out(&json_line(record, now()));
        } else {
            self.out(plain);
        }
    }

    /// Writes a record that was asked for: in words, or as JSON.
    pub(crate) fn answer(&self, record: &dyn Record, plain: &str) {
        if self.json {
            self.out(&json_line(record, now()));
        } else {
            self.out(&self.shaded(plain));
        }
    }

    /// On a terminal the title stands out and sources step back; the text is
    /// the same without.
    fn shaded(&self, plain: &str) -> String {
        if !self.color || !io::stdout().is_terminal() {
            return plain.to_owned();
        }
        let shade = |(i, line): (usize, &str)| match line.rfind("  (") {
            _ if i == 0 => format!("\u{1b}[1m{line}\u{1b}[0m"),
            Some(at) if line.ends_with(')') => {
                format!("{}\u{1b}[2m{}\u{1b}[0m", &line[..at], &line[at..])
            }
            _ => line.to_owned(),
        };
        let lines: Vec<String> = plain.lines().enumerate().map(shade).collect();
        lines.join("\n")
    }

    /// The columns that what is asked for may take.
    pub(crate) fn width(&self) -> usize {
        let out = io::stdout();
        if self.json || !out.is_terminal() {
            return WIDTH;
        }
        let size = terminal_size::terminal_size_of(&out);
        size.map_or(WIDTH, |(width, _)| usize::from(width.0).clamp(40, WIDTH))
    }

    /// Shows why something failed.
    pub(crate) fn diagnosis(&self, diagnosis: &Diagnosis) {
        if self.json {
            self.out(&json_line(diagnosis, now()));
        } else {
            self.speak(&self.painted(&diagnosis.to_string()));
        }
    }

    /// Tells that an address is held, for a verb without events.
    pub(crate) fn listening(&self, endpoint: &str) {
        let event = Event::Listening {
            service: "".into(),
            endpoint: endpoint.to_owned(),
            to: None,
            tool: None,
        };
        self.event(&Stamped { at: now(), event });
    }

    /// Remarks on something that went well enough, but should be known.
    pub(crate) fn note(&self, text: String) {
        let service = "".into();
        let event = Event::Note(Box::new(Remark { service, text }));
        self.event(&Stamped { at: now(), event });
    }

    /// Says something that is not an event.
    pub(crate) fn say(&self, text: &str) {
        if !self.json && !self.quiet {
            self.speak(text);
        }
    }

    /// Shows what goes by, to whoever asked for it.
    pub(crate) fn trace(&self, text: &str) {
        if !self.json {
            self.speak(text);
        }
    }

    /// Lets `voice` have what is said to the terminal that it draws on; with
    /// JSON, what is written to stdout.
    pub(crate) fn speak_through(&self, voice: Option<Voice>) {
        let heard = self.json || io::stderr().is_terminal();
        *self.voice() = voice.filter(|_| heard);
    }

    fn voice(&self) -> std::sync::MutexGuard<'_, Option<Voice>> {
        self.voice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn speak(&self, text: &str) {
        if let Some(voice) = &*self.voice() {
            return voice(text);
        }
        // In one piece, because others may write there too. When nobody hears,
        // nothing can be said about it.
        let line = format!("{text}\n");
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }

    pub(crate) fn is_colored(&self) -> bool {
        self.color
    }

    /// Writes a text that was asked for: as it is, or as one record.
    pub(crate) fn page(&self, text: &str) {
        if self.json {
            let page = Words {
                kind: "page",
                text: text.to_owned(),
            };
            self.out(&json_line(&page, now()));
        } else {
            self.out(text);
        }
    }

    /// Says that what was asked for is done.
    pub(crate) fn done(&self, text: &str) {
        if self.json {
            let done = Words {
                kind: "done",
                text: text.to_owned(),
            };
            self.out(&json_line(&done, now()));
        } else {
            self.say(text);
        }
    }

    fn out(&self, text: &str) {
        if let Some(voice) = &*self.voice() {
            return voice(text);
        }
        let mut out = io::stdout().lock();
        if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
            self.reader_left();
            if error.kind() != io::ErrorKind::BrokenPipe {
                let _ = self.unwritten.set(error); // the first says why
            }
        }
    }

    /// `error[code]:` stands out on a terminal; the text is the same without.
    fn painted(&self, text: &str) -> String {
        match text.split_once("]: ") {
            Some((head, rest)) if self.color && head.starts_with("error[") => {
                format!("\u{1b}[1;31m{head}]:\u{1b}[0m {rest}")
            }
            _ => text.to_owned(),
        }
    }
}

/// Calendar time, for what is not an event.
pub(crate) fn now() -> Timestamp {
    OsClock::new().wall()
}

/// A record that is nothing but a text.
#[derive(Debug)]
struct Words {
    kind: &'static str,
    text: String,
}

impl Record for Words {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.text("text", &self.text);
    }
}
