//! What bounds every listener and conversation.

use std::time::Duration;

use crate::settings;

settings! {
    /// The limits of one service. Every field is finite by default or
    /// says why not; all are settable wherever a service is made.
    pub struct Limits {
        /// connections open at once [default: the smaller of 10000 and 80 % of the descriptors]
        max_conns: Option<usize>,
        /// connections open at once from one address; loopback is not counted
        max_conns_per_source: usize = 1024,
        /// close a connection on which nothing moved for so long; 0s is never [default: the service's own]
        idle: Option<Duration>,
        /// how long a client that must speak first may stay silent
        greet_timeout: Duration = Duration::from_secs(10),
        /// close a connection after so long whatever it does [default: never]
        lifetime: Option<Duration>,
        /// how long connections may finish after the service was told to stop
        drain: Duration = Duration::from_secs(10),
    }
}

/// Connections open at once when nobody chose: the smaller of ten thousand and
/// four fifths of what the process may open.
pub const MAX_CONNS: usize = 10_000;

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_conns: None,
            max_conns_per_source: 1024,
            idle: None,
            greet_timeout: Duration::from_secs(10),
            lifetime: None,
            drain: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// The total for a process that may open `descriptors`.
    pub fn total(&self, descriptors: u64) -> usize {
        let share = usize::try_from(descriptors / 5 * 4)
            .unwrap_or(usize::MAX)
            .max(1);
        self.max_conns.unwrap_or(MAX_CONNS).clamp(1, share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    #[test]
    fn the_defaults_of_the_keys_are_the_defaults_of_the_struct() {
        assert_eq!(Limits::read(&Settings::new()).unwrap(), Limits::default());
    }

    #[test]
    fn the_total_leaves_descriptors_for_the_rest() {
        assert_eq!(Limits::default().total(1_000_000), 10_000);
        assert_eq!(Limits::default().total(1_000), 800);
        let wide = Limits {
            max_conns: Some(50_000),
            ..Limits::default()
        };
        assert_eq!(wide.total(20_000), 16_000);
        assert_eq!(Limits::default().total(0), 1);
    }
}
