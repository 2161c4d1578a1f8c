//! What happened at a tier, and in which namespace.

use std::collections::BTreeMap;

use super::names::Place;
use super::refused::Refused;
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

    /// Reads that ended, one way or another.
    pub fn reads(&self) -> u64 {
        self.read_millis.count() + self.read_errors + self.read_timeouts
    }

    /// Fresh and stale values per key that the tier was asked for: from 0 to 1, 0 before there is any.
    pub fn hit_rate(&self) -> f64 {
        ratio(self.hits + self.stale, self.asked)
    }

    /// Reads that failed or took too long, per read that ended.
    pub fn error_rate(&self) -> f64 {
        ratio(self.read_errors + self.read_timeouts, self.reads())
    }

    /// What happened after `earlier`, an older copy of these figures.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let less = |now: u64, then: u64| now.saturating_sub(then);
        let mut refused = self.refused.clone();
        for (reason, count) in &mut refused {
            *count = less(*count, earlier.refused.get(reason).copied().unwrap_or_default());
        }
        Self {
            asked: less(self.asked, earlier.asked),
            skipped: less(self.skipped, earlier.skipped),
            hits: less(self.hits, earlier.hits),
            stale: less(self.stale, earlier.stale),
            misses: less(self.misses, earlier.misses),
            purged: less(self.purged, earlier.purged),
            refused,
            lost: less(self.lost, earlier.lost),
            read_errors: less(self.read_errors, earlier.read_errors),
            read_timeouts: less(self.read_timeouts, earlier.read_timeouts),
            writes: less(self.writes, earlier.writes),
            write_errors: less(self.write_errors, earlier.write_errors),
            writes_skipped: less(self.writes_skipped, earlier.writes_skipped),
            too_large: less(self.too_large, earlier.too_large),
            promotions: less(self.promotions, earlier.promotions),
            purges: less(self.purges, earlier.purges),
            read_millis: self.read_millis.since(&earlier.read_millis),
        }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// So many namespaces have figures of their own; those of further ones are in the whole only. As many as a cache can have.
const MOST_NAMESPACES: usize = 256;

/// A tier's figures as a whole, and those of its reads by namespace.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    whole: TierFigures,
    /// Few enough to be looked through, which takes less of a wasm than a map of them.
    namespaces: Vec<(String, TierFigures)>,
}

impl Ledger {
    pub(super) fn whole(&self) -> &TierFigures {
        &self.whole
    }

    /// What concerns no namespace, or more than one.
    pub(super) fn whole_mut(&mut self) -> &mut TierFigures {
        &mut self.whole
    }

    /// The namespaces that were asked for, as [`Place::namespaces`] names them, with what came of it.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = (&str, &TierFigures)> {
        self.namespaces.iter().map(|(name, figures)| (name.as_str(), figures))
    }

    pub(super) fn namespace(&self, name: &str) -> Option<&TierFigures> {
        self.namespaces.iter().find(|(known, _)| known == name).map(|(_, figures)| figures)
    }

    /// Counts what happened to a key of this place.
    pub(super) fn count(&mut self, place: &Place, count: impl Fn(&mut TierFigures)) {
        count(&mut self.whole);
        if let Some(own) = self.own(place) {
            count(own);
        }
    }

    /// Counts what happened to a read of keys in these places: once for each namespace among them.
    pub(super) fn count_read<'a>(&mut self, places: impl Iterator<Item = &'a Place>, count: impl Fn(&mut TierFigures)) {
        count(&mut self.whole);
        // Nearly always one. By hand, since a sort takes 3 KB of a wasm.
        let mut counted: Vec<&str> = Vec::new();
        for place in places {
            if counted.contains(&place.namespaces()) {
                continue;
            }
            counted.push(place.namespaces());
            if let Some(own) = self.own(place) {
                count(own);
            }
        }
    }

    fn own(&mut self, place: &Place) -> Option<&mut TierFigures> {
        let name = place.namespaces();
        let known = self.namespaces.iter().position(|(known, _)| known == name);
        let at = known.unwrap_or(self.namespaces.len());
        if known.is_none() && at < MOST_NAMESPACES {
            self.namespaces.push((name.to_owned(), TierFigures::default()));
        }
        self.namespaces.get_mut(at).map(|(_, figures)| figures)
    }
}
