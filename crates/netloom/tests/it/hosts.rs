//! Several hosts, each a network namespace of its own, with wires, a switch or
//! a router between them. They last as long as this does.

use std::process::Command;

use crate::program::{Program, netloom_under};

/// Hosts on one network, or on two. The first of them carries the others: it
/// is the switch or the router.
pub(crate) struct Hosts(Vec<Program>);

/// The one that is the switch or the router.
pub(crate) const BETWEEN: usize = 0;

impl Hosts {
    /// So many hosts at one switch, with 10.77.0.N and fd77::N on `eth0`.
    /// `None` without the rights to make them.
    pub(crate) fn switched(count: usize) -> Option<Self> {
        Self::at_a_switch(count, true)
    }

    /// The same, while the kernel still checks whether the link-local addresses
    /// are taken (RFC 4862 §5.4), and lets nobody use them.
    pub(crate) fn just_switched_on(count: usize) -> Option<Self> {
        Self::at_a_switch(count, false)
    }

    fn at_a_switch(count: usize, trusted: bool) -> Option<Self> {
        let hosts = Self::apart(count)?;
        hosts.ip(BETWEEN, "link add sw type bridge mcast_snooping 0");
        hosts.ip(BETWEEN, "link set sw up");
        for host in 1..=count {
            hosts.wire((BETWEEN, &format!("p{host}")), (host, "eth0"));
            hosts.ip(BETWEEN, &format!("link set p{host} master sw up"));
            if trusted {
                hosts.trust((host, "eth0"));
            }
            hosts.settle(
                (host, "eth0"),
                &[&format!("10.77.0.{host}/24"), &format!("fd77::{host}/64")],
            );
        }
        Some(hosts)
    }

    /// Two hosts with a router between: 10.71.0.1 and fd71::1, which route by
    /// .254 and ::fe to 10.72.0.1 and fd72::1.
    pub(crate) fn routed() -> Option<Self> {
        let hosts = Self::apart(2)?;
        for host in 1..=2 {
            let (near, net) = (format!("r{host}"), 70 + host);
            hosts.wire((BETWEEN, &near), (host, "eth0"));
            hosts.trust((BETWEEN, &near));
            hosts.trust((host, "eth0"));
            let between = [format!("10.{net}.0.254/24"), format!("fd{net}::fe/64")];
            hosts.settle((BETWEEN, &near), &between.each_ref().map(|one| &**one));
            let own = [format!("10.{net}.0.1/24"), format!("fd{net}::1/64")];
            hosts.settle((host, "eth0"), &own.each_ref().map(|one| &**one));
            hosts.ip(host, &format!("route add default via 10.{net}.0.254"));
            hosts.ip(host, &format!("-6 route add default via fd{net}::fe"));
        }
        hosts.sh(
            BETWEEN,
            "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
        );
        Some(hosts)
    }

    /// Hosts without a wire, each with a loopback.
    fn apart(count: usize) -> Option<Self> {
        let able = Command::new("unshare")
            .args(["-n", "ip", "link", "add", "nl-able", "type", "bridge"])
            .output();
        let why = match able {
            Ok(made) if made.status.success() => None,
            Ok(made) => Some(String::from_utf8_lossy(&made.stderr).trim().to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            let in_ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false");
            assert!(!in_ci, "no network namespaces: {why}");
            eprintln!("skipped: no network namespaces: {why}");
            return None;
        }
        let hold = || {
            let mut unshare = Command::new("unshare");
            let holder = Program::start(unshare.args(["-n", "sh", "-c", "echo up; exec cat"]));
            holder.stdout.line("up");
            holder
        };
        let hosts = Hosts((0..=count).map(|_| hold()).collect());
        for host in 0..=count {
            hosts.ip(host, "link set lo up");
        }
        Some(hosts)
    }

    /// Puts a wire between two hosts; its ends have the names given.
    pub(crate) fn wire(&self, (near, at_near): (usize, &str), (far, at_far): (usize, &str)) {
        let pid = self.0[far].pid();
        self.ip(
            near,
            &format!("link add {at_near} type veth peer name {at_far} netns {pid}"),
        );
    }

    /// Gives an interface its addresses.
    pub(crate) fn settle(&self, (host, interface): (usize, &str), addresses: &[&str]) {
        for address in addresses {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            self.ip(
                host,
                &format!("address add {address} dev {interface}{nodad}"),
            );
        }
        self.ip(host, &format!("link set {interface} up"));
    }

    /// Takes it for granted that nobody else has the addresses that an
    /// interface is about to get.
    pub(crate) fn trust(&self, (host, interface): (usize, &str)) {
        self.sh(
            host,
            &format!("echo 0 > /proc/sys/net/ipv6/conf/{interface}/accept_dad"),
        );
    }

    /// `ip WORDS` on a host.
    pub(crate) fn ip(&self, host: usize, words: &str) {
        self.sh(host, &format!("ip {words}"));
    }

    /// A shell line on a host, which must succeed.
    pub(crate) fn sh(&self, host: usize, line: &str) {
        let ended = self.command(host, &["sh", "-ec", line]).output().unwrap();
        assert!(
            ended.status.success(),
            "host {host}: {line}: {}",
            String::from_utf8_lossy(&ended.stderr)
        );
    }

    /// A command that runs there.
    pub(crate) fn command(&self, host: usize, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.0[host].pid().to_string(), "-n"]);
        command.args(words);
        command
    }

    /// Starts a program there.
    pub(crate) fn start(&self, host: usize, words: &[&str]) -> Program {
        Program::start(&mut self.command(host, words))
    }

    /// A netloom that runs there.
    pub(crate) fn netloom(&self, host: usize, args: &[&str]) -> Command {
        let pid = self.0[host].pid().to_string();
        let mut command = netloom_under("nsenter", &["-t", &pid, "-n"]);
        command.args(args);
        command
    }

    /// Starts netloom there.
    pub(crate) fn start_netloom(&self, host: usize, args: &[&str]) -> Program {
        Program::start(&mut self.netloom(host, args))
    }
}
