//! A program's standard input and output as one stream: `exec:grep -c foo`.
//!
//! The command is split into words as a shell splits them, and no shell runs:
//! nothing in it is expanded. What the program says on standard error goes
//! where ours goes, unless `stderr` says otherwise.

mod complaints;
pub(crate) mod ending;
mod process;
pub(crate) mod running;
pub(crate) mod spawn;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::path::PathBuf;

use netloom_base::settings::FromValue;
use netloom_base::{Address, Card, Failure, Kind, Opens, Role, Scheme, Stack, Value, settings};

use crate::BoxFuture;
use crate::cx::Cx;
use crate::net::{Opened, Transport, mistakes};

/// The transport behind `exec:`.
#[derive(Debug, Clone, Copy)]
pub struct Exec;

settings! {
    /// Options of a dialled program.
    pub struct DialOptions {
        /// the folder the program runs in
        dir: Option<PathBuf>,
        /// a variable of the program's environment, KEY=VALUE
        env: Vec<String>,
        /// give it no variable of ours, only those of `env`
        clean: bool,
        /// end it with everything it started, in a process group of its own (setpgid(2))
        group: bool,
        /// what becomes of its standard error: ours, join or tell
        stderr: Stderr = Stderr::Ours,
    }
}

/// What becomes of a program's standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stderr {
    /// It goes where ours goes.
    Ours,
    /// It joins the program's output.
    Join,
    /// Each line of it is told as a remark.
    Tell,
}

impl Stderr {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Stderr::Ours => "ours",
            Stderr::Join => "join",
            Stderr::Tell => "tell",
        }
    }
}

impl FromValue for Stderr {
    const HINT: &'static str = "WHERE";

    fn from_value(value: &Value) -> Result<Self, String> {
        match value.to_string().as_str() {
            "ours" => Ok(Stderr::Ours),
            "join" => Ok(Stderr::Join),
            "tell" => Ok(Stderr::Tell),
            other => Err(format!(
                "`ours`, `join` or `tell` is expected, not `{other}`"
            )),
        }
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::from(self.name()))
    }
}

static CARD: Card = Card {
    name: "exec",
    summary: "a program's standard input and output as one stream, without a shell: exec:grep foo",
    schemes: &[Scheme {
        name: "exec",
        over: &[],
        default_port: None,
    }],
    address: Address::Opaque,
    owns_path: false,
    owns_query: false,
    needs: None,
    gives: Kind::Stream,
    encrypts: false,
    rfcs: &["execve(2)", "wait(2)"],
    dial_keys: DialOptions::KEYS,
    bind_keys: &[],
    codes: &[],
    opens: Opens::Either,
};

impl Transport for Exec {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn check(&self, stack: &Stack) -> Result<(), Failure> {
        if stack.role == Role::Dial {
            spawn::prepare(stack, &options(stack)?)?;
        }
        Ok(())
    }

    fn look(&self, stack: &Stack) -> Result<(), Failure> {
        spawn::look(stack, &options(stack)?)
    }

    fn dial<'a>(&'a self, stack: &'a Stack, cx: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move { spawn::spawn(stack, &options(stack)?, cx) })
    }
}

fn options(stack: &Stack) -> Result<DialOptions, Failure> {
    DialOptions::read(&stack.transport().settings).map_err(|errors| mistakes(stack, &errors))
}
