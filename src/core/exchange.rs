//! The commonest insertion of all in a full cache: a value of which nothing is to be known but when it ends takes the slot
//! of one of the same kind, which makes way for it.

use super::partitions::PartitionId;
use super::slab::Slot;
use super::{Machine, NewValue, Removal, RemovalCause};
use crate::options::EntryPolicy;
use crate::time::{Timestamp, Ttl};

impl Machine {
    /// Does what storing a new key's value would do, in a third of the time, where nothing but two moments changes. `None`:
    /// nothing is stored yet (though something may have made way), because there is more to it.
    #[inline]
    pub(super) fn exchange(&mut self, partition: PartitionId, now: Timestamp, value: &NewValue<'_>) -> Option<Slot> {
        let policy = plain(value)?;
        let ttl = policy.ttl.bounded();
        let is_full = self.entries > 0 && self.entries == self.limits.max_entries();
        let is_plain = self.slab.is_plain() && self.freshness.is_empty() && self.tags.is_empty();
        let is_derivable = ttl == Ttl::Forever || ttl == self.usual_ttl;
        let is_noted = !self.writes.is_empty() || self.snapshots.is_some();
        if !is_full || !is_plain || !is_derivable || partition != PartitionId::ROOT || is_noted {
            return None;
        }
        if self.limits.weighs() && value.weight.is_none() {
            return None;
        }
        let slot = self.eviction.victim(&[], None)?;
        if !self.slab.is_value_at_rest(slot) {
            self.drop_value(slot, Some(RemovalCause::Size));
            return None;
        }
        self.eviction.exchanged(slot, value.hash);
        self.expirable -= u32::from(!self.slab.fresh_until(slot).is_for_ever());
        let until = (ttl != Ttl::Forever).then(|| now.after(ttl));
        self.slab.get_mut(slot)?.set_no_check_until(until, now);
        self.expirable += u32::from(until.is_some());
        self.count_in(0, |stats| {
            stats.evicted_size += 1;
            stats.inserts += 1;
        });
        self.removals.push_back(Removal { slot, cause: Some(RemovalCause::Size), key_removed: true });
        Some(slot)
    }
}

/// How a value is kept of which nothing is to be known but when it ends.
#[inline]
fn plain<'a>(value: &NewValue<'a>) -> Option<&'a EntryPolicy> {
    let policy = &value.policy.entry;
    let is_usual = value.said.says_nothing() && !(value.absent && value.policy.negative_ttl.is_some());
    let [by_caller, by_writer] = value.tags;
    let has_more = policy.has_windows() || policy.jitter > 0.0 || !by_caller.is_empty() || !by_writer.is_empty();
    (is_usual && !has_more && policy.ttl != Ttl::ZERO && value.weight.unwrap_or(0) == 0).then_some(policy)
}
