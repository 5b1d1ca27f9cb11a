//! `forward FROM TO…`: carry what comes to one place on to others.

use clap::{Arg, ArgAction, ArgMatches, Command};
use netloom_app::kind;
use netloom_base::{Key, Settings, Value};
use netloom_host::{ServicePlan, Written};

use super::{Verb, examples};
use crate::as_bytes::carried_as_bytes;
use crate::contract::Stop;
use crate::flags::{settings, with_keys};
use crate::serving::{plan, serve, with_serving_flags};
use crate::view::Face;

pub(super) struct Forward;

impl Verb for Forward {
    fn name(&self) -> &'static str {
        "forward"
    }

    fn command(&self) -> Command {
        let from = "where clients come, such as tcp://:8080 (loopback), tcp://*:8000-8010, unix:/run/x.sock";
        let to = "where they are carried, such as tcp://10.0.0.2:80, tls://db:5432, unix:/run/y.sock; several are taken in turn";
        let command = Command::new("forward")
            .about("carry every connection to a target and back")
            .arg(
                Arg::new("from")
                    .value_name("FROM")
                    .required(true)
                    .help(from),
            )
            .arg(
                Arg::new("to")
                    .value_name("TO")
                    .required_unless_present_any(["to-file", "route"])
                    .action(ArgAction::Append)
                    .num_args(1..)
                    .help(to),
            )
            .after_help(examples(&[
                (
                    "netloom forward tcp://:8080 tcp://10.0.0.2:80",
                    "a port leads elsewhere",
                ),
                (
                    "netloom forward tcp://*:80 tcp://10.0.0.2:80 tcp://10.0.0.3:80",
                    "two targets in turn",
                ),
                (
                    "netloom forward tcp://*:8000-8010 tcp://10.0.0.2:9000-9010",
                    "ports paired by place",
                ),
                (
                    "netloom forward tcp://:5432 tls://db.example:5432",
                    "TLS begins here",
                ),
                (
                    "netloom forward tcp://*:443 --route a.example=tcp://10.0.0.2:443",
                    "by the name in TLS",
                ),
                (
                    "netloom forward tcp://*:80 proxy+tcp://10.0.0.2:80",
                    "told who the client is",
                ),
                (
                    "netloom forward unix:dns.sock udp://9.9.9.9:53 --framing len16",
                    "a stream joined to datagrams",
                ),
            ]));
        with_serving_flags(with_keys(command, &other_keys(), "Options of the kind"))
    }

    fn run(&self, matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
        let words = |name| matches.get_many::<String>(name).into_iter().flatten();
        let from: Vec<&str> = words("from").map(String::as_str).collect();
        let to: Vec<&str> = words("to").map(String::as_str).collect();
        carried_as_bytes(&from, &to)?;
        let mut chosen = Settings::new();
        if !to.is_empty() {
            let list = to.iter().map(|url| Value::from(*url)).collect();
            chosen.push("to", Value::List(list), None);
        }
        chosen.extend(settings(matches, &other_keys()).iter().cloned());
        let service = ServicePlan {
            name: "forward".to_owned(),
            kind: "forward".into(),
            on: from.iter().map(|url| Written::from(*url)).collect(),
            settings: chosen,
            ..ServicePlan::default()
        };
        serve(&plan(service, matches), matches, face)
    }
}

/// The settings of the kind but its targets, which need no flag here.
fn other_keys() -> Vec<Key> {
    let keys = kind("forward").map_or(&[][..], |kind| kind.keys());
    let other = keys.iter().filter(|key| key.name != "to");
    other.copied().collect()
}
