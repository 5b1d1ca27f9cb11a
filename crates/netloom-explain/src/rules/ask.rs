//! What a failure's rule needs to know, asked of the local kernel.

use std::net::SocketAddr;
use std::time::Duration;

use netloom_base::{Code, Diagnosis, Failure, Stage};
use netloom_transport::Cx;
use netloom_transport::probe::{DialEnd, Entry, Probe, Route, State};

use super::{Answers, diagnose, target, unix_name};

/// How far a diagnosis may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asking {
    /// The longest it may take in all.
    pub within: Duration,
    /// Whether the failed address may be dialled again.
    pub redial: bool,
    /// Whether other hosts and ports than the endpoint's may be asked, and
    /// more time be taken for it.
    pub deep: bool,
}

impl Default for Asking {
    fn default() -> Self {
        Asking {
            within: Duration::from_secs(3),
            redial: true,
            deep: false,
        }
    }
}

/// How long a second dial may take, and how long the way to it may be looked at.
const REDIAL: Duration = Duration::from_millis(1200);
const PATH: Duration = Duration::from_millis(1200);

/// Puts a failure into words, with what the local kernel says about it. Asks
/// only what the failure's rule needs; what did not come in time is not used.
pub async fn diagnose_with(failure: &Failure, probe: &Probe, asking: Asking, cx: &Cx) -> Diagnosis {
    let mut answers = Answers::default();
    let asked = ask(failure, probe, asking, cx, &mut answers);
    // Whatever was answered until then stays in `answers`.
    let _ = cx.timeout(asking.within, asked).await;
    diagnose(failure, &answers)
}

/// The same for whoever has no runtime, or no descriptor left to make one: asks
/// only what this process knows of itself.
pub fn diagnose_at_once(failure: &Failure, probe: &Probe) -> Diagnosis {
    let mut answers = Answers::default();
    own(failure, probe, &mut answers);
    diagnose(failure, &answers)
}

/// What needs no waiting. Returns whether that is all there is to ask.
fn own(failure: &Failure, probe: &Probe, answers: &mut Answers) -> bool {
    answers.user = probe.user();
    answers.own_process = std::process::id();
    match failure.code() {
        Code::CREATE_NO_DESCRIPTORS | Code::ACCEPT_NO_DESCRIPTORS => {
            answers.descriptors = probe.descriptors();
            true
        }
        code => code == Code::PARSE_ENDPOINT,
    }
}

async fn ask(failure: &Failure, probe: &Probe, asking: Asking, cx: &Cx, answers: &mut Answers) {
    if own(failure, probe, answers) {
        return;
    }
    if let Some(name) = unix_name(failure) {
        unix(&name, probe, cx, answers).await;
        return;
    }
    let Some(addr) = target(failure) else { return };
    match failure.stage() {
        Stage::Bind | Stage::Listen => bind(failure, addr, probe, cx, answers).await,
        Stage::Connect => connect(failure, addr, probe, asking, cx, answers).await,
        // Of a datagram the network has said all there is: nothing is sent again.
        Stage::Send | Stage::Join => {
            answers.addresses = probe.addresses(cx).await;
            answers.interfaces = probe.interfaces(cx).await;
            answers.route = probe.route(cx, addr).await;
        }
        _ => {}
    }
}

async fn bind(failure: &Failure, addr: SocketAddr, probe: &Probe, cx: &Cx, answers: &mut Answers) {
    answers.ports = probe.port_settings(cx).await;
    match failure.code() {
        Code::BIND_IN_USE => {
            answers.sockets = probe.sockets_on(cx, addr.port()).await;
            answers.free_port = probe.free_port(cx, addr).await;
            holders(probe, cx, answers).await;
        }
        // Found only by whoever binds datagrams: streams are told apart by the rules.
        Code::BIND_BOUND => {
            answers.sockets = probe.udp_sockets_on(cx, addr.port()).await;
            holders(probe, cx, answers).await;
        }
        Code::BIND_NOT_LOCAL | Code::BIND_NO_SCOPE => {
            answers.addresses = probe.addresses(cx).await;
            answers.interfaces = probe.interfaces(cx).await;
        }
        Code::BIND_PRIVILEGED_PORT => {
            answers.program = std::env::current_exe().ok();
            answers.free_port = probe.free_port(cx, addr).await;
        }
        _ => {}
    }
}

async fn connect(
    failure: &Failure,
    addr: SocketAddr,
    probe: &Probe,
    asking: Asking,
    cx: &Cx,
    answers: &mut Answers,
) {
    answers.ports = probe.port_settings(cx).await;
    answers.addresses = probe.addresses(cx).await;
    match failure.code() {
        Code::BIND_NO_SCOPE => {
            answers.interfaces = probe.interfaces(cx).await;
            return;
        }
        Code::CONNECT_NO_LOCAL_PORT => {
            answers.towards = probe.sockets_to(cx, addr).await;
            holders(probe, cx, answers).await;
            return;
        }
        Code::CONNECT_SELF => {
            let low = SocketAddr::new(addr.ip(), 7999);
            answers.free_port = probe.free_port(cx, low).await;
            return;
        }
        _ => {}
    }
    answers.route = probe.route(cx, addr).await;
    if answers.is_local(addr.ip()) {
        answers.sockets = probe.sockets_on(cx, addr.port()).await;
        answers.listeners = probe.listeners(cx).await;
        answers.drops = probe.listen_drops(cx).await;
        let full = answers.listeners_for(addr).any(Entry::queue_is_full);
        let some = answers.listeners_for(addr).next().is_some();
        holders(probe, cx, answers).await;
        // Nobody listens, or everybody waits: no second dial could say more.
        if full || (!some && failure.code() == Code::CONNECT_REFUSED) {
            return;
        }
    } else {
        if let Some(Route::Way { interface, via, .. }) = answers.route {
            let next = via.unwrap_or(addr.ip());
            let known = probe.neighbour(cx, next, interface).await;
            answers.neighbour = Some((next, known));
        }
        answers.interfaces = probe.interfaces(cx).await;
        if matches!(answers.route, Some(Route::Refused(_))) || answers.next_hop_is_dead() {
            return;
        }
    }
    if !asking.redial {
        return;
    }
    answers.dialled = probe.dial_armed(cx, addr, REDIAL).await;
    let silent = answers
        .dialled
        .is_some_and(|dialled| dialled.end == DialEnd::Silent && dialled.icmp.is_none());
    if silent && !answers.is_local(addr.ip()) {
        if let Some(Route::Way { interface, .. }) = answers.route
            && let Some((next, known)) = &mut answers.neighbour
        {
            *known = probe.neighbour(cx, *next, interface).await;
        }
        answers.path = probe.path(cx, addr, PATH).await;
    }
}

async fn unix(name: &str, probe: &Probe, cx: &Cx, answers: &mut Answers) {
    answers.unix = probe.unix_sockets(cx).await;
    let inodes: Vec<u32> = answers
        .unix
        .iter()
        .flatten()
        .filter(|entry| entry.name == name)
        .map(|entry| entry.inode)
        .collect();
    if !inodes.is_empty() {
        answers.holders = probe.holders(cx, inodes).await;
    }
}

/// Who holds the sockets that were found; where that cannot be seen, which
/// unit made them.
async fn holders(probe: &Probe, cx: &Cx, answers: &mut Answers) {
    const MOST: usize = 256;
    let found = answers.sockets.iter().chain(&answers.towards).flatten();
    let listeners = answers.listeners.iter().flatten();
    let held: Vec<_> = found
        .chain(listeners)
        .filter(|entry| entry.inode != 0)
        .take(MOST)
        .map(|entry| (entry.inode, entry.cgroup, entry.state))
        .collect();
    if held.is_empty() {
        return;
    }
    let inodes = held.iter().map(|(inode, ..)| *inode).collect();
    answers.holders = probe.holders(cx, inodes).await;
    for (inode, cgroup, state) in held {
        let hidden = answers.holders.iter().all(|holder| holder.inode != inode);
        if let Some(cgroup) = cgroup.filter(|id| *id > 1)
            && hidden
            && matches!(state, State::Listen | State::Bound)
            && answers.units.len() < 8
            && answers.units.iter().all(|(known, _)| *known != cgroup)
            && let Some(unit) = probe.unit(cx, cgroup).await
        {
            answers.units.push((cgroup, unit));
        }
    }
}
