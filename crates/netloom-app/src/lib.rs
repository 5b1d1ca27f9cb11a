//! Floor 5 of Netloom: what people do.
//!
//! Each room is one kind of service: its settings, and the offer it makes of
//! them. A kind is one folder and one line in [`registry`].
#![forbid(unsafe_code)]

pub mod balance;
pub mod registry;

pub mod chargen;
pub mod chat;
pub mod collect;
pub mod discard;
pub mod echo;
pub mod exec;
pub mod forward;
pub mod reply;
pub mod time;

pub use registry::{KINDS, ServiceKind, kind};
