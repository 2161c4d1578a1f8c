//! What one speaker says of how a value is kept and waited for: one row of numbers, where each call would have as many arguments.

use nearcache::options::{PolicyPatch, Retry};

use crate::numbers::{said_ttl, to_weight};

/// The row, read.
pub(super) struct Said {
    pub patch: PolicyPatch,
    /// The value's bytes.
    pub weight: Option<u32>,
}

impl Said {
    /// In the order of `row` in `pkg/src/calls.ts`; what is not said is NaN.
    pub fn read(numbers: &[f64]) -> Self {
        let mut numbers = numbers.iter().copied();
        let mut next = || numbers.next().unwrap_or(f64::NAN);
        let mut patch = PolicyPatch::new();
        patch.ttl = said_ttl(next());
        patch.idle_ttl = said_ttl(next());
        patch.stale_while_revalidate = said_ttl(next());
        patch.stale_if_error = said_ttl(next());
        patch.refresh_ahead = said(next());
        patch.jitter = said(next());
        patch.negative_ttl = said_ttl(next());
        patch.error_backoff = said_ttl(next());
        patch.soft_timeout = said_ttl(next());
        patch.hard_timeout = said_ttl(next());
        let (attempts, delay, factor, jitter) = (next(), next(), next(), next());
        patch.retry = said(attempts).map(|attempts| {
            let mut retry = Retry::new(attempts as u32);
            retry.delay = said_ttl(delay).unwrap_or(retry.delay);
            retry.factor(said(factor).unwrap_or(retry.factor)).jitter(said(jitter).unwrap_or(retry.jitter))
        });
        patch.keep_loading = said(next()).map(|keep| keep != 0.0);
        Self { patch, weight: to_weight(next()) }
    }
}

fn said(number: f64) -> Option<f64> {
    Some(number).filter(|number| !number.is_nan())
}
