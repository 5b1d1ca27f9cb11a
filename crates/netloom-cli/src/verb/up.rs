//! `up`: every service of a file.

use clap::{Arg, ArgAction, ArgMatches, Command};
use netloom_base::Code;
use netloom_host::{Plan, Prepared, check, load_and_check, os_net};
use netloom_transport::Net;

use super::{Verb, examples};
use crate::contract::{Stop, timeout};
use crate::serving::{
    admin, file_failure, mistakes, serve_checked, sharing, threads, with_running_flags,
};
use crate::view::Face;

pub(super) struct Up;

/// The file this project ships.
const EXAMPLE: &str = include_str!("../../../../netloom.toml");

impl Verb for Up {
    fn name(&self) -> &'static str {
        "up"
    }

    fn command(&self) -> Command {
        let flag = |name: &'static str, help: &'static str| {
            Arg::new(name)
                .long(name)
                .action(ArgAction::SetTrue)
                .help(help)
        };
        let command = Command::new("up")
            .about("start every service of a file, until stopped: Ctrl-C once drains, twice aborts")
            .arg(
                Arg::new("file")
                    .value_name("FILE")
                    .default_value("netloom.toml")
                    .help("the file"),
            )
            .arg(flag(
                "check",
                "read the file, say everything that is wrong with it, and end",
            ))
            .arg(flag("example", "print a file to begin with, and end"))
            .after_help(examples(&[
                ("netloom up", "the services of ./netloom.toml"),
                ("netloom up --check", "is the file right?"),
                (
                    "netloom up --example > netloom.toml",
                    "a file to begin with",
                ),
            ]));
        with_running_flags(command)
    }

    fn run(&self, matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
        if matches.get_flag("example") {
            face.page(EXAMPLE.trim_end());
            return Ok(());
        }
        let file = matches
            .get_one::<String>("file")
            .map_or("netloom.toml", String::as_str);
        let net = os_net();
        let (mut plan, mut prepared) = read(file, &*net)?;
        plan.threads = threads(matches).or(plan.threads);
        plan.runtime = sharing(matches).or(plan.runtime);
        let admin = admin(matches);
        if !admin.is_empty() {
            plan.admin = admin;
            prepared = check(&plan, &*net).map_err(|complaints| mistakes(&complaints))?;
        }
        if matches.get_flag("check") {
            let services = match plan.services.len() {
                1 => "1 service".to_owned(),
                n => format!("{n} services"),
            };
            face.done(&format!("{file}: {services}, nothing wrong"));
            return Ok(());
        }
        let timeout = timeout(matches)?;
        serve_checked(&plan, prepared, net, timeout, matches, &face.with_hints())
    }
}

fn read(file: &str, net: &dyn Net) -> Result<(Plan, Vec<Prepared>), Stop> {
    let text = std::fs::read_to_string(file).map_err(|error| file_failure(file, error))?;
    load_and_check(file, &text, net)
        .map_err(|complaints| Stop::mistakes(Code::PARSE_CONFIG, &complaints))
}
