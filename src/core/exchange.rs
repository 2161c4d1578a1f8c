//! The commonest insertions of all in a full cache: a value of which nothing is to be known but when it ends takes the slot
//! of one of the same kind, which makes way for it, or the place of its own key's older value.
//!
//! In the wasm that ships, which is compiled for size, neither the compiler nor the engine inlines what is called here, and each
//! call takes 2 to 3 ns, those of `map_or` and the like too. So what every exchange does is inlined by force, in the modules
//! that it belongs to, and written without closures: 55 ns with the call from JS, and 75 without, for 200 bytes.

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
        if partition != PartitionId::ROOT {
            return None;
        }
        let stored = self.exchange_plain(slot, now, ttl, value.hash)?;
        if slot.is_none()
            && let Some(unheeded) = self.made_way.replace(stored)
        {
            self.removals.push_back(Removal::that_made_way(unheeded));
        }
        Some(stored)
    }

    /// [`insert`](Self::insert) of a value of which nothing is said but this, for a key of the cache itself that has this slot, or
    /// none, where no entry is known to be more than that: in the place of its own older value, or, in a cache that is full by
    /// count, of another key's. The one whose slot it takes is no [removal](Self::poll_removal) to poll. `None`: it is to be
    /// inserted, because there is more to it; something may have made way by then.
    #[cfg_attr(target_family = "wasm", inline(never))]
    #[cfg_attr(not(target_family = "wasm"), inline)]
    pub fn exchange_plain(
        &mut self,
        known: Option<Slot>,
        now: Timestamp,
        ttl: PlainTtl,
        hash: Option<u32>,
    ) -> Option<Slot> {
        let is_full = known.is_some() || self.entries == self.limits.max_entries();
        if !is_full || !self.is_plain_at_rest(now, ttl) {
            return None;
        }
        let slot = match known {
            Some(slot) => slot,
            None => self.eviction.victim(&[], None)?,
        };
        if !self.replace_moment(slot, now, ttl) {
            if known.is_none() {
                self.drop_value(slot, Some(RemovalCause::Size));
            }
            return None;
        }
        match known {
            Some(_) => self.eviction.replaced(slot, &[], 0),
            None => self.eviction.exchanged(slot, hash),
        }
        self.count_in(0, |stats| {
            stats.inserts += 1;
            match known {
                Some(_) => stats.evicted_replaced += 1,
                None => stats.evicted_size += 1,
            }
        });
        Some(slot)
    }

    /// Whether nothing is known of any entry but when it ends, nor would be of this one, and nothing else is under way.
    #[inline(always)]
    fn is_plain_at_rest(&self, now: Timestamp, PlainTtl(ttl): PlainTtl) -> bool {
        let is_plain = self.slab.is_plain() && self.freshness.is_empty() && self.tags.is_empty();
        let is_derivable = ttl == Ttl::Forever || ttl == self.usual_ttl;
        // What is being saved is told of each entry that leaves.
        let is_untold = self.snapshots.is_none() && !self.limits.weighs();
        // What is swept makes room, too.
        is_plain && is_derivable && is_untold && self.finds_nothing_to_sweep(now, SWEEP)
    }

    /// Lets a slot's value end when a new one is to end. `false`: it holds none of those of which nothing else is known.
    #[inline(always)]
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
