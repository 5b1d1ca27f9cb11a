//! Who is in which room, what they may do, and what is told to whom. No bytes,
//! no waiting: questions in, effects out.

mod member;
mod names;
mod places;
mod presence;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use netloom_base::Moment;

use super::text::look;
use super::wire::{Ask, Far, HELP, Line, Misread, What};
use member::Resting;
pub(super) use member::{Bucket, Paced};
use presence::Presence;

/// A member's number: its connection's, or a fresh one.
pub(super) type MemberId = u64;

/// What bounds a chat.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// The room that everybody enters first, and that is always there.
    pub(super) room: Arc<str>,
    pub(super) max_rooms: usize,
    pub(super) max_members: usize,
    pub(super) max_per_room: usize,
    /// In characters.
    pub(super) max_nick: usize,
    /// In bytes.
    pub(super) max_line: usize,
    /// Lines in a second; 0 is no limit.
    pub(super) rate: u64,
    /// Lines kept of each room, and their bytes.
    pub(super) history: usize,
    pub(super) history_bytes: usize,
}

/// How many names `/who` tells, and rooms `/rooms`.
const MOST_TOLD: usize = 100;

/// So many refused lines in a row, and a member is a flood.
const FLOOD: u32 = 1000;

/// When a question is asked, and chance for the ids of what it leads to.
#[derive(Debug, Clone)]
pub(super) struct Tick {
    pub(super) at: Moment,
    pub(super) chance: u64,
    /// The id of the first line, where it was said elsewhere and has one.
    pub(super) id: Option<Box<str>>,
}

impl Tick {
    /// A fresh id (splitmix64, so that one draw serves several lines).
    pub(super) fn id(&mut self) -> Box<str> {
        if let Some(id) = self.id.take() {
            return id;
        }
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!("{:016x}", z ^ (z >> 31)).into()
    }
}

/// What is to be done, in this order.
#[derive(Debug)]
pub(super) enum Effect {
    /// A member is in this room now, or in none.
    Placed {
        member: MemberId,
        from: Option<Arc<str>>,
        to: Option<Arc<str>>,
    },
    /// Tell everybody in a room but one, and the groups that are joined to this
    /// chat but the one it came from.
    Room {
        line: Arc<Line>,
        except: MemberId,
        came_by: Option<usize>,
    },
    /// Tell one member.
    One { to: MemberId, line: Arc<Line> },
    /// A member speaks JSON from now on, or text.
    Form { member: MemberId, json: bool },
    /// A member is to be let go: in order, or as a flood.
    Go { member: MemberId, flooded: bool },
}

#[derive(Debug, Clone)]
struct Member {
    nick: Arc<str>,
    room: Arc<str>,
    source: Option<IpAddr>,
    /// The group it speaks through, for one that is not connected to us.
    group: Option<usize>,
    /// Whom groups know it by, where that is not by its name here.
    far: Option<Far>,
    bucket: Bucket,
}

#[derive(Debug, Default)]
struct Room {
    topic: Option<Box<str>>,
    history: VecDeque<Arc<Line>>,
    history_bytes: usize,
    members: BTreeSet<MemberId>,
    presence: Presence,
}

/// Everybody and everything.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) rules: Rules,
    members: HashMap<MemberId, Member>,
    /// By what they look like.
    nicks: HashMap<Box<str>, MemberId>,
    resting: Resting,
    rooms: BTreeMap<Arc<str>, Room>,
    guests: u64,
    /// The number this chat has in groups.
    peer: Arc<str>,
}

/// Somebody who comes.
#[derive(Debug, Default)]
pub(super) struct Coming<'a> {
    pub(super) nick: Option<&'a str>,
    pub(super) room: Option<&'a str>,
    pub(super) source: Option<IpAddr>,
    pub(super) group: Option<usize>,
    pub(super) far: Option<Far>,
}

impl Core {
    pub(super) fn new(rules: Rules, peer: Arc<str>) -> Self {
        let rooms = BTreeMap::from([(rules.room.clone(), Room::default())]);
        Core {
            rules,
            members: HashMap::new(),
            nicks: HashMap::new(),
            resting: Resting::default(),
            rooms,
            guests: 0,
            peer,
        }
    }

    /// How many members there are.
    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    /// A member's name and room.
    pub(super) fn whereabouts(&self, id: MemberId) -> Option<(&Arc<str>, &Arc<str>)> {
        self.members
            .get(&id)
            .map(|member| (&member.nick, &member.room))
    }

    /// The names of the members in each room who are connected to us.
    pub(super) fn present(&self) -> impl Iterator<Item = (&Arc<str>, Vec<&Arc<str>>)> {
        self.rooms.iter().map(|(name, room)| {
            let ours = room.members.iter().filter_map(|id| self.members.get(id));
            let ours = ours.filter(|member| member.group.is_none());
            (name, ours.map(|member| &member.nick).collect())
        })
    }

    /// Lets somebody in. A wish that cannot be granted is granted as nearly as
    /// can be.
    ///
    /// # Errors
    /// When as many are there as may be.
    pub(super) fn enter(
        &mut self,
        id: MemberId,
        coming: &Coming<'_>,
        mut tick: Tick,
        out: &mut Vec<Effect>,
    ) -> Result<(), Arc<Line>> {
        if self.members.len() >= self.rules.max_members {
            let most = self.rules.max_members;
            let full = format!("{most} are here, and no more may be");
            return Err(Line::refused("full", full));
        }
        let room = match coming.room {
            Some(room) => self
                .room_for(room)
                .unwrap_or_else(|_| self.rules.room.clone()),
            None => self.rules.room.clone(),
        };
        if self.is_full(&room) {
            let full = format!("as many are in {room} as may be");
            return Err(Line::refused("room-full", full));
        }
        let nick = self.free_nick(coming, tick.at);
        self.nicks.insert(look(&nick), id);
        let member = Member {
            nick: nick.clone(),
            room: room.clone(),
            source: coming.source,
            group: coming.group,
            far: coming.far.clone(),
            bucket: Bucket::full(self.rules.rate, tick.at),
        };
        self.members.insert(id, member);
        if coming.group.is_none() {
            let welcome = format!(
                "welcome, {nick}: this is {room}; /nick NAME gives you another name, /help tells the rest"
            );
            let hello = Line::new(What::Hello, "".into(), &room, &nick, welcome);
            out.push(one(id, Arc::new(hello)));
        }
        self.put_in(id, None, &room, &mut tick, out);
        Ok(())
    }

    /// A member is gone. `why` is told to the others, unless it is empty.
    pub(super) fn leave(&mut self, id: MemberId, why: &str, mut tick: Tick, out: &mut Vec<Effect>) {
        let Some(member) = self.members.remove(&id) else {
            return;
        };
        let key = look(&member.nick);
        self.nicks.remove(&key);
        self.resting.put(key, member.source, tick.at);
        out.push(Effect::Placed {
            member: id,
            from: Some(member.room.clone()),
            to: None,
        });
        let room = member.room.clone();
        self.take_out(id, &member, &room, why, &mut tick, out);
    }

    /// Does what a member asks.
    pub(super) fn ask(&mut self, id: MemberId, ask: Ask, mut tick: Tick, out: &mut Vec<Effect>) {
        let rate = self.rules.rate;
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        match member.bucket.take(rate, tick.at) {
            Paced::Fine => {}
            Paced::TooFast { first, refused } => {
                if first {
                    let slow =
                        format!("{rate} lines a second may be said; what came faster is gone");
                    out.push(one(id, Line::refused("too-fast", slow)));
                }
                if refused >= FLOOD {
                    out.push(Effect::Go {
                        member: id,
                        flooded: true,
                    });
                }
                return;
            }
        }
        match ask {
            Ask::Say(text) => self.say(id, What::Say, &text, &mut tick, out),
            Ask::Me(text) => self.say(id, What::Me, &text, &mut tick, out),
            Ask::Private { to, text } => self.whisper(id, &to, &text, &mut tick, out),
            Ask::Nick(nick) => self.rename(id, &nick, &mut tick, out),
            Ask::Join(room) => self.join(id, &room, &mut tick, out),
            Ask::Topic(Some(topic)) => self.say(id, What::Topic, &topic, &mut tick, out),
            Ask::Speak { json } => {
                out.push(Effect::Form { member: id, json });
                let form = if json { "JSON" } else { "text" };
                out.push(one(id, Line::told(format!("this is {form} from now on"))));
            }
            Ask::Quit(_) => out.push(Effect::Go {
                member: id,
                flooded: false,
            }),
            Ask::Here => {}
            Ask::Help => out.push(one(id, Line::told(HELP))),
            Ask::History => self.recall(id, out),
            Ask::Topic(None) | Ask::Who(_) | Ask::Rooms => self.tell(id, &ask, out),
        }
    }

    /// Tells a member why something was not understood. That counts as a line,
    /// so that nobody makes the server talk without end.
    pub(super) fn misread(
        &mut self,
        id: MemberId,
        misread: Misread,
        tick: Tick,
        out: &mut Vec<Effect>,
    ) {
        let before = out.len();
        self.ask(id, Ask::Here, tick, out);
        if out.len() == before && self.members.contains_key(&id) {
            out.push(one(id, Line::refused(misread.why, misread.text)));
        }
    }

    fn say(
        &mut self,
        id: MemberId,
        what: What,
        text: &str,
        tick: &mut Tick,
        out: &mut Vec<Effect>,
    ) {
        if text.is_empty() {
            return;
        }
        if text.len() > self.rules.max_line {
            return out.push(one(id, self.too_long()));
        }
        let Some(member) = self.members.get(&id) else {
            return;
        };
        let Some(room) = self.rooms.get_mut(&member.room) else {
            return;
        };
        if what == What::Topic {
            room.topic = Some(text.into());
        }
        let mut line = Line::new(what, tick.id(), &member.room, &member.nick, text);
        line.far = Some(far(&self.peer, member.far.as_ref(), &member.nick));
        room.remember(&line, self.rules.history, self.rules.history_bytes);
        out.push(Effect::Room {
            line: Arc::new(line),
            except: id,
            came_by: member.group,
        });
    }

    fn too_long(&self) -> Arc<Line> {
        let most = self.rules.max_line;
        Line::refused(
            "line-too-long",
            format!("a line has at most {most} bytes; nothing of it was said"),
        )
    }

    fn whisper(&self, id: MemberId, to: &str, text: &str, tick: &mut Tick, out: &mut Vec<Effect>) {
        let Some(from) = self.members.get(&id) else {
            return;
        };
        if text.len() > self.rules.max_line {
            return out.push(one(id, self.too_long()));
        }
        let found = self
            .nicks
            .get(&look(to))
            .and_then(|to| Some((*to, self.members.get(to)?)));
        let Some((at, member)) = found else {
            return out.push(one(
                id,
                Line::refused("no-such-member", format!("nobody is called {to}")),
            ));
        };
        if member.group.is_some() {
            let open = format!(
                "{} is in a group, where everybody hears everything",
                member.nick
            );
            return out.push(one(id, Line::refused("not-private", open)));
        }
        let what = What::Private {
            to: member.nick.clone(),
        };
        let line = Line::new(what, tick.id(), &"".into(), &from.nick, text);
        out.push(one(at, Arc::new(line)));
    }

    fn recall(&self, id: MemberId, out: &mut Vec<Effect>) {
        let Some(member) = self.members.get(&id) else {
            return;
        };
        let Some(room) = self.rooms.get(&member.room) else {
            return;
        };
        let words = match room.history.len() {
            0 => "nothing was said yet".to_owned(),
            1 => "the last line:".to_owned(),
            n => format!("the last {n} lines:"),
        };
        out.push(one(id, Line::told(words)));
        out.extend(room.history.iter().map(|line| one(id, line.clone())));
        if !room.history.is_empty() {
            out.push(one(id, Line::told("so far")));
        }
    }

    /// Answers what changes nothing.
    fn tell(&self, id: MemberId, ask: &Ask, out: &mut Vec<Effect>) {
        let Some(member) = self.members.get(&id) else {
            return;
        };
        let nobody: Arc<str> = "".into();
        let line = match ask {
            Ask::Who(asked) => {
                let name = asked.as_deref().unwrap_or(&member.room);
                let Some((name, room)) = self.rooms.get_key_value(name) else {
                    return out.push(one(
                        id,
                        Line::refused("no-such-room", format!("there is no room {name}")),
                    ));
                };
                let nicks = room.members.iter().filter_map(|id| self.members.get(id));
                let nicks: Vec<_> = nicks.take(MOST_TOLD).map(|m| m.nick.clone()).collect();
                let more = room.members.len() - nicks.len();
                Line::new(What::Who { nicks, more }, "".into(), name, &nobody, "")
            }
            Ask::Rooms => {
                let each = |(name, room): (&Arc<str>, &Room)| (name.clone(), room.members.len());
                let rooms = self.rooms.iter().take(MOST_TOLD).map(each).collect();
                Line::new(What::Rooms { rooms }, "".into(), &nobody, &nobody, "")
            }
            _ => {
                let room = self.rooms.get(&member.room);
                let topic = room.and_then(|room| room.topic.as_deref());
                let words = topic.map_or_else(
                    || "there is no topic".to_owned(),
                    |topic| format!("the topic: {topic}"),
                );
                return out.push(one(id, Line::told(words)));
            }
        };
        out.push(one(id, Arc::new(line)));
    }
}

impl Room {
    fn remember(&mut self, line: &Line, most: usize, most_bytes: usize) {
        let size = line.text.len();
        if most == 0 || size > most_bytes {
            return;
        }
        self.history_bytes += size;
        self.history.push_back(Arc::new(line.earlier()));
        while self.history.len() > most || self.history_bytes > most_bytes {
            let Some(oldest) = self.history.pop_front() else {
                return;
            };
            self.history_bytes -= oldest.text.len();
        }
    }
}

/// Whom groups know a member by: ours by our number and their name.
fn far(peer: &Arc<str>, known: Option<&Far>, nick: &Arc<str>) -> Far {
    known.cloned().unwrap_or_else(|| Far {
        peer: peer.clone(),
        nick: nick.clone(),
    })
}

fn one(to: MemberId, line: Arc<Line>) -> Effect {
    Effect::One { to, line }
}
