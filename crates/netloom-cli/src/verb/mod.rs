//! The verbs. Each reads its own flags and hands over to what it shares with others.

mod chat;
mod completions;
mod connect;
mod doctor;
mod explain;
mod forward;
mod listen;
mod man;
mod replay;
mod serve;
mod up;
mod wait;

use clap::{ArgMatches, Command};

use crate::contract::{Stop, with_common_flags};
use crate::view::Face;

/// One verb.
pub(crate) trait Verb: Sync {
    /// The word.
    fn name(&self) -> &'static str;

    /// Its flags and help.
    fn command(&self) -> Command;

    /// Does it.
    fn run(&self, matches: &ArgMatches, face: &Face) -> Result<(), Stop>;
}

static VERBS: &[&dyn Verb] = &[
    &connect::Connect,
    &listen::Listen,
    &chat::Chat,
    &serve::Serve,
    &forward::Forward,
    &wait::Wait,
    &replay::ReplayVerb,
    &explain::Explain,
    &doctor::Doctor,
    &up::Up,
    &completions::Completions,
    &man::Man,
];

/// The verb of that name.
pub(crate) fn find(name: &str) -> Option<&'static dyn Verb> {
    find_listed(name).copied()
}

fn find_listed(name: &str) -> Option<&'static &'static dyn Verb> {
    VERBS.iter().find(|verb| verb.name() == name)
}

/// The whole command line: help, completions and man pages are made of it.
pub fn command() -> Command {
    VERBS.iter().fold(top(), with_verb)
}

/// The command line of one verb, when the first word typed names one: the
/// flags of all the others take longer to make than a server takes to start.
pub(crate) fn command_for(typed: Option<&str>) -> Command {
    match typed.and_then(find_listed) {
        Some(verb) => with_verb(top(), verb),
        None => command(),
    }
}

fn with_verb(top: Command, verb: &&'static dyn Verb) -> Command {
    top.subcommand(with_common_flags(verb.command().name(verb.name())))
}

fn top() -> Command {
    Command::new("netloom")
        .version(env!("CARGO_PKG_VERSION"))
        .about("the network workbench: open, serve, carry, move and explain any network conversation")
        .after_help(
            "Examples:\n  netloom up                                   start the services of ./netloom.toml\n  \
             netloom listen tcp://:7007 --echo            an echo server on loopback\n  \
             netloom connect tcp://localhost:7007         talk to it",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
}

/// Examples, as they stand under every verb's help.
fn examples(lines: &[(&str, &str)]) -> String {
    let width = lines
        .iter()
        .map(|(command, _)| command.len())
        .max()
        .unwrap_or(0);
    let rows: Vec<String> = lines
        .iter()
        .map(|(command, what)| format!("  {command:<width$}   {what}"))
        .collect();
    format!("Examples:\n{}", rows.join("\n"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::command().debug_assert();
    }
}
