//! Who holds a socket (proc(5)), and unix sockets by name.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use netloom_base::failure::{OtherProgram, Waiting};

use crate::probe::data::{Holder, UnixEntry};

/// The most processes, and descriptors of all of them, that are looked at.
const MOST_PROCESSES: usize = 32_768;
const MOST_DESCRIPTORS: usize = 400_000;
/// The most control groups that are looked at.
const MOST_GROUPS: usize = 4_096;
/// The most holders that are told of.
const MOST_HOLDERS: usize = 64;
/// The most bytes that are read of a file of `/proc`.
const LONGEST_COMMAND: usize = 200;
/// The most threads of one process that are looked at.
const MOST_THREADS: usize = 256;

/// The processes that hold one of `inodes`. Of other users' processes only
/// root sees the descriptors.
pub(in crate::probe) fn holders(inodes: &[u32]) -> Vec<Holder> {
    let mut found = Vec::new();
    let mut looked = 0;
    let Ok(processes) = fs::read_dir("/proc") else {
        return found;
    };
    let pids = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids.take(MOST_PROCESSES) {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            continue; // it ended, or belongs to somebody else
        };
        for descriptor in descriptors.flatten() {
            looked += 1;
            if looked > MOST_DESCRIPTORS || found.len() == MOST_HOLDERS {
                return found;
            }
            let held = fs::read_link(descriptor.path())
                .ok()
                .and_then(|target| inode_of(&target));
            let fd = descriptor
                .file_name()
                .to_str()
                .and_then(|fd| fd.parse().ok());
            if let (Some(inode), Some(fd)) = (held.filter(|inode| inodes.contains(inode)), fd) {
                found.push(holder(pid, fd, inode));
            }
        }
    }
    found
}

/// The program that holds one socket, and what it is doing with it.
pub(in crate::probe) fn program_at(inode: u32) -> Option<OtherProgram> {
    let held = holders(&[inode]).into_iter().next()?;
    Some(OtherProgram {
        pid: held.pid,
        fd: held.fd,
        stopped: is_stopped(held.pid),
        waits_in: waits_in(held.pid, held.fd),
        name: held.program,
        command: held.command,
    })
}

/// Whether a signal, its terminal or a debugger stopped a process (proc_pid_stat(5)).
fn is_stopped(pid: u32) -> bool {
    let stat = text(&format!("/proc/{pid}/stat")).unwrap_or_default();
    // The program's name stands in parentheses, and may have some of its own.
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_ascii_whitespace().next());
    matches!(state, Some("T" | "t"))
}

/// What a thread of a process waits in on this descriptor. Only root and the
/// same user may look (proc_pid_syscall(5), ptrace(2)).
fn waits_in(pid: u32, fd: u32) -> Option<Waiting> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut calls = threads
        .flatten()
        .take(MOST_THREADS)
        .filter_map(|thread| fs::read_to_string(thread.path().join("syscall")).ok());
    calls.find_map(|call| waiting(&call, fd))
}

/// Reads `NUMBER ARGUMENT…`, the arguments in hexadecimal, of a call on `fd`.
fn waiting(call: &str, fd: u32) -> Option<Waiting> {
    let mut words = call.split_ascii_whitespace();
    let number: libc::c_long = words.next()?.parse().ok()?;
    let first = words.next()?.strip_prefix("0x")?;
    if u64::from_str_radix(first, 16) != Ok(u64::from(fd)) {
        return None;
    }
    match number {
        libc::SYS_read | libc::SYS_readv | libc::SYS_recvfrom | libc::SYS_recvmsg => {
            Some(Waiting::ToRead)
        }
        libc::SYS_write
        | libc::SYS_writev
        | libc::SYS_sendto
        | libc::SYS_sendmsg
        | libc::SYS_sendfile => Some(Waiting::ToWrite),
        _ => None,
    }
}

/// The inode in the link of a socket's descriptor.
pub(super) fn inode_of(target: &Path) -> Option<u32> {
    target
        .to_str()?
        .strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

fn holder(pid: u32, fd: u32, inode: u32) -> Holder {
    let program = text(&format!("/proc/{pid}/comm")).unwrap_or_default();
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = words
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    let command = if words.is_empty() {
        program.clone() // of the kernel, or a process that ended
    } else {
        printable(&words.join(" "))
    };
    let unit = text(&format!("/proc/{pid}/cgroup")).and_then(|groups| {
        groups
            .lines()
            .filter_map(|line| line.rsplit(':').next())
            .find_map(unit_in)
    });
    Holder {
        inode,
        pid,
        fd,
        program,
        command,
        uid: fs::metadata(format!("/proc/{pid}")).map_or(0, |process| process.uid()),
        unit,
    }
}

/// The service in a control group's path. A login session is no service: it
/// holds whatever the person started.
fn unit_in(group: &str) -> Option<String> {
    group
        .split('/')
        .rfind(|part| part.ends_with(".service") && !part.starts_with("user@"))
        .map(printable)
}

/// The service that a control group's number belongs to, visible to everybody.
pub(in crate::probe) fn unit(cgroup: u64) -> Option<String> {
    let root = PathBuf::from("/sys/fs/cgroup");
    let mut folders = VecDeque::from([root]);
    let mut looked = 0;
    while let Some(folder) = folders.pop_front() {
        looked += 1;
        if looked > MOST_GROUPS {
            return None;
        }
        if fs::metadata(&folder).is_ok_and(|group| group.ino() == cgroup) {
            return unit_in(folder.to_str()?);
        }
        let below = fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(
            below
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    None
}

/// Unix sockets that have a name, of this network namespace.
pub(in crate::probe) fn unix_sockets() -> Option<Vec<UnixEntry>> {
    const LISTENS: u32 = 0x10000;
    let table = fs::read("/proc/thread-self/net/unix").ok()?;
    let table = String::from_utf8_lossy(&table);
    let read = |line: &str| {
        // Num RefCount Protocol Flags Type St Inode Path
        let mut words = line.splitn(8, ' ').filter(|word| !word.is_empty());
        let flags = u32::from_str_radix(words.nth(3)?, 16).ok()?;
        let rest = words.collect::<Vec<_>>().join(" ");
        let mut rest = rest.split_ascii_whitespace();
        let inode = rest.nth(2)?.parse().ok()?;
        let name = rest.collect::<Vec<_>>().join(" ");
        (!name.is_empty()).then_some(UnixEntry {
            name,
            listens: flags & LISTENS != 0,
            inode,
        })
    };
    Some(table.lines().skip(1).filter_map(read).collect())
}

/// The first bytes of a file of `/proc`, without the last line's end.
fn text(path: &str) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// A text of others in one line that a terminal cannot mistake for commands.
fn printable(text: &str) -> String {
    let shown: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST_COMMAND)
        .collect();
    if shown.len() < text.len() && shown.chars().count() == LONGEST_COMMAND {
        shown + "…"
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_found_in_a_control_group_and_a_session_is_none() {
        assert_eq!(
            unit_in("/system.slice/nginx.service").as_deref(),
            Some("nginx.service")
        );
        let own = "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service";
        assert_eq!(unit_in(own).as_deref(), Some("web.service"));
        assert_eq!(unit_in("/user.slice/user-1000.slice/session-3.scope"), None);
    }

    #[test]
    fn a_thread_that_waits_on_a_descriptor_is_told_by_its_system_call() {
        let call = |number: libc::c_long, fd: u32| {
            format!("{number} {fd:#x} 0x7ffc00 0x400 0x0 0x0 0x0 0x7ffd 0x7f12\n")
        };
        let told = |number, fd| waiting(&call(number, fd), 5);
        assert_eq!(told(libc::SYS_recvfrom, 5), Some(Waiting::ToRead));
        assert_eq!(told(libc::SYS_write, 5), Some(Waiting::ToWrite));
        assert_eq!(told(libc::SYS_write, 6), None);
        assert_eq!(told(libc::SYS_close, 5), None);
        for other in ["running\n", "-1 0x7ffd 0x7f12\n", ""] {
            assert_eq!(waiting(other, 5), None);
        }
        assert!(!is_stopped(std::process::id()));
    }

    #[test]
    fn we_hold_our_own_socket() {
        let listener = std::os::unix::net::UnixListener::bind(
            std::env::temp_dir().join(format!("netloom-held-{}", std::process::id())),
        )
        .unwrap();
        let path = listener.local_addr().unwrap();
        let path = path.as_pathname().unwrap().to_owned();
        let entry = unix_sockets()
            .unwrap()
            .into_iter()
            .find(|entry| Path::new(&entry.name) == path)
            .unwrap();
        fs::remove_file(path).unwrap();
        assert!(entry.listens);
        let holders = holders(&[entry.inode]);
        assert_eq!(holders[0].pid, std::process::id());
    }
}
