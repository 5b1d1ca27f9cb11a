//! Where the proxy is asked to go, and who asks.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};

use crate::http::basic;

/// The longest name, user or password a proxy can be told, in bytes: SOCKS has
/// one byte for a length.
const LONGEST: usize = 255;

/// Where a proxy is asked to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A name, which the proxy resolves, and a port.
    Name(String, u16),
    /// An address.
    Address(SocketAddr),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Name(name, port) => write!(f, "{name}:{port}"),
            // A zone means something on this host only.
            Target::Address(SocketAddr::V6(addr)) => write!(f, "[{}]:{}", addr.ip(), addr.port()),
            Target::Address(addr) => write!(f, "{addr}"),
        }
    }
}

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The password; may be empty.
    pub password: String,
}

/// A login never shows its password.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({:?})", self.user)
    }
}

/// Why a proxy cannot be asked so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsayable {
    /// The name is empty or longer than 255 bytes.
    Name,
    /// The name has a character that no host has.
    NameCharacter,
    /// The user's name is empty or longer than 255 bytes.
    User,
    /// The user's name has a character that this protocol cannot say.
    UserCharacter,
    /// The password is longer than 255 bytes.
    Password,
    /// SOCKS4 has no IPv6 addresses.
    V6,
    /// SOCKS4 has no passwords.
    NoPassword,
}

impl fmt::Display for Unsayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unsayable::Name => "a name for a proxy has 1 to 255 bytes",
            Unsayable::NameCharacter => "a name for a proxy has no blanks and nothing unprintable",
            Unsayable::User => "a user's name for a proxy has 1 to 255 bytes",
            Unsayable::UserCharacter => "this user's name cannot be told to this kind of proxy",
            Unsayable::Password => "a password for a SOCKS proxy has at most 255 bytes",
            Unsayable::V6 => "socks4a carries no IPv6 address; socks5 does",
            Unsayable::NoPassword => "socks4a has no passwords; socks5 does",
        })
    }
}

impl Error for Unsayable {}

impl Target {
    /// Whether it can be told to a proxy at all. A name goes into a request's
    /// first line too, so nothing in it may end that line or its words.
    fn check(&self) -> Result<(), Unsayable> {
        let Target::Name(name, _) = self else {
            return Ok(());
        };
        if name.is_empty() || name.len() > LONGEST {
            return Err(Unsayable::Name);
        }
        if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Unsayable::NameCharacter);
        }
        Ok(())
    }
}

/// The methods this end offers: no login, and where there is one, user and password.
pub(super) fn greeting(login: Option<&Login>) -> Vec<u8> {
    match login {
        None => vec![5, 1, 0],
        Some(_) => vec![5, 2, 0, 2],
    }
}

/// User and password (RFC 1929 §2).
pub(super) fn password(login: &Login) -> Result<Vec<u8>, Unsayable> {
    let (user, password) = (login.user.as_bytes(), login.password.as_bytes());
    let Some(user_length) = length(user).filter(|length| *length > 0) else {
        return Err(Unsayable::User);
    };
    let Some(password_length) = length(password) else {
        return Err(Unsayable::Password);
    };
    let mut said = vec![1, user_length];
    said.extend_from_slice(user);
    said.push(password_length);
    said.extend_from_slice(password);
    Ok(said)
}

fn length(text: &[u8]) -> Option<u8> {
    u8::try_from(text.len()).ok()
}

/// The request of SOCKS5 (RFC 1928 §4).
pub(super) fn socks5(target: &Target) -> Result<Vec<u8>, Unsayable> {
    target.check()?;
    let mut said = vec![5, 1, 0];
    let port = match target {
        Target::Name(name, port) => {
            said.push(3);
            said.push(length(name.as_bytes()).ok_or(Unsayable::Name)?);
            said.extend_from_slice(name.as_bytes());
            *port
        }
        Target::Address(addr) => {
            match addr.ip() {
                IpAddr::V4(ip) => {
                    said.push(1);
                    said.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    said.push(4);
                    said.extend_from_slice(&ip.octets());
                }
            }
            addr.port()
        }
    };
    said.extend_from_slice(&port.to_be_bytes());
    Ok(said)
}

/// The request of SOCKS4, and of 4a where the target is a name: an address
/// that no host has says that a name follows.
pub(super) fn socks4(target: &Target, login: Option<&Login>) -> Result<Vec<u8>, Unsayable> {
    target.check()?;
    let user = login.map_or("", |login| &login.user);
    if login.is_some_and(|login| !login.password.is_empty()) {
        return Err(Unsayable::NoPassword);
    }
    if user.len() > LONGEST {
        return Err(Unsayable::User);
    }
    if user.contains('\0') {
        return Err(Unsayable::UserCharacter);
    }
    let mut said = vec![4, 1];
    let (ip, port, name) = match target {
        Target::Name(name, port) => ([0, 0, 0, 1], *port, Some(name)),
        Target::Address(addr) => match addr.ip().to_canonical() {
            IpAddr::V4(ip) => (ip.octets(), addr.port(), None),
            IpAddr::V6(_) => return Err(Unsayable::V6),
        },
    };
    said.extend_from_slice(&port.to_be_bytes());
    said.extend_from_slice(&ip);
    said.extend_from_slice(user.as_bytes());
    said.push(0);
    if let Some(name) = name {
        said.extend_from_slice(name.as_bytes());
        said.push(0);
    }
    Ok(said)
}

/// The request of HTTP/1.1 (RFC 9110 §9.3.6, RFC 9112 §3.2.3).
pub(super) fn connect(target: &Target, login: Option<&Login>) -> Result<Vec<u8>, Unsayable> {
    target.check()?;
    let mut said = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(login) = login {
        // In `user:password` the first colon ends the user (RFC 7617 §2).
        if login.user.contains(':') || login.user.chars().any(char::is_control) {
            return Err(Unsayable::UserCharacter);
        }
        let basic = basic(&login.user, &login.password);
        // Writing to text cannot fail.
        let _ = write!(said, "Proxy-Authorization: {basic}\r\n");
    }
    said.push_str("\r\n");
    Ok(said.into_bytes())
}
