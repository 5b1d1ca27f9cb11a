//! The proxies of the environment: `all_proxy`, and `no_proxy` for what is
//! reached without.

use std::net::IpAddr;

use netloom_base::endpoint::Host;

/// What the environment says of proxies. The lower-case name of a variable
/// comes before the upper-case one, as for curl.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    proxy: Option<(&'static str, String)>,
    without: Vec<Rule>,
}

impl Environment {
    /// Reads `all_proxy` and `no_proxy` through `get`, which gives a variable's value.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&'static str; 2]| {
            let set = |name: &'static str| Some((name, get(name)?.trim().to_owned()));
            names
                .into_iter()
                .filter_map(set)
                .find(|(_, value)| !value.is_empty())
        };
        let without = first(["no_proxy", "NO_PROXY"]).map(|(_, value)| value);
        Environment {
            proxy: first(["all_proxy", "ALL_PROXY"]).map(|(name, value)| (name, with_kind(value))),
            without: without.as_deref().map(rules).unwrap_or_default(),
        }
    }

    /// The proxy for a host and port, and the variable that names it. This
    /// host itself is never reached through one.
    pub fn proxy_for(&self, host: &Host, port: u16) -> Option<(&'static str, &str)> {
        let (variable, proxy) = self.proxy.as_ref()?;
        let direct = host.is_loopback() || self.without.iter().any(|rule| rule.names(host, port));
        (!direct).then_some((*variable, proxy))
    }
}

/// A proxy without a scheme is one of HTTP there.
fn with_kind(value: String) -> String {
    if value.contains("://") {
        value
    } else {
        format!("http://{value}")
    }
}

/// One word of `no_proxy`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    what: What,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Everything,
    /// A name, and every name that ends with a dot and it.
    Domain(String),
    /// Addresses that begin with so many bits of this one.
    Network(IpAddr, u32),
}

fn rules(text: &str) -> Vec<Rule> {
    let words = text.split([',', ' ', '\t']).filter(|word| !word.is_empty());
    words.filter_map(Rule::read).collect()
}

impl Rule {
    /// `None` for a word that can name nothing.
    fn read(word: &str) -> Option<Rule> {
        if let Some(network) = network(word) {
            return Some(Rule {
                what: network,
                port: None,
            });
        }
        let (host, port) = match word.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().ok()),
            _ => (word, None),
        };
        let what = match host {
            "*" => What::Everything,
            _ => network(host).or_else(|| {
                let name = host.trim_start_matches("*.").trim_matches('.');
                // As hosts are written in an endpoint: IDN mapped, lower case.
                match name.parse::<Host>() {
                    Ok(Host::Name(name)) => {
                        Some(What::Domain(name.trim_end_matches('.').to_owned()))
                    }
                    _ => None,
                }
            })?,
        };
        Some(Rule { what, port })
    }

    fn names(&self, host: &Host, port: u16) -> bool {
        if self.port.is_some_and(|own| own != port) {
            return false;
        }
        match &self.what {
            What::Everything => true,
            What::Domain(domain) => host.name().is_some_and(|name| {
                let name = name.trim_end_matches('.');
                let before = name.strip_suffix(domain.as_str());
                before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }),
            What::Network(network, bits) => host.ip().is_some_and(|ip| begins(ip, *network, *bits)),
        }
    }
}

/// `192.0.2.7`, `10.0.0.0/8`, `[2001:db8::1]`, `2001:db8::/32`
fn network(text: &str) -> Option<What> {
    let (ip, bits) = match text.split_once('/') {
        Some((ip, bits)) => (ip, Some(bits.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
    let ip: IpAddr = bare.unwrap_or(ip).parse().ok()?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some(What::Network(ip, bits))
}

fn begins(ip: IpAddr, network: IpAddr, bits: u32) -> bool {
    let left = |all: u32| all - bits.min(all);
    match (ip.to_canonical(), network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            let differing = u32::from(ip) ^ u32::from(network);
            differing.checked_shr(left(32)).unwrap_or(0) == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => {
            let differing = u128::from(ip) ^ u128::from(network);
            differing.checked_shr(left(128)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::read(|name| {
            let found = pairs.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn goes(without: &str, host: &str, port: u16) -> bool {
        let environment = environment(&[("ALL_PROXY", "socks5://p"), ("no_proxy", without)]);
        let host: Host = host.parse().unwrap();
        environment.proxy_for(&host, port).is_some()
    }

    #[test]
    fn the_lower_case_name_wins_and_a_bare_proxy_is_of_http() {
        let both = environment(&[("all_proxy", "p:3128"), ("ALL_PROXY", "socks5://q")]);
        let host: Host = "example.org".parse().unwrap();
        assert_eq!(
            both.proxy_for(&host, 80),
            Some(("all_proxy", "http://p:3128"))
        );
        let upper = environment(&[("all_proxy", " "), ("ALL_PROXY", "socks5://q")]);
        assert_eq!(
            upper.proxy_for(&host, 80),
            Some(("ALL_PROXY", "socks5://q"))
        );
        assert_eq!(Environment::default().proxy_for(&host, 80), None);
    }

    #[test]
    fn this_host_is_reached_directly() {
        for host in [
            "localhost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "a.localhost",
        ] {
            assert!(!goes("", host, 80), "{host}");
        }
        assert!(goes("", "example.org", 80));
    }

    #[test]
    fn names_and_what_ends_with_them() {
        for without in [
            "example.org",
            ".example.org",
            "*.example.org",
            "x, EXAMPLE.org.",
        ] {
            assert!(!goes(without, "example.org", 80), "{without}");
            assert!(!goes(without, "www.example.org", 80), "{without}");
            assert!(goes(without, "notexample.org", 80), "{without}");
            assert!(goes(without, "example.org.net", 80), "{without}");
        }
        assert!(!goes("*", "anything", 1));
        assert!(!goes("bücher.example", "bücher.example", 1));
    }

    #[test]
    fn a_port_bounds_a_word() {
        assert!(!goes("example.org:8080", "example.org", 8080));
        assert!(goes("example.org:8080", "example.org", 80));
        assert!(!goes("192.0.2.1:80", "192.0.2.1", 80));
        assert!(goes("192.0.2.1:80", "192.0.2.1", 81));
        assert!(!goes("[2001:db8::1]:80", "[2001:db8::1]", 80));
        assert!(goes("[2001:db8::1]:80", "[2001:db8::1]", 81));
    }

    #[test]
    fn networks() {
        assert!(!goes("10.0.0.0/8", "10.1.2.3", 1));
        assert!(goes("10.0.0.0/8", "11.1.2.3", 1));
        assert!(!goes("10.0.0.0/8 2001:db8::/32", "[2001:db8:9::1]", 1));
        assert!(goes("2001:db8::/32", "[2001:db9::1]", 1));
        assert!(!goes("2001:db8::1", "[2001:db8::1]", 1));
        assert!(!goes("0.0.0.0/0", "192.0.2.1", 1));
        assert!(goes("0.0.0.0/0", "example.org", 1));
        assert!(goes("10.0.0.0/33, ?, [", "10.0.0.1", 1));
    }
}
