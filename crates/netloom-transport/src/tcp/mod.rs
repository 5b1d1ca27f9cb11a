//! TCP over IPv4 and IPv6 (RFC 9293).

mod bind;
mod dial;
mod dialled;
mod options;

use std::sync::Arc;

use netloom_base::{Address, Card, Failure, Kind, Opens, Role, Scheme, Stack};

use crate::BoxFuture;
use crate::cx::Cx;
use crate::listener::Bound;
use crate::net::{Opened, Transport, mistakes};

pub use options::{DialOptions, ListenOptions};

/// The transport behind `tcp://`.
#[derive(Debug, Clone, Copy)]
pub struct Tcp;

static CARD: Card = Card {
    name: "tcp",
    summary: "a stream over TCP",
    schemes: &[Scheme {
        name: "tcp",
        over: &[],
        default_port: None,
    }],
    address: Address::HostPort,
    owns_path: false,
    owns_query: false,
    needs: None,
    gives: Kind::Stream,
    encrypts: false,
    rfcs: &["RFC 9293", "tcp(7)"],
    dial_keys: DialOptions::KEYS,
    bind_keys: ListenOptions::KEYS,
    codes: &[],
    opens: Opens::Either,
};

impl Transport for Tcp {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn check(&self, stack: &Stack) -> Result<(), Failure> {
        let settings = &stack.transport().settings;
        let read = match stack.role {
            Role::Dial => DialOptions::read(settings).map(drop),
            Role::Bind => ListenOptions::read(settings).map(drop),
        };
        read.map_err(|errors| mistakes(stack, &errors))
    }

    fn dial<'a>(&'a self, stack: &'a Stack, cx: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(dial::dial(stack, cx))
    }

    fn bind<'a>(
        &'a self,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Vec<Arc<dyn Bound>>, Failure>> {
        Box::pin(bind::bind(stack, cx))
    }
}
