//! Values that come without a load: inserted, or written through to their source.

use super::entries::{Entry, names_around};
use super::partitions::PartitionId;
use super::slab::{Slot, State};
use super::writes::Write;
use super::{LoadedValue, Machine, RemovalCause, SWEEP, WriteId};
use crate::options::{NOTHING_SAID, Policy, PolicyPatch};
use crate::time::{Timestamp, Ttl};

/// A value that was set or written.
#[derive(Clone, Copy, Debug)]
pub struct NewValue<'a> {
    /// A new key's, as in [`Ask`](super::Ask).
    pub hash: Option<u32>,
    /// How values are kept.
    pub policy: &'a Policy,
    /// What is said of this one.
    pub said: &'a PolicyPatch,
    /// By what names it can be purged: the caller's, and those of a writer.
    pub tags: [&'a [String]; 2],
    /// What it counts against `max_bytes`; `None`: unknown.
    pub weight: Option<u32>,
    /// Whether it means "nothing there".
    pub absent: bool,
    /// From 0 to 1, for jitter.
    pub random: f64,
}

impl<'a> NewValue<'a> {
    /// A value of which nothing is said, of a new key of this hash.
    pub(crate) fn of_policy(policy: &'a Policy, hash: u32) -> Self {
        let tags: [&[String]; 2] = [&[], &[]];
        Self { hash: Some(hash), policy, said: &NOTHING_SAID, tags, weight: None, absent: false, random: 0.0 }
    }
}

/// A write to a key's source that begins.
#[derive(Clone, Copy, Debug)]
pub struct WriteThrough<'a> {
    /// The key's, if it has one.
    pub slot: Option<Slot>,
    /// A new key's, as in [`Ask`](super::Ask).
    pub hash: Option<u32>,
    /// Whose key it is.
    pub partition: PartitionId,
    /// The moment.
    pub now: Timestamp,
    /// How long it may take, and how what is written is kept, unless the writer says otherwise.
    pub policy: &'a Policy,
    /// By what names it can be purged.
    pub tags: &'a [String],
    /// What it counts against `max_bytes`; `None`: unknown.
    pub weight: Option<u32>,
    /// Whether it may end without a word, with the request that runs it.
    pub may_vanish: bool,
    /// Whether it computes a value from the one that is there, and writes no source: it is [ended](Machine::end_compute) as such.
    pub computes: bool,
}

/// A write whose caller does not wait for its end counts as under way for so long after its deadline.
const GRACE: Ttl = Ttl::Millis(30_000);

/// A write without a deadline counts as abandoned after so long, and one who computes as lost.
pub(super) const LONGEST_WRITE: Ttl = Ttl::Millis(900_000);

impl Machine {
    /// Stores a value for a new key of this partition (`None`) or in its slot, superseding loads and writes under way.
    /// O(1) and its tags, and amortised as many evictions as insertions.
    ///
    /// `None`: it may not be stored. With a zero ttl, or heavier than the limits allow, a value that was there is gone too;
    /// of unknown weight in a cache that is bounded by weight it is no value at all, and nothing happens.
    pub fn insert(
        &mut self,
        slot: Option<Slot>,
        partition: PartitionId,
        now: Timestamp,
        value: &NewValue<'_>,
    ) -> Option<Slot> {
        if value.weight.is_none() && self.limits.weighs() {
            return None;
        }
        match self.exchange(slot, partition, now, value) {
            Some(slot) => Some(slot),
            None => self.insert_slowly(slot, partition, now, value),
        }
    }

    #[inline(never)]
    fn insert_slowly(
        &mut self,
        slot: Option<Slot>,
        partition: PartitionId,
        now: Timestamp,
        value: &NewValue<'_>,
    ) -> Option<Slot> {
        // What is swept or evicted may be the last of this key's partition.
        self.partitions.retain(partition);
        let slot = self.sweep_for(slot, now, SWEEP);
        slot.into_iter().for_each(|slot| self.supersede(slot));
        let stored = self.put(slot, partition, now, value);
        self.partitions.release(partition);
        stored
    }

    fn put(
        &mut self,
        slot: Option<Slot>,
        partition: PartitionId,
        now: Timestamp,
        value: &NewValue<'_>,
    ) -> Option<Slot> {
        let unknown = value.weight.is_none() && self.limits.weighs();
        let entry = Entry {
            policy: value.policy.of_value(value.said, value.absent),
            // Heavier than any limit.
            weight: if unknown { u32::MAX } else { value.weight.unwrap_or(0) },
            tags: value.tags,
            random: value.random,
            load_millis: None,
            used_at: now,
            hash: value.hash,
            standing: None,
            age: 0,
        };
        self.store(slot, partition, now, &entry)
    }

    /// Begins to write a key through to its source, superseding a load under way and other writes of the key. The value
    /// that is there stays until the end; not so if the write `may_vanish` with the request that runs it, since then
    /// what the source has may never be known. `None` when there is no number left.
    ///
    /// A write counts as abandoned half a minute after its deadline, and after a quarter of an hour at the latest: then
    /// the key is removed, and what its writer brings is not stored.
    pub fn begin_write(&mut self, write: &WriteThrough<'_>) -> Option<(Slot, WriteId)> {
        let WriteThrough { slot, hash, partition, now, policy, tags, weight, may_vanish, computes } = *write;
        self.partitions.retain(partition);
        let slot = self.sweep_for(slot, now, 0).or_else(|| self.take(partition, hash));
        self.partitions.release(partition);
        let slot = slot?;
        self.detach_begun(slot);
        let abandoned_at = now.after(policy.hard_timeout.min(LONGEST_WRITE)).after(GRACE);
        let since = self.tags.purges();
        let write =
            Write { slot: None, conflicted: false, since, policy: *policy, tags: tags.to_vec(), weight, computes };
        let id = self.writes.begin(slot, write, abandoned_at)?;
        if may_vanish {
            self.drop_value(slot, Some(RemovalCause::Removed));
        }
        Some((slot, id))
    }

    /// Ends a write: with what the source now has, or `None` where that is not known, or is not to be stored. `slot` is
    /// the key's now.
    ///
    /// The value is stored if nothing else wrote or removed the key meanwhile; if something did, or the write was given
    /// up before, nobody knows whose came last at the source, and the key is removed. Loads that began meanwhile are superseded; what
    /// they brought meanwhile was not stored.
    pub fn end_write(
        &mut self,
        id: WriteId,
        slot: Option<Slot>,
        now: Timestamp,
        written: Option<&LoadedValue<'_>>,
    ) -> Option<Slot> {
        let write = self.writes.end(id);
        let Some(written) = written.filter(|written| !written.skip) else {
            // In the order in which it happens where the caller left before.
            let slot = self.sweep_for(slot, now, 0);
            slot.into_iter().for_each(|slot| self.write_left(slot, now));
            self.sweep(now, SWEEP);
            return None;
        };
        let slot = self.sweep_for(slot, now, SWEEP)?;
        self.supersede(slot);
        if let Some(write) = write.filter(|write| !self.is_overtaken(slot, write, written)) {
            return self.put_written(slot, now, &write, written);
        }
        self.write_left(slot, now);
        None
    }

    /// Whether something else wrote or removed the key while it was written or computed, or a purge by one of its tags came.
    fn is_overtaken(&self, slot: Slot, write: &Write, written: &LoadedValue<'_>) -> bool {
        let tags = [&write.tags[..], written.tags];
        let names = names_around(&self.partitions, self.slab.partition(slot), tags);
        write.conflicted || write.slot != Some(slot) || self.tags.purged_since(write.since, &names).is_some()
    }

    fn put_written(&mut self, slot: Slot, now: Timestamp, write: &Write, written: &LoadedValue<'_>) -> Option<Slot> {
        let tags = [&write.tags[..], written.tags];
        let weight = written.weight.or(write.weight);
        let LoadedValue { said, absent, random, .. } = *written;
        let value = NewValue { hash: None, policy: &write.policy, said, tags, weight, absent, random };
        self.put(Some(slot), self.slab.partition(slot), now, &value)
    }

    /// Ends a write that computes: with the next value, one to [skip](LoadedValue::skip) where there is to be none, or `None` where
    /// it failed or its caller left. `slot` is the key's now.
    ///
    /// What was there stays if it failed, and what came or went meanwhile wins over what it brings. As with other writes, what
    /// loads bring that ran meanwhile is not stored.
    pub fn end_compute(
        &mut self,
        id: WriteId,
        slot: Option<Slot>,
        now: Timestamp,
        computed: Option<&LoadedValue<'_>>,
    ) -> Option<Slot> {
        let write = self.writes.end(id);
        let slot = self.sweep_for(slot, now, SWEEP)?;
        let stored = write.zip(computed).and_then(|(write, computed)| self.end_computed(slot, now, &write, computed));
        if stored.is_none() {
            self.leave_unused(slot);
        }
        stored
    }

    /// A slot that was taken for what was computed, and for nothing else, is free again.
    fn leave_unused(&mut self, slot: Slot) {
        if self.slab.get(slot).is_some_and(|entry| entry.state() == State::Pending) {
            self.drop_value(slot, None);
        }
    }

    fn end_computed(&mut self, slot: Slot, now: Timestamp, write: &Write, computed: &LoadedValue<'_>) -> Option<Slot> {
        if self.is_overtaken(slot, write, computed) {
            return None;
        }
        self.supersede(slot);
        if computed.skip {
            self.write_left(slot, now);
            return None;
        }
        self.put_written(slot, now, write, computed)
    }

    /// The caller of a write waits no longer, and nobody knows what the source will have: the key goes now, and again when
    /// the write [ends](Self::end_write). A value that was dead already goes as expired. O(1).
    pub fn write_left(&mut self, slot: Slot, now: Timestamp) {
        self.supersede(slot);
        self.remove_expired(slot, now);
        self.drop_value(slot, Some(RemovalCause::Removed));
    }

    /// The write under way with this number; if there is none, one that has ended or was given up.
    pub fn write_at(&self, number: u32) -> WriteId {
        self.writes.id_at(number)
    }

    /// Ends a write that nobody will end any more: its key goes, since nobody knows what the source has, but for one that computes.
    pub(super) fn sweep_write(&mut self, now: Timestamp) {
        if let Some(abandoned) = self.writes.take_abandoned(now)
            && let Some(slot) = abandoned.slot
        {
            if abandoned.computes { self.leave_unused(slot) } else { self.remove(slot) }
        }
    }
}
