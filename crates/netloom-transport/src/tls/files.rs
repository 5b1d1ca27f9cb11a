//! The files that options name. Each mistake is told at its option.

use std::io;
use std::path::Path;

use netloom_base::endpoint::Level;
use netloom_base::failure::{Errno, Fact};
use netloom_base::{Failure, SettingError, Stack};
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::provider;
use crate::net::mistakes;

/// The options of one level, for complaints about them.
pub(super) struct Given<'a> {
    pub(super) level: &'a Level,
    pub(super) stack: &'a Stack,
}

impl Given<'_> {
    /// A complaint about an option, with the caret under it.
    pub(super) fn wrong(&self, key: &str, message: impl Into<String>) -> Failure {
        let setting = self.level.settings.last(key);
        let span = setting.and_then(|setting| setting.span.clone());
        mistakes(self.stack, &[SettingError::new(key, span, message)])
    }

    fn unreadable(&self, key: &str, path: &Path, error: &pem::Error) -> Failure {
        let path = path.display();
        match error {
            pem::Error::Io(error) => {
                let failure =
                    self.wrong(key, format!("`{path}` cannot be read: {}", in_words(error)));
                match error.raw_os_error() {
                    Some(errno) => failure.fact(Fact::Errno(Errno(errno))),
                    None => failure,
                }
            }
            pem::Error::NoItemsFound => {
                self.wrong(key, format!("`{path}` holds no such PEM section"))
            }
            other => self.wrong(key, format!("`{path}` is not PEM: {other}")),
        }
    }

    /// The certificates in a file: at least one.
    pub(super) fn certificates(
        &self,
        key: &str,
        path: &Path,
    ) -> Result<Vec<CertificateDer<'static>>, Failure> {
        let unreadable = |error| self.unreadable(key, path, &error);
        let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
            .map_err(unreadable)?
            .collect();
        match all.map_err(unreadable)? {
            none if none.is_empty() => {
                Err(self.wrong(key, format!("`{}` holds no certificate", path.display())))
            }
            some => Ok(some),
        }
    }

    /// A certificate and its private key, which must belong together.
    pub(super) fn certified(
        &self,
        cert: &Path,
        key: Option<&Path>,
    ) -> Result<CertifiedKey, Failure> {
        let chain = self.certificates("cert", cert)?;
        let (option, path) = key.map_or(("cert", cert), |key| ("key", key));
        let private = PrivateKeyDer::from_pem_file(path).map_err(|error| match (&error, key) {
            (pem::Error::NoItemsFound, None) => self.wrong(
                "cert",
                format!(
                    "`{}` holds no private key, and `key` is missing",
                    cert.display()
                ),
            ),
            (pem::Error::NoItemsFound, Some(_)) => {
                self.wrong(option, format!("`{}` holds no private key", path.display()))
            }
            _ => self.unreadable(option, path, &error),
        })?;
        CertifiedKey::from_der(chain, private, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => self.wrong(
                option,
                format!(
                    "the key in `{}` is not the key of the certificate in `{}`",
                    path.display(),
                    cert.display()
                ),
            ),
            other => self.wrong(
                option,
                format!("`{}` cannot be used: {other}", path.display()),
            ),
        })
    }

    /// Authorities to trust.
    pub(super) fn authorities(
        &self,
        key: &str,
        path: &Path,
    ) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), Failure> {
        let all = self.certificates(key, path)?;
        let mut roots = RootCertStore::empty();
        for certificate in &all {
            roots.add(certificate.clone()).map_err(|error| {
                self.wrong(
                    key,
                    format!(
                        "a certificate in `{}` cannot be used: {error}",
                        path.display()
                    ),
                )
            })?;
        }
        Ok((roots, all))
    }
}

/// What the system says, without its number, which is a fact of its own.
fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not".to_owned(),
        _ => error.to_string(),
    }
}
