//! Numbers by name: of scopes, and of tags.

use std::num::NonZero;

use super::part::Part;

/// A table has at least so many places.
const LEAST: usize = 8;

/// Finds a number by a name. The names are its owner's, who tells them apart.
///
/// A table of its own with linear probing, three quarters of which are filled at the most, since a general one weighs more
/// in the wasm that ships than all else about names.
#[derive(Default)]
pub(crate) struct NameIndex {
    /// 32 random bits: nobody who chooses names may know which have the same hash.
    pub seed: u32,
    /// As many as a power of two, or none.
    places: Vec<Option<Place>>,
    held: usize,
}

#[derive(Clone, Copy)]
struct Place {
    hash: u32,
    /// One more than the number.
    above: NonZero<u32>,
}

impl Place {
    fn number(self) -> u32 {
        self.above.get() - 1
    }
}

impl NameIndex {
    #[inline(never)]
    pub fn hash(&self, part: Part<'_>, name: &str) -> u32 {
        let mut state = mix(self.seed, u32::from(part.namespace));
        for text in [part.scope, name] {
            for bytes in text.as_bytes().chunks(4) {
                let word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
                state = mix(state, word);
            }
            // Ends a name, with its length.
            state = mix(state ^ self.seed, text.len() as u32);
        }
        state
    }

    #[inline(never)]
    pub fn find(&self, hash: u32, is: &dyn Fn(u32) -> bool) -> Option<u32> {
        let from = |at: usize| self.places.get(at).copied().flatten();
        self.probe(hash).map_while(from).find(|place| place.hash == hash && is(place.number())).map(Place::number)
    }

    /// Adds a number.
    #[inline(never)]
    pub fn add(&mut self, hash: u32, number: u32) {
        let Some(above) = NonZero::new(number.wrapping_add(1)) else { return };
        self.held += 1;
        if 3 * self.places.len() < 4 * self.held {
            let more = vec![None; (2 * self.places.len()).max(LEAST)];
            let places = std::mem::replace(&mut self.places, more);
            places.into_iter().flatten().for_each(|place| self.put(place));
        }
        self.put(Place { hash, above });
    }

    /// `false` if it was not there.
    #[inline(never)]
    pub fn remove(&mut self, hash: u32, number: u32) -> bool {
        let is = |at: &usize| match self.places.get(*at) {
            Some(Some(place)) => place.number() == number,
            // An empty place ends the search.
            _ => true,
        };
        let found = self.probe(hash).find(is);
        let Some(_) = found.and_then(|at| self.places.get_mut(at)?.take()) else { return false };
        self.held -= 1;
        // Those that come after it up to the next empty place may have wanted a place before.
        for at in self.probe(found.unwrap_or(0) as u32).skip(1) {
            let Some(place) = self.places.get_mut(at).and_then(Option::take) else { break };
            self.put(place);
        }
        true
    }

    fn put(&mut self, place: Place) {
        let is_free = |at: &usize| matches!(self.places.get(*at), Some(None));
        let free = self.probe(place.hash).find(is_free);
        if let Some(free) = free.and_then(|at| self.places.get_mut(at)) {
            *free = Some(place);
        }
    }

    /// All places, from the one on that a hash wants.
    fn probe(&self, hash: u32) -> impl Iterator<Item = usize> + use<> {
        let count = self.places.len();
        (0..count).map(move |step| (hash as usize).wrapping_add(step) & (count - 1))
    }
}

/// Folds the product of two words, so that each of their bits counts in each of the result's.
fn mix(state: u32, word: u32) -> u32 {
    let product = u64::from(state ^ word ^ 0x9e37_79b9).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (product ^ product >> 32) as u32
}
