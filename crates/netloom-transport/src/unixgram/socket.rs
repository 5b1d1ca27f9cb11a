//! Opening and holding a unix datagram socket.

use std::sync::{Arc, Mutex, PoisonError};

use netloom_base::failure::{Errno, Fact};
use netloom_base::{Endpoint, Failure, Side, Stack, Stage};
use socket2::{SockAddr, Socket, Type};

use super::{BindOptions, DialOptions};
use crate::conn::{ConnFacts, Peer};
use crate::cx::Cx;
use crate::datagrams::{Batch, BoundDatagrams, Datagrams, Lost, Outgoing};
use crate::net::{Opened, mistakes};
use crate::udp::{Mailbox, Manner};
use crate::unix::bind::{SocketFile, hold};
use crate::unix::dial::explain;
use crate::unix::place::{Place, make};

pub(super) fn dial(stack: &Stack, _: &Cx) -> Result<Opened, Failure> {
    let options =
        DialOptions::read(&stack.transport().settings).map_err(|e| mistakes(stack, &e))?;
    let place = Place::of(stack)?;
    let socket = make(Type::DGRAM)?;
    let own = name_itself(&socket).map_err(|error| Failure::from_io(Stage::Bind, error))?;
    buffer(&socket, options.sndbuf.map(|size| size.0))?;
    place
        .address()
        .and_then(|address| socket.connect(&address))
        .map_err(|error| refused(error, &place))?;
    let manner = Manner {
        local: Some(own),
        connected: Some(Peer::Named(format!("unixgram:{place}").into())),
        room: options.buffer.max(1),
        ..Manner::default()
    };
    Ok(Opened::Datagrams(Box::new(Mailbox::new(socket, manner)?)))
}

/// Takes an abstract name that the kernel chooses (unix(7), autobind), so that
/// answers come.
fn name_itself(socket: &Socket) -> std::io::Result<Peer> {
    // Only the family: that is what asks for a name.
    let nothing = SockAddr::unix("")?;
    socket.bind(&nothing)?;
    let own = socket.local_addr()?;
    let name = own.as_abstract_namespace().unwrap_or_default();
    Ok(Peer::Named(
        format!("unixgram:@{}", name.escape_ascii()).into(),
    ))
}

fn refused(error: std::io::Error, place: &Place) -> Failure {
    if error.raw_os_error() == Some(libc::EPROTOTYPE) {
        return Failure::new(Stage::Connect, Side::Us, Stage::Connect.other())
            .message(format!(
                "`{place}` is a stream's socket, and not one for datagrams: unix:{place}"
            ))
            .fact(Fact::Errno(Errno(libc::EPROTOTYPE)));
    }
    explain(error, place)
}

fn buffer(socket: &Socket, size: Option<u64>) -> Result<(), Failure> {
    let Some(size) = size else { return Ok(()) };
    socket.set_send_buffer_size(size as usize).map_err(|error| {
        Failure::from_io(Stage::Create, error).message("the option `sndbuf` cannot be set")
    })
}

pub(super) fn bind(stack: &Stack) -> Result<Arc<dyn BoundDatagrams>, Failure> {
    let options =
        BindOptions::read(&stack.transport().settings).map_err(|e| mistakes(stack, &e))?;
    let place = Place::of(stack)?;
    let (socket, file) = hold(&place, options.mode, Type::DGRAM)?;
    buffer(&socket, options.sndbuf.map(|size| size.0))?;
    Ok(Arc::new(UnixgramBound {
        endpoint: stack.endpoint.without_options(),
        name: Peer::Named(format!("unixgram:{place}").into()),
        tool: match place.path() {
            Some(path) => format!("nc -uU {}", shell_words::quote(&path.to_string_lossy())),
            None => format!(
                "socat - {}",
                shell_words::quote(&format!("ABSTRACT-SENDTO:{}", &place.to_string()[1..]))
            ),
        },
        room: options.buffer.max(1),
        held: Mutex::new(Some((file, socket))),
    }))
}

struct UnixgramBound {
    endpoint: Endpoint,
    name: Peer,
    tool: String,
    room: usize,
    /// The file goes first, also when nobody asks for a socket.
    held: Mutex<Option<(Option<SocketFile>, Socket)>>,
}

impl BoundDatagrams for UnixgramBound {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn socket(&self) -> Result<Option<Box<dyn Datagrams>>, Failure> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((file, socket)) = held.take() else {
            return Ok(None);
        };
        let manner = Manner {
            local: Some(self.name.clone()),
            room: self.room,
            ..Manner::default()
        };
        let mailbox = Mailbox::new(socket, manner)?;
        Ok(Some(Box::new(Held {
            _file: file,
            mailbox,
        })))
    }

    fn try_with(&self) -> Option<String> {
        Some(self.tool.clone())
    }
}

/// A socket with its file, which is removed before the socket is closed.
struct Held {
    _file: Option<SocketFile>,
    mailbox: Mailbox,
}

impl Datagrams for Held {
    fn poll_recv(
        &mut self,
        task: &mut std::task::Context<'_>,
        batch: &mut Batch,
    ) -> std::task::Poll<Result<(), Failure>> {
        self.mailbox.poll_recv(task, batch)
    }

    fn poll_send(
        &mut self,
        task: &mut std::task::Context<'_>,
        run: &[Outgoing<'_>],
    ) -> std::task::Poll<Result<usize, Failure>> {
        self.mailbox.poll_send(task, run)
    }

    fn facts(&self) -> ConnFacts {
        self.mailbox.facts()
    }

    fn lost(&self) -> Lost {
        self.mailbox.lost()
    }

    fn room(&self) -> usize {
        self.mailbox.room()
    }
}
