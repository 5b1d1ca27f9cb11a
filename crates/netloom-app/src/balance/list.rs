//! The list of targets, and who of it may be taken.

use std::cell::RefCell;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use netloom_base::Moment;
use netloom_transport::Cx;

use super::choice::{Balance, Lot, Seen};
use super::rules::Rules;
use super::standing::Standing;
use super::{Pool, Target};

/// The targets as they are now.
pub(super) struct List {
    pub(super) held: Vec<Arc<Held>>,
    /// Every name was answered for, or could not be, once at least.
    pub(super) ready: bool,
    /// All count the same, always.
    even: bool,
    /// One of them has a layer.
    pub(super) has_layers: bool,
    /// Whose turn it is where they do not, by place.
    turns: Mutex<Vec<i64>>,
}

/// A target and what is known of it.
pub(super) struct Held {
    pub(super) target: Target,
    pub(super) standing: Arc<Standing>,
}

impl Held {
    /// How many connections it may have.
    pub(super) fn most(&self, rules: &Rules) -> Option<u32> {
        self.target.max_conns.or(rules.target_conns)
    }

    fn is_full(&self, rules: &Rules) -> bool {
        self.most(rules)
            .is_some_and(|most| self.standing.open() >= most as usize)
    }
}

/// For whom a target is looked for.
pub(super) struct Asked<'a> {
    pub(super) client: Option<u64>,
    /// Those that were tried already.
    pub(super) without: &'a dyn Fn(&Standing) -> bool,
    pub(super) cx: &'a Cx,
}

/// What was chosen.
pub(super) enum Choice {
    /// The one at this place; when, where the clock was read.
    At(usize, Option<Moment>),
    Full,
    Nothing,
}

thread_local! {
    static SEEN: RefCell<Vec<Seen>> = const { RefCell::new(Vec::new()) };
}

impl List {
    /// A list of these; what is known of those that stood in `old` stays known.
    pub(super) fn new(targets: Vec<Target>, old: &[Arc<Held>], rules: &Rules) -> Self {
        let mut held: Vec<Arc<Held>> = Vec::with_capacity(targets.len());
        for target in targets {
            let name = target.stack.endpoint.to_string();
            let known = old.iter().chain(&held);
            let known = known.map(|held| &held.standing).find(|s| s.name == name);
            let standing = known.map_or_else(|| Arc::new(Standing::new(name)), Arc::clone);
            held.push(Arc::new(Held { target, standing }));
        }
        let weight = held.first().map_or(1, |held| held.target.weight);
        List {
            has_layers: held.iter().any(|h| h.target.stack.levels.len() > 1),
            even: rules.slow_start.is_zero() && held.iter().all(|h| h.target.weight == weight),
            held,
            ready: true,
            turns: Mutex::default(),
        }
    }
}

/// Who may be taken, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Up, of this tier.
    Up(u32),
    /// Nobody is up: those that only dials found wanting are tried,
    Ejected,
    /// and after them those that checks found down.
    Down,
}

impl Pool {
    /// Chooses among those of the best rank: the up ones of the lowest tier, and
    /// only where nothing is up those that are not.
    pub(super) fn choose(&self, list: &List, asked: &Asked) -> Choice {
        let rules = &self.rules;
        let mut best = None;
        let mut anybody_up = false;
        for held in &list.held {
            let rank = self.rank(held, asked.cx);
            anybody_up |= matches!(rank, Rank::Up(_));
            if held.target.weight > 0 && !(asked.without)(&held.standing) {
                best = Some(best.map_or(rank, |best: Rank| best.min(rank)));
            }
        }
        let Some(best) = best else {
            return Choice::Nothing;
        };
        if !anybody_up
            && !self.all_down.swap(true, Relaxed)
            && let Some(told) = self.told.get()
        {
            told.all_down();
        }
        let at = rules.balance.needs_time().then(|| asked.cx.now());
        SEEN.with_borrow_mut(|seen| {
            seen.clear();
            for (place, held) in list.held.iter().enumerate() {
                let standing = &held.standing;
                if held.target.weight == 0
                    || (asked.without)(standing)
                    || self.rank(held, asked.cx) != best
                    || held.is_full(rules)
                {
                    continue;
                }
                seen.push(Seen {
                    place,
                    weight: standing
                        .weight(held.target.weight, rules.slow_start, || asked.cx.now()),
                    open: standing.open(),
                    time: at.map_or(0.0, |at| standing.time(at)),
                    key: standing.key,
                });
            }
            if seen.is_empty() {
                return Choice::Full;
            }
            Choice::At(seen[self.chosen(seen, list, asked)].place, at)
        })
    }

    fn chosen(&self, seen: &[Seen], list: &List, asked: &Asked) -> usize {
        let balance = self.rules.balance;
        if list.even && balance == Balance::RoundRobin {
            return self.next.fetch_add(1, Relaxed) % seen.len();
        }
        let mut turns = list.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lot = Lot {
            client: asked.client,
            turns: &mut turns,
            draw: &mut |below| asked.cx.random_below(below),
        };
        balance.choose(seen, &mut lot)
    }

    fn rank(&self, held: &Held, cx: &Cx) -> Rank {
        let standing = &held.standing;
        if standing.is_up() {
            return Rank::Up(held.target.tier);
        }
        if !standing.is_only_ejected() {
            return Rank::Down;
        }
        // Where somebody keeps the pool, a look comes before the first client.
        let over = !self.kept.load(Relaxed) && cx.now() >= standing.until();
        if over {
            Rank::Up(held.target.tier)
        } else {
            Rank::Ejected
        }
    }
}
