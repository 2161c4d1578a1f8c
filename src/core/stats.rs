//! What happened, counted. Every get is exactly one of hit, miss and coalesced.

/// Counters since the cache was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Gets answered from memory.
    pub hits: u64,
    /// Gets that found nothing: they began a load, or returned empty-handed.
    pub misses: u64,
    /// Gets that joined a load under way. One whose load is lost asks again and counts as what that finds.
    pub coalesced: u64,
    /// Loads begun.
    pub loads: u64,
    /// Loads that ended with an error.
    pub load_failures: u64,
    /// Loads that nobody waited for any more, or whose request ended under them.
    pub loads_abandoned: u64,
    /// Entries stored, by insert or by a load.
    pub inserts: u64,
    /// Values that were not stored: too large, zero ttl, skipped, or superseded while loading.
    pub rejected: u64,
    /// Waits that ended at their deadline.
    pub timeouts: u64,
    /// Entries that made room for others.
    pub evicted_size: u64,
    /// Entries whose time had passed.
    pub evicted_expired: u64,
    /// Values overwritten by newer ones.
    pub evicted_replaced: u64,
    /// Entries removed by the user.
    pub evicted_removed: u64,
}
