//! Making a descriptor a connection or a listener.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use netloom_base::{Code, Endpoint, Failure, Side, Stack, Stage};
use socket2::SockRef;

use super::activation;
use super::inspect::{Family, What, inspect};
use crate::accept;
use crate::blocking::{Halves, Patient};
use crate::conn::{Conn, ConnFacts, Io, Peer};
use crate::listener::Bound;
use crate::net::Opened;
use crate::once::once;
use crate::socket::RawSocket;
use crate::sys::{self, NotAdopted};

pub(super) fn dial(stack: &Stack) -> Result<Opened, Failure> {
    let numbers = numbers(stack)?;
    let [number] = numbers[..] else {
        return Err(not_usable(format!(
            "this names {} descriptors, and one is needed to dial",
            numbers.len()
        )));
    };
    let what = look(number)?;
    if let What::Listening(_) | What::Other(_) = what {
        return Err(wrong(number, what));
    }
    let fd = adopt(number)?;
    let failed = |error| Failure::from_io(Stage::Create, error);
    let io: Box<dyn Io> = match what {
        What::Bytes { read, write } => bytes(number, &fd, read, write).map_err(failed)?,
        _ => Box::new(
            socket(what, fd)
                .and_then(RawSocket::attach)
                .map_err(failed)?,
        ),
    };
    Ok(Opened::Stream(Conn::new(io)))
}

pub(super) fn bind(stack: &Stack) -> Result<Vec<Arc<dyn Bound>>, Failure> {
    let numbers = numbers(stack)?;
    // All are looked at before the first is taken.
    let family = |&number: &i32| match look(number)? {
        What::Listening(family) => Ok((number, family)),
        what => Err(wrong(number, what)),
    };
    let found = numbers
        .iter()
        .map(family)
        .collect::<Result<Vec<_>, Failure>>()?;
    found
        .into_iter()
        .map(|(number, family)| listener(stack, number, family))
        .collect()
}

fn numbers(stack: &Stack) -> Result<Vec<i32>, Failure> {
    let text = stack.endpoint.opaque().unwrap_or_default();
    activation::named(text, |name| std::env::var(name).ok(), std::process::id())
}

/// What a descriptor is, without touching it.
fn look(number: i32) -> Result<What, Failure> {
    sys::check_inherited(number).map_err(|why| refused(number, &why))?;
    let looked = sys::duplicate(number).and_then(|fd| inspect(&fd));
    looked.map_err(|error| Failure::from_io(Stage::Create, error))
}

fn adopt(number: i32) -> Result<OwnedFd, Failure> {
    sys::adopt(number).map_err(|why| refused(number, &why))
}

fn refused(number: i32, why: &NotAdopted) -> Failure {
    not_usable(match why {
        NotAdopted::NotOpen => format!("nothing was handed over as descriptor {number}"),
        NotAdopted::InUse => {
            format!(
                "descriptor {number} is in use already: it was adopted before, or opened by this program"
            )
        }
    })
}

fn wrong(number: i32, what: What) -> Failure {
    not_usable(format!(
        "descriptor {number} cannot be used so: it is {}",
        what.words()
    ))
}

fn not_usable(message: String) -> Failure {
    Failure::new(Stage::Create, Side::Us, Code::FD_NOT_USABLE).message(message)
}

fn socket(what: What, fd: OwnedFd) -> io::Result<RawSocket> {
    let socket = SockRef::from(&fd);
    socket.set_nonblocking(true)?;
    if what == What::Connected(Family::Unix) {
        return Ok(RawSocket::Unix(fd.into()));
    }
    // As our own connections have it. One that is closing already has no use for it.
    let _ = socket.set_tcp_nodelay(true);
    Ok(RawSocket::Tcp(fd.into()))
}

/// A descriptor that others may share: it stays blocking. Each direction has
/// its own number, so that the end of one leaves the other open.
fn bytes(number: i32, fd: &OwnedFd, read: bool, write: bool) -> io::Result<Box<dyn Io>> {
    let half = |wanted: bool| {
        wanted
            .then(|| fd.try_clone().map(|fd| Patient(fd.into())))
            .transpose()
    };
    let facts = ConnFacts {
        local: None,
        peer: Some(Peer::Named(format!("fd:{number}").into())),
    };
    Ok(Box::new(Halves::new(
        half(read)?,
        half(write)?,
        facts,
        drop,
    )))
}

/// An address gives one listener: the kernel has one queue for it, and what
/// one core accepts goes to the others anyway.
fn listener(stack: &Stack, number: i32, family: Family) -> Result<Arc<dyn Bound>, Failure> {
    let failed = |error| Failure::from_io(Stage::Listen, error);
    let fd = adopt(number)?;
    let socket = SockRef::from(&fd);
    socket.set_nonblocking(true).map_err(failed)?;
    let endpoint = with_layers(stack, &real(&fd).map_err(failed)?);
    Ok(match family {
        Family::Tcp => {
            // What it accepts inherits this, as from our own listeners.
            socket.set_tcp_nodelay(true).map_err(failed)?;
            let socket = fd.into();
            once(endpoint, None, move || accept::tcp(socket))
        }
        Family::Unix => {
            let socket = fd.into();
            once(endpoint, None, move || accept::unix(socket, ()))
        }
    })
}

/// The address a socket really has.
fn real(fd: &OwnedFd) -> io::Result<Endpoint> {
    let address = SockRef::from(&fd.as_fd()).local_addr()?;
    if let Some(address) = address.as_socket() {
        return Ok(Endpoint::tcp(address));
    }
    let name = match (address.as_pathname(), address.as_abstract_namespace()) {
        (Some(path), _) => path.to_string_lossy().into_owned(),
        (None, Some(name)) => format!("@{}", String::from_utf8_lossy(name)),
        (None, None) => "@".to_owned(),
    };
    Ok(Endpoint::from_opaque("unix", name))
}

/// The same with the layers that were written before `fd:`.
fn with_layers(stack: &Stack, real: &Endpoint) -> Endpoint {
    let mut text = String::new();
    for layer in stack.endpoint.layers() {
        text.push_str(layer.text());
        text.push('+');
    }
    text.push_str(&real.to_string());
    text.parse().unwrap_or_else(|_| real.clone())
}
