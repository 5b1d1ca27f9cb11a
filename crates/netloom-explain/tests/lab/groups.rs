//! Groups that stay silent, each for a reason of its own, and what this end can
//! know of it: a router, a switch, a firewall, another port, a muted program.

use std::time::Duration;

use netloom_base::diagnosis::Verdict::{self, Likely, Possible, Refuted};
use netloom_base::{Diagnosis, Failure, Role};
use netloom_explain::story::hear;

use crate::place::{Host, Lab, Program, failed, fix, has, in_namespace, is_confirmed, knows, sh};

const SOON: Duration = Duration::from_secs(5);
const NOT: Duration = Duration::from_millis(300);

/// Says something to a group from eth0 with a TTL, again and again.
fn speaker(group: &str, port: u16, ttl: u8) -> String {
    format!(
        "import socket, time\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.setsockopt(0, socket.IP_MULTICAST_IF, bytes(8) + socket.if_nametoindex('eth0').to_bytes(4, 'little'))\ns.setsockopt(0, socket.IP_MULTICAST_TTL, {ttl})\nprint('ready')\nwhile True:\n s.sendto(b'x', ('{group}', {port}))\n time.sleep(0.02)\n"
    )
}

/// Routes what 10.8.0.2 says to a group from r1 to eth0, as a multicast router
/// does (linux/mroute.h).
fn router(group: &str) -> String {
    format!(
        "import socket, struct, time\ns = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP)\ns.setsockopt(0, 200, 1)\nfor n, name in enumerate(('r1', 'eth0')):\n s.setsockopt(0, 202, struct.pack('=HBBIi4s', n, 8, 1, 0, socket.if_nametoindex(name), bytes(4)))\ns.setsockopt(0, 204, socket.inet_aton('10.8.0.2') + socket.inet_aton('{group}') + struct.pack('=H', 0) + bytes([0, 1] + [0] * 48))\nprint('ready')\ntime.sleep(600)\n"
    )
}

impl Lab {
    /// Listens to a group as `netloom explain` does, and fails.
    pub(crate) async fn silence(&self, url: &str) -> Diagnosis {
        let diagnosis = self
            .explain(&failed(self.heard(url, None, NOT).await))
            .await;
        assert_eq!(diagnosis.code.name(), "lan.multicast-silent", "{diagnosis}");
        assert!(
            !is_confirmed(&diagnosis),
            "one end cannot know: {diagnosis}"
        );
        diagnosis
    }

    /// Who is heard in a group; with `say`, who answers that.
    async fn heard(
        &self,
        url: &str,
        say: Option<&[u8]>,
        within: Duration,
    ) -> Result<String, Failure> {
        let role = if say.is_some() {
            Role::Dial
        } else {
            Role::Bind
        };
        let stack = self.cx.net().stack(&url.parse().unwrap(), role)?;
        let story = hear(&stack, say, within, &self.probe, &self.cx).await?;
        let heard = story.told.iter().find(|told| told.about == "heard");
        Ok(heard.unwrap().text.clone())
    }
}

fn verdict(diagnosis: &Diagnosis, words: &str) -> Option<Verdict> {
    let found = diagnosis.causes.iter().find(|one| one.text.contains(words));
    Some(found?.verdict)
}

/// Two hosts with a router between them: the speaker is behind it.
async fn behind_a_router() -> (Host, Host) {
    let router = Host::beside("a", "10.9.0.1/24", "10.9.0.254/24").await;
    let far = router.behind("r1", "10.8.0.254/24", "10.8.0.2/24").await;
    router.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
    far.sh("ip route add default via 10.8.0.254");
    sh("ip route add default via 10.9.0.254");
    (router, far)
}

#[test]
fn a_router_between_passes_a_group_on_only_with_a_ttl() {
    in_namespace(
        "groups::a_router_between_passes_a_group_on_only_with_a_ttl",
        |lab| async move {
            let (router_host, far) = behind_a_router().await;
            let url = "udp://239.1.2.6:5000";
            let near = far.python(&speaker("239.1.2.6", 5000, 1));
            let told = lab.silence(url).await;
            let behind = verdict(&told, "the sender is behind a router");
            assert_eq!(behind, Some(Possible), "{told}");
            assert!(told.unchecked.iter().any(|one| one.what.contains("router")));
            // What it advises alone does not help: the router must be set up.
            let ttl = fix(&told, "netloom connect 'udp://239.1.2.6:5000,ttl=8'");
            lab.follow(ttl).await;
            drop(near);
            let _far = far.python(&speaker("239.1.2.6", 5000, 8));
            let told = lab.silence(url).await;
            assert_eq!(verdict(&told, "behind a router"), behind, "{told}");
            let _set_up = router_host.python(&router("239.1.2.6"));
            let heard = lab.heard(url, None, SOON).await.unwrap();
            assert!(heard.contains("from 10.8.0.2:"), "{heard}");
            assert!(heard.contains("by v-a"), "{heard}");
        },
    );
}

#[test]
fn who_asks_a_group_behind_a_router_is_told_of_the_ttl() {
    in_namespace(
        "groups::who_asks_a_group_behind_a_router_is_told_of_the_ttl",
        |lab| async move {
            let (_router, far) = behind_a_router().await;
            let url = "udp://239.1.2.7:5000";
            let answering = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('', 5000))\ns.setsockopt(0, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('239.1.2.7') + bytes(4) + socket.if_nametoindex('eth0').to_bytes(4, 'little'))\nprint('ready')\nwhile True:\n d, a = s.recvfrom(99)\n s.sendto(b'here', a)\n";
            let there = far.python(answering);
            let failure = failed(lab.heard(url, Some(b"who"), NOT).await);
            let told = lab.explain(&failure).await;
            assert_eq!(told.code.name(), "lan.multicast-silent");
            assert!(!is_confirmed(&told), "{told}");
            for words in ["nobody has joined", "does not answer", "behind a router"] {
                assert_eq!(verdict(&told, words), Some(Possible), "{told}");
            }
            lab.follow(fix(&told, "netloom connect 'udp://239.1.2.7:5000,ttl=8'"))
                .await;
            drop(there);
            // On this network there is an answer.
            let near = Host::beside("b", "10.7.0.1/24", "10.7.0.2/24").await;
            let _there = near.python(answering);
            let heard = lab.heard(url, Some(b"who"), SOON).await.unwrap();
            assert!(heard.contains("from 10.7.0.2:5000"), "{heard}");
        },
    );
}

#[test]
fn this_hosts_own_rules_eat_a_group() {
    in_namespace(
        "groups::this_hosts_own_rules_eat_a_group",
        |lab| async move {
            if !has("nft") {
                return;
            }
            let a = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            let _speaker = a.python(&speaker("239.1.2.8", 5000, 1));
            let url = "udp://239.1.2.8:5000";
            let rule = |hook: &str| {
                sh(&format!(
                    "nft add table inet t; nft add chain inet t c '{{ type filter hook {hook} priority 0; }}'; nft add rule inet t c udp dport 5000 drop"
                ));
            };
            // Counted before it is dropped: it came to this host.
            rule("input");
            let told = lab.silence(url).await;
            assert_eq!(told.causes[0].verdict, Likely, "{told}");
            assert!(
                told.causes[0].text.contains("a rule of this host"),
                "{told}"
            );
            knows(&told, &["table inet t", "udp dport 5000 drop"]);
            lab.follow(fix(&told, "nft -a list chain inet t c")).await;
            assert_eq!(verdict(&told, "nobody sends"), Some(Possible), "{told}");
            // Dropped before anything is counted: the rule alone tells of it.
            sh("nft delete table inet t");
            rule("prerouting");
            let told = lab.silence(url).await;
            knows(&told, &["no multicast packet of any group"]);
            assert_eq!(
                verdict(&told, "a rule of this host"),
                Some(Likely),
                "{told}"
            );
            // A chain that drops whatever no rule lets in names no port.
            sh(
                "nft delete table inet t; nft add table inet t; nft add chain inet t c '{ type filter hook input priority 0; policy drop; }'",
            );
            let told = lab.silence(url).await;
            knows(&told, &["table inet t", "policy drop"]);
            assert_eq!(
                verdict(&told, "a rule of this host"),
                Some(Possible),
                "{told}"
            );
            // Another host's rules are nothing that this one can read.
            sh("nft delete table inet t");
            a.sh("nft add table inet t; nft add chain inet t c \"{ type filter hook output priority 0; }\"; nft add rule inet t c udp dport 5000 drop");
            let told = lab.silence(url).await;
            assert_eq!(
                verdict(&told, "a rule of nftables"),
                Some(Refuted),
                "{told}"
            );
            assert_eq!(verdict(&told, "nobody sends"), Some(Possible), "{told}");
            // What was told that it may not be sent is over.
            a.sh("nft delete table inet t");
            let _again = a.python(&speaker("239.1.2.8", 5000, 1));
            lab.heard(url, None, SOON).await.unwrap();
        },
    );
}

#[test]
fn a_switch_that_snoops_without_a_querier_passes_nothing_on() {
    in_namespace(
        "groups::a_switch_that_snoops_without_a_querier_passes_nothing_on",
        |lab| async move {
            let switch = Host::beside("a", "10.9.0.1/24", "10.9.0.254/24").await;
            let far = switch.behind("p1", "10.9.0.253/24", "10.9.0.2/24").await;
            switch.sh("ip addr flush dev eth0; ip addr flush dev p1; ip link add sw type bridge; ip link set sw up; ip link set eth0 master sw; ip link set p1 master sw");
            // It floods no group, and no querier asks who has joined which.
            switch.sh("ip link set sw type bridge mcast_snooping 1; bridge link set dev eth0 mcast_flood off");
            let _speaker = far.python(&speaker("239.1.2.9", 5000, 1));
            let url = "udp://239.1.2.9:5000";
            let told = lab.silence(url).await;
            assert_eq!(verdict(&told, "a switch between"), Some(Possible), "{told}");
            assert_eq!(verdict(&told, "nobody sends"), Some(Possible), "{told}");
            knows(&told, &["no multicast packet of any group"]);
            let snooping = told
                .unchecked
                .iter()
                .find(|one| one.what.contains("snooping"));
            assert!(
                snooping.unwrap().needs.contains("bridge mdb show"),
                "{told}"
            );
            // With a querier the switch learns who has joined, and passes it on.
            switch.sh("ip link set sw type bridge mcast_query_response_interval 1; ip link set sw type bridge mcast_querier 1");
            let heard = lab.heard(url, None, SOON).await.unwrap();
            assert!(heard.contains("from 10.9.0.2:"), "{heard}");
        },
    );
}

#[test]
fn a_sender_that_speaks_to_another_port_is_counted() {
    in_namespace(
        "groups::a_sender_that_speaks_to_another_port_is_counted",
        |lab| async move {
            let a = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            let _speaker = a.python(&speaker("239.1.2.10", 5001, 1));
            let told = lab.silence("udp://239.1.2.10:5000").await;
            assert_eq!(told.causes[0].verdict, Likely, "{told}");
            assert!(told.causes[0].text.contains("to another port"), "{told}");
            knows(&told, &["came for a port that nobody has open"]);
            let heard = lab.heard("udp://239.1.2.10:5001", None, SOON).await;
            assert!(heard.unwrap().contains("from 10.9.0.2:"));
        },
    );
}

#[test]
fn the_reverse_path_filter_eats_a_group_of_a_sender_elsewhere() {
    in_namespace(
        "groups::the_reverse_path_filter_eats_a_group_of_a_sender_elsewhere",
        |lab| async move {
            let a = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            // This host reaches the sender by another interface, or by none.
            a.sh("ip addr add 10.6.0.2/24 dev eth0; ip addr del 10.9.0.2/24 dev eth0");
            sh("echo 1 > /proc/sys/net/ipv4/conf/v-a/rp_filter");
            let _speaker = a.python(&speaker("239.1.2.11", 5000, 1));
            let url = "udp://239.1.2.11:5000";
            let told = lab.silence(url).await;
            assert_eq!(told.causes[0].verdict, Likely, "{told}");
            assert!(told.causes[0].text.contains("would not answer"), "{told}");
            knows(&told, &["dropped by the reverse path filter"]);
            // Loose, any route to the sender is enough.
            lab.follow(fix(&told, "sysctl -w net.ipv4.conf.all.rp_filter=2"))
                .await;
            sh("ip route add 10.6.0.0/24 dev v-a");
            let heard = lab.heard(url, None, SOON).await.unwrap();
            assert!(heard.contains("from 10.6.0.2:"), "{heard}");
        },
    );
}

#[test]
fn a_program_of_this_host_that_does_not_hear_itself_is_named() {
    in_namespace(
        "groups::a_program_of_this_host_that_does_not_hear_itself_is_named",
        |lab| async move {
            let _a = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            let speaks = |loops: u8| {
                format!(
                    "import socket, time\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.setsockopt(0, socket.IP_MULTICAST_IF, socket.inet_aton('10.9.0.1'))\ns.setsockopt(0, socket.IP_MULTICAST_LOOP, {loops})\ns.connect(('239.1.2.12', 5000))\nprint(0)\nwhile True:\n s.send(b'x')\n time.sleep(0.02)\n"
                )
            };
            let url = "udp://239.1.2.12:5000";
            let (muted, _) = Program::python(&speaks(0));
            let told = lab.silence(url).await;
            assert_eq!(told.causes[0].verdict, Likely, "{told}");
            assert!(
                told.causes[0].text.contains("its loopback is off"),
                "{told}"
            );
            knows(&told, &[&format!("process {}", muted.pid())]);
            drop(muted);
            let (_heard, _) = Program::python(&speaks(1));
            let heard = lab.heard(url, None, SOON).await.unwrap();
            assert!(heard.contains("from 10.9.0.1:"), "{heard}");
        },
    );
}
