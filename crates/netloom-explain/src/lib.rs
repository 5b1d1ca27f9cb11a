//! Floor 4 of Netloom: why.
//!
//! A [`Failure`](netloom_base::Failure) is made cheaply where something goes
//! wrong. Here it becomes a [`Diagnosis`]: what is known is put into words and
//! ordered, and what a person can do is said. [`diagnose`] asks nobody;
//! [`diagnose_with`] asks the local kernel what decides between the causes.
//!
//! ```text
//!   Failure ─▶ ask (Probe) ─▶ Answers ─▶ rules ─▶ Diagnosis
//! ```
#![forbid(unsafe_code)]

mod diagnose;
pub mod doctor;
pub mod rules;

pub use diagnose::{diagnose, mistakes};
pub use netloom_base::Diagnosis;
pub use rules::{Answers, Asking, diagnose_at_once, diagnose_with};
