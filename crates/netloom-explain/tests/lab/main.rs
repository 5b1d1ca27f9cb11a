//! The failure lab: situations that really happen on this host, made with
//! other people's programs where one can make them, and what is said of each.
//!
//! What needs a network of its own runs in a network namespace: as root, or in
//! a user namespace where that is allowed. Where neither is, it is skipped, and
//! says so; with `CI=true` it fails instead.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test says what it saw, and measures real time"
)]

mod bind;
mod certs;
mod connect;
mod coverage;
mod datagrams;
mod family;
mod greet;
mod groups;
mod healthy;
mod http;
mod limits;
mod network;
mod packages;
mod paths;
mod place;
mod proxy;
mod record;
mod resolve;
mod talk;
mod tls;
mod unix;
