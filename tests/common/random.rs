//! Random numbers for tests, the same everywhere.

/// A seeded generator (SplitMix64).
pub struct Random(pub u64);

#[allow(dead_code, reason = "each test file uses its part")]
impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// At least 0 and below 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// The seed for a random test: `SEED` from the environment, or a fixed one. Printed by the test that uses it.
pub fn seed() -> u64 {
    option_env!("SEED").and_then(|seed| seed.parse().ok()).unwrap_or(20_261_121)
}
