//! The load generator for TLS servers: rustls, blocking sockets, TLS 1.3 only,
//! one key exchange group, and never a session that goes on from an earlier one.
//!
//! ```text
//! floor-tls-load ADDRESS x25519|mlkem [COMMAND…]
//! ```
//!
//! Does each `COMMAND`, or the lines of stdin when there is none, with one line
//! of JSON for each:
//!
//! - `handshakes:COUNT` connects, shakes hands, asks for one byte and closes in
//!   order, `COUNT` times on four threads;
//! - `idle:COUNT` opens `COUNT` connections, asks for one byte on each, and keeps them;
//! - `bulk:MIB` sends so many mebibytes over one connection to an echo and
//!   reads them back.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bare program to measure with: it has no Cx and speaks on stdout"
)]

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use std::io::{self, BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
type Talk = StreamOwned<ClientConnection, TcpStream>;

const THREADS: usize = 4;
/// A server that says nothing for so long has failed.
const SILENCE: Duration = Duration::from_secs(20);
const MIB: usize = 1 << 20;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("floor-tls-load: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Outcome {
    let mut args = std::env::args().skip(1);
    let to = args.next().ok_or("which address?")?.parse()?;
    let group = match args.next().as_deref() {
        Some("x25519") => aws_lc_rs::kx_group::X25519,
        Some("mlkem") => aws_lc_rs::kx_group::X25519MLKEM768,
        _ => return Err("which group? x25519 or mlkem".into()),
    };
    let mut load = Load {
        to,
        config: config(group)?,
        open: Vec::new(),
    };
    let commands: Vec<String> = args.collect();
    if commands.is_empty() {
        for line in io::stdin().lock().lines() {
            load.run(line?.trim())?;
        }
    }
    commands.iter().try_for_each(|command| load.run(command))
}

struct Load {
    to: SocketAddr,
    config: Arc<ClientConfig>,
    open: Vec<Talk>,
}

impl Load {
    fn run(&mut self, command: &str) -> Outcome {
        let (what, count) = command.split_once(':').ok_or("COMMAND is NAME:COUNT")?;
        let count: usize = count.parse()?;
        let begun = Instant::now();
        match what {
            "handshakes" => self.handshakes(count)?,
            "idle" => {
                for _ in 0..count {
                    let mut talk = self.connect()?;
                    ask(&mut talk)?;
                    self.open.push(talk);
                }
            }
            "bulk" => self.bulk(count)?,
            _ => return Err(format!("unknown command {command:?}").into()),
        }
        let wall = begun.elapsed().as_nanos();
        let mut out = io::stdout().lock();
        writeln!(out, r#"{{"{what}":{count},"wall_ns":{wall}}}"#)?;
        Ok(out.flush()?)
    }

    fn connect(&self) -> Outcome<Talk> {
        let socket = TcpStream::connect(self.to)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(SILENCE))?;
        let name = ServerName::try_from("localhost")?;
        let session = ClientConnection::new(self.config.clone(), name)?;
        Ok(StreamOwned::new(session, socket))
    }

    fn handshakes(&self, count: usize) -> Outcome {
        thread::scope(|scope| {
            let share = |thread| count / THREADS + usize::from(thread < count % THREADS);
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| scope.spawn(move || (0..share(thread)).try_for_each(|_| self.once())))
                .collect();
            threads.into_iter().try_for_each(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err("a thread panicked".into()))
            })
        })
    }

    /// A whole conversation: when the server has closed too, it has done all
    /// there was to do.
    fn once(&self) -> Outcome {
        let mut talk = self.connect()?;
        ask(&mut talk)?;
        talk.conn.send_close_notify();
        talk.flush()?;
        let mut rest = Vec::new();
        talk.read_to_end(&mut rest)?;
        Ok(())
    }

    fn bulk(&self, mebibytes: usize) -> Outcome {
        const PIECE: usize = 64 * 1024;
        let mut talk = self.connect()?;
        let (piece, mut back) = (vec![b'x'; PIECE], vec![0; PIECE]);
        for _ in 0..mebibytes * MIB / PIECE {
            talk.write_all(&piece)?;
            talk.flush()?;
            talk.read_exact(&mut back)?;
            if back != piece {
                return Err("what came back differs".into());
            }
        }
        Ok(())
    }
}

/// One byte there and one back: then the server has ended the handshake too.
fn ask(talk: &mut Talk) -> Outcome {
    talk.write_all(b"x")?;
    talk.flush()?;
    talk.read_exact(&mut [0])?;
    match talk.conn.handshake_kind() {
        Some(rustls::HandshakeKind::Full) => Ok(()),
        other => Err(format!("a full handshake was wanted, this was {other:?}").into()),
    }
}

fn config(group: &'static dyn rustls::crypto::SupportedKxGroup) -> Outcome<Arc<ClientConfig>> {
    let provider = Arc::new(CryptoProvider {
        kx_groups: vec![group],
        ..aws_lc_rs::default_provider()
    });
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The server is ours or was started beside us: only its signature is checked.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
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
        Err(rustls::Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
