//! From a file to prepared services, or to everything that is wrong with it.

use netloom_base::{Complaint, Settings};
use netloom_transport::cores::Sharing;

use crate::{Plan, ProxyPlan, ServicePlan, check, load, os_net};

fn complaints(text: &str) -> Vec<String> {
    let told = |complaints: Vec<Complaint>| complaints.iter().map(ToString::to_string).collect();
    match load("netloom.toml", text) {
        Err(complaints) => told(complaints),
        Ok(plan) => match check(&plan, &*os_net()) {
            Err(complaints) => told(complaints),
            Ok(_) => Vec::new(),
        },
    }
}

#[test]
fn a_file_becomes_services() {
    let plan = load(
        "f",
        r#"
        threads = 2
        [service.hello]
        kind = "reply"
        on = ["tcp://:0", "tcp://:9000-9001"]
        text = 'hi\n'
        limits = { max-conns = 10, idle = "5m" }
        "#,
    )
    .unwrap();
    assert_eq!(plan.threads, Some(2));
    let prepared = check(&plan, &*os_net()).unwrap_or_else(|complaints| panic!("{complaints:?}"));
    assert_eq!(
        prepared[0].on.len(),
        3,
        "a set of ports is one address for each"
    );
    assert_eq!(prepared[0].limits.max_conns, Some(10));
}

#[test]
fn all_mistakes_of_meaning_come_at_once_with_their_places() {
    let told = complaints(
        r#"[service.a]
kind = "ehco"
on = "tcp://:7007"

[service.b]
kind = "reply"
on = ["tcp:/x", "tcp://:70000"]
txt = "hi"
limits = { max-cons = 3, idle = "soon" }
"#,
    );
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn all_mistakes_of_syntax_come_at_once_with_their_places() {
    let told =
        complaints("thread = 2\n[service.a\nkind = echo\n[service.b]\non = 7\nkind = \"echo\"\n");
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn a_file_without_services_says_what_to_write() {
    assert!(complaints("")[0].contains("[service.NAME]"));
}

#[test]
fn what_is_printed_loads_as_the_same_plan() {
    let plan = Plan {
        threads: Some(3),
        runtime: Some(Sharing::Stealing),
        admin: Vec::new(),
        proxies: vec![ProxyPlan {
            name: "office".to_owned(),
            settings: Settings::new()
                .with("url", "socks5://bob@proxy:1080")
                .with("password-env", "PW"),
        }],
        services: vec![ServicePlan {
            name: "a b".to_owned(),
            kind: "reply".into(),
            on: vec!["tcp://:0".into(), "unix:/tmp/x,mode=600".into()],
            settings: Settings::new()
                .with("text", "it's \\r\\n \"q\" \u{1}")
                .with("per-line", true),
            limits: Settings::new().with("idle", "5m").with("max-conns", 3_i64),
            ..ServicePlan::default()
        }],
        source: None,
    };
    let again = load("f", &plan.to_string()).unwrap_or_else(|c| panic!("{c:?}\n{plan}"));
    assert_eq!(again.to_string(), plan.to_string());
    assert_eq!(again.runtime, plan.runtime);
    let (was, is) = (&plan.services[0], &again.services[0]);
    assert_eq!(was.name, is.name);
    let values = |s: &Settings| {
        s.iter()
            .map(|s| (s.key.clone(), s.value.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(values(&was.settings), values(&is.settings));
    assert_eq!(values(&was.limits), values(&is.limits));
}

#[test]
fn proxies_have_names_and_their_mistakes_a_line() {
    let text = "[via.far]\nurl = [\"http://gate\", \"socks5://in\"]\n[service.x]\nkind = 3\n";
    let named = crate::load_proxies("f", text).unwrap();
    assert_eq!(named.len(), 1, "what services say is not looked at");
    let hops = crate::ways::endpoints(&named[0].settings).unwrap();
    let hops: Vec<String> = hops.iter().map(ToString::to_string).collect();
    assert_eq!(hops, ["http://gate", "socks5://in"]);

    for (table, said) in [
        ("via = 3", "proxies are tables"),
        ("[via]\nx = 3", "a proxy is a table"),
        ("[via.x]", "`url` is missing"),
        ("[via.x]\nurl = \"proxy\"", "the port is missing"),
        (
            "[via.x]\nurl = \"socks5://p\"\nuser = \"bob\"",
            "no such key: `user`",
        ),
        (
            "[via.x]\nurl = \"socks5://p\"\nresolve = \"now\"",
            "`here` or `there`",
        ),
        (
            "[via.x]\nurl = [\"socks5://p\", \"socks5://q\"]\nresolve = \"here\"",
            "is of one proxy",
        ),
    ] {
        let complaints = crate::load_proxies("f", table).unwrap_err();
        assert!(
            complaints[0].message.contains(said),
            "{table}: {:?}",
            complaints[0].message
        );
        assert!(complaints[0].place.is_some(), "{table}");
    }
    let secret = "[via.x]\nurl = \"socks5://bob@p\"\npassword-file = \"/etc/a b,c\"\n";
    let named = crate::load_proxies("f", secret).unwrap();
    let hops = crate::ways::endpoints(&named[0].settings).unwrap();
    let kept = hops[0]
        .options()
        .last("password-file")
        .unwrap()
        .value
        .to_string();
    assert_eq!(kept, "/etc/a b,c");
}

#[test]
fn threads_share_in_a_way_that_there_is() {
    for wrong in ["runtime = \"steal\"\n", "runtime = 2\n"] {
        let told = complaints(&format!(
            "{wrong}[service.x]\nkind = \"echo\"\non = \"tcp://:0\"\n"
        ));
        assert!(told[0].contains("`cores` or `stealing`"), "{told:?}");
    }
}
