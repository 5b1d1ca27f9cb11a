//! `forward`: what comes goes on to a target, and its answers come back.

mod account;
mod across;
mod reach;
mod service;
mod targets;

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use netloom_base::{Key, SettingError, Settings, settings};
use netloom_protocol::Offer;
use netloom_transport::Net;

use crate::balance::Rules;
use crate::registry::ServiceKind;
use service::Forwarder;
use targets::Targets;

pub use targets::as_bytes;

settings! {
    /// Where it is carried to, and how hard that is tried.
    struct ForwardSettings {
        /// where it goes, such as tcp://10.0.0.2:80,weight=3; of several one is chosen for each connection
        to: Vec<String>,
        /// how long a target may take to answer when it is dialled
        connect_timeout: Duration = Duration::from_secs(10),
        /// how many other targets are tried when one cannot be reached [default: all, at most 3]
        retries: Option<u32>,
        /// append a JSON line for each connection that ended to this file
        access_log: Option<PathBuf>,
        /// forget a client of datagrams when nothing came or went for so long
        session_idle: Duration = Duration::from_mins(1),
        /// so many clients of datagrams are remembered at once
        max_sessions: usize = 10_000,
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
            LazyLock::new(|| [ForwardSettings::KEYS, Rules::KEYS].concat());
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
        let mut own = settings.clone();
        let rules = own.take(Rules::KEYS);
        let (read, rules) = match (ForwardSettings::read(&own), Rules::read(&rules)) {
            (Ok(read), Ok(rules)) => (read, rules),
            (read, rules) => {
                let errors = [read.err(), rules.err()].into_iter().flatten();
                return Err(errors.flatten().collect());
            }
        };
        let span = |key: &str| settings.last(key).and_then(|setting| setting.span.clone());
        let targets = Targets::read(&read.to, &rules, span, net)?;
        Ok(Offer::Bytes(Forwarder::new(&targets, &read)))
    }
}
