//! One talk: a payload goes into a program's stdin and must come back on its
//! stdout, byte for byte.

use crate::Outcome;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// A talk that makes no progress for so long has failed.
const SILENCE: Duration = Duration::from_secs(30);

/// How long what a program still says is waited for when it has ended.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Bytes that no program may change: every value, in an order that repeats
/// only after 4 GiB. `text` leaves out what a terminal protocol reads as its
/// own.
pub(super) fn payload(len: usize, text: bool) -> Vec<u8> {
    let mut state = 0x2545_F491_u32;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let byte = (state >> 24) as u8;
            if text { b' ' + byte % 95 } else { byte }
        })
        .collect()
}

/// When a talk is over.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum End {
    /// The program ends with its input, once all is back.
    Itself,
    /// It would drop what is on its way when its input ends, so its input stays
    /// open until all is back. It may also keep the last bytes until more
    /// come, so more come.
    WhenAllIsBack,
}

/// What is sent after the payload, so that nothing of that is kept back: no
/// program's buffer is larger.
const MORE: usize = 512 * 1024;

/// Feeds `payload` to `client` and compares what comes back. Gives the time it
/// took.
pub(super) fn talk(client: &mut Command, payload: &[u8], end: End) -> Outcome<Duration> {
    let begun = Instant::now();
    let mut client = Program::start(client)?;
    let (stdin, stdout) = client.pipes()?;
    let outcome = carry(stdin, stdout, payload, end, || client.kill());
    let outcome = outcome.and_then(|()| match end {
        End::Itself => client.succeeded(),
        End::WhenAllIsBack => Ok(()),
    });
    match outcome {
        Ok(()) => Ok(begun.elapsed()),
        Err(problem) => Err(client.complaint(&problem)),
    }
}

/// Feeds `payload` to one of two programs and compares what the other says:
/// `server` listens, `client` connects to it.
pub(super) fn one_way(
    server: &mut Command,
    client: &mut Command,
    server_sends: bool,
    payload: &[u8],
) -> Outcome<Duration> {
    let mut server = Program::start(server)?;
    server.wait_for("listening")?;
    let begun = Instant::now();
    let mut client = Program::start(client)?;
    let (server_in, server_out) = server.pipes()?;
    let (client_in, client_out) = client.pipes()?;
    // The receiver's input stays open: its end might end the talk.
    let (feed, answers, _open) = if server_sends {
        (server_in, client_out, client_in)
    } else {
        (client_in, server_out, server_in)
    };
    carry(feed, answers, payload, End::WhenAllIsBack, || {
        server.kill();
        client.kill();
    })
    .map(|()| begun.elapsed())
    .map_err(|problem| server.complaint(&client.complaint(&problem)))
}

/// Writes `payload` here and reads it there. `stop` ends the programs, which
/// also ends a write that nobody takes.
fn carry(
    mut feed: ChildStdin,
    mut answers: ChildStdout,
    payload: &[u8],
    end: End,
    stop: impl FnOnce(),
) -> Outcome {
    let (say, said) = sync_channel::<Vec<u8>>(16);
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(got) = answers.read(&mut buffer) {
            if got == 0 || say.send(buffer[..got].to_vec()).is_err() {
                break;
            }
        }
    });
    thread::scope(|scope| {
        let (open, closed) = sync_channel::<()>(1);
        scope.spawn(move || {
            // What cannot be sent will not come back, which is told.
            if feed.write_all(payload).is_ok() && end == End::WhenAllIsBack {
                let _ = feed.write_all(&vec![b' '; MORE]);
                let _ = closed.recv();
            }
        });
        let outcome = compare(payload, end, || said.recv_timeout(SILENCE));
        drop(open);
        if outcome.is_err() || end == End::WhenAllIsBack {
            stop();
        }
        outcome
    })
}

fn compare(
    payload: &[u8],
    end: End,
    mut next: impl FnMut() -> Result<Vec<u8>, RecvTimeoutError>,
) -> Outcome {
    let mut back = 0;
    loop {
        if back == payload.len() && end == End::WhenAllIsBack {
            return Ok(());
        }
        match next() {
            Ok(mut piece) => {
                if end == End::WhenAllIsBack {
                    piece.truncate(payload.len() - back);
                }
                // However it is cut into pieces: the last byte that is right is told.
                let right = payload[back..].iter().zip(&piece);
                let right = right.take_while(|(sent, came)| sent == came).count();
                back += right;
                if right < piece.len() {
                    return Err(format!("what came back differs after byte {back}"));
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!(
                    "silent for 30 s after {back} of {} bytes",
                    payload.len()
                ));
            }
            Err(RecvTimeoutError::Disconnected) if back == payload.len() => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(format!("ended after {back} of {} bytes", payload.len()));
            }
        }
    }
}

/// A child that does not outlive us, and what it said on stderr.
struct Program {
    child: Child,
    said: Receiver<String>,
}

impl Program {
    fn start(command: &mut Command) -> Outcome<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())?;
        let (say, said) = sync_channel(256);
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || {
                // Read to the end, so that it is never held up; what is too
                // much is dropped.
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let _ = say.try_send(line);
                }
            });
        }
        Ok(Self { child, said })
    }

    fn pipes(&mut self) -> Outcome<(ChildStdin, ChildStdout)> {
        self.child
            .stdin
            .take()
            .zip(self.child.stdout.take())
            .ok_or_else(|| "no pipes".to_owned())
    }

    /// Waits for a line that has `word` in it, whichever case.
    fn wait_for(&self, word: &str) -> Outcome {
        loop {
            match self.said.recv_timeout(SILENCE) {
                Ok(line) if line.to_ascii_lowercase().contains(word) => return Ok(()),
                Ok(_) => {}
                Err(_) => return Err(format!("never said {word}")),
            }
        }
    }

    fn succeeded(&mut self) -> Outcome {
        let status = self.child.wait().map_err(|e| e.to_string())?;
        if status.success() {
            return Ok(());
        }
        Err(format!("all came back, and it ended with {status}"))
    }

    fn kill(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
    }

    /// `problem` with what the program, which is ended now, said of it.
    fn complaint(&mut self, problem: &str) -> String {
        self.kill();
        let _ = self.child.wait();
        let mut told = problem.to_owned();
        // Ends with its stderr; only what it started may hold that open.
        while let Ok(line) = self.said.recv_timeout(LAST_WORDS) {
            told.push_str(": ");
            told.push_str(&line);
        }
        told
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

/// A directory for sockets, gone with this value.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("netloom-interop-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::{End, compare, one_way, payload, talk};
    use std::process::Command;
    use std::sync::mpsc::RecvTimeoutError;

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn cat_gives_all_back() {
        let bytes = payload(1 << 20, false);
        assert!(talk(&mut shell("exec cat"), &bytes, End::Itself).is_ok());
        assert!(talk(&mut shell("exec cat"), &bytes, End::WhenAllIsBack).is_ok());
        // One that keeps a part back until more comes.
        let blocks = "exec dd bs=100000 iflag=fullblock status=none";
        assert!(talk(&mut shell(blocks), &bytes, End::WhenAllIsBack).is_ok());
    }

    #[test]
    fn a_change_a_loss_an_addition_and_a_failure_are_seen() {
        let bytes = payload(10_000, true);
        let changed = bytes.iter().position(|byte| *byte == b'a').unwrap();
        let changed = format!("differs after byte {changed}");
        for (script, what) in [
            ("tr 'a' 'b'", &*changed),
            ("head -c 5000", "ended after 5000 of 10000 bytes"),
            ("cat; echo more", "differs after byte 10000"),
            ("cat; echo oops >&2; exit 3", "exit status: 3: oops"),
        ] {
            let problem = talk(&mut shell(script), &bytes, End::Itself).expect_err(script);
            assert!(problem.contains(what), "{script}: {problem}");
        }
    }

    #[test]
    fn a_difference_is_found_however_it_is_cut() {
        let heard = |pieces: &[&[u8]]| {
            let mut pieces = pieces.iter().map(|piece| piece.to_vec());
            compare(b"abcdef", End::Itself, || {
                pieces.next().ok_or(RecvTimeoutError::Disconnected)
            })
            .err()
        };
        let differs = |at| Some(format!("what came back differs after byte {at}"));
        assert_eq!(heard(&[b"abc", b"def"]), None);
        assert_eq!(heard(&[b"abcdef!"]), differs(6));
        assert_eq!(heard(&[b"abcdef", b"!"]), differs(6));
        assert_eq!(heard(&[b"abXdef"]), differs(2));
        assert_eq!(heard(&[b"ab", b"Xdef"]), differs(2));
    }

    #[test]
    fn bytes_go_from_a_server_to_a_client_and_the_other_way() {
        let fifo = std::env::temp_dir().join(format!("netloom-fifo-{}", std::process::id()));
        let made = Command::new("mkfifo").arg(&fifo).status();
        assert!(made.is_ok_and(|status| status.success()));
        let bytes = payload(1 << 20, false);
        let name = fifo.display();
        let reads = format!("echo now listening >&2; exec cat {name}");
        let writes = format!("exec cat > {name}");
        let forth = one_way(&mut shell(&reads), &mut shell(&writes), false, &bytes);
        let writes = format!("echo now listening >&2; exec cat > {name}");
        let reads = format!("exec cat {name}");
        let back = one_way(&mut shell(&writes), &mut shell(&reads), true, &bytes);
        // A fifo that stays is no failure of what is tested.
        let _ = std::fs::remove_file(&fifo);
        assert_eq!((forth.err(), back.err()), (None, None));
    }

    #[test]
    fn a_payload_has_every_byte_and_text_only_what_prints() {
        let bytes = payload(1 << 16, false);
        assert!((0..=255).all(|byte| bytes.contains(&byte)));
        assert!(
            payload(1 << 16, true)
                .iter()
                .all(|byte| (b' '..=b'~').contains(byte))
        );
    }
}
