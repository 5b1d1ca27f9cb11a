//! A conversation in a file: JSON Lines that `replay` reads.
//!
//! ```text
//! {"kind":"recording","at":…,"version":1,"netloom":"0.1.0"}
//! {"kind":"opened","at":…,"after_s":0.01,"conn":1,"endpoint":"tcp://…","stack":"tcp","by":"stream","peer":…}
//! {"kind":"data","at":…,"after_s":0.02,"conn":1,"dir":"out","text":"hi\n"}
//! {"kind":"end","at":…,"after_s":0.03,"conn":1,"dir":"in"}
//! {"kind":"closed","at":…,"after_s":0.03,"conn":1}
//! ```
//!
//! `after_s` counts from the beginning by a clock that nobody sets. Every line
//! is written at once, so that what was recorded is there whatever happens.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use netloom_base::settings::ByteSize;
use netloom_base::{Failure, Fields, Moment, Record, Stage};
use netloom_transport::Cx;

use crate::editor::private;
use crate::view::{Face, json_line};

/// Which form of recording this is.
pub(crate) const VERSION: u64 = 1;

/// How large a recording may become when nobody says, in bytes.
pub(crate) const LARGEST: u64 = 1 << 30;

/// Writes a recording. Its clones are one.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<Inner>);

struct Inner {
    path: PathBuf,
    cx: Cx,
    face: Face,
    began: Moment,
    largest: u64,
    file: Mutex<State>,
}

struct State {
    file: Option<File>,
    written: u64,
    failed: Option<io::Error>,
}

impl Recorder {
    /// Begins a recording that only its user may read, in place of what the
    /// file held. After `largest` bytes it ends, and the conversation goes on.
    pub(crate) fn begin(path: &Path, largest: u64, face: &Face, cx: &Cx) -> Result<Self, Failure> {
        let open = private().create(true).write(true).truncate(true).open(path);
        let file = open.and_then(only_ours).map_err(|error| {
            let why = format!("{} cannot be written", path.display());
            Failure::from_io(Stage::Create, error).message(why)
        })?;
        let recorder = Recorder(Arc::new(Inner {
            path: path.to_owned(),
            cx: cx.clone(),
            face: face.clone(),
            began: cx.now(),
            largest,
            file: Mutex::new(State {
                file: Some(file),
                written: 0,
                failed: None,
            }),
        }));
        recorder.write(&json_line(&Beginning, cx.wall()));
        Ok(recorder)
    }

    pub(crate) fn opened(
        &self,
        conn: u64,
        endpoint: &str,
        (stack, by): (&str, &str),
        peer: Option<&str>,
    ) {
        self.put(
            conn,
            What::Opened {
                endpoint,
                stack,
                by,
                peer,
            },
        );
    }

    pub(crate) fn bytes(&self, conn: u64, inbound: bool, bytes: &[u8]) {
        self.put(conn, What::Data { inbound, bytes });
    }

    pub(crate) fn ended(&self, conn: u64, inbound: bool) {
        self.put(conn, What::End { inbound });
    }

    pub(crate) fn closed(&self, conn: u64) {
        self.put(conn, What::Closed);
    }

    /// Why the recording is not whole, if that is nobody's wish.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let mut state = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        let error = state.failed.take()?;
        let why = format!("the recording {} is not whole", self.0.path.display());
        Some(Failure::from_io(Stage::Send, error).message(why))
    }

    fn put(&self, conn: u64, what: What<'_>) {
        let after = (self.0.cx.now() - self.0.began).as_secs_f64();
        let line = Line { after, conn, what };
        self.write(&json_line(&line, self.0.cx.wall()));
    }

    fn write(&self, line: &str) {
        let mut state = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        let Some(file) = &mut state.file else {
            return;
        };
        let (line, name) = (format!("{line}\n"), self.0.path.display());
        let room = self.0.largest.saturating_sub(state.written);
        if room < line.len() as u64 {
            let largest = ByteSize(self.0.largest);
            state.file = None;
            self.0.face.note(format!(
                "the recording {name} ends here: --record-limit is {largest}"
            ));
            return;
        }
        match file.write_all(line.as_bytes()) {
            Ok(()) => state.written += line.len() as u64,
            Err(error) => {
                state.file = None;
                state.failed = Some(error);
                self.0.face.note(format!(
                    "the recording {name} ends here: it cannot be written"
                ));
            }
        }
    }
}

/// A file that was there before may have been open to others.
#[cfg(unix)]
fn only_ours(file: File) -> io::Result<File> {
    use std::os::unix::fs::PermissionsExt;

    if file.metadata()?.is_file() {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

#[cfg(not(unix))]
fn only_ours(file: File) -> io::Result<File> {
    Ok(file)
}

/// The first line.
#[derive(Debug)]
struct Beginning;

impl Record for Beginning {
    fn kind(&self) -> &'static str {
        "recording"
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.number("version", VERSION);
        to.text("netloom", env!("CARGO_PKG_VERSION"));
    }
}

/// Any other line.
#[derive(Debug)]
struct Line<'a> {
    after: f64,
    conn: u64,
    what: What<'a>,
}

#[derive(Debug)]
enum What<'a> {
    Opened {
        endpoint: &'a str,
        stack: &'a str,
        by: &'a str,
        peer: Option<&'a str>,
    },
    Data {
        inbound: bool,
        bytes: &'a [u8],
    },
    End {
        inbound: bool,
    },
    Closed,
}

impl Record for Line<'_> {
    fn kind(&self) -> &'static str {
        match self.what {
            What::Opened { .. } => "opened",
            What::Data { .. } => "data",
            What::End { .. } => "end",
            What::Closed => "closed",
        }
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.real("after_s", self.after);
        to.number("conn", self.conn);
        match &self.what {
            What::Opened {
                endpoint,
                stack,
                by,
                peer,
            } => {
                to.text("endpoint", endpoint);
                to.text("stack", stack);
                to.text("by", by);
                if let Some(peer) = peer {
                    to.text("peer", peer);
                }
            }
            What::Data { inbound, bytes } => {
                to.text("dir", direction(*inbound));
                to.bytes(bytes);
            }
            What::End { inbound } => to.text("dir", direction(*inbound)),
            What::Closed => {}
        }
    }
}

fn direction(inbound: bool) -> &'static str {
    if inbound { "in" } else { "out" }
}
