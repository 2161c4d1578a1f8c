//! When a stale response may be handed out all the same (RFC 5861, RFC 9111 §4.2.4).

use ::http::StatusCode;

use super::freshness::Freshness;
use crate::http::fields::{CacheControl, MaxStale};

/// How long past its lifetime a response may be handed out, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StaleLimits {
    /// While it is renewed (RFC 5861 §3).
    pub while_revalidate_ms: u64,
    /// Where the origin fails (RFC 5861 §4).
    pub if_error_ms: u64,
    /// Where the origin can't be reached (RFC 9111 §4.2.4).
    pub if_unreachable_ms: u64,
}

/// Why a stale response might be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleGround {
    /// It is being renewed (RFC 5861 §3).
    Revalidating,
    /// The origin has failed (RFC 5861 §4).
    Error,
    /// The origin can't be reached (RFC 9111 §4.2.4).
    Unreachable,
}

impl StaleLimits {
    /// The limits of a response that says this; `unsaid` are those of one that says nothing of it.
    ///
    /// `must-revalidate` and `proxy-revalidate` allow none, nor does `no-cache`. `s-maxage` implies `proxy-revalidate`
    /// (RFC 9111 §5.2.2.10), so that nothing but what the response itself allows counts: an origin that writes
    /// `s-maxage` and a stale window next to each other wants what every CDN makes of it, and gets it.
    pub fn of_response(control: &CacheControl, unsaid: Self) -> Self {
        if control.must_revalidate || control.proxy_revalidate || control.no_cache.is_some() {
            return Self::default();
        }
        let unsaid = if control.s_maxage.is_some() { Self::default() } else { unsaid };
        let window = |said: Option<u32>, unsaid| said.map_or(unsaid, |seconds| u64::from(seconds) * 1_000);
        let if_error_ms = window(control.stale_if_error, unsaid.if_error_ms);
        Self {
            while_revalidate_ms: window(control.stale_while_revalidate, unsaid.while_revalidate_ms),
            if_error_ms,
            // An origin that can't be reached has failed, too.
            if_unreachable_ms: if_error_ms.max(if control.stale_if_error.is_some() {
                0
            } else {
                unsaid.if_unreachable_ms
            }),
        }
    }

    /// Whether a response may still be handed out at `now` on this ground.
    pub fn allow(&self, ground: StaleGround, freshness: &Freshness, now: u64) -> bool {
        let window = match ground {
            StaleGround::Revalidating => self.while_revalidate_ms,
            StaleGround::Error => self.if_error_ms,
            StaleGround::Unreachable => self.if_unreachable_ms,
        };
        let past = freshness.remaining_ms(now).min(0).unsigned_abs();
        freshness.is_fresh(now) || past < window
    }

    /// The longest of them.
    pub fn longest_ms(&self) -> u64 {
        self.while_revalidate_ms.max(self.if_error_ms).max(self.if_unreachable_ms)
    }
}

/// Whether a request takes an answer that is as stale as this one is at `now`: its `Cache-Control` says neither that it
/// must be younger or fresh for longer (`max-age`, `min-fresh`), nor that a smaller staleness is the most (`max-stale`).
/// `max-age=0` is a wish for a fresh answer, like `no-cache`, and refuses none where a fresh one can't be had.
pub fn accepts_stale(control: &CacheControl, stored: &Freshness, now: u64) -> bool {
    let past_ms = stored.remaining_ms(now).min(0).unsigned_abs();
    let max_age = control.max_age.filter(|seconds| *seconds > 0);
    let too_old = max_age.is_some_and(|seconds| stored.age_ms(now) > u64::from(seconds) * 1_000);
    let too_stale =
        matches!(control.max_stale, Some(MaxStale::Seconds(seconds)) if past_ms > u64::from(seconds) * 1_000);
    !(too_old || too_stale || control.min_fresh.is_some())
}

/// Whether an answer with this status tells that the origin has failed for the moment, so that a stale one may stand in:
/// the errors of RFC 5861 §4, and those by which a server says that it was too slow (408) or asked too often (429).
pub fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}
