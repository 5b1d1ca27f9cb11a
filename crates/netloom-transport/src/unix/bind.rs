//! Listening on a unix socket.
//!
//! The socket listens as soon as it is bound: until then a connect is refused
//! as from a file that was left over, and another program that wants the path
//! would take it away. Who may connect is settled before that.
//!
//! An address gives one listener. The kernel cannot share a path as
//! `SO_REUSEPORT` shares a port, and duplicates of one socket would wake every
//! core for every connection; what one core accepts goes to the others anyway.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netloom_base::failure::{Errno, Fact};
use netloom_base::{Code, Failure, Side, Stack, Stage};
use socket2::{Socket as Raw, Type};

use super::options::{ListenOptions, Mode};
use super::place::{Place, make, permissions, what};
use crate::accept;
use crate::listener::Bound;
use crate::net::mistakes;
use crate::once::once;

/// How often a path is tried that others keep taking and leaving.
const TRIES: usize = 16;

pub(super) fn bind(stack: &Stack) -> Result<Arc<dyn Bound>, Failure> {
    let options = ListenOptions::read(&stack.transport().settings)
        .map_err(|errors| mistakes(stack, &errors))?;
    let place = Place::of(stack)?;
    let (socket, file) = hold(&place, options.mode, Type::STREAM)?;
    let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
    socket
        .listen(backlog)
        .map_err(|error| Failure::from_io(Stage::Listen, error))?;
    let held = (file, UnixListener::from(OwnedFd::from(socket)));
    let listener = move || {
        let held = held; // as one, so that the file goes first also when nobody asks for a listener
        accept::unix(held.1, held.0)
    };
    Ok(once(
        stack.endpoint.without_options(),
        Some(place.try_with()),
        listener,
    ))
}

/// Binds a socket of this kind there.
pub(crate) fn hold(
    place: &Place,
    mode: Option<Mode>,
    kind: Type,
) -> Result<(Raw, Option<SocketFile>), Failure> {
    match place.path() {
        Some(path) => at_path(path, place, mode, kind),
        None if mode.is_some() => {
            let failure = Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT);
            Err(failure.message("`mode` is of a socket file, and an abstract name has none"))
        }
        None => Ok((under_name(place, kind)?, None)),
    }
}

fn under_name(place: &Place, kind: Type) -> Result<Raw, Failure> {
    let socket = make(kind)?;
    let failed = |error: io::Error| match error.raw_os_error() {
        Some(libc::EADDRINUSE) => Failure::from_io(Stage::Bind, error)
            .message(format!("another program holds the name `{place}`")),
        _ => Failure::from_io(Stage::Bind, error),
    };
    place
        .address()
        .and_then(|address| socket.bind(&address))
        .map_err(failed)?;
    Ok(socket)
}

fn at_path(
    path: &Path,
    place: &Place,
    mode: Option<Mode>,
    kind: Type,
) -> Result<(Raw, Option<SocketFile>), Failure> {
    let address = place
        .address()
        .map_err(|error| Failure::from_io(Stage::Bind, error))?;
    for _ in 0..TRIES {
        let socket = make(kind)?;
        if let Some(mode) = mode {
            limit(&socket, mode).map_err(|error| Failure::from_io(Stage::Create, error))?;
        }
        match socket.bind(&address) {
            Ok(()) => {
                let file =
                    SocketFile::made(path).map_err(|error| Failure::from_io(Stage::Bind, error))?;
                if let Some(mode) = mode {
                    file.set(mode).map_err(|error| explain(error, path))?;
                }
                return Ok((socket, Some(file)));
            }
            Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) => {
                clear_away(path, place, kind)?;
            }
            Err(error) => return Err(explain(error, path)),
        }
    }
    Err(in_use().message(format!("others keep making and removing `{place}`")))
}

/// Takes permissions from a socket that has no file yet: Linux makes the file
/// with what is left, so that there is no moment in which it allows more.
fn limit(socket: &Raw, mode: Mode) -> io::Result<()> {
    let set = || {
        File::from(socket.as_fd().try_clone_to_owned()?)
            .set_permissions(Permissions::from_mode(mode.0))
    };
    // Elsewhere a socket without a file has no permissions; nobody can connect before it listens.
    if cfg!(target_os = "linux") {
        set()
    } else {
        Ok(())
    }
}

/// Removes a socket file that was left over, and nothing else.
fn clear_away(path: &Path, place: &Place, kind: Type) -> Result<(), Failure> {
    let Some(before) = look(path)? else {
        return Ok(());
    };
    if !before.file_type().is_socket() {
        let message = format!(
            "`{place}` is {}, not a socket; it is left as it is",
            what(&before)
        );
        return Err(in_use().message(message));
    }
    let socket = make(kind)?;
    let answer = place.address().and_then(|address| socket.connect(&address));
    match answer.map_err(|error| error.raw_os_error()) {
        Err(Some(libc::ECONNREFUSED)) => {}
        Err(Some(libc::ENOENT)) => return Ok(()),
        Err(Some(libc::EACCES | libc::EPERM)) => {
            let message = format!(
                "`{place}` exists, and this user may not connect to it to see whether it is in use"
            );
            return Err(in_use().message(message).fact(permissions(&before)));
        }
        // A full queue and a socket of another type are in use as well.
        answer => {
            let failure = in_use().message(format!("another program listens on `{place}`"));
            let listener = answer
                .ok()
                .and_then(|()| crate::sys::peer_credentials(socket.as_fd()));
            return Err(match listener {
                Some((pid, uid)) => failure.fact(Fact::said(
                    format!("process {pid} of uid {uid} listens there"),
                    "SO_PEERCRED",
                )),
                None => failure,
            });
        }
    }
    // Somebody else may have cleared it away meanwhile, and listen there now.
    match look(path)? {
        Some(now) if identity(&now) == identity(&before) => match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(explain(error, path)
                .message(format!(
                    "the left-over socket file `{place}` cannot be removed"
                ))),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn look(path: &Path) -> Result<Option<Metadata>, Failure> {
    match std::fs::symlink_metadata(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(explain(error, path)),
    }
}

/// Which file it is. The time tells files apart that had the same number one after the other.
fn identity(file: &Metadata) -> (u64, u64, i64, i64) {
    (file.dev(), file.ino(), file.ctime(), file.ctime_nsec())
}

fn in_use() -> Failure {
    Failure::new(Stage::Bind, Side::Os, Code::BIND_SOCKET_FILE)
}

/// What the kernel's answer means for a path.
fn explain(error: io::Error, path: &Path) -> Failure {
    let errno = error.raw_os_error().unwrap_or(0);
    let failed = |code| Failure::new(Stage::Bind, Side::Us, code).fact(Fact::Errno(Errno(errno)));
    match errno {
        libc::ENOENT | libc::ENOTDIR => failed(Code::BIND_NO_SUCH_PATH),
        libc::EACCES | libc::EPERM | libc::EROFS => {
            let failure = failed(Code::BIND_DENIED_PATH);
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            match std::fs::metadata(folder) {
                Ok(found) => failure
                    .fact(Fact::said(
                        format!("the folder is {}", folder.display()),
                        "stat",
                    ))
                    .fact(permissions(&found)),
                Err(_) => failure,
            }
        }
        _ => Failure::from_io(Stage::Bind, error),
    }
}

/// The file of a socket that is open: removed at the end, if it is still that
/// one. While the socket is open no other file can get its number.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    number: u64,
}

impl SocketFile {
    fn made(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let file = std::fs::symlink_metadata(&path)?;
        Ok(SocketFile {
            path,
            device: file.dev(),
            number: file.ino(),
        })
    }

    /// Sets the permissions that the umask may have taken.
    fn set(&self, mode: Mode) -> io::Result<()> {
        if std::fs::symlink_metadata(&self.path)?.mode() & 0o777 == mode.0 {
            return Ok(());
        }
        std::fs::set_permissions(&self.path, Permissions::from_mode(mode.0))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let file = std::fs::symlink_metadata(&self.path);
        if file.is_ok_and(|file| (file.dev(), file.ino()) == (self.device, self.number)) {
            // Who may not remove it any more leaves it over; the next to bind there clears it away.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
