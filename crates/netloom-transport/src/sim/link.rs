//! What lies between two hosts.

use std::time::Duration;

use netloom_base::Moment;

/// How one link carries, in each direction alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// How long every packet takes.
    pub delay: Duration,
    /// How much longer a packet may take, evenly spread.
    pub jitter: Duration,
    /// Bytes per second; `None` is without limit.
    pub bandwidth: Option<u64>,
    /// The part of packets that is lost, 0 to 1. A stream sends again what was
    /// lost, later; it never misses a byte.
    pub loss: f64,
    /// The part of datagrams that arrives twice, 0 to 1.
    pub doubled: f64,
    /// The part of datagrams that is held back and overtaken, 0 to 1.
    pub reordered: f64,
    /// How many bytes of a stream may be on their way or unread in one
    /// direction; then its writer waits.
    pub window: usize,
    /// How many bytes of a stream travel in one packet.
    pub segment: usize,
}

impl Default for Link {
    /// A good local network.
    fn default() -> Self {
        Link {
            delay: Duration::from_millis(1),
            jitter: Duration::from_micros(100),
            bandwidth: None,
            loss: 0.0,
            doubled: 0.0,
            reordered: 0.0,
            window: 64 * 1024,
            segment: 16 * 1024,
        }
    }
}

impl Link {
    /// From a host to itself.
    pub fn loopback() -> Self {
        Link {
            delay: Duration::from_micros(20),
            jitter: Duration::ZERO,
            ..Link::default()
        }
    }

    /// The same with another delay and jitter.
    pub fn delayed(self, delay: Duration, jitter: Duration) -> Self {
        Link {
            delay,
            jitter,
            ..self
        }
    }

    /// The same with so many bytes per second.
    pub fn limited(self, bytes_per_second: u64) -> Self {
        Link {
            bandwidth: Some(bytes_per_second.max(1)),
            ..self
        }
    }

    /// The same with this part of packets lost.
    pub fn lossy(self, loss: f64) -> Self {
        Link {
            loss: loss.clamp(0.0, 1.0),
            ..self
        }
    }

    /// How long a sender waits before it sends again (RFC 6298, with Linux's
    /// lower bound).
    pub(super) fn again(&self) -> Duration {
        Duration::from_millis(200) + self.delay * 2 + self.jitter * 2
    }
}

/// How long the queue before a slow link may grow before datagrams are dropped.
const LONGEST_QUEUE: Duration = Duration::from_secs(1);

/// One direction of a link, with what is under way on it.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) link: Link,
    pub(super) cut: bool,
    /// When the last packet has left.
    free: Moment,
}

impl Line {
    pub(super) fn new(link: Link) -> Self {
        Line {
            link,
            cut: false,
            free: Moment::default(),
        }
    }

    /// When a packet of a stream that is sent now arrives, after as many losses
    /// as chance has it.
    pub(super) fn carries(
        &mut self,
        now: Moment,
        bytes: usize,
        random: &mut fastrand::Rng,
    ) -> Moment {
        let mut arrives = self.leaves(now, bytes) + self.takes(random);
        // What is always lost would never arrive; a cut says that better.
        while random.f64() < self.link.loss.min(0.9) {
            arrives = arrives + self.link.again();
        }
        arrives
    }

    /// When a datagram arrives; not at all when it is lost, twice when doubled.
    pub(super) fn throws(
        &mut self,
        now: Moment,
        bytes: usize,
        random: &mut fastrand::Rng,
    ) -> Vec<Moment> {
        if self.cut || random.f64() < self.link.loss || self.free - now > LONGEST_QUEUE {
            return Vec::new();
        }
        let left = self.leaves(now, bytes);
        let copies = 1 + usize::from(random.f64() < self.link.doubled);
        (0..copies)
            .map(|_| {
                let late = random.f64() < self.link.reordered;
                let held = if late {
                    self.link.delay + self.link.jitter
                } else {
                    Duration::ZERO
                };
                left + self.takes(random) + held
            })
            .collect()
    }

    /// Whether a packet that is sent now gets through at all.
    pub(super) fn passes(&self, random: &mut fastrand::Rng) -> bool {
        !self.cut && random.f64() >= self.link.loss
    }

    /// How long one packet is under way.
    pub(super) fn takes(&self, random: &mut fastrand::Rng) -> Duration {
        let jitter = u64::try_from(self.link.jitter.as_nanos()).unwrap_or(u64::MAX);
        self.link.delay + Duration::from_nanos(random.u64(0..=jitter))
    }

    fn leaves(&mut self, now: Moment, bytes: usize) -> Moment {
        let Some(bandwidth) = self.link.bandwidth else {
            return now;
        };
        let sending = Duration::from_secs_f64(bytes as f64 / bandwidth.max(1) as f64);
        self.free = self.free.max(now) + sending;
        self.free
    }
}
