//! What a failure's rule needs to know, asked of the local kernel.

use std::net::SocketAddr;
use std::time::Duration;

use netloom_base::{Code, Diagnosis, Failure, Kind, Role, Stage};
use netloom_protocol::speaking::over_tls;
use netloom_transport::Cx;
use netloom_transport::probe::{DialEnd, Entry, Probe, Route, State};
use netloom_transport::tls::codes::{CLOSED, PEER_SPEAKS_PLAIN, TIMEOUT};

use super::answers::ServerWay;
use super::greet::other_ports;
use super::heard::first;
use super::{
    Answers, diagnose, exec, firewall, header, is_link_local, reached, reset_at_once, resolve,
    silence, talk, target, tls, unix_name,
};

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

impl Asking {
    /// With more time, and leave to ask other hosts and ports too.
    pub fn deeply() -> Self {
        Asking {
            within: Duration::from_secs(15),
            deep: true,
            ..Asking::default()
        }
    }
}

/// How long a second dial may take, and how long the way to it may be looked at.
pub(super) const REDIAL: Duration = Duration::from_millis(1200);
const PATH: Duration = Duration::from_millis(1200);

/// How long a dial of another port may take.
const ELSEWHERE: Duration = Duration::from_millis(600);

/// Puts a failure into words, with what the local kernel says about it. Asks
/// only what the failure's rule needs; what did not come in time is not used.
pub async fn diagnose_with(failure: &Failure, probe: &Probe, asking: Asking, cx: &Cx) -> Diagnosis {
    let mut answers = Answers::default();
    let asked = Box::pin(ask(failure, probe, asking, cx, &mut answers));
    // Whatever was answered until then stays in `answers`.
    let _ = cx.timeout(asking.within, asked).await;
    let diagnosis = diagnose(failure, &answers);
    if !firewall::would_help(&diagnosis, &answers) {
        return diagnosis;
    }
    answers.firewall = probe.firewall(cx).await;
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
    if let Some(silent) = silence::waited(failure) {
        group(silent.group, probe, cx, answers).await;
        return;
    }
    if failure.stage() == Stage::Greet || reset_at_once(failure) {
        greet(failure, probe, asking, cx, answers).await;
        return;
    }
    if tls::is_tls(failure) {
        tls_answers(failure, probe, asking, cx, answers).await;
        return;
    }
    match failure.code() {
        Code::EXEC_NOT_FOUND => answers.programs = probe.programs(cx).await,
        Code::EXEC_DENIED => {
            if let Some(path) = exec::words(failure).and_then(|words| words.into_iter().next()) {
                let path = std::path::PathBuf::from(path);
                answers.rights = Some((path.clone(), probe.rights(cx, path).await));
            }
        }
        Code::BIND_NO_DEVICE => answers.interfaces = probe.interfaces(cx).await,
        code if code == Stage::Bind.other() => answers.program = std::env::current_exe().ok(),
        _ => {}
    }
    let gives = failure.endpoint().and_then(|url| {
        let endpoint = url.parse().ok()?;
        let stack = cx.net().stack(&endpoint, Role::Dial).ok()?;
        Some(stack.kind())
    });
    answers.is_stream = gives == Some(Kind::Stream);
    match failure.stage() {
        Stage::Resolve => {
            names(failure, probe, asking, cx, answers).await;
            return;
        }
        Stage::Send | Stage::Recv | Stage::Close if gives != Some(Kind::Datagram) => {
            ended(failure, probe, cx, answers).await;
            return;
        }
        _ => {}
    }
    let Some(addr) = target(failure) else { return };
    if asking.deep {
        elsewhere(failure, addr, probe, cx, answers).await;
    }
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

/// What this host knows of the server and of the time; then the server itself,
/// asked again a little differently.
async fn tls_answers(
    failure: &Failure,
    probe: &Probe,
    asking: Asking,
    cx: &Cx,
    answers: &mut Answers,
) {
    answers.now = Some(cx.wall());
    answers.clock = probe.clock();
    if asking.redial {
        header::across(failure, cx, answers).await;
        if answers.across_header.is_some() {
            return;
        }
    }
    let ground = tls::second::Ground::of(failure, cx);
    if let Some(ground) = &ground {
        answers.is_stream = ground.is_stream;
        if asking.redial {
            ground.tries(failure, cx, &mut answers.tries).await;
        }
    }
    if let Some(at) = tls::second::met(failure) {
        answers.addresses = probe.addresses(cx).await;
        if answers.is_local(at.ip()) {
            answers.sockets = probe.sockets_on(cx, at.port()).await;
            holders(probe, cx, answers).await;
        }
    }
}

/// What this host is told about names, and the ways to those who were asked.
async fn names(failure: &Failure, probe: &Probe, asking: Asking, cx: &Cx, answers: &mut Answers) {
    answers.host_names = probe.host_names(cx).await;
    answers.resolver_config = probe.resolver_config(cx).await;
    for server in resolve::asked(failure).into_iter().take(3) {
        let route = probe.route(cx, server).await;
        let mut way = ServerWay {
            server,
            runs: None,
            route,
            over_tcp: None,
        };
        if matches!(way.route, Some(Route::Way { local: true, .. })) {
            way.runs = probe.udp_port_is_taken(cx, server.port()).await;
        }
        // A name server is not the endpoint: it is dialled only when far may be gone.
        if asking.deep && asking.redial && failure.code() == Code::RESOLVE_TIMEOUT {
            let dialled = probe.dial_armed(cx, server, REDIAL).await;
            way.over_tcp = dialled.map(|dialled| dialled.end);
        }
        answers.servers.push(way);
    }
}

/// This host's side of a group that stayed silent: nothing is sent there.
async fn group(group: SocketAddr, probe: &Probe, cx: &Cx, answers: &mut Answers) {
    answers.interfaces = probe.interfaces(cx).await;
    answers.route = probe.route(cx, group).await;
    answers.towards = probe.udp_sockets_to(cx, group).await;
    holders(probe, cx, answers).await;
}

/// The sockets of the other end, where that is on this host.
async fn ended(failure: &Failure, probe: &Probe, cx: &Cx, answers: &mut Answers) {
    let Some(peer) = talk::peer(failure) else {
        return;
    };
    answers.addresses = probe.addresses(cx).await;
    if answers.is_local(peer.ip()) {
        answers.sockets = probe.sockets_on(cx, peer.port()).await;
        holders(probe, cx, answers).await;
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
            family(addr, probe, cx, answers).await;
        }
        Code::BIND_PRIVILEGED_PORT => {
            answers.program = std::env::current_exe().ok();
            answers.free_port = probe.free_port(cx, addr).await;
        }
        _ => {}
    }
}

/// Whether the family of an address is switched off, where it is missed.
async fn family(addr: SocketAddr, probe: &Probe, cx: &Cx, answers: &mut Answers) {
    if addr.is_ipv6() {
        answers.no_v6 = probe.health(cx).await.and_then(|health| health.no_v6);
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
        Code::BIND_NO_SCOPE if is_link_local(addr.ip()) => {
            answers.interfaces = probe.interfaces(cx).await;
            return;
        }
        Code::CONNECT_NO_LOCAL_PORT => {
            family(addr, probe, cx, answers).await;
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
    // What the dial itself heard decides: whoever rejected it has said so.
    let said = first(failure).map(|heard| heard.icmp);
    if said.flatten().is_some_and(|icmp| icmp.is_policy()) {
        return;
    }
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
    // A second dial could only be told the same, and routers say it but so often.
    let reset = failure.code() == Code::CONNECT_REFUSED && !answers.is_local(addr.ip());
    if !asking.redial || said.is_some_and(|icmp| icmp.is_some() || reset) {
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

/// Who listens there, where that is on this host; and whether it wants TLS,
/// where it said nothing.
async fn greet(failure: &Failure, probe: &Probe, asking: Asking, cx: &Cx, answers: &mut Answers) {
    let Some(addr) = reached(failure) else { return };
    answers.addresses = probe.addresses(cx).await;
    if answers.is_local(addr.ip()) {
        answers.listeners = probe.listeners(cx).await;
        holders(probe, cx, answers).await;
    }
    let mute = matches!(failure.code(), Code::GREET_CLOSED | Code::GREET_TIMEOUT);
    if asking.redial {
        header::across(failure, cx, answers).await;
        if mute && answers.across_header.is_none() {
            answers.speaks_tls = speaks_tls(failure, cx).await;
        }
    }
}

/// Whether the same place answers a TLS handshake, whatever its certificate.
async fn speaks_tls(failure: &Failure, cx: &Cx) -> Option<bool> {
    let endpoint = failure.endpoint()?.parse().ok()?;
    let stack = cx.net().stack(&over_tls(&endpoint)?, Role::Dial).ok()?;
    let dialled = cx.timeout(REDIAL, cx.net().dial(&stack, cx)).await;
    Some(match dialled {
        Some(Ok(_)) => true,
        // A complaint about a certificate, a version or a name is an answer in TLS.
        Some(Err(failure)) => {
            failure.stage() == Stage::Tls
                && ![TIMEOUT, CLOSED, PEER_SPEAKS_PLAIN].contains(&failure.code())
                && failure.code() != Stage::Tls.other()
                && failure.errno().is_none()
        }
        None => false,
    })
}

/// The other ports of a protocol whose own is blocked often.
async fn elsewhere(
    failure: &Failure,
    addr: SocketAddr,
    probe: &Probe,
    cx: &Cx,
    answers: &mut Answers,
) {
    for (scheme, port) in other_ports(failure, addr) {
        let there = SocketAddr::new(addr.ip(), port);
        if let Some(dialled) = probe.dial_armed(cx, there, ELSEWHERE).await {
            let found = answers.elsewhere.get_or_insert_default();
            found.push((scheme, port, dialled));
        }
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
