//! Write-throughs under way: the source is being written, and only at the end is it known whether what it was written is
//! what the cache may hold.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashMap;

use super::slab::Slot;
use crate::options::Policy;
use crate::time::Timestamp;

/// Names a write-through: a number that is reused, and a generation that tells the uses apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WriteId {
    number: u32,
    generation: u32,
}

impl WriteId {
    /// The reused number, dense enough to index an array.
    pub const fn index(self) -> usize {
        self.number as usize
    }
}

pub(crate) struct Write {
    /// Its key's; `None` after a clear.
    pub slot: Option<Slot>,
    /// Something else was written or removed meanwhile: nobody knows which came last at the source.
    pub conflicted: bool,
    /// The last tag purge when it began.
    pub since: u64,
    /// What the one who began it said of what it writes.
    pub policy: Policy,
    pub tags: Vec<String>,
    pub weight: Option<u32>,
}

/// So many moments of writes that ended in time are kept beside those under way before they are looked through.
const TIDY_AT_LEAST: usize = 64;

#[derive(Default)]
struct Place {
    generation: u32,
    write: Option<Write>,
}

#[derive(Default)]
pub(crate) struct WriteThroughs {
    places: Vec<Place>,
    free: Vec<u32>,
    /// Those of each key.
    by_slot: HashMap<Slot, Vec<u32>>,
    /// When each counts as abandoned.
    abandoned: BinaryHeap<Reverse<(Timestamp, WriteId)>>,
    /// How many lost their key to a clear: nobody knows whose keys these were.
    keyless: usize,
}

impl WriteThroughs {
    /// A write begins that counts as abandoned from `abandoned_at` on. `None` when 2^32 are under way.
    pub fn begin(&mut self, slot: Slot, write: Write, abandoned_at: Timestamp) -> Option<WriteId> {
        let conflicted = self.conflict(slot) || self.keyless > 0;
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.places.push(Place::default());
                u32::try_from(self.places.len() - 1).ok()?
            }
        };
        let place = self.places.get_mut(number as usize)?;
        place.write = Some(Write { slot: Some(slot), conflicted, ..write });
        let id = WriteId { number, generation: place.generation };
        self.by_slot.entry(slot).or_default().push(number);
        self.abandoned.push(Reverse((abandoned_at, id)));
        if self.abandoned.len() > 2 * (self.places.len() - self.free.len()) + TIDY_AT_LEAST {
            let Self { abandoned, places, .. } = self;
            abandoned.retain(|Reverse((_, id))| places.get(id.index()).is_some_and(|p| p.generation == id.generation));
        }
        Some(id)
    }

    /// The live write with this number.
    pub fn id_at(&self, number: u32) -> Option<WriteId> {
        let place = self.places.get(number as usize).filter(|place| place.write.is_some())?;
        Some(WriteId { number, generation: place.generation })
    }

    /// O(1), but for the writes of the same key.
    pub fn end(&mut self, id: WriteId) -> Option<Write> {
        let place = self.places.get_mut(id.index()).filter(|place| place.generation == id.generation)?;
        let write = place.write.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(id.number);
        match write.slot {
            None => self.keyless -= 1,
            Some(slot) => {
                if let Some(numbers) = self.by_slot.get_mut(&slot) {
                    numbers.retain(|number| *number != id.number);
                    if numbers.is_empty() {
                        self.by_slot.remove(&slot);
                    }
                }
            }
        }
        Some(write)
    }

    /// Ends a write that nobody will end any more.
    pub fn take_abandoned(&mut self, now: Timestamp) -> Option<Write> {
        while let Some(Reverse((_, id))) = self.abandoned.peek().copied().filter(|Reverse((at, _))| now > *at) {
            self.abandoned.pop();
            if let Some(write) = self.end(id) {
                return Some(write);
            }
        }
        None
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }

    /// Whether a key must keep its slot, because it is being written.
    pub fn pins(&self, slot: Slot) -> bool {
        !self.by_slot.is_empty() && self.by_slot.contains_key(&slot)
    }

    /// Tells the writes of a key that it was written or removed meanwhile; `true` if there are any.
    pub fn conflict(&mut self, slot: Slot) -> bool {
        let Self { places, by_slot, .. } = self;
        let Some(numbers) = by_slot.get(&slot) else { return false };
        for number in numbers {
            if let Some(write) = places.get_mut(*number as usize).and_then(|place| place.write.as_mut()) {
                write.conflicted = true;
            }
        }
        true
    }

    pub fn conflict_all(&mut self) {
        self.by_slot = HashMap::new();
        for write in self.places.iter_mut().filter_map(|place| place.write.as_mut()) {
            write.conflicted = true;
            self.keyless += usize::from(write.slot.take().is_some());
        }
    }
}
