//! Targets and rules as they are written.

use netloom_base::{Endpoint, Settings};
use netloom_transport::sim::Sim;

use super::{entries, rules};
use crate::balance::{Entry, Pool, Rules, read_list};

fn wrong(text: &str) -> String {
    let errors = Entry::read(&text.parse::<Endpoint>().unwrap()).unwrap_err();
    errors[0].to_string()
}

#[test]
fn what_an_endpoint_says_of_itself_as_a_target_is_taken_off_it() {
    let written = "tcp://10.0.0.2:80,weight=3,nodelay=no,backup,max-conns=100";
    let entry = Entry::read(&written.parse::<Endpoint>().unwrap()).unwrap();
    assert_eq!(entry.endpoint().to_string(), "tcp://10.0.0.2:80,nodelay=no");
    let unix = "unix:/run/app.sock,weight=2".parse::<Endpoint>().unwrap();
    let unix = Entry::read(&unix).unwrap();
    assert_eq!(unix.endpoint().to_string(), "unix:/run/app.sock");
}

#[test]
fn what_is_wrong_with_a_target_is_said() {
    let cases = [
        ("tcp://a:80,weight=many", "a whole number"),
        ("tcp://a:80,weight=70000", "a weight is 65535 at most"),
        ("tcp://a:80,max-conns=0", "1 at least"),
        ("tcp://10.0.0.1:80,each", "`each` needs a name"),
        ("tcp://_x._tcp.a:80,srv", "say their ports themselves"),
        ("tcp://_x._tcp.a,srv,each", "one of them"),
    ];
    for (text, said) in cases {
        assert!(wrong(text).contains(said), "{text}: {}", wrong(text));
    }
}

#[test]
fn a_list_tells_the_line() {
    let sim = Sim::new(1);
    let cx = sim.host("here");
    let read = read_list(
        "tcp://a:1\r\n # none\n\n  tcp://b:2,backup # two\n",
        None,
        cx.net(),
    )
    .unwrap();
    assert_eq!(read.len(), 2);
    for (text, line) in [
        ("tcp://a:1\ntcp://b\n", 2),
        ("\n\nwhat\n", 3),
        ("tcp://a:1,wieght=2\n", 1),
        ("tcp://a:1\nudp://a:1\n", 2),
    ] {
        assert_eq!(
            read_list(text, None, cx.net()).unwrap_err().0,
            line,
            "{text}"
        );
    }
}

#[test]
fn rules_that_do_not_fit_together_are_all_told() {
    let rules = rules(&[
        ("check-path", "/x"),
        ("check-send", "x"),
        ("rise", "0"),
        ("queue-timeout", "0s"),
        ("target-conns", "0"),
    ]);
    assert_eq!(rules.check().unwrap_err().len(), 5);
    assert!(super::rules(&[("check", "send")]).check().is_err());
    let settings = Settings::new()
        .with("balance", "round-robbin")
        .with("check-status", "99")
        .with("check", "ping");
    let errors = Rules::read(&settings).unwrap_err();
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert!(told[0].contains("nearest: `round-robin`"), "{told:?}");
    assert_eq!(told.len(), 3);
}

#[test]
fn rules_are_written_as_they_are_read() {
    let written = rules(&[
        ("balance", "least-time"),
        ("check", "http"),
        ("check-status", "200-299,401"),
        ("slow-start", "30s"),
    ]);
    assert_eq!(Rules::read(&written.write()).unwrap(), written);
    assert_eq!(
        Rules::read(&Rules::default().write()).unwrap(),
        Rules::default()
    );
}

#[test]
fn a_check_that_a_target_cannot_have_is_refused_at_once() {
    let sim = Sim::new(1);
    let cx = sim.host("here");
    for (target, check, said) in [
        ("udp://a:53", "http", "this check needs a stream"),
        ("tcp://a:80", "tls", "no layer is called `tls`"),
    ] {
        let made = Pool::of(entries(&[target]), rules(&[("check", check)]), cx.net());
        let errors = made.err().unwrap();
        assert!(errors[0].message.contains(said), "{errors:?}");
    }
}
