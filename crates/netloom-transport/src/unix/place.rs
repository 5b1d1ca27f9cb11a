//! Where a unix socket is: at a path, or under an abstract name.

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::mem::offset_of;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Side, Stack, Stage};
use socket2::{Domain, SockAddr, Socket, Type};

/// The most bytes a path or a name may have; a path ends in one more, a NUL,
/// and an abstract name begins with it.
const LONGEST: usize = size_of::<libc::sockaddr_un>() - offset_of!(libc::sockaddr_un, sun_path) - 1;

/// The place of a unix socket.
#[derive(Debug)]
pub(crate) enum Place {
    Path(PathBuf),
    /// Without its `@`.
    Abstract(String),
}

impl Place {
    pub(crate) fn of(stack: &Stack) -> Result<Self, Failure> {
        let wrong = |message: String| {
            Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT).message(message)
        };
        let text = stack.endpoint.opaque().unwrap_or_default();
        let (place, len) = match text.strip_prefix('@') {
            Some(_) if !cfg!(any(target_os = "linux", target_os = "android")) => {
                return Err(wrong(
                    "abstract names work on Linux only; a path is needed here".to_owned(),
                ));
            }
            Some(name) => (Place::Abstract(name.to_owned()), name.len()),
            None => (Place::Path(PathBuf::from(text)), text.len()),
        };
        match len {
            0 => Err(wrong(format!(
                "a path or an abstract name is needed after `{}:`",
                stack.endpoint.scheme()
            ))),
            1..=LONGEST => Ok(place),
            _ => Err(wrong(format!(
                "a socket's path may have {LONGEST} bytes, and this one has {len}"
            ))
            .fact(Fact::Limit {
                name: "sun_path",
                allows: LONGEST as u64,
            })),
        }
    }

    pub(crate) fn address(&self) -> io::Result<SockAddr> {
        match self {
            Place::Path(path) => SockAddr::unix(path),
            Place::Abstract(name) => SockAddr::unix(format!("\0{name}")),
        }
    }

    /// How to reach it with a tool that many have.
    pub(crate) fn try_with(&self) -> String {
        match self {
            Place::Path(path) => format!("nc -U {}", shell_words::quote(&path.to_string_lossy())),
            Place::Abstract(name) => format!(
                "socat - {}",
                shell_words::quote(&format!("ABSTRACT-CONNECT:{name}"))
            ),
        }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Place::Path(path) => Some(path),
            Place::Abstract(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Path(path) => write!(f, "{}", path.display()),
            Place::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

/// A socket that does not block: a stream's or one for datagrams.
pub(crate) fn make(kind: Type) -> Result<Socket, Failure> {
    let made = Socket::new(Domain::UNIX, kind, None);
    let set = |socket: Socket| socket.set_nonblocking(true).map(|()| socket);
    made.and_then(set)
        .map_err(|error| Failure::from_io(Stage::Create, error))
}

/// What a file that is no socket is.
pub(crate) fn what(file: &Metadata) -> &'static str {
    let kind = file.file_type();
    if kind.is_dir() {
        "a folder"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_file() {
        "a file"
    } else {
        "a device"
    }
}

/// Who may use a file, as evidence.
pub(crate) fn permissions(file: &Metadata) -> Fact {
    let (mode, uid, gid) = (file.mode() & 0o777, file.uid(), file.gid());
    Fact::said(
        format!("it has mode {mode:03o} and belongs to uid {uid}, gid {gid}"),
        "stat",
    )
}
