//! Hooks that use the cache.

use std::cell::RefCell;
use std::rc::Rc;

use nearcache::engine::{EvictEvent, MissEvent};
use nearcache::{Cache, Plugin};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::events::{Log, Logs};

#[test]
fn a_hook_that_uses_the_cache_loses_no_event() {
    // The symptom, in the class: `clear()` of 100 entries with a hook that does one get told of 8.
    struct Asks(Rc<RefCell<Option<Cache<u32, u32>>>>);
    impl Plugin<u32, u32> for Asks {
        fn evict(&self, event: &EvictEvent<'_, u32, u32>) {
            if let Some(cache) = self.0.borrow().as_ref() {
                cache.get(event.key);
            }
        }
    }
    let (itself, log) = (Rc::default(), Log::default());
    let cache = Cache::builder().plugin(Asks(Rc::clone(&itself))).plugin(Logs(log.clone())).build();
    *itself.borrow_mut() = Some(cache.clone());
    assert!((0..100).all(|key| cache.insert(key, key)));
    cache.clear();
    itself.borrow_mut().take();
    let heard = log.take();
    assert_eq!(heard.iter().filter(|text| text.starts_with("evict")).count(), 100);
    assert_eq!(heard.iter().filter(|text| text.starts_with("miss")).count(), 100);
}

#[test]
fn hooks_are_told_of_what_hooks_cause_eight_deep_in_each_chain() {
    // C: without bound.
    struct Echo(Rc<RefCell<Option<Cache<u32, u32>>>>, Log);
    impl Plugin<u32, u32> for Echo {
        fn miss(&self, event: &MissEvent<'_, u32>) {
            self.1.borrow_mut().push(format!("{:?}", event.cause));
            let cache = self.0.borrow().clone();
            if let Some(cache) = cache {
                cache.get(&1);
            }
        }
    }
    let (itself, log) = (Rc::default(), Log::default());
    let cache = Cache::builder().plugin(Echo(Rc::clone(&itself), log.clone())).build();
    *itself.borrow_mut() = Some(cache.clone());
    for _ in 0..2 {
        assert_eq!(cache.get(&1), None);
        assert_eq!(log.take().len(), 8);
    }
    assert_eq!(cache.stats().misses, 2 * 9, "what is not told of happens all the same");
    itself.borrow_mut().take();
}
