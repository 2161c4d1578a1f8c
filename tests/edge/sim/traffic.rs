//! Who asks for what, and when.

use super::random::Random;

/// Draws the n-th of `count` with a probability that falls as `1 / n^exponent`.
pub struct Zipf {
    sums: Vec<f64>,
}

impl Zipf {
    pub fn new(count: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=count).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Self { sums: sums.collect() }
    }

    pub fn draw(&self, random: &mut Random) -> usize {
        let at = random.unit() * self.sums.last().copied().unwrap_or(0.0);
        self.sums.partition_point(|sum| *sum <= at).min(self.sums.len() - 1)
    }
}

/// The time to the next of events that come by chance, so many a second, in µs.
pub fn next(rate: f64, random: &mut Random) -> u64 {
    let seconds = -(1.0 - random.unit()).ln() / rate;
    (seconds * 1e6) as u64
}

/// Around `median`, in µs; both in ms. A hundredth takes more than `median × e^(2.3 × spread)`.
pub fn around(median: f64, spread: f64, random: &mut Random) -> u64 {
    let (u, v) = (1.0 - random.unit(), random.unit());
    let normal = (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos();
    (median * (spread * normal).exp() * 1_000.0) as u64
}
