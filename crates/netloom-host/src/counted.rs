//! How often what failed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use netloom_base::Failure;

/// Failures of one service, counted by their codes. There are only so many codes.
#[derive(Default)]
pub(crate) struct Failures(Mutex<BTreeMap<&'static str, u64>>);

impl Failures {
    pub(crate) fn count(&self, failure: &Failure) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(failure.code().name()).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }
}
