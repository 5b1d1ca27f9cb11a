//! `collect`: what every client sends becomes a file, whole or not at all.

#[cfg(target_os = "linux")]
mod folder;
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "nothing is collected there")
)]
mod name;
#[cfg(target_os = "linux")]
mod service;

use std::path::PathBuf;

use netloom_base::settings::ByteSize;
use netloom_base::{Key, SettingError, Settings, settings};
use netloom_protocol::Offer;
use netloom_transport::Net;

use self::name::Template;
use crate::registry::ServiceKind;

settings! {
    /// Where the files go, what they are called, and how much they may hold.
    struct CollectSettings {
        /// the folder the files go to; it must be there
        into: PathBuf,
        /// what a file is called: {time}, {peer} and {conn} are filled in
        name: Template = Template::usual(),
        /// do not wait for the disk (fsync(2)) before a file gets its name
        no_sync: bool,
        /// keep what a client broke off, as NAME.partial
        keep_partial: bool,
        /// one file may hold so much
        max_bytes: ByteSize = ByteSize(1 << 30),
        /// the folder may hold so much
        max_total: ByteSize = ByteSize(10 << 30),
        /// so much of the disk stays free
        min_free: ByteSize = ByteSize(100 << 20),
    }
}

/// What bounds a folder.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy)]
struct Quotas {
    max_bytes: u64,
    max_total: u64,
    min_free: u64,
    keep_partial: bool,
}

/// The kind `collect`.
#[derive(Debug, Clone, Copy)]
pub struct Collect;

impl ServiceKind for Collect {
    fn name(&self) -> &'static str {
        "collect"
    }

    fn help(&self) -> &'static str {
        "write what each client sends to a file of its own"
    }

    fn keys(&self) -> &'static [Key] {
        CollectSettings::KEYS
    }

    fn main_key(&self) -> Option<&'static str> {
        Some("into")
    }

    fn example(&self) -> &'static str {
        "into = \"/var/spool/in\""
    }

    fn build(&self, settings: &Settings, _: &dyn Net) -> Result<Offer, Vec<SettingError>> {
        let read = CollectSettings::read(settings)?;
        offer(read)
    }
}

#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "other systems refuse here")]
fn offer(read: CollectSettings) -> Result<Offer, Vec<SettingError>> {
    Ok(Offer::Bytes(std::sync::Arc::new(service::Collector::new(
        read,
    ))))
}

#[cfg(not(target_os = "linux"))]
fn offer(read: CollectSettings) -> Result<Offer, Vec<SettingError>> {
    let CollectSettings { into, .. } = read;
    let message = format!(
        "`{}`: files are collected on Linux only, so far",
        into.display()
    );
    Err(vec![SettingError::new("into", None, message)])
}
