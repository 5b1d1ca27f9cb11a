//! Messages on a stream that could not be taken whole: the wrong framing, a
//! peer that ended too early, a message larger than was foreseen.

use netloom_base::diagnosis::Verdict::{Likely, Possible};
use netloom_base::failure::{BadFrame, Fact, FrameTrouble};
use netloom_base::settings::ByteSize;
use netloom_base::{Code, Diagnosis, Endpoint, Failure};
use netloom_wire::framing::{Decoder, Framing};
use netloom_wire::tls::looks_like;

use super::Rule;
use super::answers::Answers;
use super::draft::{Draft, netloom};

pub(super) const RULES: &[Rule] = &[cut, too_large, malformed];

fn cut(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    let (frame, framing) = frame(failure, Code::RECV_PARTIAL)?;
    let FrameTrouble::Cut { in_header, .. } = frame.trouble else {
        return None;
    };
    let (draft, other) = other_framing(begin(failure), failure, frame, framing);
    let lines = matches!(framing, Framing::Lines | Framing::Crlf | Framing::Json);
    let draft = if lines {
        let last = if frame.before > 0 { "last" } else { "only" };
        draft
            .cause(
                format!("the peer sends no end after its {last} line"),
                rank(frame.before > 0 && !other),
                "many programs leave it out",
            )
            .cause("the peer ended in the midst of a line", Possible, "")
            .advice("let the peer end every line, the last one too")
    } else {
        let begun = if in_header { "its header" } else { "it" };
        draft
            .cause(
                "the peer closed before it had sent all of the message",
                rank(!other),
                &format!("{begun} had begun and nothing more came"),
            )
            .cause(
                "the peer announces more bytes than it sends",
                Possible,
                "a length in characters, or one that counts its own header, does so",
            )
            .advice(
                "let the peer send until all is sent: one `send` may take only a part (send(2))",
            )
    };
    let draft = draft.advice("what came whole before it can be used; this message cannot");
    draft
        .unchecked("why the peer ended there", "a look at the other end")
        .done()
}

fn too_large(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    let (frame, framing) = frame(failure, Code::RECV_FRAME_TOO_LARGE)?;
    let FrameTrouble::TooLarge { size, limit } = frame.trouble else {
        return None;
    };
    let (draft, other) = other_framing(begin(failure), failure, frame, framing);
    let because = match frame.before {
        0 => "",
        _ => "messages before it were read well",
    };
    let draft = draft.cause(
        "the message is as large as that",
        rank(frame.before > 0 && !other),
        because,
    );
    let wanted = size.unwrap_or(limit.saturating_mul(4));
    // Nobody wants to hold a gibibyte for one message: that is another framing.
    let draft = if wanted > 1 << 30 {
        draft
    } else {
        let room = ByteSize(
            wanted
                .checked_next_power_of_two()
                .unwrap_or(wanted)
                .max(1024),
        );
        let flags = format!("--framing {framing} --max-message {room}");
        again(draft, failure, "allow larger messages", &flags)
    };
    draft.done()
}

fn malformed(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    let (frame, framing) = frame(failure, Code::RECV_BAD_FRAME)?;
    let (draft, other) = other_framing(begin(failure), failure, frame, framing);
    let text = match frame.before {
        0 => format!("the peer does not speak {framing}"),
        _ => format!("the peer said something that is not {framing} among what is"),
    };
    draft.cause(text, rank(!other), "").done()
}

/// The frame in question and how it was read.
fn frame(failure: &Failure, code: Code) -> Option<(&BadFrame, Framing)> {
    if failure.code() != code {
        return None;
    }
    failure.facts().iter().find_map(|fact| match fact {
        Fact::Frame(frame) => Some((&**frame, frame.framing.parse().ok()?)),
        _ => None,
    })
}

fn begin(failure: &Failure) -> Draft {
    let told = failure.summary();
    let endpoint = failure.endpoint().unwrap_or_default();
    let what = told
        .strip_prefix(endpoint)
        .and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(&told);
    Draft::of(failure, failure.code(), what)
}

fn rank(likely: bool) -> netloom_base::diagnosis::Verdict {
    if likely { Likely } else { Possible }
}

/// Whether the peer's first bytes rather are of another framing or protocol,
/// told as the first cause, and how to read them so.
fn other_framing(
    draft: Draft,
    failure: &Failure,
    frame: &BadFrame,
    framing: Framing,
) -> (Draft, bool) {
    if frame.before > 0 {
        return (draft, false);
    }
    let first = &frame.first;
    if let Some(protocol) = looks_like(first) {
        let text = format!("the peer speaks {protocol}, not {framing}");
        let because = "its first bytes are that protocol's";
        return (draft.cause(text, Likely, because), true);
    }
    let Some((other, because)) = rather(first, framing, frame.trouble) else {
        return (draft, false);
    };
    let draft = draft.cause(
        format!("the peer speaks {other}, not {framing}"),
        Likely,
        because,
    );
    let flags = format!("--framing {other}");
    (again(draft, failure, "read it so", &flags), true)
}

/// The framing that the first bytes speak for, and why.
fn rather(
    first: &[u8],
    framing: Framing,
    trouble: FrameTrouble,
) -> Option<(Framing, &'static str)> {
    let lengths = framing.longest().is_some() || framing == Framing::Varint;
    if framing == Framing::Crlf && matches!(trouble, FrameTrouble::Cut { .. }) {
        let bare = first.contains(&b'\n') && !first.windows(2).any(|two| two == b"\r\n");
        return bare.then_some((Framing::Lines, "its lines end with \\n alone"));
    }
    let cut = matches!(trouble, FrameTrouble::Cut { .. });
    let ambiguous = match framing {
        Framing::Lines | Framing::Crlf => true,
        // What was cut begins as it should.
        Framing::Json | Framing::Netstring => cut,
        // A length of one byte may be a letter, and text may follow it.
        Framing::Len8 | Framing::Varint => cut && !first.contains(&b'\n'),
        _ => false,
    };
    if is_text(first) && !ambiguous {
        if first.first().is_some_and(u8::is_ascii_digit) && begins_netstring(first) {
            let because = "it begins with a length in digits and a colon";
            return (framing != Framing::Netstring).then_some((Framing::Netstring, because));
        }
        if framing != Framing::Json && matches!(first.first(), Some(b'{' | b'[')) {
            return Some((Framing::Json, "its first bytes begin a JSON value"));
        }
        return Some((Framing::Lines, "its first bytes are text"));
    }
    // Only a length that is too large speaks for the other byte order: one that
    // was cut may be right.
    let swapped = framing.swapped().filter(|_| lengths)?;
    let FrameTrouble::TooLarge { limit, .. } = trouble else {
        return None;
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let fits = Decoder::new(swapped, limit).feed(first, |_| ()).is_ok();
    fits.then_some((swapped, "its length is sensible in the other byte order"))
}

/// Whether they are text as people write it. One byte says nothing.
fn is_text(first: &[u8]) -> bool {
    let written = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    first.len() >= 3 && first.iter().all(written)
}

fn begins_netstring(first: &[u8]) -> bool {
    let digits = first
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    digits > 0 && first.get(digits) == Some(&b':')
}

/// The same with other flags: as a command, where the endpoint was dialled.
fn again(draft: Draft, failure: &Failure, text: &str, flags: &str) -> Draft {
    let endpoint = failure
        .endpoint()
        .and_then(|text| text.parse::<Endpoint>().ok());
    match endpoint {
        Some(endpoint) => {
            let command = format!("{} {flags}", netloom("connect", &endpoint));
            draft.fix(text, command)
        }
        None => draft.advice(format!("{text}: {flags}")),
    }
}

#[cfg(test)]
mod tests {
    use netloom_base::{Side, Stage};

    use super::*;
    use crate::rules::diagnose;

    fn failed(code: Code, framing: &'static str, trouble: FrameTrouble, first: &[u8]) -> Failure {
        after(0, code, framing, trouble, first)
    }

    fn after(
        before: u64,
        code: Code,
        framing: &'static str,
        trouble: FrameTrouble,
        first: &[u8],
    ) -> Failure {
        Failure::new(Stage::Recv, Side::Peer, code)
            .fact(Fact::Frame(Box::new(BadFrame {
                framing,
                trouble,
                before,
                first: first.to_vec(),
            })))
            .at("tcp://127.0.0.1:7")
    }

    fn announced(size: u64) -> FrameTrouble {
        FrameTrouble::TooLarge {
            size: Some(size),
            limit: 1 << 20,
        }
    }

    fn first_cause(failure: &Failure) -> (String, Vec<String>) {
        let diagnosis = diagnose(failure, &Answers::default());
        let commands = diagnosis.fixes.iter().filter_map(|fix| fix.command.clone());
        (diagnosis.causes[0].text.clone(), commands.collect())
    }

    #[test]
    fn the_first_bytes_tell_which_framing_it_rather_is() {
        let too_large = Code::RECV_FRAME_TOO_LARGE;
        for (framing, size, first, cause, fix) in [
            (
                "len32",
                0x6865_6c6c,
                &b"hello\n"[..],
                "speaks lines, not len32",
                "--framing lines",
            ),
            (
                "len32",
                0x0500_0000,
                b"\x05\0\0\0hello",
                "speaks len32le, not len32",
                "--framing len32le",
            ),
            (
                "len32le",
                0x0500_0000,
                b"\0\0\0\x05hello",
                "speaks len32, not len32le",
                "--framing len32",
            ),
            (
                "len32",
                0x7b22_6122,
                b"{\"a\":1}\n",
                "speaks json, not len32",
                "--framing json",
            ),
            (
                "len32",
                0x353a_6865,
                b"5:hello,",
                "speaks netstring, not len32",
                "--framing netstring",
            ),
        ] {
            let (told, fixes) = first_cause(&failed(too_large, framing, announced(size), first));
            assert!(told.contains(cause), "{told}");
            assert_eq!(fixes[0], format!("netloom connect tcp://127.0.0.1:7 {fix}"));
        }
        let (told, fixes) = first_cause(&failed(
            too_large,
            "len32",
            announced(0x4745_5420),
            b"GET / HTTP/1.1\r\n",
        ));
        assert_eq!(told, "the peer speaks HTTP, not len32");
        assert!(fixes.is_empty(), "{fixes:?}");
    }

    #[test]
    fn after_good_messages_a_large_one_is_large() {
        let failure = after(
            3,
            Code::RECV_FRAME_TOO_LARGE,
            "len32",
            announced(3_000_000),
            b"\0\x2d\xc6\xc0",
        );
        let (told, fixes) = first_cause(&failure);
        assert_eq!(told, "the message is as large as that");
        assert_eq!(
            fixes,
            ["netloom connect tcp://127.0.0.1:7 --framing len32 --max-message 4MiB"]
        );
    }

    #[test]
    fn the_end_inside_a_message_is_the_peers() {
        let cut = FrameTrouble::Cut {
            have: 3,
            want: Some(44),
            in_header: false,
        };
        let partial =
            |framing, first: &[u8]| first_cause(&failed(Code::RECV_PARTIAL, framing, cut, first));
        let (told, fixes) = partial("len32", b"\0\0\0\x2cabc");
        assert_eq!(
            told,
            "the peer closed before it had sent all of the message"
        );
        assert!(fixes.is_empty());
        for (framing, first) in [
            ("len8", &b",abc"[..]),
            ("json", b"{\"a\""),
            ("netstring", b"44:abc"),
        ] {
            let (told, _) = partial(framing, first);
            assert!(!told.contains("speaks"), "{framing}: {told}");
        }
        let (told, _) = partial("len8", b"ab\n");
        assert_eq!(told, "the peer speaks lines, not len8");
        let (told, _) = partial("lines", b"abc");
        assert_eq!(told, "the peer sends no end after its only line");
        let (told, fixes) = partial("crlf", b"a\nb\nc");
        assert_eq!(told, "the peer speaks lines, not crlf");
        assert!(fixes[0].ends_with("--framing lines"));
    }

    #[test]
    fn nothing_is_confirmed_that_one_end_cannot_know() {
        for code in [
            Code::RECV_PARTIAL,
            Code::RECV_FRAME_TOO_LARGE,
            Code::RECV_BAD_FRAME,
        ] {
            for first in [&b""[..], b"text\n", b"\x05\0\0\0", b"{}"] {
                for framing in Framing::ALL {
                    let trouble = match code {
                        Code::RECV_FRAME_TOO_LARGE => announced(1 << 40),
                        Code::RECV_BAD_FRAME => FrameTrouble::Malformed,
                        _ => FrameTrouble::Cut {
                            have: 1,
                            want: None,
                            in_header: true,
                        },
                    };
                    let failure = failed(code, framing.name(), trouble, first);
                    let diagnosis = diagnose(&failure, &Answers::default());
                    assert!(!diagnosis.causes.is_empty());
                    let confirmed = netloom_base::diagnosis::Verdict::Confirmed;
                    assert!(
                        diagnosis
                            .causes
                            .iter()
                            .all(|cause| cause.verdict != confirmed)
                    );
                    let text = diagnosis.to_string();
                    assert!(!text.contains(&format!("speaks {framing}, not")), "{text}");
                }
            }
        }
    }
}
