//! The options of a TLS endpoint.

use std::path::PathBuf;

use netloom_base::settings::FromValue;
use netloom_base::{Value, settings};

settings! {
    /// Options of a dialled TLS endpoint.
    pub struct DialOptions {
        /// the name to ask the server for, instead of the host; off asks for none (RFC 6066 §3)
        sni: Option<Sni>,
        /// the name the certificate must be for, instead of the one that is asked for
        verify_name: Option<String>,
        /// a PEM file with authorities to trust besides this system's
        ca: Option<PathBuf>,
        /// trust only the authorities in ca
        ca_only: bool,
        /// a PEM file with this client's certificate and its chain
        cert: Option<PathBuf>,
        /// a PEM file with its private key, where cert has none
        key: Option<PathBuf>,
        /// application protocols to offer, best first (RFC 7301)
        alpn: Option<Alpn>,
        /// the oldest version to speak: 1.2 or 1.3
        min: Version = Version::Tls12,
        /// the newest version to speak, for servers that a newer hello upsets: 1.2 or 1.3
        max: Version = Version::Tls13,
        /// take any certificate: whoever is on the path can read and change everything
        insecure: bool,
        /// fail when the peer ends without a goodbye, instead of taking it for the end
        strict_end: bool,
    }
}

settings! {
    /// Options of a bound TLS endpoint.
    pub struct ListenOptions {
        /// a PEM file with the certificate and its chain, or auto: made at start, signed by itself
        cert: Option<Cert>,
        /// a PEM file with its private key, where cert has none
        key: Option<PathBuf>,
        /// a PEM file with the authorities that sign clients' certificates
        client_ca: Option<PathBuf>,
        /// whether clients must show a certificate: require or request
        client_auth: Option<ClientAuth>,
        /// application protocols to accept, best first (RFC 7301)
        alpn: Option<Alpn>,
        /// the oldest version to speak: 1.2 or 1.3
        min: Version = Version::Tls12,
        /// fail when the peer ends without a goodbye, instead of taking it for the end
        strict_end: bool,
    }
}

/// The name to ask a server for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sni {
    /// This one.
    Name(String),
    /// None.
    Off,
}

/// Where a server's certificate is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cert {
    /// A PEM file.
    File(PathBuf),
    /// Whoever makes certificates here.
    Auto,
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Those without one are refused.
    Require,
    /// They are asked, and may decline.
    Request,
}

/// A version of TLS that is spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Application protocols, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alpn(pub Vec<String>);

fn text(value: &Value, wanted: &str) -> Result<String, String> {
    String::from_value(value).map_err(|_| wanted.to_owned())
}

impl FromValue for Sni {
    const HINT: &'static str = "NAME|off";

    fn from_value(value: &Value) -> Result<Self, String> {
        let text = text(value, "a name or off is expected")?;
        match rustls::pki_types::DnsName::try_from(text.as_str()) {
            _ if text.eq_ignore_ascii_case("off") => Ok(Sni::Off),
            Ok(name) => Ok(Sni::Name(name.as_ref().to_owned())),
            Err(_) => Err(format!("`{text}` is not a name that can be asked for")),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(match self {
            Sni::Name(name) => Value::from(name.as_str()),
            Sni::Off => Value::from("off"),
        })
    }
}

impl FromValue for Cert {
    const HINT: &'static str = "FILE|auto";

    fn from_value(value: &Value) -> Result<Self, String> {
        let text = text(value, "a file or auto is expected")?;
        match text.as_str() {
            "" => Err("a file or auto is expected".to_owned()),
            "auto" => Ok(Cert::Auto),
            _ => Ok(Cert::File(text.into())),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(match self {
            Cert::File(path) => Value::from(path.to_string_lossy().into_owned()),
            Cert::Auto => Value::from("auto"),
        })
    }
}

impl FromValue for ClientAuth {
    const HINT: &'static str = "require|request";

    fn from_value(value: &Value) -> Result<Self, String> {
        match text(value, "require or request is expected")?.as_str() {
            "require" => Ok(ClientAuth::Require),
            "request" => Ok(ClientAuth::Request),
            other => Err(format!("require or request is expected, not `{other}`")),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::from(match self {
            ClientAuth::Require => "require",
            ClientAuth::Request => "request",
        }))
    }
}

impl FromValue for Version {
    const HINT: &'static str = "1.2|1.3";

    fn from_value(value: &Value) -> Result<Self, String> {
        match value.to_string().as_str() {
            "1.2" => Ok(Version::Tls12),
            "1.3" => Ok(Version::Tls13),
            other => Err(format!("1.2 or 1.3 is expected, not `{other}`")),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::from(self.name()))
    }
}

impl Version {
    /// As it is written: `1.3`.
    pub fn name(self) -> &'static str {
        match self {
            Version::Tls12 => "1.2",
            Version::Tls13 => "1.3",
        }
    }
}

impl FromValue for Alpn {
    const HINT: &'static str = "NAME,…";

    fn from_value(value: &Value) -> Result<Self, String> {
        let text = match value {
            Value::List(_) => value.to_string(),
            one => text(one, "names such as h2,http/1.1 are expected")?,
        };
        let names: Vec<String> = text.split(',').map(str::to_owned).collect();
        match names.iter().find(|name| !(1..=255).contains(&name.len())) {
            Some(_) => Err("a protocol's name has 1 to 255 bytes".to_owned()),
            None => Ok(Alpn(names)),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::from(self.0.join(",")))
    }
}

impl Alpn {
    /// As they stand in a hello.
    pub(super) fn on_wire(choice: Option<&Alpn>) -> Vec<Vec<u8>> {
        let names = choice.map_or(&[][..], |alpn| &alpn.0);
        names.iter().map(|name| name.clone().into_bytes()).collect()
    }
}
