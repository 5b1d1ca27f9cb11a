//! What the answers mean: pure functions, one for each thing looked at.

use std::net::IpAddr;

use netloom_transport::probe::{CAPABILITIES, Health, Route};

use super::Machine;
use super::check::{Check, Standing};
use Standing::{Fine, Noted, Wrong};

/// Fewer descriptors than this and a busy server runs out of them.
const FEW_DESCRIPTORS: u64 = 4096;

/// A clock that says an earlier year is wrong: this program was not written yet.
const FIRST_YEAR: i64 = 2026;

/// Every check, in the order a conversation meets them.
pub fn judge(machine: &Machine) -> Vec<Check> {
    let none = Health::default();
    let health = machine.health.as_ref().unwrap_or(&none);
    [
        rights(machine, health),
        limits(machine, health),
        network(machine),
        ipv6(machine, health),
        dns(machine),
        proxies(machine),
        clock(machine, health),
    ]
    .concat()
}

fn rights(machine: &Machine, health: &Health) -> Vec<Check> {
    let mut checks = Vec::new();
    let Some(user) = machine.user else {
        return checks;
    };
    let held = |bit: u64| health.capabilities.is_some_and(|bits| bits >> bit & 1 == 1);
    let names: Vec<&str> = CAPABILITIES
        .iter()
        .filter_map(|(bit, name)| held(*bit).then_some(*name))
        .collect();
    let names = match names[..] {
        [] => "no network capability".to_owned(),
        _ => names.join(" "),
    };
    let sees = if held(19) {
        "a diagnosis names every process"
    } else {
        "a diagnosis names this user's processes; of others the unit and the uid"
    };
    let standing = if held(19) { Fine } else { Noted };
    let text = format!("user {user} with {names}: {sees}");
    checks.push(Check::new("rights", standing, text, "/proc/self/status"));

    let start = machine.ports.map_or(1024, |ports| ports.unprivileged_start);
    if start > 1 && !held(10) {
        let text = format!("ports below {start} cannot be listened on");
        let check = Check::new("rights", Noted, text, "ip_unprivileged_port_start");
        checks.push(check.fix(
            "for every user of this host",
            "sudo sysctl net.ipv4.ip_unprivileged_port_start=80",
        ));
    }
    checks
}

fn limits(machine: &Machine, health: &Health) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(own) = &machine.descriptors {
        let text = format!(
            "{} descriptors, which a server raises to {}",
            own.limit, own.hard_limit
        );
        let few = own.hard_limit < FEW_DESCRIPTORS;
        let check = Check::new("limits", if few { Noted } else { Fine }, text, "getrlimit");
        checks.push(if few {
            check.advice("raise it where the service starts: LimitNOFILE=65536 (systemd), nofile in limits.conf(5)")
        } else {
            check
        });
        if let Some((open, most)) = own.host
            && open > most / 10 * 9
        {
            let text = format!("the host has {open} files open of {most}");
            let check = Check::new("limits", Wrong, text, "/proc/sys/fs/file-nr");
            checks.push(check.fix(
                "see who holds them",
                "sudo lsof -n | awk '{print $1}' | sort | uniq -c | sort -n | tail",
            ));
        }
    }
    if let (Some(ports), Some(waiting)) = (machine.ports, health.time_wait) {
        let (low, high) = ports.ephemeral;
        let most = u64::from(high.saturating_sub(low)) + 1;
        // A client of one server is short of ports long before the last is gone.
        let short = waiting > most / 2;
        let text =
            format!("{most} ports for clients ({low}-{high}), {waiting} connections in TIME_WAIT");
        let standing = if short { Noted } else { Fine };
        let check = Check::new("limits", standing, text, "ip_local_port_range");
        checks.push(if short {
            check.advice("keep connections open and use them again: each closed one keeps its port for a minute")
        } else {
            check
        });
    }
    if let Some(longest) = health.longest_queue
        && longest < 1024
    {
        let text =
            format!("at most {longest} connections wait at a listener, whatever it asks for");
        let check = Check::new("limits", Noted, text, "/proc/sys/net/core/somaxconn");
        checks.push(check.fix("let more wait", "sudo sysctl net.core.somaxconn=4096"));
    }
    if let Some((count, most)) = health.tracked {
        let full = count >= most / 10 * 9;
        let text = format!("the packet filter tracks {count} connections of at most {most}");
        let standing = if full { Wrong } else { Fine };
        let check = Check::new("limits", standing, text, "nf_conntrack_count");
        checks.push(if full {
            check.fix(
                "let it track more",
                format!("sudo sysctl net.netfilter.nf_conntrack_max={}", most * 2),
            )
        } else {
            check
        });
    }
    checks
}

fn network(machine: &Machine) -> Vec<Check> {
    let Some(interfaces) = &machine.interfaces else {
        return Vec::new();
    };
    let mut checks = Vec::new();
    if !interfaces.iter().any(|i| i.loopback && i.up) {
        let check = Check::new(
            "network",
            Wrong,
            "the loopback interface is off",
            "rtnetlink",
        );
        checks.push(check.fix("switch it on", "sudo ip link set lo up"));
    }
    let named = |index: u32| interfaces.iter().find(|i| i.index == index);
    match &machine.way_out {
        Some(Route::Way { interface, via, .. }) => {
            let name = named(*interface).map_or("an interface", |i| i.name.as_str());
            let via = via.map_or_else(String::new, |via| format!(" by way of {via}"));
            let text = format!("IPv4 leaves through {name}{via}");
            checks.push(Check::new("network", Fine, text, "rtnetlink"));
        }
        Some(Route::Refused(_)) => {
            let text = "IPv4 has no way out of this host's own networks";
            let check = Check::new("network", Noted, text, "rtnetlink");
            checks.push(check.fix("see the routes", "ip route"));
        }
        None => {}
    }
    for dead in interfaces
        .iter()
        .filter(|i| i.up && !i.running && !i.loopback)
    {
        let text = format!("{} is switched on and has no carrier", dead.name);
        checks.push(Check::new("network", Noted, text, "rtnetlink"));
    }
    checks
}

fn ipv6(machine: &Machine, health: &Health) -> Vec<Check> {
    let check = |standing, text: &str| Check::new("ipv6", standing, text, "rtnetlink");
    if health.no_v6 == Some(true) {
        let text =
            "switched off: `localhost` and names with IPv6 addresses are reached over IPv4 only";
        return vec![Check::new("ipv6", Noted, text, "disable_ipv6")];
    }
    let Some(addresses) = &machine.addresses else {
        return Vec::new();
    };
    let has = |wanted: fn(&std::net::Ipv6Addr) -> bool| {
        addresses.iter().any(|own| match own.ip {
            IpAddr::V6(ip) => wanted(&ip),
            IpAddr::V4(_) => false,
        })
    };
    if !has(std::net::Ipv6Addr::is_loopback) {
        let missing = check(
            Wrong,
            "::1 is missing, and programs that try it first are refused",
        );
        return vec![missing.fix("give it back", "sudo ip -6 addr add ::1/128 dev lo")];
    }
    let wide = has(|ip| !ip.is_loopback() && !ip.is_unicast_link_local() && !ip.is_unique_local());
    let way = matches!(machine.way_out_v6, Some(Route::Way { .. }));
    vec![match (wide, way) {
        (true, true) => check(Fine, "has an address and a way out"),
        (true, false) => check(
            Wrong,
            "has an address and no way out: names with IPv6 addresses are tried there first, in vain",
        )
        .fix("see the routes", "ip -6 route"),
        (false, true) => check(Noted, "has a way out and no address that answers could come to")
            .fix("see the addresses", "ip -6 addr"),
        (false, false) => check(Fine, "on this host and its links only"),
    }]
}

fn dns(machine: &Machine) -> Vec<Check> {
    let mut checks = Vec::new();
    match &machine.name_servers {
        None => {}
        Some(Err(why)) => {
            let text = format!("no name server can be asked: {why}");
            let check = Check::new("dns", Wrong, text, "/etc/resolv.conf");
            checks.push(check.fix("see what is configured", "cat /etc/resolv.conf"));
        }
        Some(Ok(servers)) => {
            let any = servers.iter().any(|server| server.wrong.is_none());
            for (place, server) in servers.iter().enumerate() {
                let (at, took) = (server.server, server.took.as_secs_f64() * 1e3);
                checks.push(match &server.wrong {
                    None => Check::new("dns", Fine, format!("{at} answers in {took:.0} ms"), "dns"),
                    Some(wrong) => {
                        // Every other program waits for the first before it asks the next.
                        let standing = if any && place > 0 { Noted } else { Wrong };
                        let text = format!("{at} answers {wrong} (after {took:.0} ms)");
                        let check = Check::new("dns", standing, text, "dns");
                        check.fix("ask it by hand", format!("dig @{} . NS", at.ip()))
                    }
                });
            }
        }
    }
    match &machine.localhost {
        Some(Ok(found)) if found.iter().all(IpAddr::is_loopback) && !found.is_empty() => {}
        Some(Ok(found)) => {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            let text = format!("localhost is {}, not this host", found.join(" "));
            let check = Check::new("dns", Wrong, text, "resolve");
            checks.push(check.advice("in /etc/hosts it belongs to 127.0.0.1 and ::1"));
        }
        Some(Err(why)) => {
            let check = Check::new(
                "dns",
                Wrong,
                format!("localhost has no address: {why}"),
                "resolve",
            );
            checks.push(check.advice("in /etc/hosts it belongs to 127.0.0.1 and ::1"));
        }
        None => {}
    }
    checks
}

fn proxies(machine: &Machine) -> Vec<Check> {
    let set: Vec<String> = machine
        .proxies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if set.is_empty() {
        let text = "the environment names none";
        return vec![Check::new("proxies", Fine, text, "environment")];
    }
    let spared = machine.proxies.iter().any(|(name, value)| {
        let all = |word: &str| word == "*" || word == "localhost" || word == "127.0.0.1";
        name.eq_ignore_ascii_case("no_proxy") && value.split(',').any(|word| all(word.trim()))
    });
    let check = Check::new("proxies", Noted, set.join(" "), "environment");
    vec![if spared {
        check
    } else {
        check.fix("spare this host", "export NO_PROXY=localhost,127.0.0.1,::1")
    }]
}

fn clock(machine: &Machine, health: &Health) -> Vec<Check> {
    if machine.year < FIRST_YEAR {
        let text = format!("says it is {}: certificates do not count yet", machine.year);
        let check = Check::new("clock", Wrong, text, "clock_gettime");
        return vec![check.fix(
            "let a time service keep it",
            "sudo timedatectl set-ntp true",
        )];
    }
    let Some(clock) = health.clock else {
        return Vec::new();
    };
    vec![if clock.synchronised {
        let error = clock.error.as_secs_f64();
        let text = format!("kept by a time service, at most {error:.3} s wrong");
        Check::new("clock", Fine, text, "adjtimex")
    } else {
        let text = "no time service keeps it: it drifts, and certificates and logs with it";
        let check = Check::new("clock", Noted, text, "adjtimex");
        check.fix("let one keep it", "sudo timedatectl set-ntp true")
    }]
}
