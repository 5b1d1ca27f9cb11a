//! The sessions of one socket: by their number, and by who the client is.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Waker;

use netloom_transport::Peer;
use netloom_transport::datagrams::Received;

use super::ready::{Bell, Ready};
use super::session::Session;

/// Where a client is, and which of our addresses it asked.
pub(super) type Place = (SocketAddr, Option<IpAddr>);

/// The sessions of one socket.
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    places: HashMap<Place, u32>,
    /// Clients of unix sockets have names.
    names: HashMap<Box<str>, u32>,
    ready: Arc<Ready>,
}

struct Slot {
    bell: Arc<Bell>,
    waker: Waker,
    session: Option<Session>,
}

impl Table {
    pub(super) fn new(ready: Arc<Ready>) -> Self {
        Table {
            slots: Vec::new(),
            free: Vec::new(),
            places: HashMap::new(),
            names: HashMap::new(),
            ready,
        }
    }

    /// The number of the client that sent this, if it has a session.
    pub(super) fn find(&self, of: &Received) -> Option<u32> {
        match &of.from {
            Peer::Ip(addr) => self.places.get(&(*addr, of.to)),
            Peer::Named(name) => self.names.get(name),
        }
        .copied()
    }

    /// Gives a new session a number, under which its client is found.
    pub(super) fn insert(&mut self, session: Session) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            let number = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
            let bell = Bell::new(number, self.ready.clone());
            self.slots.push(Slot {
                waker: bell.clone().into(),
                bell,
                session: None,
            });
            number
        });
        match &session.client {
            Peer::Ip(addr) => self.places.insert((*addr, session.asked), number),
            Peer::Named(name) => self.names.insert(name.clone(), number),
        };
        if let Some(slot) = self.slots.get_mut(number as usize) {
            slot.session = Some(session);
        }
        number
    }

    /// Takes a session out.
    pub(super) fn remove(&mut self, number: u32) -> Option<Session> {
        let session = self.slots.get_mut(number as usize)?.session.take()?;
        match &session.client {
            Peer::Ip(addr) => self.places.remove(&(*addr, session.asked)),
            Peer::Named(name) => self.names.remove(name),
        };
        self.free.push(number);
        Some(session)
    }

    /// A session and the waker that puts its number on the list.
    pub(super) fn get(&mut self, number: u32) -> Option<(&mut Session, &Waker)> {
        let slot = self.slots.get_mut(number as usize)?;
        Some((slot.session.as_mut()?, &slot.waker))
    }

    /// A session, to be read.
    pub(super) fn peek(&self, number: u32) -> Option<&Session> {
        self.slots.get(number as usize)?.session.as_ref()
    }

    /// A number was taken off the list.
    pub(super) fn answered(&self, number: u32) {
        if let Some(slot) = self.slots.get(number as usize) {
            slot.bell.answered();
        }
    }

    /// How many sessions there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The numbers there have ever been; not all have a session.
    pub(super) fn numbers(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }
}
