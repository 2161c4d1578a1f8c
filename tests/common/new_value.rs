//! A value for tiers, of which a test says what matters to it.

use nearcache::tier::{Lifetimes, NewValue, Place};
use nearcache::{Timestamp, Ttl};

/// Fresh for a minute from the beginning of time on, without tags, and one that replaces nothing.
pub fn new_value<'a>(place: &'a Place, key: &'a str) -> NewValue<'a> {
    NewValue {
        place,
        key,
        generation: Timestamp::from_millis(0),
        number: 0,
        lifetimes: Lifetimes { ttl: Ttl::Millis(60_000), stale_while_revalidate: Ttl::ZERO, stale_if_error: Ttl::ZERO },
        age: 0,
        tags: vec![],
        codec: 1,
        compressed: false,
        weight: None,
        replaces: false,
        payload: b"1",
    }
}
