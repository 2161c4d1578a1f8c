//! What a load of a snapshot must know of the calls that come while it goes on.

/// Which keys were removed or set since a load began, by their hashes. Some more count as such where two have the same hash.
#[derive(Default)]
pub(super) struct Noted {
    hashes: hashbrown::HashSet<u32>,
    /// Too many to remember: all keys count.
    all: bool,
}

/// So many are remembered.
const MOST_NOTED: usize = 100_000;

impl Noted {
    pub fn add(&mut self, hash: u32) {
        self.all |= self.hashes.len() >= MOST_NOTED;
        if !self.all {
            self.hashes.insert(hash);
        }
    }

    pub fn has(&self, hash: u32) -> bool {
        self.all || self.hashes.contains(&hash)
    }
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use super::{MOST_NOTED, Noted};

    #[test]
    fn more_than_are_remembered_count_as_all_and_take_no_more_room() {
        let mut noted = Noted::default();
        (0..MOST_NOTED as u32).for_each(|hash| noted.add(hash));
        assert!(noted.has(0) && !noted.has(u32::MAX));
        noted.add(MOST_NOTED as u32);
        assert!(noted.has(MOST_NOTED as u32) && noted.has(u32::MAX));
        assert_eq!(noted.hashes.len(), MOST_NOTED);
    }
}
