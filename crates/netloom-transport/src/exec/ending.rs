//! How a program ended.

use std::process::ExitStatus;

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Side, Stage};

/// A failure, unless the program says that it did what it was asked to.
pub(crate) fn judge(status: ExitStatus, command: &str) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    let how = words(status);
    let failure = Failure::new(Stage::Close, Side::Peer, Code::EXEC_FAILED);
    Err(failure
        .message(format!("`{command}` ended with {how}"))
        .fact(Fact::Exit(how)))
}

#[cfg(unix)]
fn words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;

    let dumped = if status.core_dumped() {
        ", core dumped"
    } else {
        ""
    };
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => match signal_name(signal) {
            Some(name) => format!("signal {signal} ({name}){dumped}"),
            None => format!("signal {signal}{dumped}"),
        },
        (None, None) => format!("wait status {}", status.into_raw()),
    }
}

#[cfg(not(unix))]
fn words(status: ExitStatus) -> String {
    status
        .code()
        .map_or_else(|| status.to_string(), |code| format!("status {code}"))
}

#[cfg(unix)]
fn signal_name(signal: i32) -> Option<&'static str> {
    macro_rules! names {
        ($($name:ident)*) => {
            match signal {
                $( libc::$name => Some(stringify!($name)), )*
                _ => None,
            }
        };
    }
    names! {
        SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2
        SIGPIPE SIGALRM SIGTERM SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGSYS
    }
}
