//! The core's figures as JS takes them.

use nearcache::core::{Histogram, Stats};
use nearcache::figures::{self, Advice, Evidence, Thresholds, Window};
use nearcache::numbers::to_time;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::Core;

/// A window of figures that was asked for, by whose figures and how long.
pub(super) struct Asked {
    namespace: i32,
    millis: f64,
    window: Window,
}

/// More windows than this are not kept: they are asked for by programs that know what they want.
const MOST_WINDOWS: usize = 64;

#[wasm_bindgen]
impl Core {
    /// The figures of a namespace, or of all (-1), in the order of `pkg/src/stats.ts`.
    pub fn counters(&self, namespace: i32) -> Vec<f64> {
        let s = self.stats(namespace);
        let quantiles = |of: &Histogram| [0.5, 0.9, 0.99].map(|q| of.quantile(q).unwrap_or(0));
        let ([p50, p90, p99], [w50, w90, w99]) = (quantiles(&s.load_millis), quantiles(&s.queue_millis));
        [
            s.hits,
            s.stale_hits,
            s.misses,
            s.coalesced,
            s.loads,
            s.load_failures,
            s.retries,
            s.loads_abandoned,
            s.refreshes,
            s.rescues,
            s.soft_timeouts,
            s.timeouts,
            s.inserts,
            s.rejected,
            s.evicted_size,
            s.evicted_expired,
            s.evicted_replaced,
            s.evicted_removed,
            s.load_millis.count(),
            s.load_millis.sum(),
            p50,
            p90,
            p99,
            s.load_millis.max(),
            s.batches,
            s.batch_sizes.sum(),
            s.batch_sizes.max(),
            s.refused,
            s.queue_millis.count(),
            s.queue_millis.sum(),
            w50,
            w90,
            w99,
            s.queue_millis.max(),
            self.machine.loads_in_flight() as u64,
            self.machine.loads_queued() as u64,
            self.machine.eviction_bytes() as u64,
        ]
        .map(|count| count as f64)
        .to_vec()
    }

    /// What a page for Prometheus tells of a namespace, those within it not included, besides its counters: entries and
    /// bytes; the sum of its load times in milliseconds, how many were at most 1, 2, 4 … 65536 ms, and how many there
    /// were; the same of its loads' waits for their turn; and of its batches' sizes, up to 1024 keys.
    pub fn layer(&self, namespace: u8) -> Vec<f64> {
        let held = self.machine.held_by_namespace().get(usize::from(namespace)).copied().unwrap_or_default();
        let stats = self.machine.namespace_stats(namespace);
        let mut numbers = vec![u64::from(held.entries), held.weight];
        for (histogram, powers) in [(&stats.load_millis, 16), (&stats.queue_millis, 16), (&stats.batch_sizes, 10)] {
            numbers.push(histogram.sum());
            numbers.extend((0..=powers).map(|power| histogram.count_up_to_power(power)));
            numbers.push(histogram.count());
        }
        numbers.into_iter().map(|number| number as f64).collect()
    }

    /// What became of thresholds (`Thresholds::from_numbers`): for each one that is set value, samples, and 1 if it is well.
    pub fn health(&mut self, namespace: i32, now: f64, window: f64, thresholds: &[f64]) -> Vec<f64> {
        let Ok(numbers) = thresholds.try_into() else { return Vec::new() };
        let recent = self.recent(namespace, now, window);
        figures::health(&recent, &Thresholds::from_numbers(numbers)).to_numbers()
    }
}

#[wasm_bindgen]
impl Core {
    /// What to change, by a policy's numbers: for each piece of advice its lever, what it is, what it should be, the rate that
    /// speaks for it and what is expected (NaN: nothing), as `pkg/src/advice.ts` reads them.
    pub fn advice(&mut self, policy: u32) -> Vec<f64> {
        let evidence = Evidence {
            stats: self.machine.stats(),
            limits: *self.machine.limits(),
            entries: self.machine.len() as u64,
            weight: self.machine.weight(),
            policy: *self.policies.get(policy),
            hit_rates_by_room: self.machine.hit_rates_by_room(),
            batches: self.machine.batch_trials().copied(),
        };
        let numbers = |it: &Advice| {
            [f64::from(it.lever as u8), it.present, it.suggested, it.rate, it.expected.unwrap_or(f64::NAN)]
        };
        figures::advise(&evidence).iter().flat_map(numbers).collect()
    }
}

impl Core {
    fn recent(&mut self, namespace: i32, now: f64, millis: f64) -> Stats {
        let stats = self.stats(namespace);
        let known = self.windows.iter().position(|asked| asked.namespace == namespace && asked.millis == millis);
        let at = known.unwrap_or_else(|| {
            self.windows.truncate(MOST_WINDOWS - 1);
            self.windows.push(Asked { namespace, millis, window: Window::new(millis as u64) });
            self.windows.len() - 1
        });
        match self.windows.get_mut(at) {
            Some(asked) => asked.window.recent(to_time(now), &stats),
            None => stats,
        }
    }

    fn stats(&self, namespace: i32) -> Stats {
        u8::try_from(namespace)
            .map_or_else(|_| self.machine.stats(), |namespace| self.machine.namespace_stats(namespace))
    }
}
