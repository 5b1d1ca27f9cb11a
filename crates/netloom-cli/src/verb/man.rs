//! `man`: manual pages.

use clap::{Arg, ArgMatches, Command};
use netloom_base::{Failure, Stage};

use super::{Verb, examples};
use crate::contract::Stop;
use crate::view::Face;

pub(super) struct Man;

impl Verb for Man {
    fn name(&self) -> &'static str {
        "man"
    }

    fn command(&self) -> Command {
        Command::new("man")
            .about("print the manual page of netloom or of a verb, for man(1)")
            .arg(
                Arg::new("verb")
                    .value_name("VERB")
                    .help("the verb; without one, netloom itself"),
            )
            .after_help(examples(&[
                ("netloom man connect | man -l -", "read it"),
                (
                    "netloom man > /usr/local/share/man/man1/netloom.1",
                    "install it",
                ),
            ]))
    }

    fn run(&self, matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
        let top = super::command();
        let (command, title) = match matches.get_one::<String>("verb") {
            None => (top, "netloom".to_owned()),
            Some(name) => match top.find_subcommand(name) {
                Some(verb) => (verb.clone(), format!("netloom-{name}")),
                None => return Err(Stop::usage(format!("no such verb: `{name}`"))),
            },
        };
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(command)
            .title(title)
            .render(&mut page);
        rendered.map_err(|error| Failure::from_io(Stage::Send, error))?;
        face.page(String::from_utf8_lossy(&page).trim_end());
        Ok(())
    }
}
