//! `forward FROM TO…`: carry what comes to one place on to others.

use clap::{Arg, ArgAction, ArgMatches, Command};
use netloom_app::kind;
use netloom_base::{Key, Value};
use netloom_host::{Plan, ServicePlan, Written};

use super::{Verb, examples};
use crate::contract::Stop;
use crate::flags::{settings, with_keys};
use crate::messages::carried;
use crate::serving::{limits, serve, threads, with_serving_flags};
use crate::view::Face;

pub(super) struct Forward;

impl Verb for Forward {
    fn name(&self) -> &'static str {
        "forward"
    }

    fn command(&self) -> Command {
        let command = Command::new("forward")
            .about("carry every connection to a target and back")
            .arg(
                Arg::new("from")
                    .value_name("FROM")
                    .required(true)
                    .help("where clients come, such as tcp://:8080 (loopback), tcp://*:8080, unix:/run/x.sock"),
            )
            .arg(
                Arg::new("to")
                    .value_name("TO")
                    .required_unless_present("route")
                    .action(ArgAction::Append)
                    .num_args(1..)
                    .help("where it goes, such as tcp://10.0.0.2:80; several are taken in turn"),
            )
            .after_help(examples(&[
                ("netloom forward tcp://:8080 tcp://10.0.0.2:80", "a port of this host leads to another host"),
                ("netloom forward tcp://*:80 tcp://10.0.0.2:80 tcp://10.0.0.3:80", "two targets in turn"),
                ("netloom forward tcp://*:80 proxy+tcp://10.0.0.2:80", "the target is told who the client is (PROXY protocol)"),
                ("netloom forward tcp://*:443 --route a.example=tcp://10.0.0.2:443 --route default=tcp://10.0.0.3:443", "by the name in TLS, which stays as it is"),
            ]));
        with_serving_flags(with_keys(command, &other_keys(), "Options of the kind"))
    }

    fn run(&self, matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
        let mut chosen = netloom_base::Settings::new();
        let to = matches.get_many::<String>("to").into_iter().flatten();
        let to: Vec<Value> = to.map(|url| Value::from(url.as_str())).collect();
        if !to.is_empty() {
            chosen.push("to", Value::List(to), None);
        }
        chosen.extend(settings(matches, &other_keys()).iter().cloned());
        chosen.extend(carried(matches).iter().cloned());
        let from = matches.get_one::<String>("from").into_iter();
        let service = ServicePlan {
            name: "forward".to_owned(),
            kind: "forward".into(),
            on: from.map(|url| Written::from(url.as_str())).collect(),
            settings: chosen,
            limits: limits(matches),
            kind_is_flag: false,
        };
        let plan = Plan {
            threads: threads(matches),
            services: vec![service],
            ..Plan::default()
        };
        serve(&plan, matches, face)
    }
}

/// The settings of the kind but its targets, which need no flag here.
fn other_keys() -> Vec<Key> {
    let keys = kind("forward").map_or(&[][..], |kind| kind.keys());
    keys.iter()
        .filter(|key| key.name != "to")
        .copied()
        .collect()
}
