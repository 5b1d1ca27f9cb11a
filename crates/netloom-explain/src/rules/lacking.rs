//! What this host does not have: an address of that family, such an interface,
//! the right to name one. Also what the kernel will not take at all.

use std::net::{Ipv4Addr, SocketAddr};

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible};
use netloom_base::endpoint::Host;
use netloom_base::failure::Errno;
use netloom_base::{Code, Diagnosis, Endpoint, Failure, Stage};
use netloom_transport::probe::{Interface, Route};

use super::answers::Answers;
use super::draft::{Draft, endpoint, netloom, sudo};
use super::{Rule, is_link_local, target};

pub(super) const RULES: &[Rule] = &[no_family, no_interface, no_right_to_device, not_taken];

/// How many interfaces are told of, and how many are offered.
const MOST_NAMED: usize = 8;
const MOST_OFFERED: usize = 3;

/// The verb that failed.
fn verb(failure: &Failure) -> &'static str {
    match failure.stage() {
        Stage::Connect => "connect",
        _ => "listen",
    }
}

/// This host has no address of the family, or not its loopback address: the
/// kernel says no more than that no local address will do.
fn no_family(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let code = match (failure.stage(), failure.code()) {
        (Stage::Connect, Code::CONNECT_NO_LOCAL_PORT) => Code::CREATE_FAMILY_UNSUPPORTED,
        (Stage::Bind, Code::BIND_NOT_LOCAL) => Code::BIND_NOT_LOCAL,
        _ => return None,
    };
    let asked = target(failure)?;
    let own = answers.addresses.as_ref()?;
    let of_family = own.iter().any(|own| own.ip.is_ipv4() == asked.is_ipv4());
    let has = own.iter().any(|own| own.ip == asked.ip());
    if of_family && (has || asked.is_ipv4() || !asked.ip().is_loopback()) {
        return None;
    }
    let family = if asked.is_ipv4() { "IPv4" } else { "IPv6" };
    let what = if of_family {
        format!("no interface of this host has {}", asked.ip())
    } else {
        format!("this host has no {family} address")
    };
    let listed = "the kernel lists every address";
    let off = asked.is_ipv6() && answers.no_v6 == Some(true);
    let mut draft = Draft::of(failure, code, &what).knows(&what, "rtnetlink");
    draft = if off {
        draft
            .knows(
                "net.ipv6.conf.all.disable_ipv6 is 1",
                "/proc/sys/net/ipv6/conf/all",
            )
            .cause("IPv6 is switched off on this host", Confirmed, listed)
            .fix(
                "switch it on",
                format!(
                    "{}sysctl -w net.ipv6.conf.all.disable_ipv6=0",
                    sudo(answers)
                ),
            )
    } else {
        draft.cause(&what, Confirmed, listed)
    };
    if asked.is_ipv4() {
        return draft
            .fix("see this host's addresses", "ip -brief address")
            .done();
    }
    if asked.ip().is_loopback() && !off {
        let command = format!("{}ip -6 address add ::1/128 dev lo", sudo(answers));
        draft = draft.fix("give loopback its address", command);
    }
    let written = endpoint(failure, asked);
    let there = if asked.ip().is_loopback() {
        Host::V4(Ipv4Addr::LOCALHOST)
    } else if failure.stage() == Stage::Bind {
        Host::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        return draft.advice("or use the host's IPv4 address").done();
    };
    let command = netloom(verb(failure), &written.with_host(there));
    draft.fix("or use IPv4", command).done()
}

/// No interface has the name, or the number behind the `%`.
fn no_interface(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let interfaces = answers.interfaces.as_ref()?;
    let number = match target(failure) {
        Some(SocketAddr::V6(addr)) => Some(addr.scope_id()).filter(|scope| *scope != 0),
        _ => None,
    };
    let missing = number.filter(|n| interfaces.iter().all(|one| one.index != *n));
    let draft = match (missing, failure.stage(), failure.code()) {
        (Some(n), Stage::Bind, _) | (Some(n), Stage::Connect, Code::CONNECT_NO_ROUTE) => {
            let what = format!("no interface of this host has the number {n}");
            Draft::of(failure, Code::BIND_NO_DEVICE, &what).cause(
                what,
                Confirmed,
                "the kernel lists every interface",
            )
        }
        (None, _, Code::BIND_NO_DEVICE) => Draft::begun(failure).cause(
            "no interface has that name",
            Confirmed,
            "the kernel lists every interface",
        ),
        _ => return None,
    };
    let told = |one: &Interface| {
        let off = if one.up { "" } else { ", switched off" };
        format!("{} ({}{off})", one.name, one.index)
    };
    let names: Vec<String> = interfaces.iter().take(MOST_NAMED).map(told).collect();
    let mut draft = draft.knows(
        format!("the interfaces of this host are {}", names.join(", ")),
        "rtnetlink",
    );
    let written: Option<Endpoint> = failure.endpoint().and_then(|text| text.parse().ok());
    if let Some(written) = written
        && let Host::V6 {
            addr,
            zone: Some(_),
        } = *written.host()
    {
        let usable = interfaces.iter().filter(|one| one.up && !one.loopback);
        for one in usable.take(MOST_OFFERED) {
            let zone = Some(one.name.clone());
            let host = Host::V6 { addr, zone };
            let by = format!("by {}", one.name);
            // Without an address nothing says whether it was to be dialled or bound.
            draft = match missing {
                Some(_) => draft.fix(by, netloom(verb(failure), &written.clone().with_host(host))),
                None => draft.advice(format!("{by}: {host}")),
            };
        }
    }
    draft.fix("see their names", "ip -brief link").done()
}

/// Naming the interface needs a right on some systems.
fn no_right_to_device(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let denied = failure
        .errno()
        .is_some_and(|errno| matches!(errno.name(), Some("EPERM" | "EACCES")));
    let endpoint: Endpoint = failure.endpoint()?.parse().ok()?;
    let asked = endpoint.options().iter().any(|one| one.key == "device");
    // With an address that was tried, it was the address that was refused.
    if failure.code() != Stage::Bind.other() || !denied || !asked || target(failure).is_some() {
        return None;
    }
    let mut draft = Draft::begun(failure).cause(
        "this program may not tie a socket to an interface",
        Confirmed,
        "the kernel refused SO_BINDTODEVICE, which needs CAP_NET_RAW (socket(7))",
    );
    if let Some(program) = &answers.program {
        let program = program.to_string_lossy();
        draft = draft.fix(
            "allow this program",
            format!(
                "sudo setcap cap_net_raw+ep {}",
                shell_words::quote(&program)
            ),
        );
    }
    draft
        .advice("or leave out device=, and name an address of that interface instead")
        .done()
}

/// EINVAL for an address that needs no interface: not a scope is missing.
fn not_taken(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let asked = target(failure)?;
    let refused = matches!(answers.route, Some(Route::Refused(_)));
    let einval = failure.errno().and_then(Errno::name) == Some("EINVAL");
    if failure.code() != Code::BIND_NO_SCOPE || !einval || is_link_local(asked.ip()) || refused {
        return None;
    }
    let ip = asked.ip();
    let what = format!("the kernel does not take the address {ip}");
    let draft = Draft::of(failure, failure.stage().other(), what);
    let draft = if failure.stage() == Stage::Connect {
        draft
            .cause(
                "a route of this host forbids it: blackhole",
                if answers.route.is_none() {
                    Likely
                } else {
                    Possible
                },
                "connect answers EINVAL to that",
            )
            .fix("see the way there", format!("ip route get {ip} || true"))
    } else {
        draft
    };
    draft
        .cause(
            "the address is of a kind that cannot be used so",
            Possible,
            "",
        )
        .fix("see this host's addresses", "ip -brief address")
        .done()
}
