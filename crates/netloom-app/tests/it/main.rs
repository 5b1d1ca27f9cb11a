//! The kinds of service on a simulated network: what they say, that nothing is
//! lost, that nothing stays behind, and that limits fire when they should.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chargen;
mod chat;
mod datagrams;
mod discard;
mod echo;
mod forward;
mod forward_across;
mod forward_at_rest;
mod forward_datagrams;
mod forward_slow;
mod limits;
mod names;
mod reply;
mod served;
mod time;
