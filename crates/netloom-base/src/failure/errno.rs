//! From an errno to its name and to the code it most likely means.
//!
//! The kernel's number is matched, not `io::ErrorKind`, which has no word for
//! EMFILE, EMSGSIZE or ENOBUFS and folds EPERM and EACCES together.

use std::fmt;
use std::io;

use super::code::Code;
use super::stage::{Side, Stage};

/// A kernel error number. `Display` writes its name: `ECONNREFUSED`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($name:ident)*) => {
        impl Errno {
            /// The name in `errno(3)`; `None` for a number this table lacks.
            #[cfg(unix)]
            pub fn name(self) -> Option<&'static str> {
                $( if self.0 == libc::$name { return Some(stringify!($name)); } )*
                None
            }

            /// The number behind a name of `errno(3)`.
            #[cfg(unix)]
            pub fn named(name: &str) -> Option<Errno> {
                $( if name.eq_ignore_ascii_case(stringify!($name)) { return Some(Errno(libc::$name)); } )*
                None
            }
        }
    };
}

errnos! {
    EPERM ENOENT EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST
    ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EPIPE ERANGE
    EDEADLK ENAMETOOLONG ENOSYS ELOOP EOVERFLOW ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT
    EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL
    ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN
    ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EPROTO EDQUOT
}

impl Errno {
    /// The name in `errno(3)`; this platform keeps other numbers.
    #[cfg(not(unix))]
    pub fn name(self) -> Option<&'static str> {
        None
    }

    /// The number behind a name of `errno(3)`; this platform keeps other numbers.
    #[cfg(not(unix))]
    pub fn named(_name: &str) -> Option<Errno> {
        None
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

/// The side and code that `error` most likely means in `stage`. What no rule
/// knows lands in `<stage>.other`, with its errno as evidence.
pub fn classify(stage: Stage, error: &io::Error) -> (Side, Code) {
    #[cfg(unix)]
    if let Some(found) = error
        .raw_os_error()
        .and_then(|errno| by_errno(stage, errno))
    {
        return found;
    }
    by_kind(stage, error.kind()).unwrap_or((Side::Os, stage.other()))
}

#[cfg(unix)]
fn by_errno(stage: Stage, errno: i32) -> Option<(Side, Code)> {
    use Side::{Os, Path, Peer, Us};
    Some(match (stage, errno) {
        (Stage::Accept, libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
            (Os, Code::ACCEPT_NO_DESCRIPTORS)
        }
        (_, libc::EMFILE | libc::ENFILE) => (Os, Code::CREATE_NO_DESCRIPTORS),
        (Stage::Create, libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT) => {
            (Os, Code::CREATE_FAMILY_UNSUPPORTED)
        }
        (Stage::Bind | Stage::Listen, libc::EADDRINUSE) => (Os, Code::BIND_IN_USE),
        (Stage::Bind, libc::EADDRNOTAVAIL) => (Us, Code::BIND_NOT_LOCAL),
        (Stage::Bind, libc::EACCES | libc::EPERM) => (Us, Code::BIND_PRIVILEGED_PORT),
        (Stage::Bind | Stage::Connect, libc::EINVAL) => (Us, Code::BIND_NO_SCOPE),
        (Stage::Bind, libc::ENODEV) => (Us, Code::BIND_NO_DEVICE),
        (Stage::Bind, libc::ENOENT) => (Us, Code::BIND_NO_SUCH_PATH),
        (Stage::Connect, libc::ECONNREFUSED) => (Peer, Code::CONNECT_REFUSED),
        (Stage::Connect, libc::ETIMEDOUT) => (Path, Code::CONNECT_TIMEOUT),
        (Stage::Connect, libc::ENETUNREACH) => (Path, Code::CONNECT_NO_ROUTE),
        (Stage::Connect, libc::EHOSTUNREACH) => (Path, Code::CONNECT_NEIGHBOUR),
        (Stage::Connect, libc::EADDRNOTAVAIL) => (Us, Code::CONNECT_NO_LOCAL_PORT),
        (Stage::Connect, libc::ENOENT) => (Us, Code::CONNECT_NO_SUCH_PATH),
        (Stage::Connect, libc::EPERM | libc::EACCES) => (Os, Code::CONNECT_DENIED_FIREWALL),
        (Stage::Send | Stage::Close, libc::EPIPE) => (Peer, Code::SEND_PEER_CLOSED),
        (Stage::Send | Stage::Recv | Stage::Greet | Stage::Close, libc::ECONNRESET) => {
            (Peer, Code::RECV_RESET)
        }
        // What was sent again and again found nobody (tcp(7), ETIMEDOUT).
        (Stage::Send | Stage::Recv | Stage::Close, libc::ETIMEDOUT) => {
            (Path, Code::STUCK_HALF_OPEN)
        }
        _ => return None,
    })
}

fn by_kind(stage: Stage, kind: io::ErrorKind) -> Option<(Side, Code)> {
    Some(match (stage, kind) {
        (Stage::Bind | Stage::Listen, io::ErrorKind::AddrInUse) => (Side::Os, Code::BIND_IN_USE),
        (Stage::Bind, io::ErrorKind::AddrNotAvailable) => (Side::Us, Code::BIND_NOT_LOCAL),
        (Stage::Connect, io::ErrorKind::ConnectionRefused) => (Side::Peer, Code::CONNECT_REFUSED),
        (Stage::Connect, io::ErrorKind::TimedOut) => (Side::Path, Code::CONNECT_TIMEOUT),
        (Stage::Send | Stage::Close, io::ErrorKind::BrokenPipe | io::ErrorKind::WriteZero) => {
            (Side::Peer, Code::SEND_PEER_CLOSED)
        }
        (_, io::ErrorKind::ConnectionReset) => (Side::Peer, Code::RECV_RESET),
        _ => return None,
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn names_both_ways() {
        assert_eq!(Errno(libc::EADDRINUSE).to_string(), "EADDRINUSE");
        assert_eq!(
            Errno::named("econnrefused"),
            Some(Errno(libc::ECONNREFUSED))
        );
        assert_eq!(Errno(54321).to_string(), "errno 54321");
    }

    #[test]
    fn every_errno_lands_somewhere_by_name() {
        for &stage in Stage::ALL {
            for errno in 1..140 {
                let (_, code) = classify(stage, &io::Error::from_raw_os_error(errno));
                assert!(!code.name().is_empty());
            }
        }
        let (_, code) = classify(Stage::Connect, &io::Error::from_raw_os_error(libc::EPROTO));
        assert_eq!(code.name(), "connect.other");
    }
}
