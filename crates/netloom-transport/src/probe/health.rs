//! What a host is set to and allowed, as plain data.

use super::data::ClockState;

/// What this process may do, and what the host is set to. `None` where this
/// system does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// The system and its release, as uname(2) has them.
    pub system: Option<String>,
    /// The capabilities in effect, as bits (capabilities(7)).
    pub capabilities: Option<u64>,
    /// The groups that may send ICMP echo without a right (icmp(7)).
    pub ping_groups: Option<(u32, u32)>,
    /// Whether a user may make namespaces (user_namespaces(7)).
    pub user_namespaces: Option<bool>,
    /// The most connections that may wait at one listener (listen(2)).
    pub longest_queue: Option<u64>,
    /// Connections in TIME_WAIT.
    pub time_wait: Option<u64>,
    /// Connections that the packet filter tracks, and how many it may.
    pub tracked: Option<(u64, u64)>,
    /// Whether IPv6 is switched off.
    pub no_v6: Option<bool>,
    /// The calendar clock.
    pub clock: Option<ClockState>,
}

/// Capabilities that matter to a network program, with their number.
pub const CAPABILITIES: &[(u64, &str)] = &[
    (10, "CAP_NET_BIND_SERVICE"),
    (12, "CAP_NET_ADMIN"),
    (13, "CAP_NET_RAW"),
    (19, "CAP_SYS_PTRACE"),
];
