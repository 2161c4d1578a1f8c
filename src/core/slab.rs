//! Entries as numbered slots. What is known of one lies in columns, by the slot's number: its state, and the moment until which
//! it is certainly fresh, which is all that a hit needs to read, as one number in a column that a driver may see; loads of what
//! has a value, weights and partitions in three that exist only where entries have any. The key and the value are the driver's,
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

const MOST_SLOTS: u32 = (1 << 30) - 1;

/// Moments from here on are no ends: such a value never expires by itself. Above every moment that a clock can show. The
/// number's lowest 52 bits tell when the value was stored, in milliseconds.
const NEVER_EXPIRES: f64 = f64::from_bits(NEVER_BITS);
const NEVER_BITS: u64 = (1023 + 64) << 52;
const STORED_MASK: u64 = (1 << 52) - 1;
/// Not a number, so that no time is before it: what is not there is not fresh. The lowest 32 bits of one that is pending are
/// the number of its flight + 1 (0: none), and those of one that is free are the number of the next one.
const PENDING: u64 = f64::NAN.to_bits();
const FREE: u64 = PENDING | 1 << 32;

fn state_of(moment: f64) -> State {
    match moment.is_nan() {
        true if moment.to_bits() & FREE == FREE => State::Free,
        true => State::Pending,
        false if moment.is_sign_negative() => State::Failed,
        false => State::Ready,
    }
}

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
    /// Of a value: until when it may be handed out without a check, or, from [`NEVER_EXPIRES`] on, when one was stored
    /// that never needs any. Of a failure: the same with a sign, so that nobody takes it for a value. Else not a number.
    moment: f64,
    /// The flight's number + 1; 0: none.
    flight: u32,
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
        state_of(self.moment)
    }

    pub fn flight(&self) -> Option<u32> {
        self.flight.checked_sub(1)
    }
}

/// An entry whose numbers change.
pub(crate) struct EntryMut<'a> {
    slot: Slot,
    moment: &'a mut f64,
    flights: &'a mut Vec<u32>,
    expected: u32,
}

impl EntryMut<'_> {
    /// Needs no check until `until`, or, stored at `stored_at`, for ever. After its state is set.
    pub fn set_no_check_until(&mut self, until: Option<Timestamp>, stored_at: Timestamp) {
        *self.moment = to_moment(until, stored_at).copysign(*self.moment);
    }

    /// As [`Entry::stored_at`].
    pub fn stored_at(&self) -> Option<Timestamp> {
        Entry { moment: *self.moment, flight: 0 }.stored_at()
    }

    /// Holds a value, or the memory of a failure, of which nothing is known yet; or nothing.
    #[inline(never)]
    pub fn set_state(&mut self, state: State) {
        let flight = flight_of(self.slot, *self.moment, self.flights);
        self.set_flight(None);
        *self.moment = match state {
            State::Free | State::Pending => f64::from_bits(PENDING),
            State::Ready => 0.0,
            State::Failed => -0.0,
        };
        self.set_flight(flight.checked_sub(1));
    }

    pub fn set_flight(&mut self, flight: Option<u32>) {
        let flight = flight.map_or(0, |number| number + 1);
        match self.moment.is_nan() {
            true => *self.moment = f64::from_bits(PENDING | u64::from(flight)),
            false => set(self.flights, self.slot, flight, self.expected),
        }
    }
}

/// The flight's number + 1 of what is not free; 0: none.
fn flight_of(slot: Slot, moment: f64, flights: &[u32]) -> u32 {
    match moment.is_nan() {
        true => moment.to_bits() as u32,
        false => flights.get(slot.index()).copied().unwrap_or(0),
    }
}

/// All slots, free ones included. Slot 0 is none.
pub(crate) struct Slab {
    moments: Vec<f64>,
    /// Goes up whenever `moments` moves.
    version: u32,
    /// Of values that are loaded anew: the flight's number + 1. As long as the highest slot that ever had such a load needs.
    flights: Vec<u32>,
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
            moments: vec![f64::from_bits(PENDING)],
            version: 0,
            flights: Vec::new(),
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
        u32::try_from(self.moments.len()).unwrap_or(u32::MAX)
    }

    #[inline]
    pub fn get(&self, slot: Slot) -> Option<Entry> {
        let moment = *self.moments.get(slot.index())?;
        let flight = if state_of(moment) == State::Free { 0 } else { flight_of(slot, moment, &self.flights) };
        Some(Entry { moment, flight })
    }

    /// `None` for a free slot.
    #[inline]
    pub fn get_mut(&mut self, slot: Slot) -> Option<EntryMut<'_>> {
        let Self { moments, flights, expected, .. } = self;
        let moment = moments.get_mut(slot.index()).filter(|moment| state_of(**moment) != State::Free)?;
        Some(EntryMut { slot, moment, flights, expected: *expected })
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
    #[inline(always)]
    pub fn needs_no_check_after(&self, number: u32, now: Timestamp, count: u32) -> bool {
        let (first, now) = (number as usize + 1, now.as_float());
        let Some(end) = first.checked_add(count as usize) else { return false };
        let Some(moments) = self.moments.get(first..end) else { return false };
        for moment in moments {
            if now >= moment.abs() {
                return false;
            }
        }
        true
    }

    /// Whether the slot holds something, a value or a failure, that is not certainly fresh any more.
    #[inline]
    pub fn needs_check(&self, slot: Slot, now: Timestamp) -> bool {
        now.as_float() >= self.fresh_until(slot).0.abs()
    }

    #[inline]
    pub fn fresh_until(&self, slot: Slot) -> FreshUntil {
        FreshUntil(self.moments.get(slot.index()).copied().unwrap_or(f64::NAN))
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

    /// Where the slot holds a value without a load under way: a new value's moment takes the place of that one's, which is
    /// returned. As [`set_no_check_until`](EntryMut::set_no_check_until).
    #[inline(always)]
    pub fn replace_value_at_rest(
        &mut self,
        slot: Slot,
        until: Option<Timestamp>,
        stored_at: Timestamp,
    ) -> Option<FreshUntil> {
        let moment = self.moments.get_mut(slot.index()).filter(|moment| state_of(**moment) == State::Ready)?;
        if flight_of(slot, *moment, &self.flights) != 0 {
            return None;
        }
        Some(FreshUntil(std::mem::replace(moment, to_moment(until, stored_at))))
    }

    pub fn weight(&self, slot: Slot) -> u32 {
        self.weights.get(slot.index()).copied().unwrap_or(0)
    }

    pub fn set_weight(&mut self, slot: Slot, weight: u32) {
        set(&mut self.weights, slot, weight, self.expected);
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
        set(&mut self.partitions, slot, partition.0, self.expected);
    }

    /// A free slot, now `Pending`; `None` only when all 2^30 - 1 numbers are taken.
    pub fn take(&mut self) -> Option<Slot> {
        let number = if self.first_free != 0 { self.first_free } else { self.slots() };
        let slot = Slot::new(number).filter(|slot| slot.number() <= MOST_SLOTS)?;
        let pending = f64::from_bits(PENDING);
        if self.first_free != 0 {
            let place = self.moments.get_mut(slot.index())?;
            self.first_free = std::mem::replace(place, pending).to_bits() as u32;
        } else if grow(&mut self.moments, number, self.expected, pending) {
            self.version = self.version.wrapping_add(1);
        }
        Some(slot)
    }

    /// Gives a slot back that is pending without a flight.
    pub fn release(&mut self, slot: Slot) {
        let next = self.first_free;
        let Some(entry) = self.get_mut(slot) else { return };
        *entry.moment = f64::from_bits(FREE | u64::from(next));
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
#[inline(never)]
fn set(column: &mut Vec<u32>, slot: Slot, value: u32, expected: u32) {
    if value > 0 {
        grow(column, slot.number(), expected, 0);
    }
    if let Some(place) = column.get_mut(slot.index()) {
        *place = value;
    }
}
