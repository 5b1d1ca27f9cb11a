//! The floor's integration tests.

mod doors;
