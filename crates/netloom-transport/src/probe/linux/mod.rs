//! How Linux is asked.

pub(super) mod dial;
pub(super) mod health;
pub(super) mod limits;
mod netlink;
pub(super) mod processes;
pub(super) mod routes;
pub(super) mod sockets;
#[allow(unsafe_code, reason = "the system calls that no safe crate wraps")]
mod sys;

pub(super) use sys::{clock, effective_user};
