//! A group in which this chat is one of many who speak: nobody serves it,
//! everybody hears everybody, and every message names who said it.
//!
//! A message is told once whichever ways it comes, by its id, and goes on into
//! the other carriers of this chat with the same id and the same speaker. So
//! no two programs can say it to each other for ever.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use netloom_base::Moment;
use netloom_transport::{Conn, Cx};
use serde_json::{Map, Value, json};

use super::desk::{Form, Mailbox};
use super::hall::Hall;
use super::room::{Bucket, Coming, MemberId, Paced};
use super::wire::{Ask, Far, field, object};

/// How often those who are here say so, and how long nothing of one is heard
/// before it is taken for gone.
pub(super) const REPEAT: Duration = Duration::from_secs(30);
const GONE: Duration = Duration::from_secs(95);

/// Who asks who is here is answered no more often. Whoever asks before is
/// answered when that time is over, with all the others who did.
const ANSWER: Duration = Duration::from_secs(1);

/// So often it is asked who is here while nobody was heard: the question or its
/// answers may be lost, above all where a switch has only begun to pass the
/// group on.
const ASK: u32 = 3;

/// So many speakers of a group are known at once.
const MOST: usize = 1000;

/// Messages of a whole group that are heard in a second.
const RATE: u64 = 2000;

/// Names in one message, so that it passes every path unsplit.
const NAMES: usize = 25;

/// In a room with more members nobody is named.
const NAMED: usize = 100;

/// The most characters of an id or of a program's number.
const ID: usize = 64;

/// The group, as far as it was heard.
pub(super) struct Group {
    number: usize,
    pub(super) mailbox: Arc<Mailbox>,
    far: HashMap<Far, Heard>,
    bucket: Bucket,
    answered: Option<Moment>,
    /// When whoever asked too soon is answered.
    due: Option<Moment>,
    /// Another was heard, whoever that is.
    heard: bool,
    asked: u32,
}

struct Heard {
    id: MemberId,
    at: Moment,
}

impl Group {
    pub(super) fn join(hall: &Hall, cx: &Cx) -> Self {
        let mailbox = Mailbox::new(hall.max_queue, Form::Datagram);
        Group {
            number: hall.join_group(mailbox.clone()),
            mailbox,
            far: HashMap::new(),
            bucket: Bucket::full(RATE, cx.now()),
            answered: None,
            due: None,
            heard: false,
            asked: 0,
        }
    }

    /// Says who is here with us, and has the others say the same.
    pub(super) fn ask(&mut self, hall: &Hall, cx: &Cx) -> Vec<Vec<u8>> {
        self.asked += 1;
        here(true, hall, cx)
    }

    /// What is said again because nobody was heard yet.
    pub(super) fn ask_again(&mut self, hall: &Hall, cx: &Cx) -> Vec<Vec<u8>> {
        if self.heard || self.asked >= ASK {
            return Vec::new();
        }
        self.ask(hall, cx)
    }

    /// When an answer is due next.
    pub(super) fn due(&self) -> Option<Moment> {
        self.due
    }

    /// The answer to those who asked, when its time has come.
    pub(super) fn owed(&mut self, hall: &Hall, cx: &Cx) -> Vec<Vec<u8>> {
        if self.due.is_none_or(|due| cx.now() < due) {
            return Vec::new();
        }
        (self.due, self.answered) = (None, Some(cx.now()));
        here(false, hall, cx)
    }

    /// Takes in a message, and gives what is answered to it.
    pub(super) fn hear(&mut self, bytes: &[u8], hall: &Hall, cx: &Cx) -> Vec<Vec<u8>> {
        let nothing = Vec::new();
        if bytes.len() > hall.max_line * 2 + 1024 || self.bucket.take(RATE, cx.now()) != Paced::Fine
        {
            return nothing;
        }
        let Ok(object) = object(bytes) else {
            return nothing;
        };
        let known = |key| field(&object, key).filter(|text| text.len() <= ID);
        let (Some(what), Some(id)) = (known("chat"), known("id")) else {
            return nothing;
        };
        let peer: Arc<str> = known("peer").unwrap_or_default().into();
        if peer == hall.peer || !hall.is_new(&id) {
            return nothing;
        }
        self.heard = true;
        let far = known("nick").map(|nick| Far {
            peer: peer.clone(),
            nick: nick.into(),
        });
        let text = || field(&object, "text").unwrap_or_default();
        let room = field(&object, "room");
        let room = room.as_deref();
        match (&*what, far) {
            ("here", _) => return self.are_here(&peer, &object, hall, cx),
            ("gone", _) => self.is_gone(&peer, hall, cx),
            ("leave", Some(far)) => self.leaves(&far, "", hall, cx),
            ("nick", Some(far)) => {
                self.leaves(&far, "", hall, cx);
                if let Some(to) = known("to") {
                    let far = Far {
                        peer,
                        nick: to.into(),
                    };
                    self.member(&far, room, None, hall, cx);
                }
            }
            ("join", Some(far)) => {
                self.member(&far, room, Some(&id), hall, cx);
            }
            ("say" | "me" | "topic", Some(far)) => {
                let ask = match &*what {
                    "say" => Ask::Say(text()),
                    "me" => Ask::Me(text()),
                    _ => Ask::Topic(Some(text())),
                };
                if let Some(member) = self.member(&far, room, None, hall, cx) {
                    hall.ask_far(member, ask, id.into(), cx);
                }
            }
            _ => {}
        }
        nothing
    }

    /// The member of a speaker, who may be new, or in another room than before.
    fn member(
        &mut self,
        far: &Far,
        room: Option<&str>,
        said: Option<&str>,
        hall: &Hall,
        cx: &Cx,
    ) -> Option<MemberId> {
        if let Some(heard) = self.far.get_mut(far) {
            heard.at = cx.now();
            let id = heard.id;
            if let Some(room) = room {
                let elsewhere =
                    hall.look(|core| core.whereabouts(id).is_some_and(|(_, at)| &**at != room));
                if elsewhere {
                    hall.ask(id, Ask::Join(room.to_owned()), cx);
                }
            }
            return Some(id);
        }
        if self.far.len() >= MOST {
            return None;
        }
        let id = Conn::number();
        let coming = Coming {
            nick: Some(&far.nick),
            room,
            group: Some(self.number),
            far: Some(far.clone()),
            ..Coming::default()
        };
        if !hall.enter_far(id, &coming, said.map(Into::into), cx) {
            return None;
        }
        self.far.insert(far.clone(), Heard { id, at: cx.now() });
        Some(id)
    }

    fn leaves(&mut self, far: &Far, why: &str, hall: &Hall, cx: &Cx) {
        if let Some(heard) = self.far.remove(far) {
            hall.leave(heard.id, why, cx);
        }
    }

    /// A whole program is gone.
    fn is_gone(&mut self, peer: &str, hall: &Hall, cx: &Cx) {
        let its: Vec<Far> = self
            .far
            .keys()
            .filter(|far| &*far.peer == peer)
            .cloned()
            .collect();
        for far in its {
            self.leaves(&far, "", hall, cx);
        }
    }

    /// Others say that they are here, and may ask who else is.
    fn are_here(
        &mut self,
        peer: &Arc<str>,
        object: &Map<String, Value>,
        hall: &Hall,
        cx: &Cx,
    ) -> Vec<Vec<u8>> {
        let room = field(object, "room");
        let names = object.get("nicks").and_then(Value::as_array);
        for name in names.into_iter().flatten().take(NAMES) {
            if let Some(name) = name.as_str().filter(|name| name.len() <= ID) {
                let far = Far {
                    peer: peer.clone(),
                    nick: super::text::cleaned(name).into(),
                };
                self.member(&far, room.as_deref(), None, hall, cx);
            }
        }
        if object.get("ask") != Some(&Value::Bool(true)) {
            return Vec::new();
        }
        let next = self.answered.map_or(cx.now(), |at| at + ANSWER);
        self.due.get_or_insert(next);
        self.owed(hall, cx)
    }

    /// Lets those go who were not heard for long.
    pub(super) fn forget(&mut self, hall: &Hall, cx: &Cx) {
        let now = cx.now();
        let gone = self.far.iter().filter(|(_, heard)| now - heard.at > GONE);
        let gone: Vec<Far> = gone.map(|(far, _)| far.clone()).collect();
        for far in gone {
            self.leaves(&far, "not heard of any more", hall, cx);
        }
    }

    /// Everybody who was heard there is gone with it.
    pub(super) fn leave(mut self, hall: &Hall, cx: &Cx) {
        hall.leave_group(self.number);
        for (_, heard) in self.far.drain() {
            hall.leave(heard.id, "", cx);
        }
    }
}

/// What says who is here with us. `ask` has others say the same.
pub(super) fn here(ask: bool, hall: &Hall, cx: &Cx) -> Vec<Vec<u8>> {
    let rooms: Vec<(Arc<str>, Vec<Arc<str>>)> = hall.look(|core| {
        let few = core
            .present()
            .filter(|(_, nicks)| !nicks.is_empty() && nicks.len() <= NAMED);
        few.map(|(room, nicks)| (room.clone(), nicks.into_iter().cloned().collect()))
            .collect()
    });
    let mut said = Vec::new();
    for (room, nicks) in &rooms {
        for nicks in nicks.chunks(NAMES) {
            let nicks: Vec<&str> = nicks.iter().map(|nick| &**nick).collect();
            said.push(json!({"chat": "here", "room": **room, "nicks": nicks}));
        }
    }
    if ask {
        said.push(json!({"chat": "here", "ask": true}));
    }
    said.into_iter()
        .map(|message| signed(message, hall, cx))
        .collect()
}

/// What says that all who are here with us are gone.
pub(super) fn farewell(hall: &Hall, cx: &Cx) -> Vec<u8> {
    signed(json!({"chat": "gone"}), hall, cx)
}

/// A message of ours with its id, which we know again.
fn signed(mut message: Value, hall: &Hall, cx: &Cx) -> Vec<u8> {
    let id = format!("{:016x}", cx.random_below(u64::MAX));
    hall.is_new(&id);
    message["id"] = id.into();
    message["peer"] = (*hall.peer).into();
    message.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use netloom_base::Settings;
    use netloom_transport::sim::Sim;

    use super::*;
    use crate::chat::Chat;

    fn asks(id: &str, peer: &str) -> Vec<u8> {
        let ask = json!({"chat": "here", "ask": true, "id": id, "peer": peer});
        ask.to_string().into_bytes()
    }

    #[test]
    fn who_asks_soon_after_another_is_answered_when_the_time_is_over() {
        let sim = Sim::new(1);
        let cx = sim.host("here");
        sim.block_on(async {
            let chat = Chat::read(&Settings::new()).unwrap();
            let coming = Coming {
                nick: Some("ann"),
                ..Coming::default()
            };
            let entered = chat.hall.enter(1, &chat.desk, true, &coming, &cx);
            let _ann = entered.ok().unwrap();
            let mut group = Group::join(&chat.hall, &cx);
            let names = |said: &[Vec<u8>]| {
                let said = said.iter().map(|one| String::from_utf8_lossy(one));
                said.filter(|one| one.contains(r#"["ann"]"#)).count()
            };
            assert_eq!(names(&group.hear(&asks("1", "a"), &chat.hall, &cx)), 1);
            assert!(group.hear(&asks("2", "b"), &chat.hall, &cx).is_empty());
            assert!(group.hear(&asks("3", "c"), &chat.hall, &cx).is_empty());
            let due = group.due().unwrap();
            assert!(group.owed(&chat.hall, &cx).is_empty(), "not yet");
            cx.sleep(due - cx.now()).await;
            assert_eq!(names(&group.owed(&chat.hall, &cx)), 1, "once for both");
            assert!(group.due().is_none());
            assert!(group.owed(&chat.hall, &cx).is_empty());
        })
        .unwrap();
    }

    #[test]
    fn it_is_asked_again_until_somebody_is_heard_and_not_for_ever() {
        let sim = Sim::new(1);
        let cx = sim.host("here");
        let chat = Chat::read(&Settings::new()).unwrap();
        let mut group = Group::join(&chat.hall, &cx);
        let asked = |said: Vec<Vec<u8>>| {
            let ask = |one: &Vec<u8>| String::from_utf8_lossy(one).contains("\"ask\":true");
            said.iter().any(ask)
        };
        assert!(asked(group.ask(&chat.hall, &cx)));
        for _ in 1..ASK {
            assert!(asked(group.ask_again(&chat.hall, &cx)));
        }
        assert!(!asked(group.ask_again(&chat.hall, &cx)));
        let mut group = Group::join(&chat.hall, &cx);
        group.ask(&chat.hall, &cx);
        group.hear(&asks("1", "a"), &chat.hall, &cx);
        assert!(!asked(group.ask_again(&chat.hall, &cx)));
    }
}
