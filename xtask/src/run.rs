//! Running other programs: streamed, counted or read.

use crate::Outcome;
use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The project's root: the nearest directory upwards that has `floors.toml`.
pub(crate) fn root() -> PathBuf {
    let here = env::current_dir().unwrap_or_default();
    here.ancestors()
        .find(|dir| dir.join("floors.toml").is_file())
        .map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
            Path::to_path_buf,
        )
}

/// Whether a missing peer is a failure here.
pub(crate) fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A program that starts in the project's root.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Runs with our own stdout and stderr.
pub(crate) fn stream(command: &mut Command) -> Outcome {
    let status = command
        .status()
        .map_err(|e| format!("{}: {e}", shown(command)))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} ended with {status}", shown(command)))
    }
}

/// Runs and hands on each line of stdout as it comes.
pub(crate) fn lines(command: &mut Command, mut each: impl FnMut(&str)) -> Outcome {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{}: {e}", shown(command)))?;
    if let Some(out) = child.stdout.take() {
        let mut out = BufReader::new(out);
        let mut line = Vec::new();
        while out.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            each(String::from_utf8_lossy(&line).trim_end_matches('\n'));
            line.clear();
        }
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} ended with {status}", shown(command)))
    }
}

/// Runs and gives back stdout; stderr is part of the error.
pub(crate) fn read(command: &mut Command) -> Outcome<String> {
    let output = command
        .output()
        .map_err(|e| format!("{}: {e}", shown(command)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "{} ended with {}: {}",
        shown(command),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

/// Whether a program of this name is on the path.
pub(crate) fn is_installed(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// The command as a person would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name)
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::{lines, read, shown};
    use std::process::Command;

    #[test]
    fn a_failing_program_is_named_with_its_arguments_and_stderr() {
        let problem = read(Command::new("/bin/sh").args(["-c", "echo oops >&2; exit 3"]));
        let problem = problem.expect_err("exit 3 is a failure");
        assert!(problem.starts_with("sh -c"), "{problem}");
        assert!(problem.ends_with("exit status: 3: oops"), "{problem}");
    }

    #[test]
    fn lines_come_one_by_one_and_the_status_counts() {
        let mut seen = Vec::new();
        let ended = lines(
            Command::new("/bin/sh").args(["-c", "echo a; printf b; exit 1"]),
            |line| seen.push(line.to_owned()),
        );
        assert_eq!(seen, ["a", "b"]);
        assert!(ended.is_err());
    }

    #[test]
    fn a_command_is_shown_without_the_directory_of_its_program() {
        assert_eq!(shown(Command::new("/usr/bin/ncat").arg("-l")), "ncat -l");
    }
}
