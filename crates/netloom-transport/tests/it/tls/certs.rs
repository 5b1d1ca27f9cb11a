//! Certificates of every kind that is wrong, made anew for each test.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::DigitallySignedStruct;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// A folder of one test, removed at its end.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("netloom-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Writes a file and gives its path, as it stands in an endpoint.
    pub(super) fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().replace('/', "%2F")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) type Authority = CertifiedIssuer<'static, KeyPair>;

fn named(common: &str, organisation: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    params
        .distinguished_name
        .push(DnType::OrganizationName, organisation);
    params
}

fn authority_of(common: &str, organisation: &str) -> CertificateParams {
    let mut params = named(common, organisation);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A root.
pub(super) fn root(common: &str) -> Authority {
    root_of(common, "Test")
}

/// A root of another organisation.
pub(super) fn root_of(common: &str, organisation: &str) -> Authority {
    let key = KeyPair::generate().unwrap();
    CertifiedIssuer::self_signed(authority_of(common, organisation), key).unwrap()
}

/// An authority below another.
pub(super) fn intermediate(common: &str, above: &Authority) -> Authority {
    let key = KeyPair::generate().unwrap();
    CertifiedIssuer::signed_by(authority_of(common, "Test"), key, above).unwrap()
}

/// What a certificate at the end of a chain is like.
pub(super) struct Leaf {
    pub(super) names: Vec<String>,
    pub(super) from: (i32, u8, u8),
    pub(super) until: (i32, u8, u8),
    pub(super) issuer_place: bool,
    pub(super) client: bool,
}

impl Default for Leaf {
    fn default() -> Self {
        Leaf {
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            from: (2020, 1, 1),
            until: (2100, 1, 1),
            issuer_place: false,
            client: false,
        }
    }
}

impl Leaf {
    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(self.names.clone()).unwrap();
        params.distinguished_name = named("leaf", "Test").distinguished_name;
        params.not_before = date_time_ymd(self.from.0, self.from.1, self.from.2);
        params.not_after = date_time_ymd(self.until.0, self.until.1, self.until.2);
        params.extended_key_usages = vec![if self.client {
            ExtendedKeyUsagePurpose::ClientAuth
        } else {
            ExtendedKeyUsagePurpose::ServerAuth
        }];
        if self.issuer_place {
            // SEQUENCE { SEQUENCE { caIssuers, [6] "http://ca" } }
            let uri = b"http://ca";
            let mut place = vec![
                0x30, 0x17, 0x30, 0x15, 6, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 2, 0x86, 9,
            ];
            place.extend_from_slice(uri);
            let oid = [1, 3, 6, 1, 5, 5, 7, 1, 1];
            params
                .custom_extensions
                .push(CustomExtension::from_oid_content(&oid, place));
        }
        params
    }

    /// Its certificate and key in one PEM text, signed by `above`.
    pub(super) fn signed_by(&self, above: &Authority) -> String {
        let key = KeyPair::generate().unwrap();
        let certificate = self.params().signed_by(&key, above).unwrap();
        format!("{}{}", certificate.pem(), key.serialize_pem())
    }

    /// The same, signed by itself.
    pub(super) fn self_signed(&self) -> String {
        let key = KeyPair::generate().unwrap();
        let certificate = self.params().self_signed(&key).unwrap();
        format!("{}{}", certificate.pem(), key.serialize_pem())
    }
}

/// Takes any certificate: a client that is not ours.
#[derive(Debug, Clone)]
pub(super) struct Anything(Arc<CryptoProvider>);

impl Default for Anything {
    fn default() -> Self {
        Anything(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
    }
}

impl Anything {
    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        self.0.clone()
    }
}

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
