//! The kinds of service there are.

use netloom_base::{Key, SettingError, Settings};
use netloom_protocol::Offer;
use netloom_transport::Net;

/// One kind of service: what `serve KIND`, `--KIND` and `kind = "KIND"` name.
pub trait ServiceKind: Send + Sync {
    /// The word.
    fn name(&self) -> &'static str;

    /// What it does, one sentence, lower case, no full stop.
    fn help(&self) -> &'static str;

    /// The settings it reads.
    fn keys(&self) -> &'static [Key];

    /// The key that takes the value of `--KIND VALUE`; `None` where `--KIND` is
    /// a switch.
    fn main_key(&self) -> Option<&'static str> {
        None
    }

    /// Whether a verb of its name has its flags, so that `listen` needs none of
    /// them but `--KIND`.
    fn has_verb(&self) -> bool {
        false
    }

    /// An example of its settings, as they stand in a file.
    fn example(&self) -> &'static str {
        ""
    }

    /// Makes the offer, or says everything that is wrong with the settings. A
    /// kind that dials asks `net` what its endpoints mean; nothing is opened yet.
    fn build(&self, settings: &Settings, net: &dyn Net) -> Result<Offer, Vec<SettingError>>;
}

/// Every kind of this build.
pub static KINDS: &[&dyn ServiceKind] = &[
    &crate::echo::Echo,
    &crate::discard::Discard,
    &crate::reply::Reply,
    &crate::time::Time,
    &crate::chargen::Chargen,
    &crate::exec::Exec,
    &crate::collect::Collect,
    &crate::forward::Forward,
    &crate::chat::ChatKind,
];

/// The kind of that name.
pub fn kind(name: &str) -> Option<&'static dyn ServiceKind> {
    KINDS.iter().find(|kind| kind.name() == name).copied()
}

#[cfg(test)]
mod tests {
    use netloom_transport::sim::Sim;

    use super::*;

    #[test]
    fn kinds_have_unique_names_help_and_documented_keys() {
        for (i, kind) in KINDS.iter().enumerate() {
            assert!(
                KINDS[..i].iter().all(|other| other.name() != kind.name()),
                "{} stands twice",
                kind.name()
            );
            assert!(
                !kind.help().is_empty() && !kind.help().ends_with('.'),
                "{}",
                kind.name()
            );
            for key in kind.keys() {
                assert!(
                    !key.help.is_empty() && !key.help.ends_with('.'),
                    "{} {}",
                    kind.name(),
                    key.name
                );
            }
            if let Some(main) = kind.main_key() {
                assert!(kind.keys().iter().any(|key| key.name == main));
            }
        }
    }

    #[test]
    fn every_kind_says_what_it_does_not_know() {
        let net = Sim::new(1);
        let cx = net.host("here");
        for kind in KINDS {
            let settings = Settings::new().with("no-such-key", "1");
            let Err(errors) = kind.build(&settings, cx.net()) else {
                panic!("{} took an unknown key", kind.name());
            };
            assert!(
                errors.iter().any(|e| e.key == "no-such-key"),
                "{}",
                kind.name()
            );
        }
    }
}
