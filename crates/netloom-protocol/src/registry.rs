//! The protocols there are. A protocol is one folder and one line here.

use std::sync::Arc;

use netloom_base::{Card, Failure, Key, Kind, SettingError, Settings, Stack};
use netloom_transport::{BoxFuture, Conn, Cx, Layer};

use crate::datagrams::Answering;
use crate::greeting::{Greeted, Visit};
use crate::offer::Offer;
use crate::raw::Carriage;
use crate::service::Service;

/// A protocol: how it carries an application's offer.
pub trait Protocol: Send + Sync {
    /// What it is.
    fn card(&self) -> &'static Card;

    /// The settings it reads where it serves.
    fn keys(&self) -> &'static [Key] {
        &[]
    }

    /// What of those cannot be read, where no offer is at hand.
    fn misread(&self, settings: &Settings) -> Vec<SettingError> {
        let _ = settings;
        Vec::new()
    }

    /// The service that holds one conversation of `offer` in this protocol, or
    /// why it cannot. Without a word of its own it carries nothing yet.
    fn service_for(
        &self,
        offer: &Offer,
        settings: &Settings,
    ) -> Result<Arc<dyn Service>, Vec<SettingError>> {
        let _ = settings;
        Err(offer.not_yet(self.card().name))
    }

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
pub static PROTOCOLS: &[&dyn Protocol] = &[
    &crate::raw::Raw,
    &crate::http::HTTP,
    &crate::websocket::WebSocket,
    &crate::ssh::Ssh,
    &crate::mail::Smtp,
    &crate::ftp::Ftp,
    &crate::mqtt::Mqtt,
];

/// The settings that protocols read where they serve, whatever the kind: they
/// stand beside the kind's own.
pub fn keys() -> Vec<Key> {
    let all = PROTOCOLS.iter().flat_map(|protocol| protocol.keys());
    all.copied().collect()
}

/// What of them cannot be read by whoever reads it.
pub fn misread(settings: &Settings) -> Vec<SettingError> {
    let of = |protocol: &&dyn Protocol| protocol.misread(&settings.clone().take(protocol.keys()));
    PROTOCOLS.iter().flat_map(of).collect()
}

/// What answers `offer` on `stack`, or why nothing can.
///
/// # Errors
/// One for each thing that is wrong; its key is `on` where the stack is.
/// `settings` are those of [`keys`].
pub fn answering(
    stack: &Stack,
    offer: &Offer,
    settings: &Settings,
) -> Result<Answering, Vec<SettingError>> {
    let refused = |message: String| Err(vec![SettingError::new("on", None, message)]);
    let carriage = settings.last("framing").is_some();
    if let Some(mut error) = offer.refuses(stack.kind(), carriage) {
        if error.suggestion.is_none() && stack.kind() != Kind::Stream {
            let beneath = stack.giving(Kind::Stream);
            error.suggestion = beneath.map(|stream| stream.in_short().to_string());
        }
        return Err(vec![error]);
    }
    if stack.kind() == Kind::Datagram && carriage {
        let carriage = Carriage::read(settings)?;
        let longest = carriage.longest();
        let framed = carriage
            .framing()
            .and_then(|f| offer.framed_datagrams(f, longest));
        if let Some(service) = framed {
            return Ok(Answering::Datagrams(service));
        }
    }
    if stack.kind() == Kind::Datagram {
        if let Some(setting) = settings.iter().next() {
            let (key, span) = (&setting.key, setting.span.clone());
            let message = format!("`{key}` is for streams, and datagrams are messages already");
            return Err(vec![SettingError::new(key, span, message)]);
        }
        return match offer.datagrams() {
            Some(service) => Ok(Answering::Datagrams(service)),
            None => refused(format!("{} cannot be carried by datagrams", offer.word())),
        };
    }
    match protocol_for(stack) {
        Some(protocol) => match settings.unknown(protocol.keys()) {
            errors if errors.is_empty() => {
                protocol.service_for(offer, settings).map(Answering::Conns)
            }
            errors => Err(errors),
        },
        None => refused(format!(
            "it is served over {}, and this gives {}",
            Kind::Stream,
            stack.kind()
        )),
    }
}

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

/// The protocol that the top of `stack` names; `None` for plain bytes, and where
/// it is a layer alone.
pub fn spoken_on(stack: &Stack) -> Option<&'static dyn Protocol> {
    let top = stack.levels.first()?.card.name;
    protocol_for(stack).filter(|protocol| protocol.card().name == top)
}

/// What is dialled before the protocol of `stack` speaks: what stands beneath
/// its top layer where that is the protocol's own, or the whole stack.
pub fn ground(stack: &Stack) -> Stack {
    let beneath = spoken_on(stack).and_then(|_| stack.beneath());
    beneath.unwrap_or_else(|| stack.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use netloom_base::failure::catalogue;
    use netloom_base::{Address, Opens, Role, Scheme, Schemes};
    use netloom_transport::Transport;
    use netloom_transport::tcp::Tcp;

    use super::*;
    use crate::service::from_fn;

    #[test]
    fn words_and_codes_are_said_once() {
        let cards = || PROTOCOLS.iter().map(|protocol| protocol.card());
        let mut words = HashSet::new();
        let schemes = cards().flat_map(|card| card.schemes);
        assert!(
            schemes
                .map(|scheme| scheme.name)
                .all(|name| words.insert(name))
        );
        let mut codes: HashSet<&str> = catalogue().map(|row| row.code).collect();
        for row in cards().flat_map(|card| card.codes) {
            assert!(codes.insert(row.code), "{} stands twice", row.code);
            assert!(row.sentence.starts_with(char::is_lowercase), "{}", row.code);
            assert!(!row.sentence.ends_with('.'), "{}", row.code);
        }
    }

    #[test]
    fn who_carries_nothing_yet_says_so() {
        let service = from_fn(|conn, cx| async move { crate::service::finish(conn, &cx).await });
        let offer = Offer::Bytes(Arc::new(service));
        for name in ["ssh", "smtp", "ftp", "mqtt"] {
            let protocol = PROTOCOLS
                .iter()
                .find(|protocol| protocol.card().name == name)
                .unwrap();
            let errors = protocol
                .service_for(&offer, &Settings::new())
                .err()
                .unwrap();
            let said = format!("`{name}` cannot carry a stream of bytes yet");
            assert_eq!(errors[0].to_string(), said);
        }
    }

    /// A layer that gives messages and is no protocol.
    static FRAMES: Card = Card {
        name: "frames",
        summary: "messages",
        schemes: &[Scheme {
            name: "frames",
            over: &["tcp"],
            default_port: None,
        }],
        address: Address::HostPort,
        owns_path: false,
        owns_query: false,
        needs: Some(Kind::Stream),
        gives: Kind::Messages,
        encrypts: false,
        rfcs: &[],
        dial_keys: &[],
        bind_keys: &[],
        codes: &[],
        opens: Opens::Either,
    };

    #[test]
    fn what_gives_messages_is_refused_before_anybody_is_let_in() {
        let endpoint = "frames://:7".parse().unwrap();
        let schemes = Schemes::new([Tcp.card(), &FRAMES]);
        let stack = schemes.stack(&endpoint, Role::Bind).unwrap();
        let bytes = from_fn(|conn, cx| async move { crate::service::finish(conn, &cx).await });
        let messages = crate::service::each_message(Nothing);
        for offer in [Offer::Bytes(Arc::new(bytes)), Offer::Messages(messages)] {
            for settings in [Settings::new(), Settings::new().with("framing", "lines")] {
                let errors = answering(&stack, &offer, &settings).unwrap_err();
                let said = "it is served over a stream, and this gives messages";
                assert_eq!((&*errors[0].key, &*errors[0].message), ("on", said));
            }
        }
    }

    struct Nothing;

    impl crate::Answer for Nothing {
        fn answer<'r>(&'r self, _: &'r [u8], _: &Cx) -> Option<std::borrow::Cow<'r, [u8]>> {
            None
        }
    }
}
