//! What the kernel counted for a process: CPU, memory, descriptors.

use crate::Outcome;
use std::fs;

/// CPU time of a process and its descendants, in nanoseconds. Taken from
/// schedstat of every living thread, which counts exactly; `stat` counts in
/// ticks of 10 ms.
pub(crate) fn cpu_ns(pid: u32) -> Outcome<u64> {
    let mut total = 0;
    for pid in family(pid) {
        let tasks = format!("/proc/{pid}/task");
        let tasks = fs::read_dir(&tasks).map_err(|e| format!("{tasks}: {e}"))?;
        for task in tasks.flatten() {
            let file = task.path().join("schedstat");
            // A thread may end between the two reads.
            if let Ok(text) = fs::read_to_string(&file) {
                total += first_number(&text).unwrap_or(0);
            }
        }
    }
    Ok(total)
}

/// Memory that only this process has, in bytes: Private_Clean and
/// Private_Dirty of its smaps_rollup.
pub(crate) fn private_bytes(pid: u32) -> Outcome<u64> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&file).map_err(|e| format!("{file}: {e}"))?;
    private(&text).ok_or_else(|| format!("{file} does not tell private memory"))
}

/// Open descriptors of a process.
pub(crate) fn descriptors(pid: u32) -> Outcome<usize> {
    let dir = format!("/proc/{pid}/fd");
    fs::read_dir(&dir)
        .map(Iterator::count)
        .map_err(|e| format!("{dir}: {e}"))
}

/// The process and all that descend from it.
fn family(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|child: u32| {
            let stat = fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
            Some((child, parent(&stat)?))
        })
        .collect();
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&one) = family.get(next) {
        family.extend(
            parents
                .iter()
                .filter(|(_, parent)| *parent == one)
                .map(|(child, _)| *child),
        );
        next += 1;
    }
    family
}

/// The fourth field of `stat`; the second may hold spaces and parentheses.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

fn private(smaps: &str) -> Option<u64> {
    let kib = |key| {
        smaps
            .lines()
            .find_map(|line| first_number(line.strip_prefix(key)?))
    };
    Some((kib("Private_Clean:")? + kib("Private_Dirty:")?) * 1024)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{cpu_ns, descriptors, parent, private, private_bytes};

    #[test]
    fn private_memory_is_clean_and_dirty() {
        let smaps =
            "Rss:  99 kB\nShared_Clean: 7 kB\nPrivate_Clean:   4 kB\nPrivate_Dirty:  12 kB\n";
        assert_eq!(private(smaps), Some(16 * 1024));
        assert_eq!(private("Rss: 99 kB\n"), None);
    }

    #[test]
    fn the_parent_is_read_past_a_strange_name() {
        assert_eq!(parent("71 (a) b (c) S 70 71 71 0"), Some(70));
        assert_eq!(parent("71"), None);
    }

    #[test]
    fn a_process_has_used_cpu_memory_and_descriptors() {
        let own = std::process::id();
        assert!(cpu_ns(own).is_ok_and(|ns| ns > 0));
        assert!(private_bytes(own).is_ok_and(|bytes| bytes > 4096));
        assert!(descriptors(own).is_ok_and(|open| open >= 3));
        assert!(cpu_ns(u32::MAX).is_err());
    }
}
