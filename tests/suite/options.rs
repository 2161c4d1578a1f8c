//! Options that make no sense.

use nearcache::{Cache, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::Virtual;

#[test]
fn options_that_make_no_sense_count_as_the_nearest_that_do() {
    let world = Virtual::<false>::default();
    for (given, least) in [(f64::NAN, 100), (-1.0, 100), (2.0, 1), (f64::INFINITY, 1)] {
        let cache: Cache<u8, u8, _> = Cache::builder()
            .time_to_live(Ttl::Millis(100))
            .jitter(given)
            .refresh_ahead(given)
            .random(|| 0.0)
            .runtime(world.clone())
            .build();
        cache.insert(1, 1);
        assert_eq!(cache.remaining_ttl(&1), Some(Ttl::Millis(least)), "{given}");
        assert_eq!(cache.get(&1), Some(1));
    }
}
