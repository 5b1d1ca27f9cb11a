//! Descriptors that whoever started us handed over: `fd:3`, `fd:systemd`, `fd:NAME`.
//!
//! A descriptor is adopted once, and only one that was inherited: what this
//! program opened itself has other owners. Sockets that systemd listens on for
//! us come as its `LISTEN_FDS` says (`sd_listen_fds(3)`).

#[cfg(unix)]
mod activation;
#[cfg(unix)]
mod adopt;
#[cfg(unix)]
mod inspect;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::sync::Arc;

use netloom_base::{Address, Card, Failure, Kind, Opens, Scheme, Stack};

use crate::BoxFuture;
use crate::cx::Cx;
use crate::listener::Bound;
use crate::net::{Opened, Transport};

/// The transport behind `fd:`.
#[derive(Debug, Clone, Copy)]
pub struct Fd;

static CARD: Card = Card {
    name: "fd",
    summary: "a descriptor that was handed over, by number or as systemd names it: fd:3, fd:systemd",
    schemes: &[Scheme {
        name: "fd",
        over: &[],
        default_port: None,
    }],
    address: Address::Opaque,
    owns_path: false,
    owns_query: false,
    needs: None,
    gives: Kind::Stream,
    encrypts: false,
    rfcs: &["sd_listen_fds(3)"],
    dial_keys: &[],
    bind_keys: &[],
    codes: &[],
    opens: Opens::Either,
};

#[cfg(unix)]
impl Transport for Fd {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn dial<'a>(&'a self, stack: &'a Stack, _: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move { adopt::dial(stack) })
    }

    fn bind<'a>(
        &'a self,
        stack: &'a Stack,
        _: &'a Cx,
    ) -> BoxFuture<'a, Result<Vec<Arc<dyn Bound>>, Failure>> {
        Box::pin(async move { adopt::bind(stack) })
    }
}

#[cfg(not(unix))]
impl Transport for Fd {
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
    Failure::new(Stage::Create, Side::Os, Code::FD_NOT_USABLE)
        .message("this system hands over no descriptors")
}
