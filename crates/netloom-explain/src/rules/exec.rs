//! Programs that were not found, may not be run, or ended badly.

use netloom_base::complaint::nearest;
use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible};
use netloom_base::failure::Fact;
use netloom_base::{Code, Diagnosis, Endpoint, Failure};

use super::Rule;
use super::answers::Answers;
use super::draft::Draft;

pub(super) const RULES: &[Rule] = &[not_found, denied, failed];

/// The words of the command that was to be run.
pub(super) fn words(failure: &Failure) -> Option<Vec<String>> {
    let endpoint: Endpoint = failure.endpoint()?.parse().ok()?;
    shell_words::split(endpoint.opaque()?).ok()
}

fn not_found(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::EXEC_NOT_FOUND {
        return None;
    }
    let words = words(failure).unwrap_or_default();
    let program = words.first().map_or("", String::as_str);
    let mut draft = Draft::begun(failure);
    let quoted = shell_words::quote(program).into_owned();
    let script = failure.facts().iter().find_map(|fact| match fact {
        Fact::Said { what, source } if source == "read" => what
            .split('`')
            .nth(1)?
            .strip_prefix("#!")
            .map(str::to_owned),
        _ => None,
    });
    if let Some(line) = script {
        let interpreter = line
            .split_ascii_whitespace()
            .next()
            .unwrap_or(&line)
            .to_owned();
        let windows = line.ends_with("\\r");
        draft = draft.cause(
            format!("the interpreter {interpreter} that its first line names is not there"),
            Confirmed,
            "the file itself is there",
        );
        if windows {
            draft = draft.fix(
                "its lines end as on Windows",
                format!("sed -i 's/\\r$//' {quoted}"),
            );
        }
        return draft
            .fix("see its first line", format!("head -n 1 {quoted}"))
            .done();
    }
    if program.contains('/') {
        return draft
            .cause(
                "there is no such file",
                Confirmed,
                "the kernel looked for this very path",
            )
            .fix(
                "see what is there",
                format!(
                    "ls -l {}",
                    shell_words::quote(program.rsplit_once('/').map_or(".", |(folder, _)| {
                        if folder.is_empty() { "/" } else { folder }
                    }))
                ),
            )
            .done();
    }
    let all = answers.programs.iter().flatten().map(String::as_str);
    if let Some(near) = nearest(program, all) {
        let mut meant = words.clone();
        if let Some(first) = meant.first_mut() {
            near.clone_into(first);
        }
        let command = shell_words::join(&meant);
        draft = draft
            .knows(format!("there is a program `{near}`"), "PATH")
            .cause(
                format!("it is a slip: {near} was meant"),
                Likely,
                "it is installed, and differs by little",
            )
            .fix(
                "that one",
                format!(
                    "netloom connect {}",
                    shell_words::quote(&Endpoint::from_opaque("exec", command).to_string())
                ),
            );
    }
    draft
        .cause(
            "the program is not installed, or in no folder of PATH",
            if answers.programs.is_some() {
                Likely
            } else {
                Possible
            },
            "each folder was looked into",
        )
        .fix(
            "see whether any folder has it",
            format!("command -v {quoted} || echo \"$PATH\""),
        )
        .advice("or write the whole path: exec:/usr/local/bin/NAME")
        .done()
}

fn denied(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::EXEC_DENIED {
        return None;
    }
    let mut draft = Draft::begun(failure);
    let words = words(failure).unwrap_or_default();
    let program = words.first().map_or("", String::as_str);
    let quoted = shell_words::quote(program).into_owned();
    let look = format!("ls -ld {quoted}");
    draft = match &answers.rights {
        Some((_, Some(rights))) if rights.is_folder => draft.cause(
            "it is a folder, not a program",
            Confirmed,
            "stat(2) says so",
        ),
        Some((path, Some(rights))) if rights.mode & 0o111 == 0 => draft
            .knows(
                format!(
                    "{} has mode {:04o}, of uid {}",
                    path.display(),
                    rights.mode,
                    rights.uid
                ),
                "stat",
            )
            .cause(
                "nobody may run it: its execute bits are not set",
                Confirmed,
                "the kernel asks for one of them, of root too",
            )
            .fix("let it be run", format!("chmod +x {quoted}")),
        Some((path, Some(rights))) => {
            let user = answers
                .user
                .map_or_else(|| "this user".to_owned(), |uid| format!("uid {uid}"));
            draft
                .knows(
                    format!(
                        "{} has mode {:04o}, of uid {} and gid {}; this program acts as {user}",
                        path.display(),
                        rights.mode,
                        rights.uid,
                        rights.gid
                    ),
                    "stat",
                )
                .cause(
                    "this user is not among those who may run it",
                    Possible,
                    "the mode lets only some run it",
                )
                .cause(
                    "it is no program of this system, or a script without its first line",
                    Possible,
                    "",
                )
                .cause("the file system is mounted noexec", Possible, "mount(8)")
        }
        _ => draft
            .cause("this user may not run it", Likely, "the kernel says so")
            .cause("it is no program of this system", Possible, ""),
    };
    draft
        .fix("see who may", look)
        .fix("see every folder's rights", format!("namei -l {quoted}"))
        .done()
}

fn failed(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::EXEC_FAILED {
        return None;
    }
    let how = failure.facts().iter().find_map(|fact| match fact {
        Fact::Exit(how) => Some(how.as_str()),
        _ => None,
    });
    let how = how.unwrap_or_default();
    let draft = Draft::begun(failure);
    let has = |name: &str| how.contains(name);
    let draft =
        if has("SIGSEGV") || has("SIGBUS") || has("SIGILL") || has("SIGFPE") || has("SIGABRT") {
            draft.cause(
                "the program crashed",
                Confirmed,
                "the kernel says by which signal",
            )
        } else if has("SIGKILL") {
            draft
                .cause(
                    "somebody killed it",
                    Likely,
                    "no program sends this to itself",
                )
                .cause(
                    "the host ran out of memory, and the kernel chose it",
                    Possible,
                    "its log says so: dmesg",
                )
        } else if has("SIGPIPE") {
            draft.cause(
                "it wrote on after its reader had closed",
                Confirmed,
                "that is what this signal says",
            )
        } else if has("SIGTERM") || has("SIGINT") || has("SIGHUP") {
            draft.cause("it was asked to end", Confirmed, "by this signal")
        } else if has("signal") {
            draft.cause("a signal ended it", Confirmed, "the kernel says which")
        } else {
            match how {
                "status 126" => draft.cause(
                    "a command in it may not be run",
                    Likely,
                    "that is the shell's word for it",
                ),
                "status 127" => draft.cause(
                    "a command in it was not found",
                    Likely,
                    "that is the shell's word for it",
                ),
                "status 2" => draft.cause(
                    "the program did not understand its arguments",
                    Possible,
                    "many programs say so with this number",
                ),
                _ => draft.cause(
                    "the program failed at what it does",
                    Likely,
                    "it chose this number itself; what it wrote to stderr says more",
                ),
            }
        };
    match words(failure) {
        Some(words) if !words.is_empty() => draft
            .fix(
                "see it by itself",
                format!(
                    "{} </dev/null || echo \"it ended with $?\"",
                    shell_words::join(&words)
                ),
            )
            .done(),
        _ => draft
            .advice("run the program by itself, and read what it says")
            .done(),
    }
}
