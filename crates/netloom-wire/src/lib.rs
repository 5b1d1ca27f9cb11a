//! Floor 1 of Netloom: bytes.
//!
//! Parsers and builders that touch no socket and wait for nothing: bytes in,
//! meaning out, and back. Every room here is property-tested and fuzzed.
#![forbid(unsafe_code)]

pub mod coding;
pub mod escape;
pub mod framing;
pub mod http;
pub mod lines;
pub mod mqtt;
pub mod proxy_protocol;
pub mod record;
pub mod reply;
pub mod socks;
pub mod ssh;
pub mod tls;
pub mod websocket;
