//! Why a connection ends when one of its limits has passed.

use netloom_base::failure::{Fact, Flow, Spoken};
use netloom_base::{Code, Failure, Side, Stage};

use crate::seat::{Notice, Seat};

/// The failure that a notice is told with; `None` where the connection may go
/// on. `flow` is where one stands that waited for its peer to read.
pub(crate) fn over(notice: Notice, seat: &Seat, flow: Option<Flow>) -> Option<Failure> {
    let code = match notice {
        Notice::Drain | Notice::Move => return None,
        Notice::Idle => match flow {
            Some(flow) => return Some(unread(flow)),
            None => Code::LIMIT_IDLE,
        },
        Notice::Lifetime => Code::LIMIT_LIFETIME,
        Notice::Greet if seat.sent() == 0 => return Some(nobody_began()),
        Notice::Greet => Code::GREET_TIMEOUT,
        Notice::Abort => Code::STOPPED,
    };
    let side = if code == Code::GREET_TIMEOUT {
        Side::Peer
    } else {
        Side::Us
    };
    Some(Failure::new(code.stage(), side, code))
}

/// Nothing moved for too long, and there was more to send.
fn unread(flow: Flow) -> Failure {
    let failure = match flow.stuck() {
        Some(code) => stuck(code).message(words(code, &flow)),
        // The peer has room and acknowledges nothing, or the kernel is too old
        // to say: a limit has passed, and that is all that is known.
        None => Failure::new(Stage::Recv, Side::Us, Code::LIMIT_IDLE),
    };
    failure.fact(Fact::Flow(flow))
}

/// A failure of this code: who does not read is at the other end.
pub(crate) fn stuck(code: Code) -> Failure {
    Failure::new(Stage::Stuck, Side::Peer, code)
}

fn words(code: Code, flow: &Flow) -> String {
    let Flow { unread, unsent, .. } = flow;
    let paused = Spoken(flow.paused);
    if code == Code::STUCK_BOTH_WRITING {
        return format!(
            "both sides write, and neither reads: {unsent} bytes wait for the peer, and {unread} of its own lie unread here"
        );
    }
    format!(
        "the peer stopped reading: {unsent} bytes wait for it, and nothing could be sent for {paused}"
    )
}

/// This end waits for a first word and has said none.
fn nobody_began() -> Failure {
    Failure::new(Stage::Greet, Side::Peer, Code::GREET_TIMEOUT).message(
        "nobody began: the client has to speak first here, and was silent until the greeting deadline",
    )
}
