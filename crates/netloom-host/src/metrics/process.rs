//! What the kernel says of this process (proc(5)), under the names that every
//! Prometheus client uses.

use std::fs;

use netloom_protocol::Measures;

use super::text::Text;

/// The part of a second that /proc counts CPU time in (sysconf(3), `_SC_CLK_TCK`;
/// 100 on every Linux since 2.4 as programs see it).
const TICKS: f64 = 100.0;

/// Where there is no /proc, nothing is told.
pub(super) fn measure(to: &mut Text, descriptors: u64) {
    let Ok(stat) = fs::read_to_string("/proc/self/stat") else {
        return;
    };
    // The program's name comes in brackets and may hold anything.
    let fields: Vec<&str> = stat
        .rsplit_once(") ")
        .map_or_else(Vec::new, |(_, rest)| rest.split(' ').collect());
    let field = |number: usize| {
        let field = fields.get(number - 3);
        field.and_then(|f| f.parse::<f64>().ok())
    };
    if let (Some(user), Some(system)) = (field(14), field(15)) {
        let help = "Total user and system CPU time spent in seconds.";
        to.growing("process_cpu_seconds_total", help, (user + system) / TICKS);
    }
    if let Some(threads) = field(20) {
        to.gauge(
            "process_threads",
            "Number of OS threads in the process.",
            &[],
            threads,
        );
    }
    if let Some(kib) = resident() {
        to.gauge(
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            &[],
            kib * 1024.0,
        );
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is for reading this very folder.
        let open = open.count().saturating_sub(1) as f64;
        to.gauge(
            "process_open_fds",
            "Number of open file descriptors.",
            &[],
            open,
        );
    }
    to.gauge(
        "process_max_fds",
        "Maximum number of open file descriptors.",
        &[],
        descriptors as f64,
    );
}

fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}
