//! What was purged here lately: it counts at once, before the tiers know of it, and while one is down.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::names::Place;
use crate::time::Timestamp;

/// So many marks are kept, and so many bytes of their names.
const MOST: usize = 4_096;
const MOST_BYTES: usize = 512 * 1024;
/// What a read may have seen before a purge it has answered with by then.
const RETAINED: u64 = 60_000;

/// The marks that were made here. A mark ends what has its generation or an earlier one.
#[derive(Debug, Default)]
pub(super) struct Marks {
    by_name: HashMap<Box<str>, Mark>,
    /// By age; a mark that was renewed stands here once for each time.
    order: VecDeque<(Box<str>, Timestamp)>,
    bytes: usize,
    /// Where marks had to be forgotten: everything up to here may have been purged.
    floor: Timestamp,
    /// The tiers that have yet to be told that, as a mark of all.
    floor_owed: u32,
    /// How many marks each tier has yet to be told.
    owed: [usize; MOST_TIERS],
}

#[derive(Debug)]
struct Mark {
    generation: Timestamp,
    made_at: Timestamp,
    /// The tiers that have yet to be told, a bit for each.
    owed: u32,
    /// Whether no tier is told, and nobody else tells it.
    only_here: bool,
    /// Of all values that were set here, the number of the last one of this key; 0 for none.
    set: u64,
}

/// So many tiers can a chain have.
pub(super) const MOST_TIERS: usize = 8;

impl Marks {
    /// Whether what has this generation was purged, if these are the marks that would end it.
    pub fn ends<S: AsRef<str>>(&self, generation: Timestamp, names: &[S]) -> bool {
        generation <= self.floor && self.floor != Timestamp::default()
            || names
                .iter()
                .any(|name| self.by_name.get(name.as_ref()).is_some_and(|mark| generation <= mark.generation))
    }

    /// Marks what has `generation` or an earlier one as purged; these tiers have to be told.
    pub fn add(&mut self, now: Timestamp, name: String, generation: Timestamp, owed: u32) {
        self.insert(now, name, generation, owed).only_here = false;
        self.keep_within(now);
    }

    /// The same, where no tier is told: it is remembered as long as there is room, and then taken for all.
    pub fn add_only_here(&mut self, now: Timestamp, name: String, generation: Timestamp) {
        self.insert(now, name, generation, 0).only_here = true;
        self.keep_within(now);
    }

    /// Whether a value of this key was set here after so many values had been.
    pub fn supersedes(&self, sets: u64, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|mark| mark.set > sets)
    }

    /// Notes that the value of this number was set: what has `generation` or an earlier one is older.
    pub fn supersede(&mut self, now: Timestamp, name: String, generation: Timestamp, set: u64) {
        self.insert(now, name, generation, 0).set = set;
        self.keep_within(now);
    }

    fn insert(&mut self, now: Timestamp, name: String, generation: Timestamp, owed: u32) -> &mut Mark {
        let name = name.into_boxed_str();
        // Made again within a millisecond, it stands there already.
        if self.by_name.get(&name).is_none_or(|mark| mark.made_at != now) {
            self.order.push_back((name.clone(), now));
            self.bytes += name.len();
        }
        let new = Mark { generation, made_at: now, owed: 0, only_here: false, set: 0 };
        let mark = self.by_name.entry(name).or_insert(new);
        mark.generation = mark.generation.max(generation);
        mark.made_at = now;
        for (tier, count) in self.owed.iter_mut().enumerate() {
            *count += usize::from((owed & !mark.owed) >> tier & 1 == 1);
        }
        mark.owed |= owed;
        mark
    }

    fn keep_within(&mut self, now: Timestamp) {
        while self.order.len() > MOST || self.bytes > MOST_BYTES {
            self.forget_oldest(now);
        }
    }

    fn forget_oldest(&mut self, now: Timestamp) {
        let Some((name, made_at)) = self.order.pop_front() else { return };
        self.bytes -= name.len();
        if self.by_name.get(&name).is_none_or(|mark| mark.made_at != made_at) {
            return;
        }
        let Some(mark) = self.by_name.remove(&name) else { return };
        self.settle(mark.owed);
        if mark.owed != 0 || mark.only_here || now.millis_since(made_at) < RETAINED {
            self.floor = self.floor.max(mark.generation);
        }
        // What can't be told one by one is told at once.
        self.floor_owed |= mark.owed;
    }

    fn settle(&mut self, owed: u32) {
        for (tier, count) in self.owed.iter_mut().enumerate() {
            *count -= usize::from(owed >> tier & 1 == 1);
        }
    }

    /// How many marks a tier has yet to be told.
    pub fn owed(&self, tier: usize) -> usize {
        self.owed.get(tier).copied().unwrap_or(0) + usize::from(self.floor_owed >> tier & 1 == 1)
    }

    /// Some of the marks that a tier has yet to be told, the oldest first.
    pub fn owed_to(&self, tier: usize, most: usize) -> Vec<(String, Timestamp)> {
        if self.owed(tier) == 0 {
            return Vec::new();
        }
        let current = self.order.iter().filter_map(|(name, made_at)| {
            let mark = self.by_name.get(name).filter(|mark| mark.made_at == *made_at && mark.owed >> tier & 1 == 1)?;
            Some((name.to_string(), mark.generation))
        });
        let floor = (self.floor_owed >> tier & 1 == 1).then(|| (all(), self.floor));
        let mut marks: Vec<(String, Timestamp)> = Vec::new();
        for mark in floor.into_iter().chain(current) {
            if marks.len() == most {
                break;
            }
            // One of all may be owed beside the floor, and after a clock was set back one stands there twice.
            if marks.iter().all(|(name, _)| *name != mark.0) {
                marks.push(mark);
            }
        }
        marks
    }

    /// A tier has been told these.
    pub fn told(&mut self, tier: usize, marks: &[(String, Timestamp)]) {
        for (name, generation) in marks {
            if *generation == self.floor && *name == all() {
                self.floor_owed &= !(1 << tier);
            }
            if let Some(mark) = self.by_name.get_mut(name.as_str())
                && mark.generation == *generation
                && mark.owed >> tier & 1 == 1
            {
                mark.owed &= !(1 << tier);
                if let Some(count) = self.owed.get_mut(tier) {
                    *count -= 1;
                }
            }
        }
    }
}

fn all() -> String {
    Place::new::<&str>(&[], &[]).all_mark()
}
