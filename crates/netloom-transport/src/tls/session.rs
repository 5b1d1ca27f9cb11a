//! What a handshake agreed on.

use std::fmt;

use netloom_base::failure::Certificate;
use netloom_wire::tls::{cipher_name, group_name, version_name};
use rustls::{CommonState, HandshakeKind};

use super::x509;

/// A TLS session, as both ends agreed on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// `TLS 1.3`.
    pub version: &'static str,
    /// `TLS_AES_256_GCM_SHA384`.
    pub cipher: &'static str,
    /// The key exchange group, `X25519MLKEM768`; none when the session was resumed without one.
    pub group: Option<&'static str>,
    /// The application protocol, where one was agreed on (RFC 7301).
    pub alpn: Option<String>,
    /// The name the client asked for, at the server.
    pub asked_for: Option<String>,
    /// Whether it goes on from an earlier one.
    pub resumed: bool,
    /// The peer's certificates, its own first.
    pub chain: Vec<Certificate>,
}

impl Session {
    pub(super) fn of(state: &CommonState, asked_for: Option<&str>) -> Self {
        let version = state.protocol_version().map(u16::from);
        let cipher = state
            .negotiated_cipher_suite()
            .map(|suite| u16::from(suite.suite()));
        let group = state
            .negotiated_key_exchange_group()
            .map(|group| u16::from(group.name()));
        let chain = state.peer_certificates().unwrap_or_default();
        Session {
            version: version.and_then(version_name).unwrap_or("TLS"),
            cipher: cipher.and_then(cipher_name).unwrap_or("an unnamed cipher"),
            group: group.and_then(group_name),
            alpn: state
                .alpn_protocol()
                .map(|name| String::from_utf8_lossy(name).into_owned()),
            asked_for: asked_for.map(str::to_owned),
            resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
            chain: x509::facts(chain),
        }
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.version, self.cipher)?;
        if let Some(group) = self.group {
            write!(f, ", {group}")?;
        }
        if let Some(alpn) = &self.alpn {
            write!(f, ", {alpn}")?;
        }
        if self.resumed {
            write!(f, ", resumed")?;
        }
        Ok(())
    }
}
