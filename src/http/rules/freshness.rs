//! How long a response is fresh and how old it is (RFC 9111 §4.2).

use ::http::header::{AGE, DATE, EXPIRES, LAST_MODIFIED};
use ::http::{HeaderMap, StatusCode};

use crate::http::fields::{self as field, CacheControl, MAX_SECONDS, ResponseControl};

/// The three numbers from which a stored response's age and remaining lifetime follow at any moment.
///
/// It holds no clock: `now` is always an argument, in milliseconds since the Unix epoch. A `now` before
/// `stored_at_ms` (a clock that was set back) counts as `stored_at_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// freshness_lifetime (§4.2.1), in milliseconds, at most 2^31 seconds.
    pub lifetime_ms: u64,
    /// corrected_initial_age (§4.2.3), in milliseconds: how old the response was when it arrived.
    pub age_at_store_ms: u64,
    /// response_time, in milliseconds since the Unix epoch: when it arrived.
    pub stored_at_ms: u64,
}

/// What to infer where a response says when it was last modified and nothing of its freshness (§4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heuristic {
    /// So many hundredths of the time since then it is fresh; 0 switches the heuristic off. The RFC suggests 10.
    pub percent: u32,
    /// But no longer than this, in milliseconds.
    pub max_ms: u64,
}

impl Freshness {
    /// A response that arrived at `response_time`, with this lifetime.
    pub fn new(lifetime_ms: u64, headers: &HeaderMap, request_time: u64, response_time: u64) -> Self {
        let age_at_store_ms = initial_age(headers, date(headers), request_time, response_time);
        Self {
            lifetime_ms: lifetime_ms.min(u64::from(MAX_SECONDS) * 1000),
            age_at_store_ms,
            stored_at_ms: response_time,
        }
    }

    /// current_age (§4.2.3) at `now`, in milliseconds.
    pub fn age_ms(&self, now: u64) -> u64 {
        self.age_at_store_ms.saturating_add(now.saturating_sub(self.stored_at_ms))
    }

    /// The value of an `Age` field written at `now` (§5.1): whole seconds, rounded down, at most 2^31.
    pub fn age_seconds(&self, now: u64) -> u64 {
        (self.age_ms(now) / 1000).min(u64::from(MAX_SECONDS))
    }

    /// Milliseconds of freshness left at `now`; 0 or less where it is stale.
    pub fn remaining_ms(&self, now: u64) -> i64 {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        signed(self.lifetime_ms).saturating_sub(signed(self.age_ms(now)))
    }

    /// The `ttl` of RFC 9211 §2.4: [`remaining_ms`](Self::remaining_ms) in whole seconds, rounded down, so that it is
    /// negative from the first millisecond after the end on.
    pub fn ttl_seconds(&self, now: u64) -> i64 {
        self.remaining_ms(now).div_euclid(1000)
    }

    /// Whether the lifetime is greater than the age at `now` (§4.2). A response whose age has reached it is stale.
    pub fn is_fresh(&self, now: u64) -> bool {
        self.remaining_ms(now) > 0
    }

    /// The first moment at which it is stale, in milliseconds since the Unix epoch; at the earliest `stored_at_ms`.
    pub fn stale_at_ms(&self) -> u64 {
        self.stored_at_ms.saturating_add(self.lifetime_ms.saturating_sub(self.age_at_store_ms))
    }
}

/// The lifetime that the response states (§4.2.1), in milliseconds: `s-maxage`, else `max-age`, else `Expires` less
/// `Date`. An `Expires` that is no date or stands twice gives 0; one beside a targeted field says nothing.
pub fn explicit_lifetime(said: &ResponseControl, headers: &HeaderMap, response_time: u64) -> Option<u64> {
    match said.control.s_maxage.or(said.control.max_age) {
        Some(seconds) => Some(u64::from(seconds) * 1000),
        None if said.targeted => None,
        None => lifetime_from_expires(headers, date(headers).unwrap_or(response_time)),
    }
}

/// The lifetime that may be inferred from `Last-Modified`, where the status allows it (RFC 9110 §15.1) or the response
/// says `public`.
pub fn heuristic_lifetime(
    heuristic: Heuristic,
    status: StatusCode,
    control: &CacheControl,
    headers: &HeaderMap,
    response_time: u64,
) -> Option<u64> {
    if heuristic.percent == 0 || !(is_heuristically_cacheable(status) || control.public) {
        return None;
    }
    let modified = field::only(headers, &LAST_MODIFIED).and_then(field::date_ms)?;
    let unchanged_ms = date(headers).unwrap_or(response_time).checked_sub(modified)?;
    Some((unchanged_ms / 100).saturating_mul(u64::from(heuristic.percent)).min(heuristic.max_ms))
}

/// RFC 9110 §15.1.
pub fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// A Date that stands twice or cannot be read is doubtful: the earliest one makes the response oldest.
fn date(headers: &HeaderMap) -> Option<u64> {
    headers.get_all(DATE).into_iter().filter_map(field::date_ms).min()
}

fn lifetime_from_expires(headers: &HeaderMap, date: u64) -> Option<u64> {
    if !headers.contains_key(EXPIRES) {
        return None;
    }
    let expires = field::only(headers, &EXPIRES).and_then(field::date_ms);
    let lifetime = expires.map_or(0, |expires| expires.saturating_sub(date));
    Some(lifetime.min(u64::from(MAX_SECONDS) * 1000))
}

fn initial_age(headers: &HeaderMap, date: Option<u64>, request_time: u64, response_time: u64) -> u64 {
    // A Date names a whole second, so it is compared with a whole second; with the full clock, every response would
    // seem up to 999 ms old on arrival, and one with max-age=1 would hardly be worth storing.
    let response_second = response_time - response_time % 1000;
    let apparent_age = date.map_or(0, |date| response_second.saturating_sub(date));
    let response_delay = response_time.saturating_sub(request_time);
    apparent_age.max(age_value(headers).saturating_add(response_delay))
}

/// The `Age` field in milliseconds. Of a list the first member counts, and an invalid one counts as absent (§5.1).
fn age_value(headers: &HeaderMap) -> u64 {
    let first = headers.get(AGE).and_then(|line| field::elements(line.as_bytes()).next());
    first.and_then(field::delta_seconds).map_or(0, |seconds| u64::from(seconds) * 1000)
}
