//! When a stored response may answer a request (RFC 9111 §4, §5.2.1).

use super::freshness::Freshness;
use crate::http::fields::CacheControl;

/// Why a stored response may not answer a request without asking the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It is stale, or has to be validated before every use.
    Stale,
    /// The client wants a fresher one; this one would do otherwise.
    Request(&'static str),
}

/// What stands against answering from a stored response (§4, §5.2.1). `must_validate` is whether its own `no-cache` asks for that.
pub fn reuse_obstacle(control: &CacheControl, stored: &Freshness, must_validate: bool, now: u64) -> Option<Obstacle> {
    if must_validate || !stored.is_fresh(now) {
        return Some(Obstacle::Stale);
    }
    if control.no_cache.is_some() {
        return Some(Obstacle::Request("no-cache"));
    }
    let too_old = |max_age: u32| max_age == 0 || stored.age_ms(now) > u64::from(max_age) * 1000;
    if control.max_age.is_some_and(too_old) {
        return Some(Obstacle::Request("max-age"));
    }
    let too_short = |min_fresh: u32| stored.remaining_ms(now) < i64::from(min_fresh) * 1000;
    if control.min_fresh.is_some_and(too_short) {
        return Some(Obstacle::Request("min-fresh"));
    }
    None
}
