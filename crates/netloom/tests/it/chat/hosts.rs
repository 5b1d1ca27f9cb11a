//! A group across three hosts, each a network namespace with a wire to a
//! switch: with a route and without one, over IPv4 and IPv6.

use std::io::Write;
use std::process::Command;

use crate::program::{Program, netloom_under};

/// Hosts on one network. Each namespace lives as long as the program that
/// holds it.
struct Hosts(Vec<Program>);

impl Hosts {
    /// The first is the switch; `None` without the rights to make them.
    fn new(count: usize) -> Option<Self> {
        let able = Command::new("unshare")
            .args(["-n", "ip", "link", "add", "nlt0", "type", "dummy"])
            .output();
        let why = match able {
            Ok(made) if made.status.success() => None,
            Ok(made) => Some(String::from_utf8_lossy(&made.stderr).trim().to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci != "true") || !is_root(),
                "no network namespaces: {why}"
            );
            eprintln!("skipped: no network namespaces: {why}");
            return None;
        }
        let hosts = Hosts(
            (0..=count)
                .map(|_| {
                    let holder = Program::start(Command::new("unshare").args([
                        "-n",
                        "sh",
                        "-c",
                        "echo up; exec cat",
                    ]));
                    holder.stdout.line("up");
                    holder
                })
                .collect(),
        );
        hosts.ip(0, "link add sw type bridge");
        hosts.ip(0, "link set sw type bridge mcast_snooping 0");
        hosts.ip(0, "link set sw up");
        for host in 1..=count {
            let pid = hosts.0[host].pid();
            hosts.ip(
                0,
                &format!("link add p{host} type veth peer name eth0 netns {pid}"),
            );
            hosts.ip(0, &format!("link set p{host} master sw up"));
            hosts.ip(host, "link set lo up");
            hosts.ip(host, &format!("address add 10.77.0.{host}/24 dev eth0"));
            hosts.ip(host, &format!("address add fd77::{host}/64 dev eth0 nodad"));
            hosts.ip(host, "link set eth0 up");
        }
        Some(hosts)
    }

    fn ip(&self, host: usize, words: &str) {
        let pid = self.0[host].pid().to_string();
        let made = Command::new("nsenter")
            .args(["-t", &pid, "-n", "ip"])
            .args(words.split(' '))
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "ip {words}: {}",
            String::from_utf8_lossy(&made.stderr)
        );
    }

    fn chat(&self, host: usize, url: &str, nick: &str) -> Program {
        let pid = self.0[host].pid().to_string();
        let mut command = netloom_under("nsenter", &["-t", &pid, "-n"]);
        Program::start(command.args(["chat", url, "--nick", nick]))
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

#[test]
fn hosts_of_one_network_talk_without_a_server_and_without_a_route() {
    let Some(hosts) = Hosts::new(3) else {
        return;
    };
    for url in [
        "udp://239.7.7.7:5000",
        "udp://[ff05::7:7]:5000",
        "udp://[ff02::7:7%eth0]:5001",
    ] {
        let mut each: Vec<Program> = [(1, "ann"), (2, "ben"), (3, "cat")]
            .into_iter()
            .map(|(host, nick)| {
                let member = hosts.chat(host, url, nick);
                member.stdout.line("* welcome");
                member
            })
            .collect();
        for (i, nick) in ["ann", "ben", "cat"].into_iter().enumerate() {
            for (j, other) in each.iter().enumerate().filter(|(j, _)| *j != i) {
                other.stdout.line(&format!("* {nick} is here now"));
                let _ = j;
            }
            let text = format!("from {nick}\n");
            each[i]
                .stdin
                .as_mut()
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
            for other in each
                .iter()
                .enumerate()
                .filter(|(j, _)| *j != i)
                .map(|(_, other)| other)
            {
                other.stdout.line(&format!("<{nick}> from {nick}"));
            }
        }
        let mut cat = each.pop().unwrap();
        cat.feed(b"");
        assert_eq!(cat.end().code, Some(0), "{url}");
        for mut other in each {
            other.stdout.line("* cat left");
            other.feed(b"");
            let ended = other.end();
            assert_eq!(ended.code, Some(0), "{url}: {}", ended.stderr);
            let told = ended.text();
            assert_eq!(
                told.matches("> from").count(),
                2,
                "nothing twice, nothing own: {told}"
            );
            assert!(ended.stderr.contains("on eth0"), "{}", ended.stderr);
        }
    }
    // A default route elsewhere changes nothing: it leaves by every interface that can.
    hosts.ip(1, "link add dum type dummy");
    hosts.ip(1, "link set dum up");
    hosts.ip(1, "route add default dev dum");
    let mut ann = hosts.chat(1, "udp://239.7.7.7:5000", "ann");
    ann.stdout.line("* welcome");
    let ben = hosts.chat(2, "udp://239.7.7.7:5000", "ben");
    ben.stdout.line("* ann is here now");
    ann.stdin
        .as_mut()
        .unwrap()
        .write_all(b"by the wire\n")
        .unwrap();
    ben.stdout.line("<ann> by the wire");
    drop((ann, ben));
    // Without an address there is nothing to speak from, and that is told.
    hosts.ip(3, "address flush dev eth0");
    hosts.ip(3, "-6 address flush dev eth0");
    let ended = hosts.chat(3, "udp://239.7.7.7:5000", "cat").end();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("error[join.no-interface]"),
        "{}",
        ended.stderr
    );
}
