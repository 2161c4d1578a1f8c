//! How entries are taken back before their time: removed, or made stale. All of it beats what was under way.

use super::aging::Standing;
use super::slab::{Slab, Slot, State};
use super::{Cause, Machine, lru};
use crate::time::Timestamp;

impl Machine {
    /// Removes the key and its value, superseding loads and writes under way: what such a load brings goes only
    /// to those who wait for it already. O(1) and its tags.
    pub fn remove(&mut self, slot: Slot) {
        self.supersede(slot);
        self.drop_value(slot, Some(Cause::Removed));
    }

    /// Ends the value's freshness now. It goes if it has no stale windows; if it has, they begin now. Loads and
    /// writes under way are superseded as by [`remove`](Self::remove). `true` if it was fresh. O(1).
    pub fn expire(&mut self, slot: Slot, now: Timestamp) -> bool {
        self.supersede(slot);
        let fresh = matches!(self.standing(slot, now), Standing::Fresh | Standing::Ageing);
        if let Some(windows) = self.aging.windows_mut(slot)
            && let Some(entry) = self.slab.get_mut(slot)
        {
            windows.expire(now);
            let until = windows.plain_until();
            if let born @ Some(_) = entry.born() {
                self.mortal += 1;
                self.aging.set_born(slot, born);
            }
            entry.set_plain_until(Some(until), now);
        }
        // Without windows its end is its plain moment; with them it may be over as well.
        if fresh && self.aging.windows(slot).is_none_or(|windows| now >= windows.end()) || self.is_failed(slot, now) {
            self.drop_value(slot, Some(Cause::Expired));
        }
        self.vacate_pending(slot);
        fresh
    }

    /// [Removes](Self::remove) every entry that bears the tag; how many there were. No load that is under way is
    /// joined any more, since it may turn out to bear the tag; then what it brings is not stored. O(entries hit).
    pub fn remove_tag(&mut self, tag: &str) -> usize {
        let slots = self.purge_tag(tag);
        slots.iter().for_each(|slot| self.remove(*slot));
        slots.len()
    }

    /// As [`remove_tag`](Self::remove_tag), but [expires](Self::expire) them.
    pub fn expire_tag(&mut self, tag: &str, now: Timestamp) -> usize {
        let slots = self.purge_tag(tag);
        slots.iter().filter(|slot| self.expire(**slot, now)).count()
    }

    /// Removes everything, as [`remove`](Self::remove) would, without a departure for each. Returns the
    /// slots that held something, the most recently used first. O(n).
    pub fn clear(&mut self) -> Vec<Slot> {
        let held = lru::newest_first(&mut self.slab);
        for slot in &held {
            if let Some(entry) = self.slab.get(*slot).filter(|entry| entry.state() == State::Ready) {
                self.count(entry.space(), |stats| stats.evicted_removed += 1);
            }
        }
        self.flights.detach_all();
        self.writes.doom_all();
        self.tags.clear();
        self.aging = Default::default();
        self.slab = Slab::new(self.limits.max_entries());
        self.held.fill(Default::default());
        self.entries = 0;
        self.weight = 0;
        self.mortal = 0;
        self.hand = 0;
        held
    }

    fn purge_tag(&mut self, tag: &str) -> Vec<Slot> {
        let loading = self.flights.live() > 0 || !self.writes.is_empty();
        self.tags.purge(tag, loading)
    }

    /// What is under way for a key is no longer about the key as it now is.
    pub(super) fn supersede(&mut self, slot: Slot) {
        self.detach(slot);
        if !self.writes.is_empty() {
            self.writes.doom(slot);
        }
    }
}
