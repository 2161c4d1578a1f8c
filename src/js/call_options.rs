//! What one speaker says of how a value is kept and waited for: one row of numbers, where each call would have as many arguments.

use nearcache::options::{PolicyPatch, Retry};

use crate::numbers::{said_ttl, to_weight};

/// The row, read.
pub(super) struct CallOptions {
    pub patch: PolicyPatch,
    /// The value's bytes.
    pub weight: Option<u32>,
}

impl CallOptions {
    /// In the order of `row` in `pkg/src/policy/calls.ts`; what is not said is NaN.
    pub fn read(numbers: &[f64]) -> Self {
        let mut patch = PolicyPatch::new();
        let &[
            ttl,
            idle_ttl,
            stale_while_revalidate,
            stale_if_error,
            refresh_ahead,
            jitter,
            negative_ttl,
            error_backoff,
            soft_timeout,
            hard_timeout,
            attempts,
            retry_delay,
            retry_factor,
            retry_jitter,
            keep_loading,
            bytes,
        ] = numbers
        else {
            return Self { patch, weight: None };
        };
        patch.ttl = said_ttl(ttl);
        patch.idle_ttl = said_ttl(idle_ttl);
        patch.stale_while_revalidate = said_ttl(stale_while_revalidate);
        patch.stale_if_error = said_ttl(stale_if_error);
        patch.refresh_ahead = said(refresh_ahead);
        patch.jitter = said(jitter);
        patch.negative_ttl = said_ttl(negative_ttl);
        patch.error_backoff = said_ttl(error_backoff);
        patch.soft_timeout = said_ttl(soft_timeout);
        patch.hard_timeout = said_ttl(hard_timeout);
        patch.retry = said(attempts).map(|attempts| {
            let mut retry = Retry::new(attempts as u32);
            retry.delay = said_ttl(retry_delay).unwrap_or(retry.delay);
            retry.factor(said(retry_factor).unwrap_or(retry.factor)).jitter(said(retry_jitter).unwrap_or(retry.jitter))
        });
        patch.keep_loading = said(keep_loading).map(|keep| keep != 0.0);
        Self { patch, weight: to_weight(bytes) }
    }
}

fn said(number: f64) -> Option<f64> {
    Some(number).filter(|number| !number.is_nan())
}
