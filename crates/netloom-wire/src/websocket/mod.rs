//! WebSocket as bytes (RFC 6455): the request that asks for it, the check of
//! the answer, and single frames.

mod frame;
#[cfg(test)]
mod tests;
mod upgrade;

pub use frame::{Frame, FrameError, Opcode, from_client};
pub use upgrade::{Key, Lack, check, upgrade};
