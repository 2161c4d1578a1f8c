//! What happened at a tier.

use std::collections::BTreeMap;

use super::envelope::Refused;
use crate::core::Histogram;

/// What happened at one tier since the chain was made. `hits + stale + misses + refused + purged` is the number of keys that it
/// answered for, `asked` that of the keys it was asked for: what is between was lost by errors and timeouts.
#[derive(Clone, Debug, Default)]
pub struct TierFigures {
    /// Keys for which it was asked.
    pub asked: u64,
    /// Keys for which it was not asked, because its breaker is open.
    pub skipped: u64,
    /// Keys for which it had a fresh value.
    pub hits: u64,
    /// Keys for which it had a stale value that may be of use.
    pub stale: u64,
    /// Keys for which it had nothing, or nothing that is of use.
    pub misses: u64,
    /// Keys whose value was purged since.
    pub purged: u64,
    /// Keys whose bytes could not be believed, by the reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Keys that were asked for in reads that failed, or took longer than the timeout.
    pub lost: u64,
    /// Reads that failed.
    pub read_errors: u64,
    /// Reads that took longer than the timeout.
    pub read_timeouts: u64,
    /// Values that were stored.
    pub writes: u64,
    /// Values that were not, because of an error or a timeout.
    pub write_errors: u64,
    /// Values that were not, because of an open breaker, or because too much was on its way.
    pub writes_skipped: u64,
    /// Values that were not, because they are larger than the tier takes.
    pub too_large: u64,
    /// Values that were copied here from a tier below. Among `writes`, `write_errors`, `writes_skipped` or `too_large` as well.
    pub promotions: u64,
    /// Purges that the tier was told.
    pub purges: u64,
    /// How long its reads took, in ms, marks included.
    pub read_millis: Histogram,
}

impl TierFigures {
    pub(super) fn refuse(&mut self, refused: Refused) {
        *self.refused.entry(refused.reason()).or_default() += 1;
    }

    /// How many keys' bytes could not be believed.
    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }
}
