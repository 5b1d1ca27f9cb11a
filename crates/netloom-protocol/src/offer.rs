//! What an application gives, whatever carries it.

use std::sync::Arc;
use std::time::Duration;

use netloom_base::{Failure, Kind, Opens, SettingError};
use netloom_transport::Cx;
use netloom_wire::framing::Framing;

use crate::datagrams::DatagramService;
use crate::measures::Measures;
use crate::service::{MessageService, Service};

/// What an application gives. A protocol carries the kinds it can.
#[derive(Clone)]
#[non_exhaustive]
pub enum Offer {
    /// A conversation in bytes.
    Bytes(Arc<dyn Service>),
    /// A conversation in messages.
    Messages(Arc<dyn MessageService>),
}

impl Offer {
    /// The word for it in "`ftp` cannot carry …".
    pub fn word(&self) -> &'static str {
        match self {
            Offer::Bytes(_) => "a stream of bytes",
            Offer::Messages(_) => "messages",
        }
    }

    /// The refusal of a protocol that carries nothing yet.
    pub fn not_yet(&self, protocol: &str) -> Vec<SettingError> {
        let message = format!("`{protocol}` cannot carry {} yet", self.word());
        vec![SettingError::new("on", None, message)]
    }

    /// The same for datagrams, where that makes sense.
    pub fn datagrams(&self) -> Option<Arc<dyn DatagramService>> {
        match self {
            Offer::Bytes(service) => service.clone().datagrams(),
            Offer::Messages(_) => None,
        }
    }

    /// The same in whole messages, where that makes sense.
    pub fn messages(&self) -> Option<Arc<dyn MessageService>> {
        match self {
            Offer::Bytes(service) => service.clone().messages(),
            Offer::Messages(service) => Some(service.clone()),
        }
    }

    /// Tells the figures it keeps besides those that every service has.
    pub fn measure(&self, to: &mut dyn Measures) {
        match self {
            Offer::Bytes(service) => service.measure(to),
            Offer::Messages(service) => service.measure(to),
        }
    }

    /// What whoever reaches it can do to this host, where that is more than to talk.
    pub fn risk(&self) -> Option<String> {
        match self {
            Offer::Bytes(service) => service.risk(),
            Offer::Messages(_) => None,
        }
    }

    /// The same for datagrams where it speaks in streams; see
    /// [`Service::framed_datagrams`].
    pub fn framed_datagrams(
        &self,
        framing: Framing,
        longest: usize,
    ) -> Option<Arc<dyn DatagramService>> {
        match self {
            Offer::Bytes(service) => service.clone().framed_datagrams(framing, longest),
            Offer::Messages(_) => None,
        }
    }

    /// Why it cannot be carried by what gives `kind`; see [`Service::refuses`].
    pub fn refuses(&self, kind: Kind, framed: bool) -> Option<SettingError> {
        match self {
            Offer::Bytes(service) => service.refuses(kind, framed),
            Offer::Messages(_) => None,
        }
    }

    /// What serves the `nth` of `of` addresses written as one set of ports.
    ///
    /// # Errors
    /// As [`Service::nth`].
    pub fn nth(&self, nth: usize, of: usize) -> Result<Offer, String> {
        let other = match self {
            Offer::Bytes(service) => service.clone().nth(nth, of)?,
            Offer::Messages(_) => None,
        };
        Ok(other.map_or_else(|| self.clone(), Offer::Bytes))
    }

    /// Where it carries to, when it carries on what comes.
    pub fn leads_to(&self) -> Option<String> {
        match self {
            Offer::Bytes(service) => service.leads_to(),
            Offer::Messages(_) => None,
        }
    }

    /// Called once, before anybody is let in.
    ///
    /// # Errors
    /// As [`Service::begin`].
    pub fn begin(&self, cx: &Cx) -> Result<(), Failure> {
        match self {
            Offer::Bytes(service) => service.clone().begin(cx),
            Offer::Messages(_) => Ok(()),
        }
    }

    /// How long its conversations may be idle unless their limits say otherwise.
    pub fn idle(&self) -> Duration {
        match self {
            Offer::Bytes(service) => service.idle(),
            Offer::Messages(service) => service.idle(),
        }
    }

    /// Who must speak first.
    pub fn opens(&self) -> Opens {
        match self {
            Offer::Bytes(service) => service.opens(),
            Offer::Messages(_) => Opens::Either,
        }
    }
}
