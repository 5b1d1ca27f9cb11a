//! What this host is set to and allowed: `/proc` and adjtimex(2).

use std::fs;
use std::str::FromStr;

use super::sys;
use crate::probe::health::Health;

#[expect(clippy::unnecessary_wraps, reason = "other systems do not answer")]
pub(in crate::probe) fn health() -> Option<Health> {
    let numbers = |path: &str| -> Vec<u64> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let words = text.split_ascii_whitespace().map(u64::from_str);
        words.map_while(Result::ok).collect()
    };
    let number = |path: &str| numbers(path).first().copied();
    let pair = |a: Option<u64>, b: Option<u64>| Some((a?, b?));
    let ping = numbers("/proc/sys/net/ipv4/ping_group_range");
    let group = |place: usize| u32::try_from(*ping.get(place)?).ok();
    Some(Health {
        system: system(),
        capabilities: capabilities(),
        ping_groups: group(0).zip(group(1)),
        user_namespaces: user_namespaces(&number),
        longest_queue: number("/proc/sys/net/core/somaxconn"),
        time_wait: time_wait(),
        tracked: pair(
            number("/proc/sys/net/netfilter/nf_conntrack_count"),
            number("/proc/sys/net/netfilter/nf_conntrack_max"),
        ),
        // Without the folder the kernel has no IPv6 at all.
        no_v6: Some(number("/proc/sys/net/ipv6/conf/all/disable_ipv6") != Some(0)),
        clock: sys::clock(),
    })
}

fn system() -> Option<String> {
    let read = |name| fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok();
    let (name, release) = (read("ostype")?, read("osrelease")?);
    Some(format!("{} {}", name.trim(), release.trim()))
}

fn capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn user_namespaces(number: &impl Fn(&str) -> Option<u64>) -> Option<bool> {
    let most = number("/proc/sys/user/max_user_namespaces")?;
    // Debian and Ubuntu each have a switch of their own.
    let off = number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0);
    let restricted = number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1);
    Some(most > 0 && !off && !restricted)
}

/// `TCP: inuse 5 orphan 0 tw 3 alloc 7 mem 1`
fn time_wait() -> Option<u64> {
    let table = fs::read_to_string("/proc/thread-self/net/sockstat").ok()?;
    let line = table.lines().find(|line| line.starts_with("TCP:"))?;
    let mut words = line
        .split_ascii_whitespace()
        .skip_while(|word| *word != "tw");
    words.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_answers() {
        let health = health().unwrap();
        assert!(health.system.unwrap().starts_with("Linux "));
        assert!(health.capabilities.is_some());
        assert!(health.longest_queue.unwrap() > 0);
        assert!(health.time_wait.is_some());
        assert!(health.clock.is_some());
    }
}
