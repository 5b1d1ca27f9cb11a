//! From keys to flags, and from flags to settings.

use clap::{Arg, ArgAction, ArgMatches, Command};
use netloom_base::{Key, Settings, Value};

/// Adds a flag for every key.
pub(crate) fn with_keys(command: Command, keys: &[Key], heading: &'static str) -> Command {
    keys.iter().fold(command, |command, key| {
        command.arg(flag(key).help_heading(heading))
    })
}

fn flag(key: &Key) -> Arg {
    let default = (key.default)()
        .filter(|_| !key.hint.is_empty())
        .map(|default| format!(" [default: {default}]"));
    let arg = Arg::new(key.name).long(key.name).help(format!(
        "{}{}",
        key.help,
        default.unwrap_or_default()
    ));
    match (key.hint, key.many) {
        ("", _) => arg.action(ArgAction::SetTrue),
        (hint, true) => arg
            .value_name(hint)
            .action(ArgAction::Append)
            .allow_hyphen_values(true),
        (hint, false) => arg.value_name(hint).allow_hyphen_values(true),
    }
}

/// The settings that were given as flags.
pub(crate) fn settings(matches: &ArgMatches, keys: &[Key]) -> Settings {
    let mut settings = Settings::new();
    for key in keys {
        if key.hint.is_empty() {
            if matches.get_flag(key.name) {
                settings.push(key.name, Value::Bool(true), None);
            }
        } else if let Some(values) = matches.get_many::<String>(key.name) {
            for value in values {
                settings.push(key.name, Value::from(value.as_str()), None);
            }
        }
    }
    settings
}
