//! A program's standard input and output as one stream: `exec:grep -c foo`.
//!
//! The command is split into words as a shell splits them, and no shell runs:
//! nothing in it is expanded. What the program says on standard error goes
//! where ours goes.

pub(crate) mod ending;
mod process;
pub(crate) mod spawn;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::path::PathBuf;

use netloom_base::{Address, Card, Failure, Kind, Opens, Scheme, Stack, settings};

use crate::BoxFuture;
use crate::cx::Cx;
use crate::net::{Opened, Transport};

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

    fn dial<'a>(&'a self, stack: &'a Stack, _: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move { spawn::spawn(stack) })
    }
}
