//! Entries as numbered slots. A slot's numbers lie side by side (20 bytes), because a hit reads and
//! writes nearly all of them; weights, which it doesn't, are a column of their own that exists only where
//! entries have weights. The key and the value are the driver's.

use std::num::NonZeroU32;

use super::partitions::PartitionId;
use crate::time::Timestamp;

/// The place of an entry. Slots are reused: a slot means something only while its key is in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(NonZeroU32);

impl Slot {
    /// The slot with this number; `None` for 0, which is the ring's anchor and never an entry.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The slot's number, from 1 on, dense enough to index an array.
    pub const fn number(self) -> u32 {
        self.0.get()
    }

    /// The slot's number as an index.
    pub const fn index(self) -> usize {
        self.0.get() as usize
    }
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing: it waits in the free list.
    Free,
    /// A key without a value, whose load is under way.
    Pending,
    /// A value.
    Ready,
    /// The memory of a load that failed: until it expires, the key is not loaded again.
    Failed,
}

#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// The neighbour used more recently; in a free slot, the next free one.
    pub newer: u32,
    /// The neighbour used less recently.
    pub older: u32,
    /// State in the two highest bits, then eight of the namespace, then flight number + 1 (0: none).
    meta: u32,
    /// A moment, in two halves, which need no padding: until when the value may be handed out without a check; or, with
    /// the highest bit set, when a value was stored that never needs one.
    expires: [u32; 2],
}

const STATE_SHIFT: u32 = 30;
const NAMESPACE_SHIFT: u32 = 22;
const FLIGHT_MASK: u32 = (1 << NAMESPACE_SHIFT) - 1;
/// Set in a moment that is no end: the value never expires by itself. Above every moment that a clock can show.
const NEVER_EXPIRES: u64 = 1 << 63;

impl Entry {
    const EMPTY: Self = Self { newer: 0, older: 0, meta: 0, expires: [u32::MAX; 2] };

    #[inline]
    fn moment(&self) -> u64 {
        let [high, low] = self.expires;
        (u64::from(high) << 32) | u64::from(low)
    }

    /// True if the value is certainly fresh at `now`. False means: look at the columns of
    /// [`FreshnessColumns`](super::freshness::FreshnessColumns).
    #[inline]
    pub fn is_fresh_without_check(&self, now: Timestamp) -> bool {
        now.as_millis() < self.moment()
    }

    /// Until when [`is_fresh_without_check`](Self::is_fresh_without_check) holds; `None` for ever.
    pub fn no_check_until(&self) -> Option<Timestamp> {
        Some(self.moment()).filter(|moment| moment & NEVER_EXPIRES == 0).map(Timestamp::from_millis)
    }

    /// When a value was stored that never expires by itself.
    pub fn stored_at(&self) -> Option<Timestamp> {
        let moment = Some(self.moment()).filter(|moment| moment & NEVER_EXPIRES != 0);
        moment.map(|moment| Timestamp::from_millis(moment & !NEVER_EXPIRES))
    }

    /// Needs no check until `until`, or, stored at `stored_at`, for ever.
    pub fn set_no_check_until(&mut self, until: Option<Timestamp>, stored_at: Timestamp) {
        let moment = until.map_or(stored_at.as_millis() | NEVER_EXPIRES, Timestamp::as_millis);
        self.expires = [(moment >> 32) as u32, moment as u32];
    }

    #[inline]
    pub fn namespace(&self) -> u8 {
        (self.meta >> NAMESPACE_SHIFT) as u8
    }

    pub fn set_namespace(&mut self, namespace: u8) {
        self.meta = (self.meta & !(0xff << NAMESPACE_SHIFT)) | (u32::from(namespace) << NAMESPACE_SHIFT);
    }

    pub fn state(&self) -> State {
        match self.meta >> STATE_SHIFT {
            0 => State::Free,
            1 => State::Pending,
            2 => State::Ready,
            _ => State::Failed,
        }
    }

    pub fn set_state(&mut self, state: State) {
        let bits = match state {
            State::Free => 0,
            State::Pending => 1,
            State::Ready => 2,
            State::Failed => 3,
        };
        self.meta = (self.meta & !(3 << STATE_SHIFT)) | (bits << STATE_SHIFT);
    }

    /// The number of the flight that loads this key.
    pub fn flight(&self) -> Option<u32> {
        (self.meta & FLIGHT_MASK).checked_sub(1)
    }

    pub fn set_flight(&mut self, flight: Option<u32>) {
        let bits = flight.map_or(0, |number| (number + 1) & FLIGHT_MASK);
        self.meta = (self.meta & !FLIGHT_MASK) | bits;
    }
}

/// All slots, free ones included. Slot 0 is the anchor of the recency ring.
pub(crate) struct Slab {
    entries: Vec<Entry>,
    /// As long as the highest slot that ever had a weight needs.
    weights: Vec<u32>,
    /// As long as the highest slot that was ever in another partition than the root needs.
    partitions: Vec<u32>,
    first_free: u32,
    /// How many entries are expected at the most; beyond it are only keys whose first load is under way.
    expected: usize,
}

impl Slab {
    pub fn new(expected: u32) -> Self {
        Self {
            entries: vec![Entry::EMPTY],
            weights: Vec::new(),
            partitions: Vec::new(),
            first_free: 0,
            expected: expected as usize,
        }
    }

    /// Slots that exist, free ones included, plus the anchor.
    pub fn slots(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    #[inline]
    pub fn get(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot.index())
    }

    #[inline]
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.entries.get_mut(slot.index())
    }

    pub fn weight(&self, slot: Slot) -> u32 {
        self.weights.get(slot.index()).copied().unwrap_or(0)
    }

    pub fn set_weight(&mut self, slot: Slot, weight: u32) {
        set(&mut self.weights, slot, weight);
    }

    /// Whose key the slot holds.
    #[inline]
    pub fn partition(&self, slot: Slot) -> PartitionId {
        PartitionId(self.partitions.get(slot.index()).copied().unwrap_or(0))
    }

    pub fn set_partition(&mut self, slot: Slot, partition: PartitionId) {
        set(&mut self.partitions, slot, partition.0);
    }

    /// The anchor or an entry by number.
    #[inline]
    pub fn at(&mut self, number: u32) -> Option<&mut Entry> {
        self.entries.get_mut(number as usize)
    }

    /// A free slot, now `Pending`; `None` only when all 2^32 - 1 numbers are taken.
    pub fn take(&mut self) -> Option<Slot> {
        let slot = if let Some(slot) = Slot::new(self.first_free) {
            self.first_free = self.get(slot)?.newer;
            slot
        } else {
            let slot = Slot::new(u32::try_from(self.entries.len()).ok()?)?;
            let held = self.entries.len();
            if held == self.entries.capacity() && held <= self.expected {
                // Doubling, but from a sixteenth on straight to what a full cache needs (the anchor, all entries,
                // and one that comes before another goes): linear memory never gets its holes back.
                let full = self.expected + 2;
                self.entries.reserve_exact(if held < full / 16 { held.max(16) } else { full - held });
            }
            self.entries.push(Entry::EMPTY);
            slot
        };
        let entry = self.get_mut(slot)?;
        *entry = Entry::EMPTY;
        entry.set_state(State::Pending);
        Some(slot)
    }

    /// Gives an unlinked slot back.
    pub fn release(&mut self, slot: Slot) {
        let next = self.first_free;
        if let Some(entry) = self.get_mut(slot) {
            *entry = Entry { newer: next, ..Entry::EMPTY };
            self.first_free = slot.number();
        }
    }
}

/// Writes to a column of numbers, which grows only for one that is not 0.
fn set(column: &mut Vec<u32>, slot: Slot, value: u32) {
    if value > 0 && column.len() <= slot.index() {
        column.resize(slot.index() + 1, 0);
    }
    if let Some(place) = column.get_mut(slot.index()) {
        *place = value;
    }
}
