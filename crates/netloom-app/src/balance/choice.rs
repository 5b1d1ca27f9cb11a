//! Which of the targets that may be taken is taken: each way a pure function of
//! what is seen of them.

use netloom_base::Value;
use netloom_base::complaint::nearest;
use netloom_base::settings::FromValue;

/// How a target is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// Each in its turn, as often as its weight says.
    RoundRobin,
    /// The one with the fewest connections for its weight.
    LeastConnections,
    /// The one that answers soonest for as many connections as it has.
    LeastTime,
    /// The less busy of two drawn by lot.
    PowerOfTwo,
    /// The same one for the same client, by its address.
    Source,
    /// The first in the list that has room.
    First,
}

const WAYS: [(Balance, &str); 6] = [
    (Balance::RoundRobin, "round-robin"),
    (Balance::LeastConnections, "least-connections"),
    (Balance::LeastTime, "least-time"),
    (Balance::PowerOfTwo, "power-of-two"),
    (Balance::Source, "source"),
    (Balance::First, "first"),
];

impl FromValue for Balance {
    const HINT: &'static str = "WAY";

    fn from_value(value: &Value) -> Result<Self, String> {
        let text = value.to_string();
        if let Some((way, _)) = WAYS.iter().find(|(_, name)| *name == text) {
            return Ok(*way);
        }
        let names = WAYS.map(|(_, name)| name);
        let near = nearest(&text, names).map_or_else(String::new, |n| format!(" (nearest: `{n}`)"));
        let all = names.join(", ");
        Err(format!("one of {all} is expected, not `{text}`{near}"))
    }

    fn to_value(&self) -> Option<Value> {
        let named = WAYS.iter().find(|(way, _)| way == self);
        named.map(|(_, name)| Value::from(*name))
    }
}

/// What is seen of a target that may be taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Where it stands in the list.
    pub(super) place: usize,
    /// Its share beside the others, in thousandths, never 0.
    pub(super) weight: u64,
    /// Connections that are open to it, or being opened.
    pub(super) open: usize,
    /// How long it takes to answer, in seconds; 0 where that is not known yet.
    pub(super) time: f64,
    /// A number of its own that stays the same for as long as its address does.
    pub(super) key: u64,
}

/// What a choice may need besides what is seen.
pub(super) struct Lot<'a> {
    /// A number of the client's own, where its address is known.
    pub(super) client: Option<u64>,
    /// Whose turn it is, by place.
    pub(super) turns: &'a mut Vec<i64>,
    /// Draws a number below the one it is given.
    pub(super) draw: &'a mut dyn FnMut(u64) -> u64,
}

impl Balance {
    /// Which of `seen` is taken, as an index of it. `seen` is not empty.
    pub(super) fn choose(self, seen: &[Seen], lot: &mut Lot) -> usize {
        match (self, lot.client) {
            (Balance::LeastConnections, _) => least(seen, lot.turns, |s| s.open as f64),
            // One that was never dialled costs nothing, so that it is tried.
            (Balance::LeastTime, _) => least(seen, lot.turns, |s| s.time * (s.open as f64 + 1.0)),
            (Balance::PowerOfTwo, _) => of_two(seen, lot.draw),
            (Balance::Source, Some(client)) => by_client(seen, client),
            (Balance::First, _) => 0,
            (Balance::RoundRobin, _) | (Balance::Source, None) => {
                in_turn(seen, |_| true, lot.turns)
            }
        }
    }

    /// Whether it looks at how long targets take to answer.
    pub(super) fn needs_time(self) -> bool {
        self == Balance::LeastTime
    }
}

/// Smooth weighted round-robin, as nginx does it: everybody gains its weight, who
/// has most is taken and pays what all gained. Of 5, 1 and 1 that gives
/// `a a b a c a a` and never seven in another order.
fn in_turn(seen: &[Seen], may: impl Fn(&Seen) -> bool, turns: &mut Vec<i64>) -> usize {
    let last = seen.iter().map(|s| s.place).max().unwrap_or_default();
    if turns.len() <= last {
        turns.resize(last + 1, 0);
    }
    let (mut best, mut all) = (None, 0_i64);
    for (i, one) in seen.iter().enumerate().filter(|(_, one)| may(one)) {
        let weight = i64::try_from(one.weight).unwrap_or(i64::MAX >> 20);
        let turn = turns[one.place].saturating_add(weight);
        turns[one.place] = turn;
        all = all.saturating_add(weight);
        if best.is_none_or(|(_, most)| turn > most) {
            best = Some((i, turn));
        }
    }
    let (best, most) = best.unwrap_or_default();
    turns[seen[best].place] = most.saturating_sub(all);
    best
}

/// The one that costs least for its weight; those that cost the same take turns.
fn least(seen: &[Seen], turns: &mut Vec<i64>, cost: impl Fn(&Seen) -> f64) -> usize {
    let cost = |s: &Seen| cost(s) / s.weight as f64;
    let lowest = seen.iter().map(cost).fold(f64::INFINITY, f64::min);
    in_turn(seen, |s| cost(s) <= lowest, turns)
}

/// Two are drawn, each as likely as its weight says, and the one that has fewer
/// connections for its weight is taken.
fn of_two(seen: &[Seen], draw: &mut dyn FnMut(u64) -> u64) -> usize {
    let one = drawn(seen, None, draw);
    if seen.len() == 1 {
        return one;
    }
    let other = drawn(seen, Some(one), draw);
    let load = |i: usize| seen[i].open as f64 / seen[i].weight as f64;
    if load(other) < load(one) { other } else { one }
}

fn drawn(seen: &[Seen], but: Option<usize>, draw: &mut dyn FnMut(u64) -> u64) -> usize {
    let may = || (0..seen.len()).filter(|i| Some(*i) != but);
    let mut at = draw(may().map(|i| seen[i].weight).sum());
    for i in may() {
        if at < seen[i].weight {
            return i;
        }
        at -= seen[i].weight;
    }
    may().next().unwrap_or_default()
}

/// Weighted rendezvous hashing (Thaler and Ravishankar, 1998): every target bids
/// for the client, and the highest bid wins. When a target goes, only its own
/// clients move; when one comes, it takes its share of everybody's.
fn by_client(seen: &[Seen], client: u64) -> usize {
    let bid = |s: &Seen| {
        // The upper 53 bits and a half: never 0 and never 1.
        let lot = ((mixed(s.key ^ mixed(client)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -(s.weight as f64) / lot.ln()
    };
    let bids = seen.iter().map(bid).enumerate();
    let highest = bids.fold((0, f64::NEG_INFINITY), |best, one| {
        if one.1 > best.1 { one } else { best }
    });
    highest.0
}

/// A number in which every bit depends on every bit of `n` (the finaliser of
/// `SplitMix64`).
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// A number of its own for these bytes, the same in every run (FNV-1a).
pub(super) fn number_of(bytes: &[u8]) -> u64 {
    let fold = |n: u64, byte: &u8| (n ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold)
}
