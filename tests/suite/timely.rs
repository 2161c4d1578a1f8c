//! Entries that leave in time by a task of the cache's own. The cases of both faces are in `tests/contract/timely.json`.

use std::cell::RefCell;
use std::rc::Rc;

use nearcache::{Cache, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{Heard, Virtual};

type Left = Rc<RefCell<Vec<u32>>>;

fn cache<const DETACHED: bool>(world: &Virtual<DETACHED>) -> (Cache<u32, Rc<()>, Virtual<DETACHED>>, Left) {
    let left = Left::default();
    let heard = left.clone();
    let cache = Cache::builder()
        .time_to_live(Ttl::Millis(100))
        .purge_stale_every(Ttl::Millis(10))
        .plugin(Heard(move |key: &u32, _: &Rc<()>, _| heard.borrow_mut().push(*key)))
        .runtime(world.clone())
        .build();
    (cache, left)
}

fn pass<const DETACHED: bool>(world: &Virtual<DETACHED>, millis: u64) {
    for _ in 0..millis {
        world.0.run_tasks();
        world.0.advance(1);
    }
    world.0.run_tasks();
}

#[test]
fn entries_leave_in_time_and_plugins_are_told() {
    let world = Virtual::<false>::default();
    world.0.spawns.set(true);
    let (cache, left) = cache(&world);
    cache.insert(1, Rc::default());
    pass(&world, 50);
    cache.insert(2, Rc::default());
    pass(&world, 49);
    assert!(left.borrow().is_empty());
    pass(&world, 1);
    assert_eq!((&*left.borrow(), cache.len()), (&vec![1], 1));
    pass(&world, 50);
    assert_eq!((&*left.borrow(), cache.len()), (&vec![1, 2], 0));
}

#[test]
fn as_many_entries_as_there_are_leave_at_one_moment() {
    // They do so in steps, each of which is to be made at the moment at which the one before was.
    let world = Virtual::<false>::default();
    world.0.spawns.set(true);
    let (cache, left) = cache(&world);
    (0..3_000).for_each(|key| assert!(cache.insert(key, Rc::default())));
    pass(&world, 99);
    assert_eq!(cache.len(), 3_000);
    world.0.advance(1);
    world.0.settle();
    assert_eq!((cache.len(), left.borrow().len()), (0, 3_000));
}

#[test]
fn a_cache_that_is_dropped_frees_its_entries_and_its_task_ends_at_once() {
    let world = Virtual::<false>::default();
    world.0.spawns.set(true);
    let (cache, _) = cache(&world);
    let value = Rc::new(());
    cache.insert(1, value.clone());
    world.0.run_tasks();
    assert_eq!((Rc::strong_count(&value), world.0.spawned()), (2, 1));
    drop(cache);
    assert_eq!(Rc::strong_count(&value), 1);
    world.0.run_tasks();
    assert_eq!(world.0.spawned(), 0, "it does not wait for the end");
}

#[test]
fn there_is_one_task_at_the_most_and_none_while_nothing_ends() {
    let world = Virtual::<false>::default();
    world.0.spawns.set(true);
    let (cache, _) = cache(&world);
    for key in 0..100 {
        cache.insert(key, Rc::default());
        pass(&world, 1);
        assert_eq!(world.0.spawned(), 1);
    }
    cache.clear();
    world.0.run_tasks();
    assert_eq!(world.0.spawned(), 0);
}

#[test]
fn where_nothing_runs_in_the_background_or_each_request_runs_its_own_nothing_is_done() {
    let world = Virtual::<false>::default();
    let (without_spawner, _) = cache(&world);
    without_spawner.insert(1, Rc::default());
    pass(&world, 200);
    assert_eq!(without_spawner.len(), 1);
    let world = Virtual::<true>::default();
    world.0.spawns.set(true);
    let (detached, left) = cache(&world);
    detached.insert(1, Rc::default());
    pass(&world, 200);
    assert_eq!((detached.len(), world.0.spawned(), left.borrow().len()), (1, 0, 0));
    assert_eq!(detached.purge_stale(), 1);
}
