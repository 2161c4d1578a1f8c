//! How entries take and leave their slots: what is stored, what makes room, what is let go of.

use super::eviction::Leaving;
use super::freshness::StaleWindows;
use super::part::Part;
use super::partitions::{PartitionId, Partitions};
use super::slab::{Slot, State};
use super::{Machine, Removal, RemovalCause};
use crate::options::EntryPolicy;
use crate::time::{Timestamp, Ttl};

/// A value to be stored, as the core knows it.
pub(super) struct Entry<'a> {
    pub policy: EntryPolicy,
    pub weight: u32,
    /// Two lists: one by the caller, one by the loader.
    pub tags: [&'a [String]; 2],
    /// From 0 to 1; looked at where `policy` has jitter.
    pub random: f64,
    /// How long its load took, in milliseconds.
    pub load_millis: Option<u64>,
    /// When it came: the beginning of its idle time.
    pub used_at: Timestamp,
    /// A new key's.
    pub hash: Option<u32>,
    /// Of what is put back: where the eviction policy had it.
    pub standing: Option<u32>,
    /// Of what is put back: how long ago it was stored, though its lifetimes count from now.
    pub age: u64,
}

impl Machine {
    /// A free slot for a key of this partition and hash.
    pub(super) fn take(&mut self, partition: PartitionId, hash: Option<u32>) -> Option<Slot> {
        let slot = self.slab.take()?;
        self.eviction.keyed(slot, hash);
        self.slab.set_partition(slot, partition);
        self.partitions.retain(partition);
        Some(slot)
    }

    /// Puts a value's numbers in a slot and makes room for them. The caller has seen to flights and writes.
    ///
    /// Its lifetimes count from `stored_at`.
    ///
    /// `None`: it may not be stored (zero ttl or idle time, or heavier than the limits allow); a value that was there is gone too.
    pub(super) fn store(
        &mut self,
        slot: Option<Slot>,
        partition: PartitionId,
        stored_at: Timestamp,
        entry: &Entry<'_>,
    ) -> Option<Slot> {
        let policy = &entry.policy;
        let ttl = jittered(policy, entry.random);
        if ttl == Ttl::ZERO || policy.idle_ttl == Ttl::ZERO || !self.limits.admit(entry.weight) {
            self.count(partition, |stats| stats.rejected += 1);
            if let Some(slot) = slot {
                self.drop_value(slot, Some(RemovalCause::Replaced));
            }
            return None;
        }
        let slot = self.occupy(slot, partition, entry.hash, entry.weight, State::Ready, entry.standing)?;
        // After an infinite ttl nothing comes by itself, but the entry may be made to expire.
        let windows = policy.has_windows().then(|| StaleWindows::new(stored_at, ttl, policy, entry.load_millis));
        let until = match (&windows, ttl) {
            // Before no moment: the core is to know of every use.
            _ if policy.tells_each_use() => Some(Timestamp::default()),
            (_, Ttl::Forever) => None,
            (Some(windows), _) => Some(windows.no_check_until()),
            (None, Ttl::Millis(_)) => Some(stored_at.after(ttl)),
        };
        // A clock that has not shown so early a moment tells a lesser age.
        let stored_at = stored_at.before(entry.age);
        self.slab.get_mut(slot)?.set_no_check_until(until, stored_at);
        self.expirable += u32::from(until.is_some());
        let derivable = match until {
            Some(until) => windows.is_none() && self.derived(until) == Some(stored_at),
            None => true,
        };
        self.freshness.set_stored_at(slot, (!derivable).then_some(stored_at));
        self.freshness.set_windows(slot, windows);
        self.freshness.set_idle(slot, policy.idle_ttl, entry.used_at);
        if entry.tags.iter().any(|tags| !tags.is_empty()) {
            let Self { tags, partitions, .. } = self;
            tags.link(slot, &names_around(partitions, partition, entry.tags));
        }
        self.count(partition, |stats| stats.inserts += 1);
        self.note_end(slot, entry.used_at);
        self.make_room(slot);
        Some(slot)
    }

    /// Remembers, instead of a value, that the load failed.
    pub(super) fn store_failure(&mut self, slot: Slot, now: Timestamp, backoff: Ttl) -> Option<Slot> {
        if !self.limits.admit(0) {
            return None;
        }
        let partition = self.slab.partition(slot);
        let slot = self.occupy(Some(slot), partition, None, 0, State::Failed, None)?;
        let until = match backoff {
            Ttl::Forever => None,
            Ttl::Millis(_) => Some(now.after(backoff)),
        };
        self.slab.get_mut(slot)?.set_no_check_until(until, now);
        self.expirable += u32::from(until.is_some());
        self.note_end(slot, now);
        self.make_room(slot);
        Some(slot)
    }

    /// Makes a slot, or a new one, hold something of this weight at the recently used end. What it held is let go
    /// of without a removal: the driver is about to write the value there, and sees what it replaces.
    fn occupy(
        &mut self,
        slot: Option<Slot>,
        partition: PartitionId,
        hash: Option<u32>,
        weight: u32,
        state: State,
        standing: Option<u32>,
    ) -> Option<Slot> {
        let slot = match slot.filter(|slot| self.slab.get(*slot).is_some_and(|entry| entry.state() != State::Free)) {
            Some(slot) => slot,
            None => {
                // Room is made first, so that the new entry takes the old one's slot.
                if self.entries >= self.limits.max_entries() {
                    self.evict(None);
                }
                match self.take(partition, hash) {
                    Some(slot) => slot,
                    // No number is left.
                    None => {
                        self.evict(None);
                        self.take(partition, hash)?
                    }
                }
            }
        };
        let partition = self.slab.partition(slot);
        match self.slab.get(slot)?.state() {
            State::Free | State::Pending => {
                self.entries += 1;
                self.slab.set_weight(slot, weight);
                match standing {
                    Some(standing) => self.eviction.restored(slot, self.slab.weights(), standing),
                    None => self.eviction.inserted(slot, self.slab.weights(), state == State::Failed),
                }
            }
            held => {
                if held == State::Ready {
                    self.count(partition, |stats| stats.evicted_replaced += 1);
                }
                let before = self.slab.weight(slot);
                self.strip(slot);
                self.slab.set_weight(slot, weight);
                self.eviction.replaced(slot, self.slab.weights(), before);
            }
        }
        self.slab.get_mut(slot)?.set_state(state);
        if let Some(held) = self.partitions.held_mut(partition) {
            held.entries += 1;
            held.weight += u64::from(weight);
        }
        self.weight += u64::from(weight);
        Some(slot)
    }

    /// Takes the numbers of what a slot holds off the sums and columns.
    fn strip(&mut self, slot: Slot) {
        let Some(entry) = self.slab.get(slot) else { return };
        self.note_change(slot);
        self.expirable -= u32::from(entry.no_check_until().is_some());
        if let Some(mut entry) = self.slab.get_mut(slot) {
            entry.set_state(State::Pending);
        }
        let weight = u64::from(self.slab.weight(slot));
        if let Some(held) = self.partitions.held_mut(self.slab.partition(slot)) {
            held.entries -= 1;
            held.weight -= weight;
        }
        self.weight -= weight;
        self.slab.set_weight(slot, 0);
        self.freshness.set_windows(slot, None);
        self.freshness.set_idle(slot, Ttl::Forever, Timestamp::default());
        self.freshness.set_stored_at(slot, None);
        self.tags.unlink(slot);
    }

    /// Evicts until the bounds hold, but not what has just come into this slot.
    fn make_room(&mut self, slot: Slot) {
        while self.limits.exceeded_by(self.entries, self.weight) {
            if !self.evict(Some(slot)) {
                break;
            }
        }
    }

    /// Removes the entry that the policy can spare most; `false` if there is none.
    fn evict(&mut self, keep: Option<Slot>) -> bool {
        let victim = self.eviction.victim(self.slab.weights(), keep);
        if let Some(victim) = victim {
            self.drop_value(victim, Some(RemovalCause::Size));
        }
        victim.is_some()
    }

    /// Ends whatever the slot holds and reports it. The key stays where it is being loaded or written.
    pub(super) fn drop_value(&mut self, slot: Slot, cause: Option<RemovalCause>) {
        let Some(entry) = self.slab.get(slot) else { return };
        let state = entry.state();
        if state == State::Free {
            return;
        }
        let key_removed = entry.flight().is_none() && self.pinned != Some(slot) && !self.writes.pins(slot);
        let partition = self.slab.partition(slot);
        let held = state != State::Pending;
        let gone = cause.filter(|_| state == State::Ready);
        if held {
            self.entries -= 1;
            let leaving = match gone {
                Some(RemovalCause::Size) => Leaving::Evicted,
                Some(_) => Leaving::Removed,
                None => Leaving::Failure,
            };
            self.eviction.removed(slot, self.slab.weights(), leaving);
            self.strip(slot);
            self.count(partition, |stats| match gone {
                Some(RemovalCause::Size) => stats.evicted_size += 1,
                Some(RemovalCause::Expired) => stats.evicted_expired += 1,
                Some(RemovalCause::Replaced) => stats.evicted_replaced += 1,
                Some(RemovalCause::Removed) => stats.evicted_removed += 1,
                None => {}
            });
        }
        if key_removed {
            self.slab.release(slot);
            self.slab.set_partition(slot, PartitionId::ROOT);
        }
        if key_removed || held {
            self.removals.push_back(Removal { slot, cause: gone, key_removed });
        }
        if key_removed {
            self.partitions.release(partition);
        }
    }
}

/// The ttl, less what chance takes off.
pub(crate) fn jittered(policy: &EntryPolicy, random: f64) -> Ttl {
    match policy.ttl.bounded() {
        Ttl::Millis(millis) if policy.jitter > 0.0 && millis < 1 << 53 => {
            let off = (millis as f64 * policy.jitter * random) as u64;
            Ttl::Millis(millis.saturating_sub(off).max(millis.min(1)))
        }
        ttl => ttl,
    }
}

/// Tags as each of the parts around a partition knows them.
#[inline(never)]
pub(super) fn names_around<'a>(
    partitions: &'a Partitions,
    partition: PartitionId,
    tags: [&'a [String]; 2],
) -> Vec<(Part<'a>, &'a str)> {
    let mut names = Vec::new();
    for part in partitions.around(partition) {
        for name in tags.into_iter().flatten() {
            names.push((part, name.as_str()));
        }
    }
    names
}
