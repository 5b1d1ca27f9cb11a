//! One accepted connection, from its seat to its last byte.

use std::sync::Arc;

use netloom_base::event::Remark;
use netloom_base::{Code, Event, Failure, Moment, Side, Stack, Stage};
use netloom_protocol::Service;
use netloom_transport::cores::Ticket;
use netloom_transport::{Accepted, BoxFuture, Conn, Seat, Seats};

use crate::supervise::{ServiceState, TELL_REFUSED, tell_refused};

/// What answers on one of a service's addresses.
pub(crate) struct Answer {
    pub(crate) stack: Stack,
    pub(crate) service: Arc<dyn Service>,
    /// The values that serve single cores, where the service has such.
    pub(crate) per_core: Vec<Option<Arc<dyn Service>>>,
}

impl Answer {
    pub(crate) fn new(stack: Stack, service: Arc<dyn Service>, cores: usize) -> Arc<Self> {
        let per_core = (0..cores).map(|core| service.per_core(core)).collect();
        Arc::new(Answer {
            stack,
            service,
            per_core,
        })
    }

    fn on_core(&self, core: usize) -> &dyn Service {
        self.per_core
            .get(core)
            .and_then(Option::as_ref)
            .map_or(&*self.service, |own| &**own)
    }
}

/// A connection's place in its service: given up when this is dropped, also by
/// a panic.
struct Seated {
    seats: Arc<Seats>,
    seat: Arc<Seat>,
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.seats.leave(&self.seat);
    }
}

/// Sends an accepted connection to the core it should live on.
pub(crate) fn place(
    state: &Arc<ServiceState>,
    answer: &Arc<Answer>,
    mut accepted: Accepted,
    here: usize,
) {
    let seat = state.seats.take(accepted.take_permit());
    seat.came_from(accepted.from().clone());
    let seated = Seated {
        seats: state.seats.clone(),
        seat,
    };
    let core = state.cores.as_ref().map_or(here, |cores| cores.place(here));
    run(state, answer, accepted, seated, core, here, state.cx.now());
}

fn run(
    state: &Arc<ServiceState>,
    answer: &Arc<Answer>,
    accepted: Accepted,
    seated: Seated,
    core: usize,
    here: usize,
    began: Moment,
) {
    let ticket = state.cores.as_ref().map(|cores| cores.count(core));
    let task = converse(
        state.clone(),
        answer.clone(),
        Box::new(accepted),
        seated,
        ticket,
        core,
        began,
    );
    match &state.cores {
        Some(cores) if core != here => cores.spawn_on(core, Box::pin(state.cx.track(task))),
        _ => state.cx.spawn(task),
    }
}

/// Boxed, because a connection that moves runs this again on another core. What
/// stands in this future every connection pays for as long as it lives, so that
/// what only its beginning needs is boxed apart.
fn converse(
    state: Arc<ServiceState>,
    answer: Arc<Answer>,
    accepted: Box<Accepted>,
    seated: Seated,
    ticket: Option<Ticket>,
    core: usize,
    began: Moment,
) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let moved_here = accepted.has_moved();
        let conn = match attach(accepted) {
            Ok(conn) => conn.seated(seated.seat.clone()),
            Err(failure) => {
                let service = state.name.clone();
                state.cx.events().tell_connection(|| Event::Failed {
                    service,
                    conn: None,
                    failure,
                });
                return;
            }
        };
        let id = conn.id();
        if !moved_here {
            opened(&state, &conn);
        }
        let crossed = match answer.stack.levels.len() {
            1 => Ok(conn),
            _ => Box::pin(cross(&state, &answer, conn)).await,
        };
        let (result, told) = match crossed {
            Ok(conn) => {
                let serving = answer.on_core(core).serve(conn, &state.cx);
                (serving.await, answer.service.accounts())
            }
            Err(failure) => (Err(failure), false),
        };
        match seated.seat.take_departure() {
            Some(leaving) => {
                drop(ticket);
                let there = state
                    .cores
                    .as_ref()
                    .map_or(core, |cores| cores.place_away(core));
                run(&state, &answer, leaving, seated, there, core, began);
            }
            None => closed(&state, &answer, id, &seated.seat, began, result, told),
        }
    })
}

#[expect(
    clippy::boxed_local,
    reason = "its box ends here, and not with the conversation"
)]
fn attach(accepted: Box<Accepted>) -> Result<Conn, Failure> {
    accepted.attach()
}

/// Puts the stack's layers on within the greeting deadline.
async fn cross(state: &ServiceState, answer: &Answer, conn: Conn) -> Result<Conn, Failure> {
    let deadline = state.cx.limits().greet_timeout;
    let net = state.cx.net();
    let crossing = net.answer(&answer.stack, conn, &state.cx);
    let greeted = state.cx.timeout(deadline, crossing).await;
    let silent = || Failure::new(Stage::Greet, Side::Peer, Code::GREET_TIMEOUT);
    greeted.ok_or_else(silent)??.stream()
}

fn opened(state: &ServiceState, conn: &Conn) {
    state.cx.events().tell_connection(|| {
        let peer = conn
            .peer()
            .map_or_else(String::new, |peer| peer.to_string());
        Event::Opened {
            service: state.name.clone(),
            conn: conn.id(),
            peer,
        }
    });
}

fn closed(
    state: &ServiceState,
    answer: &Answer,
    conn: u64,
    seat: &Seat,
    began: Moment,
    result: Result<(), Failure>,
    told: bool,
) {
    // What is carried on may well be TLS.
    if seat.began_with_tls() && answer.service.leads_to().is_none() {
        state.cx.events().tell_connection(|| {
            Event::Note(Box::new(Remark {
                service: state.name.clone(),
                text: format!(
                    "connection {conn}: the client began with TLS, and this endpoint is without"
                ),
            }))
        });
    }
    if let Err(failure) = &result {
        state.failures.count(failure);
        tell_refused(state, TELL_REFUSED); // a layer may have turned it away
    }
    if told {
        return;
    }
    let service = state.name.clone();
    state.cx.events().tell_connection(|| match result {
        Ok(()) => Event::Closed {
            service,
            conn,
            received: seat.received(),
            sent: seat.sent(),
            lasted: state.cx.now() - began,
        },
        Err(failure) => Event::Failed {
            service,
            conn: Some(conn),
            failure,
        },
    });
}
