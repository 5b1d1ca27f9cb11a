//! Who may come in: a permit before every accept, a count for every source.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// The door of one service.
#[derive(Debug)]
pub struct Guard {
    total: usize,
    per_source: usize,
    open: AtomicUsize,
    freed: Notify,
    sources: Mutex<HashMap<IpAddr, usize>>,
    refused: AtomicU64,
    /// Those whom a layer turned away, by its setting that says so.
    turned_away: Mutex<Vec<(&'static str, u64)>>,
    most: AtomicUsize,
}

/// The right to one open connection. Dropping it gives the right back.
#[derive(Debug)]
pub struct Permit {
    guard: Arc<Guard>,
    source: Option<IpAddr>,
}

impl Guard {
    /// A door for `total` connections at once, and `per_source` from one
    /// address other than loopback (0: as many as the total).
    pub fn new(total: usize, per_source: usize) -> Arc<Self> {
        Arc::new(Guard {
            total: total.max(1),
            per_source,
            open: AtomicUsize::new(0),
            freed: Notify::new(),
            sources: Mutex::new(HashMap::new()),
            refused: AtomicU64::new(0),
            turned_away: Mutex::default(),
            most: AtomicUsize::new(0),
        })
    }

    /// Waits until one more connection may be open. Cancel-safe.
    pub async fn permit(self: &Arc<Self>) -> Permit {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if let Some(permit) = self.try_permit() {
                return permit;
            }
            freed.await;
        }
    }

    /// A permit if one is free.
    pub fn try_permit(self: &Arc<Self>) -> Option<Permit> {
        let take = |open: usize| (open < self.total).then_some(open + 1);
        let before = self
            .open
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
            .ok()?;
        self.most.fetch_max(before + 1, Ordering::Relaxed);
        Some(Permit {
            guard: self.clone(),
            source: None,
        })
    }

    /// How many may be open at once.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Connections open now, permits waiting for an accept among them.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// The most that were open at once.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// Connections turned away since the last call, by the number that may come
    /// from one source.
    pub fn take_refused(&self) -> u64 {
        self.refused.swap(0, Ordering::Relaxed)
    }

    /// Connections that layers turned away since the last call, by the setting
    /// of theirs that says so.
    pub fn take_turned_away(&self) -> Vec<(&'static str, u64)> {
        std::mem::take(&mut *self.layers())
    }

    fn layers(&self) -> std::sync::MutexGuard<'_, Vec<(&'static str, u64)>> {
        let held = self.turned_away.lock();
        held.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Counts the connection for its source. `false`: that source has too many
    /// open already, and the connection must be reset.
    pub fn admit(&mut self, source: Option<IpAddr>) -> bool {
        let Some(source) = source.filter(|ip| !ip.to_canonical().is_loopback()) else {
            return true;
        };
        if self.guard.per_source == 0 {
            return true;
        }
        let mut sources = self
            .guard
            .sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let open = sources.entry(source).or_default();
        if *open >= self.guard.per_source {
            self.guard.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        *open += 1;
        self.source = Some(source);
        true
    }

    /// Counts the connection with those that were turned away after all.
    pub(crate) fn turned_away(&self, by: &'static str) {
        let mut layers = self.guard.layers();
        match layers.iter_mut().find(|(own, _)| *own == by) {
            Some((_, count)) => *count += 1,
            None => layers.push((by, 1)),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(source) = self.source {
            let mut sources = self
                .guard
                .sources
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(open) = sources.get_mut(&source) {
                *open -= 1;
                if *open == 0 {
                    sources.remove(&source);
                }
            }
        }
        self.guard.open.fetch_sub(1, Ordering::AcqRel);
        self.guard.freed.notify_one();
    }
}

/// How many descriptors this process may open, after raising the soft limit to
/// the hard one. Where the platform has no such limit, a large number.
pub fn raise_descriptor_limit() -> u64 {
    crate::sys::raise_descriptor_limit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_total_and_each_is_given_back() {
        let guard = Guard::new(2, 0);
        let first = guard.try_permit();
        let second = guard.try_permit();
        assert!(first.is_some() && second.is_some() && guard.try_permit().is_none());
        drop(first);
        assert!(guard.try_permit().is_some());
        drop(second);
        assert_eq!((guard.open(), guard.most()), (0, 2));
    }

    #[test]
    fn a_source_is_counted_and_loopback_is_not() {
        let guard = Guard::new(10, 1);
        let far = Some(IpAddr::from([192, 0, 2, 1]));
        let near = Some(IpAddr::from([127, 0, 0, 1]));
        let mut permits: Vec<_> = (0..4).filter_map(|_| guard.try_permit()).collect();
        assert!(permits[0].admit(far));
        assert!(!permits[1].admit(far));
        assert!(permits[2].admit(near) && permits[3].admit(near));
        assert_eq!(guard.take_refused(), 1);
        permits.clear();
        let mut again = guard.try_permit().expect("all were given back");
        assert!(again.admit(far));
    }

    #[tokio::test]
    async fn whoever_waits_comes_in_when_one_leaves() {
        let guard = Guard::new(1, 0);
        let permit = guard.permit().await;
        let waiting = {
            let guard = guard.clone();
            async move { guard.permit().await }
        };
        let (_second, ()) = tokio::join!(waiting, async { drop(permit) });
        assert_eq!(guard.open(), 1);
    }
}
