//! The commonest insertions of all in a full cache: a value of which nothing is to be known but when it ends takes the slot
//! of one of the same kind, which makes way for it, or the place of its own key's older value.

use super::partitions::PartitionId;
use super::slab::Slot;
use super::{Machine, NewValue, Removal, RemovalCause, SWEEP};
use crate::options::Policy;
use crate::time::{Timestamp, Ttl};

/// A policy by which nothing is to be known of a value but when it ends: for how long it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainTtl(Ttl);

impl PlainTtl {
    /// Of values of this policy that are not [absent](NewValue::absent) and of which nothing else is said; `None` if more is
    /// to be known of them.
    #[inline]
    pub fn of(policy: &Policy) -> Option<Self> {
        let policy = &policy.entry;
        let has_more = policy.has_windows() | (policy.jitter > 0.0);
        let ttl = policy.ttl.bounded();
        (!has_more & (ttl != Ttl::ZERO)).then_some(Self(ttl))
    }
}

impl Machine {
    /// Does what storing a value would do, in a third of the time, where nothing but moments changes. `None`: nothing is stored yet
    /// (though something may have made way), because there is more to it.
    #[inline]
    pub(super) fn exchange(
        &mut self,
        slot: Option<Slot>,
        partition: PartitionId,
        now: Timestamp,
        value: &NewValue<'_>,
    ) -> Option<Slot> {
        let ttl = plain(value)?;
        match slot {
            None => self.exchange_plain(partition, now, ttl, value.hash),
            Some(slot) => (partition == PartitionId::ROOT && self.replace_plain(slot, now, ttl)).then_some(slot),
        }
    }

    /// [`insert`](Self::insert) of a new key's value of which nothing is said but this, in a full cache that is not bounded by
    /// weight and whose values are all of that kind. `None`: it is to be inserted, because there is more to it; something may
    /// have made way by then.
    #[cfg_attr(target_family = "wasm", inline(never))]
    #[cfg_attr(not(target_family = "wasm"), inline)]
    pub fn exchange_plain(
        &mut self,
        partition: PartitionId,
        now: Timestamp,
        ttl: PlainTtl,
        hash: Option<u32>,
    ) -> Option<Slot> {
        if partition != PartitionId::ROOT {
            return None;
        }
        let slot = self.make_way(now, ttl, hash)?;
        if let Some(unheeded) = self.made_way.replace(slot) {
            self.removals.push_back(Removal::that_made_way(unheeded));
        }
        Some(slot)
    }

    /// As [`exchange_plain`](Self::exchange_plain), of a key of the cache itself. What makes way is no
    /// [removal](Self::poll_removal) to poll.
    pub(crate) fn make_way(&mut self, now: Timestamp, ttl: PlainTtl, hash: Option<u32>) -> Option<Slot> {
        if self.entries != self.limits.max_entries() || !self.is_plain_at_rest(now, ttl) {
            return None;
        }
        let slot = self.eviction.victim(&[], None)?;
        if !self.replace_moment(slot, now, ttl) {
            self.drop_value(slot, Some(RemovalCause::Size));
            return None;
        }
        self.eviction.exchanged(slot, hash);
        self.count_in(0, |stats| {
            stats.evicted_size += 1;
            stats.inserts += 1;
        });
        Some(slot)
    }

    /// [`insert`](Self::insert) of a value of which nothing is said but this in the place of an older one, of a key of the cache
    /// itself. `false`: it is to be inserted, because there is more to it.
    pub(crate) fn replace_plain(&mut self, slot: Slot, now: Timestamp, ttl: PlainTtl) -> bool {
        let is_done = self.is_plain_at_rest(now, ttl) && self.replace_moment(slot, now, ttl);
        if is_done {
            self.eviction.replaced(slot, &[], 0);
            self.count_in(0, |stats| {
                stats.evicted_replaced += 1;
                stats.inserts += 1;
            });
        }
        is_done
    }

    /// Whether nothing is known of any entry but when it ends, nor would be of this one, and nothing else is under way.
    #[inline]
    fn is_plain_at_rest(&self, now: Timestamp, PlainTtl(ttl): PlainTtl) -> bool {
        let is_plain = self.slab.is_plain() && self.freshness.is_empty() && self.tags.is_empty();
        let is_derivable = ttl == Ttl::Forever || ttl == self.usual_ttl;
        // What is being saved is told of each entry that leaves.
        let is_untold = self.snapshots.is_none() && !self.limits.weighs();
        // What is swept makes room, too.
        is_plain && is_derivable && is_untold && self.finds_nothing_to_sweep(now, SWEEP)
    }

    /// Lets a slot's value end when a new one is to end. `false`: it holds none of those of which nothing else is known.
    #[cfg_attr(target_family = "wasm", inline(never))]
    #[cfg_attr(not(target_family = "wasm"), inline)]
    fn replace_moment(&mut self, slot: Slot, now: Timestamp, PlainTtl(ttl): PlainTtl) -> bool {
        let until = match ttl {
            Ttl::Millis(_) => Some(now.after(ttl)),
            Ttl::Forever => None,
        };
        let Some(before) = self.slab.replace_value_at_rest(slot, until, now) else { return false };
        self.pass_swept(SWEEP);
        self.expirable = self.expirable - u32::from(!before.is_for_ever()) + u32::from(until.is_some());
        self.note_end(slot, now);
        true
    }
}

/// How long a value lives of which nothing is to be known but when it ends.
#[inline]
fn plain(value: &NewValue<'_>) -> Option<PlainTtl> {
    let [by_caller, by_writer] = value.tags;
    let is_usual = value.said.says_nothing() & !(value.absent & value.policy.negative_ttl.is_some());
    let has_more = !by_caller.is_empty() | !by_writer.is_empty() | (value.weight.unwrap_or(0) > 0);
    PlainTtl::of(value.policy).filter(|_| is_usual & !has_more)
}
