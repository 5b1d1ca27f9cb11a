//! The two calls a program begins with: `connect` and `listen`.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use netloom_base::{Endpoint, EndpointSet, Failure, Kind, Limits, Role, Settings, Stack};
use netloom_protocol::{Framing, MessageService, Offer, Service};
use netloom_transport::net::complaint;
use netloom_transport::{Conn, Cx};

use crate::check::{Place, Prepared};
use crate::os::os_net;
use crate::supervise::{Running, start};

/// Opens a stream endpoint: TCP, a unix socket, a program, any stack that ends
/// in a stream. Needs a tokio runtime with I/O and time. What fails has heard
/// what routers and hosts said about it ([`Cx::for_a_person`]).
///
/// # Errors
/// What failed, with its stage, code and facts. `parse.endpoint` for an
/// endpoint that cannot be read or gives no stream.
pub async fn connect(endpoint: &str) -> Result<Conn, Failure> {
    // What a dial needs of the world is the same for all of them.
    static CX: LazyLock<Cx> = LazyLock::new(|| Cx::os(os_net()).for_a_person());
    let stack = stack_of(endpoint, &CX)?;
    CX.net().dial(&stack, &CX).await?.stream()
}

/// The meaning of a dialled endpoint. Whoever dials one often dials it again, so
/// the last is kept; not one with layers, whose files are read anew each time.
fn stack_of(text: &str, cx: &Cx) -> Result<Arc<Stack>, Failure> {
    static LAST: Mutex<Option<(String, Arc<Stack>)>> = Mutex::new(None);
    let last = || LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, stack)) = last().as_ref().filter(|(known, _)| known == text) {
        return Ok(stack.clone());
    }
    let endpoint: Endpoint = text.parse().map_err(|error| complaint(&error))?;
    let stack = Arc::new(cx.net().stack(&endpoint, Role::Dial)?);
    stack
        .require(Kind::Stream)
        .map_err(|error| complaint(&error))?;
    if stack.levels.len() == 1 && endpoint.password().is_none() {
        *last() = Some((text.to_owned(), stack.clone()));
    }
    Ok(stack)
}

/// Begins a server on one endpoint or on a set of ports.
pub fn listen(endpoint: &str) -> Listen {
    Listen {
        endpoints: vec![endpoint.to_owned()],
        limits: Limits::default(),
        carried: Settings::new(),
    }
}

/// A server that has not begun.
#[derive(Debug, Clone)]
pub struct Listen {
    endpoints: Vec<String>,
    limits: Limits,
    carried: Settings,
}

impl Listen {
    /// Listens there too.
    pub fn and(mut self, endpoint: &str) -> Self {
        self.endpoints.push(endpoint.to_owned());
        self
    }

    /// Bounds it; without this, by [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Carries messages over streams in this framing.
    pub fn framing(mut self, framing: Framing) -> Self {
        self.carried = self.carried.with("framing", framing.name());
        self
    }

    /// Binds and holds every conversation with `service` in whole messages, on
    /// the current runtime. A stream needs a [`framing`](Listen::framing).
    ///
    /// # Errors
    /// As [`Listen::serve`].
    pub async fn serve_messages(
        self,
        service: impl MessageService + 'static,
    ) -> Result<Server, Failure> {
        self.offer(Offer::Messages(Arc::new(service))).await
    }

    /// Binds and answers every connection with `service`, on the current runtime.
    ///
    /// # Errors
    /// The first endpoint that cannot be read or bound; then nothing is served.
    pub async fn serve(self, service: impl Service + 'static) -> Result<Server, Failure> {
        self.offer(Offer::Bytes(Arc::new(service))).await
    }

    /// The same for an offer, such as a built kind makes.
    ///
    /// # Errors
    /// As [`Listen::serve`].
    pub async fn offer(self, offer: Offer) -> Result<Server, Failure> {
        let cx = Cx::os(os_net());
        let mut on = Vec::new();
        for text in &self.endpoints {
            let set: EndpointSet = text.parse().map_err(|error| complaint(&error))?;
            for (nth, endpoint) in set.iter().enumerate() {
                let stack = cx.net().stack(&endpoint, Role::Bind)?;
                let offer = offer.nth(nth, set.len());
                let offer = offer.map_err(|message| refused(&endpoint, Some(message)))?;
                match Place::of(stack, &offer, &self.carried) {
                    Ok(place) => on.push(place),
                    Err(errors) => {
                        return Err(refused(&endpoint, errors.first().map(ToString::to_string)));
                    }
                }
            }
        }
        let prepared = Prepared {
            name: "".into(),
            kind: "",
            offer,
            on,
            limits: self.limits,
        };
        let running = start(vec![prepared], &cx, None).await?;
        Ok(Server { running, cx })
    }
}

fn refused(endpoint: &Endpoint, why: Option<String>) -> Failure {
    use netloom_base::{Code, Side, Stage};

    let why = why.unwrap_or_else(|| "nothing can be served there".to_owned());
    Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT)
        .message(why)
        .at(endpoint)
}

/// A server that runs. Dropping it stops it without draining.
pub struct Server {
    running: Running,
    cx: Cx,
}

impl Server {
    /// Where it listens, with real ports.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.running
            .bound()
            .map(|(_, endpoint)| endpoint.clone())
            .collect()
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        self.running.connections()
    }

    /// Drains: accepts no more, lets connections finish within the drain limit,
    /// then ends them.
    pub async fn stop(self) {
        self.cx.shutdown().drain();
        self.running.until_stopped().await;
    }
}
