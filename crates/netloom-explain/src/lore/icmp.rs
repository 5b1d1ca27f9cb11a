//! What routers and hosts say of packets that went nowhere (RFC 792, RFC 4443).

use netloom_base::Stage::{Connect, Send};

use super::{Meaning, Row, after};

pub(super) fn find(text: &str) -> Option<Meaning> {
    let (version, said) = match after(text, &["icmpv6", "icmp6"]) {
        Some(said) => ("ICMPv6", said),
        None => ("ICMP", after(text, &["icmpv4", "icmp"])?),
    };
    let (kind, code) = said.split_once(['/', ' ', ',', '.']).unwrap_or((said, "0"));
    let (kind, code): (u8, u8) = (kind.trim().parse().ok()?, code.trim().parse().ok()?);
    let exact = format!("{version} {kind}/{code}");
    let row = ROWS.iter().find(|row| row.name == exact)?;
    let read = if version == "ICMP" {
        "RFC 792; RFC 1812 §5.2.7"
    } else {
        "RFC 4443 §3"
    };
    Some(row.meaning("icmp", exact, String::new(), read))
}

macro_rules! rows {
    ($( $name:literal, $says:literal, [$($code:literal)*], [$($next:literal),+]; )*) => {
        pub(super) const ROWS: &[Row] = &[
            $( Row { name: $name, says: $says, stages: &[Connect, Send], codes: &[$($code),*], next: &[$($next),+] } ),*
        ];
    };
}

rows! {
    "ICMP 3/0", "network unreachable: a router has no route there",
        ["connect.unreachable.no-route" "send.rejected.firewall"], ["netloom explain HOST:PORT, which names the router", "tracepath HOST"];
    "ICMP 3/1", "host unreachable: the last router cannot find the host, which is off or not in its network",
        ["connect.unreachable.neighbour" "send.rejected.firewall"], ["netloom explain HOST:PORT, which names who said it", "ip neighbour"];
    "ICMP 3/2", "protocol unreachable: the host does not speak that protocol over IP, or a firewall says so",
        ["connect.rejected.firewall" "send.rejected.firewall"], ["netloom explain HOST:PORT"];
    "ICMP 3/3", "port unreachable: no program has that UDP port; in answer to TCP, a firewall's REJECT",
        ["connect.rejected.firewall" "send.refused.no-listener"], ["netloom explain HOST:PORT", "ss -lun, on the server"];
    "ICMP 3/4", "fragmentation needed: the packet is larger than the next link takes, which is how the path MTU is found",
        ["send.too-large"], ["tracepath HOST", "let it pass in every firewall: without it large packets vanish"];
    "ICMP 3/6", "network unknown to a router",
        ["connect.unreachable.no-route"], ["tracepath HOST"];
    "ICMP 3/7", "host unknown to a router",
        ["connect.unreachable.neighbour"], ["tracepath HOST"];
    "ICMP 3/9", "network administratively prohibited: a router's rule",
        ["connect.rejected.firewall" "send.rejected.firewall"], ["netloom explain HOST:PORT, which names the router", "ask its owner"];
    "ICMP 3/10", "host administratively prohibited: a rule of a router or of the host itself",
        ["connect.rejected.firewall" "send.rejected.firewall"], ["netloom explain HOST:PORT, which names who said it", "nft list ruleset, on that host"];
    "ICMP 3/13", "communication administratively prohibited: a rule of a router or of the host itself",
        ["connect.rejected.firewall" "send.rejected.firewall"], ["netloom explain HOST:PORT, which names who said it", "nft list ruleset, on that host"];
    "ICMP 11/0", "time exceeded: the packet's hops were used up, by a long way or by a loop",
        ["connect.unreachable.no-route"], ["tracepath HOST"];
    "ICMP 11/1", "a part of a packet was missing when its time was up",
        ["send.other"], ["send less in one datagram: 1,200 bytes"];
    "ICMPv6 1/0", "no route to the destination",
        ["connect.unreachable.no-route"], ["ip -6 route get ADDRESS", "tracepath -6 HOST"];
    "ICMPv6 1/1", "administratively prohibited: a rule of a router or of the host itself",
        ["connect.rejected.firewall" "send.rejected.firewall"], ["netloom explain HOST:PORT, which names who said it"];
    "ICMPv6 1/2", "the destination is beyond the scope of the source address: a link-local one cannot go out",
        ["bind.no-scope"], ["ip -6 address"];
    "ICMPv6 1/3", "address unreachable: the last router cannot find the host",
        ["connect.unreachable.neighbour"], ["ip -6 neighbour"];
    "ICMPv6 1/4", "port unreachable: no program has that UDP port; in answer to TCP, a firewall's REJECT",
        ["connect.rejected.firewall" "send.refused.no-listener"], ["netloom explain HOST:PORT"];
    "ICMPv6 1/5", "the source address failed a rule: ingress filtering",
        ["connect.rejected.firewall"], ["ip -6 route get ADDRESS, and look at src"];
    "ICMPv6 1/6", "the route itself says reject",
        ["connect.rejected.firewall"], ["ip -6 route"];
    "ICMPv6 2/0", "packet too big: the next link takes less, which is how the path MTU is found",
        ["send.too-large"], ["tracepath -6 HOST", "let it pass in every firewall: without it large packets vanish"];
    "ICMPv6 3/0", "hop limit exceeded on the way, by a long way or by a loop",
        ["connect.unreachable.no-route"], ["tracepath -6 HOST"];
}
