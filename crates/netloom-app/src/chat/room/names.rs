//! Who is called what: one look, one member.

use std::net::IpAddr;
use std::sync::Arc;

use netloom_base::Moment;

use super::super::text::{check_name, look};
use super::super::wire::{Line, What};
use super::{Coming, Core, Effect, MemberId, Tick, far, one};

impl Core {
    pub(super) fn rename(
        &mut self,
        id: MemberId,
        wish: &str,
        tick: &mut Tick,
        out: &mut Vec<Effect>,
    ) {
        let longest = self.rules.max_nick;
        if let Err(bad) = check_name(wish, longest) {
            return out.push(one(id, Line::refused("bad-nick", bad.words(longest))));
        }
        let Some(member) = self.members.get(&id) else {
            return;
        };
        if &*member.nick == wish {
            return;
        }
        let key = look(wish);
        if !self.may_have(id, &key, member.source, tick.at) {
            let mut taken = format!("{wish} is taken, or looks like a name that is");
            if let Some(offer) = self.beside(wish, member.source, tick.at) {
                taken.push_str("; ");
                taken.push_str(&offer);
                taken.push_str(" is free");
            }
            return out.push(one(id, Line::refused("nick-taken", taken)));
        }
        let new: Arc<str> = wish.into();
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let old = std::mem::replace(&mut member.nick, new.clone());
        let (source, group, room) = (member.source, member.group, member.room.clone());
        let old_key = look(&old);
        self.nicks.remove(&old_key);
        self.resting.put(old_key, source, tick.at);
        self.nicks.insert(key, id);
        if group.is_none() {
            out.push(one(id, Line::told(format!("you are called {new} now"))));
        }
        let mut line = Line::new(What::Nick { to: new }, tick.id(), &room, &old, "");
        line.far = Some(far(&self.peer, None, &old));
        self.announce(line, id, group, tick.at, out);
    }

    /// The name for somebody who comes: the one wished for, one beside it, or a
    /// guest's.
    pub(super) fn free_nick(&mut self, coming: &Coming<'_>, at: Moment) -> Arc<str> {
        if let Some(wish) = coming
            .nick
            .filter(|wish| check_name(wish, self.rules.max_nick).is_ok())
        {
            if self.may_have(0, &look(wish), coming.source, at) {
                return wish.into();
            }
            if let Some(beside) = self.beside(wish, coming.source, at) {
                return beside.into();
            }
        }
        loop {
            self.guests += 1;
            let guest = format!("guest-{}", self.guests);
            if !self.nicks.contains_key(&look(&guest)) {
                return guest.into();
            }
        }
    }

    pub(super) fn may_have(
        &self,
        id: MemberId,
        key: &str,
        source: Option<IpAddr>,
        at: Moment,
    ) -> bool {
        match self.nicks.get(key) {
            Some(holder) => *holder == id,
            None => !self.resting.rests(key, source, at),
        }
    }

    /// A free name that reads like one that is taken.
    pub(super) fn beside(&self, wish: &str, source: Option<IpAddr>, at: Moment) -> Option<String> {
        let room = self.rules.max_nick.saturating_sub(3);
        let stem: String = wish.chars().take(room).collect();
        let each = (2..100).map(|n| format!("{stem}-{n}"));
        let free = |name: &String| self.may_have(0, &look(name), source, at);
        let fits = |name: &String| check_name(name, self.rules.max_nick).is_ok();
        each.filter(fits).find(free)
    }
}
