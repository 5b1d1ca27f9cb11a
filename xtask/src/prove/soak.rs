//! `prove soak`: `netloom forward` under a mixture of conversations.

use super::Proof;
use crate::Outcome;
use crate::soak::soak;
use std::time::Duration;

pub(super) fn prove(proof: &Proof) -> Outcome<String> {
    let duration = Duration::from_secs_f64(proof.minutes * 60.0);
    soak(&proof.netloom()?, duration, &[])
}
