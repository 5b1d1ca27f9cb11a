//! What a descriptor is.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;

use socket2::{Domain, SockRef, Type};

/// What a descriptor is, as far as it can carry a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Listening(Family),
    Connected(Family),
    /// A pipe, a terminal, a file: bytes, but no socket.
    Bytes {
        read: bool,
        write: bool,
    },
    /// Something else; the words follow "it is".
    Other(&'static str),
}

/// Where a stream socket lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Tcp,
    Unix,
}

impl What {
    /// The words for it; they follow "it is".
    pub(super) fn words(self) -> &'static str {
        match self {
            What::Listening(_) => "a socket that listens: it can be listened on, not dialled",
            What::Connected(_) => "a connection: it can be dialled, not listened on",
            What::Bytes { .. } => {
                "a pipe, a terminal or a file: it can be dialled, not listened on"
            }
            What::Other(words) => words,
        }
    }
}

/// Looks at a descriptor.
pub(super) fn inspect(fd: &OwnedFd) -> io::Result<What> {
    let kind = File::from(fd.try_clone()?).metadata()?.file_type();
    if kind.is_socket() {
        return socket(fd);
    }
    if kind.is_dir() {
        return Ok(What::Other("a folder"));
    }
    if kind.is_fifo() || kind.is_file() || kind.is_char_device() || kind.is_block_device() {
        let (read, write) = crate::sys::access(fd.as_fd())?;
        return Ok(What::Bytes { read, write });
    }
    Ok(What::Other("neither a socket nor a pipe nor a file"))
}

fn socket(fd: &OwnedFd) -> io::Result<What> {
    let socket = SockRef::from(fd);
    match socket.r#type()? {
        Type::STREAM => {}
        Type::DGRAM => return Ok(What::Other("a socket for datagrams")),
        Type::SEQPACKET => return Ok(What::Other("a socket for packets")),
        _ => return Ok(What::Other("a socket that is no stream")),
    }
    let family = match socket.local_addr()?.domain() {
        Domain::IPV4 | Domain::IPV6 => Family::Tcp,
        Domain::UNIX => Family::Unix,
        _ => {
            return Ok(What::Other(
                "a stream socket of another family than IP and unix",
            ));
        }
    };
    Ok(if socket.peer_addr().is_ok() {
        What::Connected(family)
    } else if listens(&socket)? {
        What::Listening(family)
    } else {
        What::Other("a socket that is not connected")
    })
}

#[cfg(not(target_vendor = "apple"))]
fn listens(socket: &SockRef<'_>) -> io::Result<bool> {
    socket.is_listener()
}

/// A socket with nobody at its other end does not tell there; whether it
/// listens shows when one accepts.
#[cfg(target_vendor = "apple")]
fn listens(_: &SockRef<'_>) -> io::Result<bool> {
    Ok(true)
}
