//! `doctor`: what of this machine will get in the way.

use crate::program::{Program, netloom, netloom_under, run};
use crate::told;

#[test]
fn every_part_of_the_machine_is_looked_at() {
    let ended = run(["doctor", "--json"], b"");
    assert_eq!(ended.stderr, "");
    let lines = told::lines(&ended.stdout);
    let end = told::text(told::one_end(&lines), "kind").to_owned();
    let checks: Vec<_> = lines
        .iter()
        .filter(|line| told::text(line, "kind") == "check")
        .collect();
    for about in [
        "rights", "limits", "network", "ipv6", "dns", "proxies", "clock",
    ] {
        assert!(
            checks.iter().any(|c| told::text(c, "about") == about),
            "{about}"
        );
    }
    // Something may really be wrong with the machine that runs this.
    let wrong = checks.iter().any(|c| told::text(c, "standing") == "wrong");
    assert_eq!(end == "diagnosis", wrong);
    assert_eq!(ended.code, Some(i32::from(wrong)));
}

#[test]
fn plain_answers_go_to_stdout_and_an_environment_proxy_is_told_without_its_password() {
    let mut command = netloom();
    command
        .arg("doctor")
        .env("http_proxy", "http://bob:s3cret@proxy.test:3128");
    let ended = Program::start(&mut command).end();
    let text = ended.text();
    assert!(
        text.contains("proxies   http_proxy=http://***@proxy.test:3128"),
        "{text}"
    );
    assert!(text.contains("export NO_PROXY="), "{text}");
    assert!(
        !text.contains("s3cret") && !ended.stderr.contains("s3cret"),
        "{text}"
    );
}

#[test]
fn few_descriptors_are_remarked_on() {
    let mut command = netloom_under("prlimit", &["--nofile=200:200"]);
    let ended = Program::start(command.arg("doctor")).end();
    let text = ended.text();
    assert!(text.contains("note   limits    200 descriptors"), "{text}");
}

/// A network namespace is born with its loopback interface switched off.
#[test]
fn a_machine_without_loopback_is_not_sound_until_it_is_mended() {
    let network = |before: &str| {
        let line = format!("{before} exec \"$@\"");
        netloom_under("unshare", &["-Urn", "sh", "-ec", &line, "sh"])
    };
    let can = std::process::Command::new("unshare")
        .args(["-Urn", "true"])
        .output();
    if !can.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var("CI").is_err(), "no namespaces");
        eprintln!("skipped: no network namespace may be made here");
        return;
    }
    let doctor = |before: &str| {
        let ended = Program::start(network(before).args(["doctor", "--json"])).end();
        told::lines(&ended.stdout)
    };
    let lines = doctor("");
    let end = told::one_end(&lines);
    assert_eq!(told::text(end, "code"), "host.not-sound");
    let causes = end["causes"].as_array().unwrap();
    let off = |cause: &&serde_json::Value| cause["text"] == "the loopback interface is off";
    let cause = causes.iter().find(off).unwrap();
    assert_eq!(told::text(cause, "verdict"), "confirmed");
    let commands = end["fixes"].as_array().unwrap().iter();
    let fix = commands
        .filter_map(|fix| fix["command"].as_str())
        .find_map(|command| command.strip_prefix("sudo ip link"))
        .unwrap();
    // What the fix says, done: nothing is said of it any more.
    let lines = doctor(&format!("ip link{fix};"));
    let said = lines
        .iter()
        .any(|line| line.to_string().contains("loopback interface is off"));
    assert!(!said, "{lines:?}");
}
