//! Numbers that the kernel is set to, and what it counted (ip(7), proc(5)).

use std::fs;

use super::sys;
use crate::probe::data::{Descriptors, ListenDrops, PortSettings};

/// The most descriptors whose kind is looked at.
const MOST_KINDS: u64 = 4_096;

pub(in crate::probe) fn port_settings() -> Option<PortSettings> {
    let start = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").ok();
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut range = range.split_ascii_whitespace().map(str::parse);
    Some(PortSettings {
        unprivileged_start: start.and_then(|n| n.trim().parse().ok()).unwrap_or(1024),
        ephemeral: (range.next()?.ok()?, range.next()?.ok()?),
    })
}

pub(in crate::probe) fn listen_drops() -> Option<ListenDrops> {
    let table = fs::read_to_string("/proc/thread-self/net/netstat").ok()?;
    let mut lines = table.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let value = |name: &str| {
        let at = names.split_ascii_whitespace().position(|n| n == name)?;
        values.split_ascii_whitespace().nth(at)?.parse().ok()
    };
    Some(ListenDrops {
        overflows: value("ListenOverflows")?,
        drops: value("ListenDrops")?,
    })
}

/// Needs no descriptor itself: it is asked when none is left.
pub(in crate::probe) fn descriptors() -> Option<Descriptors> {
    let (limit, hard_limit) = sys::descriptor_limits()?;
    let mut kinds: Vec<(String, u64)> = Vec::new();
    let mut seen = 0;
    for fd in 0..limit.min(MOST_KINDS) {
        let Ok(target) = fs::read_link(format!("/proc/self/fd/{fd}")) else {
            continue;
        };
        seen += 1;
        let target = target.to_string_lossy();
        let kind = match target.split_once(':') {
            Some(("anon_inode", _)) => "kernel object",
            Some((kind @ ("socket" | "pipe"), _)) => kind,
            _ => "file",
        };
        match kinds.iter_mut().find(|(known, _)| known == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind.to_owned(), 1)),
        }
    }
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    // Where not all were looked at: since Linux 6.2 the folder's size is their number.
    let counted = || fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len());
    let host = fs::read_to_string("/proc/sys/fs/file-nr")
        .ok()
        .and_then(|text| {
            let mut words = text.split_ascii_whitespace().map(str::parse);
            Some((words.next()?.ok()?, words.nth(1)?.ok()?))
        });
    Some(Descriptors {
        open: if limit <= MOST_KINDS {
            seen
        } else {
            counted().max(seen)
        },
        limit,
        hard_limit,
        kinds,
        host,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_answers() {
        let ports = port_settings().unwrap();
        assert!(ports.ephemeral.0 <= ports.ephemeral.1);
        assert!(listen_drops().is_some());
        let descriptors = descriptors().unwrap();
        assert!(descriptors.open >= 3 && descriptors.open <= descriptors.limit);
        assert!(!descriptors.kinds.is_empty());
    }
}
