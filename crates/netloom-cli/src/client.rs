//! What client verbs share: one runtime, signals, the deadline of the whole.

use std::sync::Arc;
use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::{Code, Diagnosis, Failure, Kind, Side, Stack, Stage};
use netloom_explain::{Asking, diagnose, diagnose_at_once, diagnose_with};
use netloom_host::os_net;
use netloom_transport::net::complaint;
use netloom_transport::probe::Probe;
use netloom_transport::progress::Progress;
use netloom_transport::{Conn, Cx, Net};

use crate::contract::Stop;

/// The runtime of the main thread.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    built
        .map_err(|error| Failure::from_io(Stage::Create, error).message("no runtime could be made"))
}

/// Runs one client conversation on the main thread. `overdue` says what did
/// not happen when the timeout passes.
pub(crate) fn converse<F>(
    timeout: Option<Duration>,
    overdue: &str,
    work: impl FnOnce(Cx) -> F,
) -> Result<(), Stop>
where
    F: Future<Output = Result<(), Stop>>,
{
    converse_over(os_net(), timeout, overdue, work)
}

/// The same over a network that may be reached through proxies.
pub(crate) fn converse_over<F>(
    net: Arc<dyn Net>,
    timeout: Option<Duration>,
    overdue: &str,
    work: impl FnOnce(Cx) -> F,
) -> Result<(), Stop>
where
    F: Future<Output = Result<(), Stop>>,
{
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        let cx = Cx::os(net).for_a_person();
        let deadline = async {
            match timeout {
                Some(d) => cx.sleep(d).await,
                None => std::future::pending().await,
            }
            // While the conversation still lives: where it stands, and what the
            // kernel counted of it.
            let late = too_late(overdue, timeout.unwrap_or_default(), cx.progress());
            if late.side() == Side::Path {
                return late; // no connection came about that could be told of
            }
            stand(late, &cx).await
        };
        // Before anything is told, so that whoever reads it can already ask for the end.
        let mut signals = signals();
        let interrupted = async {
            match &mut signals {
                Ok(signals) => signals.recv().await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            result = work(cx.clone()) => result,
            () = interrupted => Err(Stop::Interrupted),
            late = deadline => Err(late.into()),
        }
    });
    // A read of stdin that never ends must not keep the process.
    runtime.shutdown_background();
    result
}

/// Why it failed, with what the local kernel says. Whoever interrupts gets at
/// once what the failure itself knew.
pub(crate) fn explained(failure: &Failure, asking: Asking) -> Diagnosis {
    let probe = Probe::new();
    let Ok(runtime) = runtime() else {
        return diagnose_at_once(failure, &probe);
    };
    let diagnosis = runtime.block_on(async {
        let cx = Cx::os(os_net());
        let mut signals = signals();
        let interrupted = async {
            match &mut signals {
                Ok(signals) => signals.recv().await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = interrupted => diagnose(failure),
            diagnosis = diagnose_with(failure, &probe, asking, &cx) => diagnosis,
        }
    });
    runtime.shutdown_background();
    diagnosis
}

/// Opens an endpoint that gives a stream.
pub(crate) async fn open_stream(stack: &Stack, cx: &Cx) -> Result<Conn, Stop> {
    let refused = |error| complaint(&error);
    stack.require(Kind::Stream).map_err(refused)?;
    Ok(cx.net().dial(stack, cx).await?.stream()?)
}

/// Adds where this program's connections stand. Who does not read is looked
/// for now: it may leave as soon as the connection is given up.
async fn stand(late: Failure, cx: &Cx) -> Failure {
    let probe = Probe::new();
    let mut late = late;
    for flow in probe.own_flows().into_iter().take(MOST_FLOWS) {
        late = late.fact(Fact::Flow(flow));
        let other = flow.other.filter(|_| flow.stuck().is_some());
        let Some(other) = other.filter(|other| other.inode != 0) else {
            continue;
        };
        if let Some(program) = probe.program_at(cx, other.inode).await {
            late = late.fact(Fact::Program(Box::new(program)));
        }
    }
    late
}

/// How many of this program's connections are told of when time is up.
const MOST_FLOWS: usize = 2;

fn too_late(overdue: &str, timeout: Duration, progress: &Progress) -> Failure {
    let stage = progress.stage();
    let side = match stage {
        Stage::Resolve | Stage::Connect => Side::Path,
        _ => Side::Peer,
    };
    let late = Failure::new(stage, side, Code::RECV_TIMEOUT)
        .message(overdue)
        .fact(Fact::Waited(timeout));
    match progress.moved() {
        Some((received, sent)) => late.fact(Fact::Moved { received, sent }),
        None => late,
    }
}

/// Signals that ask for the end: SIGINT and SIGTERM, or Ctrl-C elsewhere.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
pub(crate) fn signals() -> std::io::Result<Signals> {
    use tokio::signal::unix::{SignalKind, signal};

    Ok(Signals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
    })
}

#[cfg(not(unix))]
pub(crate) fn signals() -> std::io::Result<Signals> {
    Ok(Signals {})
}

impl Signals {
    #[cfg(unix)]
    pub(crate) async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    pub(crate) async fn recv(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
