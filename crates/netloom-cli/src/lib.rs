//! Floor 7 of Netloom: faces.
//!
//! A verb reads what was typed and builds a plan or opens an endpoint; the
//! floors below do the work; a view shows what they tell. What every verb has
//! in common – flags, output, exit codes – is in [`contract`].
#![forbid(unsafe_code)]

mod as_bytes;
mod chatting;
mod client;
mod connecting;
mod contract;
mod datagrams;
mod desk;
mod editor;
mod explaining;
mod first_client;
mod flags;
mod messages;
mod recording;
mod replaying;
mod serving;
mod talk;
mod verb;
mod via;
mod view;
mod waiting;
mod watch;

pub use contract::main;
pub use verb::command;
