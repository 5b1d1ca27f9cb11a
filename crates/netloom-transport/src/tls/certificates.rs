//! Who makes certificates: the room asks, and something above may answer.

use std::net::IpAddr;

use netloom_base::endpoint::Host;
use netloom_base::{Failure, Side, Stack, Stage, Timestamp};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Makes certificates for `cert=auto`. [`SelfSigned`] is the one that needs
/// nothing; a program that keeps an authority of its own puts that here.
pub trait Certificates: Send + Sync {
    /// A certificate for a server that is reached by any of `names` (DNS names
    /// and IP addresses), valid from `now` on.
    fn issue(&self, names: &[String], now: Timestamp) -> Result<Issued, Failure>;
}

/// A certificate and what goes with it.
pub struct Issued {
    /// In DER, the server's own first; the authority's root is not needed.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
}

/// Certificates that nobody but themselves signed, kept only in memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct SelfSigned;

const DAY: i64 = 86_400_000_000;

impl Certificates for SelfSigned {
    fn issue(&self, names: &[String], now: Timestamp) -> Result<Issued, Failure> {
        let failed = |error: rcgen::Error| {
            Failure::new(Stage::Tls, Side::Us, Stage::Tls.other())
                .message("no certificate could be made")
                .source(error)
        };
        let mut params = CertificateParams::new(names).map_err(failed)?;
        // A day early, for clients whose clock is behind; a year, as a program runs.
        let ((y, m, d), (end_y, end_m, end_d)) = (
            Timestamp(now.0 - DAY).date(),
            Timestamp(now.0 + 366 * DAY).date(),
        );
        params.not_before = rcgen::date_time_ymd(y as i32, m as u8, d as u8);
        params.not_after = rcgen::date_time_ymd(end_y as i32, end_m as u8, end_d as u8);
        params.distinguished_name = DistinguishedName::new();
        let first = names.first().map_or("localhost", String::as_str);
        params.distinguished_name.push(DnType::CommonName, first);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Issued {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }
}

/// What a server on this endpoint is called: as this host calls itself, and as
/// it was written.
pub(super) fn names_of(stack: &Stack) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec();
    let written = match stack.endpoint.host() {
        Host::Name(name) => Some(name.trim_end_matches('.').to_owned()),
        host => host.ip().map(|ip: IpAddr| ip.to_string()),
    };
    if let Some(written) = written.filter(|name| !names.contains(name)) {
        names.insert(0, written);
    }
    names
}
