//! Entries as numbers, for a snapshot: taken out one by one while the cache is used, and put back.
//!
//! A save is to the cache what a load is: whatever is removed, replaced or made stale after it was taken out is told at the end,
//! and is not in the snapshot. So a snapshot is of the moment at which [`end_save`](Machine::end_save) was called. What is put back comes
//! behind all that is there, makes nothing go, and yields to every purge since [`begin_restore`](Machine::begin_restore).

use super::Machine;
use super::entries::{Entry, names_around};
use super::partitions::PartitionId;
use super::record::Record;
use super::slab::Slot;
use crate::options::EntryPolicy;
use crate::time::{Timestamp, Ttl};

/// A save or a restoring of a snapshot. One that is begun later ends the one of its kind before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotId(pub u32);

/// An entry to be put back.
#[derive(Clone, Copy, Debug)]
pub struct Restored<'a> {
    /// Whose key it is.
    pub partition: PartitionId,
    /// The key's hash, as in [`Ask`](super::Ask).
    pub hash: Option<u32>,
    /// Its place in the snapshot.
    pub ordinal: u32,
    /// As it is now: [later](Record::later) than when it was saved.
    pub record: Record,
    /// By what names it can be purged.
    pub tags: &'a [String],
}

/// Why an entry was not put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRestored {
    /// Its time is over.
    Expired,
    /// There is no room for it, or it is heavier than an entry may be.
    NoRoom,
    /// It was purged after the restoring had begun.
    Purged,
    /// Another restoring has begun.
    Superseded,
}

/// Which entries a save or a restoring has dealt with, so far as they are still as they were.
#[derive(Default)]
struct Track {
    id: u32,
    /// By slot: the entry's ordinal and 1, or 0.
    ordinals: Vec<u32>,
    /// The ordinals of those that have changed.
    changed: Vec<u32>,
}

impl Track {
    fn add(&mut self, slot: Slot, ordinal: u32) {
        if self.ordinals.len() <= slot.index() {
            self.ordinals.resize(slot.index() + 1, 0);
        }
        if let Some(place) = self.ordinals.get_mut(slot.index()) {
            *place = ordinal.saturating_add(1);
        }
    }

    fn change(&mut self, slot: Slot) {
        let before = self.ordinals.get_mut(slot.index()).map_or(0, std::mem::take);
        self.changed.extend(before.checked_sub(1));
    }

    fn change_all(&mut self) {
        let ordinals = std::mem::take(&mut self.ordinals);
        self.changed.extend(ordinals.into_iter().filter_map(|ordinal| ordinal.checked_sub(1)));
    }
}

/// What is under way.
#[derive(Default)]
pub(super) struct Snapshots {
    save: Option<Track>,
    restoring: Option<Restoring>,
}

struct Restoring {
    track: Track,
    /// The last purge of a tag before it began.
    since: u64,
    /// How many entries had made room before it began.
    evicted: u64,
    /// A part of the cache, or all of it, was emptied: what belongs there is not looked into.
    cleared: bool,
}

impl Machine {
    /// Begins to save a snapshot of what is [usable](Self::usable), which comes in the order of its worth. O(1).
    pub fn begin_save(&mut self) -> SnapshotId {
        let id = self.next_snapshot();
        let track = Track { id: id.0, ..Track::default() };
        self.snapshots.get_or_insert_default().save = Some(track);
        id
    }

    /// Which part of its room, of a thousand, the eviction policy keeps for what is new; 0 with
    /// [`EvictionPolicy::Lru`](super::EvictionPolicy::Lru).
    pub fn cold_share(&self) -> u32 {
        self.eviction.cold_share()
    }

    /// What it was of the cache that a snapshot is of. An empty cache takes it over.
    pub fn restore_cold_share(&mut self, cold_share: u32) {
        if self.is_empty() {
            self.eviction.set_cold_share(cold_share);
        }
    }

    /// Takes out the entry in a slot, to be the snapshot's so many-th; `None` if there is no value that may be handed out, or
    /// another save has begun. It stays where it is. O(1).
    pub fn save(&mut self, save: SnapshotId, ordinal: u32, slot: Slot, now: Timestamp) -> Option<Record> {
        let entry = self.slab.get(slot).filter(|_| self.is_usable(slot, now))?;
        let stored_at = self.stored_at(slot, entry).unwrap_or(now);
        let windows = self.freshness.windows(slot);
        let fresh_until = windows.map(|windows| windows.fresh_until).or(entry.no_check_until());
        let idle_until = self.freshness.idle_until(slot);
        let idle_ttl = self.freshness.idle_ttl(slot);
        let record = Record {
            age: now.millis_since(stored_at),
            ttl: match fresh_until.filter(|end| *end != Timestamp::NEVER) {
                Some(end) => Ttl::Millis(end.millis_since(stored_at)),
                None => Ttl::Forever,
            },
            stale_while_revalidate: windows.map_or(Ttl::ZERO, |windows| windows.stale_while_revalidate),
            stale_if_error: windows.map_or(Ttl::ZERO, |windows| windows.stale_if_error),
            idle_ttl,
            unused: match (idle_ttl, idle_until) {
                (Ttl::Millis(ttl), Some(until)) => ttl.saturating_sub(until.millis_since(now)),
                _ => 0,
            },
            spread: windows.map_or(0.0, |windows| windows.spread),
            checked: entry.no_check_until() == Some(Timestamp::default()) && idle_until.is_none(),
            weight: self.slab.weight(slot),
            standing: self.eviction.standing(slot),
        };
        let track = self.snapshots.as_mut()?.save.as_mut().filter(|track| track.id == save.0)?;
        track.add(slot, ordinal);
        Some(record)
    }

    /// Ends a save: the ordinals, in any order, of what has been removed, replaced or made stale since it was taken out, and is not of
    /// the snapshot. `None` if another save has begun.
    pub fn end_save(&mut self, save: SnapshotId) -> Option<Vec<u32>> {
        let track = self.snapshots.as_mut()?.save.take_if(|track| track.id == save.0)?;
        self.forget_snapshots();
        Some(track.changed)
    }

    /// Begins to put a snapshot back: best before its bytes are looked for, since purges from now on hold against it.
    pub fn begin_restore(&mut self) -> SnapshotId {
        let (since, evicted) = (self.tags.purges(), self.evicted());
        let id = self.next_snapshot();
        let track = Track { id: id.0, ..Track::default() };
        let restoring = Restoring { track, since, evicted, cleared: false };
        self.snapshots.get_or_insert_default().restoring = Some(restoring);
        id
    }

    /// Puts an entry back, in a slot of its own: its key must have none. It comes behind all entries that are there, and nothing makes
    /// room for it. O(1) and its tags.
    ///
    /// Not if one of its tags was purged or a part of the cache emptied since the restoring began; the driver sees to keys that were
    /// removed or set since. Once something has been evicted there is no room any more: all that is there is worth more.
    pub fn restore(&mut self, id: SnapshotId, now: Timestamp, entry: &Restored<'_>) -> Result<Slot, NotRestored> {
        let Restored { partition, record, tags, .. } = *entry;
        let evicted = self.evicted();
        let snapshots = self.snapshots.as_ref().and_then(|snapshots| snapshots.restoring.as_ref());
        let known = snapshots.filter(|known| known.track.id == id.0).ok_or(NotRestored::Superseded)?;
        let is_purged = known.since != self.tags.purges() && {
            let names = names_around(&self.partitions, partition, [tags, &[]]);
            self.tags.purged_since(known.since, &names).is_some()
        };
        if known.cleared || is_purged {
            return Err(NotRestored::Purged);
        }
        let weight = u64::from(record.weight);
        let is_full = known.evicted != evicted || self.limits.exceeded_by(self.entries + 1, self.weight + weight);
        if is_full || !self.limits.admit(record.weight) {
            return Err(NotRestored::NoRoom);
        }
        let policy = record.policy().ok_or(NotRestored::Expired)?;
        let slot = self.put_back(partition, now, &policy, entry).ok_or(NotRestored::NoRoom)?;
        if let Some(restoring) = self.snapshots.as_mut().and_then(|snapshots| snapshots.restoring.as_mut()) {
            restoring.track.add(slot, entry.ordinal);
        }
        Ok(slot)
    }

    fn put_back(
        &mut self,
        partition: PartitionId,
        now: Timestamp,
        policy: &EntryPolicy,
        entry: &Restored<'_>,
    ) -> Option<Slot> {
        let Restored { record, tags, hash, .. } = *entry;
        let is_stale = policy.ttl == Ttl::ZERO;
        let value = Entry {
            policy: EntryPolicy { ttl: if is_stale { Ttl::Millis(1) } else { policy.ttl }, ..*policy },
            weight: record.weight,
            tags: [tags, &[]],
            random: 0.0,
            // What is refreshed ahead by has been multiplied with it already.
            load_millis: Some(1),
            used_at: now,
            hash,
            standing: Some(record.standing),
            age: record.age,
        };
        let slot = self.store(None, partition, now, &value)?;
        if is_stale {
            self.end_freshness(slot, now);
        }
        // Each use begins its whole idle time anew.
        if record.idle_ttl != Ttl::Forever {
            self.freshness.set_idle_until(slot, record.idle_ttl, now.after(policy.idle_ttl));
        }
        Some(slot)
    }

    /// Takes an entry out again that was put back in this slot, if it is still there: it is not of the snapshot.
    pub fn take_back(&mut self, id: SnapshotId, ordinal: u32, slot: Slot) {
        let snapshots = self.snapshots.as_ref().and_then(|snapshots| snapshots.restoring.as_ref());
        let known = snapshots.filter(|known| known.track.id == id.0);
        if known.is_some_and(|known| known.track.ordinals.get(slot.index()) == Some(&ordinal.saturating_add(1))) {
            self.remove(slot);
        }
    }

    /// Ends a restoring; `false` if another has begun.
    pub fn end_restore(&mut self, id: SnapshotId) -> bool {
        let Some(snapshots) = &mut self.snapshots else { return false };
        let known = snapshots.restoring.take_if(|known| known.track.id == id.0);
        self.forget_snapshots();
        known.is_some()
    }

    /// What the slot holds is about to change.
    #[inline]
    pub(super) fn note_change(&mut self, slot: Slot) {
        if self.snapshots.is_some() {
            self.note_changed(slot);
        }
    }

    #[cold]
    #[inline(never)]
    fn note_changed(&mut self, slot: Slot) {
        self.tracks().into_iter().flatten().for_each(|track| track.change(slot));
    }

    fn tracks(&mut self) -> [Option<&mut Track>; 2] {
        let Some(Snapshots { save, restoring }) = self.snapshots.as_deref_mut() else { return [None, None] };
        [save.as_mut(), restoring.as_mut().map(|restoring| &mut restoring.track)]
    }

    /// Everything is about to go.
    pub(super) fn note_clear(&mut self) {
        self.tracks().into_iter().flatten().for_each(Track::change_all);
        self.note_clear_within();
    }

    /// Everything of a part is about to go.
    pub(super) fn note_clear_within(&mut self) {
        if let Some(restoring) = self.snapshots.as_mut().and_then(|snapshots| snapshots.restoring.as_mut()) {
            restoring.cleared = true;
        }
    }

    fn next_snapshot(&mut self) -> SnapshotId {
        self.snapshots_begun = self.snapshots_begun.wrapping_add(1);
        SnapshotId(self.snapshots_begun)
    }

    /// Nothing is noted when nobody asks.
    fn forget_snapshots(&mut self) {
        self.snapshots.take_if(|snapshots| snapshots.save.is_none() && snapshots.restoring.is_none());
    }

    fn evicted(&self) -> u64 {
        self.stats.iter().map(|stats| stats.evicted_size).sum()
    }
}
