//! What was purged here lately: it counts at once, before the tiers know of it, and while one is down.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::names::Place;
use crate::time::{Timestamp, Ttl};

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
    /// Where it was forgotten what was set: a load that began by then may bring what is older.
    set_floor: Option<Timestamp>,
    /// Until when tiers may show what is older than a value whose set was forgotten.
    unsettled_until: Timestamp,
    /// For how many milliseconds a read or a write may be under way.
    longest: u64,
    /// How many marks each tier has yet to be told.
    owed: [usize; MOST_TIERS],
}

#[derive(Debug)]
struct Mark {
    generation: Timestamp,
    made_at: Timestamp,
    /// The tiers that have yet to be told, a bit for each.
    owed: u32,
    /// Those that may have an older value than `latest`, and have yet to delete it.
    unwritten: u32,
    /// The number of the latest value that a tier could not be given.
    latest: u64,
    /// How often it was found that a tier may have an older one.
    found: u64,
    /// Whether no tier is told, and nobody else tells it.
    only_here: bool,
    /// Of all values that were set here, the number of the last one of this key; 0 for none.
    set: u64,
    purged_at: Option<Timestamp>,
}

/// So many tiers can a chain have.
pub(super) const MOST_TIERS: usize = 8;

/// What a tier has yet to be told.
#[derive(Clone, Debug)]
pub(super) struct Owed {
    pub name: String,
    generation: Timestamp,
    /// See [`Mark::found`].
    found: u64,
    /// Whether it was purged. If not, the tier lacks a newer value, and has to delete the older one and no more.
    pub is_purge: bool,
}

impl Mark {
    fn to_tell(&self) -> u32 {
        self.owed | self.unwritten
    }

    fn concerns(&self, tier: usize) -> bool {
        self.to_tell() >> tier & 1 == 1
    }
}

impl Marks {
    /// Reads and writes of one more tier may be under way for so many milliseconds.
    pub fn add_longest(&mut self, longest: u64) {
        self.longest = self.longest.saturating_add(longest).min(RETAINED);
    }

    /// Whether what has this generation was purged, if these are the marks that would end it.
    pub fn ends<S: AsRef<str>>(&self, now: Timestamp, generation: Timestamp, names: &[S]) -> bool {
        generation <= self.floor && self.floor != Timestamp::default()
            || now < self.unsettled_until && self.may_be_superseded(generation)
            || self.name_ends(generation, names)
    }

    /// The same, and nothing that was forgotten ends it.
    pub fn name_ends<S: AsRef<str>>(&self, generation: Timestamp, names: &[S]) -> bool {
        names.iter().any(|name| self.by_name.get(name.as_ref()).is_some_and(|mark| generation <= mark.generation))
    }

    /// Whether a value may have been set here after a load of this generation, of which nothing is known any more.
    pub fn may_be_superseded(&self, generation: Timestamp) -> bool {
        self.set_floor.is_some_and(|floor| generation <= floor)
    }

    /// Marks what has `generation` or an earlier one as purged; these tiers have to be told.
    pub fn add(&mut self, now: Timestamp, name: String, generation: Timestamp, owed: u32) {
        let mark = self.insert(now, name, generation, owed);
        mark.only_here = false;
        mark.purged_at = Some(now);
        self.keep_within(now);
    }

    /// The same, where no tier is told: it is remembered as long as there is room, and then taken for all.
    pub fn add_only_here(&mut self, now: Timestamp, name: String, generation: Timestamp) {
        let mark = self.insert(now, name, generation, 0);
        mark.only_here = true;
        mark.purged_at = Some(now);
        self.keep_within(now);
    }

    /// Whether a value of this key was set here that came after the one of this number.
    pub fn supersedes(&self, number: u64, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|mark| mark.set > number)
    }

    /// Notes that the value of this number was set: what has `generation` or an earlier one is older.
    pub fn supersede(&mut self, now: Timestamp, name: String, generation: Timestamp, set: u64) {
        self.insert(now, name, generation, 0).set = set;
        self.keep_within(now);
    }

    /// A tier could not be given a value, and may have an earlier one of the same key: that is not believed here, and the tier has to
    /// delete it. Where there is no room for that it is forgotten, unlike a purge.
    pub fn owe(&mut self, now: Timestamp, name: &str, generation: Timestamp, number: u64, tier: usize) {
        let earlier = generation.before(1);
        if !self.by_name.contains_key(name) {
            self.insert(now, name.to_owned(), earlier, 0);
        }
        if let Some(mark) = self.by_name.get_mut(name) {
            mark.generation = mark.generation.max(earlier);
            mark.latest = mark.latest.max(number);
        }
        self.set_unwritten(name, tier, true);
        self.keep_within(now);
    }

    /// A tier has been given a value, perhaps an earlier one than that which it lacks.
    pub fn written(&mut self, name: &str, generation: Timestamp, number: Option<u64>, tier: usize) {
        if let Some(mark) = self.by_name.get(name).filter(|mark| mark.latest > 0) {
            let is_earlier = number.map_or(generation <= mark.generation, |number| number < mark.latest);
            self.set_unwritten(name, tier, is_earlier);
        }
    }

    fn set_unwritten(&mut self, name: &str, tier: usize, is_unwritten: bool) {
        let Some((mark, count)) = self.by_name.get_mut(name).zip(self.owed.get_mut(tier)) else { return };
        let before = mark.concerns(tier);
        mark.found += u64::from(is_unwritten);
        mark.unwritten = mark.unwritten & !(1 << tier) | u32::from(is_unwritten) << tier;
        *count = *count + usize::from(mark.concerns(tier)) - usize::from(before);
    }

    fn insert(&mut self, now: Timestamp, name: String, generation: Timestamp, owed: u32) -> &mut Mark {
        let name = name.into_boxed_str();
        // Made again within a millisecond, it stands there already.
        if self.by_name.get(&name).is_none_or(|mark| mark.made_at != now) {
            self.order.push_back((name.clone(), now));
            self.bytes += name.len();
        }
        let new = Mark {
            generation,
            made_at: now,
            owed: 0,
            unwritten: 0,
            latest: 0,
            found: 0,
            only_here: false,
            set: 0,
            purged_at: None,
        };
        let mark = self.by_name.entry(name).or_insert(new);
        mark.generation = mark.generation.max(generation);
        mark.made_at = now;
        for (tier, count) in self.owed.iter_mut().enumerate() {
            *count += usize::from((owed & !mark.to_tell()) >> tier & 1 == 1);
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
        self.settle(mark.to_tell());
        let is_recent = mark.purged_at.is_some_and(|at| now.millis_since(at) < RETAINED);
        if mark.owed != 0 || mark.only_here || is_recent {
            self.floor = self.floor.max(mark.generation);
        }
        // Not for good: thousands of values that are set would end all that lies in the tiers, most of themselves included.
        if mark.set > 0 {
            self.set_floor = self.set_floor.max(Some(mark.generation));
            self.unsettled_until = self.unsettled_until.max(made_at.after(Ttl::Millis(self.longest)));
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
    pub fn owed_to(&self, tier: usize, most: usize) -> Vec<Owed> {
        if self.owed(tier) == 0 {
            return Vec::new();
        }
        let current = self.order.iter().filter_map(|(name, made_at)| {
            let mark = self.by_name.get(name).filter(|mark| mark.made_at == *made_at && mark.concerns(tier))?;
            let (name, generation, found) = (name.to_string(), mark.generation, mark.found);
            Some(Owed { name, generation, found, is_purge: mark.owed >> tier & 1 == 1 })
        });
        let floor = self.floor_owed >> tier & 1 == 1;
        let floor = floor.then(|| Owed { name: all(), generation: self.floor, found: 0, is_purge: true });
        let mut marks: Vec<Owed> = Vec::new();
        for mark in floor.into_iter().chain(current) {
            if marks.len() == most {
                break;
            }
            // One of all may be owed beside the floor, and after a clock was set back one stands there twice.
            if marks.iter().all(|known| known.name != mark.name) {
                marks.push(mark);
            }
        }
        marks
    }

    /// A tier has been told these.
    pub fn told(&mut self, tier: usize, marks: &[Owed]) {
        for Owed { name, generation, found, is_purge } in marks {
            if *generation == self.floor && *name == all() {
                self.floor_owed &= !(1 << tier);
            }
            let Some((mark, count)) = self.by_name.get_mut(name.as_str()).zip(self.owed.get_mut(tier)) else {
                continue;
            };
            if mark.generation != *generation {
                continue;
            }
            let before = mark.concerns(tier);
            if *is_purge {
                mark.owed &= !(1 << tier);
            }
            // An older value may have come since.
            if *is_purge || mark.found == *found {
                mark.unwritten &= !(1 << tier);
            }
            *count -= usize::from(before && !mark.concerns(tier));
        }
    }
}

fn all() -> String {
    Place::new::<&str>(&[], &[]).all_mark()
}
