//! The words of TLS (RFC 8446, RFC 5246): what its numbers are called, and what
//! a peer speaks whose first bytes are not TLS.

mod client_hello;
mod hello;
mod looks;
mod names;

pub use client_hello::{ClientHello, HelloReader, LONGEST_HELLO, NoHello};
pub use hello::{ALL_GROUPS, Hello, NEW_CIPHERS, OLD_CIPHERS, Reply, reply};
pub use looks::{is_record, looks_like};
pub use names::{alert_name, alert_number, cipher_name, group_name, version_name};
