//! The server's side.

use std::sync::{Arc, OnceLock};

use netloom_base::endpoint::{Level, Role};
use netloom_base::failure::{Certificate, Fact};
use netloom_base::{Failure, Stack};
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{Acceptor, ClientHello, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CipherSuite, RootCertStore, ServerConfig};
use tokio_rustls::{LazyConfigAcceptor, TlsStream};

use super::blame::{Case, Late};
use super::certificates::{Certificates, names_of};
use super::files::Given;
use super::io::TlsIo;
use super::judge::ClientJudge;
use super::options::{Alpn, Cert, ClientAuth, ListenOptions, Version};
use super::session::Session;
use super::sniff::{Sniff, Witness};
use super::{At, Ended, SEND_BUFFER, ended, offers, provider, unusable, versions, x509};
use crate::conn::Io;
use crate::cx::Cx;
use crate::net::mistakes;

/// A bound endpoint, read and checked.
pub(super) struct ServerSide {
    options: ListenOptions,
    /// From files; `None` where one is made.
    certified: Option<Arc<CertifiedKey>>,
    /// What a made certificate is for.
    names: Vec<String>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    client_roots: Option<Arc<RootCertStore>>,
    ready: OnceLock<Ready>,
}

/// What all connections share: the tickets too, so that sessions can go on.
struct Ready {
    config: Arc<ServerConfig>,
    own: Vec<CertificateDer<'static>>,
    clock: Arc<At>,
}

impl ServerSide {
    pub(super) fn read(level: &Level, stack: &Stack) -> Result<Self, Failure> {
        let options =
            ListenOptions::read(&level.settings).map_err(|errors| mistakes(stack, &errors))?;
        let given = Given { level, stack };
        let certified = match (&options.cert, &options.key) {
            (None, _) => {
                return Err(given.wrong("cert", "a server needs a certificate: cert=FILE, or cert=auto for one that is made at start"));
            }
            (Some(Cert::Auto), Some(_)) => {
                return Err(given.wrong("key", "`cert=auto` makes its own key"));
            }
            (Some(Cert::Auto), None) => None,
            (Some(Cert::File(cert)), key) => Some(Arc::new(given.certified(cert, key.as_deref())?)),
        };
        let (clients, client_roots) = match (&options.client_ca, options.client_auth) {
            (None, None) => (None, None),
            (None, Some(_)) => {
                return Err(given.wrong(
                    "client-auth",
                    "`client-auth` needs `client-ca`: who signs the clients' certificates",
                ));
            }
            (Some(path), auth) => {
                let roots = Arc::new(given.authorities("client-ca", path)?.0);
                let builder =
                    WebPkiClientVerifier::builder_with_provider(roots.clone(), provider());
                let builder = match auth {
                    Some(ClientAuth::Request) => builder.allow_unauthenticated(),
                    Some(ClientAuth::Require) | None => builder,
                };
                let verifier = builder.build().map_err(|error| {
                    given.wrong("client-ca", format!("this cannot be used: {error}"))
                })?;
                (Some(verifier), Some(roots))
            }
        };
        Ok(ServerSide {
            options,
            certified,
            names: names_of(stack),
            clients,
            client_roots,
            ready: OnceLock::new(),
        })
    }

    /// Makes the certificate that nobody gave. Tells of it, the first time.
    pub(super) fn prepare(
        &self,
        maker: &dyn Certificates,
        cx: &Cx,
    ) -> Result<Option<Certificate>, Failure> {
        if self.ready.get().is_some() {
            return Ok(None);
        }
        let certified = if let Some(certified) = &self.certified {
            certified.clone()
        } else {
            let issued = maker.issue(&self.names, cx.wall())?;
            let made = CertifiedKey::from_der(issued.chain, issued.key, &provider());
            Arc::new(made.map_err(unusable)?)
        };
        let own = certified.cert.clone();
        let clock = Arc::new(At::new(cx.wall()));
        let builder = ServerConfig::builder_with_details(provider(), clock.clone())
            .with_protocol_versions(versions(self.options.min, Version::Tls13))
            .map_err(unusable)?;
        let builder = match &self.clients {
            Some(verifier) => builder.with_client_cert_verifier(Arc::new(ClientJudge {
                verifier: verifier.clone(),
            })),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = Alpn::on_wire(self.options.alpn.as_ref());
        // Tickets under keys that change every six hours: nothing is kept per session.
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(unusable)?;
        let made = self
            .certified
            .is_none()
            .then(|| x509::facts(&own).into_iter().next());
        let ready = Ready {
            config: Arc::new(config),
            own,
            clock,
        };
        // Somebody else may have been first; then theirs is the one that is told.
        Ok(self.ready.set(ready).ok().and(made.flatten()))
    }

    pub(super) async fn answer(
        &self,
        below: Box<dyn Io>,
        witness: &Witness,
        maker: &dyn Certificates,
        cx: &Cx,
    ) -> Result<(TlsIo, Session), Failure> {
        self.prepare(maker, cx)?;
        let Some(ready) = self.ready.get() else {
            return Err(unusable("the endpoint was not made ready"));
        };
        let now = cx.wall();
        ready.clock.set(now);

        let mut hello = None;
        let shaking = async {
            let sniff = Sniff::new(below, witness.clone());
            let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), sniff);
            let start = match (&mut acceptor).await {
                Ok(start) => start,
                Err(error) => return Err((error, acceptor.take_io())),
            };
            hello = Some(Hello::of(&start.client_hello()));
            let accept = start.into_stream_with(ready.config.clone(), |session| {
                session.set_buffer_limit(Some(SEND_BUFFER));
            });
            accept
                .into_fallible()
                .await
                .map_err(|(error, io)| (error, Some(io)))
        };
        match witness.watch(shaking).await {
            Ok(stream) => {
                let state = stream.get_ref().1;
                let session = Session::of(state, state.server_name());
                let late = Late {
                    role: Role::Bind,
                    own: Vec::new(),
                    asked: None,
                    now,
                };
                let stream = TlsStream::Server(stream);
                let io = TlsIo::new(stream, self.options.strict_end, late, cx.events().clone());
                Ok((io, session))
            }
            Err((error, io)) => {
                let mut offers = offers(
                    "this end",
                    self.options.min,
                    Version::Tls13,
                    self.options.alpn.as_ref(),
                );
                offers.extend(hello.iter().map(Hello::fact));
                let failure = Case {
                    role: Role::Bind,
                    seen: &witness.look(),
                    own: &ready.own,
                    roots: self.client_roots.as_deref(),
                    name: "this server",
                    offers,
                    now,
                }
                .failure(error);
                Err(match io {
                    Some(io) => ended(io, failure, Ended::Answered, cx).await,
                    None => failure,
                })
            }
        }
    }
}

/// What a client offered, as it stood in its hello: words are made of it only
/// when the handshake fails.
struct Hello {
    name: Option<String>,
    alpn: Vec<Vec<u8>>,
    ciphers: Vec<CipherSuite>,
}

/// How many ciphers are told.
const MOST_CIPHERS: usize = 64;

impl Hello {
    fn of(hello: &ClientHello<'_>) -> Self {
        let alpn = hello.alpn().into_iter().flatten();
        let ciphers = hello.cipher_suites();
        Hello {
            name: hello.server_name().map(str::to_owned),
            alpn: alpn.map(<[u8]>::to_vec).collect(),
            ciphers: ciphers[..ciphers.len().min(MOST_CIPHERS)].to_vec(),
        }
    }

    fn fact(&self) -> Fact {
        let listed = |items: Vec<String>| {
            if items.is_empty() {
                "none".to_owned()
            } else {
                items.join(" ")
            }
        };
        let named = |suite: &CipherSuite| {
            let number = u16::from(*suite);
            let name = netloom_wire::tls::cipher_name(number);
            name.map_or_else(|| format!("0x{number:04x}"), str::to_owned)
        };
        let name = self.name.as_deref().unwrap_or("no name");
        let alpn = self.alpn.iter().map(|name| name.escape_ascii().to_string());
        let (alpn, ciphers) = (
            listed(alpn.collect()),
            listed(self.ciphers.iter().map(named).collect()),
        );
        Fact::said(
            format!("the client asks for {name}, offers protocols {alpn} and ciphers {ciphers}"),
            "ClientHello",
        )
    }
}
