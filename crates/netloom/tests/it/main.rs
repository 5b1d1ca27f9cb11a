//! The binary, used as people and programs use it.
//!
//! Every test starts what it needs on a free port, waits for what it says, and
//! ends it. Programs we did not write are peers; where one is missing the test
//! says so and passes, except where `CI` is set.
#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test runs beside the product: it has no Cx, and a panic is its answer"
)]

mod activation;
mod admin;
mod alone;
mod balance;
mod chaos;
mod chat;
mod client;
mod collect;
mod contract;
mod cores;
mod datagrams;
mod descriptors;
mod dials;
mod doctor;
mod editing;
mod examples;
mod exec;
mod explain;
mod files;
mod forward;
mod forward_gears;
mod forward_slow;
mod forward_udp;
mod forward_want;
mod framing;
mod groups;
mod half_close;
mod help;
mod hostile;
mod hosts;
mod knocking;
mod limits;
mod peers;
mod pipes;
mod plan;
mod program;
mod proxies;
mod proxy_protocol;
mod signals;
mod stdout;
mod stuck;
mod talking;
mod terminal;
mod textbook;
mod tls_met;
mod tls_names;
mod told;
mod wait;
