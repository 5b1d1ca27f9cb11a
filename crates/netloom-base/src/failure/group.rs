//! A multicast group that stayed silent, as the host that waited for it saw it.

use std::fmt;
use std::net::SocketAddr;

/// A group that was waited for, and what the kernel said while it was joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilentGroup {
    /// The group and the port.
    pub group: SocketAddr,
    /// Whether this end waited for whoever speaks, and not for an answer to what
    /// it had sent there itself.
    pub listens: bool,
    /// The interfaces on which this host has joined it, each with how many
    /// sockets asked for that; `None` where the kernel does not say.
    pub joined: Option<Vec<(String, u32)>>,
    /// How many multicast packets, of whatever group, this host took meanwhile.
    pub arrived: Option<u64>,
    /// How many packets it dropped meanwhile because their sender is not reached
    /// by the interface they came in by (`rp_filter`).
    pub wrong_way: Option<u64>,
    /// How many datagrams to a group or to everybody came meanwhile, and no
    /// socket wanted them: no program has their port open.
    pub unwanted: Option<u64>,
}

impl SilentGroup {
    /// The file that says who has joined what.
    pub const fn table(&self) -> &'static str {
        if self.group.is_ipv4() {
            "/proc/net/igmp"
        } else {
            "/proc/net/igmp6"
        }
    }
}

impl fmt::Display for SilentGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = self.group.ip();
        let joined = match &self.joined {
            Some(joined) if !joined.is_empty() => joined,
            Some(_) => return write!(f, "{group} was joined on no interface of this host"),
            None => return write!(f, "{group} stayed silent"),
        };
        write!(f, "{group} was joined on ")?;
        for (i, (name, sockets)) in joined.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            let many = if *sockets == 1 { "socket" } else { "sockets" };
            write!(f, "{comma}{name} ({sockets} {many})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interface_is_named() {
        let mut silent = SilentGroup {
            group: "239.1.2.3:5000".parse().unwrap(),
            listens: true,
            joined: Some(vec![("eth0".to_owned(), 1), ("wlan0".to_owned(), 2)]),
            arrived: Some(0),
            wrong_way: None,
            unwanted: None,
        };
        assert_eq!(
            silent.to_string(),
            "239.1.2.3 was joined on eth0 (1 socket), wlan0 (2 sockets)"
        );
        silent.joined = Some(Vec::new());
        assert!(silent.to_string().ends_with("on no interface of this host"));
        assert_eq!(silent.table(), "/proc/net/igmp");
    }
}
