//! Keys that are loaded anew every so often.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use nearcache::engine::Runtime;
use nearcache::{Cache, KeepFreshOptions, LoadCtx, LoadError, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::Virtual;

#[test]
fn chosen_keys_are_kept_fresh_until_the_handle_goes() {
    let world = Virtual::<false>::default();
    let cache: Cache<u32, u32, _> = Cache::builder().time_to_live(Ttl::Millis(1_000)).runtime(world.clone()).build();
    let loads = Rc::new(Cell::new(0));
    let load = {
        let loads = loads.clone();
        move |key, _: LoadCtx<u32>| {
            let n = loads.replace(loads.get() + 1);
            async move { if n == 1 { Err("no") } else { Ok(key * 100 + n) } }
        }
    };
    let refused = cache.keep_fresh([1, 2], Ttl::Millis(10), load.clone()).expect_err("nothing to run it");
    assert_eq!(refused.option, "keep_fresh");
    world.0.spawns.set(true);
    let handle = cache.keep_fresh([1, 2], Ttl::Millis(10), load).expect("a spawner");
    let pass = |millis| {
        world.0.run_tasks();
        world.0.advance(millis);
        world.0.run_tasks();
    };
    pass(9);
    assert_eq!(loads.get(), 0);
    pass(1);
    assert_eq!((loads.get(), cache.get(&1), cache.get(&2)), (2, Some(100), None));
    pass(10);
    assert_eq!((loads.get(), cache.get(&1), cache.get(&2)), (4, Some(102), Some(203)), "an error is not the end");
    drop(handle);
    pass(100);
    assert_eq!(loads.get(), 4);
}

#[test]
fn rounds_of_keep_fresh_begin_an_interval_apart_and_never_overlap() {
    let world = Virtual::<false>::default();
    world.0.spawns.set(true);
    let cache: Cache<u32, u32, _> = Cache::builder().runtime(world.clone()).build();
    // When each load began, and how long those of a round take.
    let (begun, takes) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(0)));
    let load = {
        let (world, begun, takes) = (world.clone(), begun.clone(), takes.clone());
        move |_, _: LoadCtx<u32>| {
            begun.borrow_mut().push(world.now().as_millis());
            let (world, millis) = (world.clone(), takes.get());
            async move {
                world.sleep(millis).await;
                Ok::<_, &str>(1)
            }
        }
    };
    let start = world.now().as_millis();
    let handle = cache.keep_fresh([1], Duration::from_millis(10), load).expect("a spawner");
    let rounds_within = |millis: u64| {
        for _ in 0..millis {
            world.0.run_tasks();
            world.0.advance(1);
        }
        world.0.run_tasks();
        begun.take().iter().map(|at| at - start).collect::<Vec<_>>()
    };
    takes.set(4);
    assert_eq!(rounds_within(35), [10, 20, 30], "the time that a round takes puts nothing off");
    takes.set(25);
    assert_eq!(rounds_within(64), [40, 66, 92], "a round that takes longer puts the next off until its end");
    takes.set(0);
    assert_eq!(rounds_within(40), [118, 128, 138], "and then all is as before");
    drop(handle);
    assert_eq!(rounds_within(40), [0; 0]);
}

#[test]
fn keep_fresh_loads_as_many_keys_at_once_as_it_may_and_tells_of_each_that_fails() {
    for (concurrency, most_wanted) in [(None, 10), (Some(3), 3), (Some(0), 1)] {
        let world = Virtual::<false>::default();
        world.0.spawns.set(true);
        let cache: Cache<u32, u32, _> = Cache::builder().runtime(world.clone()).build();
        let (running, most, told) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
        let load = {
            let (world, running, most) = (world.clone(), running.clone(), most.clone());
            move |key, _: LoadCtx<u32>| {
                running.set(running.get() + 1);
                most.set(most.get().max(running.get()));
                let (world, running) = (world.clone(), running.clone());
                async move {
                    world.sleep(1).await;
                    running.set(running.get() - 1);
                    if key % 10 == 3 { Err("no") } else { Ok(key) }
                }
            }
        };
        let mut options = KeepFreshOptions::new(Ttl::Millis(100)).on_error({
            let told = told.clone();
            move |key: &u32, error: &LoadError| told.borrow_mut().push((*key, error.to_string()))
        });
        if let Some(most) = concurrency {
            options = options.concurrency(most);
        }
        let _handle = cache.keep_fresh(0..25, options, load).expect("a spawner");
        for _ in 0..150 {
            world.0.run_tasks();
            world.0.advance(1);
        }
        let no = "the loader failed: no".to_owned();
        told.borrow_mut().sort_unstable();
        assert_eq!(*told.borrow(), [(3, no.clone()), (13, no.clone()), (23, no)]);
        assert_eq!((most.get(), cache.len()), (most_wanted, 22));
    }
}
