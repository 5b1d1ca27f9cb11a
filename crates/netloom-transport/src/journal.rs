//! A file that records are appended to, one JSON line each, by a thread of its
//! own: whoever tells of something never waits for a disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use netloom_base::{Failure, Moment, Record, Stage, Timestamp};
use netloom_wire::record::line;
use tokio::sync::{mpsc, oneshot};

use crate::cx::Cx;

/// Lines that may wait to be written. More are counted and told as dropped.
const QUEUE: usize = 4096;

/// So many bytes are written at once at most, but for a longer line.
const AT_ONCE: usize = 64 * 1024;

/// How often it is looked whether the file was moved away, and told that lines
/// were dropped.
const LOOK: Duration = Duration::from_secs(1);

/// A record, and when it was.
type Entry = (Timestamp, Box<dyn Record>);

/// A file of JSON Lines that is being appended to.
///
/// It is opened again under its name when it was moved away or removed, as
/// programs that rotate logs do.
pub struct Journal {
    /// Gone once the end is asked for: who has a [`Pen`] may still write.
    sender: Mutex<Option<mpsc::Sender<Entry>>>,
    dropped: Arc<AtomicU64>,
}

/// Writes into a journal. The journal ends when it drains and no pen is left.
pub struct Pen {
    sender: mpsc::Sender<Entry>,
    dropped: Arc<AtomicU64>,
}

impl Journal {
    /// Opens the file, makes it if there is none, and keeps it until `cx` drains.
    ///
    /// # Errors
    /// When it cannot be opened for appending.
    pub fn open(path: &Path, cx: &Cx) -> Result<Arc<Self>, Failure> {
        let unusable = |error| {
            Failure::from_io(Stage::Create, error)
                .message(format!("{} cannot be appended to", path.display()))
        };
        let file = append(path).map_err(unusable)?;
        let (sender, entries) = mpsc::channel(QUEUE);
        let (done, ended) = oneshot::channel::<()>();
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            path: path.to_owned(),
            identity: identity(&file),
            file,
            looked: cx.now(),
            dropped: dropped.clone(),
            cx: cx.clone(),
        };
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                writer.run(entries);
                drop(done);
            })
            .map_err(unusable)?;
        let journal = Arc::new(Journal {
            sender: Mutex::new(Some(sender)),
            dropped,
        });
        let (kept, draining) = (journal.clone(), cx.shutdown().clone());
        cx.spawn(async move {
            draining.draining().await;
            drop(kept.lock().take());
            // The writer drops its end when everything is written.
            let _ = ended.await;
        });
        Ok(journal)
    }

    /// A pen, unless the journal has ended.
    pub fn pen(&self) -> Option<Pen> {
        let sender = self.lock().clone()?;
        Some(Pen {
            sender,
            dropped: self.dropped.clone(),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<Entry>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pen {
    /// Has a record written. Never waits: what does not fit is counted, and the
    /// count is told.
    pub fn write(&self, at: Timestamp, record: Box<dyn Record>) {
        if self.sender.try_send((at, record)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The thread that writes.
struct Writer {
    path: PathBuf,
    file: File,
    identity: Option<(u64, u64)>,
    looked: Moment,
    dropped: Arc<AtomicU64>,
    cx: Cx,
}

impl Writer {
    fn run(mut self, mut entries: mpsc::Receiver<Entry>) {
        let mut text = Vec::new();
        let mut failing = false;
        while let Some(entry) = entries.blocking_recv() {
            let mut count = 0;
            let mut next = Some(entry);
            while let Some((at, record)) = next {
                text.extend_from_slice(line(&*record, at).as_bytes());
                text.push(b'\n');
                count += 1;
                next = (text.len() < AT_ONCE)
                    .then(|| entries.try_recv().ok())
                    .flatten();
            }
            let now = self.cx.now();
            if now - self.looked >= LOOK {
                self.looked = now;
                self.follow();
                self.tell_dropped();
            }
            let written = self.file.write_all(&text);
            text.clear();
            match written {
                Ok(()) => failing = false,
                Err(error) => {
                    self.dropped.fetch_add(count, Ordering::Relaxed);
                    if !std::mem::replace(&mut failing, true) {
                        let told = error.to_string().to_lowercase();
                        let why = told.split(" (os error").next().unwrap_or_default();
                        let path = self.path.display();
                        self.remark(format!("{path} cannot be written: {why}"));
                    }
                }
            }
        }
        self.tell_dropped();
    }

    /// Opens the file again where its name leads to another one by now.
    fn follow(&mut self) {
        let there = std::fs::metadata(&self.path).ok();
        if there.is_some() && there.as_ref().and_then(identity_of) == self.identity {
            return;
        }
        // Where that fails, the old file is still better than none.
        if let Ok(file) = append(&self.path) {
            self.identity = identity(&file);
            self.file = file;
        }
    }

    fn tell_dropped(&self) {
        let count = self.dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            let lines = if count == 1 { "line" } else { "lines" };
            let path = self.path.display();
            self.remark(format!("{count} {lines} of {path} were dropped"));
        }
    }

    fn remark(&self, text: String) {
        self.cx.remark(self.cx.service(), text);
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn identity(file: &File) -> Option<(u64, u64)> {
    file.metadata().ok().as_ref().and_then(identity_of)
}

/// What makes a file the same under another name.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere there is none")]
fn identity_of(of: &std::fs::Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;

    Some((of.dev(), of.ino()))
}

#[cfg(not(unix))]
fn identity_of(_: &std::fs::Metadata) -> Option<(u64, u64)> {
    None
}
