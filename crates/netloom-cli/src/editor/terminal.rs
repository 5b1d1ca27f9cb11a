//! The terminal this program was started on: its modes and its size.

use std::io::IsTerminal;

#[cfg(unix)]
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// Pastes come marked (xterm's bracketed paste), so that no line of them is
/// sent by itself.
pub(super) const BEGIN: &str = "\x1b[?2004h";
pub(super) const END: &str = "\x1b[?2004l";

/// A terminal whose keys come one by one. Dropping it gives it back as it was.
#[derive(Debug)]
pub(super) struct Terminal {
    #[cfg(unix)]
    before: Termios,
}

/// Whether standard input and output are a terminal that can move its cursor.
pub(crate) fn is_there() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|name| name.is_empty() || name == "dumb");
    cfg!(unix) && !dumb && std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

#[cfg(unix)]
impl Terminal {
    /// Takes the terminal, if there is one.
    pub(super) fn take() -> Option<Self> {
        if !is_there() {
            return None;
        }
        let before = tcgetattr(std::io::stdin()).ok()?;
        let terminal = Terminal { before };
        terminal.enter();
        Some(terminal)
    }

    /// Keys come at once, unseen, and none is a signal. What is written keeps
    /// its meaning.
    pub(super) fn enter(&self) {
        use rustix::termios::InputModes;

        let mut modes = self.before.clone();
        modes.local_modes &=
            !(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN);
        modes.input_modes &= !(InputModes::ICRNL
            | InputModes::INLCR
            | InputModes::IGNCR
            | InputModes::IXON
            | InputModes::ISTRIP);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        // A terminal that has gone is noticed when it is read.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &modes);
    }

    /// Gives it back as it was.
    pub(super) fn leave(&self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }

    /// Stops this program until the shell lets it go on, as Ctrl-Z does.
    pub(super) fn suspend(&self) {
        use rustix::process::{Signal, getpid, kill_process};

        self.leave();
        let _ = kill_process(getpid(), Signal::TSTP);
        self.enter();
    }
}

#[cfg(not(unix))]
impl Terminal {
    pub(super) fn take() -> Option<Self> {
        None
    }

    pub(super) fn leave(&self) {}

    pub(super) fn suspend(&self) {}
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Columns and rows.
pub(super) fn size() -> (usize, usize) {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    let (width, height) = size.map_or((80, 24), |(width, height)| (width.0, height.0));
    // Some say nothing of themselves.
    match (width, height) {
        (0, _) | (_, 0) => (80, 24),
        (width, height) => (width.into(), height.into()),
    }
}

/// Tells when the size changes.
#[derive(Debug)]
pub(super) struct Resized {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Resized {
    pub(super) fn new() -> Self {
        Resized {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::window_change())
                .ok(),
        }
    }

    #[cfg_attr(not(unix), expect(clippy::unused_self, reason = "there is no signal"))]
    pub(super) fn poll(&mut self, task: &mut std::task::Context<'_>) -> bool {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal {
            return matches!(signal.poll_recv(task), std::task::Poll::Ready(Some(())));
        }
        let _ = task;
        false
    }
}
