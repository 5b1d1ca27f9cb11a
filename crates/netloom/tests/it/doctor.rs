//! `doctor`: what of this machine will get in the way.

use crate::program::{Program, netloom, run};
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
    let mut command = crate::program::netloom_under("prlimit", &["--nofile=200:200"]);
    let ended = Program::start(command.arg("doctor")).end();
    let text = ended.text();
    assert!(text.contains("note   limits    200 descriptors"), "{text}");
}
