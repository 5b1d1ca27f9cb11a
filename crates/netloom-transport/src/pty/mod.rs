//! A program on a terminal of its own: `pty:bash -i`.
//!
//! As `exec:`, but what it reads and writes is a new pseudo-terminal, so it
//! behaves as in front of a person: it prompts, edits lines, heeds `^C`, and
//! what it says on standard error comes too. Shutting the stream types the
//! terminal's end-of-file character. Dropping it hangs up: the program gets
//! SIGHUP, and one that asked to live on without a terminal may.

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the system calls that no safe crate wraps")]
mod sys;
#[cfg(target_os = "linux")]
mod terminal;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

use std::fmt;
use std::path::PathBuf;

use netloom_base::settings::FromValue;
use netloom_base::{Address, Card, Failure, Kind, Opens, Role, Scheme, Stack, Value, settings};

use crate::BoxFuture;
use crate::cx::Cx;
#[cfg(target_os = "linux")]
use crate::exec::{self, spawn};
use crate::net::{Opened, Transport, mistakes};

/// A terminal that no program has, for tests.
#[cfg(all(test, target_os = "linux"))]
pub(crate) fn pair() -> std::io::Result<(std::os::fd::OwnedFd, std::os::fd::OwnedFd)> {
    sys::open()
}

/// The transport behind `pty:`.
#[derive(Debug, Clone, Copy)]
pub struct Pty;

settings! {
    /// Options of a program on a terminal.
    pub struct DialOptions {
        /// the size of the terminal, COLUMNSxROWS
        size: Size = Size { columns: 80, rows: 24 },
        /// pass every byte as it is: no echo, no line editing, no signals from keys (termios(3))
        raw: bool,
        /// the folder the program runs in
        dir: Option<PathBuf>,
        /// a variable of the program's environment, KEY=VALUE
        env: Vec<String>,
        /// give it no variable of ours, only those of `env`
        clean: bool,
        /// end it with everything it started, in whatever way it clings to life
        group: bool,
    }
}

#[cfg(target_os = "linux")]
impl DialOptions {
    /// Those that any program has.
    fn of_program(&self) -> exec::DialOptions {
        exec::DialOptions {
            dir: self.dir.clone(),
            env: self.env.clone(),
            clean: self.clean,
            group: self.group,
            stderr: exec::Stderr::Join,
        }
    }
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// How many stand in a row.
    pub columns: u16,
    /// How many rows there are.
    pub rows: u16,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.columns, self.rows)
    }
}

impl FromValue for Size {
    const HINT: &'static str = "COLUMNSxROWS";

    fn from_value(value: &Value) -> Result<Self, String> {
        let text = value.to_string();
        let read = text.split_once('x').and_then(|(columns, rows)| {
            Some(Size {
                columns: columns.parse().ok()?,
                rows: rows.parse().ok()?,
            })
        });
        read.filter(|size| size.columns > 0 && size.rows > 0)
            .ok_or_else(|| format!("a size such as 80x24 is expected, not `{text}`"))
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::Text(self.to_string()))
    }
}

static CARD: Card = Card {
    name: "pty",
    summary: "a program on a terminal of its own: pty:bash -i",
    schemes: &[Scheme {
        name: "pty",
        over: &[],
        default_port: None,
    }],
    address: Address::Opaque,
    owns_path: false,
    owns_query: false,
    needs: None,
    gives: Kind::Stream,
    encrypts: false,
    rfcs: &["pty(7)", "termios(3)"],
    dial_keys: DialOptions::KEYS,
    bind_keys: &[],
    codes: &[],
    opens: Opens::Either,
};

fn options(stack: &Stack) -> Result<DialOptions, Failure> {
    DialOptions::read(&stack.transport().settings).map_err(|errors| mistakes(stack, &errors))
}

impl Transport for Pty {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn check(&self, stack: &Stack) -> Result<(), Failure> {
        if stack.role == Role::Dial {
            let options = options(stack)?;
            #[cfg(target_os = "linux")]
            spawn::prepare(stack, &options.of_program())?;
            #[cfg(not(target_os = "linux"))]
            drop(options);
        }
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn look(&self, stack: &Stack) -> Result<(), Failure> {
        spawn::look(stack, &options(stack)?.of_program())
    }

    #[cfg(target_os = "linux")]
    fn dial<'a>(&'a self, stack: &'a Stack, cx: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move { terminal::open(stack, cx) })
    }

    #[cfg(not(target_os = "linux"))]
    fn dial<'a>(&'a self, _: &'a Stack, _: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        use netloom_base::{Side, Stage};

        Box::pin(async {
            let failure = Failure::new(Stage::Create, Side::Os, Stage::Create.other());
            Err(failure.message("terminals are made on Linux only, so far"))
        })
    }
}
