//! `connect`: open endpoints and talk.

use clap::{Arg, ArgAction, ArgMatches, Command};
use netloom_base::{Endpoint, Role};
use netloom_transport::net::complaint;

use super::{Verb, examples};
use crate::client::converse_over;
use crate::connecting::{
    Call, again, recorder, recording, script, terminal, with_reconnect, with_record_flags,
    with_terminal_flags,
};
use crate::contract::{Stop, timeout, with_timeout};
use crate::datagrams::{self, gives_datagrams};
use crate::messages::with_message_flags;
use crate::via;
use crate::view::Face;
use crate::watch::Watch;

pub(super) struct Connect;

/// The most endpoints at once.
const MOST: usize = 64;

impl Verb for Connect {
    fn name(&self) -> &'static str {
        "connect"
    }

    fn command(&self) -> Command {
        let text = |name: &'static str, help: &'static str| {
            Arg::new(name)
                .long(name)
                .value_name("TEXT")
                .allow_hyphen_values(true)
                .help(help)
        };
        let command = Command::new("connect")
            .about("open endpoints and talk: stdin goes there, what comes goes to stdout")
            .arg(
                Arg::new("url")
                    .value_name("URL")
                    .required(true)
                    .action(ArgAction::Append)
                    .help("the endpoint, such as tcp://localhost:7007, unix:/run/x.sock, exec:cat; of several, every line says from whom it came"),
            )
            .arg(text("send", "send this instead of stdin; \\r \\n \\t \\0 \\\\ \\xNN are bytes"))
            .arg(text("expect", "end well once this was received, and fail when the peer ends without it"))
            .after_help(examples(&[
                ("netloom connect tcp://localhost:7007", "talk to a server"),
                ("netloom connect unix:/tmp/netloom-echo.sock < file > copy", "a clean pipe, byte for byte"),
                (r"netloom connect :25 --expect '220 ' --timeout 5s", "wait for a banner"),
                (r"netloom connect :7007 --send 'hi\n'", "send one line and print the answer"),
                ("netloom connect :7007 --framing len32", "talk in messages"),
                ("netloom connect :7007 --reconnect --record talk.jsonl", "stay connected, and keep what was said"),
                ("netloom connect :7007 :7008 -v", "talk to both, and see every byte"),
            ]));
        let command = with_reconnect(with_message_flags(command));
        let command = with_terminal_flags(with_record_flags(command));
        let help = "give up when the whole conversation takes longer";
        with_timeout(via::with_via(command), help)
    }

    fn run(&self, matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
        let urls = matches.get_many::<String>("url").into_iter().flatten();
        let endpoints: Result<Vec<Endpoint>, _> = urls.map(|url| url.parse()).collect();
        let endpoints = endpoints.map_err(|error| complaint(&error))?;
        if endpoints.len() > MOST {
            return Err(Stop::usage(format!(
                "{MOST} endpoints at once are the most"
            )));
        }
        let (again, record) = (again(matches), recording(matches)?);
        let script = script(matches, again.is_some())?;
        via::warn(matches, &endpoints.iter().collect::<Vec<_>>(), face);
        let overdue = matches.get_one::<String>("expect").map_or_else(
            || "the conversation did not end in time".to_owned(),
            |text| format!("`{text}` did not come in time"),
        );
        let (limit, options) = (timeout(matches)?, terminal(matches, face));
        let datagrams = |endpoint: &Endpoint| gives_datagrams(endpoint, Role::Dial);
        if let [endpoint] = endpoints.as_slice()
            && datagrams(endpoint)
        {
            let by = datagrams::Talk {
                script,
                options,
                record,
            };
            return datagrams::connect(endpoint, by, (limit, &overdue), face);
        }
        let (of, fits) = (&endpoints, |stack: &_| via::must_fit(matches, stack));
        let ended = converse_over(via::net(matches), limit, &overdue, |cx| async move {
            let recorder = recorder(record.as_ref(), face, &cx)?;
            let watch = Watch::new(face, recorder, of.len() > 1, &cx);
            let call = Call {
                endpoints: of,
                script,
                again,
                options,
                watch,
                face,
                fits: &fits,
            };
            call.hold(&cx).await
        });
        match endpoints.as_slice() {
            [one] => ended.map_err(|stop| stop.at(one)),
            _ => ended, // each failure names its own
        }
    }
}
