//! Conversations in which nothing moves, though nothing failed: both sides wait
//! to read, both wait to write, or one does not read.

use std::time::Duration;

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible, Refuted};
use netloom_base::failure::{Fact, Flow, OtherProgram, Waiting};
use netloom_base::{Code, Diagnosis, Failure, Stage};

use super::Rule;
use super::answers::Answers;
use super::draft::{Draft, netloom};
use super::talk::{endpoint, flow, here, listener, moved, other_end, watch};

pub(super) const RULES: &[Rule] = &[not_reading, both_reading];

/// The program at the other end, where it was seen.
fn program(failure: &Failure) -> Option<&OtherProgram> {
    failure.facts().iter().find_map(|fact| match fact {
        Fact::Program(program) => Some(&**program),
        _ => None,
    })
}

/// The window of one that reads slowly is closed now and then, and not for long.
const STILL: Duration = Duration::from_millis(500);

/// Somebody has more to say, and the other takes none of it.
fn not_reading(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let mut flows = failure.facts().iter().filter_map(|fact| match fact {
        Fact::Flow(flow) => Some((flow, flow.stuck()?)),
        _ => None,
    });
    let (flow, code) = flows.next()?;
    let draft = match failure.code() {
        Code::RECV_TIMEOUT if flow.paused < STILL => return None,
        Code::RECV_TIMEOUT => Draft::of(failure, code, code.sentence()),
        Code::STUCK_BOTH_WRITING | Code::STUCK_READER_STOPPED => Draft::begun(failure),
        _ => return None,
    };
    let program = program(failure);
    let who = program.map_or_else(
        || "the program at the other end".to_owned(),
        |program| format!("process {} `{}`", program.pid, program.name),
    );
    let draft = if code == Code::STUCK_BOTH_WRITING {
        both_writing(draft, failure, flow, &who, program)
    } else {
        reader_stopped(draft, flow, &who, program)
    };
    let draft = match program {
        Some(program) => draft.fix(
            "see what it does",
            format!("ps -o pid,stat,wchan:20,args -p {}", program.pid),
        ),
        None => draft.unchecked("what the other program does", "the other end, or its log"),
    };
    watch(draft, failure, answers).done()
}

/// Its window is closed: what was sent fills its buffer.
fn reader_stopped(draft: Draft, flow: &Flow, who: &str, program: Option<&OtherProgram>) -> Draft {
    let draft = if program.is_some_and(|program| program.stopped) {
        draft.cause(
            format!("{who} is stopped, and does not read what it was sent"),
            Confirmed,
            &format!("its state is T, {}", full(flow)),
        )
    } else {
        draft.cause(
            format!("{who} does not read what it was sent"),
            Confirmed,
            &full(flow),
        )
    };
    let_go_on(draft, program)
        .cause(
            "packets are lost on the way",
            Refuted,
            "its host acknowledged, and said that it has no more room",
        )
        .advice("in the other program: read all the time, in a thread or task of its own")
}

/// Both windows are closed.
fn both_writing(
    draft: Draft,
    failure: &Failure,
    flow: &Flow,
    who: &str,
    program: Option<&OtherProgram>,
) -> Draft {
    let unread = format!("{} bytes lie unread here", flow.unread);
    let writes = match program.and_then(|program| program.waits_in) {
        Some(Waiting::ToWrite) => "a thread of it waits in a write on this very connection",
        _ => &full(flow),
    };
    let draft = draft.cause(
        format!("{who} writes and does not read, and this end does the same"),
        Confirmed,
        &format!("{writes}, and {unread}"),
    );
    let mut draft = let_go_on(draft, program).cause(
        "packets are lost on the way",
        Refuted,
        "both hosts have what was sent, and no room for more",
    );
    // A person's program reads as long as its standard output is read.
    if let Some(endpoint) = endpoint(failure).filter(|_| failure.code() == Code::RECV_TIMEOUT) {
        draft = draft
            .cause(
                "this end does not read because nobody takes what it puts out",
                Likely,
                &unread,
            )
            .fix(
                "take what comes, whatever becomes of it",
                format!("{} >answer", netloom("connect", &endpoint)),
            );
    }
    draft.advice("in one of the two programs: read while there is more to write")
}

/// How full the other end is.
fn full(flow: &Flow) -> String {
    match flow.other {
        Some(other) if other.unread > 0 => format!(
            "its window is closed, and {} bytes lie unread in its socket",
            other.unread
        ),
        _ => format!(
            "its window is closed, and {} bytes wait for it here",
            flow.unsent
        ),
    }
}

/// Who was stopped can go on.
fn let_go_on(draft: Draft, program: Option<&OtherProgram>) -> Draft {
    match program {
        Some(program) if program.stopped => {
            draft.fix("let it go on", format!("kill -CONT {}", program.pid))
        }
        _ => draft,
    }
}

/// Not one byte was said, and nothing lies unread or unsent at either end.
fn both_reading(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::RECV_TIMEOUT
        || failure.stage() != Stage::Recv
        || moved(failure) != Some((0, 0))
    {
        return None;
    }
    let flow = flow(failure).filter(|flow| flow.unsent == 0)?;
    let what = "neither side has said anything, and each waits for the other";
    let mut draft = Draft::of(failure, Code::STUCK_BOTH_READING, what);
    let local = here(failure, answers);
    let (who, because) = match (other_end(flow, answers), local) {
        // One that nobody has accepted yet is not read by anybody.
        (Some((entry, _)), _) if entry.unread() > 0 || entry.inode == 0 => return None,
        (Some((entry, holder)), _) => {
            draft = draft.held(entry, answers);
            let who = holder.map(|holder| format!("process {} `{}`", holder.pid, holder.program));
            let why =
                "it has accepted the connection, nothing lies unread there, and nothing was sent";
            (who, why)
        }
        (None, true) => {
            let entry = listener(failure, answers)?;
            draft = draft.held(entry, answers);
            let holder = answers.holder(entry);
            let who = holder.map(|holder| format!("process {} `{}`", holder.pid, holder.program));
            let why =
                "it closed its end as soon as this end was closed: it was listening for a word";
            (who, why)
        }
        (None, false) => {
            let why = "nothing was sent, and nothing is on its way";
            (None, why)
        }
    };
    let who = who.unwrap_or_else(|| "the program at the other end".to_owned());
    draft = draft
        .cause(
            format!("{who} waits for the first word, and so does this end"),
            Likely,
            because,
        )
        .cause(
            format!("{who} works on its first words, and is slow"),
            Possible,
            "what a program does between two words is not seen from outside",
        );
    draft = if local {
        let why = "the connection never left this host";
        draft.cause("packets are lost on the way", Refuted, why)
    } else {
        let why = "a server that accepts nobody looks the same from this end";
        draft.cause(
            "the program there has not accepted the connection",
            Possible,
            why,
        )
    };
    draft = match endpoint(failure) {
        Some(endpoint) if answers.is_stream => draft.fix(
            "speak first",
            format!("{} --send 'hello\\n'", netloom("connect", &endpoint)),
        ),
        _ => draft.advice("send what the other program waits for, such as an end of line"),
    };
    watch(draft, failure, answers)
        .unchecked(
            "what the other program waits in",
            "the other end: cat /proc/PID/wchan",
        )
        .done()
}

#[cfg(test)]
mod tests {
    use netloom_base::Side;

    use super::*;

    fn told(paused: Duration) -> Diagnosis {
        let flow = Flow {
            local: ([192, 0, 2, 1], 40_000).into(),
            remote: ([192, 0, 2, 2], 7007).into(),
            unread: 0,
            unsent: 4_000_000,
            window: Some(0),
            offered: Some(65_536),
            paused,
            again: 0,
            silent: Duration::from_secs(5),
            other: None,
        };
        let failure = Failure::new(Stage::Recv, Side::Peer, Code::RECV_TIMEOUT)
            .at("tcp://192.0.2.2:7007")
            .fact(Fact::Flow(flow));
        super::super::diagnose(&failure, &Answers::default())
    }

    #[test]
    fn a_slow_reader_is_not_said_to_have_stopped() {
        let slow = told(Duration::from_millis(90));
        assert_eq!(slow.code, Code::RECV_TIMEOUT, "{slow}");
        assert_eq!(slow.causes[0].verdict, Confirmed);
        assert!(slow.causes[0].text.contains("reads slowly"), "{slow}");

        let stopped = told(Duration::from_secs(2));
        assert_eq!(stopped.code, Code::STUCK_READER_STOPPED, "{stopped}");
        let cause = &stopped.causes[0];
        assert_eq!(cause.verdict, Confirmed);
        assert_eq!(
            cause.because,
            "its window is closed, and 4000000 bytes wait for it here"
        );
        // Of a program on another host nothing is claimed.
        assert_eq!(stopped.unchecked[0].needs, "the other end, or its log");
    }
}
