//! What is known of a name without asking anybody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a name's own text says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `localhost` and below it (RFC 6761 §6.3).
    Loopback,
    /// It exists nowhere, or not in DNS: `.invalid` (RFC 6761 §6.4), `.onion` (RFC 7686).
    Never,
    /// Multicast DNS (RFC 6762), or a company's own zone.
    Local,
    /// One label: the search domains, or whatever else the system knows.
    Single,
    /// A name for DNS.
    Other,
}

pub(super) fn kind(name: &str) -> Kind {
    let bare = bare(name);
    let last = bare.rsplit('.').next().unwrap_or(bare);
    let is = |word: &str| last.eq_ignore_ascii_case(word);
    if is("localhost") {
        Kind::Loopback
    } else if is("invalid") || is("onion") {
        Kind::Never
    } else if last.len() == bare.len() {
        Kind::Single
    } else if is("local") {
        Kind::Local
    } else {
        Kind::Other
    }
}

/// The loopback addresses, for a system whose hosts file does not say them.
pub(super) fn loopbacks() -> Vec<IpAddr> {
    vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]
}

/// The addresses that a hosts file (hosts(5)) has for a name, in its order.
pub(super) fn hosts_file(text: &str, name: &str) -> Vec<IpAddr> {
    let wanted = bare(name);
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let Some(Ok(ip)) = words.next().map(str::parse::<IpAddr>) else {
            continue;
        };
        if words.any(|word| bare(word).eq_ignore_ascii_case(wanted)) && !found.contains(&ip) {
            found.push(ip);
        }
    }
    found
}

/// The name without the dot that says it is complete.
fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_where_to_look() {
        for (name, expected) in [
            ("localhost", Kind::Loopback),
            ("LocalHost.", Kind::Loopback),
            ("a.localhost", Kind::Loopback),
            ("a.invalid", Kind::Never),
            ("printer", Kind::Single),
            ("printer.", Kind::Single),
            ("printer.local", Kind::Local),
            ("local.example.com", Kind::Other),
            ("notlocalhost.com", Kind::Other),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
    }

    #[test]
    fn a_hosts_file_is_read_as_the_system_reads_it() {
        let text = "127.0.0.1 localhost\n\
                    # 10.0.0.9 web\n\
                    10.0.0.1\tweb.example WEB # 10.0.0.8 web\n\
                    fe80::1%lo0 web\n\
                    2001:db8::1 web.\n\
                    10.0.0.1 web\n";
        let found: Vec<String> = hosts_file(text, "web")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, ["10.0.0.1", "2001:db8::1"]);
        assert_eq!(hosts_file(text, "Web.Example.").len(), 1);
        assert!(hosts_file(text, "example").is_empty());
    }
}
