//! One buffer for each thread, borrowed within one poll.
//!
//! A connection at rest owns no buffer. When bytes are ready it reads them
//! into its thread's scratch and passes them on before it returns; only what
//! could not be passed on is copied and kept.

use std::cell::RefCell;

/// The size of the scratch in bytes. A read shorter than the buffer tells the
/// reactor that the socket is empty, which saves the read that would say so.
pub const SCRATCH: usize = 64 * 1024;

/// The size of the scratch in bytes for whoever reads full buffers.
pub const LARGE_SCRATCH: usize = 256 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends the thread's scratch to `use_it`. Nested calls get a buffer of their own.
pub fn with_scratch<R>(use_it: impl FnOnce(&mut [u8]) -> R) -> R {
    lend(SCRATCH, use_it)
}

/// The same with [`LARGE_SCRATCH`] bytes. The thread keeps them from then on.
pub fn with_large_scratch<R>(use_it: impl FnOnce(&mut [u8]) -> R) -> R {
    lend(LARGE_SCRATCH, use_it)
}

fn lend<R>(size: usize, use_it: impl FnOnce(&mut [u8]) -> R) -> R {
    BUFFER.with(|buffer| match buffer.try_borrow_mut() {
        Ok(mut buffer) => {
            if buffer.len() < size {
                buffer.resize(size, 0);
            }
            use_it(&mut buffer[..size])
        }
        Err(_) => use_it(&mut vec![0; size]),
    })
}
