//! Opening a file, and why it was not opened.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use netloom_base::failure::{Errno, Fact, Step};
use netloom_base::{Code, Failure, Side, Stack, Stage};

use super::sink::Sink;
use super::{DialOptions, options};
use crate::blocking::{Halves, Patient};
use crate::conn::{Conn, ConnFacts, Io, Peer};
use crate::cx::Cx;
use crate::net::Opened;
use crate::ready::Ready;

/// The permissions of a file that is made, before the umask.
const MODE: u32 = 0o666;

pub(super) async fn dial(stack: &Stack, cx: &Cx) -> Result<Opened, Failure> {
    let options = options(stack)?;
    let path = PathBuf::from(stack.endpoint.opaque().unwrap_or_default());
    let began = cx.now();
    let writes = options.append || options.create || options.truncate;
    // A disk may be far away, and slow.
    let opening = tokio::task::spawn_blocking(move || {
        let opened = open(&path, &options);
        (opened, path)
    });
    let (opened, path) = opening
        .await
        .map_err(|error| Failure::from_io(Stage::Create, io::Error::other(error)))?;
    let step = Step {
        stage: Stage::Create,
        to: path.display().to_string(),
        failed: opened.as_ref().err().map(Failure::code),
        took: cx.now() - began,
    };
    let (file, what) = match opened {
        Ok(opened) => opened,
        Err(failure) => return Err(failure.after([step])),
    };
    let facts = ConnFacts {
        local: None,
        peer: Some(Peer::Named(format!("file:{}", path.display()).into())),
    };
    let mut conn = Conn::new(carrier(file, &what, writes, facts));
    conn.remember([step]);
    Ok(Opened::Stream(conn))
}

fn carrier(file: File, what: &Metadata, writes: bool, facts: ConnFacts) -> Box<dyn Io> {
    let patient = || Some(Patient(file.try_clone().ok()?));
    match (what.file_type().is_fifo(), writes) {
        (true, true) => Box::new(Sink::new(Ready::new(file.into()), facts)),
        (true, false) => Box::new(super::sink::Source::new(Ready::new(file.into()), facts)),
        (false, true) => {
            let halves = Halves::<Patient, _>::new(None, patient(), facts.clone(), drop);
            Box::new(Sink::new(halves, facts))
        }
        (false, false) => Box::new(Halves::<_, Patient>::new(patient(), None, facts, drop)),
    }
}

fn open(path: &Path, options: &DialOptions) -> Result<(File, Metadata), Failure> {
    let writes = options.append || options.create || options.truncate;
    let kept = options.append || options.truncate;
    // Without O_NONBLOCK a pipe that nobody has would keep us here, and without
    // O_NOCTTY a terminal would become ours.
    let opened = OpenOptions::new()
        .read(!writes)
        .write(writes)
        .append(options.append)
        .create(options.create && kept)
        .create_new(options.create && !kept)
        .mode(options.mode.map_or(MODE, |mode| mode.0))
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    let file = opened.map_err(|error| explain(error, path))?;
    let failed = |error| Failure::from_io(Stage::Create, error);
    let what = file.metadata().map_err(failed)?;
    if what.is_dir() {
        return Err(folder(path));
    }
    // Only now is it known that it is a file, and not a device.
    if options.truncate && what.is_file() {
        file.set_len(0).map_err(failed)?;
    }
    Ok((file, what))
}

fn folder(path: &Path) -> Failure {
    let failure = Failure::new(Stage::Create, Side::Us, Code::FD_NOT_USABLE);
    failure.message(format!("`{}` is a folder, not a file", path.display()))
}

/// What the kernel's answer means for a path.
fn explain(error: io::Error, path: &Path) -> Failure {
    let shown = path.display();
    let errno = error.raw_os_error().unwrap_or(0);
    let failed = |code, message: String| {
        let failure = Failure::new(Stage::Create, Side::Us, code).message(message);
        failure.fact(Fact::Errno(Errno(errno)))
    };
    let is_socket = || std::fs::metadata(path).is_ok_and(|what| what.file_type().is_socket());
    match errno {
        libc::ENOENT => {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            let missing = folder.filter(|folder| !folder.exists());
            failed(
                Code::CONNECT_NO_SUCH_PATH,
                match missing {
                    Some(folder) => format!("there is no folder `{}`", folder.display()),
                    None => format!("there is no file `{shown}`; `create` makes one"),
                },
            )
        }
        libc::ENOTDIR => failed(
            Code::CONNECT_NO_SUCH_PATH,
            format!("a part of `{shown}` is a file, not a folder"),
        ),
        libc::EACCES | libc::EPERM => failed(
            Code::CONNECT_DENIED_PATH,
            format!("`{shown}` may not be used so by this user"),
        ),
        libc::EISDIR => folder(path).fact(Fact::Errno(Errno(errno))),
        libc::EEXIST => failed(
            Stage::Create.other(),
            format!("`{shown}` is there already: `create,append` writes at its end"),
        ),
        libc::ENXIO if is_socket() => failed(
            Code::FD_NOT_USABLE,
            format!("`{shown}` is a socket: unix:{shown} opens it"),
        ),
        libc::ENXIO => failed(
            Code::FD_NOT_USABLE,
            format!("nobody reads the pipe `{shown}`, or there is no such device"),
        )
        .retry(),
        _ => Failure::from_io(Stage::Create, error).message(format!("`{shown}` cannot be opened")),
    }
}
