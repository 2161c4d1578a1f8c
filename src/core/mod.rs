//! The pure machine: what is stored, for how long, what goes first, and which load belongs to which
//! key. It knows neither keys nor values nor a clock; a driver ([`engine`](crate::engine) for Rust, the
//! npm class for JS) maps keys to [`Slot`]s, keeps the values, and passes `now` and random numbers in.
//!
//! A driver drains [`Machine::poll_departure`] after every call that takes `&mut self`, and before it
//! writes a value to a slot.

mod aging;
mod deadlines;
mod flight;
mod flow;
mod histogram;
pub(crate) mod policy;
mod purge;
pub(crate) mod slab;
mod stats;
mod store;
mod tags;
mod writes;

use std::collections::VecDeque;

pub use deadlines::Deadlines;
pub use flight::FlightId;
pub use flow::{Answer, Ask, Outcome, Query, Settled};
pub use histogram::Histogram;
pub use slab::Slot;
pub use stats::Stats;
pub use writes::WriteId;

use crate::options::{Life, Limits};
use crate::time::{Timestamp, Ttl};
use aging::{Aging, Standing};
use flight::Flights;
use policy::lru;
use slab::{Slab, State};
use tags::Tags;
use writes::Writes;

/// Why a value left the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It made room for others.
    Size,
    /// Its time had passed.
    Expired,
    /// A newer value took its place.
    Replaced,
    /// The user removed it.
    Removed,
}

/// Something that left a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Where it lay.
    pub slot: Slot,
    /// Why the value left; `None` where there was only the memory of a failed load, or a key whose load has ended.
    pub cause: Option<Cause>,
    /// Whether the key goes too. If not, it is being loaded or written.
    pub vacated: bool,
}

/// How a value is to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep<'a> {
    /// How long.
    pub life: Life,
    /// What it counts against `max_bytes`.
    pub weight: u32,
    /// By what names it can be purged together with others.
    pub tags: &'a [String],
    /// A random number from 0 to 1, looked at where `life` has jitter.
    pub draw: f64,
}

/// How old a value is, and how long it stays fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// Milliseconds since it was stored.
    pub millis: u64,
    /// How long it is still fresh; zero for a stale one.
    pub ttl: Ttl,
}

/// How many entries a writing operation looks at for dead ones. One would keep pace with insertions; two
/// leave nothing dead for longer than half the cache's size in operations.
const SWEEP: u32 = 2;

/// The numbers behind a cache.
///
/// Its gets are counted by space: a number from 0 on for each part of the cache whose figures are wanted apart.
pub struct Machine {
    limits: Limits,
    slab: Slab,
    aging: Aging,
    tags: Tags,
    flights: Flights,
    writes: Writes,
    departures: VecDeque<Departure>,
    entries: u32,
    weight: u64,
    /// Entries that can expire. While there are none, nothing is swept.
    mortal: u32,
    hand: u32,
    sweeps_flights: bool,
    /// From which the birth of an entry that lives so long is told.
    usual_ttl: Ttl,
    /// By space; never empty.
    stats: Vec<Stats>,
    /// By space; never empty.
    held: Vec<Held>,
}

/// What a space holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Entries, as [`Machine::len`] counts them.
    pub entries: u32,
    /// The sum of their weights.
    pub weight: u64,
}

impl Machine {
    /// An empty machine. Nothing is allocated ahead. An entry that lives for `usual_ttl` takes 8 bytes less than
    /// another.
    pub fn new(limits: Limits, usual_ttl: Ttl) -> Self {
        Self {
            limits,
            slab: Slab::new(limits.max_entries()),
            aging: Aging::default(),
            tags: Tags::default(),
            flights: Flights::new(),
            writes: Writes::default(),
            departures: VecDeque::new(),
            entries: 0,
            weight: 0,
            mortal: 0,
            hand: 0,
            sweeps_flights: true,
            usual_ttl,
            stats: vec![Stats::default()],
            held: vec![Held::default()],
        }
    }

    /// For a driver whose waiters always say when they leave: no flight is swept, since the driver has yet to
    /// end the waits of one whose last deadline has passed.
    pub fn keep_flights(&mut self) {
        self.sweeps_flights = false;
    }

    /// The number of a new space; `None` when there are 256.
    pub fn add_space(&mut self) -> Option<u8> {
        let space = u8::try_from(self.stats.len()).ok()?;
        self.stats.push(Stats::default());
        self.held.push(Held::default());
        Some(space)
    }

    /// What a space holds.
    pub fn space_held(&self, space: u8) -> Held {
        self.held.get(usize::from(space)).copied().unwrap_or_default()
    }

    /// The bounds it keeps.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The counters of a space.
    pub fn space_stats(&self, space: u8) -> Stats {
        self.stats.get(usize::from(space)).cloned().unwrap_or_default()
    }

    /// The counters of all spaces together.
    pub fn stats(&self) -> Stats {
        self.stats.iter().fold(Stats::default(), |mut sum, stats| {
            sum.merge(stats);
            sum
        })
    }

    /// Counts a batch of so many keys.
    pub fn count_batch(&mut self, space: u8, keys: u64) {
        self.count(usize::from(space), |stats| {
            stats.batches += 1;
            stats.batch_sizes.record(keys);
        });
    }

    /// Counts a get that was answered with the last good value because its load is slow.
    pub fn count_soft_timeout(&mut self, space: u8) {
        self.count(usize::from(space), |stats| stats.soft_timeouts += 1);
    }

    /// Entries, dead ones that no operation has met yet and memories of failed loads included.
    pub fn len(&self) -> usize {
        self.entries as usize
    }

    /// Whether [`len`](Self::len) is 0.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The sum of the entries' weights.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// Loads under way.
    pub fn loads_in_flight(&self) -> usize {
        self.flights.live()
    }

    /// A get that returns only what is there and fresh: `true` for a hit. O(1).
    #[inline]
    pub fn touch(&mut self, slot: Slot, now: Timestamp) -> bool {
        if self.hit(slot, now) {
            return true;
        }
        let space = self.space_of(slot);
        if self.standing(slot, now) == Standing::Ageing {
            lru::touch(&mut self.slab, slot);
            self.count(space, |stats| stats.hits += 1);
            return true;
        }
        self.count(space, |stats| stats.misses += 1);
        self.expire_dead(slot, now);
        false
    }

    /// As [`touch`](Self::touch) for a value that needs no second look, such as whether to refresh it ahead. What
    /// does, and what is no hit, is left as it is and not counted.
    #[inline]
    pub fn hit(&mut self, slot: Slot, now: Timestamp) -> bool {
        let Some(entry) = self.slab.get(slot) else { return false };
        let hit = entry.state() == State::Ready && entry.is_plain_at(now);
        if hit {
            let space = entry.space();
            lru::touch(&mut self.slab, slot);
            self.count(space, |stats| stats.hits += 1);
        }
        hit
    }

    /// A get that returns only what is there, of a key that is not.
    pub fn miss(&mut self, space: u8, now: Timestamp) {
        self.count(usize::from(space), |stats| stats.misses += 1);
        self.sweep(now, SWEEP);
    }

    /// Whether the slot holds a fresh value. Changes nothing.
    #[inline]
    pub fn is_fresh(&self, slot: Slot, now: Timestamp) -> bool {
        matches!(self.standing(slot, now), Standing::Fresh | Standing::Ageing)
    }

    /// Whether the slot holds a value that may be handed out where a load fails or is slow, or to its loader.
    pub fn is_usable(&self, slot: Slot, now: Timestamp) -> bool {
        self.standing(slot, now) != Standing::Dead
    }

    /// How old the slot's value is and how long it stays fresh; `None` if it holds none that may be handed out.
    pub fn age(&self, slot: Slot, now: Timestamp) -> Option<Age> {
        let entry = self.slab.get(slot).filter(|_| self.is_usable(slot, now))?;
        let windows = self.aging.windows(slot);
        let fresh_until = windows.map_or_else(|| entry.plain_until(), |w| Some(w.fresh_until));
        let fresh_until = fresh_until.filter(|end| *end != Timestamp::NEVER);
        let born = entry.born().or_else(|| self.aging.born(slot)).or_else(|| match self.usual_ttl {
            Ttl::Millis(usual) => Some(Timestamp::from_millis(entry.plain_until()?.as_millis().saturating_sub(usual))),
            Ttl::Forever => None,
        });
        Some(Age {
            millis: now.millis_since(born.unwrap_or(now)),
            ttl: fresh_until.map_or(Ttl::Forever, |end| Ttl::Millis(end.millis_since(now))),
        })
    }

    /// Stores a value for a new key of this space (`None`) or in its slot, superseding loads and writes under
    /// way. O(1) and its tags, and amortised as many evictions as insertions.
    ///
    /// `None`: it may not be stored (zero ttl, or heavier than the limits allow); a value that was there is gone too.
    pub fn insert(&mut self, slot: Option<Slot>, space: u8, now: Timestamp, keep: &Keep<'_>) -> Option<Slot> {
        if let Some(slot) = slot {
            self.supersede(slot);
        }
        let stored = self.store(slot, space, now, keep, None);
        self.sweep(now, SWEEP);
        stored
    }

    /// Begins to write a key through to its source, superseding a load under way and other writes of the key.
    /// The value that is there stays until the end. `None` when there is no number left.
    pub fn begin_write(&mut self, slot: Option<Slot>, space: u8) -> Option<(Slot, WriteId)> {
        let slot = match slot {
            Some(slot) => slot,
            None => self.take(space)?,
        };
        self.detach(slot);
        Some((slot, self.writes.begin(slot, self.tags.purges())))
    }

    /// For a write that may be lost with the request that runs it: its key's value goes now, as what the source has
    /// may never be known, and after `lost_at` the write counts as ended.
    pub fn expect_loss(&mut self, id: WriteId, slot: Slot, lost_at: Timestamp) {
        self.writes.set_lost_at(id, lost_at);
        self.drop_value(slot, Some(Cause::Removed));
    }

    /// Ends a write: with what the source now has, or `None` where that is not known. `slot` is the key's now.
    ///
    /// The value is stored if nothing else wrote or removed the key meanwhile; if something did, nobody knows
    /// whose came last at the source, and the key is removed. Loads that began meanwhile are superseded; what
    /// they brought meanwhile was not stored.
    pub fn end_write(
        &mut self,
        id: WriteId,
        slot: Option<Slot>,
        now: Timestamp,
        keep: Option<&Keep<'_>>,
    ) -> Option<Slot> {
        let write = self.writes.end(id);
        let slot = slot?;
        let space = self.space_of(slot) as u8;
        let good = |keep: &&Keep<'_>| {
            write.is_some_and(|write| {
                !write.doomed && write.slot == Some(slot) && !self.tags.beat(write.since, keep.tags)
            })
        };
        match keep.filter(good) {
            Some(keep) => self.insert(Some(slot), space, now, keep),
            None => {
                self.remove(slot);
                None
            }
        }
    }

    /// Whether [`poll_departure`](Self::poll_departure) has something to say.
    #[inline]
    pub fn has_departures(&self) -> bool {
        !self.departures.is_empty()
    }

    /// As [`poll_departure`](Self::poll_departure), but only for what made way for a new entry in its own slot.
    pub fn poll_departure_from(&mut self, slot: Slot) -> Option<Departure> {
        self.departures.front().filter(|departure| departure.slot == slot)?;
        self.departures.pop_front()
    }

    /// What left since the last call, in order.
    #[inline]
    pub fn poll_departure(&mut self) -> Option<Departure> {
        self.departures.pop_front()
    }

    /// The slots whose values are fresh, the most recently used first. O(n).
    pub fn newest_first(&mut self, now: Timestamp) -> Vec<Slot> {
        let mut order = lru::newest_first(&mut self.slab);
        order.retain(|slot| self.is_fresh(*slot, now));
        order
    }

    /// Looks at the next `count` slots and removes what is dead there. Every insertion and every miss
    /// does some of this, so that nothing dead stays while the cache is in use.
    pub fn sweep(&mut self, now: Timestamp, count: u32) {
        if self.sweeps_flights && self.flights.live() > 0 {
            self.sweep_flight(now);
        }
        if let Some(lost) = self.writes.take_lost(now)
            && let Some(slot) = lost.slot
        {
            self.remove(slot);
        }
        if self.mortal == 0 {
            return;
        }
        let slots = self.slab.slots();
        for _ in 0..count.min(slots) {
            self.hand = if self.hand + 1 < slots { self.hand + 1 } else { 1 };
            // What holds nothing is plain for ever, so the moment alone decides.
            if self.slab.at(self.hand).is_some_and(|entry| !entry.is_plain_at(now))
                && let Some(slot) = Slot::new(self.hand)
            {
                self.expire_dead(slot, now);
            }
        }
    }

    /// What may be done with what the slot holds.
    #[inline]
    fn standing(&self, slot: Slot, now: Timestamp) -> Standing {
        match self.slab.get(slot) {
            Some(entry) if entry.state() == State::Ready => match entry.is_plain_at(now) {
                true => Standing::Fresh,
                false => self.aging.windows(slot).map_or(Standing::Dead, |windows| windows.standing(now)),
            },
            _ => Standing::Dead,
        }
    }

    /// Whether the slot remembers that its key's load failed a moment ago.
    fn is_failed(&self, slot: Slot, now: Timestamp) -> bool {
        self.slab.get(slot).is_some_and(|entry| entry.state() == State::Failed && entry.is_plain_at(now))
    }

    /// Removes what is there if it is dead.
    #[inline]
    fn expire_dead(&mut self, slot: Slot, now: Timestamp) {
        let held = |state| matches!(state, State::Ready | State::Failed);
        if self.slab.get(slot).is_some_and(|entry| held(entry.state()) && !entry.is_plain_at(now))
            && self.standing(slot, now) == Standing::Dead
        {
            self.drop_value(slot, Some(Cause::Expired));
        }
    }

    #[inline]
    fn space_of(&self, slot: Slot) -> usize {
        self.slab.get(slot).map_or(0, slab::Entry::space)
    }

    #[inline]
    fn count(&mut self, space: usize, f: impl FnOnce(&mut Stats)) {
        if let Some(stats) = self.stats.get_mut(space) {
            f(stats);
        }
    }
}
