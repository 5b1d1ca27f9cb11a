//! HTTP/1.1 as bytes (RFC 9110, RFC 9112): writing a request, reading the head
//! of an answer and the beginning of its body, reading the head of a request.
//!
//! What is written cannot be made to say more than it should: a line break in a
//! target or a header is refused, not escaped. What is read is bounded, and
//! what two readers could understand differently is refused too.

mod asked;
mod body;
mod head;
mod request;
#[cfg(test)]
mod tests;

pub use asked::Asked;
pub use body::{Ambiguous, Beginning, Length, beginning, length};
pub use head::{Head, HeadError, Headers, LONGEST_HEAD, MOST_HEADERS};
pub use request::{Request, Unwritable, basic, in_target};
