//! Floor 4 of Netloom: why.
//!
//! A [`Failure`](netloom_base::Failure) is made cheaply where something goes
//! wrong. Here it becomes a [`Diagnosis`]: what is known is put into words and
//! ordered, and what a person can do is said.
#![forbid(unsafe_code)]

mod diagnose;

pub use diagnose::{diagnose, mistakes};
pub use netloom_base::Diagnosis;
