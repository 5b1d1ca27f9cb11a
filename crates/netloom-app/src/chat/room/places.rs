//! Who is in which room, and who is told of it.

use std::sync::Arc;

use netloom_base::Moment;

use super::super::text::check_name;
use super::super::wire::{Line, What};
use super::{Core, Effect, Member, MemberId, Tick, far, one};

impl Core {
    pub(super) fn join(
        &mut self,
        id: MemberId,
        wish: &str,
        tick: &mut Tick,
        out: &mut Vec<Effect>,
    ) {
        let room = match self.room_for(wish) {
            Ok(room) => room,
            Err(refused) => return out.push(one(id, refused)),
        };
        let Some(member) = self.members.get(&id) else {
            return;
        };
        if member.room == room {
            return;
        }
        if self.is_full(&room) {
            let full = format!("as many are in {room} as may be");
            return out.push(one(id, Line::refused("room-full", full)));
        }
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let left = member.clone();
        member.room = room.clone();
        self.put_in(id, Some(left.room.clone()), &room, tick, out);
        self.take_out(id, &left, &left.room, "", tick, out);
    }

    /// The room of that name, which may have to be opened.
    pub(super) fn room_for(&self, wish: &str) -> Result<Arc<str>, Arc<Line>> {
        if let Some((name, _)) = self.rooms.get_key_value(wish) {
            return Ok(name.clone());
        }
        let longest = self.rules.max_nick;
        if let Err(bad) = check_name(wish, longest) {
            return Err(Line::refused("bad-room", bad.words(longest)));
        }
        if self.rooms.len() >= self.rules.max_rooms {
            let most = self.rules.max_rooms;
            return Err(Line::refused(
                "no-more-rooms",
                format!("{most} rooms are open, and no more may be"),
            ));
        }
        Ok(wish.into())
    }

    pub(super) fn is_full(&self, room: &str) -> bool {
        let there = self.rooms.get(room).map_or(0, |room| room.members.len());
        there >= self.rules.max_per_room
    }

    /// Puts a member into a room that may have to be opened.
    pub(super) fn put_in(
        &mut self,
        id: MemberId,
        from: Option<Arc<str>>,
        to: &Arc<str>,
        tick: &mut Tick,
        out: &mut Vec<Effect>,
    ) {
        let Some(member) = self.members.get(&id) else {
            return;
        };
        let (nick, group, came_anew) = (member.nick.clone(), member.group, from.is_none());
        let whom = far(&self.peer, member.far.as_ref(), &nick);
        let room = self.rooms.entry(to.clone()).or_default();
        room.members.insert(id);
        out.push(Effect::Placed {
            member: id,
            from,
            to: Some(to.clone()),
        });
        if group.is_none() {
            if !came_anew {
                let here = Line::new(What::Hello, "".into(), to, &nick, format!("this is {to}"));
                out.push(one(id, Arc::new(here)));
            }
            if let Some(topic) = &room.topic {
                out.push(one(id, Line::told(format!("the topic: {topic}"))));
            }
            if !room.history.is_empty() {
                self.recall(id, out);
            }
        }
        let mut line = Line::new(What::Join, tick.id(), to, &nick, "");
        line.far = Some(whom);
        self.announce(line, id, group, tick.at, out);
    }

    /// Takes a member out of a room, which is closed when nobody is left.
    pub(super) fn take_out(
        &mut self,
        id: MemberId,
        member: &Member,
        from: &Arc<str>,
        why: &str,
        tick: &mut Tick,
        out: &mut Vec<Effect>,
    ) {
        let Some(room) = self.rooms.get_mut(from) else {
            return;
        };
        room.members.remove(&id);
        let mut line = Line::new(What::Leave, tick.id(), from, &member.nick, why);
        line.far = Some(far(&self.peer, member.far.as_ref(), &member.nick));
        self.announce(line, id, member.group, tick.at, out);
        let empty = self
            .rooms
            .get(from)
            .is_some_and(|room| room.members.is_empty());
        if empty && *from != self.rules.room {
            self.rooms.remove(from);
        }
    }

    /// Tells a room who came or went, unless that would be told too often.
    pub(super) fn announce(
        &mut self,
        line: Line,
        except: MemberId,
        came_by: Option<usize>,
        at: Moment,
        out: &mut Vec<Effect>,
    ) {
        let Some(room) = self.rooms.get_mut(&line.room) else {
            return;
        };
        let others = room.members.len();
        // Why somebody was dropped is told whatever the size of the room.
        let important = !line.text.is_empty();
        let Some(unseen) = room.presence.may_tell(others, important, at) else {
            return;
        };
        if unseen > 0 {
            let nobody: Arc<str> = "".into();
            let missed = format!("{unseen} more came, went or changed their names meanwhile");
            let missed = Line::new(What::Told, "".into(), &line.room, &nobody, missed);
            out.push(Effect::Room {
                line: Arc::new(missed),
                except,
                came_by,
            });
        }
        out.push(Effect::Room {
            line: Arc::new(line),
            except,
            came_by,
        });
    }
}
