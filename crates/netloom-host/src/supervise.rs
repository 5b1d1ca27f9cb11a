//! Running services: their addresses, their accept loops, and their end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use netloom_base::endpoint::Host;
use netloom_base::failure::Fact;
use netloom_base::{Code, Endpoint, Event, Failure, Limits, Moment, Opens, Side, Stack, Stage};
use netloom_protocol::{Answering, DatagramService};
use netloom_transport::cores::Cores;
use netloom_transport::guard::raise_descriptor_limit;
use netloom_transport::seat::Deadlines;
use netloom_transport::{Accepted, Bound, BoundDatagrams, Cx, Guard, Listener, Permit, Seats};

use crate::check::Prepared;
use crate::conversation::{Answer, place};

/// How long to wait when a connection could not be accepted, which is mostly
/// for want of descriptors: long enough not to spin, short enough to serve on
/// soon after.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// How long aborted connections may take to notice.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// One running service, shared by all its tasks.
pub(crate) struct ServiceState {
    pub(crate) name: Arc<str>,
    pub(crate) cx: Cx,
    pub(crate) seats: Arc<Seats>,
    pub(crate) cores: Option<Cores>,
    guard: Arc<Guard>,
    /// It was told that the service is full, and it has not emptied since.
    full: AtomicBool,
    /// When it was last told that connections were turned away.
    refused_told: Mutex<Option<Moment>>,
}

/// One address of one service.
struct Held {
    service: Arc<str>,
    endpoint: Endpoint,
    /// Where it leads, when what comes is carried on.
    leads_to: Option<String>,
    /// How to reach it with a tool that many have.
    tool: Option<String>,
    encrypts: bool,
}

/// What is behind an address before anybody is let in.
enum Door {
    Conns(Arc<Answer>, Arc<dyn Bound>),
    Datagrams(Arc<dyn DatagramService>, Arc<dyn BoundDatagrams>),
}

/// Services that run.
pub struct Running {
    services: Vec<Arc<ServiceState>>,
    bound: Vec<Held>,
    cores: Option<Cores>,
    cx: Cx,
}

/// Binds every address of every service, then accepts on all of them. With
/// `cores`, connections are spread over them; without, everything runs where
/// this is called, as it does in a simulation.
///
/// The first address that cannot be bound fails the whole, and nothing runs.
pub async fn start(
    prepared: Vec<Prepared>,
    cx: &Cx,
    cores: Option<Cores>,
) -> Result<Running, Failure> {
    let descriptors = raise_descriptor_limit();
    let most_cores = cores.as_ref().map_or(1, Cores::most);
    let mut services = Vec::new();
    let (mut doors, mut bound) = (Vec::new(), Vec::new());
    for service in prepared {
        let idle = service.limits.idle.unwrap_or_else(|| service.offer.idle());
        let limits = Limits {
            idle: Some(idle),
            ..service.limits
        };
        let total = limits.total(descriptors);
        let greet = (service.offer.opens() == Opens::Client).then_some(limits.greet_timeout);
        let state = Arc::new(ServiceState {
            name: service.name.clone(),
            seats: Seats::new(Deadlines {
                idle: Some(idle),
                lifetime: limits.lifetime,
                greet,
            }),
            guard: Guard::new(total, limits.max_conns_per_source),
            full: AtomicBool::new(false),
            refused_told: Mutex::new(None),
            cores: cores.clone(),
            cx: cx.child(cx.events().clone(), limits).serving(service.name),
        });
        service.offer.begin(&state.cx)?;
        for place in service.on {
            let encrypts = place.stack.encrypts();
            let leads_to = place.leads_to;
            let taken = take(place.stack, place.answering, &state, most_cores);
            for (door, endpoint, tool) in taken.await? {
                bound.push(Held {
                    service: state.name.clone(),
                    endpoint,
                    leads_to: leads_to.clone(),
                    tool,
                    encrypts,
                });
                doors.push((state.clone(), door));
            }
        }
        services.push(state);
    }
    for held in &bound {
        let (service, tool) = (held.service.clone(), held.tool.clone());
        let (endpoint, to) = (held.endpoint.to_string(), held.leads_to.clone());
        cx.events().tell(|| Event::Listening {
            service,
            endpoint,
            to,
            tool,
        });
    }
    let running = Running {
        bound,
        services,
        cores,
        cx: cx.clone(),
    };
    // Datagrams have no seats: where nothing else comes, no timer wakes anybody.
    let mut seated: Vec<Arc<ServiceState>> = Vec::new();
    for (state, door) in doors {
        let is_new = !seated.iter().any(|other| Arc::ptr_eq(other, &state));
        if matches!(door, Door::Conns(..)) && is_new {
            seated.push(state.clone());
        }
        if let Door::Datagrams(_, bound) = &door {
            for fact in bound.learned() {
                state.cx.remark(&state.name, fact.to_string());
            }
        }
        match door {
            Door::Conns(answer, bound) => open_door(state, answer, bound),
            Door::Datagrams(service, bound) => open_mailbox(state, service, bound),
        }
    }
    for state in seated {
        keep_round(state);
    }
    Ok(running)
}

/// Takes the addresses of one stack.
async fn take(
    stack: Stack,
    answering: Answering,
    state: &Arc<ServiceState>,
    most_cores: usize,
) -> Result<Vec<(Door, Endpoint, Option<String>)>, Failure> {
    let net = state.cx.net();
    Ok(match answering {
        Answering::Conns(service) => {
            let bound = net.bind(&stack, &state.cx).await?;
            let answer = Answer::new(stack, service, most_cores);
            let door = |bound: Arc<dyn Bound>| {
                let (endpoint, tool) = (bound.endpoint(), bound.try_with());
                (Door::Conns(answer.clone(), bound), endpoint, tool)
            };
            bound.into_iter().map(door).collect()
        }
        Answering::Datagrams(service) => {
            let bound = net.datagrams(&stack, &state.cx).await?;
            if let Some(count) = state.cores.as_ref().and_then(|c| spread(&*service, c)) {
                for bound in &bound {
                    bound.share_among(count)?;
                }
            }
            let door = |bound: Arc<dyn BoundDatagrams>| {
                let (endpoint, tool) = (bound.endpoint(), bound.try_with());
                (Door::Datagrams(service.clone(), bound), endpoint, tool)
            };
            bound.into_iter().map(door).collect()
        }
    })
}

impl Running {
    /// What is bound, each with its service's name.
    pub fn bound(&self) -> impl Iterator<Item = (&str, &Endpoint)> {
        self.bound
            .iter()
            .map(|held| (&*held.service, &held.endpoint))
    }

    /// What can be reached from other hosts without encryption, each with its
    /// service's name.
    pub fn open_to_network(&self) -> impl Iterator<Item = (&Arc<str>, Endpoint)> {
        self.bound.iter().filter_map(|held| {
            let open = !held.encrypts && is_wide(held.endpoint.host());
            open.then(|| (&held.service, held.endpoint.clone()))
        })
    }

    /// Open connections of all services.
    pub fn connections(&self) -> usize {
        self.services.iter().map(|state| state.seats.taken()).sum()
    }

    /// Open connections on each core.
    pub fn per_core(&self) -> Vec<usize> {
        self.cores
            .as_ref()
            .map_or_else(Vec::new, Cores::connections)
    }

    /// Runs until an end is asked for, then drains: connections at rest end at
    /// once, the others get their service's drain time, then all are ended.
    pub async fn until_stopped(self) {
        self.cx.shutdown().draining().await;
        for state in &self.services {
            state.seats.drain();
        }
        let drains = self.services.iter().map(|state| state.cx.limits().drain);
        let longest = drains.max().unwrap_or_default();
        tokio::select! {
            biased;
            () = self.all_left() => {}
            () = self.cx.shutdown().aborted() => {}
            () = self.cx.sleep(longest) => {}
        }
        self.abort();
        // Whoever does not notice now is dropped with its core.
        let _ = self.cx.timeout(ABORT_GRACE, self.all_left()).await;
        if let Some(cores) = &self.cores {
            cores.stop();
        }
    }

    fn abort(&self) {
        self.cx.shutdown().abort();
        for state in &self.services {
            state.seats.abort();
        }
    }

    async fn all_left(&self) {
        for state in &self.services {
            state.cx.tasks_done().await;
        }
    }
}

/// Services do not outlive whoever runs them.
impl Drop for Running {
    fn drop(&mut self) {
        self.abort();
    }
}

/// One accept loop on every core, where the address can be shared.
fn open_door(state: Arc<ServiceState>, answer: Arc<Answer>, bound: Arc<dyn Bound>) {
    let Some(cores) = state.cores.clone() else {
        return accept_on(&state, &answer, &bound, 0);
    };
    cores.on_each(Arc::new(move |core| {
        accept_on(&state, &answer, &bound, core);
    }));
}

fn accept_on(state: &Arc<ServiceState>, answer: &Arc<Answer>, bound: &Arc<dyn Bound>, core: usize) {
    if state.cx.shutdown().is_draining() {
        return;
    }
    match bound.listener() {
        Ok(Some(listener)) => state
            .cx
            .spawn(accept(state.clone(), answer.clone(), listener, core)),
        Ok(None) => {}
        Err(failure) => tell(state, failure.at(bound.endpoint())),
    }
}

/// How many cores serve an address for datagrams. Where nothing is remembered,
/// all there are and will be. Where something is remembered of each peer, all of
/// a fixed number: one that came later would take peers away from the others.
/// Else one.
fn spread(service: &dyn DatagramService, cores: &Cores) -> Option<usize> {
    if service.is_stateless() {
        return None;
    }
    let all = service.is_per_peer() && cores.is_fixed();
    Some(if all { cores.most() } else { 1 })
}

/// Serves an address for datagrams.
fn open_mailbox(
    state: Arc<ServiceState>,
    service: Arc<dyn DatagramService>,
    bound: Arc<dyn BoundDatagrams>,
) {
    match state.cores.clone() {
        Some(cores) => match spread(&*service, &cores) {
            None => cores.on_each(Arc::new(move |_| serve_on(&state, &service, &bound))),
            Some(count) => {
                for core in 0..count {
                    let (there, service, bound) = (state.clone(), service.clone(), bound.clone());
                    let serving = async move { serve_on(&there, &service, &bound) };
                    cores.spawn_on(core, Box::pin(state.cx.track(serving)));
                }
            }
        },
        None => serve_on(&state, &service, &bound),
    }
}

fn serve_on(
    state: &Arc<ServiceState>,
    service: &Arc<dyn DatagramService>,
    bound: &Arc<dyn BoundDatagrams>,
) {
    if state.cx.shutdown().is_draining() {
        return;
    }
    let socket = match bound.socket() {
        Ok(Some(socket)) => socket,
        Ok(None) => return,
        Err(failure) => return tell(state, failure.at(bound.endpoint())),
    };
    let (state_there, service, at) = (state.clone(), service.clone(), bound.endpoint());
    state.cx.spawn(async move {
        let aborted = state_there.cx.shutdown().clone();
        let ended = tokio::select! {
            biased;
            () = aborted.aborted() => return,
            ended = service.serve(socket, &state_there.cx) => ended,
        };
        if let Err(failure) = ended {
            tell(&state_there, failure.at(at));
        }
    });
}

/// Accepts until the service drains. The permit comes first: a connection that
/// may not be open stays in the kernel's queue.
async fn accept(
    state: Arc<ServiceState>,
    answer: Arc<Answer>,
    mut listener: Box<dyn Listener>,
    core: usize,
) {
    let draining = state.cx.shutdown().clone();
    let mut failing = false;
    loop {
        let (mut permit, accepted) = tokio::select! {
            biased;
            () = draining.draining() => return,
            next = permitted(&state, &mut *listener) => next,
        };
        match accepted {
            Ok(accepted) if permit.admit(accepted.source()) => {
                failing = false;
                place(&state, &answer, accepted.with_permit(permit), core);
            }
            Ok(accepted) => {
                accepted.refuse();
                tell_refused(&state, TELL_REFUSED);
            }
            Err(failure) => {
                drop(permit);
                // Told once until accepting works again: the next try fails alike.
                if !std::mem::replace(&mut failing, true) {
                    tell(&state, failure);
                }
                state.cx.sleep(AFTER_FAILURE).await;
            }
        }
    }
}

/// The next connection and the permit for it. The permit is held only while
/// there may be a connection to take: one held while waiting would keep a
/// connection from another core, or from another address of the service.
async fn permitted(
    state: &ServiceState,
    listener: &mut dyn Listener,
) -> (Permit, Result<Accepted, Failure>) {
    let mut accepting = listener.accept();
    let mut held = None;
    loop {
        let next = std::future::poll_fn(|task| {
            let Some(permit) = held.take().or_else(|| state.guard.try_permit()) else {
                return Poll::Ready(None);
            };
            accepting
                .as_mut()
                .poll(task)
                .map(|accepted| Some((permit, accepted)))
        });
        if let Some(next) = next.await {
            return next;
        }
        // Another core may look at its own queue with the last permit in hand:
        // only connections that are open make a service full.
        if state.seats.taken() >= state.guard.total() && !state.full.swap(true, Ordering::Relaxed) {
            tell(state, full(&state.guard));
        }
        held = Some(state.guard.permit().await);
    }
}

fn full(guard: &Guard) -> Failure {
    Failure::new(Stage::Accept, Side::Us, Code::LIMIT_REACHED)
        .message("as many connections are open as may be; more wait in the kernel's queue")
        .fact(Fact::Limit {
            name: "max-conns",
            allows: guard.total() as u64,
        })
}

fn tell(state: &ServiceState, failure: Failure) {
    state.cx.events().tell(|| Event::Failed {
        service: state.name.clone(),
        conn: None,
        failure,
    });
}

fn is_wide(host: &Host) -> bool {
    match host {
        Host::Any => true,
        Host::Name(_) | Host::Loopback => false,
        written => !written.is_loopback(),
    }
}

/// How often it is told that connections are turned away.
pub(crate) const TELL_REFUSED: Duration = Duration::from_secs(1);

/// Tells how many were turned away, when it was last told so long ago.
pub(crate) fn tell_refused(state: &ServiceState, again_after: Duration) {
    let now = state.cx.now();
    let mut told = state
        .refused_told
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if told.is_some_and(|told| now - told < again_after) {
        return;
    }
    let by_source = ("max-conns-per-source", state.guard.take_refused());
    let by_layers = state.guard.take_turned_away();
    for (limit, count) in by_layers.into_iter().chain([by_source]) {
        if count > 0 {
            *told = Some(now);
            state.cx.events().tell(|| Event::Refused {
                service: state.name.clone(),
                count,
                limit,
            });
        }
    }
}

/// Goes round the seats until the process ends, and tells who was turned away
/// and has not been told of.
fn keep_round(state: Arc<ServiceState>) {
    let Some(round) = state.seats.round() else {
        return;
    };
    let cx = state.cx.clone();
    cx.spawn_loose(async move {
        let shutdown = state.cx.shutdown().clone();
        loop {
            tokio::select! {
                biased;
                () = shutdown.aborted() => return,
                () = state.cx.sleep(round) => {}
            }
            state.seats.go_round();
            tell_refused(&state, Duration::ZERO);
            if has_emptied(state.guard.open(), state.guard.total()) {
                state.full.store(false, Ordering::Relaxed);
            }
        }
    });
}

/// Whether a service that was full has come so far from it that it is told when
/// it is full again: a tenth of its places is free, and one at least.
fn has_emptied(open: usize, total: usize) -> bool {
    open.saturating_mul(10) <= total.saturating_mul(9) && open < total
}

#[cfg(test)]
mod tests {
    use super::has_emptied;

    #[test]
    fn a_small_service_can_be_full_again_too() {
        for total in [1, 2, 9, 10, 100, usize::MAX] {
            assert!(has_emptied(0, total), "{total}");
            assert!(!has_emptied(total, total), "{total}");
        }
        assert!(has_emptied(8, 9) && has_emptied(9, 10));
        assert!(!has_emptied(91, 100) && has_emptied(90, 100));
    }
}
