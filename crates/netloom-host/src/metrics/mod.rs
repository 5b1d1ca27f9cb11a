//! The admin endpoint: what runs here, in figures that Prometheus reads.
//!
//! It is a service like any other, with limits like any other; what it answers
//! is read from the other services when somebody asks.

mod page;
mod process;
mod text;

use std::sync::{Arc, OnceLock, Weak};

use netloom_base::{Failure, Opens};
use netloom_protocol::{Labelled, Measures, Service};
use netloom_transport::cores::Cores;
use netloom_transport::{BoxFuture, Conn, Cx};

use crate::supervise::ServiceState;
use text::Text;

/// Answers with figures.
#[derive(Default)]
pub struct Admin {
    watched: OnceLock<Watched>,
}

/// What is told of. Weak: this is one of the services itself.
struct Watched {
    services: Vec<Weak<ServiceState>>,
    cores: Option<Cores>,
    descriptors: u64,
}

impl Admin {
    /// Tells of these from now on.
    pub(crate) fn watch(
        &self,
        services: &[Arc<ServiceState>],
        cores: Option<Cores>,
        descriptors: u64,
    ) {
        let services = services.iter().map(Arc::downgrade).collect();
        let _ = self.watched.set(Watched {
            services,
            cores,
            descriptors,
        });
    }

    /// The figures of this moment.
    fn figures(&self) -> String {
        let mut text = Text::default();
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        text.gauge("netloom_info", "What runs here.", &version, 1.0);
        if let Some(watched) = self.watched.get() {
            for service in watched.services.iter().filter_map(Weak::upgrade) {
                of_service(&service, &mut text);
            }
            let cores = watched
                .cores
                .as_ref()
                .map_or_else(Vec::new, Cores::connections);
            for (core, open) in cores.iter().enumerate() {
                let label = core.to_string();
                text.gauge(
                    "netloom_core_connections",
                    "Connections open on a core.",
                    &[("core", &label)],
                    *open as f64,
                );
            }
            process::measure(&mut text, watched.descriptors);
        }
        text.finish()
    }
}

fn of_service(state: &ServiceState, text: &mut Text) {
    let of = &mut Labelled {
        labels: &[("service", &*state.name)],
        to: text,
    };
    let kind = [("kind", state.kind)];
    of.gauge("netloom_service_info", "The services that run.", &kind, 1.0);
    of.gauge(
        "netloom_service_connections",
        "Connections that are open.",
        &[],
        state.seats.taken() as f64,
    );
    of.gauge(
        "netloom_service_connections_limit",
        "Connections that may be open at once.",
        &[],
        state.guard.total() as f64,
    );
    let figures = state.seats.figures();
    of.counter(
        "netloom_service_connections_total",
        "Connections that were accepted.",
        &[],
        figures.conns,
    );
    of.counter(
        "netloom_service_received_bytes_total",
        "Bytes received from clients.",
        &[],
        figures.received,
    );
    of.counter(
        "netloom_service_sent_bytes_total",
        "Bytes sent to clients.",
        &[],
        figures.sent,
    );
    of.counter(
        "netloom_service_refused_total",
        "Connections turned away because their source had too many.",
        &[],
        state.guard.refused(),
    );
    for (code, count) in state.failures.counts() {
        of.counter(
            "netloom_service_failures_total",
            "Failures, by their code: netloom explain CODE.",
            &[("code", code)],
            count,
        );
    }
    state.offer.measure(of);
}

impl Service for Admin {
    fn serve<'a>(&'a self, conn: Conn, cx: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(page::serve(self, conn, cx))
    }

    fn opens(&self) -> Opens {
        Opens::Client
    }

    fn idle(&self) -> std::time::Duration {
        std::time::Duration::from_mins(1)
    }
}
