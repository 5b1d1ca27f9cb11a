//! The protocols there are. A protocol is one folder and one line here.

use std::sync::Arc;

use netloom_base::{Card, Kind, SettingError, Settings, Stack};
use netloom_transport::Layer;

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
