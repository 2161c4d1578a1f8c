//! Write-throughs under way: the source is being written, and only at the end is it known whether what it was written is
//! what the cache may hold.

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
    /// It computes a value from the one that is there, and writes no source: what it does not replace stays.
    pub computes: bool,
}

#[derive(Default)]
struct Place {
    generation: u32,
    write: Option<Write>,
    /// From then on it counts as abandoned.
    abandoned_at: Timestamp,
    /// The next write of the same key; 0 for none, else its number and one.
    next: u32,
}

#[derive(Default)]
pub(crate) struct WriteThroughs {
    places: Vec<Place>,
    free: Vec<u32>,
    /// The first write of each slot's key, as `next`; as long as the highest slot needs that was written.
    firsts: Vec<u32>,
    /// Before this moment none counts as abandoned.
    none_abandoned_before: Timestamp,
    /// How many lost their key to a clear: nobody knows whose keys these were.
    keyless: usize,
}

impl WriteThroughs {
    /// A write begins that counts as abandoned from `abandoned_at` on. `None` when 2^32 are under way.
    pub fn begin(&mut self, slot: Slot, write: Write, abandoned_at: Timestamp) -> Option<WriteId> {
        // Of what is computed one comes after the other, and no clear was about a later one.
        let conflicted = (self.conflict(slot) || self.keyless > 0) && !write.computes;
        if self.is_empty() {
            self.none_abandoned_before = abandoned_at;
        }
        self.none_abandoned_before = self.none_abandoned_before.min(abandoned_at);
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.places.push(Place::default());
                u32::try_from(self.places.len() - 1).ok()?
            }
        };
        if self.firsts.len() <= slot.index() {
            self.firsts.resize(slot.index() + 1, 0);
        }
        let first = self.firsts.get_mut(slot.index())?;
        let place = self.places.get_mut(number as usize)?;
        place.write = Some(Write { slot: Some(slot), conflicted, ..write });
        place.abandoned_at = abandoned_at;
        place.next = std::mem::replace(first, number + 1);
        Some(WriteId { number, generation: place.generation })
    }

    /// The write with this number; if there is none, one that has ended.
    pub fn id_at(&self, number: u32) -> WriteId {
        WriteId { number, generation: self.places.get(number as usize).map_or(0, |place| place.generation) }
    }

    /// O(writes of the same key).
    pub fn end(&mut self, id: WriteId) -> Option<Write> {
        let place = self.places.get_mut(id.index()).filter(|place| place.generation == id.generation)?;
        let write = place.write.take()?;
        place.generation = place.generation.wrapping_add(1);
        let after = place.next;
        self.free.push(id.number);
        match write.slot {
            None if write.computes => {}
            None => self.keyless -= 1,
            Some(slot) => self.unlink(slot, id.number, after),
        }
        Some(write)
    }

    /// Takes a write out of the list of its key.
    fn unlink(&mut self, slot: Slot, number: u32, after: u32) {
        let Some(first) = self.firsts.get_mut(slot.index()) else { return };
        if *first == number + 1 {
            *first = after;
            return;
        }
        let mut at = *first;
        while let Some(place) = at.checked_sub(1).and_then(|at| self.places.get_mut(at as usize)) {
            if place.next == number + 1 {
                place.next = after;
                return;
            }
            at = place.next;
        }
    }

    /// Ends a write that nobody will end any more. O(1), or O(writes) when one may have been abandoned.
    pub fn take_abandoned(&mut self, now: Timestamp) -> Option<Write> {
        if now <= self.none_abandoned_before {
            return None;
        }
        let mut soonest = Timestamp::NEVER;
        for number in 0..self.places.len() {
            let Some(place) = self.places.get(number).filter(|place| place.write.is_some()) else { continue };
            if now > place.abandoned_at {
                return self.end(self.id_at(number as u32));
            }
            soonest = soonest.min(place.abandoned_at);
        }
        self.none_abandoned_before = soonest;
        None
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }

    /// Whether a key must keep its slot, because it is being written.
    #[inline]
    pub fn pins(&self, slot: Slot) -> bool {
        self.firsts.get(slot.index()).is_some_and(|first| *first != 0)
    }

    /// Tells the writes of a key that it was written or removed meanwhile; `true` if there are any.
    pub fn conflict(&mut self, slot: Slot) -> bool {
        let first = self.firsts.get(slot.index()).copied().unwrap_or(0);
        let mut at = first;
        while let Some(place) = at.checked_sub(1).and_then(|at| self.places.get_mut(at as usize)) {
            if let Some(write) = &mut place.write {
                write.conflicted = true;
            }
            at = place.next;
        }
        first != 0
    }

    pub fn conflict_all(&mut self) {
        self.firsts = Vec::new();
        for write in self.places.iter_mut().filter_map(|place| place.write.as_mut()) {
            write.conflicted = true;
            self.keyless += usize::from(write.slot.take().is_some() && !write.computes);
        }
    }
}
