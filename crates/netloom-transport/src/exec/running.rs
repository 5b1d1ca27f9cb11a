//! A program's life, and how it is ended.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::process::Child;

use super::ending;
use crate::cx::Cx;

/// How long a program may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// What becomes of a program that nobody listens to any more.
pub(crate) enum End {
    /// It is killed.
    Kill,
    /// It is let be: something else tells it.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "a terminal that goes away tells it")
    )]
    Leave,
    /// It is asked to end, and a little later killed, with all of its group. It
    /// leads one; what it leaves behind when it ends by itself is killed too.
    Group(Cx),
}

/// A program that runs. The runtime reaps it.
pub(crate) struct Running {
    /// `None` once its end was told, or once it is left to itself.
    child: Option<Child>,
    command: Box<str>,
    end: End,
}

impl Running {
    pub(crate) fn new(child: Child, command: &str, end: End) -> Self {
        Running {
            child: Some(child),
            command: command.into(),
            end,
        }
    }

    /// Waits for its end; a failure, unless it did what it was asked to. Told once.
    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(child) = &mut self.child else {
            return Poll::Ready(Ok(()));
        };
        let pid = child.id();
        let status = ready!(pin!(child.wait()).poll(cx))?;
        self.child = None;
        if let End::Group(_) = self.end {
            group::kill(pid);
        }
        Poll::Ready(ending::judge(status, &self.command).map_err(io::Error::from))
    }

    /// Lets it finish with what it got, though nobody listens any more.
    pub(crate) fn let_finish(mut self) {
        self.child = None;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        match &self.end {
            End::Leave => {}
            // It may have ended by itself already.
            End::Kill => drop(child.start_kill()),
            End::Group(cx) => {
                let pid = child.id();
                group::ask(pid);
                let mut last = Last { child, pid };
                let waiting = cx.clone();
                cx.spawn_loose(async move {
                    let _ = waiting.timeout(GRACE, last.child.wait()).await;
                    drop(last);
                });
            }
        }
    }
}

/// A group that was asked to end: what is left of it is killed when this is
/// dropped, be it because the runtime stops.
struct Last {
    child: Child,
    pid: Option<u32>,
}

impl Drop for Last {
    fn drop(&mut self) {
        group::kill(self.pid);
    }
}

#[cfg(unix)]
mod group {
    use rustix::process::{Pid, Signal, kill_process_group};

    fn of(pid: Option<u32>) -> Option<Pid> {
        Pid::from_raw(i32::try_from(pid?).ok()?)
    }

    /// Asks for the end as a terminal that hangs up does, and then as init does.
    pub(super) fn ask(pid: Option<u32>) {
        if let Some(group) = of(pid) {
            // Whoever has gone already needs no asking.
            let _ = kill_process_group(group, Signal::HUP);
            let _ = kill_process_group(group, Signal::CONT);
            let _ = kill_process_group(group, Signal::TERM);
        }
    }

    pub(super) fn kill(pid: Option<u32>) {
        if let Some(group) = of(pid) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(not(unix))]
mod group {
    pub(super) fn ask(_: Option<u32>) {}

    pub(super) fn kill(_: Option<u32>) {}
}
