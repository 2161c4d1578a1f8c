//! Numbers by name: of scopes, and of tags.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::part::Part;

/// Finds a number by a name. The names are its owner's, who tells them apart.
#[derive(Default)]
pub(crate) struct NameIndex {
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

// One copy of each serves scopes and tags: the wasm that ships is small.
impl NameIndex {
    #[inline(never)]
    pub fn hash(&self, part: Part<'_>, name: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u8(part.namespace);
        for text in [part.scope, name] {
            hasher.write(text.as_bytes());
            // Ends a name: no UTF-8 has this byte.
            hasher.write_u8(0xff);
        }
        hasher.finish()
    }

    #[inline(never)]
    pub fn find(&self, hash: u64, is: &dyn Fn(u32) -> bool) -> Option<u32> {
        self.numbers.find(hash, |number| is(*number)).copied()
    }

    /// Adds a number. `hash_of` tells the hashes of those that are there.
    #[inline(never)]
    pub fn add(&mut self, hash: u64, number: u32, hash_of: &dyn Fn(&Self, u32) -> u64) {
        let mut numbers = std::mem::take(&mut self.numbers);
        numbers.insert_unique(hash, number, |number| hash_of(self, *number));
        self.numbers = numbers;
    }

    /// `false` if it was not there.
    #[inline(never)]
    pub fn remove(&mut self, hash: u64, number: u32) -> bool {
        let found = self.numbers.find_entry(hash, |other| *other == number);
        found.map(|entry| entry.remove()).is_ok()
    }
}
