//! Addresses that the kernel cannot share among several listeners.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use netloom_base::{Endpoint, Failure, Stage};

use crate::listener::{Bound, Listener};

/// An address that is listened on already and gives one listener. `try_with`
/// is how to reach it with a tool that many have.
pub(crate) fn once(
    endpoint: Endpoint,
    try_with: Option<String>,
    listener: impl FnOnce() -> io::Result<Box<dyn Listener>> + Send + 'static,
) -> Arc<dyn Bound> {
    Arc::new(Once {
        endpoint,
        try_with,
        listener: Mutex::new(Some(Box::new(listener))),
    })
}

struct Once {
    endpoint: Endpoint,
    try_with: Option<String>,
    listener: Mutex<Option<MakeListener>>,
}

type MakeListener = Box<dyn FnOnce() -> io::Result<Box<dyn Listener>> + Send>;

impl Bound for Once {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn listener(&self) -> Result<Option<Box<dyn Listener>>, Failure> {
        let make = self
            .listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        make.map(|make| make())
            .transpose()
            .map_err(|error| Failure::from_io(Stage::Listen, error))
    }

    fn try_with(&self) -> Option<String> {
        self.try_with.clone()
    }
}
