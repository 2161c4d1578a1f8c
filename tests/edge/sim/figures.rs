//! What is counted.

/// Durations by size, each within 6 %.
#[derive(Clone)]
pub struct Durations {
    buckets: Vec<u64>,
    count: u64,
    pub max: u64,
}

const PARTS: u32 = 4;

impl Default for Durations {
    fn default() -> Self {
        Self { buckets: vec![0; 64 << PARTS], count: 0, max: 0 }
    }
}

impl Durations {
    pub fn record(&mut self, micros: u64) {
        self.buckets[Self::bucket(micros)] += 1;
        self.count += 1;
        self.max = self.max.max(micros);
    }

    fn bucket(micros: u64) -> usize {
        let power = micros.max(1).ilog2();
        let shift = power.saturating_sub(PARTS);
        ((shift as usize) << PARTS) + (micros >> shift) as usize
    }

    /// The lower end of the bucket in which the part `q` of all is reached.
    pub fn quantile(&self, q: f64) -> u64 {
        let wanted = ((self.count as f64 * q).ceil() as u64).max(1);
        let mut sum = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            sum += count;
            if sum >= wanted {
                let shift = (at >> PARTS).saturating_sub(1);
                return if at < 1 << (PARTS + 1) { at as u64 } else { ((at - (shift << PARTS)) as u64) << shift };
            }
        }
        self.max
    }
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    Memory,
    /// Another get's load, in the same isolate.
    Shared,
    Tier(usize),
    Origin,
    /// None: an error.
    Failed,
}

#[derive(Clone, Default)]
pub struct Figures {
    pub gets: u64,
    pub memory: u64,
    pub shared: u64,
    pub tiers: [u64; 8],
    pub origin: u64,
    pub failed: u64,
    pub latency: Durations,
    pub origin_calls: u64,
    pub origin_failures: u64,
    pub origin_second: (u64, u64),
    pub origin_peak: u64,
    /// By key: calls of the origin, ttls in which it was asked for, and the last of them.
    pub keys: Vec<(u32, u32, u64)>,
    pub purges: u64,
    pub leases: u64,
    pub alone: u64,
    pub lease_waits: u64,
    pub most_at_once: u32,
    pub loads: u64,
    pub subrequests: u64,
    pub most_subrequests: u32,
}

impl Figures {
    pub fn new(keys: usize) -> Self {
        Self { keys: vec![(0, 0, u64::MAX); keys], ..Self::default() }
    }

    pub fn asked(&mut self, key: u32, window: u64) {
        self.gets += 1;
        let (_, windows, last) = &mut self.keys[key as usize];
        *windows += u32::from(*last != window);
        *last = window;
    }

    pub fn origin_called(&mut self, now: u64, key: u32) {
        self.origin_calls += 1;
        self.keys[key as usize].0 += 1;
        if self.origin_second.0 != now / 1_000_000 {
            self.origin_second = (now / 1_000_000, 0);
        }
        self.origin_second.1 += 1;
        self.origin_peak = self.origin_peak.max(self.origin_second.1);
    }

    pub fn answered(&mut self, layer: Layer, micros: u64) {
        match layer {
            Layer::Memory => self.memory += 1,
            Layer::Shared => self.shared += 1,
            Layer::Tier(tier) => self.tiers[tier] += 1,
            Layer::Origin => self.origin += 1,
            Layer::Failed => self.failed += 1,
        }
        self.latency.record(micros);
    }

    /// Calls of the origin for a key in one ttl: on average, and for the key with the most.
    pub fn calls_per_key_and_ttl(&self) -> (f64, f64) {
        let asked = self.keys.iter().filter(|(_, windows, _)| *windows > 0);
        let windows: u64 = asked.clone().map(|(_, windows, _)| u64::from(*windows)).sum();
        let worst = asked.map(|(calls, windows, _)| f64::from(*calls) / f64::from(*windows)).fold(0.0, f64::max);
        (self.origin_calls as f64 / windows.max(1) as f64, worst)
    }
}
