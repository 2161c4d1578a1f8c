//! What one isolate loaded others find, and what is shared goes on being so.

use std::cell::Cell;
use std::rc::Rc;

use futures::future::join_all;
use nearcache::tiers::MemoryTier;
use nearcache::{CallOptions, LoadError};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::{Edge, Moody, secs};

#[test]
fn what_one_isolate_loaded_another_finds_below_with_what_is_left_of_its_lifetime() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let (a, b) = (edge.isolate(&store), edge.isolate(&store));
    assert_eq!(edge.get(&a, "k", "loaded"), "loaded");
    edge.world.advance(20_000);
    let load = async |_| Err::<String, _>("not asked");
    let got = edge.world.run(b.try_get_with_details("k".into(), CallOptions::new(), load)).unwrap();
    assert_eq!((got.value.as_str(), got.age, got.ttl), ("loaded", secs(20), secs(40).into()));
    edge.world.advance(40_000);
    assert_eq!(edge.get(&b, "k", "new"), "new", "at its end");
}

#[test]
fn five_hundred_gets_of_one_key_are_one_read_and_one_load() {
    let edge = Edge::new();
    let store = Moody::new(&edge.world);
    let isolate = edge.isolate(&store);
    let loads = Rc::new(Cell::new(0));
    let gets = (0..500).map(|_| {
        let loads = loads.clone();
        isolate.try_get_with("k".into(), async move |_| {
            loads.set(loads.get() + 1);
            Ok::<_, LoadError>("v".to_owned())
        })
    });
    let got = edge.world.run(join_all(gets));
    assert!(got.iter().all(|got| got.as_deref().ok() == Some("v")));
    assert_eq!((loads.get(), store.reads.take(), isolate.tier_stats()[0].figures.asked), (1, vec![1], 1));
}
