//! The protocols there are. A protocol is one folder and one line here.

use std::sync::Arc;

use netloom_base::{Card, Failure, Kind, SettingError, Settings, Stack};
use netloom_transport::{BoxFuture, Conn, Cx, Layer};

use crate::greeting::{Greeted, Visit};
use crate::offer::Offer;
use crate::service::Service;

/// A protocol: how it carries an application's offer.
pub trait Protocol: Send + Sync {
    /// What it is.
    fn card(&self) -> &'static Card;

    /// The service that holds one conversation of `offer` in this protocol, or
    /// why it cannot.
    fn service_for(
        &self,
        offer: &Offer,
        settings: &Settings,
    ) -> Result<Arc<dyn Service>, Vec<SettingError>>;

    /// Opens a dialled conversation far enough to know the peer. `conn` is open
    /// up to what this protocol stands on. A peer that may stay silent is waited
    /// for no longer than the greeting deadline.
    ///
    /// # Errors
    /// `greet.*` or a code of the protocol's card, with what the peer said.
    fn greet<'a>(
        &'a self,
        conn: Conn,
        visit: Visit<'a>,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Greeted, Failure>>;

    /// The layer it is in a stack, when others can stand on it.
    fn layer(&self) -> Option<Arc<dyn Layer>> {
        None
    }
}

/// Every protocol of this build.
pub static PROTOCOLS: &[&dyn Protocol] = &[&crate::raw::Raw];

/// The protocol that answers on `stack`: the one its top layer names, or plain
/// bytes where it names none.
pub fn protocol_for(stack: &Stack) -> Option<&'static dyn Protocol> {
    let top = stack.levels.first()?.card.name;
    let named = PROTOCOLS
        .iter()
        .find(|protocol| protocol.card().name == top);
    let plain = PROTOCOLS
        .iter()
        .find(|protocol| protocol.card().needs == Some(stack.kind()));
    named
        .or(plain.filter(|_| stack.kind() == Kind::Stream))
        .copied()
}

/// What is dialled before the protocol of `stack` speaks: what stands beneath
/// its top layer where that is the protocol's own, or the whole stack.
pub fn ground(stack: &Stack) -> Stack {
    let top = stack.levels.first().map(|level| level.card.name);
    let speaks = protocol_for(stack).is_some_and(|protocol| Some(protocol.card().name) == top);
    stack
        .beneath()
        .filter(|_| speaks)
        .unwrap_or_else(|| stack.clone())
}
