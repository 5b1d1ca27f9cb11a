//! The proxies that other programs would go through.
//!
//! Netloom dials what it was told to dial. Most programs read `http_proxy` and
//! its relatives first, so that the same URL may work in one and fail in the
//! other: a visit says so. Read as curl does (`ENVIRONMENT` in curl(1)).

use std::net::IpAddr;

use netloom_base::endpoint::Host;
use url::Url;

/// Where variables are read from.
#[derive(Debug, Clone, Copy)]
pub struct Environment(fn(&str) -> Option<String>);

/// A proxy that would be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// The variable that says so.
    pub variable: &'static str,
    /// Its value, without a password.
    pub shown: String,
}

impl Environment {
    /// The variables of this process.
    pub const fn of_this_process() -> Self {
        Environment(|name| std::env::var(name).ok())
    }

    /// Variables from elsewhere.
    pub const fn new(read: fn(&str) -> Option<String>) -> Self {
        Environment(read)
    }

    /// The proxy that programs would go through to `host`, if any.
    ///
    /// `HTTP_PROXY` in capitals is not read: a web server hands a client's
    /// `Proxy:` header to its programs under that name.
    pub fn proxy_for(self, host: &Host, encrypted: bool) -> Option<Proxy> {
        let names: &[&'static str] = if encrypted {
            &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
        } else {
            &["http_proxy", "all_proxy", "ALL_PROXY"]
        };
        let set = |name: &&'static str| {
            let value = (self.0)(name).filter(|value| !value.trim().is_empty())?;
            Some((*name, value))
        };
        let (variable, value) = names.iter().find_map(set)?;
        let excepted = ["no_proxy", "NO_PROXY"]
            .iter()
            .find_map(|name| (self.0)(name))
            .is_some_and(|list| excepts(&list, host));
        (!excepted).then(|| Proxy {
            variable,
            shown: without_password(value.trim()),
        })
    }
}

/// Whether a list such as `localhost, .example.org, 10.0.0.0/8` has this host.
fn excepts(list: &str, host: &Host) -> bool {
    let name = match host {
        Host::Loopback => "localhost",
        other => other.name().unwrap_or_default(),
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let mut entries = list
        .split([',', ' ', '\t'])
        .filter(|entry| !entry.is_empty());
    entries.any(|entry| match host.ip() {
        _ if entry == "*" => true,
        Some(ip) => in_network(entry, ip),
        None => {
            let entry = entry
                .strip_prefix('.')
                .unwrap_or(entry)
                .to_ascii_lowercase();
            let entry = entry.strip_suffix('.').unwrap_or(&entry);
            let above = name.strip_suffix(entry);
            above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
        }
    })
}

/// Whether `entry` is this address, or a network that has it.
fn in_network(entry: &str, ip: IpAddr) -> bool {
    let (address, length) = entry.split_once('/').unwrap_or((entry, ""));
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let Ok(network) = address.parse::<IpAddr>() else {
        return false;
    };
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    let ((network, whole), (ip, width)) = (bits(network), bits(ip.to_canonical()));
    let length = match length {
        "" => whole,
        text => match text.parse::<u32>() {
            Ok(length) if length <= whole => length,
            _ => return false,
        },
    };
    whole == width && (network ^ ip).leading_zeros().min(width) >= length
}

fn without_password(value: &str) -> String {
    let url = if value.contains("://") {
        Url::parse(value)
    } else {
        Url::parse(&format!("http://{value}"))
    };
    match url {
        Ok(mut url) => {
            if url.password().is_some() && url.set_password(Some("***")).is_err() {
                return "a proxy".to_owned();
            }
            url.as_str().trim_end_matches('/').to_owned()
        }
        // What cannot be read may hold a password anywhere.
        Err(_) => "a proxy that cannot be read".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        text.parse().unwrap()
    }

    fn shown(environment: Environment, to: &str, encrypted: bool) -> Option<String> {
        let proxy = environment.proxy_for(&host(to), encrypted)?;
        Some(format!("{} {}", proxy.variable, proxy.shown))
    }

    #[test]
    fn each_variable_counts_where_curl_reads_it() {
        let environment = Environment::new(|name| match name {
            "HTTP_PROXY" => Some("http://cgi:1".to_owned()),
            "ALL_PROXY" => Some("socks5h://all:1080".to_owned()),
            "HTTPS_PROXY" => Some("secure:3128".to_owned()),
            _ => None,
        });
        assert_eq!(
            shown(environment, "example.org", false).unwrap(),
            "ALL_PROXY socks5h://all:1080"
        );
        assert_eq!(
            shown(environment, "example.org", true).unwrap(),
            "HTTPS_PROXY http://secure:3128"
        );
        let empty = Environment::new(|name| (name == "http_proxy").then(String::new));
        assert_eq!(shown(empty, "example.org", false), None);
    }

    #[test]
    fn a_password_is_never_shown() {
        let environment = Environment::new(|name| {
            (name == "http_proxy").then(|| "http://me:hunter2@proxy:3128/".to_owned())
        });
        assert_eq!(
            shown(environment, "example.org", false).unwrap(),
            "http_proxy http://me:***@proxy:3128"
        );
        let broken = Environment::new(|name| {
            (name == "http_proxy").then(|| "http://me:hunter2@[proxy:3128/".to_owned())
        });
        assert!(
            !shown(broken, "example.org", false)
                .unwrap()
                .contains("hunter2")
        );
    }

    #[test]
    fn exceptions_are_names_with_what_is_below_and_networks() {
        let list = "localhost, .example.org,10.0.0.0/8 [::1],192.0.2.7,corp.";
        for excepted in [
            "localhost",
            "example.org",
            "www.example.org",
            "WWW.Example.org.",
            "10.9.8.7",
            "[::1]",
            "192.0.2.7",
            "db.corp",
            "",
        ] {
            assert!(excepts(list, &host(excepted)), "{excepted}");
        }
        for not in [
            "anexample.org",
            "example.com",
            "11.0.0.1",
            "[::2]",
            "192.0.2.70",
            "corporate",
        ] {
            assert!(!excepts(list, &host(not)), "{not}");
        }
        assert!(excepts("*", &host("anything")));
        assert!(excepts("::ffff:0:0/96, 127.0.0.0/8", &host("127.0.0.1")));
        assert!(!excepts("10.0.0.0/33,10.0.0.0/x", &host("10.0.0.1")));
    }
}
