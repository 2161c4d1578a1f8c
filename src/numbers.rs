//! Times as they cross between JS and wasm: milliseconds, infinity for ever. Casts saturate and truncate: what a clock or
//! an option can't mean becomes the nearest thing it can.

use crate::time::{Timestamp, Ttl};

/// A moment.
#[inline(never)]
pub fn to_time(millis: f64) -> Timestamp {
    Timestamp::from_millis(millis as u64)
}

/// A lifetime.
#[inline(never)]
pub fn to_ttl(millis: f64) -> Ttl {
    if millis == f64::INFINITY { Ttl::Forever } else { Ttl::Millis(millis as u64) }
}

/// A lifetime, as a number.
pub fn from_ttl(ttl: Ttl) -> f64 {
    match ttl {
        Ttl::Millis(millis) => millis as f64,
        Ttl::Forever => f64::INFINITY,
    }
}
