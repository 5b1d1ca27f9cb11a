//! What this host's kernel knows of the very connection, and of its server
//! where that runs on this host too.

use std::net::SocketAddr;

use netloom_base::Kind;
use netloom_base::failure::Spoken;
use netloom_base::story::Told;
use netloom_transport::Cx;
use netloom_transport::probe::{Entry, Holder, Probe, TcpInfo};

/// What TCP agreed on and measured.
pub(super) fn tcp(info: &TcpInfo) -> Vec<Told> {
    let told = |text: String| Told::new("tcp", text, "sock_diag");
    let options = info.options;
    let mut agreed = Vec::new();
    let mut missing = Vec::new();
    if options.window_scale() {
        let (ours, theirs) = (info.rcv_wscale, info.snd_wscale);
        agreed.push(format!("window scale {ours} ours, {theirs} theirs"));
    } else {
        missing.push("window scaling");
    }
    for (on, name) in [
        (options.timestamps(), "timestamps"),
        (options.sack(), "SACK"),
        (options.ecn(), "ECN"),
    ] {
        if on {
            agreed.push(name.to_owned());
        } else {
            missing.push(name);
        }
    }
    if !missing.is_empty() {
        agreed.push(format!("no {}", missing.join(", no ")));
    }
    let mut lines = vec![
        told(format!(
            "MSS {} to the peer, {} from it; path MTU {}",
            info.snd_mss, info.advmss, info.pmtu
        )),
        told(agreed.join("; ")),
    ];
    let (rtt, least) = (Spoken(info.rtt), Spoken(info.min_rtt));
    let control = match info.congestion.name() {
        "" => String::new(),
        name => format!("; congestion control {name}"),
    };
    lines.push(told(format!("round trip {rtt}, {least} at least{control}")));
    if info.total_retrans > 0 {
        lines.push(told(format!(
            "{} segments were sent again",
            info.total_retrans
        )));
    }
    lines
}

/// The program at the other end of a conversation of this kind, where that is
/// this host.
pub(super) async fn server(
    local: SocketAddr,
    peer: SocketAddr,
    kind: Kind,
    probe: &Probe,
    cx: &Cx,
) -> Vec<Told> {
    if !is_here(local, peer, probe, cx).await {
        return Vec::new();
    }
    let (found, meets): (_, fn(&Entry, SocketAddr) -> bool) = match kind {
        Kind::Datagram => (
            probe.udp_sockets_on(cx, peer.port()).await,
            Entry::receives_for,
        ),
        // A connection that nobody has accepted yet belongs to the listener.
        _ => (probe.sockets_on(cx, peer.port()).await, Entry::listens_for),
    };
    let found = found.unwrap_or_default();
    let for_all = || found.iter().find(|entry| meets(entry, peer));
    match ours(&found, local, peer).or_else(for_all) {
        Some(entry) => held(entry.inode, entry.cgroup, Some(entry.uid), probe, cx).await,
        None => Vec::new(),
    }
}

async fn is_here(local: SocketAddr, peer: SocketAddr, probe: &Probe, cx: &Cx) -> bool {
    if peer.ip().is_loopback() || peer.ip() == local.ip() {
        return true;
    }
    let addresses = probe.addresses(cx).await.unwrap_or_default();
    addresses.iter().any(|own| own.ip == peer.ip())
}

/// The other end's socket for just these two ends.
fn ours(found: &[Entry], local: SocketAddr, peer: SocketAddr) -> Option<&Entry> {
    let same = |a: SocketAddr, b: SocketAddr| {
        a.port() == b.port() && a.ip().to_canonical() == b.ip().to_canonical()
    };
    let its =
        |entry: &&Entry| entry.inode != 0 && same(entry.local, peer) && same(entry.remote, local);
    found.iter().find(its)
}

/// The program behind the unix socket of this name.
pub(super) async fn unix_server(name: &str, probe: &Probe, cx: &Cx) -> Vec<Told> {
    let Some(name) = name.strip_prefix("unix:") else {
        return Vec::new();
    };
    let found = probe.unix_sockets(cx).await.unwrap_or_default();
    match found
        .iter()
        .find(|entry| entry.listens && entry.name == name)
    {
        Some(entry) => held(entry.inode, None, None, probe, cx).await,
        None => Vec::new(),
    }
}

async fn held(
    inode: u32,
    cgroup: Option<u64>,
    uid: Option<u32>,
    probe: &Probe,
    cx: &Cx,
) -> Vec<Told> {
    let holders = probe.holders(cx, vec![inode]).await;
    if let Some(holder) = holders.first() {
        let mut lines = vec![Told::new("server", program(holder), "/proc")];
        if holders.len() > 1 {
            let others = format!("{} more descriptors hold its socket", holders.len() - 1);
            lines.push(Told::new("server", others, "/proc"));
        }
        return lines;
    }
    let unit = match cgroup.filter(|id| *id > 1) {
        Some(id) => probe.unit(cx, id).await,
        None => None,
    };
    let line = |text: String, source: &'static str| vec![Told::new("server", text, source)];
    match (unit, uid) {
        (Some(unit), _) => line(format!("unit {unit} on this host"), "cgroup"),
        (None, Some(uid)) => line(
            format!("a process of uid {uid} on this host (its name is seen by root only)"),
            "sock_diag",
        ),
        (None, None) => Vec::new(),
    }
}

fn program(holder: &Holder) -> String {
    let unit = match &holder.unit {
        Some(unit) => format!(", unit {unit}"),
        None => String::new(),
    };
    format!(
        "process {} `{}`{unit}, on this host",
        holder.pid, holder.program
    )
}
