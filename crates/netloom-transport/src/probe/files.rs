//! What files of this host say, and the one program that is asked: nft(8).

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use crate::cx::Cx;

/// The most bytes that are read of a file.
const LONGEST: u64 = 256 * 1024;
/// The most programs that are looked at.
const MOST_PROGRAMS: usize = 20_000;
/// How long the ruleset may take, and how large it may be.
const RULES_WITHIN: Duration = Duration::from_millis(1500);
const RULES_LONGEST: u64 = 1024 * 1024;

/// A file as the question "may this user run it" sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The permission bits, as chmod(1) reads them.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// Where the local firewall may drop a packet: a rule, and the table and chain
/// it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirewallRule {
    /// `inet filter`.
    pub table: String,
    /// The chain's name.
    pub chain: String,
    /// `output`, `input`: where the kernel asks the chain; empty where only other chains do.
    pub hook: String,
    /// The rule, as nft(8) writes it.
    pub rule: String,
}

fn text(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).ok()?;
    file.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The names in the hosts file.
pub(super) fn host_names() -> Option<Vec<String>> {
    Some(names_in(&text(Path::new("/etc/hosts"))?))
}

fn names_in(hosts: &str) -> Vec<String> {
    let words = hosts.lines().flat_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        line.split_ascii_whitespace().skip(1)
    });
    let mut names: Vec<String> = words.map(str::to_owned).collect();
    names.dedup();
    names
}

/// The resolver's configuration, resolv.conf(5).
pub(super) fn resolver_config() -> Option<String> {
    text(Path::new("/etc/resolv.conf"))
}

/// Whether any socket of this host has a UDP port (proc_net_udp(5)). `None`
/// where the kernel does not say.
pub(super) fn udp_port_is_taken(port: u16) -> Option<bool> {
    let mut known = false;
    for table in ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"] {
        let Ok(table) = fs::read_to_string(table) else {
            continue;
        };
        known = true;
        let mut ports = table.lines().skip(1).filter_map(|line| {
            let local = line.split_ascii_whitespace().nth(1)?;
            u16::from_str_radix(local.rsplit(':').next()?, 16).ok()
        });
        if ports.any(|taken| taken == port) {
            return Some(true);
        }
    }
    known.then_some(false)
}

/// The names of the programs in the folders of `PATH`.
pub(super) fn programs() -> Option<Vec<String>> {
    let search = std::env::var_os("PATH")?;
    let folders = std::env::split_paths(&search).filter_map(|folder| fs::read_dir(folder).ok());
    let names = folders
        .flat_map(Iterator::flatten)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .take(MOST_PROGRAMS);
    Some(names.collect::<BTreeSet<_>>().into_iter().collect())
}

/// Who may do what with a file.
#[cfg(unix)]
pub(super) fn rights(path: &Path) -> Option<Rights> {
    use std::os::unix::fs::MetadataExt;

    let file = fs::metadata(path).ok()?;
    Some(Rights {
        mode: file.mode() & 0o7777,
        uid: file.uid(),
        gid: file.gid(),
        is_folder: file.is_dir(),
    })
}

/// Who may do what with a file.
#[cfg(not(unix))]
pub(super) fn rights(_: &Path) -> Option<Rights> {
    None
}

/// The rules of this host's firewall that drop or reject. Root alone may read them.
pub(super) async fn ruleset(cx: &Cx) -> Option<Vec<FirewallRule>> {
    let asked = async {
        let mut child = tokio::process::Command::new("nft")
            .args(["list", "ruleset"])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        let mut bytes = Vec::new();
        let said = child.stdout.take()?;
        said.take(RULES_LONGEST)
            .read_to_end(&mut bytes)
            .await
            .ok()?;
        let ended = child.wait().await.ok()?;
        ended
            .success()
            .then(|| String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = cx.timeout(RULES_WITHIN, asked).await??;
    Some(refusals(&text))
}

/// The rules that drop or reject, and policies that do.
fn refusals(ruleset: &str) -> Vec<FirewallRule> {
    const MOST: usize = 256;
    let (mut table, mut chain, mut hook) = (String::new(), String::new(), String::new());
    let mut found = Vec::new();
    for line in ruleset.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("table ") {
            name.trim_end_matches(" {").clone_into(&mut table);
        } else if let Some(name) = line.strip_prefix("chain ") {
            name.trim_end_matches(" {").clone_into(&mut chain);
            hook.clear();
        } else {
            if let Some((_, after)) = line.split_once("hook ") {
                after
                    .split_ascii_whitespace()
                    .next()
                    .unwrap_or_default()
                    .clone_into(&mut hook);
            }
            let refuses = line
                .split([' ', ';'])
                .any(|word| matches!(word, "drop" | "reject"));
            if refuses && found.len() < MOST {
                found.push(FirewallRule {
                    table: table.clone(),
                    chain: chain.clone(),
                    hook: hook.clone(),
                    rule: line.to_owned(),
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_hosts_file_are_listed() {
        let names = names_in("127.0.0.1 localhost\n# 10.0.0.1 no\n10.0.0.2\tweb.example web # x\n");
        assert_eq!(names, ["localhost", "web.example", "web"]);
    }

    #[test]
    fn rules_that_refuse_are_found_with_their_place() {
        let text = "table inet t {\n\tchain out {\n\t\ttype filter hook output priority filter; policy accept;\n\
                    \t\ttcp dport 7001 drop\n\t\ttcp dport 22 accept\n\t\ttcp dport 7002 reject with icmpx type admin-prohibited\n\t}\n\
                    \tchain in {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n";
        let found = refusals(text);
        let told: Vec<String> = found
            .iter()
            .map(|rule| format!("{} {} {}: {}", rule.table, rule.chain, rule.hook, rule.rule))
            .collect();
        assert_eq!(
            told,
            [
                "inet t out output: tcp dport 7001 drop",
                "inet t out output: tcp dport 7002 reject with icmpx type admin-prohibited",
                "inet t in input: type filter hook input priority filter; policy drop;",
            ]
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_udp_port_is_seen() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(udp_port_is_taken(port), Some(true));
    }

    #[cfg(unix)]
    #[test]
    fn programs_and_their_rights_are_seen() {
        assert!(programs().unwrap().iter().any(|name| name == "sh"));
        let sh = rights(Path::new("/bin/sh")).unwrap();
        assert!(sh.mode & 0o111 != 0 && !sh.is_folder);
        assert!(rights(Path::new("/bin")).unwrap().is_folder);
    }
}
