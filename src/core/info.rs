//! What there is to know of one key, without a use of it.

use super::freshness::Freshness;
use super::slab::{Slot, State};
use super::{Age, Machine};
use crate::time::{Timestamp, Ttl};

/// What there is of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EntryState {
    /// A fresh value.
    Fresh,
    /// A value past its time to live that may still be handed out in one of its stale windows.
    Stale,
    /// The memory of a load that failed a moment ago.
    Failed,
    /// Nothing yet: its first load is under way.
    Loading,
}

impl EntryState {
    /// A stable name for programs: the same in both faces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Failed => "failed",
            Self::Loading => "loading",
        }
    }
}

/// What there is to know of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// What there is of it.
    pub state: EntryState,
    /// Whether a load is under way: its first, or one for a newer value.
    pub loading: bool,
    /// How old the value is, and how long it stays fresh; of the memory of a failure how long it is kept.
    pub age: Age,
    /// What it counts against `max_bytes`.
    pub weight: u32,
}

impl Machine {
    /// What there is to know of a slot's key; `None` if there is nothing that a get could find or wait for. Changes nothing.
    pub fn info(&self, slot: Slot, now: Timestamp) -> Option<Info> {
        let entry = self.slab.get(slot)?;
        let loading = self.flight_of(slot).is_some_and(|flight| self.flights.is_joinable(flight, now));
        let until = |end: Option<Timestamp>| end.map_or(Ttl::Forever, |end| Ttl::Millis(end.millis_since(now)));
        let (state, age) = match self.freshness_of(slot, now) {
            Freshness::Fresh | Freshness::RefreshDue => (EntryState::Fresh, self.age(slot, now)?),
            Freshness::StaleWhileRevalidate | Freshness::StaleIfError => (EntryState::Stale, self.age(slot, now)?),
            Freshness::Expired if entry.state() == State::Failed && entry.is_fresh_without_check(now) => {
                (EntryState::Failed, Age { millis: 0, ttl: until(entry.no_check_until()) })
            }
            Freshness::Expired if loading => (EntryState::Loading, Age { millis: 0, ttl: Ttl::ZERO }),
            Freshness::Expired => return None,
        };
        Some(Info { state, loading, age, weight: self.slab.weight(slot) })
    }

    /// The tags that a slot's entry bears, as those who stored it named them, in no order that is promised. O(its tags).
    pub fn tags_of(&self, slot: Slot) -> Vec<&str> {
        self.tags.names_of(slot, self.part_of(slot))
    }

    /// Removes every value that may not be handed out any more, and every failure that need not be remembered; how many there
    /// were. O(n).
    pub fn remove_all_expired(&mut self, now: Timestamp) -> usize {
        let before = self.entries;
        self.sweep(now, u32::MAX);
        (before - self.entries) as usize
    }
}
