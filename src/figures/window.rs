//! What happened lately. Figures of a whole life go numb: after a million hits a thousand failures are nothing.

use crate::core::Stats;
#[cfg(feature = "tier")]
use crate::tier::TierFigures;
use crate::time::Timestamp;

/// Figures that only grow, so that what happened since an older copy of them can be told.
pub trait Growing: Clone + Default {
    /// What happened after `earlier`.
    #[must_use]
    fn since(&self, earlier: &Self) -> Self;
}

impl Growing for Stats {
    fn since(&self, earlier: &Self) -> Self {
        Stats::since(self, earlier)
    }
}

#[cfg(feature = "tier")]
impl Growing for TierFigures {
    fn since(&self, earlier: &Self) -> Self {
        TierFigures::since(self, earlier)
    }
}

/// Remembers older figures, to tell newer ones from them. It is moved on by those who ask it and needs no timer;
/// two copies of the figures are all it holds.
#[derive(Clone, Debug)]
pub struct Window<F = Stats> {
    millis: u64,
    /// What the answer is counted from.
    base: Box<F>,
    /// What it will be counted from once this is old enough.
    next: Option<(Timestamp, Box<F>)>,
}

impl<F: Growing> Window<F> {
    /// A window of at least `millis` milliseconds. 0 is from one call to the next.
    pub fn new(millis: u64) -> Self {
        Self { millis, base: Box::default(), next: None }
    }

    /// What happened lately: in the last `millis` at least, and in twice that and the time between two calls at
    /// most. Until `millis` have passed since the first call: everything. `stats` are the figures of the whole life
    /// as of `now`. O(buckets of the histograms).
    pub fn recent(&mut self, now: Timestamp, stats: &F) -> F {
        match &mut self.next {
            // A clock that went back would hold the window for as long again.
            Some((since, _)) if now < *since => *since = now,
            Some((since, _)) if now.millis_since(*since) < self.millis => {}
            next => {
                if let Some((_, older)) = next.replace((now, Box::new(stats.clone()))) {
                    self.base = older;
                }
            }
        }
        stats.since(&self.base)
    }
}
