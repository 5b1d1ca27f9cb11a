//! What this process or this host has run out of.

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible};
use netloom_base::failure::Fact;
use netloom_base::{Code, Diagnosis, Failure};

use super::Rule;
use super::answers::Answers;
use super::draft::{Draft, sudo};

pub(super) const RULES: &[Rule] = &[no_descriptors, line_is_full];

/// From here on `fs.file-max` is no limit: systemd sets it to 2^63 - 1.
const ENDLESS: u64 = 1 << 62;

/// Not the service is full, but the line of those who wait for its targets.
fn line_is_full(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::LIMIT_REACHED {
        return None;
    }
    let allows = failure.facts().iter().find_map(|fact| match fact {
        Fact::Limit {
            name: "queue",
            allows,
        } => Some(*allows),
        _ => None,
    })?;
    let draft = Draft::of(
        failure,
        failure.code(),
        "every target has as many connections as it may have, and as many wait as may",
    );
    let draft = draft
        .cause(
            "more clients come than the targets were given room for",
            Likely,
            "the line was full when this one came",
        )
        .cause(
            "a target answers slowly, and its connections pile up",
            Possible,
            "",
        )
        .fix("see who is connected", "ss -tn state established")
        .advice("allow a target more: max-conns=200 after it, or --target-conns 200")
        .advice(format!(
            "or let more wait: --queue {}",
            allows.saturating_mul(2).max(100)
        ));
    draft.done()
}

fn no_descriptors(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if !matches!(
        failure.code(),
        Code::CREATE_NO_DESCRIPTORS | Code::ACCEPT_NO_DESCRIPTORS
    ) {
        return None;
    }
    let found = answers.descriptors.as_ref()?;
    let (open, limit) = (found.open, found.limit);
    let kinds: Vec<String> = found
        .kinds
        .iter()
        .take(4)
        .map(|(kind, n)| format!("{n} {kind}"))
        .collect();
    let mut draft = Draft::of(
        failure,
        failure.code(),
        "this process may open no more descriptors",
    )
    .knows(
        format!("{open} descriptors are open, {limit} may be"),
        "getrlimit",
    )
    .knows(format!("of them {}", kinds.join(", ")), "/proc/self/fd");
    let of_host = failure.errno().and_then(netloom_base::failure::Errno::name) == Some("ENFILE");
    if let Some((open, most)) = found.host.filter(|_| of_host) {
        let draft = draft
            .knows(
                format!("{open} files are open on this host, {most} may be"),
                "/proc/sys/fs/file-nr",
            )
            .cause(
                "the whole host has run out of files",
                Confirmed,
                "the kernel answered ENFILE, not EMFILE",
            );
        // Where it is as good as endless, more of it is no help.
        return if most < ENDLESS {
            let command = format!("{}sysctl -w fs.file-max={}", sudo(answers), most * 2);
            draft.fix("allow more", command).done()
        } else {
            draft
                .advice(
                    "close files: some other limit of this host, such as its memory, is reached",
                )
                .done()
        };
    }
    let sockets = found
        .kinds
        .iter()
        .find(|(kind, _)| kind == "socket")
        .map_or(0, |(_, n)| *n);
    draft = if open >= limit {
        draft.cause(
            "the limit of this process is reached",
            Confirmed,
            "as many are open as may be",
        )
    } else {
        draft.cause(
            "the limit of this process was reached",
            Likely,
            "some were closed since",
        )
    };
    if sockets * 2 > open {
        draft = draft.cause(
            "connections are opened and not closed",
            Possible,
            "most of them are sockets",
        );
    }
    let more = if found.hard_limit > limit {
        found.hard_limit
    } else {
        limit.saturating_mul(4)
    };
    let command = if found.hard_limit > limit {
        format!("ulimit -n {more}")
    } else {
        format!("{}prlimit --pid $$ --nofile={more}:{more}", sudo(answers))
    };
    draft
        .fix("allow this shell's programs more", command)
        .advice("or serve fewer at once: --max-conns")
        .done()
}
