//! Running a plan in the foreground: what `listen`, `serve` and `up` share.

use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use netloom_base::{Code, Complaint, Event, Failure, Limits, Side, Stage, Timestamp};
use netloom_explain::Asking;
use netloom_host::{
    Plan, Prepared, Running, ServicePlan, Written, check, notify::notify, os_net, start,
};
use netloom_transport::cores::{Cores, Sharing, Threads};
use netloom_transport::cx::{Events, OsClock, Stamped};
use netloom_transport::{Cx, Net, Shutdown};
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;

use crate::client::{Signals, explained, runtime, signals};
use crate::contract::{Stop, asking, timeout, with_timeout};
use crate::flags::{settings, with_keys};
use crate::messages::{carried, with_carrying_flags};
use crate::view::Face;

/// Events that may wait to be shown. More are counted and told as lost.
const QUEUE: usize = 4096;

/// How long the last events may take to be shown.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Adds the flags of every verb that serves.
pub(crate) fn with_serving_flags(command: Command) -> Command {
    let command = with_carrying_flags(with_running_flags(command));
    with_keys(command, Limits::KEYS, "Limits")
}

/// Adds the flags of every verb that runs a plan, whoever wrote it.
pub(crate) fn with_running_flags(command: Command) -> Command {
    with_timeout(command, "serve for so long, then drain")
        .arg(
            Arg::new("threads")
                .long("threads")
                .value_name("N")
                .value_parser(clap::value_parser!(u16).range(1..=1024))
                .help("serve with N threads [default: one, and up to one for each core when there is work]"),
        )
        .arg(
            Arg::new("runtime")
                .long("runtime")
                .value_name("HOW")
                .value_parser(Sharing::ALL.map(Sharing::name))
                .hide_possible_values(true)
                .help("how threads share what they serve: each its own `cores`, or any the other's work, `stealing` [default: cores]"),
        )
        .arg(
            Arg::new("admin")
                .long("admin")
                .value_name("URL")
                .action(ArgAction::Append)
                .help("tell figures there for Prometheus, at /metrics, such as tcp://:9901"),
        )
        .arg(
            Arg::new("print-config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help("print the file that does the same as these flags, and end"),
        )
}

/// The limits that were given as flags.
pub(crate) fn limits(matches: &ArgMatches) -> netloom_base::Settings {
    settings(matches, Limits::KEYS)
}

/// The plan that flags make of one service: its limits, what protocols read and
/// what holds for the whole program are added to what its verb knows of it.
pub(crate) fn plan(mut service: ServicePlan, matches: &ArgMatches) -> Plan {
    service.settings.extend(carried(matches).iter().cloned());
    service.limits = limits(matches);
    Plan {
        threads: threads(matches),
        runtime: sharing(matches),
        admin: admin(matches),
        services: vec![service],
        ..Plan::default()
    }
}

/// The number of threads that was given as a flag.
pub(crate) fn threads(matches: &ArgMatches) -> Option<usize> {
    matches.get_one::<u16>("threads").map(|n| usize::from(*n))
}

/// How threads share what they serve, as it was given as a flag.
pub(crate) fn sharing(matches: &ArgMatches) -> Option<Sharing> {
    let name = matches.get_one::<String>("runtime")?;
    Sharing::ALL.into_iter().find(|way| way.name() == name)
}

/// Where figures are told, as it was given as a flag.
pub(crate) fn admin(matches: &ArgMatches) -> Vec<Written> {
    let given = matches.get_many::<String>("admin").into_iter().flatten();
    given.map(|url| Written::from(url.as_str())).collect()
}

/// Checks a plan that flags made, and runs it until it is stopped.
pub(crate) fn serve(plan: &Plan, matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
    let timeout = timeout(matches)?;
    let net = os_net();
    let prepared = check(plan, &*net).map_err(|complaints| mistakes(&complaints))?;
    serve_checked(plan, prepared, net, timeout, matches, face)
}

/// Runs a checked plan until it is stopped.
pub(crate) fn serve_checked(
    plan: &Plan,
    prepared: Vec<Prepared>,
    net: Arc<dyn Net>,
    timeout: Option<Duration>,
    matches: &ArgMatches,
    face: &Face,
) -> Result<(), Stop> {
    if matches.get_flag("print-config") {
        face.page(plan.to_string().trim_end());
        return Ok(());
    }

    let runtime = runtime()?;
    let threads = Threads::new(plan.runtime.unwrap_or_default(), plan.threads);
    let cores = Cores::start(threads).map_err(|error| Failure::from_io(Stage::Create, error))?;
    runtime.block_on(async {
        // Before anything is told, so that whoever reads it can already ask for the end.
        let signals = signals().map_err(|error| Failure::from_io(Stage::Create, error))?;
        let (events, told) =
            Events::queue(QUEUE, face.wants_connections(), Arc::new(OsClock::new()));
        let cx = Cx::os(net).child(events, Limits::default());
        let asking = asking(matches);
        let all_shown = show(told, face.clone(), asking, cx.shutdown().clone());
        let result = match start(prepared, &cx, Some(cores.clone())).await {
            Ok(running) => {
                for (service, endpoint, risk) in running.open_to_network() {
                    let without = "is open to the network, without encryption or authentication";
                    let risk = risk.map_or_else(String::new, |risk| format!(": {risk}"));
                    cx.remark(service, format!("{endpoint} {without}{risk}"));
                }
                notify("READY=1");
                run(running, &cx, timeout, signals).await;
                Ok(())
            }
            Err(failure) => {
                cores.stop();
                Err(Stop::from(failure))
            }
        };
        let last_words = cx.bare();
        drop(cx);
        let _ = last_words.timeout(LAST_WORDS, all_shown).await;
        result
    })
}

/// Shows events from a thread of its own: a terminal that stands still must
/// hold up neither the services nor the signal that ends them. Why a service
/// failed is asked here too, for the same reason.
fn show(
    mut told: Receiver<Stamped>,
    face: Face,
    asking: Option<Asking>,
    shutdown: Shutdown,
) -> oneshot::Receiver<()> {
    let (shown, all_shown) = oneshot::channel();
    std::thread::spawn(move || {
        let mut known = Explained::default();
        while let Some(stamped) = told.blocking_recv() {
            match (&stamped.event, asking) {
                (
                    Event::Failed {
                        service,
                        conn: None,
                        failure,
                    },
                    Some(asking),
                ) if known.is_new(service, failure.code(), stamped.at) => {
                    if face.is_json() {
                        face.event(&stamped);
                    }
                    let mut diagnosis = explained(failure, asking);
                    diagnosis.service = Some(service.to_string());
                    face.diagnosis(&diagnosis);
                }
                _ => face.event(&stamped),
            }
            if face.is_closed() {
                shutdown.drain();
            }
        }
        let _ = shown.send(());
    });
    all_shown
}

/// What was explained of late: a service that fails again and again for one
/// reason is explained once in a while, and told in one line otherwise.
#[derive(Default)]
struct Explained(Vec<(Arc<str>, Code, Timestamp)>);

impl Explained {
    const AGAIN_AFTER: i64 = 60;

    fn is_new(&mut self, service: &Arc<str>, code: Code, at: Timestamp) -> bool {
        self.0
            .retain(|(_, _, told)| at.seconds() - told.seconds() < Self::AGAIN_AFTER);
        let new = !self.0.iter().any(|(s, c, _)| s == service && *c == code);
        if new {
            self.0.push((service.clone(), code, at));
        }
        new
    }
}

/// Serves until the time is over or a signal comes: the first drains, the
/// second aborts.
async fn run(running: Running, cx: &Cx, timeout: Option<Duration>, mut signals: Signals) {
    let asked = async {
        signals.recv().await;
        notify("STOPPING=1");
        cx.shutdown().drain();
        signals.recv().await;
        cx.shutdown().abort();
        std::future::pending::<()>().await;
    };
    let time_over = async {
        match timeout {
            Some(d) => cx.sleep(d).await,
            None => std::future::pending().await,
        }
        cx.shutdown().drain();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = running.until_stopped() => {}
        () = asked => {}
        () = time_over => {}
    }
}

/// Mistakes of a command line are of a flag or of an endpoint.
pub(crate) fn mistakes(complaints: &[Complaint]) -> Stop {
    let code = |complaint: &Complaint| {
        if complaint.text.starts_with("--") {
            Code::PARSE_SETTING
        } else {
            Code::PARSE_ENDPOINT
        }
    };
    let each =
        |complaint| netloom_explain::mistakes(code(complaint), std::slice::from_ref(complaint));
    Stop::Diagnosed(complaints.iter().flat_map(each).collect())
}

/// A failure to read or write a file that a verb was told of.
pub(crate) fn file_failure(path: &str, error: std::io::Error) -> Stop {
    let told = error.to_string().to_lowercase();
    let reason = told.split(" (os error").next().unwrap_or_default();
    Failure::new(Stage::Parse, Side::Us, Code::PARSE_CONFIG)
        .message(format!("{path} cannot be read: {reason}"))
        .source(error)
        .into()
}
