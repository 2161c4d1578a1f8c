//! The core's figures as JS takes them.

use nearcache::core::Stats;
use nearcache::figures::{self, Advice, Evidence, Thresholds, Window};
use nearcache::numbers::to_time;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::Core;

/// A window of figures that was asked for, by whose figures and how long.
pub(super) struct RecentFigures {
    namespace: i32,
    millis: f64,
    window: Window,
}

/// More windows than this are not kept: they are asked for by programs that know what they want.
const MOST_WINDOWS: usize = 64;

#[wasm_bindgen]
impl Core {
    /// The figures of a namespace, or of all (-1): its counters in the order of `Stats`; of its load times, its batches' sizes and its
    /// loads' waits for their turn how many there were, their sum, 0.5, 0.9 and 0.99 quantiles and the greatest; loads under
    /// way, and those that wait; bytes of the eviction policy.
    pub fn counters(&self, namespace: i32) -> Vec<f64> {
        let stats = self.stats(namespace);
        let mut row = stats.counters().to_vec();
        for histogram in [&stats.load_millis, &stats.batch_sizes, &stats.queue_millis] {
            row.extend_from_slice(&[histogram.count(), histogram.sum()]);
            for quantile in [0.5, 0.9, 0.99] {
                row.push(histogram.quantile(quantile).unwrap_or(0));
            }
            row.push(histogram.max());
        }
        let machine = &self.machine;
        row.extend_from_slice(&[
            machine.loads_in_flight() as u64,
            machine.loads_queued() as u64,
            machine.eviction_bytes() as u64,
        ]);
        as_floats(&row)
    }

    /// What a page for Prometheus tells of a namespace, those within it not included, besides its counters: entries and
    /// bytes; the sum of its load times in milliseconds, how many were at most 1, 2, 4 … 65536 ms, and how many there
    /// were; the same of its loads' waits for their turn; and of its batches' sizes, up to 1024 keys.
    pub fn layer(&self, namespace: u8) -> Vec<f64> {
        let held = self.machine.held_by_namespace().get(usize::from(namespace)).copied().unwrap_or_default();
        let stats = self.machine.namespace_stats(namespace);
        let mut row = vec![u64::from(held.entries), held.weight];
        for (histogram, powers) in [(&stats.load_millis, 16), (&stats.queue_millis, 16), (&stats.batch_sizes, 10)] {
            row.push(histogram.sum());
            for power in 0..=powers {
                row.push(histogram.count_up_to_power(power));
            }
            row.push(histogram.count());
        }
        as_floats(&row)
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
    /// speaks for it and what is expected (NaN: nothing), as `pkg/src/figures/advice.ts` reads them.
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
        let mut row = Vec::new();
        for Advice { lever, present, suggested, rate, expected, .. } in figures::advise(&evidence) {
            row.extend_from_slice(&[f64::from(lever as u8), present, suggested, rate, expected.unwrap_or(f64::NAN)]);
        }
        row
    }
}

impl Core {
    fn recent(&mut self, namespace: i32, now: f64, millis: f64) -> Stats {
        let stats = self.stats(namespace);
        let known = self.windows.iter().position(|asked| asked.namespace == namespace && asked.millis == millis);
        let at = known.unwrap_or_else(|| {
            if self.windows.len() >= MOST_WINDOWS {
                self.windows.pop();
            }
            self.windows.push(RecentFigures { namespace, millis, window: Window::new(millis as u64) });
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

fn as_floats(row: &[u64]) -> Vec<f64> {
    row.iter().map(|number| *number as f64).collect()
}
