//! HTTP/1.1 (RFC 9110, RFC 9112), as far as a visit needs it: one request, its
//! answer, and who gave it.
//!
//! A visit asks for the endpoint's path with `GET`, or sends what
//! [`Visit::send`] says with `POST`, and follows redirects on the same endpoint.

mod environment;
mod exchange;
mod place;
mod signs;
mod tell;
#[cfg(test)]
mod tests;
mod visit;

pub mod codes;

use netloom_base::{Address, Card, Failure, Kind, Opens, Scheme};
use netloom_transport::{BoxFuture, Conn, Cx};

pub use environment::{Environment, Proxy};
pub(crate) use exchange::{Asked, ask, unwritable};
pub(crate) use place::Place;
pub(crate) use signs::{facts, hop, peer_speaks_tls};
pub(crate) use tell::{clean, told};
pub(crate) use visit::other_protocol;

use crate::greeting::{Greeted, Visit};
use crate::registry::Protocol;

/// The protocol behind `http://` and `https://`.
pub struct Http {
    environment: Environment,
}

/// HTTP in the environment of this process.
pub static HTTP: Http = Http::new(Environment::of_this_process());

static CARD: Card = Card {
    name: "http",
    summary: "requests and answers",
    schemes: &[
        Scheme {
            name: "http",
            over: &["tcp"],
            default_port: Some(80),
        },
        Scheme {
            name: "https",
            over: &["tls", "tcp"],
            default_port: Some(443),
        },
    ],
    address: Address::HostPort,
    owns_path: true,
    owns_query: true,
    needs: Some(Kind::Stream),
    gives: Kind::Exchange,
    encrypts: false,
    rfcs: &["RFC 9110", "RFC 9112", "RFC 6585", "RFC 6797", "RFC 7838"],
    dial_keys: &[],
    bind_keys: &[],
    codes: codes::CODES,
    opens: Opens::Client,
};

impl Http {
    /// HTTP where the environment says this of proxies.
    pub const fn new(environment: Environment) -> Self {
        Http { environment }
    }
}

impl Protocol for Http {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn greet<'a>(
        &'a self,
        conn: Conn,
        visit: Visit<'a>,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Greeted, Failure>> {
        Box::pin(async move {
            visit::greet(conn, visit, self.environment, cx)
                .await
                .map_err(|failure| failure.at(&visit.stack.endpoint))
        })
    }
}
