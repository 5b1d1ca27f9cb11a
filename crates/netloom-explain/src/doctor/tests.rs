use std::time::Duration;

use netloom_transport::net::NameServer;
use netloom_transport::probe::{
    Address, ClockState, Descriptors, Health, Interface, PortSettings, Route,
};

use super::*;

/// A machine with nothing to remark on.
fn sound() -> Machine {
    let interface = |index, name: &str, loopback| Interface {
        index,
        name: name.to_owned(),
        up: true,
        running: true,
        loopback,
        multicast: true,
    };
    let address = |ip: &str, interface| Address {
        ip: ip.parse().unwrap(),
        prefix: 64,
        interface,
        tentative: false,
    };
    let way = Route::Way {
        local: false,
        interface: 2,
        via: Some([192, 0, 2, 254].into()),
        from: None,
    };
    Machine {
        user: Some(0),
        health: Some(Health {
            system: Some("Linux 6.18".to_owned()),
            capabilities: Some(u64::MAX),
            ping_groups: Some((0, 10)),
            user_namespaces: Some(true),
            longest_queue: Some(4096),
            time_wait: Some(3),
            tracked: Some((10, 1000)),
            no_v6: Some(false),
            clock: Some(ClockState {
                synchronised: true,
                error: Duration::from_millis(2),
            }),
        }),
        descriptors: Some(Descriptors {
            open: 5,
            limit: 1024,
            hard_limit: 65536,
            kinds: Vec::new(),
            host: Some((1000, 100_000)),
        }),
        ports: Some(PortSettings {
            unprivileged_start: 1024,
            ephemeral: (32768, 60999),
        }),
        interfaces: Some(vec![interface(1, "lo", true), interface(2, "eth0", false)]),
        addresses: Some(vec![address("::1", 1), address("2001:db8::7", 2)]),
        way_out: Some(way.clone()),
        way_out_v6: Some(way),
        name_servers: Some(Ok(vec![server(1, None)])),
        localhost: Some(Ok(vec![[127, 0, 0, 1].into()])),
        proxies: Vec::new(),
        year: 2026,
    }
}

fn server(last: u8, wrong: Option<&str>) -> NameServer {
    NameServer {
        server: ([192, 0, 2, last], 53).into(),
        wrong: wrong.map(str::to_owned),
        took: Duration::from_millis(4),
    }
}

/// What is not as it should be.
fn remarks(machine: &Machine) -> Vec<(&'static str, Standing, String)> {
    let checks = judge(machine).into_iter();
    checks
        .filter(|check| check.standing != Standing::Fine)
        .map(|check| (check.about, check.standing, check.text))
        .collect()
}

#[track_caller]
fn says(machine: &Machine, about: &str, standing: Standing, word: &str) {
    let all = remarks(machine);
    let found = all
        .iter()
        .any(|(a, s, text)| *a == about && *s == standing && text.contains(word));
    assert!(found, "{all:?}");
}

#[test]
fn a_sound_machine_has_no_remarks() {
    assert_eq!(remarks(&sound()), []);
    let about: Vec<&str> = judge(&sound()).iter().map(|check| check.about).collect();
    for wanted in [
        "rights", "limits", "network", "ipv6", "dns", "proxies", "clock",
    ] {
        assert!(about.contains(&wanted), "{wanted} in {about:?}");
    }
}

#[test]
fn an_unanswered_question_is_no_remark() {
    let silent = Machine {
        year: 2026,
        ..Machine::default()
    };
    assert_eq!(remarks(&silent), []);
}

#[test]
fn an_ordinary_user_is_told_what_that_means() {
    let mut machine = sound();
    machine.user = Some(1000);
    machine.health.as_mut().unwrap().capabilities = Some(0);
    says(&machine, "rights", Standing::Noted, "below 1024");
    says(&machine, "rights", Standing::Noted, "of others the unit");
}

#[test]
fn full_tables_are_wrong() {
    let mut machine = sound();
    machine.health.as_mut().unwrap().tracked = Some((950, 1000));
    machine.health.as_mut().unwrap().time_wait = Some(20_000);
    machine.descriptors.as_mut().unwrap().host = Some((99_000, 100_000));
    says(&machine, "limits", Standing::Wrong, "tracks 950");
    says(&machine, "limits", Standing::Noted, "20000 connections");
    says(&machine, "limits", Standing::Wrong, "99000 files");
}

#[test]
fn an_address_without_a_way_is_what_makes_names_hang() {
    let mut machine = sound();
    machine.way_out_v6 = Some(Route::Refused(101));
    says(&machine, "ipv6", Standing::Wrong, "no way out");
    machine.addresses.as_mut().unwrap().remove(0);
    says(&machine, "ipv6", Standing::Wrong, "::1 is missing");
}

#[test]
fn a_dead_first_name_server_is_wrong_and_a_dead_second_is_noted() {
    let mut machine = sound();
    machine.name_servers = Some(Ok(vec![server(1, Some("nothing")), server(2, None)]));
    says(
        &machine,
        "dns",
        Standing::Wrong,
        "192.0.2.1:53 answers nothing",
    );
    machine.name_servers = Some(Ok(vec![server(1, None), server(2, Some("REFUSED"))]));
    says(&machine, "dns", Standing::Noted, "REFUSED");
    machine.name_servers = Some(Err("there is no file".to_owned()));
    says(&machine, "dns", Standing::Wrong, "there is no file");
    machine.localhost = Some(Ok(vec![[192, 0, 2, 9].into()]));
    says(&machine, "dns", Standing::Wrong, "localhost is 192.0.2.9");
}

#[test]
fn proxies_that_take_this_host_too_get_a_fix() {
    let mut machine = sound();
    machine.proxies = vec![("http_proxy".to_owned(), "http://p:3128".to_owned())];
    says(&machine, "proxies", Standing::Noted, "http://p:3128");
    let fixes = |machine: &Machine| {
        let checks = judge(machine);
        let proxies = checks.iter().find(|check| check.about == "proxies");
        proxies.unwrap().fixes.len()
    };
    assert_eq!(fixes(&machine), 1);
    let spared = ("no_proxy".to_owned(), "example.org, localhost".to_owned());
    machine.proxies.push(spared);
    assert_eq!(fixes(&machine), 0);
}

#[test]
fn a_clock_before_this_program_is_wrong() {
    let mut machine = sound();
    machine.year = 1970;
    says(&machine, "clock", Standing::Wrong, "1970");
    machine.year = 2030;
    machine
        .health
        .as_mut()
        .unwrap()
        .clock
        .as_mut()
        .unwrap()
        .synchronised = false;
    says(&machine, "clock", Standing::Noted, "no time service");
}
