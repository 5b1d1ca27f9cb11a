//! Unix stream sockets, at a path or under an abstract name (unix(7)).

#[cfg(unix)]
pub(crate) mod bind;
#[cfg(unix)]
pub(crate) mod dial;
mod options;
#[cfg(unix)]
pub(crate) mod place;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::sync::Arc;

#[cfg(unix)]
use netloom_base::Role;
use netloom_base::{Address, Card, Failure, Kind, Opens, Scheme, Stack};

use crate::BoxFuture;
use crate::cx::Cx;
use crate::listener::Bound;
#[cfg(unix)]
use crate::net::mistakes;
use crate::net::{Opened, Transport};

pub use options::{ListenOptions, Mode};

/// The transport behind `unix:`.
#[derive(Debug, Clone, Copy)]
pub struct Unix;

static CARD: Card = Card {
    name: "unix",
    summary: "a stream over a unix socket, at a path or under an abstract name: unix:/run/x, unix:@x",
    schemes: &[Scheme {
        name: "unix",
        over: &[],
        default_port: None,
    }],
    address: Address::Opaque,
    owns_path: false,
    owns_query: false,
    needs: None,
    gives: Kind::Stream,
    encrypts: false,
    rfcs: &["unix(7)"],
    dial_keys: &[],
    bind_keys: ListenOptions::KEYS,
    codes: &[],
    opens: Opens::Either,
};

#[cfg(unix)]
impl Transport for Unix {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn check(&self, stack: &Stack) -> Result<(), Failure> {
        if stack.role == Role::Dial {
            return Ok(());
        }
        let read = ListenOptions::read(&stack.transport().settings).map(drop);
        read.map_err(|errors| mistakes(stack, &errors))
    }

    fn dial<'a>(&'a self, stack: &'a Stack, cx: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(dial::dial(stack, cx))
    }

    fn bind<'a>(
        &'a self,
        stack: &'a Stack,
        _: &'a Cx,
    ) -> BoxFuture<'a, Result<Vec<Arc<dyn Bound>>, Failure>> {
        Box::pin(async move { bind::bind(stack).map(|bound| vec![bound]) })
    }
}

#[cfg(not(unix))]
impl Transport for Unix {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn dial<'a>(&'a self, _: &'a Stack, _: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async { Err(absent()) })
    }

    fn bind<'a>(
        &'a self,
        _: &'a Stack,
        _: &'a Cx,
    ) -> BoxFuture<'a, Result<Vec<Arc<dyn Bound>>, Failure>> {
        Box::pin(async { Err(absent()) })
    }
}

#[cfg(not(unix))]
fn absent() -> Failure {
    use netloom_base::{Code, Side, Stage};
    Failure::new(Stage::Create, Side::Os, Code::CREATE_FAMILY_UNSUPPORTED)
        .message("this system has no unix sockets")
}
