//! The client's side.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use netloom_base::endpoint::{Host, Level, Role};
use netloom_base::failure::Fact;
use netloom_base::{Failure, Stack, Timestamp};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::{TlsConnector, TlsStream};

use super::blame::{Case, Late};
use super::files::Given;
use super::io::TlsIo;
use super::judge::{ServerJudge, Shown, Trust};
use super::options::{Alpn, DialOptions, Sni};
use super::session::Session;
use super::sniff::{Sniff, Witness};
use super::{At, Ended, SEND_BUFFER, ended, offers, provider, unusable, versions};
use crate::conn::Io;
use crate::cx::Cx;
use crate::net::mistakes;

/// A dialled endpoint, read and checked.
pub(super) struct ClientSide {
    pub(super) options: DialOptions,
    /// What is asked for, and what the certificate must be for.
    ask: ServerName<'static>,
    verify: ServerName<'static>,
    certified: Option<Arc<CertifiedKey>>,
    /// From `ca`.
    named: Arc<Vec<CertificateDer<'static>>>,
    named_roots: RootCertStore,
    trusted: OnceLock<Trusted>,
    ready: OnceLock<Ready>,
}

/// What all dials share: the judge, and with it the sessions that can go on.
struct Ready {
    config: Arc<ClientConfig>,
    clock: Arc<At>,
}

/// How many tickets are kept: what rustls keeps of one server. No early data
/// is sent with them.
const TICKETS: usize = 8;

struct Trusted {
    verifier: Option<Arc<WebPkiServerVerifier>>,
    roots: Arc<RootCertStore>,
}

/// The authorities this system trusts, read when the first server must be judged.
#[derive(Default)]
pub(super) struct Platform(OnceLock<RootCertStore>);

impl Platform {
    fn roots(&self) -> &RootCertStore {
        self.0.get_or_init(|| {
            let mut roots = RootCertStore::empty();
            // What cannot be read is not trusted; the failure it leads to says so.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        })
    }
}

impl ClientSide {
    pub(super) fn read(level: &Level, stack: &Stack) -> Result<Self, Failure> {
        let options =
            DialOptions::read(&level.settings).map_err(|errors| mistakes(stack, &errors))?;
        let given = Given { level, stack };
        if options.ca_only && options.ca.is_none() {
            return Err(given.wrong("ca-only", "`ca-only` needs `ca`: a file with what to trust"));
        }
        if options.key.is_some() && options.cert.is_none() {
            return Err(given.wrong("key", "`key` needs `cert`: the certificate it belongs to"));
        }
        if options.min > options.max {
            return Err(given.wrong("min", "`min` is newer than `max`"));
        }
        let certified = match &options.cert {
            Some(cert) => Some(Arc::new(given.certified(cert, options.key.as_deref())?)),
            None => None,
        };
        let (named_roots, named) = match &options.ca {
            Some(path) => given.authorities("ca", path)?,
            None => (RootCertStore::empty(), Vec::new()),
        };
        let host = host_name(stack);
        let ask = match &options.sni {
            Some(Sni::Name(name)) => DnsName::try_from(name.clone())
                .map(ServerName::DnsName)
                .map_err(|_| given.wrong("sni", "this is not a name that can be asked for"))?,
            Some(Sni::Off) | None => host.clone().ok_or_else(|| {
                given.wrong(
                    "sni",
                    "the host is not a name that can be asked for; sni=NAME gives another",
                )
            })?,
        };
        let verify = match &options.verify_name {
            Some(name) => ServerName::try_from(name.clone())
                .map_err(|_| given.wrong("verify-name", "this is neither a name nor an address"))?,
            None => ask.clone(),
        };
        Ok(ClientSide {
            options,
            ask,
            verify,
            certified,
            named: Arc::new(named),
            named_roots,
            trusted: OnceLock::new(),
            ready: OnceLock::new(),
        })
    }

    /// Whether the files hold the same certificates: then the private key is
    /// the same too, as each was checked to belong to its certificate.
    pub(super) fn has_same_files(&self, other: &Self) -> bool {
        let own = |side: &Self| side.certified.as_ref().map(|pair| pair.cert.clone());
        self.named == other.named && own(self) == own(other)
    }

    fn trusted(&self, platform: &Platform) -> &Trusted {
        self.trusted.get_or_init(|| {
            let mut roots = self.named_roots.clone();
            if !self.options.ca_only {
                roots.roots.extend(platform.roots().roots.iter().cloned());
            }
            let roots = Arc::new(roots);
            let built =
                WebPkiServerVerifier::builder_with_provider(roots.clone(), provider()).build();
            Trusted {
                verifier: built.ok(), // it fails only where there is not one authority
                roots,
            }
        })
    }

    fn ready(&self, platform: &Platform, now: Timestamp) -> Result<&Ready, Failure> {
        if let Some(ready) = self.ready.get() {
            ready.clock.set(now);
            return Ok(ready);
        }
        let trust = if self.options.insecure {
            Trust::Anything
        } else {
            Trust::Authorities {
                verifier: self.trusted(platform).verifier.clone(),
                named: self.named.clone(),
            }
        };
        let provider = provider();
        let judge = ServerJudge {
            name: self.verify.clone(),
            trust,
            algorithms: provider.signature_verification_algorithms,
        };
        let shown = Shown {
            certified: self.certified.clone(),
        };
        let clock = Arc::new(At::new(now));
        let mut config = ClientConfig::builder_with_details(provider, clock.clone())
            .with_protocol_versions(versions(self.options.min, self.options.max))
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(judge))
            .with_client_cert_resolver(Arc::new(shown));
        config.alpn_protocols = Alpn::on_wire(self.options.alpn.as_ref());
        config.enable_sni = self.options.sni != Some(Sni::Off);
        config.resumption = Resumption::in_memory_sessions(TICKETS);
        let config = Arc::new(config);
        // Somebody else may have been first; then theirs is the one that counts.
        Ok(self.ready.get_or_init(|| Ready { config, clock }))
    }

    /// What it is called to whom it greets.
    pub(super) fn name(&self) -> String {
        self.verify.to_str().into_owned()
    }

    pub(super) async fn greet(
        &self,
        below: Box<dyn Io>,
        witness: &Witness,
        platform: &Platform,
        cx: &Cx,
    ) -> Result<(TlsIo, Session), Failure> {
        let now = cx.wall();
        let config = self.ready(platform, now)?.config.clone();
        let sniff = Sniff::new(below, witness.clone());
        let connecting =
            TlsConnector::from(config).connect_with(self.ask.clone(), sniff, |session| {
                session.set_buffer_limit(Some(SEND_BUFFER));
            });
        let own = self
            .certified
            .as_ref()
            .map_or(&[][..], |certified| &certified.cert);
        match witness.watch(connecting.into_fallible()).await {
            Ok(stream) => {
                let session = Session::of(stream.get_ref().1, None);
                let late = Late {
                    role: Role::Dial,
                    own: own.to_vec(),
                    asked: witness.look().asked.take(),
                    now,
                };
                let stream = TlsStream::Client(stream);
                let io = TlsIo::new(stream, self.options.strict_end, late, cx.events().clone());
                Ok((io, session))
            }
            Err((error, io)) => {
                let failure = Case {
                    role: Role::Dial,
                    seen: &witness.look(),
                    own,
                    roots: self.trusted.get().map(|trusted| &*trusted.roots),
                    name: &self.name(),
                    offers: offers(
                        "this end",
                        self.options.min,
                        self.options.max,
                        self.options.alpn.as_ref(),
                    ),
                    now,
                }
                .failure(error);
                Err(self.with_store(ended(io, failure, Ended::Dialled, cx).await))
            }
        }
    }

    /// An empty store is a reason of its own why nobody is trusted.
    fn with_store(&self, failure: Failure) -> Failure {
        match self.trusted.get() {
            Some(trusted) if trusted.roots.is_empty() => failure.fact(Fact::said(
                "this system's store of trusted authorities is empty or cannot be read",
                "rustls-native-certs",
            )),
            _ => failure,
        }
    }
}

fn host_name(stack: &Stack) -> Option<ServerName<'static>> {
    match stack.endpoint.host() {
        Host::Name(name) => ServerName::try_from(name.trim_end_matches('.').to_owned()).ok(),
        Host::V4(addr) => Some(ServerName::from(IpAddr::V4(*addr))),
        Host::V6 { addr, .. } => Some(ServerName::from(IpAddr::V6(*addr))),
        Host::Loopback | Host::Any => ServerName::try_from("localhost").ok(),
    }
}
