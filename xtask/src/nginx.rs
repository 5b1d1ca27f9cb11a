//! nginx as a TLS peer: one worker, its own folder, nothing of the system's.

use crate::Outcome;
use crate::peers::{NGINX, NGINX_STREAM};
use crate::run::{command, stream};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// An nginx that does not answer by then has failed.
const START: Duration = Duration::from_secs(10);

/// Two PEM files.
pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// A self-signed P-256 certificate for localhost, made by openssl.
pub(crate) fn certificate(folder: &Path) -> Outcome<Pair> {
    let pair = Pair {
        cert: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    stream(
        command("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
            .args(["-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-out")
            .arg(&pair.cert)
            .arg("-keyout")
            .arg(&pair.key)
            .stderr(Stdio::null()),
    )?;
    Ok(pair)
}

/// An nginx that runs; ends with this value.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) address: String,
}

impl Nginx {
    /// Starts one whose `stream` block has one server with these directives,
    /// on a free port of loopback. `ssl` says whether it listens with TLS.
    pub(crate) fn start(folder: &Path, ssl: bool, directives: &str) -> Outcome<Self> {
        let listen = if ssl { " ssl" } else { "" };
        let blocks = |address: &str| {
            format!(
                "load_module {NGINX_STREAM};\n\
                 events {{ worker_connections 4096; }}\n\
                 stream {{ server {{ listen {address}{listen}; {directives} }} }}\n"
            )
        };
        Nginx::with(folder, &blocks)
    }

    /// Starts one that answers every request of HTTP/1.1, or of HTTP/2 without
    /// TLS, with `body`.
    pub(crate) fn answering(folder: &Path, http2: bool, body: &str) -> Outcome<Self> {
        let listen = if http2 { " http2" } else { "" };
        let blocks = |address: &str| {
            format!(
                "events {{ worker_connections 4096; }}\n\
                 http {{ access_log off; keepalive_requests 1000000; server {{ \
                 listen {address}{listen}; location / {{ return 200 '{body}'; }} }} }}\n"
            )
        };
        Nginx::with(folder, &blocks)
    }

    /// Starts one with these blocks of its configuration, made for the address
    /// it listens on.
    fn with(folder: &Path, blocks: &dyn Fn(&str) -> String) -> Outcome<Self> {
        // nginx cannot tell which port it was given, so one is chosen for it.
        let port = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|free| free.local_addr())
            .map_err(|e| e.to_string())?
            .port();
        let address = format!("127.0.0.1:{port}");
        let folder = folder.join(format!("nginx-{port}"));
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let config = folder.join("nginx.conf");
        let text = format!(
            "daemon off; master_process off; worker_processes 1; pid nginx.pid;\n{}",
            blocks(&address)
        );
        fs::write(&config, text).map_err(|e| format!("{}: {e}", config.display()))?;
        let log = folder.join("error.log");
        let child = command(NGINX)
            .arg("-p")
            .arg(&folder)
            .arg("-e")
            .arg(&log)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("{NGINX}: {e}"))?;
        let mut nginx = Self { child, address };
        let over = Instant::now() + START;
        while TcpStream::connect(&nginx.address).is_err() {
            let ended = nginx.child.try_wait().map_err(|e| e.to_string())?;
            if ended.is_some() || Instant::now() > over {
                let said = fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("nginx does not listen: {}", said.trim()));
            }
            thread::yield_now();
        }
        Ok(nginx)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder of this run, gone with this value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Outcome<Self> {
        let dir = std::env::temp_dir().join(format!("netloom-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(Self(dir))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A path as it stands in an endpoint's option.
pub(crate) fn in_option(path: &Path) -> String {
    path.to_string_lossy()
        .replace('%', "%25")
        .replace('/', "%2F")
}
