//! Multicast groups: where this host has joined them, and what came of them
//! (proc(5)). A system without these files does not say.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A group that this host has joined on one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The number of the interface.
    pub interface: u32,
    /// Its name.
    pub name: String,
    /// How many sockets asked for it.
    pub sockets: u32,
}

/// Multicast packets since the network namespace began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MulticastCounts {
    /// Those of any group that were taken.
    pub arrived: u64,
    /// Packets of whatever kind that were dropped because their sender is not
    /// reached by the interface they came in by; IPv6 has no such filter.
    pub wrong_way: Option<u64>,
    /// Datagrams to a group or to everybody that came for no socket: a program
    /// joined the group, and none has the port open.
    pub unwanted: Option<u64>,
}

pub(super) fn memberships(group: IpAddr) -> Option<Vec<Membership>> {
    match group {
        IpAddr::V4(group) => {
            let table = fs::read_to_string("/proc/thread-self/net/igmp").ok()?;
            Some(of_igmp(&table, group))
        }
        IpAddr::V6(group) => {
            let table = fs::read_to_string("/proc/thread-self/net/igmp6").ok()?;
            Some(of_igmp6(&table, group))
        }
    }
}

/// A line for each interface, and below it one for each group, whose address
/// is the number that its four bytes are on this machine.
fn of_igmp(table: &str, asked: Ipv4Addr) -> Vec<Membership> {
    let (mut found, mut at) = (Vec::new(), None);
    for line in table.lines().skip(1) {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        if !line.starts_with(|c: char| c.is_ascii_whitespace()) {
            let name = words.next().map(|name| name.trim_end_matches(':'));
            at = first.parse::<u32>().ok().zip(name);
            continue;
        }
        let group = u32::from_str_radix(first, 16).map(|n| Ipv4Addr::from(n.to_ne_bytes()));
        let sockets = words.next().and_then(|n| n.parse().ok());
        if let (Ok(group), Some(sockets), Some((interface, name))) = (group, sockets, at)
            && group == asked
        {
            found.push(Membership {
                interface,
                name: name.to_owned(),
                sockets,
            });
        }
    }
    found
}

/// A line for each group of each interface: number, name, group, sockets.
fn of_igmp6(table: &str, asked: Ipv6Addr) -> Vec<Membership> {
    let lines = table.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let interface = words.next()?.parse().ok()?;
        let name = words.next()?.to_owned();
        let group = u128::from_str_radix(words.next()?, 16).ok()?;
        let sockets = words.next()?.parse().ok()?;
        (Ipv6Addr::from_bits(group) == asked).then_some(Membership {
            interface,
            name,
            sockets,
        })
    });
    lines.collect()
}

/// How often two tables are read that shall tell of one moment.
const TRIES: u32 = 8;

pub(super) fn counts(v6: bool) -> Option<MulticastCounts> {
    if v6 {
        let table = fs::read_to_string("/proc/thread-self/net/snmp6").ok()?;
        let named = |name| {
            let mut lines = table.lines();
            lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        };
        return Some(MulticastCounts {
            arrived: named("Ip6InMcastPkts")?,
            wrong_way: None,
            unwanted: named("Udp6IgnoredMulti"),
        });
    }
    let netstat = || fs::read_to_string("/proc/thread-self/net/netstat").ok();
    let mut table = netstat()?;
    // Two tables tell of one moment when nothing came while both were read.
    for left in (0..TRIES).rev() {
        let datagrams = fs::read_to_string("/proc/thread-self/net/snmp").unwrap_or_default();
        let arrived = counted(&table, "IpExt:", "InMcastPkts")?;
        let later = netstat()?;
        if left == 0 || counted(&later, "IpExt:", "InMcastPkts") == Some(arrived) {
            return Some(MulticastCounts {
                arrived,
                wrong_way: counted(&table, "TcpExt:", "IPReversePathFilter"),
                unwanted: counted(&datagrams, "Udp:", "IgnoredMulti"),
            });
        }
        table = later;
    }
    None
}

/// A number of a table whose lines come in pairs: names, then values.
fn counted(table: &str, begin: &str, name: &str) -> Option<u64> {
    let mut lines = table.lines().filter(|line| line.starts_with(begin));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names
        .split_ascii_whitespace()
        .position(|word| word == name)?;
    values.split_ascii_whitespace().nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_on_the_interfaces_that_joined_it() {
        let group = Ipv4Addr::new(239, 1, 2, 3);
        let number = u32::from_ne_bytes(group.octets());
        let table = format!(
            "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
             1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n\
             7\teth0      :     2      V3\n\t\t\t\t{number:08X}     2 0:00000000\t\t0\n\
             \t\t\t\t010000E0     1 0:00000000\t\t0\n"
        );
        let found = of_igmp(&table, group);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].interface, &*found[0].name, found[0].sockets),
            (7, "eth0", 2)
        );
        let table = "2    eth0            ff020000000000000000000000000114     1 00000004 0\n\
                     1    lo              ff020000000000000000000000000001     1 0000000C 0\n";
        let found = of_igmp6(table, "ff02::114".parse().unwrap());
        assert_eq!((found.len(), &*found[0].name), (1, "eth0"));
        assert!(
            of_igmp("", group).is_empty()
                && of_igmp6("x\n2 eth0", "ff02::1".parse().unwrap()).is_empty()
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_group_that_this_program_joins_is_told_by_the_kernel() {
        let group = Ipv4Addr::new(239, 17, 4, 99);
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket
            .join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)
            .is_err()
        {
            eprintln!("skipped: no group can be joined on loopback here");
            assert!(std::env::var("CI").is_err());
            return;
        }
        let found = memberships(group.into()).unwrap();
        assert_eq!((&*found[0].name, found[0].sockets), ("lo", 1), "{found:?}");
        let before = counts(false).unwrap();
        drop(socket);
        assert!(memberships(group.into()).unwrap().is_empty());
        assert!(counts(false).unwrap().arrived >= before.arrived);
    }

    #[test]
    fn names_and_values_are_told_in_pairs() {
        let table =
            "TcpExt: A IPReversePathFilter\nTcpExt: 1 5\nIpExt: B InMcastPkts\nIpExt: 2 9\n";
        assert_eq!(counted(table, "IpExt:", "InMcastPkts"), Some(9));
        assert_eq!(counted(table, "TcpExt:", "IPReversePathFilter"), Some(5));
        assert_eq!(counted(table, "TcpExt:", "C"), None);
    }
}
