//! Traces made by rule, each with one thing that real ones have too. The same seed makes the same trace.

use super::random::Random;

/// Ranks from 0, drawn by Zipf's law with this exponent.
pub struct Zipf(Vec<f64>);

impl Zipf {
    pub fn new(keys: u32, exponent: f64) -> Self {
        let mut sum = 0.0;
        let add = |rank: u32| {
            sum += f64::from(rank).powf(-exponent);
            sum
        };
        Self((1..=keys).map(add).collect())
    }

    pub fn draw(&self, random: &mut Random) -> u64 {
        let drawn = random.unit() * self.0.last().copied().unwrap_or(0.0);
        self.0.partition_point(|sum| *sum <= drawn) as u64
    }
}

/// Some keys are popular, for ever.
pub fn zipf(seed: u64, count: usize) -> Vec<u64> {
    let (zipf, mut random) = (Zipf::new(10_000, 0.9), Random(seed));
    (0..count).map(|_| zipf.draw(&mut random)).collect()
}

/// The same, but every 5,000 accesses somebody reads 2,000 keys that nobody reads again.
pub fn scans(seed: u64, count: usize) -> Vec<u64> {
    let (zipf, mut random) = (Zipf::new(10_000, 0.9), Random(seed));
    let key = |at: usize| if at % 7_000 < 5_000 { zipf.draw(&mut random) } else { 1_000_000 + at as u64 };
    (0..count).map(key).collect()
}

/// Round and round through 1,000 keys.
pub fn rounds(count: usize) -> Vec<u64> {
    (0..count as u64).map(|at| at % 1_000).collect()
}

/// Every 20,000 accesses others become popular.
pub fn shifts(seed: u64, count: usize) -> Vec<u64> {
    let (zipf, mut random) = (Zipf::new(10_000, 0.9), Random(seed));
    (0..count).map(|at| (at / 20_000) as u64 * 100_000 + zipf.draw(&mut random)).collect()
}

/// News: a key is read most just after it has appeared, and then ever less. What LRU is made for.
pub fn news(seed: u64, count: usize) -> Vec<u64> {
    let mut random = Random(seed);
    let key = |at: usize| (at / 4) as u64 + 1_000 - (-(1.0 - random.unit()).ln() * 120.0).min(1_000.0) as u64;
    (0..count).map(key).collect()
}

/// Each key is read twice, some time apart, and never again.
pub fn twice(count: usize) -> Vec<u64> {
    (0..count as u64).map(|at| if at % 2 == 0 { at } else { at.saturating_sub(151) & !1 }).collect()
}
