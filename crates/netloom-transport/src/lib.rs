//! Floor 2 of Netloom: connections.
//!
//! The modules of this file are the floor's hall: what a connection is, how
//! one is opened, answered, bounded and stopped. The folders are its rooms,
//! one for each thing that carries bytes. A room is reached only through
//! [`Net`], so that [`sim`] can stand in for all of them.
//!
//! ```text
//!   dial  stack ─▶ Transport::dial ─▶ Layer::dial … ─▶ Opened
//!   bind  stack ─▶ Transport::bind ─▶ Bound ─▶ Listener::accept ─▶ Accepted
//!         Accepted ─▶ (another core) ─▶ attach ─▶ Layer::answer … ─▶ Opened
//! ```

pub(crate) mod accept;
pub mod addresses;
pub(crate) mod ahead;
pub(crate) mod below;
pub(crate) mod blocking;
pub mod conn;
pub mod cx;
pub mod datagrams;
pub mod errqueue;
#[cfg(target_os = "linux")]
mod flow;
pub mod gear;
pub mod guard;
pub mod journal;
mod journey;
pub mod listener;
pub mod messages;
pub mod mux;
pub mod net;
#[cfg(unix)]
mod once;
pub mod origin;
mod over;
pub mod progress;
#[cfg(unix)]
pub(crate) mod ready;
pub mod scratch;
pub mod seat;
pub mod socket;
#[allow(unsafe_code, reason = "the system calls that no safe crate wraps")]
mod sys;
#[cfg(test)]
mod trial;
pub mod way;

pub(crate) mod race;

pub mod tcp;

pub mod resolve;

pub mod unix;

pub mod stdio;

pub mod exec;

pub mod fd;

pub mod file;

pub mod pty;

pub mod serial;

pub mod vsock;

pub mod probe;

pub mod tls;

pub mod proxy;

pub mod udp;

pub mod unixgram;

pub mod via;

pub mod cores;

pub mod sim;

pub mod carry;

pub use conn::{Close, Conn, ConnFacts, Io, Peer};
pub use cx::{Clock, Cx, Events, Shutdown, Spawn};
pub use datagrams::{Batch, BoundDatagrams, Datagrams, Outgoing};
pub use gear::Gear;
pub use guard::{Guard, Permit};
pub use listener::{Accepted, Bound, Listener};
pub use messages::Messages;
pub use mux::Mux;
pub use net::{Assembly, Found, Layer, Net, Opened, Served, Services, Transport};
pub use origin::Origin;
pub use seat::{Notice, Seat, Seats};
pub use way::Way;

/// A boxed future: what a door returns.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
