//! What went wrong, as data: made cheaply below, explained above.
//!
//! A [`Failure`] is one pointer wide, so that `Result<(), Failure>` is too. It
//! holds the stage that failed, whose side it was on, a stable code, and the
//! facts that were at hand while the socket still lived. Causes, checks and
//! fixes are not here: they are computed once, above, into a `Diagnosis`.

mod certificate;
mod code;
mod errno;
pub(crate) mod fact;
mod flow;
mod frame;
mod group;
mod icmp;
mod proxy;
mod stage;

use std::error::Error;
use std::fmt;
use std::io;

pub use certificate::Certificate;
pub use code::{CODES, Code, catalogue};
pub use errno::{Errno, classify};
pub use fact::{Fact, Spoken};
pub use flow::{Flow, OtherEnd, OtherProgram, Waiting};
pub use frame::{BadFrame, FrameTrouble};
pub use group::SilentGroup;
pub use icmp::Icmp;
pub use proxy::{ProxyAnswer, ProxyRefusal};
pub use stage::{Side, Stage, Step};

/// One thing that went wrong.
pub struct Failure(Box<Inner>);

struct Inner {
    stage: Stage,
    side: Side,
    code: Code,
    message: Option<String>,
    endpoint: Option<Box<str>>,
    facts: Vec<Fact>,
    trail: Vec<Step>,
    retry: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure of `stage`, with what is known so far.
    pub fn new(stage: Stage, side: Side, code: Code) -> Self {
        Failure(Box::new(Inner {
            stage,
            side,
            code,
            message: None,
            endpoint: None,
            facts: Vec::new(),
            trail: Vec::new(),
            retry: false,
            source: None,
        }))
    }

    /// What the kernel answered during `stage`: the code is chosen from the
    /// errno, which is kept as a fact. A failure that travelled inside an
    /// `io::Error` (see the conversion back) comes out as it went in.
    pub fn from_io(stage: Stage, error: io::Error) -> Self {
        let error = match error.downcast::<Failure>() {
            Ok(failure) => return failure,
            Err(error) => error,
        };
        let (side, code) = classify(stage, &error);
        let failure = Failure::new(stage, side, code);
        match error.raw_os_error() {
            Some(errno) => failure.fact(Fact::Errno(Errno(errno))),
            None => failure.source(error),
        }
    }

    /// Says what could not be done, where the code's own sentence would say less.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.0.message = Some(message.into());
        self
    }

    /// Names the endpoint, unless a floor below already did.
    pub fn at(mut self, endpoint: impl fmt::Display) -> Self {
        if self.0.endpoint.is_none() {
            self.0.endpoint = Some(endpoint.to_string().into());
        }
        self
    }

    /// Adds something known.
    pub fn fact(mut self, fact: Fact) -> Self {
        self.0.facts.push(fact);
        self
    }

    /// Puts the steps that led here before those it has.
    pub fn after(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        let own = std::mem::take(&mut self.0.trail);
        self.0.trail.extend(steps);
        self.0.trail.extend(own);
        self
    }

    /// Says that trying again may help.
    pub fn retry(mut self) -> Self {
        self.0.retry = true;
        self
    }

    /// Keeps the error it came from.
    pub fn source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The stage that failed.
    pub fn stage(&self) -> Stage {
        self.0.stage
    }

    /// Whose side it was on.
    pub fn side(&self) -> Side {
        self.0.side
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The endpoint, as it was written.
    pub fn endpoint(&self) -> Option<&str> {
        self.0.endpoint.as_deref()
    }

    /// What is known, in the order it was learned.
    pub fn facts(&self) -> &[Fact] {
        &self.0.facts
    }

    /// The steps before it, oldest first.
    pub fn trail(&self) -> &[Step] {
        &self.0.trail
    }

    /// Whether trying again may help.
    pub fn may_retry(&self) -> bool {
        self.0.retry
    }

    /// The kernel's answer, when there was one.
    pub fn errno(&self) -> Option<Errno> {
        self.0.facts.iter().find_map(|fact| {
            if let Fact::Errno(errno) = fact {
                Some(*errno)
            } else {
                None
            }
        })
    }

    /// What could not be done: one sentence without the code.
    pub fn summary(&self) -> String {
        let what = self
            .0
            .message
            .clone()
            .unwrap_or_else(|| self.0.code.sentence().to_owned());
        match &self.0.endpoint {
            Some(endpoint) if !what.contains(&**endpoint) => format!("{endpoint}: {what}"),
            _ => what,
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.summary())?;
        if let Some(errno) = self.errno() {
            write!(f, " ({errno})")?;
        }
        Ok(())
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}

/// So that a failure can pass through code that knows only `io::Error`;
/// [`Failure::from_io`] takes it out again.
impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        let kind = match failure.code() {
            Code::LIMIT_IDLE
            | Code::RECV_TIMEOUT
            | Code::GREET_TIMEOUT
            | Code::STUCK_BOTH_WRITING
            | Code::STUCK_READER_STOPPED => io::ErrorKind::TimedOut,
            Code::RECV_RESET => io::ErrorKind::ConnectionReset,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_stays_one_pointer_wide() {
        assert_eq!(size_of::<Result<(), Failure>>(), 8);
    }

    #[test]
    fn a_failure_survives_code_that_knows_only_io_errors() {
        let failure = Failure::new(Stage::Recv, Side::Us, Code::LIMIT_IDLE).at("tcp://h:1");
        let error = io::Error::from(failure);
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let back = Failure::from_io(Stage::Send, error);
        assert_eq!(
            (back.stage(), back.code(), back.endpoint()),
            (Stage::Recv, Code::LIMIT_IDLE, Some("tcp://h:1"))
        );
    }

    #[test]
    fn the_first_to_name_the_endpoint_wins() {
        let failure = Failure::new(Stage::Connect, Side::Peer, Code::CONNECT_REFUSED)
            .at("a")
            .at("b");
        assert_eq!(failure.endpoint(), Some("a"));
    }

    #[cfg(unix)]
    #[test]
    fn the_errno_is_kept_and_named() {
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        let failure = Failure::from_io(Stage::Connect, refused).at("tcp://127.0.0.1:1");
        assert_eq!(failure.code(), Code::CONNECT_REFUSED);
        assert_eq!(
            failure.to_string(),
            "connect.refused.no-listener: tcp://127.0.0.1:1: nothing listens on that port (ECONNREFUSED)"
        );
    }
}
