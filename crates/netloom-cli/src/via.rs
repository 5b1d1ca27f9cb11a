//! `--via`, and the proxies of the environment, for verbs that dial.

use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};
use netloom_base::endpoint::Endpoint;
use netloom_base::{Stack, Value};
use netloom_host::{Ways, os_net_by};
use netloom_transport::Net;
use netloom_transport::via::Environment;
use netloom_transport::way::has_ways;

use crate::contract::Stop;
use crate::view::Face;

const WARNING: &str = "warning: a password in an endpoint can be seen by other users of this host";

/// Adds `--via`.
pub(crate) fn with_via(command: Command) -> Command {
    command.arg(
        Arg::new("via")
            .long("via")
            .value_name("URL|NAME")
            .action(ArgAction::Append)
            .help("dial through this proxy; given again, through that one next; direct is none"),
    )
}

/// The network, reached as the flag and the environment say.
pub(crate) fn net(matches: &ArgMatches) -> Arc<dyn Net> {
    os_net_by(Ways {
        given: given(matches),
        environment: Environment::read(|name| std::env::var(name).ok()),
        ..Ways::default()
    })
}

/// Complains when `--via` was given for what no proxy carries.
pub(crate) fn must_fit(matches: &ArgMatches, stack: &Stack) -> Result<(), Stop> {
    let given = given(matches);
    if given.is_empty() || has_ways(stack) {
        return Ok(());
    }
    let name = stack.transport().card.name;
    Err(Stop::usage(format!(
        "--via has no meaning here: `{name}` goes through no proxy"
    )))
}

/// Warns, once, of passwords that stand on the command line.
pub(crate) fn warn(matches: &ArgMatches, endpoints: &[&Endpoint], face: &Face) {
    let in_option = |endpoint: &Endpoint| {
        let via = endpoint.options().all("via");
        via.map(|setting| &setting.value)
            .any(|value| matches!(value, Value::Hidden(_)))
    };
    let of_proxy = |text: &String| {
        let proxy = text.parse::<Endpoint>();
        proxy.is_ok_and(|proxy| proxy.password().is_some())
    };
    let told = endpoints
        .iter()
        .any(|endpoint| endpoint.password().is_some() || in_option(endpoint));
    if told || given(matches).iter().any(of_proxy) {
        face.say(WARNING);
    }
}

fn given(matches: &ArgMatches) -> Vec<String> {
    let given = matches.get_many::<String>("via").unwrap_or_default();
    given.cloned().collect()
}
