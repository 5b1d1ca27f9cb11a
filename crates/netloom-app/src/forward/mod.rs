//! `forward`: what comes goes on to a target, and its answers come back.

mod account;
mod across;
mod convey;
mod datagrams;
mod names;
mod reach;
mod service;
mod targets;
mod untold;

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use netloom_base::{Key, SettingError, Settings, settings};
use netloom_protocol::Offer;
use netloom_transport::Net;

use crate::balance::Rules;
use crate::registry::ServiceKind;
use datagrams::SessionRules;
use service::Forwarder;

pub use targets::as_bytes;

settings! {
    /// Where it is carried to, and how hard that is tried.
    struct ForwardSettings {
        /// where it goes, such as tcp://10.0.0.2:80,weight=3; of several one is chosen for each connection
        to: Vec<String>,
        /// where TLS clients go by the name they ask for, with their TLS as it is, such as a.example=tcp://10.0.0.2:443; *.example and default lead the others
        route: Vec<String>,
        /// how long a target may take to answer when it is dialled
        connect_timeout: Duration = Duration::from_secs(10),
        /// how many other targets are tried when one cannot be reached [default: all, at most 3]
        retries: Option<u32>,
        /// append a JSON line for each connection that ended to this file
        access_log: Option<PathBuf>,
    }
}

/// All that the kind reads.
struct Choices {
    own: ForwardSettings,
    rules: Rules,
    sessions: SessionRules,
}

impl Choices {
    /// Reads them. Every mistake is reported, not only the first.
    fn read(settings: &Settings) -> Result<Self, Vec<SettingError>> {
        let mut own = settings.clone();
        let rules = Rules::read(&own.take(Rules::KEYS));
        let sessions = SessionRules::read(&own.take(SessionRules::KEYS));
        match (ForwardSettings::read(&own), rules, sessions) {
            (Ok(own), Ok(rules), Ok(sessions)) => Ok(Choices {
                own,
                rules,
                sessions,
            }),
            (own, rules, sessions) => {
                let errors = [own.err(), rules.err(), sessions.err()];
                Err(errors.into_iter().flatten().flatten().collect())
            }
        }
    }
}

/// The kind `forward`.
#[derive(Debug, Clone, Copy)]
pub struct Forward;

impl ServiceKind for Forward {
    fn name(&self) -> &'static str {
        "forward"
    }

    fn help(&self) -> &'static str {
        "carry every connection to a target and back"
    }

    fn keys(&self) -> &'static [Key] {
        static KEYS: LazyLock<Vec<Key>> =
            LazyLock::new(|| [ForwardSettings::KEYS, Rules::KEYS, SessionRules::KEYS].concat());
        &KEYS
    }

    fn main_key(&self) -> Option<&'static str> {
        Some("to")
    }

    fn has_verb(&self) -> bool {
        true
    }

    fn example(&self) -> &'static str {
        "to = [\"tcp://10.0.0.2:80\"]"
    }

    fn build(&self, settings: &Settings, net: &dyn Net) -> Result<Offer, Vec<SettingError>> {
        let made = Choices::read(settings).and_then(|choices| Forwarder::new(&choices, net));
        let placed = |mut error: SettingError| {
            let written = settings.last(&error.key);
            error.span = error.span.or_else(|| written.and_then(|s| s.span.clone()));
            error
        };
        made.map(|forwarder| Offer::Bytes(forwarder))
            .map_err(|errors| errors.into_iter().map(placed).collect())
    }
}
