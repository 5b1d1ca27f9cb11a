//! Where a person sits: lines are typed at a terminal, or come from standard
//! input, and what is heard is shown there.

use std::future::poll_fn;
use std::time::Duration;

use netloom_app::chat::shown;
use netloom_base::{Endpoint, Failure, Moment, Role, Stage};
use netloom_transport::net::complaint;
use netloom_transport::{Conn, Cx};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::heard;
use crate::connecting::Speaking;
use crate::contract::Stop;
use crate::editor::{Above, Editor, Options, Typed};
use crate::view::Face;

/// How many lines may wait for the other end to take them.
const MOST_WAITING: usize = 256;

/// How long leaving may take for whoever pressed Ctrl-C.
const LEAVING: Duration = Duration::from_secs(1);

/// The longest line that is typed; what is longer comes in parts.
const LONGEST: usize = 64 * 1024;

/// A terminal with a line editor on it.
pub(super) struct Seat {
    editor: Editor,
    lines: Option<mpsc::Sender<Vec<u8>>>,
    cx: Cx,
    _voice: Speaking,
}

impl Seat {
    /// Takes the terminal where there is one; without, lines are those of
    /// standard input and output.
    pub(super) async fn take(face: &Face, cx: &Cx) -> Result<(Option<Self>, Mouth, Ears), Failure> {
        let options = Options {
            remember: false, // what is said in a chat is nobody else's business
            raw: false,
            color: face.is_colored(),
        };
        let editor = if face.is_json() {
            None
        } else {
            Editor::open(options, cx).await?
        };
        let mut ears = Ears {
            face: face.clone(),
            above: None,
            waiting: String::new(),
            here: Here::default(),
        };
        let Some(editor) = editor else {
            return Ok((None, Mouth::Stdin(Stdin::open(cx).await?), ears));
        };
        let above = editor.above();
        ears.above = Some(above.clone());
        let (lines, typed) = mpsc::channel(MOST_WAITING);
        let voice = Speaking::through(face, Box::new(move |text| above.say(text)));
        let seat = Seat {
            editor,
            lines: Some(lines),
            cx: cx.clone(),
            _voice: voice,
        };
        Ok((Some(seat), Mouth::Keys(typed), ears))
    }

    /// Does `work`, which hears what is typed here, until it is done. Ctrl-D
    /// leaves; Ctrl-C leaves too, and waits no longer than that takes.
    pub(super) async fn beside(
        seat: Option<Self>,
        work: impl Future<Output = Result<(), Stop>>,
    ) -> Result<(), Stop> {
        let Some(mut seat) = seat else {
            return work.await;
        };
        let cx = seat.cx.clone();
        let mut work = std::pin::pin!(work);
        let mut interrupted: Option<Moment> = None;
        let ended = loop {
            let left = interrupted.map(|at| LEAVING.saturating_sub(cx.now() - at));
            let typed = tokio::select! {
                biased;
                typed = seat.editor.next() => typed,
                ended = &mut work => break ended,
                () = cx.sleep(left.unwrap_or_default()), if left.is_some() => break Ok(()),
            };
            match typed {
                Typed::Entry(entry) => seat.say(&entry),
                Typed::Command(words) => seat.command(&words),
                Typed::Eof | Typed::Interrupt => {
                    if typed == Typed::Interrupt {
                        interrupted.get_or_insert_with(|| cx.now());
                    }
                    // Said twice it is the end of all.
                    if seat.lines.take().is_none() {
                        break Ok(());
                    }
                }
            }
        };
        seat.editor.close().await;
        if interrupted.is_some() {
            return Err(Stop::Interrupted);
        }
        ended
    }

    /// Passes on what was typed; of several lines, each is said.
    fn say(&mut self, entry: &str) {
        for line in entry.split('\n') {
            let unsaid = match &self.lines {
                None => "note: you are leaving, and this is not said",
                Some(lines) => match lines.try_send(line.as_bytes().to_vec()) {
                    Ok(()) => continue,
                    Err(_) => "note: nothing is taken any more, and this is not said",
                },
            };
            return self.editor.above().say(unsaid);
        }
    }

    fn command(&mut self, words: &str) {
        match words.trim() {
            "" => {}
            "quit" | "q" | "exit" | "close" => self.lines = None,
            other => self.editor.above().say(&format!(
                "`{other}` is no command here: /help tells what there is, Ctrl-D leaves"
            )),
        }
    }
}

/// Where lines to be said come from.
pub(super) enum Mouth {
    Stdin(Stdin),
    Keys(mpsc::Receiver<Vec<u8>>),
}

impl Mouth {
    /// The next line without its end. Cancel-safe.
    pub(super) async fn line(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Mouth::Stdin(stdin) => stdin.line().await,
            Mouth::Keys(keys) => Ok(keys.recv().await),
        }
    }

    /// What comes next, of a stream of lines; nothing at its end.
    pub(super) async fn bytes(&mut self) -> Result<Vec<u8>, Failure> {
        match self {
            Mouth::Stdin(stdin) => stdin.bytes().await,
            Mouth::Keys(keys) => {
                let mut bytes = keys.recv().await;
                if let Some(line) = &mut bytes {
                    line.push(b'\n');
                }
                Ok(bytes.unwrap_or_default())
            }
        }
    }
}

/// Lines out of standard input.
pub(super) struct Stdin {
    conn: Conn,
    begun: Vec<u8>,
    ended: bool,
}

impl Stdin {
    async fn open(cx: &Cx) -> Result<Self, Failure> {
        let stdio: Endpoint = "-".parse().map_err(|error| complaint(&error))?;
        let stack = cx.net().stack(&stdio, Role::Dial)?;
        Ok(Stdin {
            conn: cx.net().dial(&stack, cx).await?.stream()?,
            begun: Vec::new(),
            ended: false,
        })
    }

    async fn bytes(&mut self) -> Result<Vec<u8>, Failure> {
        let mut part = [0; 8 * 1024];
        let read = self.conn.read(&mut part).await.map_err(|error| {
            Failure::from_io(Stage::Recv, error).message("standard input cannot be read")
        })?;
        Ok(part[..read].to_vec())
    }

    async fn line(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            let end = self.begun.iter().position(|&b| b == b'\n');
            if let Some(end) = end.or_else(|| (self.begun.len() > LONGEST).then_some(LONGEST)) {
                let mut line: Vec<u8> = self.begun.drain(..=end).collect();
                while line.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
                    line.pop();
                }
                return Ok(Some(line));
            }
            if self.ended {
                let rest = std::mem::take(&mut self.begun);
                return Ok((!rest.is_empty()).then_some(rest));
            }
            let part = self.bytes().await?;
            self.ended = part.is_empty();
            self.begun.extend_from_slice(&part);
        }
    }
}

/// Where what is heard is shown: nothing in it moves a terminal.
pub(super) struct Ears {
    face: Face,
    above: Option<Above>,
    /// Lines on their way to the terminal.
    waiting: String,
    here: Here,
}

impl Ears {
    /// Shows a line, which is anybody's.
    pub(super) fn show(&mut self, line: &[u8]) {
        let Some(above) = &self.above else {
            return heard(line, &self.face);
        };
        let line = shown(line);
        if self.here.learn(&line) {
            above.status(&self.here.to_string());
        }
        self.waiting.push_str(&line);
        self.waiting.push('\n');
    }

    /// Waits until the terminal has room for what was shown.
    pub(super) async fn settle(&mut self) {
        if let Some(above) = &self.above
            && !self.waiting.is_empty()
        {
            poll_fn(|task| above.poll_show(task, self.waiting.as_bytes())).await;
            self.waiting.clear();
        }
    }

    /// Whether nobody looks any more.
    pub(super) fn is_closed(&self) -> bool {
        self.face.is_closed()
    }
}

/// Who one is, and where, as a server last told it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Here {
    nick: String,
    room: String,
}

impl Here {
    /// Whether this line tells something new. A member cannot say one that
    /// looks so.
    fn learn(&mut self, line: &str) -> bool {
        let Some(told) = line.strip_prefix("* ") else {
            return false;
        };
        let word = |text: &str| text.split([' ', ';']).next().map(str::to_owned);
        let (nick, room) = if let Some(rest) = told.strip_prefix("welcome, ") {
            let Some((nick, rest)) = rest.split_once(": this is ") else {
                return false;
            };
            (Some(nick.to_owned()), word(rest))
        } else if let Some(rest) = told.strip_prefix("you are called ") {
            (word(rest), None)
        } else if let Some(rest) = told.strip_prefix("this is ") {
            (
                None,
                Some(rest.to_owned()).filter(|rest| !rest.contains(' ')),
            )
        } else {
            return false;
        };
        let learnt = nick.is_some() || room.is_some();
        if let Some(nick) = nick {
            self.nick = nick;
        }
        if let Some(room) = room {
            self.room = room;
        }
        learnt
    }
}

impl std::fmt::Display for Here {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Here { nick, room } = self;
        write!(f, "{nick} in {room} · /help · Ctrl-D leaves")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_one_is_and_where_is_learnt_from_what_a_server_tells() {
        let mut here = Here::default();
        for (line, news, nick, room) in [
            (
                "* welcome, guest-1: this is lobby; /nick NAME gives",
                true,
                "guest-1",
                "lobby",
            ),
            ("* you are called anna now", true, "anna", "lobby"),
            ("<bo> * you are called eve now", false, "anna", "lobby"),
            ("~ you are called eve now", false, "anna", "lobby"),
            ("* this is builds", true, "anna", "builds"),
            ("* this is json from now on", false, "anna", "builds"),
            ("* this is here now", false, "anna", "builds"),
            ("* bo is called ben now", false, "anna", "builds"),
        ] {
            assert_eq!(here.learn(line), news, "{line}");
            assert_eq!(
                (here.nick.as_str(), here.room.as_str()),
                (nick, room),
                "{line}"
            );
        }
        assert_eq!(here.to_string(), "anna in builds · /help · Ctrl-D leaves");
    }
}
