//! Which servers are asked, and for which names.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// How many servers of a configuration are asked: as many as resolv.conf(5) reads.
const MOST_SERVERS: usize = 3;

/// The configuration of a resolver.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name servers, in the order to ask them.
    pub servers: Vec<SocketAddr>,
    /// Domains in which a name without a dot at its end is looked for.
    pub search: Vec<String>,
    /// How many dots a name has that is asked as written before it is searched for.
    pub ndots: usize,
    /// How long other programs on this system wait for a silent server.
    pub timeout: Duration,
    /// The text of the hosts file, where there is one.
    pub hosts: Option<String>,
}

impl Default for Config {
    /// No servers; the rest as in resolv.conf(5).
    fn default() -> Self {
        Config {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            hosts: None,
        }
    }
}

impl Config {
    /// What the system says, or why it says nothing.
    #[cfg(any(unix, windows))]
    pub(super) fn system() -> Result<Self, String> {
        let read = hickory_resolver::system_conf::read_system_conf();
        let (config, options) = read.map_err(|error| error.to_string())?;
        let at = |server: &hickory_resolver::config::NameServerConfig| {
            let port = server.connections.first().map_or(53, |c| c.port);
            SocketAddr::new(server.ip, port)
        };
        let mut servers = Vec::new();
        for server in config.name_servers().iter().map(at) {
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        // The host's own domain is searched only where nothing else is said.
        let search = match config.search() {
            [] => config.domain().into_iter().collect(),
            said => said.iter().collect::<Vec<_>>(),
        };
        Ok(Config {
            servers,
            search: search.into_iter().map(ToString::to_string).collect(),
            ndots: options.ndots,
            timeout: options.timeout,
            hosts: None,
        })
    }

    /// What the system says, or why it says nothing.
    #[cfg(not(any(unix, windows)))]
    pub(super) fn system() -> Result<Self, String> {
        Err("the name servers of this platform cannot be read".to_owned())
    }

    pub(super) fn asked(&self) -> impl Iterator<Item = SocketAddr> {
        self.servers.iter().copied().take(MOST_SERVERS)
    }

    /// The full names to ask for, in order, each with its dot at the end.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let as_written = format!("{name}.");
        let searched = self.search.iter().map(|domain| {
            let domain = domain.trim_matches('.');
            format!("{name}.{domain}.")
        });
        let mut names: Vec<String> = searched.collect();
        if name.matches('.').count() >= self.ndots {
            names.insert(0, as_written);
        } else {
            names.push(as_written);
        }
        names.retain(|name| name.len() <= 254);
        names
    }
}

/// When the system's configuration was last written.
pub(super) fn written() -> Option<SystemTime> {
    let path = if cfg!(unix) {
        "/etc/resolv.conf"
    } else {
        return None;
    };
    std::fs::metadata(path)
        .and_then(|file| file.modified())
        .ok()
}

/// Where the hosts file is.
pub(super) fn hosts_path() -> PathBuf {
    #[cfg(windows)]
    {
        let root = std::env::var_os("SystemRoot").unwrap_or_else(|| "C:\\Windows".into());
        PathBuf::from(root).join("System32\\drivers\\etc\\hosts")
    }
    #[cfg(not(windows))]
    PathBuf::from("/etc/hosts")
}
