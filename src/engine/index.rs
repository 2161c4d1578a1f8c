//! From keys to slots, by hashes that stand beside the slots: a look-up reads one line of memory, and calls nobody's `Eq`
//! before it has found the key's own hash.
//!
//! Linear probing in a table of 2^n places, four fifths of which are taken at the most. What is taken out leaves no mark: what
//! was pushed away moves back (Knuth, The Art of Computer Programming 3, 6.4, algorithm R).

use crate::core::Slot;

/// As many as fit before the table has to grow.
const FIRST_PLACES: usize = 8;

#[derive(Clone, Copy, Default)]
struct Place {
    hash: u32,
    /// 0: free.
    number: u32,
}

#[derive(Default)]
pub(super) struct Index {
    places: Vec<Place>,
    len: usize,
}

impl Index {
    /// The first slot of this hash, which nearly always is the right one. O(1) expected. (A loop that calls nobody takes half as
    /// long as one that does.)
    #[inline]
    pub fn first(&self, hash: u32) -> Option<Slot> {
        let mut at = hash as usize & self.mask();
        loop {
            let place = self.places.get(at)?;
            if place.hash == hash || place.number == 0 {
                return Slot::new(place.number);
            }
            at = (at + 1) & self.mask();
        }
    }

    /// The slot of this hash that is the right one. O(1) expected, if hashes are spread over all 32 bits.
    #[cold]
    pub fn find(&self, hash: u32, mut is_right: impl FnMut(Slot) -> bool) -> Option<Slot> {
        let mut at = hash as usize & self.mask();
        loop {
            let place = self.places.get(at)?;
            // Of a free place there is no slot.
            let slot = Slot::new(place.number)?;
            if place.hash == hash && is_right(slot) {
                return Some(slot);
            }
            at = (at + 1) & self.mask();
        }
    }

    /// Adds a slot that is not there. O(1) amortised.
    #[inline]
    pub fn insert(&mut self, hash: u32, slot: Slot) {
        if (self.len + 1) * 5 > self.places.len() * 4 {
            self.grow();
        }
        self.len += 1;
        self.put(Place { hash, number: slot.number() });
    }

    /// Takes a slot out.
    #[inline]
    pub fn remove(&mut self, hash: u32, slot: Slot) {
        let mut at = hash as usize & self.mask();
        loop {
            match self.places.get(at) {
                None | Some(Place { number: 0, .. }) => return,
                Some(place) if place.number == slot.number() => break,
                Some(_) => at = (at + 1) & self.mask(),
            }
        }
        self.len -= 1;
        let (mut hole, mut next) = (at, (at + 1) & self.mask());
        while let Some(&place) = self.places.get(next).filter(|place| place.number != 0) {
            // It moves if the hole lies on the way from where it belongs.
            let way = next.wrapping_sub(place.hash as usize) & self.mask();
            if way >= next.wrapping_sub(hole) & self.mask() {
                self.set(hole, place);
                hole = next;
            }
            next = (next + 1) & self.mask();
        }
        self.set(hole, Place::default());
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let places = (self.places.len() * 2).max(FIRST_PLACES);
        let before = std::mem::replace(&mut self.places, vec![Place::default(); places]);
        before.into_iter().filter(|place| place.number != 0).for_each(|place| self.put(place));
    }

    #[inline]
    fn put(&mut self, new: Place) {
        let mut at = new.hash as usize & self.mask();
        while self.places.get(at).is_some_and(|place| place.number != 0) {
            at = (at + 1) & self.mask();
        }
        self.set(at, new);
    }

    #[inline]
    fn set(&mut self, at: usize, new: Place) {
        if let Some(place) = self.places.get_mut(at) {
            *place = new;
        }
    }

    /// The number of places is a power of two, or 0.
    #[inline]
    fn mask(&self) -> usize {
        self.places.len().wrapping_sub(1)
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test may panic")]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// SplitMix64.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[test]
    fn it_finds_what_is_there_and_nothing_else_under_random_operations() {
        // Many hashes begin in few places, also in the last ones, and some are equal.
        for (seed, hashes) in [(1, 12), (2, 100), (3, 1 << 20)] {
            let (mut index, mut model, mut state) = (Index::default(), HashMap::new(), seed);
            let hash_of = |number: u32| (u64::from(number) * 0x9e37_79b9 % hashes).wrapping_sub(6) as u32;
            for step in 0..20_000_u32 {
                // It grows and shrinks.
                let most = if step / 2_000 % 2 == 0 { 400 } else { 20 };
                let number = 1 + (random(&mut state) % 400) as u32;
                let slot = Slot::new(number).expect("it is above 0");
                match model.remove(&number) {
                    Some(hash) => index.remove(hash, slot),
                    None if model.len() < most => {
                        index.insert(hash_of(number), slot);
                        model.insert(number, hash_of(number));
                    }
                    None => index.remove(hash_of(number), slot),
                }
                assert_eq!(index.len, model.len());
                if step % 100 == 0 {
                    for number in 1..=400 {
                        let slot = Slot::new(number).expect("it is above 0");
                        let first = index.first(hash_of(number));
                        assert!(first.is_some() || !model.contains_key(&number), "step {step}, {number}");
                        let found = index.find(hash_of(number), |other| other == slot);
                        assert_eq!(found, model.get(&number).map(|_| slot), "step {step}, {number}");
                    }
                    let taken = index.places.iter().filter(|place| place.number != 0).count();
                    assert!(taken == model.len() && taken * 5 <= index.places.len() * 4);
                }
            }
        }
    }
}
