//! Standard input and output as one stream: `-`.
//!
//! Both may be shared with other programs, so they are never set non-blocking.
//! Shutting the stream lets go of standard output, so that the next program of
//! a pipeline sees the end while input still comes. A read that waits for
//! input stays on the blocking pool: whoever owns the runtime ends it with
//! `shutdown_background`, or the process would wait for a key.

use std::io;

use netloom_base::{Address, Card, Failure, Kind, Opens, Scheme, Stack, Stage};

use crate::BoxFuture;
use crate::blocking::Halves;
use crate::conn::{Conn, ConnFacts, Peer};
use crate::cx::Cx;
use crate::net::{Opened, Transport};

/// The transport behind `-`.
#[derive(Debug, Clone, Copy)]
pub struct Stdio;

static CARD: Card = Card {
    name: "stdio",
    summary: "standard input and output as one stream: -",
    schemes: &[Scheme {
        name: "-",
        over: &[],
        default_port: None,
    }],
    address: Address::None,
    owns_path: false,
    owns_query: false,
    needs: None,
    gives: Kind::Stream,
    encrypts: false,
    rfcs: &["stdin(3)"],
    dial_keys: &[],
    bind_keys: &[],
    codes: &[],
    opens: Opens::Either,
};

impl Transport for Stdio {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn dial<'a>(&'a self, _: &'a Stack, _: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async { open().map_err(|error| Failure::from_io(Stage::Create, error)) })
    }
}

#[cfg(unix)]
fn open() -> io::Result<Opened> {
    use std::os::fd::AsFd;

    use crate::blocking::Patient;

    // Duplicates, because nobody may close the numbers 0 and 1. Files, because
    // the library's own handles keep back what follows the last end of line.
    let input = Patient(io::stdin().as_fd().try_clone_to_owned()?.into());
    let output = Patient(io::stdout().as_fd().try_clone_to_owned()?.into());
    Ok(Opened::Stream(Conn::new(Box::new(Halves::new(
        Some(input),
        Some(output),
        facts(),
        end,
    )))))
}

/// Lets the reader of standard output see its end. A terminal has none, and
/// what else this program has to say belongs on it.
#[cfg(unix)]
fn end(output: crate::blocking::Patient) {
    use std::io::IsTerminal;

    if output.0.is_terminal() {
        return;
    }
    // As a socket it may be standard input too, and stays open by that number.
    // Of anything else the kernel says that it is no socket.
    let _ = socket2::SockRef::from(&output.0).shutdown(std::net::Shutdown::Write);
    drop(output);
    // Without `/dev/null` it ends when this process does.
    let _ = crate::sys::let_go_of_stdout();
}

#[cfg(not(unix))]
fn open() -> io::Result<Opened> {
    let stream = Halves::new(Some(io::stdin()), Some(io::stdout()), facts(), drop);
    Ok(Opened::Stream(Conn::new(Box::new(stream))))
}

fn facts() -> ConnFacts {
    ConnFacts {
        local: None,
        peer: Some(Peer::Named("-".into())),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::process::Stdio as End;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::process::Command;

    use super::*;
    use crate::trial;

    const CHILD: &str = "NETLOOM_STDIO_CHILD";
    const SENT: &[u8] = b"all\0\xff\r\nbytes, no end of line";

    /// What the child of the next test runs; alone it does nothing.
    #[test]
    fn child() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let got = runtime.block_on(async {
            let mut stream = trial::dial(&trial::cx(Stdio), "-").await.unwrap();
            stream.write_all(SENT).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).await.unwrap();
            got
        });
        assert_eq!(got, SENT);
    }

    #[tokio::test]
    async fn output_ends_while_input_still_comes() {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "stdio::tests::child",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(CHILD, "yes")
            .stdin(End::piped())
            .stdout(End::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut got = Vec::new();
        output.read_to_end(&mut got).await.unwrap();
        // The test harness speaks first.
        assert!(got.ends_with(SENT), "{}", got.escape_ascii());
        input.write_all(SENT).await.unwrap();
        drop(input);
        assert!(child.wait().await.unwrap().success());
    }

    #[tokio::test]
    async fn it_cannot_be_listened_on() {
        let failure = trial::bind(&trial::cx(Stdio), "-").await.err().unwrap();
        assert_eq!(failure.code().name(), "parse.endpoint");
    }
}
