//! The hall of protocol in a simulated network.
#![allow(
    clippy::unwrap_used,
    reason = "a test runs beside the product: a panic is its answer"
)]

mod framed;
