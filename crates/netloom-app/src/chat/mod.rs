//! `chat`: rooms, names, history and private messages, over whatever carries
//! lines, messages or datagrams.
//!
//! | file | what it knows |
//! |---|---|
//! | `text` | what may be in a name and in a line |
//! | `wire` | the two forms of what is said, and how they are read |
//! | `room` | who is where and may do what: no bytes, no waiting |
//! | `desk` | what waits for whom, core by core |
//! | `hall` | one chat: the rules, the desks and the groups together |
//! | `stream`, `messages`, `datagrams`, `group` | the carriers |

mod datagrams;
mod desk;
mod group;
mod hall;
mod messages;
mod room;
mod stream;
mod text;
mod wire;

use std::sync::Arc;

use netloom_base::settings::ByteSize;
use netloom_base::{Failure, Key, SettingError, Settings, settings};
use netloom_protocol::{DatagramService, MessageService, Offer, Service};
use netloom_transport::{BoxFuture, Conn, Cx, Messages, Net};

use crate::registry::ServiceKind;
use desk::Desk;
use hall::Hall;
use room::{Coming, Rules};

settings! {
    /// What bounds a chat.
    struct ChatSettings {
        /// the chat room that everybody enters first
        lobby: String = "lobby".to_owned(),
        /// lines of a room that are told to those who come later; 0 is none
        history: usize = 20,
        /// the most bytes of those lines
        history_bytes: ByteSize = ByteSize(32 * 1024),
        /// members at once, whatever carries them
        max_members: usize = 10_000,
        /// members of one room
        max_per_room: usize = 10_000,
        /// rooms open at once
        max_rooms: usize = 100,
        /// characters of a name
        max_nick: usize = 24,
        /// bytes of a line that is said; a longer one is refused
        max_line: usize = 4096,
        /// lines that a member may say in a second, four times as many at once; 0 is no limit
        max_rate: u64 = 20,
        /// bytes that wait for a member who does not read, before it is let go
        max_queue: ByteSize = ByteSize(256 * 1024),
    }
}

/// The kind `chat`.
#[derive(Debug, Clone, Copy)]
pub struct ChatKind;

impl ServiceKind for ChatKind {
    fn name(&self) -> &'static str {
        "chat"
    }

    fn help(&self) -> &'static str {
        "rooms to talk in, for nc, telnet and programs"
    }

    fn keys(&self) -> &'static [Key] {
        ChatSettings::KEYS
    }

    fn example(&self) -> &'static str {
        "lobby = \"lobby\"\nhistory = 50"
    }

    fn build(&self, settings: &Settings, _: &dyn Net) -> Result<Offer, Vec<SettingError>> {
        let chat = Chat::read(settings)?;
        Ok(Offer::Bytes(Arc::new(chat)))
    }
}

/// A chat, whatever carries it.
#[derive(Clone)]
pub struct Chat {
    hall: Arc<Hall>,
    /// Where those sit who come by this value.
    desk: Arc<Desk>,
    /// Whom those who come by messages are.
    guest: Guest,
}

/// How one who comes by messages begins.
#[derive(Debug, Clone)]
struct Guest {
    nick: Option<String>,
    room: Option<String>,
    json: bool,
}

impl Chat {
    /// A chat with these settings.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(settings: &Settings) -> Result<Self, Vec<SettingError>> {
        let read = ChatSettings::read(settings)?;
        let mut errors = Vec::new();
        let mut refuse = |key: &str, message: String| {
            let span = settings.last(key).and_then(|setting| setting.span.clone());
            errors.push(SettingError::new(key, span, message));
        };
        if let Err(bad) = text::check_name(&read.lobby, read.max_nick) {
            refuse(
                "lobby",
                format!(
                    "no room can be called `{}`: {}",
                    read.lobby,
                    bad.words(read.max_nick)
                ),
            );
        }
        for (key, value, least) in [
            ("max-members", read.max_members, 1),
            ("max-per-room", read.max_per_room, 1),
            ("max-rooms", read.max_rooms, 1),
            ("max-nick", read.max_nick, 8),
            ("max-line", read.max_line, 64),
        ] {
            if value < least {
                refuse(key, format!("{least} is the least"));
            }
        }
        let bytes = |size: ByteSize| {
            usize::try_from(size.0)
                .unwrap_or(usize::MAX / 8)
                .min(usize::MAX / 8)
        };
        let (max_queue, history_bytes) = (bytes(read.max_queue), bytes(read.history_bytes));
        if max_queue < history_bytes.saturating_mul(2) {
            let least = ByteSize(history_bytes as u64 * 2);
            refuse(
                "max-queue",
                format!(
                    "{least} is the least, twice what `history-bytes` says: whoever comes is told the history at once"
                ),
            );
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let rules = Rules {
            room: read.lobby.into(),
            max_rooms: read.max_rooms,
            max_members: read.max_members,
            max_per_room: read.max_per_room,
            max_nick: read.max_nick,
            max_line: read.max_line,
            rate: read.max_rate,
            history: read.history,
            history_bytes,
        };
        let hall = Hall::new(rules, max_queue);
        Ok(Chat {
            desk: hall.desk(0),
            hall,
            guest: Guest {
                nick: None,
                room: None,
                json: true,
            },
        })
    }

    /// The same chat for one who comes by messages with these wishes, and
    /// begins with text unless `json`.
    pub fn with_guest(&self, nick: Option<&str>, room: Option<&str>, json: bool) -> Self {
        let guest = Guest {
            nick: nick.map(str::to_owned),
            room: room.map(str::to_owned),
            json,
        };
        Chat {
            guest,
            ..self.clone()
        }
    }

    /// How many members there are.
    pub fn members(&self) -> usize {
        self.hall.look(room::Core::count)
    }
}

/// A line as it may be shown on a terminal, whoever sent it.
pub fn shown(line: &[u8]) -> String {
    text::cleaned(&String::from_utf8_lossy(line))
}

/// What is wrong with a name that somebody wishes, if anything.
pub fn bad_name(name: &str) -> Option<String> {
    let longest = 64;
    text::check_name(name, longest)
        .err()
        .map(|bad| bad.words(longest))
}

impl Service for Chat {
    fn serve<'a>(&'a self, conn: Conn, cx: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(stream::converse(&self.hall, &self.desk, conn, cx))
    }

    fn datagrams(self: Arc<Self>) -> Option<Arc<dyn DatagramService>> {
        Some(self)
    }

    fn messages(self: Arc<Self>) -> Option<Arc<dyn MessageService>> {
        Some(self)
    }

    fn per_core(&self, core: usize) -> Option<Arc<dyn Service>> {
        let desk = self.hall.desk(core + 1);
        Some(Arc::new(Chat {
            desk,
            ..self.clone()
        }))
    }
}

impl MessageService for Chat {
    fn serve<'a>(
        &'a self,
        messages: Box<dyn Messages>,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        let coming = Coming {
            nick: self.guest.nick.as_deref(),
            room: self.guest.room.as_deref(),
            ..Coming::default()
        };
        Box::pin(messages::converse(
            &self.hall,
            &self.desk,
            self.guest.json,
            coming,
            messages,
            cx,
        ))
    }
}
