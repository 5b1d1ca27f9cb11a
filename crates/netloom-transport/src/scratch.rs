//! One buffer for each thread, borrowed within one poll.
//!
//! A connection at rest owns no buffer. When bytes are ready it reads them
//! into its thread's scratch and passes them on before it returns; only what
//! could not be passed on is copied and kept.

use std::cell::RefCell;

/// The size of the scratch in bytes. A read shorter than the buffer tells the
/// reactor that the socket is empty, which saves the read that would say so.
pub const SCRATCH: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends the thread's scratch to `use_it`. Nested calls get a buffer of their own.
pub fn with_scratch<R>(use_it: impl FnOnce(&mut [u8]) -> R) -> R {
    BUFFER.with(|buffer| match buffer.try_borrow_mut() {
        Ok(mut buffer) => {
            if buffer.is_empty() {
                buffer.resize(SCRATCH, 0);
            }
            use_it(&mut buffer)
        }
        Err(_) => use_it(&mut vec![0; SCRATCH]),
    })
}
