//! Making a terminal and giving it to a program.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use tokio::process::Command;

use super::Size;

/// A new terminal: the end that does not block and is ours, and the program's.
pub(super) fn open() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: no memory is passed; what it returns belongs to nobody else.
    let ours = unsafe { owned(libc::posix_openpt(flags | libc::O_NONBLOCK))? };
    // SAFETY: the descriptor is open, and no memory is passed.
    done(unsafe { libc::grantpt(ours.as_raw_fd()) })?;
    // SAFETY: as above.
    done(unsafe { libc::unlockpt(ours.as_raw_fd()) })?;
    // By descriptor, not by name: a name may mean another terminal in another
    // mount namespace (ioctl_tty(2)).
    // SAFETY: TIOCGPTPEER takes flags by value and returns a descriptor that
    // belongs to nobody else.
    let theirs = unsafe { owned(libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, flags))? };
    Ok((ours, theirs))
}

/// # Safety
/// A number that is not negative is an open descriptor that nobody owns.
unsafe fn owned(number: i32) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn done(result: i32) -> io::Result<()> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Sets the size of a terminal.
pub(super) fn set_size(terminal: BorrowedFd<'_>, size: Size) -> io::Result<()> {
    let size = libc::winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCSWINSZ reads one winsize, which this is.
    done(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })
}

fn attributes(terminal: BorrowedFd<'_>) -> io::Result<libc::termios> {
    // SAFETY: all-zero is a valid termios, for the kernel to fill.
    let mut found: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: `found` is one termios.
    done(unsafe { libc::tcgetattr(terminal.as_raw_fd(), &raw mut found) })?;
    Ok(found)
}

/// Lets every byte pass as it is.
pub(super) fn make_raw(terminal: BorrowedFd<'_>) -> io::Result<()> {
    let mut found = attributes(terminal)?;
    // SAFETY: `found` is one termios, filled.
    unsafe { libc::cfmakeraw(&raw mut found) };
    // SAFETY: as above.
    done(unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSANOW, &raw const found) })
}

/// The character that ends the input. A program that edits lines itself heeds
/// it too, though the terminal does not.
pub(super) fn end_of_file(terminal: BorrowedFd<'_>) -> Option<u8> {
    Some(attributes(terminal).ok()?.c_cc[libc::VEOF])
}

/// The signals that a terminal's keys and its hang-up send. Whoever was started
/// in the background of a script ignores some of them, and what it starts would
/// too (signal(7)): then no key could end the program.
const OF_TERMINALS: [libc::c_int; 6] = [
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGHUP,
];

/// Makes what is standard input of the program the terminal of a session of its own.
pub(super) fn on_terminal(command: &mut Command) {
    let begin = || {
        // SAFETY: signal, setsid and ioctl are safe to call after fork
        // (signal-safety(7) lists the first two, the third is one system call),
        // and touch no memory.
        unsafe {
            for signal in OF_TERMINALS {
                libc::signal(signal, libc::SIG_DFL);
            }
            done(libc::setsid())?;
            done(libc::ioctl(libc::STDIN_FILENO, libc::TIOCSCTTY, 0))
        }
    };
    // SAFETY: `begin` allocates nothing and takes no lock.
    unsafe { command.pre_exec(begin) };
}
