//! The kinds of service on a simulated network: what they say, that nothing is
//! lost, that nothing stays behind, and that limits fire when they should.

mod chargen;
mod discard;
mod echo;
mod limits;
mod reply;
mod served;
mod time;
