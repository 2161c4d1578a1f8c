//! A function with a cache before it.

use std::cell::Cell;
use std::rc::Rc;

use nearcache::{Cache, CallOptions};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn a_wrapped_function_is_asked_once_a_key_refreshed_forgotten_and_bypassed() {
    let calls = Rc::new(Cell::new(0));
    let function = {
        let calls = calls.clone();
        move |key: u32| {
            let n = calls.get() + 1;
            calls.set(n);
            async move { if key == 0 { Err("zero") } else { Ok(key * 100 + n) } }
        }
    };
    let cache: Cache<u32, u32> = Cache::new_with_max_entries(100);
    let options = CallOptions::new().tags(["wrapped"]);
    let wrapped = cache.wrap(function).with_options(options);
    futures::executor::block_on(async {
        assert_eq!((wrapped.call(1).await.ok(), wrapped.call(1).await.ok(), calls.get()), (Some(101), Some(101), 1));
        assert_eq!((wrapped.refresh(1).await.ok(), wrapped.call(1).await.ok()), (Some(102), Some(102)));
        assert_eq!((wrapped.bypass(1).await, wrapped.call(1).await.ok()), (Ok(103), Some(102)));
        assert_eq!((wrapped.invalidate(&1), wrapped.call(1).await.ok()), (Some(102), Some(104)));
        assert_eq!(wrapped.call(0).await.expect_err("an error").to_string(), "the loader failed: zero");
        assert_eq!(wrapped.bypass(0).await, Err("zero"));
        assert_eq!(wrapped.clone().call_with_details(1).await.expect("a value").status.as_str(), "hit");
        assert_eq!((cache.remove_by_tag("wrapped"), cache.len()), (1, 0));
    });
}
