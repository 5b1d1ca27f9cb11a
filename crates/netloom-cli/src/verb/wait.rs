//! `wait`: until endpoints can be opened.

use clap::{Arg, ArgAction, ArgMatches, Command};
use netloom_base::{Code, Endpoint, Role};
use netloom_explain::mistakes;

use super::{Verb, examples};
use crate::client::converse_over;
use crate::contract::{Stop, timeout, with_timeout};
use crate::datagrams::is_group;
use crate::via;
use crate::view::Face;
use crate::waiting::{Place, wait_for};

pub(super) struct Wait;

impl Verb for Wait {
    fn name(&self) -> &'static str {
        "wait"
    }

    fn command(&self) -> Command {
        let command = Command::new("wait")
            .about("wait until endpoints can be opened, and say why when they cannot")
            .arg(
                Arg::new("url")
                    .value_name("URL")
                    .required(true)
                    .action(ArgAction::Append)
                    .num_args(1..)
                    .help("the endpoints; all of them must open"),
            )
            .after_help(examples(&[
                (
                    "netloom wait tcp://localhost:5432 --timeout 30s",
                    "until the database listens",
                ),
                (
                    "netloom wait :8080 unix:/run/app.sock && ./tests",
                    "until both are there",
                ),
                (
                    "netloom wait tls://example.org:443 --timeout 1m -q",
                    "until the handshake succeeds, silently",
                ),
                (
                    "netloom wait udp://239.1.2.3:5000 --timeout 10s",
                    "until somebody speaks to the group",
                ),
            ]));
        with_timeout(
            via::with_via(command),
            "give up after so long [default: never]",
        )
    }

    fn run(&self, matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
        let urls = matches.get_many::<String>("url").unwrap_or_default();
        let (mut endpoints, mut wrong) = (Vec::new(), Vec::new());
        for url in urls {
            match url.parse::<Endpoint>() {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(error) => wrong.push(error.complaint().clone()),
            }
        }
        if !wrong.is_empty() {
            return Err(Stop::Diagnosed(mistakes(Code::PARSE_ENDPOINT, &wrong)));
        }
        via::warn(matches, &endpoints.iter().collect::<Vec<_>>(), face);
        let within = timeout(matches)?;
        converse_over(via::net(matches), None, "", |cx| async move {
            let mut places = Vec::new();
            for endpoint in endpoints {
                let group = is_group(&endpoint);
                let role = if group { Role::Bind } else { Role::Dial };
                let stack = cx.net().stack(&endpoint, role)?;
                via::must_fit(matches, &stack)?;
                places.push(Place::new(endpoint.to_string(), stack));
            }
            wait_for(places, within, face, &cx).await
        })
    }
}
