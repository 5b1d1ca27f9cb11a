//! What the rules make of recorded answers.

use std::net::SocketAddr;
use std::time::Duration;

use netloom_base::diagnosis::{Cause, Verdict};
use netloom_base::failure::{Errno, Fact};
use netloom_base::{Code, Failure, Side, Stage};
use netloom_transport::probe::{
    Address, DialEnd, Dialled, Entry, Holder, Icmp, Neighbour, PortSettings, Route, State,
};

use super::{Answers, diagnose};

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn entry(local: &str, state: State) -> Entry {
    Entry {
        local: addr(local),
        remote: addr("0.0.0.0:0"),
        state,
        recv_queue: 0,
        send_queue: 128,
        uid: 33,
        inode: 48213,
        cgroup: None,
        only_v6: None,
        expires: Duration::ZERO,
    }
}

fn taken(url: &str, tried: &str) -> Failure {
    Failure::new(Stage::Bind, Side::Os, Code::BIND_IN_USE)
        .fact(Fact::Errno(Errno(98)))
        .fact(Fact::Tried(addr(tried)))
        .at(url)
}

fn unconnected(code: Code, tried: &str) -> Failure {
    Failure::new(Stage::Connect, Side::Path, code)
        .fact(Fact::Tried(addr(tried)))
        .at(format!("tcp://{tried}"))
}

fn recorded(sockets: &[Entry]) -> Answers {
    Answers {
        user: Some(1000),
        own_process: 1,
        sockets: Some(sockets.to_vec()),
        free_port: Some(8081),
        ports: Some(PortSettings {
            unprivileged_start: 1024,
            ephemeral: (32768, 60999),
        }),
        ..Answers::default()
    }
}

fn nginx() -> Holder {
    Holder {
        inode: 48213,
        pid: 4121,
        fd: 7,
        program: "nginx".to_owned(),
        command: "nginx -g daemon off".to_owned(),
        uid: 1000,
        unit: None,
    }
}

#[test]
fn the_answer_reads_as_promised() {
    let failure = taken("tcp://127.0.0.1:8080", "127.0.0.1:8080");
    let mut answers = recorded(&[entry("127.0.0.1:8080", State::Listen)]);
    answers.holders = vec![nginx()];
    let text = diagnose(&failure, &answers).to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "error[bind.in-use.listener]: cannot bind tcp://127.0.0.1:8080: the port is taken"
    );
    assert_eq!(
        lines[1],
        "  stage     parse ok · create ok · bind failed (EADDRINUSE)"
    );
    assert!(
        text.contains("127.0.0.1:8080 LISTEN, inode 48213"),
        "{text}"
    );
    assert!(
        text.contains("inode 48213 is fd 7 of process 4121 `nginx -g daemon off`"),
        "{text}"
    );
    assert!(text.contains("confirmed"), "{text}");
    assert!(text.contains("stop it:          kill 4121"), "{text}");
    assert!(
        text.contains("or another port:  netloom listen tcp://127.0.0.1:8081"),
        "{text}"
    );
}

#[test]
fn whoever_cannot_be_seen_is_told_by_user_and_what_it_would_take() {
    let failure = taken("tcp://127.0.0.1:8080", "127.0.0.1:8080");
    let mut answers = recorded(&[entry("127.0.0.1:8080", State::Listen)]);
    let diagnosis = diagnose(&failure, &answers);
    assert!(diagnosis.to_string().contains("uid 33"), "{diagnosis}");
    assert_eq!(diagnosis.unchecked[0].needs, "root");
    assert!(diagnosis.fixes.iter().all(|fix| !fix.text.contains("stop")));

    let mut held = entry("127.0.0.1:8080", State::Listen);
    held.cgroup = Some(77);
    answers.sockets = Some(vec![held]);
    answers.units = vec![(77, "nginx.service".to_owned())];
    let diagnosis = diagnose(&failure, &answers);
    let stop = diagnosis.fixes[0].command.as_deref();
    assert_eq!(stop, Some("sudo systemctl stop nginx.service"));
}

#[test]
fn what_holds_the_port_decides_the_code() {
    let waiting = Entry {
        inode: 0,
        expires: Duration::from_secs(41),
        ..entry("127.0.0.1:8080", State::TimeWait)
    };
    let child = entry("127.0.0.1:8080", State::Established);
    let only_v6 = Entry {
        only_v6: Some(true),
        ..entry("[::]:8080", State::Listen)
    };
    let asked = "127.0.0.1:8080";
    for (sockets, code) in [
        (
            vec![entry(asked, State::Listen), child.clone()],
            "bind.in-use.listener",
        ),
        (
            vec![entry("0.0.0.0:8080", State::Listen), child.clone()],
            "bind.in-use.overlap",
        ),
        (
            vec![entry("[::]:8080", State::Listen)],
            "bind.in-use.overlap",
        ),
        (
            vec![entry(asked, State::Bound), waiting.clone()],
            "bind.in-use.bound",
        ),
        (vec![child, waiting.clone()], "bind.in-use.connection"),
        (vec![only_v6, waiting], "bind.in-use.time-wait"),
        (
            vec![entry("127.0.0.2:8080", State::Listen)],
            "bind.in-use.listener",
        ),
    ] {
        let diagnosis = diagnose(&taken("tcp://127.0.0.1:8080", asked), &recorded(&sockets));
        assert_eq!(diagnosis.code.name(), code, "{sockets:?}");
    }
}

#[test]
fn without_answers_nothing_is_told_as_certain() {
    let failure = taken("tcp://127.0.0.1:8080", "127.0.0.1:8080");
    let diagnosis = diagnose(&failure, &Answers::default());
    assert_eq!(diagnosis.code.name(), "bind.in-use.listener");
    let sure = |cause: &Cause| cause.verdict == Verdict::Confirmed;
    assert!(!diagnosis.causes.is_empty() && !diagnosis.causes.iter().any(sure));
}

#[test]
fn a_reset_from_afar_is_never_taken_for_knowledge() {
    let failure = unconnected(Code::CONNECT_REFUSED, "192.0.2.1:80");
    let answers = Answers {
        dialled: Some(Dialled {
            end: DialEnd::Failed(111),
            icmp: None,
            took: Duration::from_millis(2),
        }),
        ..Answers::default()
    };
    let diagnosis = diagnose(&failure, &answers);
    assert!(
        diagnosis
            .causes
            .iter()
            .all(|cause| cause.verdict != Verdict::Confirmed)
    );
    assert_eq!(diagnosis.causes.len(), 2);
    assert!(!diagnosis.unchecked.is_empty());
}

#[test]
fn who_sent_the_icmp_decides_who_rejected() {
    let said = |from: &str, kind, code| {
        let own = Address {
            ip: "10.0.0.5".parse().unwrap(),
            prefix: 24,
            interface: 2,
            tentative: false,
        };
        Answers {
            addresses: Some(vec![own]),
            dialled: Some(Dialled {
                end: DialEnd::Failed(113),
                icmp: Some(Icmp {
                    kind,
                    code,
                    from: from.parse().unwrap(),
                }),
                took: Duration::from_millis(2),
            }),
            ..Answers::default()
        }
    };
    for (from, kind, code, exact) in [
        ("10.0.0.1", 3, 13, "connect.rejected.firewall"),
        ("192.0.2.1", 3, 3, "connect.rejected.firewall"),
        ("10.0.0.5", 3, 10, "connect.denied.local-firewall"),
        ("10.0.0.1", 3, 1, "connect.unreachable.neighbour"),
        ("10.0.0.1", 3, 0, "connect.unreachable.no-route"),
    ] {
        let failure = unconnected(Code::CONNECT_NEIGHBOUR, "192.0.2.1:80");
        let diagnosis = diagnose(&failure, &said(from, kind, code));
        assert_eq!(diagnosis.code.name(), exact, "{from} {kind}/{code}");
        assert_eq!(diagnosis.causes[0].verdict, Verdict::Confirmed);
    }
}

/// The dial that failed was armed: nobody need dial again.
#[test]
fn what_the_dial_itself_heard_decides() {
    let rejected = |errno, fact| {
        unconnected(Code::CONNECT_REFUSED, "192.0.2.1:80")
            .fact(Fact::Errno(Errno(errno)))
            .fact(fact)
    };
    let icmp = Icmp {
        kind: 3,
        code: 3,
        from: "192.0.2.1".parse().unwrap(),
    };
    let diagnosis = diagnose(&rejected(111, Fact::Icmp(icmp)), &Answers::default());
    assert_eq!(diagnosis.code.name(), "connect.rejected.firewall");
    assert_eq!(diagnosis.causes[0].verdict, Verdict::Confirmed);
    let told = diagnosis.to_string();
    assert_eq!(told.matches("ICMP 3/3").count(), 1, "{told}");

    let diagnosis = diagnose(&rejected(111, Fact::NoIcmp), &Answers::default());
    assert_eq!(diagnosis.code.name(), "connect.refused.no-listener");
    let told = diagnosis.to_string();
    assert!(told.contains("the dial was refused by a reset"), "{told}");
    assert!(told.contains("without ICMP"), "{told}");

    // A second dial that was answered says more than silence about the first.
    let again = Answers {
        dialled: Some(Dialled {
            end: DialEnd::Connected,
            icmp: None,
            took: Duration::from_millis(2),
        }),
        ..Answers::default()
    };
    let told = diagnose(&rejected(111, Fact::NoIcmp), &again).to_string();
    assert!(told.contains("a second dial was answered"), "{told}");
}

#[test]
fn a_dead_next_hop_and_a_live_silent_host_are_told_apart() {
    let mut answers = Answers {
        route: Some(Route::Way {
            local: false,
            interface: 2,
            via: None,
            from: None,
        }),
        neighbour: Some(("192.0.2.1".parse().unwrap(), Some(Neighbour::Failed))),
        ..Answers::default()
    };
    let failure = unconnected(Code::CONNECT_TIMEOUT, "192.0.2.1:80");
    assert_eq!(
        diagnose(&failure, &answers).code.name(),
        "connect.unreachable.neighbour"
    );
    answers.neighbour = Some(("192.0.2.1".parse().unwrap(), Some(Neighbour::Reachable)));
    answers.dialled = Some(Dialled {
        end: DialEnd::Silent,
        icmp: None,
        took: Duration::from_secs(1),
    });
    let diagnosis = diagnose(&failure, &answers);
    assert_eq!(diagnosis.code.name(), "connect.timeout.dropped");
    assert!(
        diagnosis
            .causes
            .iter()
            .any(|cause| cause.verdict == Verdict::Refuted)
    );
}

#[test]
fn every_code_of_a_rule_stands_in_the_catalogue() {
    use netloom_base::failure::CODES;
    for code in [
        Code::BIND_TIME_WAIT,
        Code::CONNECT_OTHER_FAMILY,
        Code::CONNECT_REJECTED,
    ] {
        assert!(CODES.iter().any(|card| card.code == code.name()));
    }
}

mod lacking {
    //! What this host lacks, and what the kernel calls it.

    use netloom_transport::probe::Interface;

    use super::*;

    fn failed(stage: Stage, code: Code, errno: i32, url: &str) -> Failure {
        let tried = url.strip_prefix("tcp://").unwrap();
        Failure::new(stage, Side::Us, code)
            .fact(Fact::Errno(Errno(errno)))
            .fact(Fact::Tried(addr(tried)))
            .at(url)
    }

    fn own(ip: &str) -> Address {
        Address {
            ip: ip.parse().unwrap(),
            prefix: 64,
            interface: 1,
            tentative: false,
        }
    }

    fn interface(index: u32, name: &str) -> Interface {
        Interface {
            index,
            name: name.to_owned(),
            up: true,
            running: true,
            loopback: name == "lo",
            multicast: false,
        }
    }

    const WAY: Route = Route::Way {
        local: false,
        interface: 2,
        via: None,
        from: None,
    };

    #[test]
    fn a_blackhole_is_no_missing_scope() {
        for url in ["tcp://192.0.2.1:80", "tcp://[2001:db8::1]:80"] {
            let failure = failed(Stage::Connect, Code::BIND_NO_SCOPE, 22, url);
            let mut answers = Answers {
                route: Some(Route::Refused(22)),
                ..Answers::default()
            };
            let diagnosis = diagnose(&failure, &answers);
            assert_eq!(diagnosis.code.name(), "connect.unreachable.no-route");
            assert_eq!(diagnosis.causes[0].verdict, Verdict::Confirmed);
            assert!(diagnosis.causes[0].text.contains("blackhole"));
            // Whatever else it is, it is not the scope of such an address.
            for route in [None, Some(WAY)] {
                answers.route = route;
                let diagnosis = diagnose(&failure, &answers);
                assert_eq!(diagnosis.code.name(), "connect.other");
                let sure = |cause: &Cause| cause.verdict == Verdict::Confirmed;
                assert!(!diagnosis.causes.iter().any(sure), "{diagnosis}");
            }
        }
        let linked = "tcp://[fe80::1]:80";
        let failure = failed(Stage::Connect, Code::BIND_NO_SCOPE, 22, linked);
        let diagnosis = diagnose(&failure, &Answers::default());
        assert_eq!(diagnosis.code.name(), "bind.no-scope");
    }

    #[test]
    fn ipv6_that_is_off_is_told_with_how_to_switch_it_on_or_do_without() {
        let answers = Answers {
            user: Some(1000),
            addresses: Some(vec![own("127.0.0.1")]),
            no_v6: Some(true),
            ..recorded(&[])
        };
        for (stage, code, exact, verb) in [
            (
                Stage::Connect,
                Code::CONNECT_NO_LOCAL_PORT,
                "create.family-unsupported",
                "connect",
            ),
            (
                Stage::Bind,
                Code::BIND_NOT_LOCAL,
                "bind.not-local",
                "listen",
            ),
        ] {
            let failure = failed(stage, code, 99, "tcp://[::1]:80");
            let diagnosis = diagnose(&failure, &answers);
            assert_eq!(diagnosis.code.name(), exact);
            assert_eq!(diagnosis.causes.len(), 1);
            assert_eq!(
                diagnosis.causes[0].text,
                "IPv6 is switched off on this host"
            );
            assert_eq!(diagnosis.causes[0].verdict, Verdict::Confirmed);
            let commands: Vec<&str> = diagnosis
                .fixes
                .iter()
                .filter_map(|fix| fix.command.as_deref())
                .collect();
            let there = format!("netloom {verb} tcp://127.0.0.1:80");
            assert_eq!(
                commands,
                [
                    "sudo sysctl -w net.ipv6.conf.all.disable_ipv6=0",
                    there.as_str()
                ]
            );
        }
    }

    #[test]
    fn a_loopback_without_its_address_is_told_as_such() {
        let mut answers = Answers {
            addresses: Some(vec![own("127.0.0.1"), own("2001:db8::5")]),
            no_v6: Some(false),
            ..recorded(&[])
        };
        let failure = failed(
            Stage::Connect,
            Code::CONNECT_NO_LOCAL_PORT,
            99,
            "tcp://[::1]:80",
        );
        let diagnosis = diagnose(&failure, &answers);
        assert_eq!(diagnosis.code.name(), "create.family-unsupported");
        assert_eq!(
            diagnosis.causes[0].text,
            "no interface of this host has ::1"
        );
        // With the address there, it really is the ports.
        answers.addresses = Some(vec![own("::1")]);
        let diagnosis = diagnose(&failure, &answers);
        assert_eq!(diagnosis.code.name(), "connect.no-local-port");
    }

    #[test]
    fn a_number_that_no_interface_has_is_told_with_those_there_are() {
        let answers = Answers {
            route: Some(Route::Refused(101)),
            interfaces: Some(vec![interface(1, "lo"), interface(2, "eth0")]),
            ..Answers::default()
        };
        for (stage, code, errno) in [
            (Stage::Connect, Code::CONNECT_NO_ROUTE, 101),
            (Stage::Bind, Code::BIND_NO_DEVICE, 19),
        ] {
            let failure = failed(stage, code, errno, "tcp://[fe80::1%99]:80");
            let told = diagnose(&failure, &answers);
            assert_eq!(told.code.name(), "bind.no-device");
            assert!(told.summary.contains("the number 99"), "{told}");
            assert!(told.to_string().contains("lo (1), eth0 (2)"), "{told}");
            let command = told.fixes[0].command.as_deref().unwrap();
            assert!(command.ends_with("'tcp://[fe80::1%eth0]:80'"), "{command}");
        }
        // One that exists is not to blame.
        let failure = failed(
            Stage::Connect,
            Code::CONNECT_NO_ROUTE,
            101,
            "tcp://[fe80::1%2]:80",
        );
        let told = diagnose(&failure, &answers);
        assert_eq!(told.code.name(), "connect.unreachable.no-route");
    }

    #[test]
    fn a_prohibition_over_ipv6_is_nobodys_until_somebody_is_heard() {
        let failure = failed(
            Stage::Connect,
            Code::CONNECT_DENIED_FIREWALL,
            13,
            "tcp://[2001:db8::1]:80",
        );
        let answers = Answers {
            route: Some(WAY),
            ..Answers::default()
        };
        let diagnosis = diagnose(&failure, &answers);
        assert_eq!(diagnosis.code.name(), "connect.rejected.firewall");
        assert_eq!(diagnosis.causes.len(), 2);
        let possible = |cause: &Cause| cause.verdict == Verdict::Possible;
        assert!(diagnosis.causes.iter().all(possible), "{diagnosis}");

        let icmp = Icmp {
            kind: 1,
            code: 1,
            from: "2001:db8:1::1".parse().unwrap(),
        };
        let diagnosis = diagnose(&failure.fact(Fact::Icmp(icmp)), &answers);
        assert_eq!(diagnosis.code.name(), "connect.rejected.firewall");
        assert_eq!(diagnosis.causes[0].verdict, Verdict::Confirmed);
    }

    #[test]
    fn an_interface_that_may_not_be_named_is_no_port_that_may_not_be_bound() {
        let failure = Failure::new(Stage::Bind, Side::Us, Stage::Bind.other())
            .fact(Fact::Errno(Errno(1)))
            .at("tcp://127.0.0.1:8080,device=eth0");
        let answers = Answers {
            program: Some("/usr/bin/netloom".into()),
            ..recorded(&[])
        };
        let diagnosis = diagnose(&failure, &answers);
        assert_eq!(diagnosis.code.name(), "bind.other");
        assert_eq!(
            diagnosis.fixes[0].command.as_deref(),
            Some("sudo setcap cap_net_raw+ep /usr/bin/netloom")
        );
    }
}

#[test]
fn a_limit_of_files_that_is_endless_is_not_doubled() {
    use netloom_transport::probe::Descriptors;
    let failure = Failure::new(Stage::Create, Side::Os, Code::CREATE_NO_DESCRIPTORS)
        .fact(Fact::Errno(Errno(23)));
    let commands = |most| {
        let answers = Answers {
            descriptors: Some(Descriptors {
                open: 10,
                limit: 1024,
                hard_limit: 1024,
                kinds: vec![],
                host: Some((5, most)),
            }),
            ..recorded(&[])
        };
        let fixes = diagnose(&failure, &answers).fixes;
        fixes.into_iter().filter_map(|fix| fix.command).collect()
    };
    let commands: [Vec<String>; 2] = [commands(4096), commands(i64::MAX as u64)];
    assert_eq!(commands[0], ["sudo sysctl -w fs.file-max=8192"]);
    assert!(commands[1].is_empty(), "{commands:?}");
}

#[test]
fn a_left_over_socket_file_is_its_own_servers_to_make_again() {
    let failure = Failure::new(Stage::Connect, Side::Peer, Code::CONNECT_STALE_SOCKET)
        .at("unix:/run/db.sock");
    let answers = Answers {
        unix: Some(vec![]),
        ..recorded(&[])
    };
    let told = diagnose(&failure, &answers).to_string();
    let order = ["rm /run/db.sock", "start the server again", "--echo"];
    let places: Vec<usize> = order.iter().map(|word| told.find(word).unwrap()).collect();
    assert!(places.is_sorted(), "{told}");
}

#[test]
fn a_full_line_before_full_targets_is_not_a_full_service() {
    let failure = Failure::new(Stage::Connect, Side::Us, Code::LIMIT_REACHED);
    let full = diagnose(&failure, &recorded(&[])).to_string();
    assert!(full.contains("--max-conns"), "{full}");
    let failure = failure.fact(Fact::Limit {
        name: "queue",
        allows: 1000,
    });
    let line = diagnose(&failure, &recorded(&[])).to_string();
    assert!(
        line.contains("--queue 2000") && !line.contains("--max-conns"),
        "{line}"
    );
}
