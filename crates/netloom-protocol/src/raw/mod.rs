//! Plain bytes: what a stream carries when no protocol is named.

mod greet;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use netloom_base::{Address, Card, Failure, Kind, Opens, SettingError, Settings};
use netloom_transport::{BoxFuture, Conn, Cx};

use crate::greeting::{Greeted, Visit};
use crate::offer::Offer;
use crate::registry::Protocol;
use crate::service::Service;

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

    fn service_for(
        &self,
        offer: &Offer,
        _: &Settings,
    ) -> Result<Arc<dyn Service>, Vec<SettingError>> {
        match offer {
            Offer::Bytes(service) => Ok(service.clone()),
            other => {
                let message = format!("plain bytes cannot carry {} without framing", other.word());
                Err(vec![SettingError::new("on", None, message)])
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
