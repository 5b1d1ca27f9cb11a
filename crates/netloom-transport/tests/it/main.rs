//! The floor's integration tests.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod doors;
mod proxy;
mod tls;
