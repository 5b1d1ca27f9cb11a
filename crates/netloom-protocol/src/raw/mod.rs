//! Plain bytes: what a stream carries when no protocol is named.

mod greet;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use netloom_base::settings::ByteSize;
use netloom_base::{Address, Card, Failure, Key, Kind, Opens, SettingError, Settings, settings};
use netloom_transport::{BoxFuture, Conn, Cx};

use crate::framed::{FramedService, Framing, LONGEST_MESSAGE};
use crate::greeting::{Greeted, Visit};
use crate::offer::Offer;
use crate::registry::Protocol;
use crate::service::Service;

settings! {
    /// How messages go over plain bytes.
    pub struct Carriage {
        /// how messages are told apart on a stream: lines, crlf, len8, len16, len16le, len32, len32le, varint, netstring, json, msgpack
        framing: Option<Framing>,
        /// the longest message; a longer one is refused by its header alone
        max_message: ByteSize = ByteSize(LONGEST_MESSAGE as u64),
    }
}

impl Carriage {
    /// The framing, unless there is none.
    pub fn framing(&self) -> Option<Framing> {
        self.framing.filter(|framing| *framing != Framing::None)
    }

    /// The longest message in bytes.
    pub fn longest(&self) -> usize {
        usize::try_from(self.max_message.0).unwrap_or(usize::MAX)
    }
}

/// Bytes as they are.
#[derive(Debug, Clone, Copy)]
pub struct Raw;

static CARD: Card = Card {
    name: "raw",
    summary: "plain bytes",
    schemes: &[],
    address: Address::None,
    owns_path: false,
    owns_query: false,
    needs: Some(Kind::Stream),
    gives: Kind::Stream,
    encrypts: false,
    rfcs: &[],
    dial_keys: &[],
    bind_keys: &[],
    codes: &[],
    opens: Opens::Either,
};

impl Protocol for Raw {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn keys(&self) -> &'static [Key] {
        Carriage::KEYS
    }

    fn misread(&self, settings: &Settings) -> Vec<SettingError> {
        Carriage::read(settings).err().unwrap_or_default()
    }

    fn service_for(
        &self,
        offer: &Offer,
        settings: &Settings,
    ) -> Result<Arc<dyn Service>, Vec<SettingError>> {
        let carriage = Carriage::read(settings)?;
        let refused = |key: &str, message: String| {
            let span = settings.last(key).and_then(|setting| setting.span.clone());
            SettingError::new(key, span, message)
        };
        match (carriage.framing(), offer) {
            (Some(framing), offer) => {
                let Some(service) = offer.messages() else {
                    let message = format!(
                        "this kind gives {}, and {framing} carries messages: leave `framing` out",
                        offer.word()
                    );
                    return Err(vec![refused("framing", message)]);
                };
                let longest = carriage.longest();
                Ok(Arc::new(FramedService::new(service, framing, longest)))
            }
            (None, Offer::Bytes(_)) if settings.last("max-message").is_some() => {
                let message = "without `framing` there are no messages to bound".to_owned();
                Err(vec![refused("max-message", message)])
            }
            (None, Offer::Bytes(service)) => Ok(service.clone()),
            (None, other) => {
                let message = format!("plain bytes cannot carry {} without framing", other.word());
                let mut error = SettingError::new("on", None, message);
                error.suggestion = Some("--framing lines".to_owned());
                Err(vec![error])
            }
        }
    }

    /// Says `visit.send` and tells the answer; without it, tells what the peer
    /// says first. A silent peer is healthy.
    fn greet<'a>(
        &'a self,
        conn: Conn,
        visit: Visit<'a>,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Greeted, Failure>> {
        Box::pin(async move {
            let greeted = greet::greet(conn, visit, cx).await;
            greeted.map_err(|failure| failure.at(&visit.stack.endpoint))
        })
    }
}
