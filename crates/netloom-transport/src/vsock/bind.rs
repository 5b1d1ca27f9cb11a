//! Listening for other machines, and for this one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use netloom_base::{Endpoint, Failure, Stack, Stage};
use socket2::{SockAddr, Socket as Raw};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::ListenOptions;
use super::dial::make;
use super::place::{FREE, Place};
use super::stream::{Stream, name};
use crate::BoxFuture;
use crate::conn::Peer;
use crate::listener::{Accepted, Bound, Listener};
use crate::net::mistakes;
use crate::once::once;

pub(super) fn bind(stack: &Stack) -> Result<Arc<dyn Bound>, Failure> {
    let options = ListenOptions::read(&stack.transport().settings)
        .map_err(|errors| mistakes(stack, &errors))?;
    let place = Place::of(stack)?;
    let socket = make()?;
    let port = if place.port == 0 { FREE } else { place.port };
    let bound = socket.bind(&SockAddr::vsock(place.cid, port));
    bound.map_err(|error| {
        let failure = Failure::from_io(Stage::Bind, error);
        failure.message(format!("vsock:{place} cannot be bound"))
    })?;
    let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
    socket
        .listen(backlog)
        .map_err(|error| Failure::from_io(Stage::Listen, error))?;
    let real = socket.local_addr().ok();
    let (cid, port) = real
        .and_then(|addr| addr.as_vsock_address())
        .unwrap_or((place.cid, place.port));
    let text = Place { cid, port }.to_string();
    let endpoint = with_layers(stack, Endpoint::from_opaque("vsock", text));
    let tool = format!("socat - VSOCK-CONNECT:CID:{port}");
    let listener = move || -> io::Result<Box<dyn Listener>> {
        let socket = crate::sys::watch_listener(OwnedFd::from(socket))?;
        Ok(Box::new(Acceptor(socket)))
    };
    Ok(once(endpoint, Some(tool), listener))
}

/// The same with the layers that were written before it.
fn with_layers(stack: &Stack, real: Endpoint) -> Endpoint {
    let layers = stack.endpoint.layers().iter();
    let mut text: String = layers.flat_map(|layer| [layer.text(), "+"]).collect();
    text.push_str(&real.to_string());
    text.parse().unwrap_or(real)
}

struct Acceptor(AsyncFd<OwnedFd>);

impl Listener for Acceptor {
    fn accept(&mut self) -> BoxFuture<'_, Result<Accepted, Failure>> {
        Box::pin(async move {
            let taken = self
                .0
                .async_io(Interest::READABLE, |fd| crate::sys::accept(fd.as_fd()));
            let (fd, from) = taken
                .await
                .map_err(|error| Failure::from_io(Stage::Accept, error))?;
            let from = name(&from).unwrap_or(Peer::Named("vsock:".into()));
            let stream = Stream::new(Raw::from(fd));
            Ok(Accepted::io(Box::new(stream), from))
        })
    }
}
