//! The programs we did not write and talk to: Debian packages, and a Python
//! environment in `target/peers/venv`.

use crate::Outcome;
use crate::options::Options;
use crate::run::{command, in_ci, is_installed, root, stream};
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

/// Debian package, and a program or file it brings.
const DEBIAN: &[(&str, &str)] = &[
    ("ncat", "ncat"),
    ("socat", "socat"),
    ("telnet", "telnet"),
    ("curl", "curl"),
    ("gcc", "gcc"),
    ("g++", "g++"),
    ("python3", "python3"),
    ("python3-venv", ""),
    ("iproute2", "ip"),
    ("nftables", "nft"),
    ("openssl", "openssl"),
    ("openssh-server", "sshd"),
    ("mosquitto", "mosquitto"),
    ("util-linux", "setpriv"),
    ("dnsmasq-base", "dnsmasq"),
    ("bind9-dnsutils", "dig"),
    ("strace", "strace"),
    ("nginx", NGINX),
    ("libnginx-mod-stream", NGINX_STREAM),
    ("haproxy", HAPROXY),
    ("microsocks", "microsocks"),
    ("dante-server", "danted"),
    ("tinyproxy", "tinyproxy"),
    ("iperf3", "iperf3"),
    ("wrk", "wrk"),
    ("nghttp2-client", "h2load"),
];

/// Not on everybody's path.
pub(crate) const NGINX: &str = "/usr/sbin/nginx";
/// Not on everybody's path either.
pub(crate) const HAPROXY: &str = "/usr/sbin/haproxy";
/// What makes nginx carry TCP.
pub(crate) const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// Says whether services may start when a package is installed
/// (invoke-rc.d(8)); 101 is no.
const POLICY: &str = "/usr/sbin/policy-rc.d";

const REQUIREMENTS: &str = "benches/peers/requirements.txt";

pub(crate) fn verb(args: Vec<String>) -> Outcome {
    let mut options = Options::new(args);
    let only_check = options.flag("--check");
    options.words()?;

    let mut problems = Vec::new();
    let missing = missing_packages();
    if !missing.is_empty() {
        let done = if only_check {
            Err("not installed".to_owned())
        } else {
            install_packages(&missing)
        };
        if let Err(why) = done {
            problems.push(format!(
                "{}: {why}; get them with: apt-get install {}",
                missing.join(" "),
                missing.join(" ")
            ));
        }
    }
    if !venv_is_current() {
        let done = if only_check {
            Err("not installed".to_owned())
        } else {
            install_venv()
        };
        if let Err(why) = done {
            problems.push(format!(
                "python peers: {why}; get them with: cargo xtask install-peers, when online"
            ));
        }
    }

    if problems.is_empty() {
        println!("peers: all there");
        return Ok(());
    }
    let told = problems.join("\n");
    if in_ci() || only_check {
        return Err(told);
    }
    eprintln!("{told}\ntests that need these peers will say that they were skipped");
    Ok(())
}

/// The Python of the peers' environment; installs it when it is not there.
pub(crate) fn python() -> Outcome<PathBuf> {
    if !venv_is_current() {
        install_venv()?;
    }
    Ok(venv().join("bin/python"))
}

fn missing_packages() -> Vec<&'static str> {
    DEBIAN
        .iter()
        .filter(|(package, program)| match *package {
            "python3-venv" => !python_has_venv(),
            _ => !is_installed(program),
        })
        .map(|(package, _)| *package)
        .collect()
}

/// Debian's python3 has `venv` and lacks `ensurepip` without python3-venv. A
/// current environment is answer enough, and faster.
fn python_has_venv() -> bool {
    venv_is_current()
        || command("python3")
            .args(["-c", "import venv, ensurepip"])
            .output()
            .is_ok_and(|output| output.status.success())
}

fn install_packages(packages: &[&str]) -> Outcome {
    if !is_installed("apt-get") {
        return Err("no apt-get here".to_owned());
    }
    let id = command("id")
        .arg("-u")
        .output()
        .map_err(|e| e.to_string())?;
    if id.stdout.trim_ascii() != b"0" {
        return Err("apt-get needs root".to_owned());
    }
    let _quiet = NoServices::begin()?;
    let install = || {
        stream(
            command("apt-get")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .args(["install", "--yes", "--quiet", "--no-install-recommends"])
                .args(packages),
        )
    };
    // The lists may be missing or older than the mirror.
    install().or_else(|_| {
        stream(command("apt-get").args(["update", "--quiet"]))?;
        install()
    })
}

/// While this lives no package starts a service: we want programs to run
/// ourselves, not a web server on port 80. Somebody's own policy stays as it is.
struct NoServices {
    made: bool,
}

impl NoServices {
    fn begin() -> Outcome<Self> {
        use std::os::unix::fs::OpenOptionsExt;

        let made = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(POLICY)
            .and_then(|mut file| file.write_all(b"#!/bin/sh\nexit 101\n"));
        match made {
            Ok(()) => Ok(Self { made: true }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Self { made: false }),
            Err(error) => Err(format!("{POLICY}: {error}")),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.made {
            // A policy that stays is one that a person can see and remove.
            let _ = fs::remove_file(POLICY);
        }
    }
}

fn venv() -> PathBuf {
    root().join("target/peers/venv")
}

/// Beside the environment: the requirements it was made from.
fn stamp() -> PathBuf {
    venv().join("requirements.txt")
}

fn venv_is_current() -> bool {
    match (
        fs::read_to_string(root().join(REQUIREMENTS)),
        fs::read_to_string(stamp()),
    ) {
        (Ok(wanted), Ok(present)) => wanted == present,
        _ => false,
    }
}

fn install_venv() -> Outcome {
    let venv = venv();
    stream(command("python3").args(["-m", "venv"]).arg(&venv))?;
    stream(
        command(venv.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(["--requirement", REQUIREMENTS]),
    )?;
    fs::copy(root().join(REQUIREMENTS), stamp())
        .map(drop)
        .map_err(|e| format!("{}: {e}", stamp().display()))
}
