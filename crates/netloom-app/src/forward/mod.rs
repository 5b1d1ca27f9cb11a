//! `forward`: what comes goes on to a target, and its answers come back.

mod account;
mod across;
mod reach;
mod service;
mod targets;

use std::path::PathBuf;
use std::time::Duration;

use netloom_base::{Key, SettingError, Settings, settings};
use netloom_protocol::Offer;
use netloom_transport::Net;

use crate::registry::ServiceKind;
use service::Forwarder;
use targets::Targets;

pub use targets::as_bytes;

settings! {
    /// Where it is carried to, and how hard that is tried.
    struct ForwardSettings {
        /// where it goes, such as tcp://10.0.0.2:80; several are taken in turn
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
        ForwardSettings::KEYS
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
        let read = ForwardSettings::read(settings)?;
        let span = settings.last("to").and_then(|setting| setting.span.clone());
        let targets = Targets::read(&read.to, span.as_ref(), net)?;
        Ok(Offer::Bytes(Forwarder::new(targets, &read)))
    }
}
