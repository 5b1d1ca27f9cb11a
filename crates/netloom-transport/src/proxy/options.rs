//! The options of an endpoint with PROXY headers.

use std::net::IpAddr;

use ipnet::IpNet;
use netloom_base::settings::FromValue;
use netloom_base::{Value, settings};
use netloom_wire::proxy_protocol::Version;

use crate::conn::Peer;

settings! {
    /// Options of a dialled endpoint: the header that is sent.
    pub struct DialOptions {
        /// how the PROXY header is written: 1 is text, 2 is binary and says more
        version: Form = Form(Version::V2),
        /// with a checksum over the header, in version 2
        checksum: bool,
    }
}

settings! {
    /// Options of a bound endpoint: whose header is believed.
    pub struct ListenOptions {
        /// who may say who its client is: addresses and networks such as 10.0.0.2 or 10.0.0.0%2F8, or any [default: this host]
        from: Vec<Sources>,
    }
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form(pub Version);

impl FromValue for Form {
    const HINT: &'static str = "1|2";

    fn from_value(value: &Value) -> Result<Self, String> {
        match value.to_string().as_str() {
            "1" => Ok(Form(Version::V1)),
            "2" => Ok(Form(Version::V2)),
            other => Err(format!(
                "the PROXY protocol has versions 1 and 2, not `{other}`"
            )),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::Int(match self.0 {
            Version::V1 => 1,
            Version::V2 => 2,
        }))
    }
}

/// Addresses and networks, or everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources(Vec<IpNet>);

impl FromValue for Sources {
    const HINT: &'static str = "ADDRESS|NETWORK|any";

    fn from_value(value: &Value) -> Result<Self, String> {
        let text = value.to_string();
        if matches!(text.as_str(), "any" | "*") {
            let all = [[0; 4].into(), [0u16; 8].into()];
            return Ok(Sources(all.into_iter().filter_map(everything).collect()));
        }
        let nets: Result<Vec<IpNet>, String> =
            text.split(',').map(|part| network(part.trim())).collect();
        nets.map(Sources)
    }

    fn to_value(&self) -> Option<Value> {
        let nets = self.0.iter().map(|net| Value::from(net.to_string()));
        Some(Value::List(nets.collect()))
    }
}

fn everything(unspecified: IpAddr) -> Option<IpNet> {
    IpNet::new(unspecified, 0).ok()
}

fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(ip.to_canonical()));
    }
    let net: IpNet = text.parse().map_err(|_| {
        format!("an address or a network such as 10.0.0.0/8 is expected, not `{text}`")
    })?;
    // Whoever writes 10.1.2.3/8 may mean one address, or all of them.
    if net.addr() == net.network() {
        Ok(net)
    } else {
        let (host, all) = (net.addr(), net.trunc());
        Err(format!(
            "`{text}` is no network: it is {all} for all of it, or {host} for the one"
        ))
    }
}

impl ListenOptions {
    /// Whether `peer` may say who its client is. A unix socket is guarded by the
    /// rights of its file.
    pub(super) fn trusts(&self, peer: Option<&Peer>) -> bool {
        let Some(Peer::Ip(peer)) = peer else {
            return true;
        };
        let ip = peer.ip().to_canonical();
        if self.from.is_empty() {
            return ip.is_loopback();
        }
        let mut nets = self.from.iter().flat_map(|sources| &sources.0);
        nets.any(|net| net.contains(&ip))
    }
}

#[cfg(test)]
mod tests {
    use netloom_base::Settings;

    use super::*;

    fn trusting(from: &[&str]) -> ListenOptions {
        let mut settings = Settings::new();
        for from in from {
            settings.push("from", Value::from(*from), None);
        }
        ListenOptions::read(&settings).unwrap()
    }

    fn peer(text: &str) -> Peer {
        Peer::Ip(text.parse().unwrap())
    }

    #[test]
    fn only_who_is_named_is_trusted() {
        let named = trusting(&["10.0.0.0/8,192.0.2.1", "2001:db8::/32"]);
        for known in [
            "10.255.0.1:1",
            "192.0.2.1:1",
            "[2001:db8:9::1]:1",
            "[::ffff:10.1.1.1]:1",
        ] {
            assert!(named.trusts(Some(&peer(known))), "{known}");
        }
        for other in [
            "11.0.0.1:1",
            "192.0.2.2:1",
            "127.0.0.1:1",
            "[::1]:1",
            "[2001:db9::1]:1",
        ] {
            assert!(!named.trusts(Some(&peer(other))), "{other}");
        }
        let unnamed = trusting(&[]);
        for (ip, trusted) in [
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("10.0.0.1:1", false),
        ] {
            assert_eq!(unnamed.trusts(Some(&peer(ip))), trusted, "{ip}");
        }
        assert!(unnamed.trusts(Some(&Peer::Named("unix:".into()))));
        let any = trusting(&["any"]);
        assert!(any.trusts(Some(&peer("203.0.113.9:1"))) && any.trusts(Some(&peer("[2::1]:1"))));
    }

    #[test]
    fn a_network_is_written_as_one() {
        for wrong in ["10.1.2.3/8", "10.0.0.0/33", "ten", "", "10.0.0.0/8,,"] {
            assert!(Sources::from_value(&Value::from(wrong)).is_err(), "{wrong}");
        }
    }
}
