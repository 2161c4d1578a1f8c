//! Least recently used first: a ring through the slab, anchored at number 0, whose `older` side is the
//! newest entry and whose `newer` side the oldest. The anchor spares every branch on an empty end.

use crate::core::slab::{Entry, Slab, Slot};

const ANCHOR: u32 = 0;

/// Puts an unlinked entry at the recently used end. O(1).
#[inline]
pub(crate) fn link_newest(slab: &mut Slab, slot: Slot) {
    let number = slot.number();
    let Some(anchor) = slab.at(ANCHOR) else { return };
    let second = std::mem::replace(&mut anchor.older, number);
    if let Some(entry) = slab.at(second) {
        entry.newer = number;
    }
    if let Some(entry) = slab.get_mut(slot) {
        entry.newer = ANCHOR;
        entry.older = second;
    }
}

/// Takes a linked entry out of the ring. O(1).
#[inline]
pub(crate) fn unlink(slab: &mut Slab, slot: Slot) {
    let Some(&entry) = slab.get(slot) else { return };
    if let Some(newer) = slab.at(entry.newer) {
        newer.older = entry.older;
    }
    if let Some(older) = slab.at(entry.older) {
        older.newer = entry.newer;
    }
}

/// Moves a linked entry to the recently used end. O(1).
#[inline]
pub(crate) fn touch(slab: &mut Slab, slot: Slot) {
    // Unlinking and linking in one go: this is the hit path.
    let Some(&Entry { newer, older, .. }) = slab.get(slot) else { return };
    if newer == ANCHOR {
        return;
    }
    if let Some(entry) = slab.at(newer) {
        entry.older = older;
    }
    if let Some(entry) = slab.at(older) {
        entry.newer = newer;
    }
    link_newest(slab, slot);
}

/// The entry used longest ago.
#[inline]
pub(crate) fn oldest(slab: &mut Slab) -> Option<Slot> {
    slab.at(ANCHOR).and_then(|anchor| Slot::new(anchor.newer))
}

/// All linked entries, the most recently used first.
pub(crate) fn newest_first(slab: &mut Slab) -> Vec<Slot> {
    let mut order = Vec::new();
    let mut next = slab.at(ANCHOR).map_or(ANCHOR, |anchor| anchor.older);
    while let Some(slot) = Slot::new(next) {
        order.push(slot);
        next = slab.get(slot).map_or(ANCHOR, |entry| entry.older);
    }
    order
}
