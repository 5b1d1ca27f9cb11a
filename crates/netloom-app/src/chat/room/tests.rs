//! The rules, asked in every order.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn rules() -> Rules {
    Rules {
        room: "lobby".into(),
        max_rooms: 4,
        max_members: 6,
        max_per_room: 4,
        max_nick: 12,
        max_line: 100,
        rate: 10,
        history: 3,
        history_bytes: 60,
    }
}

fn at(ms: u64) -> Tick {
    Tick {
        at: Moment::after_start(Duration::from_millis(ms)),
        chance: ms,
        id: None,
    }
}

/// A chat, and what each member was told in text.
struct Chat {
    core: Core,
    told: HashMap<MemberId, Vec<String>>,
    rooms: HashMap<MemberId, Arc<str>>,
    gone: Vec<(MemberId, bool)>,
    now: u64,
}

impl Chat {
    fn new() -> Self {
        Chat {
            core: Core::new(rules(), "peer".into()),
            told: HashMap::new(),
            rooms: HashMap::new(),
            gone: Vec::new(),
            now: 0,
        }
    }

    /// Does the effects as the carriers would.
    fn run<T>(&mut self, ask: impl FnOnce(&mut Core, Tick, &mut Vec<Effect>) -> T) -> T {
        let mut out = Vec::new();
        let answer = ask(&mut self.core, at(self.now), &mut out);
        for effect in out {
            match effect {
                Effect::Placed { member, from, to } => {
                    assert_eq!(
                        self.rooms.get(&member),
                        from.as_ref(),
                        "it was where it leaves"
                    );
                    match to {
                        Some(to) => self.rooms.insert(member, to),
                        None => self.rooms.remove(&member),
                    };
                }
                Effect::Room { line, except, .. } => {
                    for (member, _) in self.rooms.iter().filter(|(_, room)| **room == line.room) {
                        if *member != except {
                            self.told.entry(*member).or_default().push(words(&line));
                        }
                    }
                }
                Effect::One { to, line } => self.told.entry(to).or_default().push(words(&line)),
                Effect::Form { .. } => {}
                Effect::Go { member, flooded } => self.gone.push((member, flooded)),
            }
        }
        answer
    }

    fn enter(&mut self, id: MemberId, nick: &str) -> bool {
        let coming = Coming {
            nick: Some(nick),
            ..Coming::default()
        };
        let entered = self.run(|core, tick, out| core.enter(id, &coming, tick, out));
        entered.is_ok()
    }

    fn ask(&mut self, id: MemberId, line: &str) {
        let ask = super::super::wire::read_line(line).unwrap().unwrap();
        self.run(|core, tick, out| core.ask(id, ask, tick, out));
    }

    /// What a member was told since it was last asked.
    fn told(&mut self, id: MemberId) -> Vec<String> {
        self.told.remove(&id).unwrap_or_default()
    }
}

fn words(line: &Line) -> String {
    let text = String::from_utf8(line.form(false).to_vec()).unwrap();
    text.trim_end().to_owned()
}

/// Anna and bo in the lobby, who have read their welcome.
fn two() -> Chat {
    let mut chat = Chat::new();
    assert!(chat.enter(1, "anna") && chat.enter(2, "bo"));
    chat.told.clear();
    chat
}

#[test]
fn what_is_said_is_heard_by_the_others_of_the_room() {
    let mut chat = two();
    chat.ask(1, "hello");
    chat.ask(2, "/join attic");
    chat.ask(1, "gone?");
    chat.ask(2, "/me looks around");
    assert_eq!(chat.told(1), ["* bo left"]);
    assert_eq!(chat.told(2), ["<anna> hello", "* this is attic"]);
    chat.ask(2, "/msg anna psst");
    chat.ask(1, "/msg nobody psst");
    assert_eq!(
        chat.told(1),
        ["[bo] psst", "! no-such-member: nobody is called nobody"]
    );
}

#[test]
fn whoever_comes_later_is_told_the_last_lines() {
    let mut chat = two();
    for line in ["one", "two", "three", "four"] {
        chat.ask(1, line);
    }
    assert!(chat.enter(3, "cy"));
    let told = chat.told(3);
    assert_eq!(
        told[1..],
        [
            "* the last 3 lines:",
            "<anna> two",
            "<anna> three",
            "<anna> four",
            "* so far"
        ]
    );
    chat.ask(1, &"x".repeat(60));
    chat.told.clear();
    chat.ask(3, "/history");
    assert_eq!(chat.told(3).len(), 3, "the bytes are bounded too");
}

#[test]
fn a_name_is_had_by_one_whatever_its_case_and_look() {
    let mut chat = two();
    for squat in ["/nick anna", "/nick ANNA", "/nick аnna"] {
        chat.ask(2, squat);
    }
    let told = chat.told(2);
    assert!(
        told.iter().all(|line| line.starts_with("! nick-taken:")),
        "{told:?}"
    );
    assert!(told[0].ends_with("anna-2 is free"), "{told:?}");
    for bad in [
        "/nick netloom",
        "/nick a b",
        "/nick *",
        "/nick 01234567890123",
        "/nick a\u{200b}b",
    ] {
        chat.ask(2, bad);
    }
    let told = chat.told(2);
    assert!(
        told.iter().all(|line| line.starts_with("! bad-nick:")),
        "{told:?}"
    );
    assert!(chat.enter(3, "anna"));
    chat.ask(1, "/who");
    assert_eq!(chat.told(1).pop().unwrap(), "* in lobby: anna, bo, anna-2");
}

#[test]
fn a_name_that_was_left_is_kept_for_a_while_for_its_address() {
    let mut chat = Chat::new();
    let from = |ip: [u8; 4]| Coming {
        nick: Some("anna"),
        source: Some(IpAddr::from(ip)),
        ..Coming::default()
    };
    let (own, other) = (from([10, 0, 0, 1]), from([10, 0, 0, 2]));
    chat.run(|core, tick, out| core.enter(1, &own, tick, out))
        .unwrap();
    chat.run(|core, tick, out| core.leave(1, "", tick, out));
    chat.run(|core, tick, out| core.enter(2, &other, tick, out))
        .unwrap();
    chat.run(|core, tick, out| core.enter(3, &own, tick, out))
        .unwrap();
    let nick = |chat: &Chat, id| chat.core.whereabouts(id).unwrap().0.to_string();
    assert_eq!(
        (nick(&chat, 2), nick(&chat, 3)),
        ("anna-2".into(), "anna".into())
    );
    chat.run(|core, tick, out| core.leave(3, "", tick, out));
    chat.now += 61_000;
    chat.run(|core, tick, out| core.enter(4, &other, tick, out))
        .unwrap();
    assert_eq!(nick(&chat, 4), "anna");
}

#[test]
fn a_flood_is_told_once_and_let_go_in_the_end() {
    let mut chat = two();
    for _ in 0..60 {
        chat.ask(1, "spam");
    }
    assert_eq!(chat.told(2).len(), 40, "four seconds' worth at once");
    assert_eq!(
        chat.told(1),
        ["! too-fast: 10 lines a second may be said; what came faster is gone"]
    );
    chat.now += 100;
    chat.ask(1, "spam");
    assert_eq!(chat.told(2).len(), 1);
    for _ in 0..FLOOD {
        chat.ask(1, "spam");
    }
    assert_eq!(chat.gone, [(1, true)]);
}

#[test]
fn a_storm_of_comings_and_goings_is_told_in_one_line() {
    let mut chat = two();
    for _ in 0..1000 {
        assert!(chat.enter(3, "storm"));
        chat.run(|core, tick, out| core.leave(3, "", tick, out));
    }
    let told = chat.told(1).len();
    assert!(told <= 20, "{told}");
    chat.now += 1000;
    assert!(chat.enter(3, "calm"));
    let told = chat.told(1);
    let missed = told
        .iter()
        .find(|line| line.contains("more came, went"))
        .unwrap();
    assert!(missed.starts_with("* 1"), "{missed}");
    assert_eq!(told.last().unwrap(), "* calm is here now");
}

#[test]
fn everything_has_a_limit_and_says_so() {
    let mut chat = Chat::new();
    for id in 1..=4 {
        assert!(chat.enter(id, "x"));
    }
    assert!(!chat.enter(5, "x"), "the lobby is full");
    for (id, room) in [(1, "a"), (2, "b"), (3, "c")] {
        chat.ask(id, &format!("/join {room}"));
    }
    chat.told.clear();
    chat.ask(4, "/join d");
    assert_eq!(
        chat.told(4),
        ["! no-more-rooms: 4 rooms are open, and no more may be"]
    );
    chat.ask(1, &"x".repeat(101));
    assert_eq!(
        chat.told(1),
        ["! line-too-long: a line has at most 100 bytes; nothing of it was said"]
    );
    assert!(chat.enter(5, "x") && chat.enter(6, "x"));
    assert!(!chat.enter(7, "x"), "six are here");
    // A room that nobody is in any more makes place for another.
    chat.ask(1, "/join b");
    chat.ask(4, "/join d");
    assert_eq!(&*chat.rooms[&4], "d");
}

#[derive(Debug, Clone)]
enum Step {
    Enter(u64, String),
    Leave(u64),
    Ask(u64, String),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let nick = "[ab]{1,2}";
    let room = prop_oneof![
        Just("lobby"),
        Just("a"),
        Just("b"),
        Just("c"),
        Just("d"),
        Just("e")
    ];
    prop_oneof![
        (1..9_u64, nick).prop_map(|(id, nick)| Step::Enter(id, nick)),
        (1..9_u64).prop_map(Step::Leave),
        (1..9_u64, room).prop_map(|(id, room)| Step::Ask(id, format!("/join {room}"))),
        (1..9_u64, nick).prop_map(|(id, nick)| Step::Ask(id, format!("/nick {nick}"))),
        (1..9_u64, ".{1,20}")
            .prop_map(|(id, text)| Step::Ask(id, text.trim_start_matches('/').to_owned())),
        (1..9_u64, nick).prop_map(|(id, nick)| Step::Ask(id, format!("/msg {nick} x"))),
        (0..3000_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn whatever_is_asked_the_rules_hold(steps in proptest::collection::vec(step(), 1..120)) {
        let mut chat = Chat::new();
        let mut here = HashSet::new();
        for step in steps {
            match step {
                Step::Enter(id, nick) if !here.contains(&id) => {
                    if chat.enter(id, &nick) {
                        here.insert(id);
                    }
                }
                Step::Enter(..) => {}
                Step::Leave(id) => {
                    here.remove(&id);
                    chat.run(|core, tick, out| core.leave(id, "", tick, out));
                }
                Step::Ask(id, line) => {
                    if let Ok(Some(ask)) = super::super::wire::read_line(&line) {
                        chat.run(|core, tick, out| core.ask(id, ask, tick, out));
                    }
                }
                Step::Wait(ms) => chat.now += ms,
            }
            let core = &chat.core;
            prop_assert_eq!(core.members.len(), here.len());
            prop_assert_eq!(chat.rooms.len(), here.len());
            prop_assert!(core.rooms.len() <= 4 && core.rooms.contains_key("lobby"));
            let looks: HashSet<_> = core.members.values().map(|member| look(&member.nick)).collect();
            prop_assert_eq!(looks.len(), here.len(), "no two names look alike");
            prop_assert_eq!(core.nicks.len(), here.len());
            let mut inside = 0;
            for (name, room) in &core.rooms {
                prop_assert!(room.members.len() <= 4);
                prop_assert!(room.history.len() <= 3 && room.history_bytes <= 60);
                prop_assert_eq!(room.history_bytes, room.history.iter().map(|l| l.text.len()).sum::<usize>());
                prop_assert!(!room.members.is_empty() || &**name == "lobby");
                inside += room.members.len();
                for id in &room.members {
                    prop_assert_eq!(&chat.rooms[id], name);
                }
            }
            prop_assert_eq!(inside, here.len());
        }
    }
}
