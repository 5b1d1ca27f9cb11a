//! Floor 3 of Netloom: conversations.
//!
//! An application makes an [`Offer`]; a [`Protocol`] says how it carries that
//! offer and gives the [`Service`] that holds one conversation. Every protocol
//! is one room here and one line in [`registry`].
#![forbid(unsafe_code)]

pub mod datagrams;
pub mod framed;
pub mod greeting;
pub mod measures;
pub mod offer;
pub mod opening;
pub mod registry;
pub mod replies;
pub mod service;
pub mod shown;
pub mod speaking;
#[cfg(test)]
mod trial;

pub mod ftp;
pub mod http;
pub mod mail;
pub mod mqtt;
pub mod raw;
pub mod ssh;
pub mod websocket;

pub use datagrams::{Answer, Answering, DatagramService, Losses, each};
pub use framed::{Framed, FramedService, Framing, LONGEST_MESSAGE, WithFraming};
pub use greeting::{Greeted, Visit};
pub use measures::{Figure, Labelled, Measures};
pub use offer::Offer;
pub use opening::Opening;
pub use registry::{
    PROTOCOLS, Protocol, answering, ground, keys, misread, protocol_for, spoken_on,
};
pub use service::{MessageService, Service, each_message, finish, from_fn};
