//! Unix datagram sockets, at a path or under an abstract name (unix(7)).
//!
//! Datagrams on one host: none is lost, and none overtakes another; a sender
//! waits where a network would drop. Whoever wants answers needs a name of its
//! own: a dialled socket gets an abstract one from the kernel.

#[cfg(target_os = "linux")]
mod socket;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

use netloom_base::settings::ByteSize;
use netloom_base::{Address, Card, Failure, Kind, Opens, Role, Scheme, Stack, settings};

use crate::BoxFuture;
use crate::cx::Cx;
use crate::datagrams::HeldDatagrams;
use crate::net::{Opened, Transport, mistakes};
use crate::unix::Mode;

settings! {
    /// Options of a dialled unix datagram endpoint.
    pub struct DialOptions {
        /// room for one datagram that comes, in bytes; what is longer is cut and told
        buffer: usize = 65_535,
        /// the most bytes on their way, and so in one datagram (SO_SNDBUF)
        sndbuf: Option<ByteSize>,
    }
}

settings! {
    /// Options of a bound unix datagram endpoint.
    pub struct BindOptions {
        /// who may send there: the permissions of the socket file, such as 600
        mode: Option<Mode>,
        /// room for one datagram that comes, in bytes; what is longer is cut and told
        buffer: usize = 65_535,
        /// the most bytes on their way, and so in one datagram (SO_SNDBUF)
        sndbuf: Option<ByteSize>,
    }
}

/// The transport behind `unixgram:`.
#[derive(Debug, Clone, Copy)]
pub struct Unixgram;

static CARD: Card = Card {
    name: "unixgram",
    summary: "datagrams over a unix socket, at a path or under an abstract name: unixgram:/run/x",
    schemes: &[Scheme {
        name: "unixgram",
        over: &[],
        default_port: None,
    }],
    address: Address::Opaque,
    owns_path: false,
    owns_query: false,
    needs: None,
    gives: Kind::Datagram,
    encrypts: false,
    rfcs: &["unix(7)"],
    dial_keys: DialOptions::KEYS,
    bind_keys: BindOptions::KEYS,
    codes: &[],
    opens: Opens::Either,
};

impl Transport for Unixgram {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn check(&self, stack: &Stack) -> Result<(), Failure> {
        let settings = &stack.transport().settings;
        let read = match stack.role {
            Role::Dial => DialOptions::read(settings).map(drop),
            Role::Bind => BindOptions::read(settings).map(drop),
        };
        read.map_err(|errors| mistakes(stack, &errors))
    }

    #[cfg(target_os = "linux")]
    fn dial<'a>(&'a self, stack: &'a Stack, cx: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async { socket::dial(stack, cx) })
    }

    #[cfg(target_os = "linux")]
    fn datagrams<'a>(
        &'a self,
        stack: &'a Stack,
        _: &'a Cx,
    ) -> BoxFuture<'a, Result<HeldDatagrams, Failure>> {
        Box::pin(async { socket::bind(stack).map(|bound| vec![bound]) })
    }

    #[cfg(not(target_os = "linux"))]
    fn dial<'a>(&'a self, _: &'a Stack, _: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async { Err(absent()) })
    }

    #[cfg(not(target_os = "linux"))]
    fn datagrams<'a>(
        &'a self,
        _: &'a Stack,
        _: &'a Cx,
    ) -> BoxFuture<'a, Result<HeldDatagrams, Failure>> {
        Box::pin(async { Err(absent()) })
    }
}

#[cfg(not(target_os = "linux"))]
fn absent() -> Failure {
    use netloom_base::{Code, Side, Stage};
    Failure::new(Stage::Create, Side::Os, Code::CREATE_FAMILY_UNSUPPORTED)
        .message("unix datagram sockets are used on Linux only")
}
