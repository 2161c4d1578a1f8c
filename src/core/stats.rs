//! What happened, counted. Every get is exactly one of hit, stale hit, miss and coalesced.

use super::Histogram;

/// Counters since the cache was made.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Gets answered from memory with a fresh value.
    pub hits: u64,
    /// Gets answered from memory with a value past its time to live, while it was refreshed or could not be.
    pub stale_hits: u64,
    /// Gets that found nothing: they began a load, or returned empty-handed.
    pub misses: u64,
    /// Those of the misses that met a value past its time.
    pub expired_misses: u64,
    /// Gets that joined a load under way. One whose load is lost asks again and counts as what that finds.
    pub coalesced: u64,
    /// Loads begun.
    pub loads: u64,
    /// Loads that ended with an error.
    pub load_failures: u64,
    /// Attempts of loads after the first, which had failed.
    pub retries: u64,
    /// Loads that nobody waited for any more, or whose request ended under them.
    pub loads_abandoned: u64,
    /// Those of the loads that were begun in the background, for a value that was handed out.
    pub refreshes: u64,
    /// Failed loads answered with the last good value.
    pub rescues: u64,
    /// Loads that were not begun, since too many waited for their turn.
    pub refused: u64,
    /// Waits that ended at their soft deadline, with an older value.
    pub soft_timeouts: u64,
    /// Waits that ended at their (hard) deadline, with an error.
    pub timeouts: u64,
    /// Entries stored, by insert or by a load.
    pub inserts: u64,
    /// Values that were not stored: too large, zero ttl, skipped, or superseded while loading.
    pub rejected: u64,
    /// Calls that loaded several keys at once.
    pub batches: u64,
    /// Entries that made room for others.
    pub evicted_size: u64,
    /// Entries whose time had passed.
    pub evicted_expired: u64,
    /// Values overwritten by newer ones.
    pub evicted_replaced: u64,
    /// Entries removed by the user.
    pub evicted_removed: u64,
    /// How long loads took, in milliseconds: each that ended with a value or an error, none that was abandoned.
    pub load_millis: Histogram,
    /// How many keys each batch loaded.
    pub batch_sizes: Histogram,
    /// How long loads waited for their turn, in milliseconds: each that waited, and then began.
    pub queue_millis: Histogram,
}

impl Stats {
    /// All gets.
    pub fn gets(&self) -> u64 {
        self.hits + self.stale_hits + self.misses + self.coalesced
    }

    /// Hits and stale hits per get, from 0 to 1; 0 before the first get.
    pub fn hit_rate(&self) -> f64 {
        rate(self.hits + self.stale_hits, self.gets())
    }

    /// Failures per load that ended with a value or an error, from 0 to 1; 0 before the first.
    pub fn error_rate(&self) -> f64 {
        rate(self.load_failures, self.load_millis.count())
    }

    /// Counts what `other` has counted, as if it had happened here.
    pub fn merge(&mut self, other: &Self) {
        self.combine(other, u64::saturating_add);
        self.load_millis.merge(&other.load_millis);
        self.batch_sizes.merge(&other.batch_sizes);
        self.queue_millis.merge(&other.queue_millis);
    }

    /// What happened after `earlier`, an older copy of these figures.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut newer = self.clone();
        // What a lost load takes back may have been counted before.
        newer.combine(earlier, u64::saturating_sub);
        newer.load_millis.forget(&earlier.load_millis);
        newer.batch_sizes.forget(&earlier.batch_sizes);
        newer.queue_millis.forget(&earlier.queue_millis);
        newer
    }
}

/// What is done with each counter by its name.
macro_rules! counters {
    ($($name:ident,)*) => {
        impl Stats {
            /// All counters, in the order of the fields.
            #[doc(hidden)]
            #[inline(never)]
            pub fn counters(&self) -> [u64; 21] {
                [$(self.$name),*]
            }

            /// Each counter becomes what `with` makes of it and its counterpart.
            fn combine(&mut self, other: &Self, with: fn(u64, u64) -> u64) {
                // Without `..`, so that no counter is forgotten.
                let Self { $($name,)* load_millis: _, batch_sizes: _, queue_millis: _ } = self;
                for (mine, theirs) in [$($name),*].into_iter().zip(other.counters()) {
                    *mine = with(*mine, theirs);
                }
            }
        }
    };
}

counters! {
    hits,
    stale_hits,
    misses,
    expired_misses,
    coalesced,
    loads,
    load_failures,
    retries,
    loads_abandoned,
    refreshes,
    rescues,
    refused,
    soft_timeouts,
    timeouts,
    inserts,
    rejected,
    batches,
    evicted_size,
    evicted_expired,
    evicted_replaced,
    evicted_removed,
}

impl Clone for Stats {
    fn clone(&self) -> Self {
        let mut copy = Self::default();
        copy.merge(self);
        copy
    }
}

/// `part` per `whole`, and 0 of nothing.
fn rate(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part.min(whole) as f64 / whole as f64 }
}
