//! `completions`: what a shell needs to complete a command line.

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::{Verb, examples};
use crate::contract::Stop;
use crate::view::Face;

pub(super) struct Completions;

impl Verb for Completions {
    fn name(&self) -> &'static str {
        "completions"
    }

    fn command(&self) -> Command {
        Command::new("completions")
            .about("print the completions for a shell")
            .arg(
                Arg::new("shell")
                    .value_name("SHELL")
                    .required(true)
                    .value_parser(value_parser!(Shell))
                    .help("the shell"),
            )
            .after_help(examples(&[
                ("source <(netloom completions bash)", "this bash"),
                (
                    "netloom completions fish > ~/.config/fish/completions/netloom.fish",
                    "every fish",
                ),
            ]))
    }

    fn run(&self, matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
        if let Some(shell) = matches.get_one::<Shell>("shell") {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut super::command(), "netloom", &mut text);
            face.page(String::from_utf8_lossy(&text).trim_end());
        }
        Ok(())
    }
}
