//! How values are spread, in little room: eight buckets for each doubling, as HdrHistogram has them.

/// Counts of values by size: milliseconds, or numbers of things. Values from 0 to 16 are kept exactly,
/// greater ones to within 6.25 %; those above 2^32 count as 2^32 (fifty days of milliseconds).
///
/// Three words before the first record; then 8 bytes a bucket up to the doubling of the greatest value: 0.6 KB
/// for loads of up to four seconds, never more than 2 KB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Always as long as `max` needs, so that equal histograms are equal.
    buckets: Vec<u64>,
    sum: u64,
    max: u64,
}

/// The greatest value that is told from greater ones.
const GREATEST: u64 = 1 << 32;
/// Eight buckets for each doubling.
const PARTS: u32 = 3;

impl Histogram {
    /// Counts a value. O(1); may allocate.
    pub fn record(&mut self, value: u64) {
        let value = value.min(GREATEST);
        self.fit(value);
        if let Some(bucket) = self.buckets.get_mut(index(value)) {
            *bucket += 1;
        }
        self.sum = self.sum.saturating_add(value);
    }

    /// How many values were recorded. O(buckets).
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Their sum, exact but for values above 2^32.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The greatest of them, exact; 0 before the first.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The value that a share `q` of all values does not exceed: 0.5 is the median, 0.99 leaves one value in a
    /// hundred above it, 1 is the greatest. It's the value of rank ⌈q · count⌉, exact up to 16 and off by at most
    /// 6.25 % of itself beyond, either way. O(buckets).
    ///
    /// `None` before the first value, or if `q` is not within 0 and 1.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let count = self.count();
        if count == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = ((q * count as f64).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        let at = self.buckets.iter().position(|bucket| {
            seen += bucket;
            seen >= rank
        })?;
        // Half a bucket is a sixteenth of the least value in it.
        let (low, high) = bounds(at);
        Some((low + (high - low) / 2).min(self.max))
    }

    /// How many values are at most 2^`exponent`, exactly: buckets end at powers of two, these included, as
    /// Prometheus' `le` wants them. All of them from 32 on. O(buckets).
    #[inline(never)]
    pub fn count_up_to_power(&self, exponent: u32) -> u64 {
        self.buckets.iter().take(index(1 << exponent.min(32)) + 1).sum()
    }

    /// Counts what `other` has counted, as if recorded here.
    pub fn merge(&mut self, other: &Self) {
        if other.buckets.is_empty() {
            return;
        }
        self.fit(other.max);
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// What was recorded after `earlier`, an older copy of this histogram. If the greatest value is older, its
    /// [`max`](Self::max) is where the bucket of the greatest newer one ends, at most an eighth too high.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut newer = self.clone();
        newer.forget(earlier);
        newer
    }

    pub(super) fn forget(&mut self, earlier: &Self) {
        for (now, then) in self.buckets.iter_mut().zip(&earlier.buckets) {
            *now = now.saturating_sub(*then);
        }
        self.sum = self.sum.saturating_sub(earlier.sum);
        let Some(last) = self.buckets.iter().rposition(|count| *count > 0) else {
            *self = Self::default();
            return;
        };
        if self.max <= earlier.max {
            self.max = bounds(last).1.min(self.max);
        }
        self.buckets.truncate(length(self.max));
    }

    /// Makes `value` countable. Grows by doublings, so that few calls allocate.
    fn fit(&mut self, value: u64) {
        self.max = self.max.max(value);
        let length = length(value);
        if self.buckets.len() < length {
            self.buckets.reserve_exact(length - self.buckets.len());
            self.buckets.resize(length, 0);
        }
    }
}

/// The bucket of a value up to `GREATEST`: one of its own for 0, then eight, 1 to 8, then eight for each doubling, the
/// power of two at its end included.
fn index(value: u64) -> usize {
    let Some(offset) = value.checked_sub(1) else { return 0 };
    let shift = (offset | 1).ilog2().saturating_sub(PARTS);
    1 + ((shift << PARTS) as usize) + (offset >> shift) as usize
}

/// The least and the greatest value of a bucket.
fn bounds(index: usize) -> (u64, u64) {
    let Some(at) = index.checked_sub(1) else { return (0, 0) };
    let shift = (at >> PARTS).saturating_sub(1);
    let part = (at - (shift << PARTS)) as u64;
    ((part << shift) + 1, (part + 1) << shift)
}

/// How many buckets it takes to count a value, to the end of its doubling.
fn length(value: u64) -> usize {
    1 + index(value).next_multiple_of(1 << PARTS).max(1 << PARTS)
}
