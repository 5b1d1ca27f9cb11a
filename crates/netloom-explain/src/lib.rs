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
//!
//! A conversation that goes well has a [`story`]; what a code means stands on
//! its page ([`pages`]), and what an errno, an alert or a status means in [`lore`].
#![forbid(unsafe_code)]

pub mod awaited;
pub mod catalogue;
mod diagnose;
pub mod doctor;
pub mod lore;
pub mod pages;
pub mod rules;
pub mod story;

pub use diagnose::{diagnose, mistakes, with_steps};
pub use netloom_base::Diagnosis;
pub use rules::{Answers, Asking, diagnose_at_once, diagnose_with};
