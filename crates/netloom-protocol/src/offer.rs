//! What an application gives, whatever carries it.

use std::sync::Arc;
use std::time::Duration;

use netloom_base::{Failure, Opens, SettingError};
use netloom_transport::Cx;

use crate::datagrams::DatagramService;
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

    /// Makes ready what must be there before anybody is let in.
    ///
    /// # Errors
    /// Why it cannot start.
    pub async fn begin(&self, cx: &Cx) -> Result<(), Failure> {
        match self {
            Offer::Bytes(service) => service.begin(cx).await,
            Offer::Messages(_) => Ok(()),
        }
    }

    /// What whoever reaches it can do to this host, where that is more than to talk.
    pub fn risk(&self) -> Option<String> {
        match self {
            Offer::Bytes(service) => service.risk(),
            Offer::Messages(_) => None,
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
