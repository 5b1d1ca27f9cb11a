//! A multicast group that says nothing: what the kernel knows of it is asked
//! while the group is still joined, for the diagnosis comes after.

use std::net::SocketAddr;

use netloom_base::failure::{Fact, SilentGroup};
use netloom_base::{Endpoint, Failure, Stack};
use netloom_transport::Cx;
use netloom_transport::probe::{MulticastCounts, Probe};

/// A group that is waited for, and what the kernel had counted before.
pub(crate) struct Awaited {
    endpoint: Endpoint,
    group: SocketAddr,
    listens: bool,
    before: Option<MulticastCounts>,
}

impl Awaited {
    /// `None` when what is waited for is no group.
    pub(crate) async fn at(stack: &Stack, listens: bool, cx: &Cx) -> Option<Self> {
        let ip = stack.endpoint.host().ip()?;
        let port = stack.port()?;
        if !ip.is_multicast() {
            return None;
        }
        Some(Awaited {
            endpoint: stack.endpoint.clone(),
            group: SocketAddr::new(ip, port),
            listens,
            before: Probe::new().multicast_counts(cx, ip.is_ipv6()).await,
        })
    }

    /// Adds what is known of the group to the failure that nothing was heard.
    pub(crate) async fn told(&self, failure: Failure, cx: &Cx) -> Failure {
        let (probe, ip) = (Probe::new(), self.group.ip());
        let joined = probe.memberships(cx, ip).await;
        let after = probe.multicast_counts(cx, ip.is_ipv6()).await;
        let before = self.before;
        let since = |count: fn(MulticastCounts) -> Option<u64>| {
            Some(count(after?)?.saturating_sub(count(before?)?))
        };
        let silent = SilentGroup {
            group: self.group,
            listens: self.listens,
            joined: joined.map(|joined| {
                let each = joined.into_iter();
                each.map(|one| (one.name, one.sockets)).collect()
            }),
            arrived: since(|counts| Some(counts.arrived)),
            wrong_way: since(|counts| counts.wrong_way),
        };
        let silent = Fact::Silent(Box::new(silent));
        failure.fact(silent).at(&self.endpoint)
    }
}
