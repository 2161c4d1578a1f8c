//! How entries are taken back before their time: removed, or made stale. All of it beats what was under way.

use super::part::Part;
use super::slab::{Slot, State};
use super::{Machine, RemovalCause};
use crate::time::Timestamp;

impl Machine {
    /// Removes the key and its value, superseding loads and writes under way: what such a load brings goes only
    /// to those who wait for it already. O(1) and its tags.
    pub fn remove(&mut self, slot: Slot) {
        self.supersede(slot);
        self.drop_value(slot, Some(RemovalCause::Removed));
    }

    /// Ends the value's freshness now. It goes if it has no stale windows; if it has, they begin now. Loads and
    /// writes under way are superseded as by [`remove`](Self::remove). `true` if it was fresh. O(1).
    pub fn expire(&mut self, slot: Slot, now: Timestamp) -> bool {
        self.supersede(slot);
        self.end_freshness(slot, now)
    }

    pub(super) fn end_freshness(&mut self, slot: Slot, now: Timestamp) -> bool {
        let fresh = self.is_fresh(slot, now);
        self.note_change(slot);
        let no_check_until = self.slab.get(slot).and_then(|entry| entry.no_check_until());
        let tells_each_use = no_check_until == Some(Timestamp::default());
        if let Some(windows) = self.freshness.windows_mut(slot)
            && let Some(mut entry) = self.slab.get_mut(slot)
        {
            windows.expire(now);
            let until = windows.no_check_until();
            if let stored_at @ Some(_) = entry.stored_at() {
                self.expirable += 1;
                self.freshness.set_stored_at(slot, stored_at);
            }
            if !tells_each_use {
                entry.set_no_check_until(Some(until), now);
            }
        }
        // Without windows its end is its only moment; with them it may be over as well.
        let over = self.freshness.windows(slot).is_none_or(|windows| now >= windows.end());
        if fresh && over || self.is_failed(slot, now) {
            self.drop_value(slot, Some(RemovalCause::Expired));
        }
        self.note_end(slot, now);
        self.vacate_pending(slot);
        fresh
    }

    /// Removes every entry of a part, and of those within it, that bears the tag; how many there were. A load or write
    /// under way there is beaten if it turns out to bear the tag, and only then: what it brings is not stored, and those
    /// who asked for it after the purge ask again. O(entries hit).
    pub fn remove_tag(&mut self, part: Part<'_>, tag: &str) -> usize {
        let slots = self.purge_tag(part, tag);
        slots.iter().for_each(|slot| self.drop_value(*slot, Some(RemovalCause::Removed)));
        slots.len()
    }

    /// As [`remove_tag`](Self::remove_tag), but ends their freshness, as [`expire`](Self::expire) does; how many were
    /// fresh.
    pub fn expire_tag(&mut self, part: Part<'_>, tag: &str, now: Timestamp) -> usize {
        let slots = self.purge_tag(part, tag);
        slots.iter().filter(|slot| self.end_freshness(**slot, now)).count()
    }

    /// Removes everything in a part and within it, as [`remove`](Self::remove) does. O(n of the cache).
    pub fn remove_within(&mut self, part: Part<'_>) {
        self.note_clear_within();
        for number in 1..self.slab.slots() {
            if let Some(slot) = Slot::new(number)
                && self.slab.get(slot).is_some_and(|entry| entry.state() != State::Free)
                && self.partitions.is_within(self.slab.partition(slot), part)
            {
                self.remove(slot);
            }
        }
    }

    /// Removes everything, as [`remove`](Self::remove) would, without a removal to poll for each. Returns the
    /// slots that held something. O(n).
    pub fn clear(&mut self) -> Vec<Slot> {
        let held = self.eviction.order();
        for slot in &held {
            if self.slab.get(*slot).is_some_and(|entry| entry.state() == State::Ready) {
                self.count(self.slab.partition(*slot), |stats| stats.evicted_removed += 1);
            }
        }
        for slot in (1..self.slab.slots()).filter_map(Slot::new) {
            if self.slab.get(slot).is_some_and(|entry| entry.state() != State::Free) {
                self.partitions.release(self.slab.partition(slot));
            }
        }
        self.note_clear();
        self.flights.detach_all();
        self.writes.conflict_all();
        self.tags.clear();
        self.partitions.empty();
        self.freshness = Default::default();
        self.slab.clear();
        self.eviction.clear(&self.limits);
        self.entries = 0;
        self.weight = 0;
        self.expirable = 0;
        self.hand = 0;
        self.forget_ends();
        held
    }

    fn purge_tag(&mut self, part: Part<'_>, tag: &str) -> Vec<Slot> {
        let under_way = self.flights.live() > 0 || !self.writes.is_empty() || self.snapshots.is_some();
        self.tags.purge(part, tag, under_way)
    }

    /// What is under way for a key is no longer about the key as it now is. A load that waits for its turn is about the key
    /// as it will be.
    pub(super) fn supersede(&mut self, slot: Slot) {
        self.detach_begun(slot);
        if !self.writes.is_empty() {
            self.writes.conflict(slot);
        }
    }
}
