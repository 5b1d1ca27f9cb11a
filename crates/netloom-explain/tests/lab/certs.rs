//! Certificates of every kind, made anew for each situation and written to the
//! folder that it takes place in.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

fn called(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name.push(DnType::OrganizationName, "Netloom Lab");
    name
}

fn authority(common: &str) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::default();
    params.distinguished_name = called(common);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params, KeyPair::generate().unwrap())
}

/// A root, in `root.pem` too.
pub(crate) fn root() -> Authority {
    let (params, key) = authority("root");
    let root = CertifiedIssuer::self_signed(params, key).unwrap();
    write("root.pem", &root.pem());
    root
}

/// An authority below another.
pub(crate) fn below(above: &Authority, common: &str) -> Authority {
    let (params, key) = authority(common);
    CertifiedIssuer::signed_by(params, key, above).unwrap()
}

/// Dates and names of a certificate at the end of a chain.
pub(crate) struct Leaf {
    pub(crate) names: &'static [&'static str],
    pub(crate) years: (i32, i32),
    pub(crate) client: bool,
}

impl Default for Leaf {
    fn default() -> Self {
        Leaf {
            names: &["localhost", "127.0.0.1"],
            years: (2020, 2100),
            client: false,
        }
    }
}

impl Leaf {
    fn params(&self) -> CertificateParams {
        let names: Vec<String> = self.names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = called("leaf");
        params.not_before = date_time_ymd(self.years.0, 1, 2);
        params.not_after = date_time_ymd(self.years.1, 1, 2);
        params.extended_key_usages = vec![if self.client {
            ExtendedKeyUsagePurpose::ClientAuth
        } else {
            ExtendedKeyUsagePurpose::ServerAuth
        }];
        params
    }

    /// Writes `NAME.pem` and `NAME.key`, signed by `above`.
    pub(crate) fn signed(&self, name: &str, above: &Authority) {
        let key = KeyPair::generate().unwrap();
        let made = self.params().signed_by(&key, above).unwrap();
        write(&format!("{name}.pem"), &made.pem());
        write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// The same, signed by itself.
    pub(crate) fn self_signed(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let made = self.params().self_signed(&key).unwrap();
        write(&format!("{name}.pem"), &made.pem());
        write(&format!("{name}.key"), &key.serialize_pem());
    }
}

pub(crate) fn write(name: &str, text: &str) {
    std::fs::write(name, text).unwrap();
}
