//! The folder that files are collected in. Every call here blocks.
//!
//! Files are reached through the folder's descriptor alone, by names without a
//! slash, and never through a link.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use netloom_base::failure::{Errno, Fact};
use netloom_base::{Code, Failure, Side, Stage};
use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, flock, fstatvfs, fsync,
    openat, renameat_with, statat, unlinkat,
};

use super::Quotas;

/// What the name of a file begins with and ends with while it is written.
const BEGINS: &str = ".netloom-";
const ENDS: &str = ".part";

/// What the name of a file ends with that its client broke off.
const PARTIAL: &str = ".partial";

/// So many names are tried where files have the ones before.
const MOST_NAMES: u32 = 1000;

/// A folder, held by this program alone.
pub(super) struct Folder {
    dir: OwnedFd,
    quotas: Quotas,
    /// Bytes in it.
    used: AtomicU64,
}

impl Folder {
    /// Takes the folder, and clears away what a program that was killed left
    /// unfinished; gives how many files that were, too.
    pub(super) fn open(path: &Path, quotas: Quotas) -> Result<(Self, u64), Failure> {
        let shown = path.display();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
            let (code, what) = match errno {
                rustix::io::Errno::NOENT => (Code::CONNECT_NO_SUCH_PATH, "there is no folder"),
                rustix::io::Errno::NOTDIR => (Code::CONNECT_NO_SUCH_PATH, "this is no folder:"),
                rustix::io::Errno::ACCESS => (Code::CONNECT_DENIED_PATH, "this user may not use"),
                _ => (Stage::Create.other(), "this folder cannot be opened:"),
            };
            failed(code, errno).message(format!("{what} `{shown}`"))
        })?;
        let other = |errno| failed(Stage::Create.other(), errno);
        flock(&dir, FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
            let message = format!("another service collects into `{shown}` already");
            other(errno).message(message)
        })?;
        let mut folder = Folder {
            dir,
            quotas,
            used: AtomicU64::new(0),
        };
        let unfinished = folder.clear().map_err(|errno| {
            other(errno).message(format!("what is in `{shown}` cannot be seen"))
        })?;
        Ok((folder, unfinished))
    }

    /// Counts what is there, and ends what was left unfinished.
    fn clear(&mut self) -> rustix::io::Result<u64> {
        let (mut used, mut unfinished) = (0, 0);
        for entry in Dir::read_from(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Ok(found) = statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue; // it has just gone
            };
            if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
                continue;
            }
            let size = u64::try_from(found.st_size).unwrap_or(0);
            let meant = name
                .to_str()
                .ok()
                .and_then(|name| name.strip_prefix(BEGINS)?.strip_suffix(ENDS));
            match (meant, name.to_str()) {
                (Some(meant), Ok(own)) => {
                    unfinished += 1;
                    if self.give_up(own, meant, size) {
                        used += size;
                    }
                }
                _ => used += size,
            }
        }
        *self.used.get_mut() = used;
        Ok(unfinished)
    }

    /// Ends a file that was not finished; whether it is still there.
    fn give_up(&self, own: &str, meant: &str, size: u64) -> bool {
        if self.quotas.keep_partial && size > 0 {
            return self.rename(own, &format!("{meant}{PARTIAL}")).is_ok();
        }
        unlinkat(&self.dir, own, AtFlags::empty()).is_err()
    }

    /// Gives a file a name that no other has; that name.
    fn rename(&self, own: &str, meant: &str) -> rustix::io::Result<String> {
        for name in names(meant) {
            let renamed = renameat_with(&self.dir, own, &self.dir, &name, RenameFlags::NOREPLACE);
            match renamed {
                Ok(()) => return Ok(name),
                Err(rustix::io::Errno::EXIST) => {}
                // A file system that cannot do it in one step: a link replaces nothing either.
                Err(rustix::io::Errno::INVAL) => {
                    match rustix::fs::linkat(&self.dir, own, &self.dir, &name, AtFlags::empty()) {
                        Ok(()) => {
                            unlinkat(&self.dir, own, AtFlags::empty())?;
                            return Ok(name);
                        }
                        Err(rustix::io::Errno::EXIST) => {}
                        Err(errno) => return Err(errno),
                    }
                }
                Err(errno) => return Err(errno),
            }
        }
        Err(rustix::io::Errno::EXIST)
    }

    /// Takes so much of what the folder may hold, or says which limit that passes.
    fn take(&self, have: u64, more: u64) -> Result<(), Failure> {
        if have + more > self.quotas.max_bytes {
            return Err(limit("max-bytes", self.quotas.max_bytes)
                .message("the client sends more than one file may hold"));
        }
        let free = fstatvfs(&self.dir).map_err(|errno| failed(Stage::Recv.other(), errno))?;
        if (free.f_bavail.saturating_mul(free.f_frsize)) < self.quotas.min_free + more {
            return Err(limit("min-free", self.quotas.min_free)
                .message("the disk has less room than must stay free"));
        }
        let grown = |used: u64| {
            used.checked_add(more)
                .filter(|sum| *sum <= self.quotas.max_total)
        };
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
            .map(drop)
            .map_err(|_| {
                limit("max-total", self.quotas.max_total)
                    .message("the folder holds as much as it may")
            })
    }
}

/// The name that was meant, and then others like it.
fn names(meant: &str) -> impl Iterator<Item = String> {
    let later = (2..=MOST_NAMES).map(move |nth| format!("{meant}-{nth}"));
    std::iter::once(meant.to_owned()).chain(later)
}

fn limit(name: &'static str, allows: u64) -> Failure {
    Failure::new(Stage::Recv, Side::Us, Code::LIMIT_REACHED).fact(Fact::Limit { name, allows })
}

fn failed(code: Code, errno: rustix::io::Errno) -> Failure {
    let stage = code.stage();
    let stage = if stage == Stage::Connect {
        Stage::Create
    } else {
        stage
    };
    Failure::new(stage, Side::Us, code).fact(Fact::Errno(Errno(errno.raw_os_error())))
}

/// A file that is being written. Dropped unfinished, it is removed, or kept
/// under a name that says what it is.
pub(super) struct Part {
    folder: Arc<Folder>,
    /// `None` once it is finished.
    file: Option<File>,
    own: String,
    meant: String,
    size: u64,
}

impl Part {
    /// Begins a file that will be called `meant`.
    pub(super) fn begin(folder: Arc<Folder>, meant: &str) -> Result<Self, Failure> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        for name in names(meant) {
            let own = format!("{BEGINS}{name}{ENDS}");
            match openat(&folder.dir, &own, flags, mode) {
                Ok(file) => {
                    return Ok(Part {
                        folder,
                        file: Some(file.into()),
                        own,
                        meant: meant.to_owned(),
                        size: 0,
                    });
                }
                Err(rustix::io::Errno::EXIST) => {}
                Err(errno) => return Err(not_written(errno.into())),
            }
        }
        Err(not_written(io::ErrorKind::AlreadyExists.into()))
    }

    /// Writes what came.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let more = bytes.len() as u64;
        self.folder.take(self.size, more)?;
        self.size += more;
        match &mut self.file {
            Some(file) => file.write_all(bytes).map_err(not_written),
            None => Ok(()),
        }
    }

    /// Gives the file its name: it is whole, and on the disk where `sync` says so.
    /// Gives its name and its size.
    pub(super) fn finish(mut self, sync: bool) -> Result<(String, u64), Failure> {
        if let Some(file) = self.file.as_ref().filter(|_| sync) {
            file.sync_all().map_err(not_written)?;
        }
        let name = self.folder.rename(&self.own, &self.meant);
        let name = name.map_err(|errno| not_written(errno.into()))?;
        self.file = None;
        if sync {
            fsync(&self.folder.dir).map_err(|errno| not_written(errno.into()))?;
        }
        Ok((name, self.size))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.file.take().is_some() && !self.folder.give_up(&self.own, &self.meant, self.size) {
            self.folder.used.fetch_sub(self.size, Ordering::Relaxed);
        }
    }
}

fn not_written(error: io::Error) -> Failure {
    let errno = error.raw_os_error().map(Errno).map(Fact::Errno);
    let failure = Failure::new(Stage::Recv, Side::Us, Stage::Recv.other())
        .message("what came cannot be written to its file")
        .source(error);
    errno.into_iter().fold(failure, Failure::fact)
}
