//! UDP over IPv4 and IPv6 (RFC 768), to one host, to a group (RFC 1112, RFC
//! 4607) or to everybody on a network (RFC 919).

mod bind;
mod blame;
mod dial;
mod group;
#[cfg(target_os = "linux")]
mod mailbox;
#[cfg(not(target_os = "linux"))]
#[path = "portable.rs"]
mod mailbox;
mod manner;
#[cfg(target_os = "linux")]
mod name;
mod options;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod segment_tests;
#[cfg(target_os = "linux")]
mod segments;
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the system calls that no safe crate wraps")]
mod sys;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

use netloom_base::{Address, Card, Failure, Kind, Opens, Role, Scheme, Stack};

use crate::BoxFuture;
use crate::cx::Cx;
use crate::datagrams::HeldDatagrams;
use crate::net::{Opened, Transport, mistakes};

pub(crate) use mailbox::Mailbox;
#[cfg(target_os = "linux")]
pub(crate) use manner::Manner;
pub use options::{BindOptions, DialOptions, Sender};

/// The transport behind `udp://`.
#[derive(Debug, Clone, Copy)]
pub struct Udp;

static CARD: Card = Card {
    name: "udp",
    summary: "datagrams over UDP, to one host or to a group: udp://host:53, udp://239.1.2.3:5000",
    schemes: &[Scheme {
        name: "udp",
        over: &[],
        default_port: None,
    }],
    address: Address::HostPort,
    owns_path: false,
    owns_query: false,
    needs: None,
    gives: Kind::Datagram,
    encrypts: false,
    rfcs: &["RFC 768", "RFC 1112", "RFC 4607", "RFC 919", "udp(7)"],
    dial_keys: DialOptions::KEYS,
    bind_keys: BindOptions::KEYS,
    codes: &[],
    opens: Opens::Either,
};

impl Transport for Udp {
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

    fn dial<'a>(&'a self, stack: &'a Stack, cx: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(dial::dial(stack, cx))
    }

    fn datagrams<'a>(
        &'a self,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<HeldDatagrams, Failure>> {
        Box::pin(bind::bind(stack, cx))
    }
}
