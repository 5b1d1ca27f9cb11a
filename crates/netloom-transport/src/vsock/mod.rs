//! Between a virtual machine and its host: `vsock:2:1024` (vsock(7)).
//!
//! The address is a number for the machine (CID) and a port, both of 32 bits.
//! Three numbers have a word: `local` is 1, this machine; `host` is 2; `any`
//! listens on all of them. There are no names and no packets to see.

#[cfg(target_os = "linux")]
mod bind;
#[cfg(target_os = "linux")]
mod dial;
mod place;
#[cfg(target_os = "linux")]
mod stream;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

use std::sync::Arc;

use netloom_base::{Address, Card, Failure, Kind, Opens, Scheme, Stack, settings};

use crate::BoxFuture;
use crate::cx::Cx;
use crate::listener::Bound;
use crate::net::{Opened, Transport};
use place::Place;

/// The transport behind `vsock:`.
#[derive(Debug, Clone, Copy)]
pub struct Vsock;

settings! {
    /// Options of a bound vsock endpoint.
    pub struct ListenOptions {
        /// connections the kernel queues before they are accepted (listen(2))
        backlog: u32 = 4096,
    }
}

static CARD: Card = Card {
    name: "vsock",
    summary: "a stream between a virtual machine and its host, CID and port: vsock:host:1024",
    schemes: &[Scheme {
        name: "vsock",
        over: &[],
        default_port: None,
    }],
    address: Address::Opaque,
    owns_path: false,
    owns_query: false,
    needs: None,
    gives: Kind::Stream,
    encrypts: false,
    rfcs: &["vsock(7)"],
    dial_keys: &[],
    bind_keys: ListenOptions::KEYS,
    codes: &[],
    opens: Opens::Either,
};

impl Transport for Vsock {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn check(&self, stack: &Stack) -> Result<(), Failure> {
        Place::of(stack).map(drop)
    }

    #[cfg(target_os = "linux")]
    fn dial<'a>(&'a self, stack: &'a Stack, cx: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(dial::dial(stack, cx))
    }

    #[cfg(target_os = "linux")]
    fn bind<'a>(
        &'a self,
        stack: &'a Stack,
        _: &'a Cx,
    ) -> BoxFuture<'a, Result<Vec<Arc<dyn Bound>>, Failure>> {
        Box::pin(async move { bind::bind(stack).map(|bound| vec![bound]) })
    }

    #[cfg(not(target_os = "linux"))]
    fn dial<'a>(&'a self, _: &'a Stack, _: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async { Err(absent()) })
    }

    #[cfg(not(target_os = "linux"))]
    fn bind<'a>(
        &'a self,
        _: &'a Stack,
        _: &'a Cx,
    ) -> BoxFuture<'a, Result<Vec<Arc<dyn Bound>>, Failure>> {
        Box::pin(async { Err(absent()) })
    }
}

#[cfg(not(target_os = "linux"))]
fn absent() -> Failure {
    use netloom_base::{Code, Side, Stage};

    Failure::new(Stage::Create, Side::Os, Code::CREATE_FAMILY_UNSUPPORTED)
        .message("this system has no sockets of virtual machines")
}
