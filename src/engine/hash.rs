//! Hashes of keys.

use std::hash::{Hash, Hasher};

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;

/// Hashes keys by seeds that are a cache's own.
///
/// A hasher of hashbrown's has seeds of its process. In wasm those are the same in every instance, and whoever knows them
/// can make long strings that all have one hash, whatever is hashed beside them. And a cache with random numbers that
/// the user gives is to evict the same entries each time, which depends on the hashes.
pub(super) struct KeyHasher {
    first: u64,
    shared: SharedSeed,
}

impl KeyHasher {
    /// By two numbers, at least 0 and below 1.
    pub fn new(mut random: impl FnMut() -> f64) -> Self {
        let mut seed = || (random() * (1_u64 << 53) as f64) as u64;
        // Of 0 the seeds would have few bits that are set, and all strings one hash.
        Self { first: seed(), shared: SharedSeed::from_u64(seed() ^ 0x9e37_79b9_7f4a_7c15) }
    }

    /// 32 random bits for other hashes.
    pub fn seed(&self) -> u32 {
        self.hash("") as u32
    }

    #[inline]
    pub fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.first, &self.shared);
        key.hash(&mut hasher);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests;
