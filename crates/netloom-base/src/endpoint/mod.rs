//! One address language for flags, the file, logs, errors and programs.
//!
//! ```text
//! endpoint = [layer "+"]* scheme ":" ( "//" [user "@"] [host] [":" ports] [options] [path] ["?" query]
//!                                    | opaque [options] )
//! options  = "," key ["=" value] …
//! ```
//!
//! Two steps make a connection's plan of a text. [`Endpoint`] is the first:
//! words and where they stand, nothing about what they mean. [`Schemes`] is the
//! second: with the [`Card`](crate::Card)s of a registry it turns an endpoint
//! into a [`Stack`], the layers from the top down to the transport, each with
//! its own options. Both tell what is wrong as a
//! [`Complaint`](crate::Complaint) with a caret and the nearest valid form.
//!
//! - `host:80`, `:80`, `[::1]:80` and `*:80` are short for `tcp://…`.
//! - An empty host is loopback of both families; `*` or `any` is every interface.
//! - Ports are `80`, `0` (any free one), `8000-8010` or `80,443`; more than one
//!   makes an [`EndpointSet`].
//! - A comma and a letter begin the options. `%2C` in a value is a comma, and a
//!   value ends at `,` `/` `?`; after an opaque text, which has no path, only at `,`.
//! - `unix:` `exec:` `file:` `fd:` `magnet:` `pty:` `vsock:` `serial:` and `-` are
//!   opaque, and so is every `word:rest` whose rest is neither `//…` nor a port list.
//! - A password is read and never shown again. Nor is the value of an option
//!   whose name ends in `password`, `passphrase`, `secret` or `token`.
//!
//! The generic shape is that of RFC 3986; zones are read as in RFC 6874 and
//! printed as in RFC 4007 §11; names are mapped as in UTS 46.

mod authority;
mod error;
mod escape;
mod host;
mod mask;
mod options;
mod parse;
mod ports;
mod schemes;
mod set;
mod stack;
#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::ops::Range;
use std::str::FromStr;

pub use error::EndpointError;
pub use host::Host;
pub use ports::Ports;
pub use schemes::Schemes;
pub use set::{EndpointSet, IntoIter};
pub use stack::{Level, Role, Stack};

use crate::settings::{Key, Secret, Setting, Settings, Value};

/// One address, as a person writes it: words, not yet their meaning.
///
/// `Display` prints it normalised (scheme in lower case, a short form in full,
/// escapes only where needed) and never with a password; what it prints reads
/// back as the same endpoint, the secrets excepted. Two endpoints are equal
/// when they say the same, however they were typed.
///
/// ```
/// use netloom_base::Endpoint;
///
/// let endpoint: Endpoint = "HTTPS://bob:secret@bücher.example:8443,verify=no/a?b".parse()?;
/// assert_eq!(endpoint.to_string(), "https://bob@xn--bcher-kva.example:8443,verify=no/a?b");
/// assert_eq!(endpoint.written(), "HTTPS://bob:***@bücher.example:8443,verify=no/a?b");
/// assert_eq!(":80".parse::<Endpoint>()?.to_string(), "tcp://:80");
/// # Ok::<(), netloom_base::EndpointError>(())
/// ```
#[derive(Clone)]
pub struct Endpoint {
    written: String,
    layers: Vec<Word>,
    scheme: Word,
    user: Option<String>,
    password: Option<Secret>,
    host: Host,
    ports: Ports,
    options: Settings,
    path: String,
    query: Option<String>,
    opaque: Option<String>,
    spans: Spans,
}

/// A layer's or scheme's name and where it stands.
#[derive(Clone)]
pub struct Word {
    text: String,
    span: Range<usize>,
}

/// Where the parts stand in `written`; an absent part is an empty span at its place.
#[derive(Clone, Default)]
struct Spans {
    host: Range<usize>,
    /// Without the colon.
    ports: Range<usize>,
    path: Range<usize>,
    /// Without the question mark.
    query: Range<usize>,
    opaque: Range<usize>,
}

impl Endpoint {
    /// The longest text that is read, in bytes.
    pub const MAX_BYTES: usize = 8192;

    /// `tcp://` at this socket address.
    pub fn tcp(address: SocketAddr) -> Self {
        Endpoint::at("tcp", address)
    }

    /// `udp://` at this socket address.
    pub fn udp(address: SocketAddr) -> Self {
        Endpoint::at("udp", address)
    }

    /// `scheme://` at this socket address; the scope of an IPv6 address becomes its zone.
    pub fn at(scheme: &str, address: SocketAddr) -> Self {
        let mut endpoint = Endpoint::blank();
        endpoint.scheme.text = scheme.to_ascii_lowercase();
        endpoint.host = Host::from(address);
        endpoint.ports = Ports::from(address.port());
        endpoint.reread()
    }

    /// `scheme:text`, as for `unix:/run/x`. The text is given decoded.
    pub fn from_opaque(scheme: &str, text: impl Into<String>) -> Self {
        let mut endpoint = Endpoint::blank();
        endpoint.scheme.text = scheme.to_ascii_lowercase();
        endpoint.opaque = Some(text.into());
        endpoint.reread()
    }

    /// The text as typed, with `***` where a secret stood. Every span counts in it, in bytes.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The words before the scheme, top first: `tls` in `tls+unix:/run/x`.
    pub fn layers(&self) -> &[Word] {
        &self.layers
    }

    /// The scheme in lower case; `tcp` for a short form, `-` for standard input and output.
    pub fn scheme(&self) -> &str {
        &self.scheme.text
    }

    /// Where the scheme stands, in bytes of [`written`](Self::written); empty for a short form.
    pub fn scheme_span(&self) -> Range<usize> {
        self.scheme.span.clone()
    }

    /// The user before `@`, decoded.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password before `@`, decoded. The face that read it warns once.
    pub fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// The host; [`Host::Loopback`] where none is written, and for an opaque endpoint.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The ports as written.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The port, where exactly one is written.
    pub fn port(&self) -> Option<u16> {
        self.ports.single()
    }

    /// The options after `,`, decoded, each with its span from the key to the end of the value.
    pub fn options(&self) -> &Settings {
        &self.options
    }

    /// The path as written, escapes and all: empty, or with its leading `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path with its escapes replaced by the bytes they stand for, which
    /// need not be UTF-8 and may be control characters.
    pub fn path_bytes(&self) -> Vec<u8> {
        escape::bytes(&self.path)
    }

    /// What follows `?`, as written, escapes and all.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The text after the colon of an opaque scheme, decoded: `/run/x` of `unix:/run/x`.
    pub fn opaque(&self) -> Option<&str> {
        self.opaque.as_deref()
    }

    /// The same with this port only.
    pub fn with_port(&self, port: u16) -> Self {
        let mut endpoint = self.clone();
        endpoint.ports = Ports::from(port);
        endpoint.reread()
    }

    /// The same at another host. A [`Host::Name`] made by hand must be one that
    /// `Host::from_str` would give.
    pub fn with_host(&self, host: Host) -> Self {
        let mut endpoint = self.clone();
        endpoint.host = host;
        endpoint.reread()
    }

    /// The same at this socket address: what a listener really bound.
    pub fn with_address(&self, address: SocketAddr) -> Self {
        let mut endpoint = self.clone();
        endpoint.host = Host::from(address);
        endpoint.ports = Ports::from(address.port());
        endpoint.reread()
    }

    /// The same with another scheme, its layers kept.
    pub fn with_scheme(&self, scheme: &str) -> Self {
        let mut endpoint = self.clone();
        endpoint.scheme.text = scheme.to_ascii_lowercase();
        endpoint.reread()
    }

    /// The same with one more option; an empty value is none. The key is a letter,
    /// then letters, digits and `-`. A value that cannot be shown belongs under a
    /// name that ends in `password`, `passphrase`, `secret` or `token`.
    pub fn with_option(&self, key: &str, value: Option<&str>) -> Self {
        let mut endpoint = self.clone();
        endpoint.options.push(
            key,
            options::value(key, value.filter(|v| !v.is_empty())),
            None,
        );
        endpoint.reread()
    }

    /// Takes the options with these keys out, for whoever reads them before the
    /// stack is. Their spans count in [`written`](Self::written), which stays.
    pub fn take_options(&mut self, keys: &[Key]) -> Settings {
        self.options.take(keys)
    }

    /// The same without its options.
    pub fn without_options(&self) -> Self {
        let mut endpoint = self.clone();
        endpoint.options = Settings::new();
        endpoint.reread()
    }

    /// The same without its password; the user stays.
    pub fn without_password(&self) -> Self {
        let mut endpoint = self.clone();
        endpoint.password = None;
        endpoint
    }

    fn blank() -> Self {
        Endpoint {
            written: String::new(),
            layers: Vec::new(),
            scheme: Word {
                text: String::new(),
                span: 0..0,
            },
            user: None,
            password: None,
            host: Host::Loopback,
            ports: Ports::default(),
            options: Settings::new(),
            path: String::new(),
            query: None,
            opaque: None,
            spans: Spans::default(),
        }
    }

    /// Makes text and spans those of the changed parts, so that a complaint
    /// about a built endpoint has something true to point at.
    fn reread(mut self) -> Self {
        let text = self.to_string();
        if let Ok(read) = parse::endpoint(&text) {
            let mut spans = read.options.iter().map(|s| s.span.clone());
            let mut placed = |setting: &Setting| {
                let shown = !matches!(setting.value, Value::Hidden(_));
                let span = if shown { spans.next().flatten() } else { None };
                Setting {
                    span,
                    ..setting.clone()
                }
            };
            self.options = self.options.iter().map(&mut placed).collect();
            (self.layers, self.scheme, self.spans) = (read.layers, read.scheme, read.spans);
        } else {
            // A part made by hand that the grammar cannot say.
            self.spans = Spans::default();
            self.options = self
                .options
                .iter()
                .map(|s| Setting {
                    span: None,
                    ..s.clone()
                })
                .collect();
        }
        self.written = text;
        self
    }

    fn secret(&self) -> Option<&str> {
        self.password.as_ref().map(Secret::reveal)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Reads the syntax alone; whether the scheme exists is for [`Schemes::stack`].
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        parse::endpoint(text)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for layer in &self.layers {
            write!(f, "{}+", layer.text)?;
        }
        f.write_str(&self.scheme.text)?;
        if self.scheme.text == "-" {
            return options::show(f, &self.options, true);
        }
        if let Some(opaque) = &self.opaque {
            f.write_str(":")?;
            escape::opaque(f, self.scheme(), opaque)?;
            return options::show(f, &self.options, true);
        }
        f.write_str("://")?;
        if let Some(user) = &self.user {
            escape::user(f, user)?;
            f.write_str("@")?;
        }
        write!(f, "{}", self.host)?;
        if !self.ports.is_empty() {
            write!(f, ":{}", self.ports)?;
        }
        options::show(f, &self.options, false)?;
        f.write_str(&self.path)?;
        match &self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        let options = |e: &Self| {
            e.options
                .iter()
                .map(|s| (s.key.clone(), s.value.clone()))
                .collect::<Vec<_>>()
        };
        self.scheme == other.scheme
            && self.layers == other.layers
            && self.user == other.user
            && self.secret() == other.secret()
            && self.host == other.host
            && self.ports == other.ports
            && options(self) == options(other)
            && self.path == other.path
            && self.query == other.query
            && self.opaque == other.opaque
    }
}

// The options hold text, switches and secrets only, all of which equal themselves.
impl Eq for Endpoint {}

impl Hash for Endpoint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Options are left out: equal endpoints hash the same all the same.
        (
            &self.layers,
            &self.scheme,
            &self.user,
            &self.host,
            &self.ports,
        )
            .hash(state);
        (&self.path, &self.query, &self.opaque).hash(state);
    }
}

impl Word {
    /// The word in lower case.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it stands, in bytes of [`Endpoint::written`].
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Two words are equal when they say the same, wherever they stand.
impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Word {}

impl Hash for Word {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
