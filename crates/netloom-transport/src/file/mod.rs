//! A file as a stream: `file:notes.txt` is read to its end, `file:log,append`
//! takes what is written.
//!
//! Without options nothing is ever changed. A file is made only where `create`
//! says so, and emptied only where `truncate` and `force` both do. Symbolic
//! links are followed, except by `create` alone, which makes a new file or
//! none. A pipe with a name is waited for without a thread.

#[cfg(unix)]
mod open;
#[cfg(unix)]
mod sink;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use netloom_base::{Address, Card, Failure, Kind, Opens, Role, Scheme, Stack, settings};

use crate::BoxFuture;
use crate::cx::Cx;
use crate::net::{Opened, Transport, mistakes};
use crate::unix::Mode;

/// The transport behind `file:`.
#[derive(Debug, Clone, Copy)]
pub struct File;

settings! {
    /// Options of a file.
    pub struct DialOptions {
        /// write at its end
        append: bool,
        /// make it; alone, it must not be there yet
        create: bool,
        /// write from its beginning, and lose what it holds; needs force
        truncate: bool,
        /// lose what truncate empties
        force: bool,
        /// who may use a file that is made: octal permissions such as 600 (chmod(1))
        mode: Option<Mode>,
    }
}

static CARD: Card = Card {
    name: "file",
    summary: "a file, read to its end or written: file:notes.txt, file:log,append",
    schemes: &[Scheme {
        name: "file",
        over: &[],
        default_port: None,
    }],
    address: Address::Opaque,
    owns_path: false,
    owns_query: false,
    needs: None,
    gives: Kind::Stream,
    encrypts: false,
    rfcs: &["open(2)", "fifo(7)"],
    dial_keys: DialOptions::KEYS,
    bind_keys: &[],
    codes: &[],
    opens: Opens::Either,
};

impl Transport for File {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn check(&self, stack: &Stack) -> Result<(), Failure> {
        if stack.role == Role::Dial {
            options(stack)?;
        }
        Ok(())
    }

    #[cfg(unix)]
    fn dial<'a>(&'a self, stack: &'a Stack, cx: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(open::dial(stack, cx))
    }

    #[cfg(not(unix))]
    fn dial<'a>(&'a self, _: &'a Stack, _: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        use netloom_base::{Side, Stage};

        Box::pin(async {
            let failure = Failure::new(Stage::Create, Side::Os, Stage::Create.other());
            Err(failure.message("files are not opened on this system yet"))
        })
    }
}

/// The options, as long as they agree with each other.
fn options(stack: &Stack) -> Result<DialOptions, Failure> {
    let settings = &stack.transport().settings;
    let options = DialOptions::read(settings).map_err(|errors| mistakes(stack, &errors))?;
    let wrong = |key: &str, message: &str| {
        let span = settings.last(key).and_then(|setting| setting.span.clone());
        let error = netloom_base::SettingError::new(key, span, message);
        Err(mistakes(stack, &[error]))
    };
    if options.truncate && !options.force {
        return wrong(
            "truncate",
            "`truncate` loses what the file holds: write `truncate,force`, or `append`",
        );
    }
    if options.truncate && options.append {
        return wrong(
            "append",
            "`append` keeps what `truncate` loses: write one of them",
        );
    }
    if options.mode.is_some() && !options.create {
        return wrong(
            "mode",
            "`mode` is of a file that is made: it needs `create`",
        );
    }
    Ok(options)
}
