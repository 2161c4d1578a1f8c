//! What a driver may see of the columns, so that a hit needs no call, and what the eviction policy has to say.

use super::slab::{FreshUntil, Slot, State};
use super::{EvictionPolicy, Machine};
use crate::time::Timestamp;

impl Machine {
    /// How it chooses whom to evict.
    pub fn eviction_policy(&self) -> EvictionPolicy {
        self.eviction.policy()
    }

    /// What of a sample of its keys the cache would have hit with half, the same, twice and four times as many entries since this was first asked, from
    /// 0 to 1, as far as room decides it and not time: tried out by the policy itself in little
    /// (Waldspurger et al., USENIX ATC 2017). `None` when it is asked first, before a thousand sampled gets, and with
    /// [`EvictionPolicy::Lru`]. From the first time on a sampled get costs about twice as much.
    pub fn hit_rates_by_room(&mut self) -> Option<[f64; 4]> {
        self.eviction.hit_rates()
    }

    /// What the eviction policy takes of memory, in bytes: its columns, its ghosts (keys that are gone and may come back),
    /// its shadows. Nothing of it lies in the entries' other columns.
    pub fn eviction_bytes(&self) -> usize {
        self.eviction.bytes()
    }

    /// The first of two columns that a driver may see through a view of its own, by slot number. While the present moment,
    /// in milliseconds, is less than what stands here, the slot holds a value that is certainly fresh: a get is a hit,
    /// and needs to ask nothing more. For everything else, [`touch`](Self::touch) or [`ask`](Self::ask).
    pub fn fresh_until(&self) -> &[f64] {
        self.slab.moments()
    }

    /// What stands in [`fresh_until`](Self::fresh_until) for a slot.
    #[inline]
    pub fn fresh_until_of(&self, slot: Slot) -> FreshUntil {
        self.slab.fresh_until(slot)
    }

    /// A hit that the driver has found by [`fresh_until_of`](Self::fresh_until_of), in the slot of a key that lies in this
    /// namespace: the policy learns of it, and it is counted.
    #[inline]
    pub fn count_hit(&mut self, slot: Slot, namespace: u8) {
        self.eviction.hit(slot);
        self.count_in(namespace, |stats| stats.hits += 1);
    }

    /// The second: counters of hits, by slot number. A hit that the driver has found by
    /// [`fresh_until`](Self::fresh_until) counts up a counter below 3; one at 3 stays; one above, or that is not there,
    /// is left as it is, and the hit told by [`note_hit`](Self::note_hit); of several of one slot in a row one will do.
    /// With [`EvictionPolicy::Lru`] there are none, but [`noted_hits`](Self::noted_hits).
    pub fn hit_counters(&self) -> &[u8] {
        self.eviction.counters()
    }

    /// How many slots, number 0 included, the two columns have room for where they are. They move only when a key gets a slot
    /// of this number or a greater one ([`ask`](Self::ask), [`insert`](Self::insert), [`begin_write`](Self::begin_write)) and
    /// by [`clear`](Self::clear): a view from before is then over memory that has been freed, and must be neither read nor
    /// written.
    pub fn columns_capacity(&self) -> usize {
        self.slab.capacity().min(self.eviction.capacity())
    }

    /// Another number whenever one of the two columns has moved.
    pub fn columns_version(&self) -> u32 {
        self.slab.version().wrapping_add(self.eviction.version())
    }

    /// With [`EvictionPolicy::Lru`], where the order of hits matters, a list to which a driver may append the slots of hits
    /// that it has found by itself, through a view of its own: the first number says how many there are, and they follow
    /// in order. They count before anything else that is told or asked. When it is full, and with another policy, where it
    /// is empty, [`note_hit`](Self::note_hit) takes them. It lies where it is until [`clear`](Self::clear).
    pub fn noted_hits(&mut self) -> &[u32] {
        self.eviction.noted_hits()
    }

    /// A hit that a driver has found by itself, as the policy must know of it. It is not counted among the
    /// [hits](super::Stats::hits).
    pub fn note_hit(&mut self, slot: Slot) {
        if self.slab.get(slot).is_some_and(|entry| matches!(entry.state(), State::Ready | State::Failed)) {
            self.eviction.hit(slot);
        }
    }

    /// Counts so many hits that a driver has found by itself.
    pub fn count_hits(&mut self, namespace: u8, hits: u64) {
        self.count_in(namespace, |stats| stats.hits += hits);
    }

    /// The slots whose values are fresh: with [`EvictionPolicy::Lru`] the most recently used first, else in no order that is
    /// promised. O(n).
    pub fn newest_first(&mut self, now: Timestamp) -> Vec<Slot> {
        let mut order = self.eviction.order();
        order.retain(|slot| self.is_fresh(*slot, now));
        order
    }

    /// As [`newest_first`](Self::newest_first), with the slots whose values are stale and may still be handed out.
    pub fn usable(&mut self, now: Timestamp) -> Vec<Slot> {
        let mut order = self.eviction.order();
        order.retain(|slot| self.is_usable(*slot, now));
        order
    }
}
