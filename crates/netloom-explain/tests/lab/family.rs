//! Address families and interfaces that are not there, or lead nowhere.

use netloom_base::Code;

use crate::place::{
    Host, Program, failed, fix, has, in_namespace_asking, is_confirmed, run, sh, until,
    without_ipv6,
};
use crate::record;
use crate::resolve::{asking, dns, dnsmasq, ready};

#[test]
fn a_sandbox_without_ipv6() {
    without_ipv6("family::a_sandbox_without_ipv6", |lab| async move {
        let diagnosis = lab.explain(&failed(lab.dial("tcp://[::1]:1").await)).await;
        assert_eq!(diagnosis.code.name(), "create.family-unsupported");
        assert!(
            diagnosis.to_string().contains("EAFNOSUPPORT"),
            "{diagnosis}"
        );
        assert!(
            diagnosis.to_string().contains("RestrictAddressFamilies="),
            "{diagnosis}"
        );
        lab.follow(fix(&diagnosis, "cat /proc/sys/net/ipv6")).await;
        let diagnosis = lab.explain(&failed(lab.bind("tcp://[::1]:0").await)).await;
        assert_eq!(diagnosis.code.name(), "create.family-unsupported");
        // What the advice says: the other family is there.
        lab.bind("tcp://127.0.0.1:0").await.unwrap();
    });
}

#[test]
fn an_interface_that_is_not_there() {
    run(|lab| async move {
        for url in [
            "tcp://127.0.0.1:0,device=nosuch0",
            "tcp://[fe80::1%nosuch0]:0",
        ] {
            let diagnosis = lab.explain(&failed(lab.bind(url).await)).await;
            assert_eq!(diagnosis.code.name(), "bind.no-device", "{url}");
            assert!(is_confirmed(&diagnosis));
            assert!(diagnosis.to_string().contains("nosuch0"), "{diagnosis}");
            lab.follow(fix(&diagnosis, "ip -brief link")).await;
        }
        let failure = failed(lab.dial("tcp://[fe80::1%nosuch0]:1").await);
        assert_eq!(failure.code().name(), "bind.no-device");
    });
}

#[test]
fn one_family_hangs_and_the_other_answers() {
    if !has("dnsmasq") || !has("nft") {
        return;
    }
    in_namespace_asking(
        "family::one_family_hangs_and_the_other_answers",
        || {
            let both = "--host-record=both.lab,10.9.0.2,fd00:9::2";
            let server = dnsmasq(5353, &[both]);
            (dns(asking(&[([127, 0, 0, 1], 5353).into()])), server)
        },
        |lab, _server| async move {
            ready(&lab, 5353).await;
            let host = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            sh("ip addr add fd00:9::1/64 dev v-a nodad");
            host.sh("ip addr add fd00:9::2/64 dev eth0 nodad");
            let pid = host.pid().to_string();
            let _server = Program::start(&[
                "nsenter",
                "-t",
                &pid,
                "-n",
                "python3",
                "-m",
                "http.server",
                "--bind",
                "::",
                "7007",
            ]);
            let url = "tcp://both.lab:7007";
            until("an answer", || async {
                lab.dial("tcp://[fd00:9::2]:7007").await.ok()
            })
            .await;
            lab.is_quiet(url).await;

            host.sh("nft add table ip6 t; nft add chain ip6 t in \"{ type filter hook input priority 0; }\"; nft add rule ip6 t in tcp dport 7007 drop");
            let story = lab.story(url, None).await.unwrap();
            let note = story.told.iter().find(|told| told.about == "note").unwrap();
            assert_eq!(note.code, Some(Code::CONNECT_FAMILY_BROKEN));
            assert!(note.text.contains("IPv4 works, IPv6 does not"), "{note:?}");
            assert!(note.text.contains("[fd00:9::2]:7007"), "{note:?}");
            record::noted(Code::CONNECT_FAMILY_BROKEN);
            let lost = story
                .steps
                .iter()
                .find(|step| step.failed.is_some())
                .unwrap();
            assert_eq!(lost.failed, Some(Code::CONNECT_OVERTAKEN));
            record::noted(Code::CONNECT_OVERTAKEN);
            assert_eq!(lost.to, "[fd00:9::2]:7007");
            assert_eq!(story.peer.as_deref(), Some("10.9.0.2:7007"));
        },
    );
}
