//! When a stale response may be handed out all the same (RFC 5861, RFC 9111 §4.2.4).

use ::http::{HeaderMap, StatusCode};

use super::cache_control::{CacheControl, MaxStale};
use super::freshness::Freshness;

/// How long past its lifetime a response may be handed out, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StaleWindows {
    /// While it is renewed.
    pub while_revalidate_ms: u64,
    /// Where renewing it fails, or takes too long.
    pub if_error_ms: u64,
}

impl StaleWindows {
    /// The windows of a response with this `Cache-Control`; `unsaid` are those of one that says nothing of it.
    ///
    /// `must-revalidate` and `proxy-revalidate` allow none. `s-maxage` implies the latter (RFC 9111 §5.2.2.10),
    /// so that the operator's defaults don't apply; but an origin that writes `s-maxage` and a stale window
    /// next to each other wants what every CDN makes of it, and gets it.
    pub fn of_response(control: &CacheControl, unsaid: Self) -> Self {
        if control.must_revalidate || control.proxy_revalidate {
            return Self::default();
        }
        let unsaid = if control.s_maxage.is_some() { Self::default() } else { unsaid };
        let window = |said: Option<u32>, unsaid| said.map_or(unsaid, |seconds| u64::from(seconds) * 1_000);
        Self {
            while_revalidate_ms: window(control.stale_while_revalidate, unsaid.while_revalidate_ms),
            if_error_ms: window(control.stale_if_error, unsaid.if_error_ms),
        }
    }

    /// Whether a response with these windows may still be handed out at `now`, on one ground or the other.
    pub fn are_open(&self, freshness: &Freshness, now: u64) -> bool {
        let past = freshness.remaining_ms(now).min(0).unsigned_abs();
        past < self.while_revalidate_ms.max(self.if_error_ms)
    }
}

/// Whether a request takes an answer that is as stale as this one is at `now`: it says neither that it must be
/// younger or fresh for longer (`max-age`, `min-fresh`), nor that a smaller staleness is the most (`max-stale`).
/// What it says of asking the origin (`no-cache`) is [`admits`](super::admits)' matter.
pub fn takes_stale(request_headers: &HeaderMap, stored: &Freshness, now: u64) -> bool {
    let control = CacheControl::parse_request(request_headers);
    let past_ms = stored.remaining_ms(now).min(0).unsigned_abs();
    let too_old = control.max_age.is_some_and(|seconds| stored.age_ms(now) > u64::from(seconds) * 1_000);
    let too_stale =
        matches!(control.max_stale, Some(MaxStale::Seconds(seconds)) if past_ms > u64::from(seconds) * 1_000);
    !(too_old || too_stale || control.min_fresh.is_some())
}

/// Whether an answer with this status counts as an error of the origin's, for which a stale one may stand in (RFC
/// 5861 §4).
pub fn is_origin_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
