//! Entries as numbered slots. What is known of one lies in columns, by the slot's number: the moment until which it is
//! certainly fresh, which is all that a hit needs to read, in one that a driver may see; states, namespaces and flights in
//! another; weights and partitions in two that exist only where entries have any. The key and the value are the driver's,
//! and who goes first is the business of an [eviction policy](super::eviction).

use std::num::NonZeroU32;

use super::grow::grow;
use super::partitions::PartitionId;
use crate::time::Timestamp;

/// The place of an entry. Slots are reused: a slot means something only while its key is in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(NonZeroU32);

impl Slot {
    /// The slot with this number; `None` for 0, which is never an entry.
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

const STATE_SHIFT: u32 = 30;
const NAMESPACE_SHIFT: u32 = 22;
const FLIGHT_MASK: u32 = (1 << NAMESPACE_SHIFT) - 1;
/// The number of the next one, in a slot that is free.
const NEXT_MASK: u32 = (1 << STATE_SHIFT) - 1;

/// Moments from here on are no ends: such a value never expires by itself. Above every moment that a clock can show. The
/// number's lowest 52 bits tell when the value was stored, in milliseconds.
const NEVER_EXPIRES: f64 = f64::from_bits(NEVER_BITS);
const NEVER_BITS: u64 = (1023 + 64) << 52;
const STORED_MASK: u64 = (1 << 52) - 1;
/// Less than any moment that a clock can show: what is not there is not fresh.
const NOTHING: f64 = f64::NAN;

/// Until when what a slot holds is certainly a fresh value.
#[derive(Clone, Copy, Debug)]
pub struct FreshUntil(f64);

impl FreshUntil {
    /// Whether it never expires by itself, so that nobody need read a clock.
    #[inline]
    pub fn is_for_ever(self) -> bool {
        self.0 >= NEVER_EXPIRES
    }

    /// Whether it is fresh at `now`, and nothing more need be asked. False says nothing.
    #[inline]
    pub fn is_after(self, now: Timestamp) -> bool {
        now.as_float() < self.0
    }
}

/// An entry's numbers.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// State in the two highest bits, then eight of the namespace, then flight number + 1 (0: none).
    meta: u32,
    /// Of a value: until when it may be handed out without a check, or, from [`NEVER_EXPIRES`] on, when one was stored
    /// that never needs any. Of a failure: the same below 0, so that nobody takes it for a value. Else not a number.
    moment: f64,
}

impl Entry {
    /// True if the value (or the failure) is certainly fresh at `now`. False means: look at the columns of
    /// [`FreshnessColumns`](super::freshness::FreshnessColumns).
    #[inline]
    pub fn is_fresh_without_check(&self, now: Timestamp) -> bool {
        now.as_float() < self.moment.abs()
    }

    /// Until when [`is_fresh_without_check`](Self::is_fresh_without_check) holds; `None` for ever, or where nothing is.
    pub fn no_check_until(&self) -> Option<Timestamp> {
        let moment = self.moment.abs();
        (moment < NEVER_EXPIRES).then(|| Timestamp::from_millis(moment as u64))
    }

    /// When a value was stored that never expires by itself.
    pub fn stored_at(&self) -> Option<Timestamp> {
        let moment = self.moment.abs();
        (moment >= NEVER_EXPIRES).then(|| Timestamp::from_millis(moment.to_bits() & STORED_MASK))
    }

    pub fn state(&self) -> State {
        match self.meta >> STATE_SHIFT {
            0 => State::Free,
            1 => State::Pending,
            2 => State::Ready,
            _ => State::Failed,
        }
    }

    pub fn flight(&self) -> Option<u32> {
        (self.meta & FLIGHT_MASK).checked_sub(1)
    }
}

/// An entry whose numbers change.
pub(crate) struct EntryMut<'a> {
    meta: &'a mut u32,
    moment: &'a mut f64,
}

impl EntryMut<'_> {
    /// Needs no check until `until`, or, stored at `stored_at`, for ever. After its state is set.
    pub fn set_no_check_until(self, until: Option<Timestamp>, stored_at: Timestamp) {
        let moment = to_moment(until, stored_at);
        *self.moment = if *self.meta >> STATE_SHIFT == State::Failed as u32 { -moment } else { moment };
    }

    /// As [`Entry::stored_at`].
    pub fn stored_at(&self) -> Option<Timestamp> {
        Entry { meta: *self.meta, moment: *self.moment }.stored_at()
    }

    /// Holds no value or failure any more.
    pub fn empty(self) {
        *self.moment = NOTHING;
    }

    pub fn set_namespace(self, namespace: u8) {
        *self.meta = (*self.meta & !(0xff << NAMESPACE_SHIFT)) | (u32::from(namespace) << NAMESPACE_SHIFT);
    }

    pub fn set_state(self, state: State) {
        *self.meta = (*self.meta & !(3 << STATE_SHIFT)) | ((state as u32) << STATE_SHIFT);
    }

    pub fn set_flight(self, flight: Option<u32>) {
        let bits = flight.map_or(0, |number| (number + 1) & FLIGHT_MASK);
        *self.meta = (*self.meta & !FLIGHT_MASK) | bits;
    }
}

/// All slots, free ones included. Slot 0 is none.
pub(crate) struct Slab {
    metas: Vec<u32>,
    moments: Vec<f64>,
    /// Goes up whenever `moments` moves.
    version: u32,
    /// As long as the highest slot that ever had a weight needs.
    weights: Vec<u32>,
    /// As long as the highest slot that was ever in another partition than the root needs.
    partitions: Vec<u32>,
    first_free: u32,
    /// How many entries are expected at the most; beyond it are only keys whose first load is under way.
    expected: u32,
}

impl Slab {
    pub fn new(expected: u32) -> Self {
        Self {
            metas: vec![0],
            moments: vec![NOTHING],
            version: 0,
            weights: Vec::new(),
            partitions: Vec::new(),
            first_free: 0,
            expected,
        }
    }

    /// Forgets all slots.
    pub fn clear(&mut self) {
        *self = Self { version: self.version.wrapping_add(1), ..Self::new(self.expected) };
    }

    /// Slots that exist, free ones and number 0 included.
    pub fn slots(&self) -> u32 {
        u32::try_from(self.metas.len()).unwrap_or(u32::MAX)
    }

    #[inline]
    pub fn get(&self, slot: Slot) -> Option<Entry> {
        let meta = *self.metas.get(slot.index())?;
        // The rest of a free slot's is the next free one's number.
        let meta = if meta >> STATE_SHIFT == State::Free as u32 { 0 } else { meta };
        Some(Entry { meta, moment: *self.moments.get(slot.index())? })
    }

    /// `None` for a free slot.
    #[inline]
    pub fn get_mut(&mut self, slot: Slot) -> Option<EntryMut<'_>> {
        let meta = self.metas.get_mut(slot.index()).filter(|meta| **meta >> STATE_SHIFT != State::Free as u32)?;
        Some(EntryMut { meta, moment: self.moments.get_mut(slot.index())? })
    }

    /// Whether the slot holds a value that is certainly fresh at `now`.
    #[inline]
    pub fn is_hit(&self, slot: Slot, now: Timestamp) -> bool {
        self.fresh_until(slot).is_after(now)
    }

    /// The number after this one, or the first, and its slot, if that [needs a check](Self::needs_check).
    #[inline]
    pub fn look_after(&self, number: u32, now: Timestamp) -> (u32, Option<Slot>) {
        let next = number.wrapping_add(1);
        match self.moments.get(next as usize) {
            Some(moment) if now.as_float() >= moment.abs() => (next, Slot::new(next)),
            Some(_) => (next, None),
            // Number 0 is no entry's: the next look is at the first.
            None => (0, None),
        }
    }

    /// Whether there are `count` slots after this number, none of which [needs a check](Self::needs_check).
    #[inline]
    pub fn needs_no_check_after(&self, number: u32, now: Timestamp, count: u32) -> bool {
        let (first, now) = (number as usize + 1, now.as_float());
        let moments = self.moments.get(first..first + count as usize);
        moments.is_some_and(|moments| !moments.iter().any(|moment| now >= moment.abs()))
    }

    /// Whether the slot holds something, a value or a failure, that is not certainly fresh any more.
    #[inline]
    pub fn needs_check(&self, slot: Slot, now: Timestamp) -> bool {
        now.as_float() >= self.fresh_until(slot).0.abs()
    }

    /// Whose key it holds. Of a slot that holds none it means nothing.
    #[inline]
    pub fn namespace(&self, slot: Slot) -> u8 {
        self.metas.get(slot.index()).map_or(0, |meta| (meta >> NAMESPACE_SHIFT) as u8)
    }

    #[inline]
    pub fn fresh_until(&self, slot: Slot) -> FreshUntil {
        FreshUntil(self.moments.get(slot.index()).copied().unwrap_or(NOTHING))
    }

    /// The moments by slot number: a value is certainly fresh before its moment. What is no value has one that no time is
    /// before.
    pub fn moments(&self) -> &[f64] {
        &self.moments
    }

    /// How many slots there is room for before [`moments`](Self::moments) moves.
    pub fn capacity(&self) -> usize {
        self.moments.capacity()
    }

    /// Another number whenever [`moments`](Self::moments) lies elsewhere than before.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Whether nothing is known of any entry but its state and its moment: none has a weight, or a partition of its own.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.weights.is_empty() && self.partitions.is_empty()
    }

    /// Where the slot holds a value of the cache's own namespace, without a load under way: a new value's moment takes the
    /// place of that one's, which is returned. As [`set_no_check_until`](EntryMut::set_no_check_until).
    #[inline]
    pub fn replace_value_at_rest(
        &mut self,
        slot: Slot,
        until: Option<Timestamp>,
        stored_at: Timestamp,
    ) -> Option<FreshUntil> {
        self.metas.get(slot.index()).filter(|meta| **meta == (State::Ready as u32) << STATE_SHIFT)?;
        let moment = self.moments.get_mut(slot.index())?;
        Some(FreshUntil(std::mem::replace(moment, to_moment(until, stored_at))))
    }

    pub fn weight(&self, slot: Slot) -> u32 {
        self.weights.get(slot.index()).copied().unwrap_or(0)
    }

    pub fn set_weight(&mut self, slot: Slot, weight: u32) {
        set(&mut self.weights, slot, weight);
    }

    /// By slot number; what lies beyond weighs nothing.
    pub fn weights(&self) -> &[u32] {
        &self.weights
    }

    /// Whose key the slot holds.
    #[inline]
    pub fn partition(&self, slot: Slot) -> PartitionId {
        PartitionId(self.partitions.get(slot.index()).copied().unwrap_or(0))
    }

    pub fn set_partition(&mut self, slot: Slot, partition: PartitionId) {
        set(&mut self.partitions, slot, partition.0);
    }

    /// A free slot, now `Pending`; `None` only when all 2^30 - 1 numbers are taken.
    pub fn take(&mut self) -> Option<Slot> {
        let number = if self.first_free != 0 { self.first_free } else { self.slots() };
        let slot = Slot::new(number).filter(|slot| slot.number() <= NEXT_MASK)?;
        if self.first_free != 0 {
            self.first_free = self.metas.get(slot.index())? & NEXT_MASK;
        } else {
            grow(&mut self.metas, number, self.expected, 0);
            if grow(&mut self.moments, number, self.expected, NOTHING) {
                self.version = self.version.wrapping_add(1);
            }
        }
        *self.metas.get_mut(slot.index())? = (State::Pending as u32) << STATE_SHIFT;
        Some(slot)
    }

    /// Gives a slot back that holds nothing.
    pub fn release(&mut self, slot: Slot) {
        let next = self.first_free;
        let Some(EntryMut { meta, moment }) = self.get_mut(slot) else { return };
        *moment = NOTHING;
        *meta = next;
        self.first_free = slot.number();
    }
}

/// As it stands in the column, of a value.
#[inline]
fn to_moment(until: Option<Timestamp>, stored_at: Timestamp) -> f64 {
    match until {
        Some(until) => until.as_float(),
        None => f64::from_bits(NEVER_BITS | stored_at.as_millis().min(STORED_MASK)),
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
