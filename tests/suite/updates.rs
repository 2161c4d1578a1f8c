//! Writing through: the source first, and nothing in the cache that the source may not have.

use nearcache::{Cache, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::by_hand::{Sut, Waiting, end, load, say, sut, write};
use crate::common::{Virtual, poll_once};

#[test]
fn what_was_written_is_stored_once_the_source_has_it() {
    fn run<const ALONE: bool>() {
        let (cache, world) = sut::<ALONE>();
        cache.insert("key", 1);
        let (mut waiting, writer) = write(&cache, &world, "key");
        let meanwhile = (!ALONE).then_some(1);
        assert_eq!(cache.get("key"), meanwhile, "the old one, unless the write may die without a word");
        writer.say(Ok(2));
        assert_eq!(end(&world, &mut waiting).ok(), Some(2));
        assert_eq!((cache.get("key"), cache.len()), (Some(2), 1));
        let (mut waiting, writer) = write(&cache, &world, "new");
        writer.say(Ok(3));
        assert_eq!((end(&world, &mut waiting).ok(), cache.get("new")), (Some(3), Some(3)));
    }
    run::<false>();
    run::<true>();
}

#[test]
fn a_write_that_dies_with_its_request_leaves_nothing_stale_and_does_not_hold_its_key_for_ever() {
    let (cache, world) = sut::<true>();
    cache.insert("key", 1);
    world.0.enter(7);
    let (waiting, _writer) = write(&cache, &world, "key");
    world.0.kill(7);
    std::mem::forget(waiting);
    assert_eq!(cache.get("key"), None);
    let ask = |value| {
        let cache = cache.clone();
        let mut load: Waiting = Box::pin(async move { cache.get_with("key", async move |_| value).await });
        assert!(poll_once(&mut load).is_none());
        end(&world, &mut load).ok()
    };
    assert_eq!((ask(2), cache.get("key")), (Some(2), None), "the write may still come about");
    world.0.advance(61_000);
    cache.sweep(1);
    assert_eq!((ask(3), cache.get("key")), (Some(3), Some(3)));
}

#[test]
fn a_write_that_fails_or_is_dropped_or_late_takes_the_key_with_it() {
    let (cache, world) = sut::<false>();
    cache.insert("key", 1);
    let (mut waiting, writer) = write(&cache, &world, "key");
    writer.say(Err("disk full"));
    assert_eq!(end(&world, &mut waiting).expect_err("failed").to_string(), "the loader failed: disk full");
    assert_eq!((cache.get("key"), cache.len()), (None, 0));
    cache.insert("key", 1);
    drop(write(&cache, &world, "key"));
    assert_eq!(cache.get("key"), None, "its fate is unknown");
    cache.insert("key", 1);
    let (mut waiting, writer) = write(&cache, &world, "key");
    world.0.advance(30_000);
    assert_eq!(end(&world, &mut waiting).expect_err("late").code(), "ERR_TIMEOUT");
    assert_eq!(cache.get("key"), None);
    drop(writer);
    assert_eq!(cache.len(), 0);
}

#[test]
fn where_tasks_run_alone_a_write_goes_on_without_its_caller() {
    let (cache, world) = sut::<true>();
    let (waiting, writer) = write(&cache, &world, "key");
    drop(waiting);
    writer.say(Ok(2));
    world.0.run_tasks();
    assert_eq!(cache.get("key"), Some(2));
    let (mut waiting, writer) = write(&cache, &world, "key");
    world.0.advance(30_000);
    assert_eq!(end(&world, &mut waiting).expect_err("late").code(), "ERR_TIMEOUT");
    cache.insert("key", 3);
    writer.say(Ok(4));
    world.0.run_tasks();
    assert_eq!(cache.get("key"), None, "it came after something else, or before: nobody knows");
}

#[test]
fn a_write_beats_the_loads_that_began_before_its_end() {
    let (cache, world) = sut::<false>();
    let (mut before, first) = load(&cache, &world, "key", &[]);
    let (mut writing, writer) = write(&cache, &world, "key");
    let (mut during, second) = load(&cache, &world, "key", &[]);
    say(&first, Ok(1));
    assert_eq!((end(&world, &mut before).ok(), cache.get("key")), (Some(1), None));
    writer.say(Ok(5));
    assert_eq!(end(&world, &mut writing).ok(), Some(5));
    say(&second, Ok(2));
    assert_eq!((end(&world, &mut during).ok(), cache.get("key")), (Some(2), Some(5)));
}

#[test]
fn of_two_writes_at_a_time_nobody_knows_which_came_last() {
    type Purge = fn(&Sut<false>);
    let (cache, world) = sut::<false>();
    let (mut one, first) = write(&cache, &world, "key");
    let (mut two, second) = write(&cache, &world, "key");
    first.say(Ok(1));
    assert_eq!((end(&world, &mut one).ok(), cache.get("key")), (Some(1), None));
    second.say(Ok(2));
    assert_eq!((end(&world, &mut two).ok(), cache.get("key")), (Some(2), None));
    let purges: [Purge; 4] = [
        |cache| assert!(cache.remove("key").is_none()),
        Cache::clear,
        |cache| assert!(cache.insert("key", 9)),
        |cache| assert!(!cache.expire("key")),
    ];
    for purge in purges {
        let (mut waiting, writer) = write(&cache, &world, "key");
        purge(&cache);
        writer.say(Ok(1));
        assert_eq!((end(&world, &mut waiting).ok(), cache.get("key")), (Some(1), None));
    }
}

#[test]
fn two_writes_around_a_clear_are_two_writes_at_a_time() {
    // Found by the simulation: the second was stored, though the first may have come last.
    let (cache, world) = sut::<false>();
    let (_first, _) = write(&cache, &world, "key");
    cache.clear();
    let (mut two, second) = write(&cache, &world, "key");
    second.say(Ok(2));
    assert_eq!((end(&world, &mut two).ok(), cache.get("key")), (Some(2), None));
}

#[test]
fn a_failure_is_remembered_though_the_value_died_under_its_load() {
    // On the way to the simulation: the slot was given back, and then used for the failure.
    let world = Virtual::<false>::default();
    let cache: Sut<false> = Cache::builder()
        .time_to_live(Ttl::Millis(10))
        .stale_if_error(Ttl::Millis(10))
        .error_backoff(Ttl::Millis(50))
        .runtime(world.clone())
        .build();
    cache.insert("key", 1);
    world.0.advance(15);
    let (mut waiting, loader) = load(&cache, &world, "key", &[]);
    world.0.advance(10);
    say(&loader, Err("down"));
    assert!(end(&world, &mut waiting).is_err());
    assert!(cache.insert("other", 2));
    let mut again = Box::pin(cache.get_with("key", |_| async { 5 }));
    assert_eq!(poll_once(&mut again).expect("at once").expect_err("remembered").code(), "ERR_LOADER");
    assert_eq!((cache.len(), cache.get("other")), (2, Some(2)));
}
