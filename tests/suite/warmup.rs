//! Filling a cache before it is asked.

use std::cell::Cell;
use std::rc::Rc;

use nearcache::{Cache, CallOptions, LoadCtx, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::plugins::Loading;
use crate::common::poll_once;

#[test]
fn warming_up_is_bounded_tells_how_far_it_is_and_goes_on_after_errors() {
    let cache: Cache<u32, u32> = Cache::new_with_max_entries(100);
    cache.insert(3, 33);
    let (running, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let items = (0..20_u32).map(|key| {
        let (running, most) = (running.clone(), most.clone());
        let load = move |_: LoadCtx<u32>| -> Loading {
            Box::pin(async move {
                running.set(running.get() + 1);
                most.set(most.get().max(running.get()));
                let mut waited = false;
                std::future::poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    if std::mem::replace(&mut waited, true) { ().into() } else { std::task::Poll::Pending }
                })
                .await;
                running.set(running.get() - 1);
                if key % 7 == 5 { Err("no") } else { Ok(key) }
            })
        };
        (key, load)
    });
    let mut steps = Vec::new();
    let options = CallOptions::new().ttl(Ttl::Millis(60_000));
    let warmed = futures::executor::block_on(cache.warmup(items, options, 4, |progress| steps.push(progress)));
    let mut failed: Vec<u32> = warmed.failed.iter().map(|(key, _)| *key).collect();
    failed.sort_unstable();
    assert_eq!((warmed.loaded, failed), (17, vec![5, 12, 19]));
    assert!(warmed.failed.iter().all(|(_, error)| error.to_string() == "the loader failed: no"));
    assert_eq!((steps.len(), steps.last().map(|last| (last.done, last.failed))), (20, Some((20, 3))));
    assert_eq!((most.get(), cache.get(&3), cache.get(&4)), (4, Some(33), Some(4)), "what is there is not loaded");
}

#[test]
fn where_loads_are_limited_a_warm_up_waits_until_nobody_else_does() {
    let cache: Cache<u32, u32> = Cache::builder().max_concurrent_loads(1).build();
    let begun = Rc::new(std::cell::RefCell::new(Vec::new()));
    let load = |key: u32| {
        let begun = begun.clone();
        async move |_: LoadCtx<u32>| {
            begun.borrow_mut().push(key);
            Ok::<_, String>(key)
        }
    };
    let mut first = Box::pin(cache.try_get_with(1, async |_| std::future::pending::<Result<u32, String>>().await));
    assert!(poll_once(&mut first).is_none());
    let mut warming = Box::pin(cache.warmup([(2, load(2))], CallOptions::new(), 1, |_| ()));
    assert!(poll_once(&mut warming).is_none());
    let mut wanted = Box::pin(cache.try_get_with(3, load(3)));
    assert!(poll_once(&mut wanted).is_none());
    drop(first);
    futures::executor::block_on(async { futures::join!(wanted, warming) }).0.expect("it is loaded");
    assert_eq!(*begun.borrow(), [3, 2]);
}
