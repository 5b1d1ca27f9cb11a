//! The codes of the life cycle. A room brings its own with its card.

use std::fmt;

use super::stage::Stage;
use crate::card::CodeCard;

/// A stable name for one way to fail. Once released, it is never renamed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code {
    name: &'static str,
    stage: Stage,
    sentence: &'static str,
}

impl Code {
    /// A code, its usual stage, and its one sentence (lower case, no full stop).
    pub const fn new(name: &'static str, stage: Stage, sentence: &'static str) -> Self {
        Code {
            name,
            stage,
            sentence,
        }
    }

    /// The code as tests, scripts and people write it.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The stage that usually reports it.
    pub const fn stage(self) -> Stage {
        self.stage
    }

    /// What it means, in one sentence.
    pub const fn sentence(self) -> &'static str {
        self.sentence
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Every code of the life cycle: those with a name of their own, and for each
/// stage the one for what has none.
pub fn catalogue() -> impl Iterator<Item = CodeCard> + Clone {
    let others = Stage::ALL.iter().map(|stage| {
        let other = stage.other();
        CodeCard {
            code: other.name,
            stage: *stage,
            sentence: other.sentence,
        }
    });
    CODES.iter().copied().chain(others)
}

/// Makes the codes of a room, each said once: a constant for each, and `CODES`,
/// the same as rows of the catalogue.
///
/// ```
/// netloom_base::codes! {
///     SNAPPED = "rope.snapped", Connect, "the rope tore";
///     TOO_SHORT = "rope.too-short", Connect, "the rope does not reach";
/// }
///
/// assert_eq!(SNAPPED.stage(), netloom_base::Stage::Connect);
/// assert_eq!(CODES[1].code, TOO_SHORT.name());
/// ```
#[macro_export]
macro_rules! codes {
    // Of the life cycle, whose codes are constants of `Code` itself.
    (
        $(#[$meta:meta])*
        impl $owner:ident;
        $($row:tt)*
    ) => {
        $(#[$meta])*
        impl $owner {
            $crate::codes!(@constants $($row)*);
        }

        $crate::codes!(@cards $($row)*);
    };
    (@constants $( $constant:ident = $name:literal, $stage:ident, $sentence:literal; )*) => {
        $(
            #[doc = $sentence]
            pub const $constant: $crate::Code = $crate::Code::new($name, $crate::Stage::$stage, $sentence);
        )*
    };
    (@cards $( $constant:ident = $name:literal, $stage:ident, $sentence:literal; )*) => {
        /// The same as rows of the catalogue.
        pub const CODES: &[$crate::CodeCard] = &[
            $( $crate::CodeCard { code: $name, stage: $crate::Stage::$stage, sentence: $sentence } ),*
        ];
    };
    ($( $constant:ident = $name:literal, $stage:ident, $sentence:literal; )*) => {
        $crate::codes!(@constants $( $constant = $name, $stage, $sentence; )*);
        $crate::codes!(@cards $( $constant = $name, $stage, $sentence; )*);
    };
}

codes! {
    /// The codes of the life cycle; protocols bring theirs with their cards.
    impl Code;
    PARSE_ENDPOINT = "parse.endpoint", Parse, "the address cannot be read";
    PARSE_USAGE = "parse.usage", Parse, "the command line cannot be read";
    PARSE_CONFIG = "parse.config", Parse, "the configuration cannot be read";
    PARSE_SETTING = "parse.setting", Parse, "a setting cannot be read";
    RESOLVE_NO_SUCH_NAME = "resolve.no-such-name", Resolve, "the name does not exist for this resolver";
    RESOLVE_SERVER_FAILED = "resolve.server-failed", Resolve, "the resolver answered with an error";
    RESOLVE_TIMEOUT = "resolve.timeout", Resolve, "the resolver did not answer";
    RESOLVE_NO_ADDRESS = "resolve.no-address", Resolve, "the name exists but has no address";
    RESOLVE_NO_FAMILY = "resolve.no-family", Resolve, "the name has no address of the family that was asked for";
    RESOLVE_SLOW = "resolve.slow", Resolve, "answers come in steps of the resolver's timeout";
    CREATE_NO_DESCRIPTORS = "create.no-descriptors", Create, "this process may open no more sockets";
    CREATE_FAMILY_UNSUPPORTED = "create.family-unsupported", Create, "this host has no such address family";
    BIND_IN_USE = "bind.in-use.listener", Bind, "the address is taken";
    BIND_NOT_LOCAL = "bind.not-local", Bind, "the address belongs to no interface of this host";
    BIND_PRIVILEGED_PORT = "bind.denied.privileged-port", Bind, "the port needs a capability";
    BIND_NO_SCOPE = "bind.no-scope", Bind, "a link-local address needs its interface";
    BIND_NO_DEVICE = "bind.no-device", Bind, "there is no such interface";
    BIND_SOCKET_FILE = "bind.in-use.socket-file", Bind, "a socket file is in the way";
    BIND_DENIED_PATH = "bind.denied.path", Bind, "the socket file may not be made there";
    BIND_NO_SUCH_PATH = "bind.no-such-path", Bind, "the folder of the socket file does not exist";
    ACCEPT_NO_DESCRIPTORS = "accept.no-descriptors", Accept, "the listener is out of descriptors";
    CONNECT_REFUSED = "connect.refused.no-listener", Connect, "nothing listens on that port";
    CONNECT_NO_TARGET = "connect.no-target", Connect, "no target is left that it could be carried to";
    CONNECT_TIMEOUT = "connect.timeout.dropped", Connect, "no answer came";
    CONNECT_NO_ROUTE = "connect.unreachable.no-route", Connect, "this host has no route there";
    CONNECT_NEIGHBOUR = "connect.unreachable.neighbour", Connect, "the host cannot be reached";
    CONNECT_NO_LOCAL_PORT = "connect.no-local-port", Connect, "no local port is left for this destination";
    CONNECT_SELF = "connect.self", Connect, "the socket connected to itself";
    CONNECT_NO_SUCH_PATH = "connect.no-such-path", Connect, "there is no such socket file";
    CONNECT_DENIED_PATH = "connect.denied.path", Connect, "the socket file may not be used";
    CONNECT_STALE_SOCKET = "connect.stale-socket", Connect, "the socket file is left over: nobody listens on it";
    CONNECT_NOT_A_SOCKET = "connect.not-a-socket", Connect, "what stands at that path is not a socket";
    CONNECT_QUEUE_FULL = "connect.timeout.queue-full", Connect, "the server is alive but its accept queue is full";
    CONNECT_DENIED_FIREWALL = "connect.denied.local-firewall", Connect, "this host's own rules block it";
    CONNECT_FAMILY_BROKEN = "connect.family-broken", Connect, "one address family works, the other does not";
    CONNECT_OVERTAKEN = "connect.overtaken", Connect, "another address answered first";
    PROXY_REFUSED = "proxy.refused", Connect, "the proxy cannot reach the target";
    PROXY_DENIED = "proxy.denied", Connect, "the proxy does not let this through";
    GREET_TIMEOUT = "greet.timeout", Greet, "who had to speak first stayed silent until the greeting deadline";
    GREET_CLOSED = "greet.closed-before-banner", Greet, "connected, then closed without a byte";
    GREET_WRONG_PROTOCOL = "greet.wrong-protocol", Greet, "the peer speaks another protocol";
    GREET_REFUSED = "greet.refused", Greet, "the peer's first words are a refusal";
    JOIN_NO_INTERFACE = "join.no-interface", Join, "no interface or route for the multicast group";
    SEND_PEER_CLOSED = "send.peer-closed", Send, "the peer had already closed";
    SEND_TOO_LARGE = "send.too-large", Send, "the datagram exceeds a limit";
    SEND_UNFRAMEABLE = "send.unframeable", Send, "the message cannot be said in the chosen framing";
    SEND_REFUSED = "send.refused.no-listener", Send, "nothing listens on that datagram port";
    SEND_DENIED_BROADCAST = "send.denied.broadcast", Send, "the socket may not send broadcasts";
    SEND_DENIED_FIREWALL = "send.denied.local-firewall", Send, "this host's own rules block the datagram";
    SEND_REJECTED = "send.rejected.firewall", Send, "a router or host rejected the datagram";
    RECV_RESET = "recv.reset", Recv, "the peer reset the connection";
    RECV_KEEP_ALIVE_RACE = "recv.reset.keep-alive-race", Recv, "a reused connection met the server's idle timeout";
    RECV_TRUNCATED = "recv.truncated", Recv, "the datagram was larger than the buffer";
    RECV_DROPPED = "recv.dropped", Recv, "the kernel dropped datagrams that nobody read in time";
    RECV_PARTIAL = "recv.partial", Recv, "the stream ended inside a message";
    RECV_TIMEOUT = "recv.timeout", Recv, "the deadline passed";
    RECV_UNEXPECTED = "recv.unexpected", Recv, "something else came than was expected";
    RECV_BAD_FRAME = "recv.bad-frame", Recv, "what came is not in the chosen framing";
    RECV_FRAME_TOO_LARGE = "recv.frame-too-large", Recv, "a message was larger than the limit";
    LAN_MULTICAST_SILENT = "lan.multicast-silent", Recv, "nothing was heard from the group";
    EXEC_NOT_FOUND = "exec.not-found", Create, "there is no such program";
    EXEC_DENIED = "exec.denied", Create, "the program may not be run";
    EXEC_FAILED = "exec.failed", Close, "the program ended with an error";
    FD_NOT_USABLE = "fd.not-usable", Create, "that descriptor cannot be used so";
    LIMIT_REACHED = "limit.reached", Accept, "a limit was reached";
    LIMIT_QUEUE_TIMEOUT = "limit.queue-timeout", Connect, "no target had room in time";
    LIMIT_SLOW_READER = "limit.slow-reader", Send, "a client did not read what it was told, until more waited for it than may";
    LIMIT_IDLE = "limit.idle", Recv, "nothing moved for as long as the idle limit allows";
    LIMIT_LIFETIME = "limit.lifetime", Recv, "the connection reached its lifetime";
    STUCK_BOTH_READING = "stuck.both-reading", Stuck, "both sides wait for the other to speak";
    STUCK_BOTH_WRITING = "stuck.both-writing", Stuck, "both sides write, and neither reads";
    STUCK_READER_STOPPED = "stuck.reader-stopped", Stuck, "the peer stopped reading, and takes no more";
    STUCK_HALF_OPEN = "stuck.half-open", Stuck, "the peer is gone without a word";
    HOST_NOT_SOUND = "host.not-sound", Create, "something about this machine will get in the way";
    STOPPED = "stopped", Close, "the service was told to stop";
    BIND_TIME_WAIT = "bind.in-use.time-wait", Bind, "only closed connections hold the address (TIME_WAIT)";
    BIND_CONNECTION = "bind.in-use.connection", Bind, "a connection holds the address";
    BIND_OVERLAP = "bind.in-use.overlap", Bind, "an overlapping address is taken";
    BIND_BOUND = "bind.in-use.bound", Bind, "a socket that does not listen holds the address";
    CONNECT_OTHER_FAMILY = "connect.refused.other-family", Connect, "it listens on the other address family only";
    CONNECT_LOOPBACK_ONLY = "connect.refused.loopback-only", Connect, "it listens on loopback only";
    CONNECT_REJECTED = "connect.rejected.firewall", Connect, "a router or host rejected the connection";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_their_sentences_in_house_style() {
        for (i, card) in catalogue().enumerate() {
            assert!(
                catalogue().take(i).all(|other| other.code != card.code),
                "{} stands twice",
                card.code
            );
            assert!(
                !card.sentence.ends_with('.') && !card.sentence.is_empty(),
                "{}",
                card.code
            );
            assert!(
                card.sentence.starts_with(char::is_lowercase),
                "{}",
                card.code
            );
            assert!(
                card.code
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'-'),
                "{}",
                card.code
            );
        }
    }
}
