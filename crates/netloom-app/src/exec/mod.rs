//! `exec`: a program talks to the client, one for each or one for all.

mod shared;
mod talk;

use std::path::PathBuf;
use std::sync::Arc;

use netloom_base::failure::Fact;
use netloom_base::{
    Code, Endpoint, Failure, Key, Kind, Role, SettingError, Settings, Side, Stack, Stage, Value,
    settings,
};
use netloom_protocol::{Offer, Service, finish};
use netloom_transport::exec::Stderr;
use netloom_transport::pty::Size;
use netloom_transport::{BoxFuture, Close, Conn, Cx, Net};
use tokio::sync::Semaphore;

use self::shared::Shared;
use crate::registry::ServiceKind;

settings! {
    /// Which program talks, and in what surroundings.
    struct ExecSettings {
        /// the program and its arguments, split as a shell splits words; no shell runs
        command: String,
        /// one program for all: it hears every client, and every client hears it
        shared: bool,
        /// a terminal for the program, as in front of a person
        pty: bool,
        /// the size of that terminal, COLUMNSxROWS [default: 80x24]
        size: Option<Size>,
        /// its standard error: tell (a note for each line), join (to the client) or ours
        stderr: Option<Stderr>,
        /// a variable for it besides PATH, HOME, LANG and TERM: NAME=VALUE, or NAME for ours
        env: Vec<String>,
        /// the folder it runs in
        dir: Option<PathBuf>,
        /// so many programs run at once; who comes beyond is turned away
        max_processes: usize = 100,
    }
}

/// What of our environment a program sees. The rest may be secret.
const HANDED_ON: [&str; 4] = ["PATH", "HOME", "LANG", "TERM"];

/// The kind `exec`.
#[derive(Debug, Clone, Copy)]
pub struct Exec;

impl ServiceKind for Exec {
    fn name(&self) -> &'static str {
        "exec"
    }

    fn help(&self) -> &'static str {
        "run a program for every client; its input and output are the connection"
    }

    fn keys(&self) -> &'static [Key] {
        ExecSettings::KEYS
    }

    fn main_key(&self) -> Option<&'static str> {
        Some("command")
    }

    fn example(&self) -> &'static str {
        "command = \"cat -n\""
    }

    fn build(&self, settings: &Settings, net: &dyn Net) -> Result<Offer, Vec<SettingError>> {
        let read = ExecSettings::read(settings)?;
        let wrong = |key: &str, message: String| {
            let span = settings.last(key).and_then(|setting| setting.span.clone());
            vec![SettingError::new(key, span, message)]
        };
        if read.size.is_some() && !read.pty {
            let message = "`size` is of a terminal: it needs `pty`";
            return Err(wrong("size", message.to_owned()));
        }
        if read.stderr.is_some() && read.pty {
            let message = "on a terminal, standard error joins the output: leave `stderr` out";
            return Err(wrong("stderr", message.to_owned()));
        }
        if read.max_processes == 0 {
            let message = "at least one program must be allowed to run".to_owned();
            return Err(wrong("max-processes", message));
        }
        let program = Program::new(&read, net).map_err(|(key, message)| wrong(key, message))?;
        if read.shared {
            return Ok(Offer::Bytes(Arc::new(Shared::new(program))));
        }
        Ok(Offer::Bytes(Arc::new(Each {
            program,
            places: Semaphore::new(read.max_processes.min(Semaphore::MAX_PERMITS)),
            most: read.max_processes,
        })))
    }
}

/// How the program is started.
struct Program {
    stack: Stack,
    command: String,
}

impl Program {
    fn new(read: &ExecSettings, net: &dyn Net) -> Result<Self, (&'static str, String)> {
        let scheme = if read.pty { "pty" } else { "exec" };
        if is_blank(&read.command) {
            return Err((
                "command",
                "a program is needed, such as `cat -n`".to_owned(),
            ));
        }
        let endpoint = Endpoint::from_opaque(scheme, read.command.as_str());
        let mut stack = net
            .stack(&endpoint, Role::Dial)
            .map_err(|failure| ("command", failure.summary()))?;
        let own = options(&mut stack);
        own.push("clean", Value::Bool(true), None);
        own.push("group", Value::Bool(true), None);
        for name in HANDED_ON {
            if let Some(value) = std::env::var(name).ok().filter(|value| !value.is_empty()) {
                own.push("env", format!("{name}={value}").into(), None);
            }
        }
        for variable in &read.env {
            let given = match variable.split_once('=') {
                Some(("", _)) => None,
                Some(_) => Some(variable.clone()),
                None => std::env::var(variable)
                    .ok()
                    .map(|value| format!("{variable}={value}")),
            };
            let given = given.ok_or_else(|| {
                let message = format!("there is no variable `{variable}` here: write NAME=VALUE");
                ("env", message)
            })?;
            own.push("env", given.into(), None);
        }
        if let Some(dir) = &read.dir {
            own.push("dir", dir.display().to_string().into(), None);
        }
        if read.pty {
            if let Some(size) = read.size {
                own.push("size", size.to_string().into(), None);
            }
        } else {
            let stderr = read.stderr.unwrap_or(Stderr::Tell);
            own.push("stderr", stderr.name().into(), None);
        }
        Ok(Program {
            stack,
            command: read.command.clone(),
        })
    }

    /// Starts it, with `more` in its environment.
    async fn start(&self, more: &[(&str, String)], cx: &Cx) -> Result<Conn, Failure> {
        let mut stack = self.stack.clone();
        for (name, value) in more {
            options(&mut stack).push("env", format!("{name}={value}").into(), None);
        }
        let opened = cx.net().dial(&stack, cx).await;
        opened
            .and_then(netloom_transport::Opened::stream)
            .map_err(|failure| failure.at(&self.stack.endpoint))
    }

    fn risk(&self) -> String {
        format!("whoever reaches it runs `{}` as this user", self.command)
    }
}

/// Whether there is no word in a command.
fn is_blank(command: &str) -> bool {
    command.trim().is_empty()
}

/// The options of a stack's transport: a stack has always one.
fn options(stack: &mut Stack) -> &mut Settings {
    let transport = stack.levels.len() - 1;
    &mut stack.levels[transport].settings
}

/// A program for each client.
struct Each {
    program: Program,
    places: Semaphore,
    most: usize,
}

impl Service for Each {
    fn begin(self: Arc<Self>, cx: &Cx) -> Result<(), Failure> {
        cx.net().look(&self.program.stack)
    }

    fn refuses(&self, kind: Kind, _: bool) -> Option<SettingError> {
        no_stream(kind)
    }

    fn risk(&self) -> Option<String> {
        Some(self.program.risk())
    }

    fn serve<'a>(&'a self, mut conn: Conn, cx: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let Ok(_place) = self.places.try_acquire() else {
                conn.close(Close::Abort);
                return Err(full(self.most));
            };
            let facts = conn.facts();
            let named = [("NETLOOM_PEER", facts.peer), ("NETLOOM_LOCAL", facts.local)];
            let named: Vec<_> = named
                .into_iter()
                .filter_map(|(name, end)| Some((name, end?.to_string())))
                .collect();
            let mut program = match self.program.start(&named, cx).await {
                Ok(program) => program,
                Err(failure) => {
                    conn.close(Close::Abort);
                    return Err(failure);
                }
            };
            let ended = talk::hold(&mut conn, &mut program, cx).await?;
            drop(program);
            finish(conn, cx).await?;
            ended.map_err(|failure| failure.at(&self.program.stack.endpoint))
        })
    }
}

/// What is said where a program would get single datagrams.
fn no_stream(kind: Kind) -> Option<SettingError> {
    let message = "a program reads a stream, and datagrams are none";
    (kind == Kind::Datagram).then(|| SettingError::new("on", None, message))
}

fn full(most: usize) -> Failure {
    Failure::new(Stage::Accept, Side::Us, Code::LIMIT_REACHED)
        .message("as many programs run as may")
        .fact(Fact::Limit {
            name: "max-processes",
            allows: most as u64,
        })
}
