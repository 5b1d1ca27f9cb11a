//! A multicast group that is waited for: what the kernel knows of it is asked
//! while the group is still joined, for the diagnosis comes after.

use std::net::SocketAddr;

use netloom_base::failure::{Fact, SilentGroup};
use netloom_base::{Endpoint, Failure, Kind, Stack};
use netloom_transport::Cx;
use netloom_transport::probe::{MulticastCounts, Probe};

/// A group that is waited for, and what the kernel had counted before.
#[derive(Debug)]
pub struct Awaited {
    endpoint: Endpoint,
    group: SocketAddr,
    listens: bool,
    before: Option<MulticastCounts>,
}

/// The group that a stack leads to, when it leads to one.
pub fn group_of(stack: &Stack) -> Option<SocketAddr> {
    let ip = stack.endpoint.host().ip()?;
    let leads = stack.kind() == Kind::Datagram && ip.is_multicast();
    let port = stack.port().filter(|_| leads)?;
    Some(SocketAddr::new(ip, port))
}

impl Awaited {
    /// Notes what was counted until now; `None` when what is waited for is no
    /// group. `listens` is for whoever waits for everybody who speaks, and not
    /// for an answer to what it says there itself.
    pub async fn at(stack: &Stack, listens: bool, probe: &Probe, cx: &Cx) -> Option<Self> {
        let group = group_of(stack)?;
        Some(Awaited {
            endpoint: stack.endpoint.clone(),
            group,
            listens,
            before: probe.multicast_counts(cx, group.is_ipv6()).await,
        })
    }

    /// Adds what is known of the group to the failure that nothing was heard.
    pub async fn told(&self, failure: Failure, probe: &Probe, cx: &Cx) -> Failure {
        let ip = self.group.ip();
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
            unwanted: since(|counts| counts.unwanted),
        };
        let silent = Fact::Silent(Box::new(silent));
        failure.fact(silent).at(&self.endpoint)
    }
}
