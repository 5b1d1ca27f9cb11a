//! The stages of a conversation, in the order they come.

use std::fmt;
use std::time::Duration;

use super::code::Code;
use super::fact::Spoken;

macro_rules! stages {
    ($( $(#[doc = $doc:literal])* $stage:ident = $name:literal, other $other:literal: $sentence:literal; )*) => {
        /// A stage in the life of a conversation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Stage {
            $( $(#[doc = $doc])* $stage, )*
        }

        impl Stage {
            /// All of them, in order.
            pub const ALL: &'static [Stage] = &[$(Stage::$stage),*];

            /// The stage's word.
            pub const fn name(self) -> &'static str {
                match self { $(Stage::$stage => $name),* }
            }

            /// The code for what has no code of its own.
            pub const fn other(self) -> Code {
                match self { $(Stage::$stage => Code::new($other, Stage::$stage, $sentence)),* }
            }
        }
    };
}

stages! {
    /// Reading what a person wrote.
    Parse = "parse", other "parse.other": "this cannot be read";
    /// From a name to addresses.
    Resolve = "resolve", other "resolve.other": "the name could not be resolved";
    /// Making a socket.
    Create = "create", other "create.other": "the socket could not be made";
    /// Giving it a local address.
    Bind = "bind", other "bind.other": "the address could not be bound";
    /// Joining a multicast group.
    Join = "join", other "join.other": "the group could not be joined";
    /// Asking the kernel for connections.
    Listen = "listen", other "listen.other": "the kernel refused to listen";
    /// Taking one connection.
    Accept = "accept", other "accept.other": "a connection could not be accepted";
    /// Reaching the peer.
    Connect = "connect", other "connect.other": "the connection failed";
    /// The TLS handshake.
    Tls = "tls", other "tls.other": "the TLS handshake failed";
    /// The protocol's opening words.
    Greet = "greet", other "greet.other": "the protocol's opening failed";
    /// Sending bytes.
    Send = "send", other "send.other": "sending failed";
    /// Receiving bytes.
    Recv = "recv", other "recv.other": "receiving failed";
    /// Nothing moves any more.
    Stuck = "stuck", other "stuck.other": "the conversation stands still";
    /// It moves, but slower than it could.
    Slow = "slow", other "slow.other": "the conversation is slow";
    /// Ending the conversation.
    Close = "close", other "close.other": "the conversation ended badly";
}

impl Stage {
    /// The stages that must have gone well before this one can fail, where no
    /// step tells of them: what is bound was read and made.
    pub(crate) const fn implies(self) -> &'static [Stage] {
        match self {
            Stage::Bind => &[Stage::Parse, Stage::Create],
            Stage::Listen => &[Stage::Parse, Stage::Create, Stage::Bind],
            _ => &[],
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whose side a failure was on. *Us* is the program observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// This program, or who typed its arguments.
    Us,
    /// The program at the other end.
    Peer,
    /// Something between the two.
    Path,
    /// This host's operating system.
    Os,
}

impl Side {
    /// The side's word.
    pub const fn name(self) -> &'static str {
        match self {
            Side::Us => "us",
            Side::Peer => "peer",
            Side::Path => "path",
            Side::Os => "os",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One step a conversation took: what, how it ended, how long it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The stage it belongs to.
    pub stage: Stage,
    /// To what: an address, a layer, a name.
    pub to: String,
    /// The code it failed with, if it did.
    pub failed: Option<Code>,
    /// How long it took.
    pub took: Duration,
}

/// `127.0.0.1:7 in 105 µs`, or what went wrong and after how long.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failed {
            Some(code) => write!(
                f,
                "{}: {} after {}",
                self.to,
                code.sentence(),
                Spoken(self.took)
            ),
            None => write!(f, "{} in {}", self.to, Spoken(self.took)),
        }
    }
}
