//! Who looks at certificates: webpki judges, and what it saw is kept.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::sniff::Witness;
use super::x509;

/// Judges a server's certificate: one judge for every dial of an endpoint.
#[derive(Debug)]
pub(super) struct ServerJudge {
    /// The name it must be for, which need not be the one that was asked for.
    pub(super) name: ServerName<'static>,
    pub(super) trust: Trust,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

/// What a server's certificate must stand up to.
#[derive(Debug, Clone)]
pub(super) enum Trust {
    /// Nothing at all.
    Anything,
    /// A chain to one of these authorities.
    Authorities {
        /// `None` when there is not one authority.
        verifier: Option<Arc<WebPkiServerVerifier>>,
        /// Certificates that a person named: a server's own is good by itself,
        /// which webpki would not have for one that may sign others too.
        named: Arc<Vec<CertificateDer<'static>>>,
    },
}

impl ServerCertVerifier for ServerJudge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let witness = Witness::current();
        witness.look().chain = chain(end_entity, intermediates);
        let (verifier, named) = match &self.trust {
            Trust::Anything => return Ok(ServerCertVerified::assertion()),
            Trust::Authorities { verifier, named } => (verifier, named),
        };
        let judged = match verifier {
            Some(verifier) => {
                verifier.verify_server_cert(end_entity, intermediates, &self.name, ocsp, now)
            }
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        let unsigned = match &judged {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => true,
            // Somebody trusted has the issuer's name, but another key.
            Err(Error::InvalidCertificate(
                CertificateError::BadSignature
                | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
            )) => {
                witness.look().other_key = true;
                true
            }
            // webpki takes no certificate for a server's that may sign others,
            // as those that sign themselves often may: that says more.
            Err(Error::InvalidCertificate(CertificateError::Other(_))) => {
                x509::read(end_entity).is_some_and(|read| read.facts.is_self_issued())
            }
            _ => false,
        };
        if !unsigned {
            judged
        } else if named.iter().any(|own| own == end_entity) {
            named_itself(end_entity, &self.name, now)
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A certificate that is trusted itself must still be in time and for the name.
fn named_itself(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    let read = x509::read(certificate).ok_or(CertificateError::BadEncoding)?;
    let at = |moment: i64| {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(moment.max(0) as u64))
    };
    let (not_before, not_after) = (
        at(read.facts.not_before.seconds()),
        at(read.facts.not_after.seconds()),
    );
    if now < not_before {
        return Err(CertificateError::NotValidYetContext {
            time: now,
            not_before,
        }
        .into());
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext {
            time: now,
            not_after,
        }
        .into());
    }
    verify_server_name(&parsed, name)?;
    Ok(ServerCertVerified::assertion())
}

fn chain(
    first: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
) -> Vec<CertificateDer<'static>> {
    std::iter::once(first)
        .chain(others)
        .map(|certificate| certificate.clone().into_owned())
        .collect()
}

/// Judges a client's certificate.
#[derive(Debug)]
pub(super) struct ClientJudge {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for ClientJudge {
    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Witness::current().look().chain = chain(end_entity, intermediates);
        self.verifier
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Shows the client's certificate when the server asks, and keeps that it did.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) certified: Option<Arc<CertifiedKey>>,
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, authorities: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let names = authorities.iter().filter_map(|der| x509::name_in(der));
        Witness::current().look().asked = Some(names.take(32).collect());
        self.certified.clone()
    }

    fn has_certs(&self) -> bool {
        true // so that it is asked, and the asking is seen
    }
}
