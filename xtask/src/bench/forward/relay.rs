//! The relays, each as its own people would set it up for this.

use super::super::meter;
use super::super::server::{Programs, Running};
use crate::Outcome;
use crate::nginx::Folder;
use crate::peers::{HAPROXY, NGINX, NGINX_STREAM};
use crate::run::{command, read, stream};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A relay that carries nothing by then has failed.
const START: Duration = Duration::from_secs(10);

/// Where services are; above are the ports of clients, from which a server
/// would have to tell itself (ip_local_port_range).
const SERVICE_PORTS: std::ops::Range<u16> = 20_000..32_000;

/// One relay: a short name for `--only`, a long one for the table.
pub(super) struct Relay {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    how: How,
}

enum How {
    Netloom(&'static [&'static str]),
    HaProxy {
        splice: bool,
    },
    Nginx,
    Socat,
    C,
    /// None: the server itself.
    Direct,
}

pub(super) static RELAYS: &[Relay] = &[
    Relay {
        name: "netloom-1",
        title: "netloom forward, `--threads 1`",
        how: How::Netloom(&["--threads", "1"]),
    },
    Relay {
        name: "netloom-2",
        title: "netloom forward, `--threads 2`",
        how: How::Netloom(&["--threads", "2"]),
    },
    Relay {
        name: "netloom",
        title: "netloom forward",
        how: How::Netloom(&[]),
    },
    Relay {
        name: "netloom-stealing",
        title: "netloom forward, `--runtime stealing`",
        how: How::Netloom(&["--runtime", "stealing"]),
    },
    Relay {
        name: "haproxy",
        title: "HAProxy, two threads",
        how: How::HaProxy { splice: false },
    },
    Relay {
        name: "haproxy-splice",
        title: "HAProxy, two threads, `splice-auto`",
        how: How::HaProxy { splice: true },
    },
    Relay {
        name: "nginx",
        title: "nginx stream, two workers",
        how: How::Nginx,
    },
    Relay {
        name: "socat",
        title: "socat, `fork`",
        how: How::Socat,
    },
    Relay {
        name: "c",
        title: "bare C, one thread, splice",
        how: How::C,
    },
    Relay {
        name: "direct",
        title: "no relay",
        how: How::Direct,
    },
];

/// A relay that carries; ends with this value.
pub(super) enum Carrying {
    /// It says where it listens.
    Telling(Running),
    /// It was told where to.
    Told {
        child: Child,
        address: String,
    },
    Nothing {
        address: String,
    },
}

impl Relay {
    /// Starts it in front of the server on this port of loopback.
    pub(super) fn start(
        &self,
        programs: &Programs,
        server: u16,
        folder: &Folder,
    ) -> Outcome<Carrying> {
        match self.how {
            How::Direct => Ok(Carrying::Nothing {
                address: format!("127.0.0.1:{server}"),
            }),
            How::C => {
                let mut relay = command(&programs.splice_relay);
                Running::start(relay.arg(server.to_string())).map(Carrying::Telling)
            }
            How::Netloom(args) => {
                let mut relay = command(programs.netloom()?);
                relay
                    .args(["forward", "tcp://127.0.0.1:0"])
                    .arg(format!("tcp://127.0.0.1:{server}"))
                    .args(args);
                Running::start(&mut relay).map(Carrying::Telling)
            }
            How::HaProxy { splice } => {
                let port = service_port()?;
                let config = write(folder, port, "cfg", &haproxy(port, server, splice))?;
                start(command(HAPROXY).args(["-db", "-f"]).arg(config), port)
            }
            How::Nginx => {
                let port = service_port()?;
                let config = write(folder, port, "conf", &nginx(port, server))?;
                let mut relay = command(NGINX);
                relay.arg("-p").arg(folder.path());
                relay.arg("-e").arg(folder.path().join("error.log"));
                start(relay.arg("-c").arg(config), port)
            }
            How::Socat => {
                let port = service_port()?;
                start(
                    command("socat").args(["-b", "262144"]).args([
                        format!(
                            "TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,backlog=8192,nodelay"
                        ),
                        format!("TCP:127.0.0.1:{server},nodelay"),
                    ]),
                    port,
                )
            }
        }
    }
}

fn haproxy(port: u16, server: u16, splice: bool) -> String {
    let splice = if splice { "option splice-auto" } else { "" };
    format!(
        "global\n  nbthread 2\n  maxconn 5000\n  maxpipes 2048\n  tune.pipesize 1048576\n\
         defaults\n  mode tcp\n  {splice}\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n\
         listen r\n  bind 127.0.0.1:{port} backlog 8192 shards by-thread\n  server s 127.0.0.1:{server}\n"
    )
}

fn nginx(port: u16, server: u16) -> String {
    format!(
        "daemon off; worker_processes 2; worker_cpu_affinity auto; worker_rlimit_nofile 20000;\n\
         pid nginx-{port}.pid; load_module {NGINX_STREAM};\n\
         events {{ worker_connections 9000; multi_accept on; }}\n\
         stream {{ access_log off; server {{ listen 127.0.0.1:{port} reuseport backlog=8192;\n\
         proxy_pass 127.0.0.1:{server}; proxy_buffer_size 64k; proxy_timeout 1h; tcp_nodelay on; }} }}\n"
    )
}

fn write(folder: &Folder, port: u16, ending: &str, text: &str) -> Outcome<std::path::PathBuf> {
    let path = folder.path().join(format!("relay-{port}.{ending}"));
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}

/// A port of services that is free now.
pub(super) fn service_port() -> Outcome<u16> {
    let spread = u64::from(std::process::id()) + meter::cpu_ns(std::process::id())? / 1000;
    let count = u64::from(SERVICE_PORTS.end - SERVICE_PORTS.start);
    (0..count)
        .map(|next| SERVICE_PORTS.start + ((spread + next) % count) as u16)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .ok_or_else(|| "no port is free".to_owned())
}

/// Spawns, and waits until it accepts.
fn start(relay: &mut Command, port: u16) -> Outcome<Carrying> {
    let address = format!("127.0.0.1:{port}");
    let child = relay
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("{}: {e}", Path::new(relay.get_program()).display()))?;
    let mut carrying = Carrying::Told {
        child,
        address: address.clone(),
    };
    let over = Instant::now() + START;
    while TcpStream::connect(&address).is_err() {
        if let Carrying::Told { child, .. } = &mut carrying
            && let Some(status) = child.try_wait().map_err(|e| e.to_string())?
        {
            return Err(format!("it ended with {status}"));
        }
        if Instant::now() > over {
            return Err("it does not listen".to_owned());
        }
        thread::yield_now();
    }
    Ok(carrying)
}

impl Carrying {
    pub(super) fn address(&self) -> Outcome<String> {
        match self {
            Carrying::Telling(running) => running.address(),
            Carrying::Told { address, .. } | Carrying::Nothing { address } => Ok(address.clone()),
        }
    }

    /// The first of its processes; `None` where there is none.
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Carrying::Telling(running) => Some(running.pid()),
            Carrying::Told { child, .. } => Some(child.id()),
            Carrying::Nothing { .. } => None,
        }
    }

    /// CPU time of all its processes, those that have ended too.
    pub(super) fn cpu_ns(&self) -> Outcome<u64> {
        match self.pid() {
            Some(pid) => Ok(meter::cpu_ns(pid)? + meter::reaped_ns(pid)?),
            None => Ok(0),
        }
    }
}

impl Drop for Carrying {
    fn drop(&mut self) {
        if let Carrying::Told { child, .. } = self {
            // Told to end, so that it ends its workers; then it has.
            if matches!(child.try_wait(), Ok(Some(_))) {
                return;
            }
            if stream(command("kill").arg(child.id().to_string())).is_err() {
                let _ = child.kill();
            }
            let _ = child.wait();
        }
    }
}

/// One line: who they are.
pub(super) fn versions() -> String {
    let mut told = Vec::new();
    let asked: [(&str, &[&str]); 2] = [(HAPROXY, &["-v"]), ("socat", &["-V"])];
    for (program, args) in asked {
        if let Ok(text) = read(command(program).args(args)) {
            let line = text.lines().find(|line| line.contains("ersion"));
            told.extend(line.map(str::to_owned));
        }
    }
    // It tells on stderr.
    if let Ok(output) = command(NGINX).arg("-v").output() {
        told.push(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    told.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_told_where_to_and_splices_when_asked() {
        let with = haproxy(7101, 5201, true);
        assert!(with.contains("bind 127.0.0.1:7101") && with.contains("s 127.0.0.1:5201"));
        assert!(with.contains("splice-auto") && !haproxy(1, 2, false).contains("splice-auto"));
        assert!(nginx(7102, 5201).contains("proxy_pass 127.0.0.1:5201"));
    }

    #[test]
    fn a_port_of_services_is_none_of_clients() {
        let port = service_port();
        assert!(port.is_ok_and(|port| SERVICE_PORTS.contains(&port)));
    }
}
