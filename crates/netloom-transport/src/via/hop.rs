//! One proxy: how it is written, how it is reached, who it is told is asking.

use std::fmt;
use std::path::{Path, PathBuf};

use netloom_base::endpoint::Host;
use netloom_base::failure::Step;
use netloom_base::settings::FromValue;
use netloom_base::{Code, Endpoint, Failure, Role, Schemes, Side, Stack, Stage, Value, settings};
use netloom_wire::socks::{Login, Protocol, Target};

use super::{cards, wrong};
use crate::addresses::{found, scoped};
use crate::cx::Cx;
use crate::net::{complaint, mistakes};
use crate::way::{DIRECT, VIA};

settings! {
    /// Options of a proxy.
    pub struct HopOptions {
        /// a file whose first line is the password
        password_file: Option<PathBuf>,
        /// the variable of the environment that holds the password
        password_env: Option<String>,
        /// where the target's name is resolved: there, by the proxy, or here
        resolve: Resolve = Resolve::There,
    }
}

/// The longest file with a password, in bytes.
const LONGEST_FILE: u64 = 4096;

/// Who resolves the name that a proxy is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolve {
    /// The proxy: this host's resolver is not asked.
    There,
    /// This host: the proxy is told an address.
    Here,
}

impl FromValue for Resolve {
    const HINT: &'static str = "here|there";

    fn from_value(value: &Value) -> Result<Self, String> {
        match value.to_string().as_str() {
            "there" => Ok(Resolve::There),
            "here" => Ok(Resolve::Here),
            other => Err(format!("`here` or `there` is expected, not `{other}`")),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::from(match self {
            Resolve::There => "there",
            Resolve::Here => "here",
        }))
    }
}

/// One proxy on the way.
pub(super) struct Hop {
    /// Its protocol on top, then what carries it.
    pub(super) stack: Stack,
    options: HopOptions,
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The user is shown, the password never is.
        let endpoint = self.stack.endpoint.without_options();
        fmt::Display::fmt(&endpoint.with_port(self.port()), f)
    }
}

/// The address in a text; `None` where it is a name. `socks5:proxy:1080`, as it
/// can stand in an option where a slash cannot, is `socks5://proxy:1080`.
pub(super) fn address(text: &str, schemes: &Schemes) -> Option<Result<Endpoint, Failure>> {
    if !text.contains([':', '/', '@', ',', '[']) {
        return None;
    }
    let slashed = match text.split_once(':') {
        Some((word, rest)) if !rest.starts_with("//") && schemes.find(word).is_some() => {
            format!("{word}://{rest}")
        }
        _ => text.to_owned(),
    };
    // As browsers and their settings write it.
    let bare = slashed.strip_suffix('/').unwrap_or(&slashed);
    let endpoint = match bare.parse::<Endpoint>() {
        Ok(endpoint) => endpoint,
        Err(error) => return Some(Err(complaint(&error))),
    };
    // `proxy:1080` reads as an endpoint of its own, and says not which kind it is.
    let kindless = endpoint.scheme_span().is_empty();
    Some(if kindless {
        Err(wrong(format!(
            "which kind of proxy `{}` is must be said: socks5://, socks4a://, http:// or https:// before it",
            endpoint.written()
        )))
    } else {
        Ok(endpoint)
    })
}

impl Hop {
    pub(super) fn read(endpoint: &Endpoint, schemes: &Schemes) -> Result<Self, Failure> {
        let stack = schemes
            .stack(endpoint, Role::Dial)
            .map_err(|error| complaint(&error))?;
        let top = &stack.levels[0];
        if !cards::CARDS
            .iter()
            .any(|card| std::ptr::eq(*card, top.card))
        {
            return Err(wrong(format!(
                "`{}` is no proxy; socks5, socks4a, http and https are",
                endpoint.scheme()
            )));
        }
        let options =
            HopOptions::read(&top.settings).map_err(|errors| mistakes(&stack, &errors))?;
        let passwords = [
            stack.endpoint.password().is_some(),
            options.password_file.is_some(),
            options.password_env.is_some(),
        ];
        let has_password = passwords.iter().any(|given| *given);
        if passwords.iter().filter(|given| **given).count() > 1 {
            return Err(wrong(
                "a proxy has one password, and more are given".to_owned(),
            ));
        }
        if has_password && stack.endpoint.user().is_none() {
            let message = format!(
                "the password has no user: {}://USER@{}",
                endpoint.scheme(),
                endpoint.host()
            );
            return Err(wrong(message));
        }
        Ok(Hop { stack, options })
    }

    pub(super) fn port(&self) -> u16 {
        self.stack.port().unwrap_or(0)
    }

    pub(super) fn protocol(&self) -> (Protocol, &'static str) {
        cards::protocol(self.stack.levels[0].card)
    }

    /// What carries the proxy's protocol, to be dialled as it stands, with the
    /// socket's options that `target` asks for.
    pub(super) fn beneath(&self, target: &Stack) -> Stack {
        let mut stack = self.stack.clone();
        stack.levels.remove(0);
        if let Some(transport) = stack.levels.last_mut() {
            let own: Vec<String> = transport.settings.iter().map(|s| s.key.clone()).collect();
            let wanted = target.transport().settings.iter();
            let wanted = wanted.filter(|s| s.key != VIA && !own.contains(&s.key));
            transport.settings.extend(wanted.cloned());
            // Its own way is direct: the proxies before it were crossed already.
            transport.settings.push(VIA, Value::from(DIRECT), None);
        }
        // As somebody would dial it to see whether it is there.
        let scheme = stack.levels.first().map_or("tcp", |level| level.card.name);
        let shown = format!("{scheme}://{}:{}", stack.endpoint.host(), self.port());
        if let Ok(endpoint) = shown.parse() {
            stack.endpoint = endpoint;
        }
        stack
    }

    /// What the proxy is asked for, so that it connects to `next`, and the steps
    /// it took to know that.
    pub(super) async fn target(
        &self,
        next: &Stack,
        cx: &Cx,
    ) -> Result<(Target, Vec<Step>), Failure> {
        let (host, port) = (next.endpoint.host(), next.port().unwrap_or(0));
        let name = match host {
            Host::Name(name) => name.trim_end_matches('.'),
            Host::Loopback | Host::Any => "localhost",
            Host::V4(ip) => return Ok((Target::Address((*ip, port).into()), Vec::new())),
            Host::V6 { addr, .. } => {
                return Ok((Target::Address((*addr, port).into()), Vec::new()));
            }
        };
        if self.options.resolve == Resolve::There {
            return Ok((Target::Name(name.to_owned(), port), Vec::new()));
        }
        let found = found(host, cx).await?;
        // SOCKS4 has no IPv6, so there an IPv4 address is looked for first.
        let v4_only = self.protocol().0 == Protocol::Socks4a;
        let first = found.addresses.iter().find(|ip| !v4_only || ip.is_ipv4());
        let Some(ip) = first.or(found.addresses.first()) else {
            let failure = Failure::new(Stage::Resolve, Side::Peer, Code::RESOLVE_NO_ADDRESS);
            return Err(failure.after(found.steps));
        };
        Ok((Target::Address(scoped(*ip, port, host)?), found.steps))
    }

    /// Who asks. The file is read now: what is not dialled needs no password.
    pub(super) fn login(&self) -> Result<Option<Login>, Failure> {
        let endpoint = &self.stack.endpoint;
        let Some(user) = endpoint.user() else {
            return Ok(None);
        };
        let password = match (&self.options.password_file, &self.options.password_env) {
            (Some(path), _) => read_password(path)?,
            (None, Some(variable)) => std::env::var(variable).map_err(|_| {
                wrong(format!(
                    "the password of {self} is not in the environment: `{variable}` is not set"
                ))
            })?,
            (None, None) => endpoint
                .password()
                .map_or_else(String::new, |password| password.reveal().to_owned()),
        };
        Ok(Some(Login {
            user: user.to_owned(),
            password,
        }))
    }
}

/// The first line of a file.
fn read_password(path: &Path) -> Result<String, Failure> {
    use std::io::Read;

    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(LONGEST_FILE).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text.lines().next().unwrap_or_default().to_owned()),
        Err(error) => Err(wrong(format!(
            "the password file `{}` cannot be read: {}",
            path.display(),
            error.kind()
        ))),
    }
}
