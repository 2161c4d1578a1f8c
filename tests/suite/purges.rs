//! What is removed or written while it is loaded.

use nearcache::Cache;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::bench::{Bench, value};
use crate::common::Virtual;

#[test]
fn removing_clearing_and_writing_win_over_a_load_under_way() {
    type Purge = fn(&Cache<&'static str, u32, Virtual<false>>);
    let purges: [(Purge, Option<u32>); 3] = [
        (|cache| assert_eq!(cache.remove("key"), None), None),
        (Cache::clear, None),
        (|cache| assert!(cache.insert("key", 100)), Some(100)),
    ];
    for (purge, kept) in purges {
        let bench = Bench::<false>::new();
        let mut before = bench.ask("key");
        purge(&bench.cache);
        let mut after = kept.is_none().then(|| bench.ask("key"));
        assert_eq!(bench.loads(), 1 + usize::from(after.is_some()), "nobody joins a load from before the purge");
        bench.settle(0, Ok(1));
        assert_eq!(value(&mut before), Some(1), "those who waited get what they waited for");
        assert_eq!(bench.cache.get("key"), kept, "and it is not stored");
        if let Some(after) = &mut after {
            bench.settle(1, Ok(2));
            assert_eq!((value(after), bench.cache.get("key")), (Some(2), Some(2)));
        }
    }
}
