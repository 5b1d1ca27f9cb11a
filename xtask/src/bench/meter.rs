//! What the kernel counted for a process: CPU, memory, descriptors.

use crate::Outcome;
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

/// CPU time of a process and its descendants, in nanoseconds. Taken from
/// schedstat of every living thread, which counts exactly; `stat` counts in
/// ticks of 10 ms.
pub(crate) fn cpu_ns(pid: u32) -> Outcome<u64> {
    let mut total = 0;
    for one in family(pid) {
        let tasks = format!("/proc/{one}/task");
        let tasks = match fs::read_dir(&tasks) {
            Ok(tasks) => tasks,
            // A child may end at any time.
            Err(_) if one != pid => continue,
            Err(e) => return Err(format!("{tasks}: {e}")),
        };
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

/// CPU time of those children that a process has waited for, in nanoseconds;
/// in ticks of 10 ms.
pub(crate) fn reaped_ns(pid: u32) -> Outcome<u64> {
    let file = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&file).map_err(|e| format!("{file}: {e}"))?;
    reaped(&text).ok_or_else(|| format!("{file} does not tell of children"))
}

/// Memory that only this process and its descendants have, each on its own.
pub(crate) fn family_private_bytes(pid: u32) -> Outcome<u64> {
    family(pid).into_iter().map(private_bytes).sum()
}

/// Memory that only this process has, in bytes: Private_Clean and
/// Private_Dirty of its smaps_rollup.
pub(crate) fn private_bytes(pid: u32) -> Outcome<u64> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&file).map_err(|e| format!("{file}: {e}"))?;
    private(&text).ok_or_else(|| format!("{file} does not tell private memory"))
}

/// Open descriptors of a process by what they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Descriptors {
    pub(crate) sockets: usize,
    pub(crate) pipes: usize,
}

impl Descriptors {
    pub(crate) fn of(pid: u32) -> Outcome<Self> {
        let dir = format!("/proc/{pid}/fd");
        let all = fs::read_dir(&dir).map_err(|e| format!("{dir}: {e}"))?;
        // One may be closed between the two looks.
        let links = all.flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
        let mut open = Descriptors {
            sockets: 0,
            pipes: 0,
        };
        for link in links {
            let link = link.to_string_lossy();
            open.sockets += usize::from(link.starts_with("socket:"));
            open.pipes += usize::from(link.starts_with("pipe:"));
        }
        Ok(open)
    }
}

impl fmt::Display for Descriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} sockets and {} ends of pipes",
            self.sockets, self.pipes
        )
    }
}

/// How long a server may take to let go of what its clients left.
const LETTING_GO: Duration = Duration::from_secs(10);
/// Between two looks at what it holds.
const PAUSE: Duration = Duration::from_millis(50);

/// What is open once it has been the same for a while.
pub(crate) fn settled(pid: u32) -> Outcome<Descriptors> {
    let (mut last, mut same) = (Descriptors::of(pid)?, 0);
    let begun = Instant::now();
    while same < 5 && begun.elapsed() < LETTING_GO {
        thread::sleep(PAUSE);
        let now = Descriptors::of(pid)?;
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    Ok(last)
}

/// What is open once there are at most so many sockets, or after a while.
pub(crate) fn settled_at(pid: u32, sockets: usize) -> Outcome<Descriptors> {
    let begun = Instant::now();
    loop {
        let now = Descriptors::of(pid)?;
        if now.sockets <= sockets || begun.elapsed() > LETTING_GO {
            return Ok(now);
        }
        thread::sleep(PAUSE);
    }
}

/// The process and all that descend from it.
pub(super) fn family(pid: u32) -> Vec<u32> {
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

/// Fields 16 and 17 of `stat`, in ticks of a hundredth of a second.
fn reaped(stat: &str) -> Option<u64> {
    let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((ticks(13)? + ticks(14)?) * 10_000_000)
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
    use super::{Descriptors, cpu_ns, parent, private, private_bytes, reaped};

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
    fn what_children_used_is_read_past_a_strange_name() {
        let stat = "71 (a) b) S 70 71 71 0 -1 4194304 1 2 3 4 5 6 700 8 20 0 1 0";
        assert_eq!(reaped(stat), Some(7_080_000_000));
        assert_eq!(reaped("71"), None);
    }

    #[test]
    fn a_process_has_used_cpu_memory_and_descriptors() {
        let own = std::process::id();
        assert!(cpu_ns(own).is_ok_and(|ns| ns > 0));
        assert!(private_bytes(own).is_ok_and(|bytes| bytes > 4096));
        assert!(cpu_ns(u32::MAX).is_err());
        assert!(Descriptors::of(u32::MAX).is_err());
        let before = Descriptors::of(own).unwrap();
        let held: Vec<_> = (0..40).map(|_| std::io::pipe().unwrap()).collect();
        let with = Descriptors::of(own).unwrap();
        assert!(with.pipes >= before.pipes + 2 * held.len() - 20, "{with}");
    }
}
