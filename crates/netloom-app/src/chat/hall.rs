//! One chat: everybody who takes part, whatever carries them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Side, Stage};
use netloom_transport::{Cx, Peer};

use super::desk::{Desk, End, Form, Mailbox, Parcel, lock};
use super::room::{Coming, Core, Effect, MemberId, Rules, Tick};
use super::text::{Typed, clean};
use super::wire::{Ask, Line, Misread, read_json, read_line};

/// How long whoever speaks pauses when others have no time to read.
pub(super) const PAUSE: Duration = Duration::from_millis(1);

/// One chat.
pub(super) struct Hall {
    state: Mutex<State>,
    desks: Mutex<Vec<Arc<Desk>>>,
    /// The number of this chat in groups.
    pub(super) peer: Arc<str>,
    pub(super) max_line: usize,
    pub(super) max_queue: usize,
}

struct State {
    core: Core,
    members: HashMap<MemberId, Place>,
    /// Those who were moved to another core and have not arrived.
    moving: HashMap<MemberId, Member>,
    /// What goes out to each group that is joined.
    groups: Vec<Group>,
    /// What was said in groups of late, by us and by others.
    seen: Seen,
    effects: Vec<Effect>,
}

struct Place {
    desk: Arc<Desk>,
    mailbox: Arc<Mailbox>,
}

/// A group's mailbox, and the number it is known by.
struct Group {
    number: usize,
    mailbox: Arc<Mailbox>,
}

/// One who is connected to us.
pub(super) struct Member {
    pub(super) id: MemberId,
    pub(super) mailbox: Arc<Mailbox>,
}

/// A member's place, given up when this is dropped, also by a panic.
pub(super) struct Seated<'a> {
    pub(super) hall: &'a Hall,
    pub(super) cx: &'a Cx,
    pub(super) member: Option<Member>,
}

impl Seated<'_> {
    /// The member; there is none when it was moved to another core.
    pub(super) fn member(&self) -> Option<&Member> {
        self.member.as_ref()
    }
}

impl Drop for Seated<'_> {
    fn drop(&mut self) {
        if let Some(member) = self.member.take() {
            let why = told_why(member.mailbox.ended());
            self.hall.leave(member.id, why, self.cx);
        }
    }
}

impl Hall {
    pub(super) fn new(rules: Rules, max_queue: usize) -> Arc<Self> {
        // No other program in a group may have the same, so no seed will do.
        let peer = format!("{:016x}", RandomState::new().hash_one("peer"));
        let peer: Arc<str> = peer.into();
        Arc::new(Hall {
            peer: peer.clone(),
            max_line: rules.max_line,
            max_queue,
            state: Mutex::new(State {
                core: Core::new(rules, peer),
                members: HashMap::new(),
                moving: HashMap::new(),
                groups: Vec::new(),
                seen: Seen::default(),
                effects: Vec::new(),
            }),
            desks: Mutex::new(Vec::new()),
        })
    }

    /// The desk of that number.
    pub(super) fn desk(&self, number: usize) -> Arc<Desk> {
        let mut desks = lock(&self.desks);
        while desks.len() <= number {
            desks.push(Arc::default());
        }
        desks[number].clone()
    }

    /// Lets somebody in at a desk.
    ///
    /// # Errors
    /// The line that says why not.
    pub(super) fn enter(
        &self,
        id: MemberId,
        desk: &Arc<Desk>,
        json: bool,
        coming: &Coming<'_>,
        cx: &Cx,
    ) -> Result<Member, Arc<Line>> {
        let form = if json { Form::Json } else { Form::Text };
        let mailbox = Mailbox::new(self.max_queue, form);
        let mut state = lock(&self.state);
        let place = Place {
            desk: desk.clone(),
            mailbox: mailbox.clone(),
        };
        state.members.insert(id, place);
        let entered = self.act(&mut state, |core, out| {
            core.enter(id, coming, tick(cx), out)
        });
        if let Err(refused) = entered.0 {
            state.members.remove(&id);
            return Err(refused);
        }
        drop(state);
        desk.hand_out();
        if desk.hire() {
            cx.spawn_loose(keep_desk(desk.clone(), cx.clone()));
        }
        Ok(Member { id, mailbox })
    }

    /// Somebody speaks in a group who was not known.
    pub(super) fn enter_far(
        &self,
        id: MemberId,
        coming: &Coming<'_>,
        said: Option<Box<str>>,
        cx: &Cx,
    ) -> bool {
        let tick = Tick {
            id: said,
            ..tick(cx)
        };
        let mut state = lock(&self.state);
        let (entered, _) = self.act(&mut state, |core, out| core.enter(id, coming, tick, out));
        entered.is_ok()
    }

    /// Does what one who speaks in a group asks; what is said keeps its id.
    pub(super) fn ask_far(&self, id: MemberId, ask: Ask, said: Box<str>, cx: &Cx) {
        let tick = Tick {
            id: Some(said),
            ..tick(cx)
        };
        let mut state = lock(&self.state);
        self.act(&mut state, |core, out| core.ask(id, ask, tick, out));
    }

    /// Whether an id is new; if so it is known from now on.
    pub(super) fn is_new(&self, id: &str) -> bool {
        lock(&self.state).seen.add(id)
    }

    /// Does what a member asks, and says whether it should pause.
    pub(super) fn ask(&self, id: MemberId, ask: Ask, cx: &Cx) -> bool {
        let mut state = lock(&self.state);
        let behind = self
            .act(&mut state, |core, out| core.ask(id, ask, tick(cx), out))
            .1;
        // Handed out at the member's desk while others may ask on.
        let desk = state.members.get(&id).map(|place| place.desk.clone());
        drop(state);
        desk.is_some_and(|desk| desk.hand_out()) | behind
    }

    /// Tells a member why something was not understood.
    fn misread(&self, id: MemberId, misread: Misread, cx: &Cx) {
        let mut state = lock(&self.state);
        self.act(&mut state, |core, out| {
            core.misread(id, misread, tick(cx), out);
        });
    }

    /// A member is gone.
    pub(super) fn leave(&self, id: MemberId, why: &str, cx: &Cx) {
        let mut state = lock(&self.state);
        self.act(&mut state, |core, out| core.leave(id, why, tick(cx), out));
        let place = state.members.remove(&id);
        drop(state);
        if let Some(place) = place {
            place.desk.hand_out();
            place.desk.brought.notify_one();
        }
    }

    /// Takes in what a member typed, in the form it speaks.
    pub(super) fn hear(
        &self,
        member: &Member,
        typed: &Typed<'_>,
        json: &mut bool,
        cx: &Cx,
    ) -> bool {
        let id = member.id;
        let Typed::Line(bytes) = typed else {
            self.misread(id, too_long(self.max_line), cx);
            return false;
        };
        let read = if bytes.first() == Some(&b'{') {
            // Whoever speaks JSON is answered in it.
            if !std::mem::replace(json, true) {
                member.mailbox.speak(true);
            }
            read_json(bytes).map(Some)
        } else {
            clean(bytes).map_or_else(
                || {
                    Err(Misread {
                        why: "not-text",
                        text: "that is not UTF-8; nothing of it was said".to_owned(),
                    })
                },
                |line| read_line(&line),
            )
        };
        match read {
            Ok(None) => false,
            Ok(Some(ask)) => {
                if let Ask::Speak { json: wanted } = ask {
                    *json = wanted;
                }
                self.ask(id, ask, cx)
            }
            Err(misread) => {
                self.misread(id, misread, cx);
                false
            }
        }
    }

    /// Keeps a member for the core it moves to.
    pub(super) fn park(&self, member: Member) {
        lock(&self.state).moving.insert(member.id, member);
    }

    /// The member that was moved here, if it was.
    pub(super) fn unpark(&self, id: MemberId) -> Option<Member> {
        let mut state = lock(&self.state);
        if state.moving.is_empty() {
            return None;
        }
        state.moving.remove(&id)
    }

    /// Joins a group: what is said here goes into the mailbox too, as JSON.
    pub(super) fn join_group(&self, mailbox: Arc<Mailbox>) -> usize {
        let mut state = lock(&self.state);
        let number = state
            .groups
            .iter()
            .map(|group| group.number + 1)
            .max()
            .unwrap_or(0);
        state.groups.push(Group { number, mailbox });
        number
    }

    pub(super) fn leave_group(&self, number: usize) {
        lock(&self.state)
            .groups
            .retain(|group| group.number != number);
    }

    /// A look at everybody.
    pub(super) fn look<T>(&self, at: impl FnOnce(&Core) -> T) -> T {
        at(&lock(&self.state).core)
    }

    /// Asks the core, and does what follows from it in its order.
    fn act<T>(
        &self,
        state: &mut State,
        ask: impl FnOnce(&mut Core, &mut Vec<Effect>) -> T,
    ) -> (T, bool) {
        let mut effects = std::mem::take(&mut state.effects);
        let answer = ask(&mut state.core, &mut effects);
        let mut behind = false;
        for effect in effects.drain(..) {
            behind |= self.carry_out(state, effect);
        }
        state.effects = effects;
        (answer, behind)
    }

    fn carry_out(&self, state: &mut State, effect: Effect) -> bool {
        match effect {
            Effect::Placed { member, from, to } => {
                if let Some(place) = state.members.get(&member) {
                    place.desk.place(member, &place.mailbox, from.as_ref(), to);
                }
            }
            Effect::Room {
                line,
                except,
                came_by,
            } => {
                let State { groups, seen, .. } = &mut *state;
                if !groups.is_empty() && !line.id.is_empty() {
                    seen.add(&line.id);
                    for group in groups.iter().filter(|group| Some(group.number) != came_by) {
                        group.mailbox.put(&line);
                    }
                }
                return self.spread(state, &line, except);
            }
            Effect::One { to, line } => {
                if let Some(place) = state.members.get(&to) {
                    place.desk.hand_out();
                    place.mailbox.put(&line);
                }
            }
            Effect::Form { member, json } => {
                if let Some(place) = state.members.get(&member) {
                    place.mailbox.speak(json);
                }
            }
            Effect::Go { member, flooded } => {
                if let Some(place) = state.members.get(&member) {
                    place
                        .mailbox
                        .end(if flooded { End::Flood } else { End::Quit });
                }
            }
        }
        false
    }

    /// Brings a line to every desk where somebody is. Whoever speaks hands it
    /// out at the own desk afterwards, and at one that is overfull.
    fn spread(&self, state: &State, line: &Arc<Line>, except: MemberId) -> bool {
        let own = state.members.get(&except).map(|place| &place.desk);
        let mut behind = false;
        for desk in lock(&self.desks).iter().filter(|desk| !desk.is_empty()) {
            let parcel = Parcel {
                line: line.clone(),
                except,
            };
            if desk.bring(parcel) {
                behind |= desk.hand_out();
            } else if own.is_none_or(|own| !Arc::ptr_eq(own, desk)) {
                desk.brought.notify_one();
            }
        }
        behind
    }
}

/// So many ids are known at once; older ones are forgotten.
const WINDOW: usize = 8192;

/// Ids of late.
#[derive(Debug, Default)]
struct Seen {
    known: HashSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
}

impl Seen {
    fn add(&mut self, id: &str) -> bool {
        if self.known.contains(id) {
            return false;
        }
        let id: Arc<str> = id.into();
        self.known.insert(id.clone());
        self.order.push_back(id);
        if self.order.len() > WINDOW
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// What is told of a line that was longer than may be.
fn too_long(most: usize) -> Misread {
    Misread {
        why: "line-too-long",
        text: format!("a line has at most {most} bytes; nothing of it was said"),
    }
}

/// Hands out what other cores bring, as long as anybody is at the desk.
pub(super) async fn keep_desk(desk: Arc<Desk>, cx: Cx) {
    let shutdown = cx.shutdown().clone();
    loop {
        tokio::select! {
            biased;
            () = shutdown.aborted() => return,
            () = desk.brought.notified() => {}
        }
        desk.hand_out();
        if desk.let_off() {
            return;
        }
    }
}

fn tick(cx: &Cx) -> Tick {
    Tick {
        at: cx.now(),
        chance: cx.random_below(u64::MAX),
        id: None,
    }
}

/// The address somebody comes from.
pub(super) fn source(peer: Option<&Peer>) -> Option<IpAddr> {
    Some(peer?.ip()?.to_canonical())
}

/// The failure of a conversation that the chat ended.
pub(super) fn let_go(end: End, hall: &Hall) -> Failure {
    let (stage, code, message, name, allows) = match end {
        End::Quit => return Failure::new(Stage::Close, Side::Peer, Code::STOPPED),
        End::Flood => (
            Stage::Recv,
            Code::LIMIT_REACHED,
            "it said more than may be said, and did not stop",
            "max-rate",
            hall.look(|core| core.rules.rate),
        ),
        End::SlowReader => (
            Stage::Send,
            Code::LIMIT_SLOW_READER,
            "it does not read what it is told, and more waits than may",
            "max-queue",
            hall.max_queue as u64,
        ),
    };
    Failure::new(stage, Side::Peer, code)
        .message(message)
        .fact(Fact::Limit { name, allows })
}

/// What the others are told of why a member is gone.
pub(super) fn told_why(end: Option<End>) -> &'static str {
    match end {
        Some(End::Flood) => "limit.reached, said too much",
        Some(End::SlowReader) => "limit.slow-reader, did not read",
        Some(End::Quit) | None => "",
    }
}
