//! Which entry goes when room is needed: the seam between the machine and its policies.
//!
//! A policy owns its columns, by slot, and answers the questions below. It knows neither time nor states: the machine
//! tells it what came, was used and left. A key's hash reaches it once, when the key gets its slot.

#![cfg_attr(
    not(feature = "adaptive"),
    allow(unused_variables, dead_code, unused_mut, reason = "what only the adaptive policy wants to know")
)]

#[cfg(feature = "adaptive")]
mod adaptive;
#[cfg(feature = "adaptive")]
mod clock;
#[cfg(feature = "adaptive")]
mod ghosts;
mod lru;
#[cfg(feature = "adaptive")]
mod shadows;
#[cfg(all(test, feature = "adaptive"))]
mod tests;

use super::slab::Slot;
use crate::options::Limits;
#[cfg(feature = "adaptive")]
use adaptive::Adaptive;
use lru::Lru;

/// How the entry is chosen that makes room for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EvictionPolicy {
    /// The least recently used one, exactly. It alone promises an [order](super::Machine::newest_first).
    Lru,
    /// The one that reuse so far speaks least for, by a policy that adapts to what is asked: it withstands scans and
    /// loops larger than the cache, and keeps up with LRU where recency is what counts.
    #[cfg(feature = "adaptive")]
    Adaptive,
}

impl EvictionPolicy {
    /// What a cache does if nobody says: `Adaptive`, where the feature of that name is on.
    #[cfg(feature = "adaptive")]
    pub const DEFAULT: Self = Self::Adaptive;
    /// What a cache does if nobody says: `Adaptive`, where the feature of that name is on.
    #[cfg(not(feature = "adaptive"))]
    pub const DEFAULT: Self = Self::Lru;
}

/// How something left its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// A value, to make room.
    Evicted,
    /// A value, for another reason: its key may well come back.
    Removed,
    /// The memory of a failed load, of which nothing is to be learned.
    Failure,
}

/// A hit of an entry whose counter is at least this is to be told to the machine; below, a driver that sees the
/// [counters](super::Machine::hit_counters) may count it there by itself.
pub(crate) const NOTED: u8 = 0x80;

/// What counters count to. More would keep what was popular once for longer than it deserves.
pub(crate) const MOST_HITS: u8 = 3;

/// In a [standing](Eviction::standing): the entry is one of those that are to stay.
pub(crate) const HOT: u32 = 1;

pub(crate) enum Eviction {
    Lru(Lru),
    #[cfg(feature = "adaptive")]
    Adaptive(Box<Adaptive>),
}

impl Eviction {
    pub fn new(policy: EvictionPolicy, limits: &Limits) -> Self {
        match policy {
            EvictionPolicy::Lru => Self::Lru(Lru::new(limits.max_entries())),
            #[cfg(feature = "adaptive")]
            EvictionPolicy::Adaptive => Self::Adaptive(Box::new(Adaptive::new(limits))),
        }
    }

    pub fn policy(&self) -> EvictionPolicy {
        match self {
            Self::Lru(_) => EvictionPolicy::Lru,
            #[cfg(feature = "adaptive")]
            Self::Adaptive(_) => EvictionPolicy::Adaptive,
        }
    }

    /// The slot now is a key's of this hash, with nothing in it yet. `None`: the key is never recognised again.
    pub fn keyed(&mut self, slot: Slot, hash: Option<u32>) {
        match self {
            Self::Lru(lru) => lru.keyed(slot),
            #[cfg(feature = "adaptive")]
            Self::Adaptive(adaptive) => adaptive.keyed(slot, hash),
        }
    }

    /// A value, or the memory of a failure, lies in the slot now, where nothing lay. O(1).
    pub fn inserted(&mut self, slot: Slot, weights: &[u32], failure: bool) {
        match self {
            Self::Lru(lru) => lru.link_newest(slot),
            #[cfg(feature = "adaptive")]
            Self::Adaptive(adaptive) => adaptive.inserted(slot, weights, failure),
        }
    }

    /// What lies in the slot took the place of something of this weight, which counts as a use. O(1).
    pub fn replaced(&mut self, slot: Slot, weights: &[u32], before: u32) {
        match self {
            Self::Lru(lru) => lru.hit(slot),
            #[cfg(feature = "adaptive")]
            Self::Adaptive(adaptive) => adaptive.replaced(slot, weights, before),
        }
    }

    /// What lies in the slot was used. O(1).
    #[inline]
    pub fn hit(&mut self, slot: Slot) {
        match self {
            Self::Lru(lru) => lru.hit(slot),
            #[cfg(feature = "adaptive")]
            Self::Adaptive(adaptive) => adaptive.hit(slot),
        }
    }

    /// What lay in the slot leaves it; its weight still stands in the column. O(1).
    pub fn removed(&mut self, slot: Slot, weights: &[u32], why: Leaving) {
        match self {
            Self::Lru(lru) => lru.unlink(slot),
            #[cfg(feature = "adaptive")]
            Self::Adaptive(adaptive) => adaptive.removed(slot, weights, why),
        }
    }

    /// Whom to evict: anything but `keep`, unless there is nothing else. O(1) amortised, and never more than some hundred
    /// steps.
    #[cfg_attr(target_family = "wasm", inline(never))]
    #[cfg_attr(not(target_family = "wasm"), inline)]
    pub fn victim(&mut self, weights: &[u32], keep: Option<Slot>) -> Option<Slot> {
        match self {
            Self::Lru(lru) => lru.victim(keep),
            #[cfg(feature = "adaptive")]
            Self::Adaptive(adaptive) => adaptive.victim(weights, keep),
        }
    }

    /// What lay in the slot leaves it to make room, and a new key's value of this hash lies there now. Neither weighs
    /// anything. O(1).
    #[inline(always)]
    pub fn exchanged(&mut self, slot: Slot, hash: Option<u32>) {
        match self {
            Self::Lru(lru) => lru.hit(slot),
            #[cfg(feature = "adaptive")]
            Self::Adaptive(adaptive) => adaptive.exchanged(slot, hash),
        }
    }

    /// What the policy knows of what lies in the slot, for [`restored`](Self::restored). Another policy makes of it what it can. O(1).
    pub fn standing(&self, slot: Slot) -> u32 {
        match self {
            Self::Lru(_) => HOT,
            #[cfg(feature = "adaptive")]
            Self::Adaptive(adaptive) => adaptive.standing(slot),
        }
    }

    /// A value of this standing lies in the slot now, where nothing lay, behind all that is there already. O(1).
    pub fn restored(&mut self, slot: Slot, weights: &[u32], standing: u32) {
        match self {
            Self::Lru(lru) => lru.link_oldest(slot),
            #[cfg(feature = "adaptive")]
            Self::Adaptive(adaptive) => adaptive.restored(slot, weights, standing),
        }
    }

    /// Which part of its room, of a thousand, the policy has found out to be best for what is new; 0 where it finds out nothing.
    pub fn cold_share(&self) -> u32 {
        match self {
            Self::Lru(_) => 0,
            #[cfg(feature = "adaptive")]
            Self::Adaptive(adaptive) => adaptive.cold_share(),
        }
    }

    /// Begins with what was found out before. What is none of the shares it chooses from changes nothing.
    pub fn set_cold_share(&mut self, share: u32) {
        match self {
            Self::Lru(_) => {}
            #[cfg(feature = "adaptive")]
            Self::Adaptive(adaptive) => adaptive.begin_with(share),
        }
    }

    /// Everything that lies in a slot. With `Lru` the most recently used first. O(n).
    pub fn order(&mut self) -> Vec<Slot> {
        match self {
            Self::Lru(lru) => lru.order(),
            #[cfg(feature = "adaptive")]
            Self::Adaptive(adaptive) => adaptive.order(),
        }
    }

    /// Everything goes at once, and with it what was learned.
    pub fn clear(&mut self, limits: &Limits) {
        let version = self.version();
        *self = Self::new(self.policy(), limits);
        #[cfg(feature = "adaptive")]
        if let Self::Adaptive(adaptive) = self {
            adaptive.set_version(version.wrapping_add(1));
        }
    }

    /// The column of hit counters; empty with a policy that has to be told of every hit.
    pub fn counters(&self) -> &[u8] {
        match self {
            Self::Lru(_) => &[],
            #[cfg(feature = "adaptive")]
            Self::Adaptive(adaptive) => adaptive.counters(),
        }
    }

    /// How many slots the column has room for before it moves.
    pub fn capacity(&self) -> usize {
        match self {
            Self::Lru(_) => usize::MAX,
            #[cfg(feature = "adaptive")]
            Self::Adaptive(adaptive) => adaptive.capacity(),
        }
    }

    /// Where a driver may note hits for a policy that has no counters; empty with one that has.
    pub fn noted_hits(&mut self) -> &[u32] {
        match self {
            Self::Lru(lru) => lru.noted_hits(),
            #[cfg(feature = "adaptive")]
            Self::Adaptive(_) => &[],
        }
    }

    /// Another number whenever [`counters`](Self::counters) lies elsewhere than before.
    pub fn version(&self) -> u32 {
        match self {
            Self::Lru(_) => 0,
            #[cfg(feature = "adaptive")]
            Self::Adaptive(adaptive) => adaptive.version(),
        }
    }

    /// What half, the same, twice and four times the room would have hit since this was first asked; `None` at first, while too
    /// little is known, and with a policy that can't tell.
    pub fn hit_rates(&mut self) -> Option<[f64; 4]> {
        match self {
            Self::Lru(_) => None,
            #[cfg(feature = "adaptive")]
            Self::Adaptive(adaptive) => adaptive.hit_rates(),
        }
    }

    /// What the policy's columns take.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Lru(lru) => lru.bytes(),
            #[cfg(feature = "adaptive")]
            Self::Adaptive(adaptive) => adaptive.bytes(),
        }
    }
}
