//! The pure machine: what is stored, for how long, what goes first, and which load belongs to which
//! key. It knows neither keys nor values nor a clock; a driver ([`engine`](crate::engine) for Rust, the
//! npm class for JS) maps keys to [`Slot`]s, keeps the values, and passes `now` in.
//!
//! A driver drains [`Machine::poll_departure`] after every call that takes `&mut self`, and before it
//! writes a value to a slot.

mod deadlines;
mod flight;
mod flow;
mod histogram;
pub(crate) mod policy;
pub(crate) mod slab;
mod stats;

use std::collections::VecDeque;

pub use deadlines::Deadlines;
pub use flight::FlightId;
pub use flow::{Answer, Ask, Outcome, Settled};
pub use histogram::Histogram;
pub use slab::Slot;
pub use stats::Stats;

use crate::options::Limits;
use crate::time::{Timestamp, Ttl};
use flight::Flights;
use policy::lru;
use slab::{Slab, State};

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
    /// Why the value left; `None` where there was only a key whose load has ended.
    pub cause: Option<Cause>,
    /// Whether the key goes too. If not, a load for it is under way.
    pub vacated: bool,
}

/// How many entries a writing operation looks at for dead ones. One would keep pace with insertions; two
/// leave nothing dead for longer than half the cache's size in operations.
const SWEEP: u32 = 2;

/// The numbers behind a cache.
pub struct Machine {
    limits: Limits,
    slab: Slab,
    flights: Flights,
    departures: VecDeque<Departure>,
    entries: u32,
    weight: u64,
    /// Entries that can expire. While there are none, nothing is swept.
    mortal: u32,
    hand: u32,
    sweeps_flights: bool,
    stats: Stats,
}

impl Machine {
    /// An empty machine. Nothing is allocated ahead.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            slab: Slab::new(limits.max_entries()),
            flights: Flights::new(),
            departures: VecDeque::new(),
            entries: 0,
            weight: 0,
            mortal: 0,
            hand: 0,
            sweeps_flights: true,
            stats: Stats::default(),
        }
    }

    /// For a driver whose waiters always say when they leave: no flight is swept, since the driver has yet to
    /// end the waits of one whose last deadline has passed.
    pub fn keep_flights(&mut self) {
        self.sweeps_flights = false;
    }

    /// The bounds it keeps.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Entries with a value, dead ones that no operation has met yet included.
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

    /// A get that returns only what is there: `true` for a hit. O(1).
    #[inline]
    pub fn touch(&mut self, slot: Slot, now: Timestamp) -> bool {
        if self.hit(slot, now) {
            return true;
        }
        self.stats.misses += 1;
        self.expire(slot, now);
        false
    }

    /// As [`touch`](Self::touch), but what is no hit is left as it is and not counted.
    #[inline]
    pub fn hit(&mut self, slot: Slot, now: Timestamp) -> bool {
        let ready = self.is_ready(slot, now);
        if ready {
            lru::touch(&mut self.slab, slot);
            self.stats.hits += 1;
        }
        ready
    }

    /// A get that returns only what is there, of a key that is not.
    pub fn miss(&mut self, now: Timestamp) {
        self.stats.misses += 1;
        self.sweep(now, SWEEP);
    }

    /// Whether the slot holds a value that may still be handed out. Changes nothing.
    #[inline]
    pub fn is_ready(&self, slot: Slot, now: Timestamp) -> bool {
        self.slab.get(slot).is_some_and(|entry| entry.state() == State::Ready && now < entry.expires())
    }

    /// Milliseconds until the slot's value expires; `None` if it holds none that may be handed out.
    pub fn remaining(&self, slot: Slot, now: Timestamp) -> Option<Ttl> {
        let entry = self.slab.get(slot).filter(|_| self.is_ready(slot, now))?;
        Some(match entry.expires() {
            Timestamp::NEVER => Ttl::Forever,
            expires => Ttl::Millis(expires.millis_since(now)),
        })
    }

    /// Stores a value for a new key (`None`) or in its slot, superseding a load under way. O(1) and
    /// amortised as many evictions as insertions.
    ///
    /// `None`: it may not be stored (zero ttl, or heavier than the limits allow); a value that was there is gone too.
    pub fn insert(&mut self, slot: Option<Slot>, now: Timestamp, ttl: Ttl, weight: u32) -> Option<Slot> {
        if let Some(slot) = slot {
            self.detach(slot);
        }
        let stored = self.store(slot, now, ttl, weight);
        self.sweep(now, SWEEP);
        stored
    }

    /// Removes the key and its value, superseding a load under way: what that load brings goes only to
    /// those who wait for it already. O(1).
    pub fn remove(&mut self, slot: Slot) {
        self.detach(slot);
        self.drop_value(slot, Some(Cause::Removed));
    }

    /// Removes everything, as [`remove`](Self::remove) would, without a departure for each. Returns the
    /// slots that held a value, the most recently used first. O(n).
    pub fn clear(&mut self) -> Vec<Slot> {
        let held = lru::newest_first(&mut self.slab);
        self.flights.detach_all();
        self.slab = Slab::new(self.limits.max_entries());
        self.stats.evicted_removed += u64::from(self.entries);
        self.entries = 0;
        self.weight = 0;
        self.mortal = 0;
        self.hand = 0;
        held
    }

    /// The slots whose values may be handed out, the most recently used first. O(n).
    pub fn newest_first(&mut self, now: Timestamp) -> Vec<Slot> {
        let mut order = lru::newest_first(&mut self.slab);
        order.retain(|slot| self.is_ready(*slot, now));
        order
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

    /// Looks at the next `count` slots and removes what is dead there. Every insertion and every miss
    /// does some of this, so that nothing dead stays while the cache is in use.
    pub fn sweep(&mut self, now: Timestamp, count: u32) {
        if self.sweeps_flights && self.flights.live() > 0 {
            self.sweep_flight(now);
        }
        if self.mortal == 0 {
            return;
        }
        let slots = self.slab.slots();
        for _ in 0..count.min(slots) {
            self.hand = if self.hand + 1 < slots { self.hand + 1 } else { 1 };
            // What holds no value never expires, so the moment alone decides.
            if self.slab.at(self.hand).is_some_and(|entry| now >= entry.expires())
                && let Some(slot) = Slot::new(self.hand)
            {
                self.drop_value(slot, Some(Cause::Expired));
            }
        }
    }

    /// Removes the value if it is dead.
    #[inline]
    fn expire(&mut self, slot: Slot, now: Timestamp) {
        if self.slab.get(slot).is_some_and(|entry| entry.state() == State::Ready && now >= entry.expires()) {
            self.drop_value(slot, Some(Cause::Expired));
        }
    }

    /// Puts a value's numbers in a slot and makes room for them. The caller has seen to flights.
    fn store(&mut self, slot: Option<Slot>, now: Timestamp, ttl: Ttl, weight: u32) -> Option<Slot> {
        if ttl == Ttl::Millis(0) || !self.limits.admit(weight) {
            self.stats.rejected += 1;
            if let Some(slot) = slot {
                self.drop_value(slot, Some(Cause::Replaced));
            }
            return None;
        }
        let slot = match slot {
            Some(slot) => slot,
            None => {
                // Room is made first, so that the new entry takes the old one's slot.
                if self.entries >= self.limits.max_entries() {
                    self.evict();
                }
                self.slab.take()?
            }
        };
        let expires = now.after(ttl);
        let entry = self.slab.get_mut(slot)?;
        let replaced = (entry.state() == State::Ready).then(|| entry.expires());
        entry.set_state(State::Ready);
        entry.set_expires(expires);
        let old_weight = self.slab.weight(slot);
        self.slab.set_weight(slot, weight);
        self.weight += u64::from(weight);
        self.mortal += u32::from(expires != Timestamp::NEVER);
        self.stats.inserts += 1;
        match replaced {
            Some(expires) => {
                self.weight -= u64::from(old_weight);
                self.mortal -= u32::from(expires != Timestamp::NEVER);
                self.stats.evicted_replaced += 1;
                lru::touch(&mut self.slab, slot);
            }
            None => {
                self.entries += 1;
                lru::link_newest(&mut self.slab, slot);
            }
        }
        while self.limits.exceeded_by(self.entries, self.weight) {
            if !self.evict() {
                break;
            }
        }
        Some(slot)
    }

    /// Removes the entry that the policy can spare most; `false` if there is none.
    fn evict(&mut self) -> bool {
        let victim = lru::oldest(&mut self.slab);
        if let Some(victim) = victim {
            self.drop_value(victim, Some(Cause::Size));
        }
        victim.is_some()
    }

    /// Ends whatever the slot holds and reports it. The key stays where a flight is attached to it.
    fn drop_value(&mut self, slot: Slot, cause: Option<Cause>) {
        let Some(entry) = self.slab.get_mut(slot) else { return };
        let state = entry.state();
        if state == State::Free {
            return;
        }
        let vacated = entry.flight().is_none();
        let expires = entry.expires();
        entry.set_expires(Timestamp::NEVER);
        entry.set_state(State::Pending);
        let mut gone = None;
        if state == State::Ready {
            gone = cause;
            self.entries -= 1;
            self.weight -= u64::from(self.slab.weight(slot));
            self.slab.set_weight(slot, 0);
            self.mortal -= u32::from(expires != Timestamp::NEVER);
            lru::unlink(&mut self.slab, slot);
            match cause {
                Some(Cause::Size) => self.stats.evicted_size += 1,
                Some(Cause::Expired) => self.stats.evicted_expired += 1,
                Some(Cause::Replaced) => self.stats.evicted_replaced += 1,
                Some(Cause::Removed) => self.stats.evicted_removed += 1,
                None => {}
            }
        }
        if vacated {
            self.slab.release(slot);
        }
        if vacated || gone.is_some() {
            self.departures.push_back(Departure { slot, cause: gone, vacated });
        }
    }
}
