//! Entries as numbered slots. A slot's numbers lie side by side (20 bytes), because a hit reads and
//! writes nearly all of them; weights, which it doesn't, are a column of their own that exists only where
//! entries have weights. The key and the value lie elsewhere, on the driver's shelf.

use std::num::NonZeroU32;

use crate::time::Timestamp;

/// The place of an entry. Slots are reused: a slot means something only while its key is in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
}

#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// The neighbour used more recently; in a free slot, the next free one.
    pub newer: u32,
    /// The neighbour used less recently.
    pub older: u32,
    /// State in the two highest bits, flight number + 1 in the others (0: none).
    meta: u32,
    /// In two halves, which need no padding.
    expires: [u32; 2],
}

const STATE_SHIFT: u32 = 30;
const FLIGHT_MASK: u32 = (1 << STATE_SHIFT) - 1;

impl Entry {
    const EMPTY: Self = Self { newer: 0, older: 0, meta: 0, expires: [u32::MAX; 2] };

    #[inline]
    pub fn expires(&self) -> Timestamp {
        let [high, low] = self.expires;
        Timestamp::from_millis((u64::from(high) << 32) | u64::from(low))
    }

    pub fn set_expires(&mut self, expires: Timestamp) {
        let millis = expires.as_millis();
        self.expires = [(millis >> 32) as u32, millis as u32];
    }

    pub fn state(&self) -> State {
        match self.meta >> STATE_SHIFT {
            0 => State::Free,
            1 => State::Pending,
            _ => State::Ready,
        }
    }

    pub fn set_state(&mut self, state: State) {
        let bits = match state {
            State::Free => 0,
            State::Pending => 1,
            State::Ready => 2,
        };
        self.meta = (self.meta & FLIGHT_MASK) | (bits << STATE_SHIFT);
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
    first_free: u32,
    /// How many entries are expected at the most; beyond it are only keys whose first load is under way.
    expected: usize,
}

impl Slab {
    pub fn new(expected: u32) -> Self {
        Self { entries: vec![Entry::EMPTY], weights: Vec::new(), first_free: 0, expected: expected as usize }
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
        if weight > 0 && self.weights.len() <= slot.index() {
            self.weights.resize(slot.index() + 1, 0);
        }
        if let Some(place) = self.weights.get_mut(slot.index()) {
            *place = weight;
        }
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
