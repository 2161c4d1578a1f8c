//! Entries that leave when their time is over though nobody asks for anything, by a timer of the driver's: when that is to
//! ring, and what is looked at then.
//!
//! No entry is in any list. What is kept is the earliest end of all, which only a look at every slot can tell again once
//! it has passed: at most one such look in the interval that the user gave, in steps, and none while nothing ends.

use std::num::NonZeroU64;

use super::Machine;
use super::slab::Slot;
use crate::time::{Timestamp, Ttl};

/// A step looks at so many slots at the most,
const MOST_LOOKS: u32 = 16_384;
/// and lets go of so many entries.
const MOST_REMOVED: u32 = 1_024;

#[derive(Clone, Copy)]
pub(super) struct Timely {
    every: NonZeroU64,
    /// No entry ends before; while slots are looked at, none of those that have been.
    earliest: Timestamp,
    /// The slot that was looked at last; 0 between two looks.
    hand: u32,
    /// What the driver is told.
    at: Timestamp,
}

impl Timely {
    /// Ends between two multiples of the interval are one.
    fn next(&self) -> Timestamp {
        let over = self.earliest.as_millis() % self.every;
        match (self.earliest, over) {
            (Timestamp::NEVER, _) | (_, 0) => self.earliest,
            (end, over) => end.after(Ttl::Millis(self.every.get() - over)),
        }
    }
}

impl Machine {
    /// Entries leave at most this long after their time is over, if the driver calls [`purge_due`](Self::purge_due) in time. To
    /// be said while there are none.
    pub fn purge_stale_every(&mut self, every: Ttl) {
        self.timely = match every.bounded() {
            Ttl::Forever => None,
            Ttl::Millis(every) => {
                let every = NonZeroU64::new(every).unwrap_or(NonZeroU64::MIN);
                Some(Timely { every, earliest: Timestamp::NEVER, hand: 0, at: Timestamp::NEVER })
            }
        };
    }

    /// When [`purge_due`](Self::purge_due) is to be called next; `None` while no entry has an end. It may become earlier by any
    /// call that stores something or ends a value's freshness, which is news.
    pub fn next_purge(&mut self) -> Option<Timestamp> {
        self.has_new_purge = false;
        let timely = self.timely.as_ref()?;
        Some(timely.at).filter(|at| *at != Timestamp::NEVER)
    }

    /// Lets go of what is over, or of a part of it: then the next call is due at once. Does nothing before it is due.
    pub fn purge_due(&mut self, now: Timestamp) {
        let Some(mut timely) = self.timely else { return };
        self.has_new_purge = true;
        if now >= timely.at {
            if timely.hand == 0 {
                timely.earliest = Timestamp::NEVER;
            }
            let (last, held) = (timely.hand.saturating_add(MOST_LOOKS), self.entries);
            while timely.hand < last && held - self.entries < MOST_REMOVED {
                timely.hand += 1;
                let Some(slot) = Slot::new(timely.hand).filter(|slot| slot.number() < self.slab.slots()) else {
                    timely.hand = 0;
                    break;
                };
                self.remove_expired(slot, now);
                timely.earliest = timely.earliest.min(self.end_of(slot));
            }
            timely.at = if timely.hand > 0 { now } else { timely.next() };
        }
        self.timely = Some(timely);
    }

    /// An entry may end earlier than all others.
    #[inline(always)]
    pub(super) fn note_end(&mut self, slot: Slot, now: Timestamp) {
        if self.timely.is_some() {
            self.note_end_of(slot, now);
        }
    }

    #[inline(never)]
    fn note_end_of(&mut self, slot: Slot, now: Timestamp) {
        let end = self.end_of(slot);
        let Some(timely) = &mut self.timely else { return };
        timely.earliest = timely.earliest.min(end);
        let at = if timely.hand > 0 { now } else { timely.next().max(now) };
        // A timer that is so late is none any more: it was a request's that has ended.
        if at < timely.at || now >= timely.at.after(Ttl::Millis(timely.every.get())) {
            timely.at = at;
            self.has_new_purge = true;
        }
    }

    /// Nothing is there any more.
    pub(super) fn forget_ends(&mut self) {
        if let Some(timely) = &mut self.timely {
            (timely.earliest, timely.hand, timely.at) = (Timestamp::NEVER, 0, Timestamp::NEVER);
            self.has_new_purge = true;
        }
    }

    /// When what a slot holds may not be handed out any more.
    fn end_of(&self, slot: Slot) -> Timestamp {
        let Some(until) = self.slab.get(slot).and_then(|entry| entry.no_check_until()) else { return Timestamp::NEVER };
        let Some(windows) = self.freshness.windows(slot) else { return until };
        self.freshness.idle_until(slot).map_or(windows.end(), |until| until.min(windows.end()))
    }
}
