//! Starting the program, and why it did not start.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use netloom_base::failure::{Errno, Fact};
use netloom_base::{Code, Failure, Side, Stack, Stage};
use tokio::process::{ChildStdout, Command};

use super::process::Process;
use super::running::{End, Running};
use super::{DialOptions, Stderr, complaints};
use crate::conn::Conn;
use crate::cx::Cx;
use crate::net::Opened;

pub(super) fn spawn(stack: &Stack, options: &DialOptions, cx: &Cx) -> Result<Opened, Failure> {
    let (mut command, program) = prepare(stack, options)?;
    let failed = |error| Failure::from_io(Stage::Create, error);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    #[cfg(unix)]
    if options.group {
        command.process_group(0);
    }
    let joined = match options.stderr {
        Stderr::Ours => None,
        Stderr::Tell => {
            command.stderr(Stdio::piped());
            None
        }
        Stderr::Join => {
            let (reader, writer) = io::pipe().map_err(failed)?;
            command
                .stdout(writer.try_clone().map_err(failed)?)
                .stderr(writer);
            Some(reader)
        }
    };
    // The process is ended by its own rule, not by `kill_on_drop`: see `Running`.
    let mut child = command
        .spawn()
        .map_err(|error| explain(error, &program, options))?;
    drop(command); // and with it our hold on what the program writes to
    let name = match child.id() {
        Some(pid) => format!("exec:{program} pid {pid}"),
        None => format!("exec:{program}"),
    };
    if let Some(stderr) = child.stderr.take() {
        complaints::tell(stderr, &name, cx);
    }
    let output = match joined {
        Some(reader) => output(reader),
        None => child
            .stdout
            .take()
            .ok_or_else(|| io::Error::other("the program's output was not kept")),
    };
    let text = stack.endpoint.opaque().unwrap_or_default();
    let input = child.stdin.take();
    let end = if options.group {
        End::Group(cx.clone())
    } else {
        End::Kill
    };
    let running = Running::new(child, text, end);
    let process = Process::new(running, input, output.map_err(failed)?, name);
    Ok(Opened::Stream(Conn::new(Box::new(process))))
}

#[cfg(unix)]
fn output(reader: io::PipeReader) -> io::Result<ChildStdout> {
    ChildStdout::from_std(std::os::fd::OwnedFd::from(reader).into())
}

#[cfg(windows)]
fn output(reader: io::PipeReader) -> io::Result<ChildStdout> {
    ChildStdout::from_std(std::os::windows::io::OwnedHandle::from(reader).into())
}

/// Whether the program is there, without running it.
pub(crate) fn look(stack: &Stack, options: &DialOptions) -> Result<(), Failure> {
    let (_, program) = prepare(stack, options)?;
    let dir = options.dir.as_deref();
    let kind = match find(&program, dir, &search_path(options)) {
        None => io::ErrorKind::NotFound,
        Some(path) if path.is_dir() || !may_run(&path) => io::ErrorKind::PermissionDenied,
        Some(_) if dir.is_some_and(|dir| !dir.join(".").is_dir()) => io::ErrorKind::NotFound,
        Some(_) => return Ok(()),
    };
    Err(explain(kind.into(), &program, options))
}

#[cfg(unix)]
fn may_run(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn may_run(_: &Path) -> bool {
    true
}

/// The command that an endpoint's text is, and its program.
pub(crate) fn prepare(stack: &Stack, options: &DialOptions) -> Result<(Command, String), Failure> {
    let text = stack.endpoint.opaque().unwrap_or_default();
    let mut words = shell_words::split(text)
        .map_err(|_| wrong("a quote in this command is never closed"))?
        .into_iter();
    let Some(program) = words.next() else {
        let scheme = stack.endpoint.scheme();
        return Err(wrong(&format!("a command is needed after `{scheme}:`")));
    };
    let mut command = Command::new(&program);
    command.args(words);
    if let Some(dir) = &options.dir {
        command.current_dir(dir);
    }
    if options.clean {
        command.env_clear();
    }
    for variable in &options.env {
        match variable.split_once('=') {
            Some((key, value)) if !key.is_empty() => command.env(key, value),
            _ => {
                return Err(wrong(&format!(
                    "`env` is written KEY=VALUE, not `{variable}`"
                )));
            }
        };
    }
    Ok((command, program))
}

fn wrong(message: &str) -> Failure {
    Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT).message(message)
}

/// The kernel has one answer for a missing program, a missing interpreter and
/// a missing folder, and one for all that may not be used; which it was can be seen.
pub(crate) fn explain(error: io::Error, program: &str, options: &DialOptions) -> Failure {
    let Some(why) = Why::of(&error) else {
        return Failure::from_io(Stage::Create, error);
    };
    let failed = |code| {
        let failure = Failure::new(Stage::Create, Side::Us, code);
        error
            .raw_os_error()
            .map(Errno)
            .map(Fact::Errno)
            .into_iter()
            .fold(failure, Failure::fact)
    };
    // The dot asks whether the folder may be entered.
    if let Some(dir) = options.dir.as_deref().filter(|dir| !dir.join(".").is_dir()) {
        let what = if dir.is_dir() {
            "may not be entered by this user"
        } else {
            "is no folder to run it in"
        };
        return failed(Stage::Create.other()).message(format!("`{}` {what}", dir.display()));
    }
    let search = search_path(options);
    match (why, find(program, options.dir.as_deref(), &search)) {
        (Why::Missing, None) if is_path(program) => {
            failed(Code::EXEC_NOT_FOUND).message(format!("there is no program `{program}`"))
        }
        // A folder of PATH that may not be entered turns "not found" into "denied".
        (Why::Missing | Why::Denied, None) if !is_path(program) => failed(Code::EXEC_NOT_FOUND)
            .message(format!("there is no program `{program}`"))
            .fact(Fact::said(format!("searched {}", search.display()), "PATH")),
        (Why::Missing, Some(path)) => {
            let needs = interpreter(&path)
                .map(|line| Fact::said(format!("its first line is `{line}`"), "read"));
            let failure = failed(Code::EXEC_NOT_FOUND);
            let failure = failure.message(format!(
                "`{}` is there, but what it needs to run is not",
                path.display()
            ));
            needs.into_iter().fold(failure, Failure::fact)
        }
        (why, found) => {
            let path = found.unwrap_or_else(|| PathBuf::from(program));
            let what = match why {
                _ if path.is_dir() => "is a folder",
                Why::NoProgram => "is not a program of this system",
                _ => "may not be run by this user",
            };
            failed(Code::EXEC_DENIED).message(format!("`{}` {what}", path.display()))
        }
    }
}

/// What the kernel says of a program it did not start.
#[derive(Clone, Copy)]
enum Why {
    Missing,
    Denied,
    NoProgram,
}

impl Why {
    fn of(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Some(Why::Missing),
            io::ErrorKind::PermissionDenied => Some(Why::Denied),
            _ if error.raw_os_error() == NO_PROGRAM => Some(Why::NoProgram),
            _ => None,
        }
    }
}

/// The number for a file that is no program.
#[cfg(unix)]
const NO_PROGRAM: Option<i32> = Some(libc::ENOEXEC);
/// ERROR_BAD_EXE_FORMAT
#[cfg(windows)]
const NO_PROGRAM: Option<i32> = Some(193);

/// Where programs are looked for: a `PATH` among the options counts.
fn search_path(options: &DialOptions) -> OsString {
    let own = options
        .env
        .iter()
        .rev()
        .find_map(|variable| variable.strip_prefix("PATH="));
    own.map(OsString::from)
        .or_else(|| std::env::var_os("PATH"))
        .unwrap_or_else(|| "/bin:/usr/bin".into())
}

fn is_path(program: &str) -> bool {
    program.contains(std::path::is_separator)
}

fn find(program: &str, dir: Option<&Path>, search: &OsString) -> Option<PathBuf> {
    if is_path(program) {
        let path = dir.unwrap_or(Path::new("")).join(program);
        return path.exists().then_some(path);
    }
    std::env::split_paths(search)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// The line of a script that names its interpreter.
fn interpreter(script: &Path) -> Option<String> {
    use std::io::Read;

    let mut start = Vec::new();
    std::fs::File::open(script)
        .ok()?
        .take(256)
        .read_to_end(&mut start)
        .ok()?;
    let line = start.split(|&b| b == b'\n').next()?;
    line.starts_with(b"#!")
        .then(|| line.escape_ascii().to_string())
}
