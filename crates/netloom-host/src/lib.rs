//! Floor 6 of Netloom: one process with many services.
//!
//! ```text
//!   netloom.toml ─▶ load ─▶ ┐
//!   flags ────────────────▶ Plan ─▶ check ─▶ Prepared ─▶ supervise ─▶ Running
//!   a program ────────────▶ ┘      (all errors at once)
//! ```
#![forbid(unsafe_code)]

pub mod check;
pub mod load;
pub mod notify;
pub mod open;
pub mod os;
pub mod plan;
pub mod supervise;
pub mod ways;

mod conversation;
#[cfg(test)]
mod tests;

pub use check::{Place, Prepared, check};
pub use load::{load, load_and_check, load_proxies};
pub use open::{Listen, Server, connect, listen};
pub use os::{os_net, os_net_by};
pub use plan::{Plan, ProxyPlan, ServicePlan, Written};
pub use supervise::{Running, start};
pub use ways::Ways;
