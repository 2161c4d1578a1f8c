//! Writing through, tags, and parts of a cache.

mod common;

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use common::{Promiser, Virtual, poll_once, promised};
use nearcache::figures::{Thresholds, Window};
use nearcache::options::PolicyPatch;
use nearcache::{Cache, CallOptions, EntryOptions, LoadCtx, LoadError, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

type Said = Result<u32, &'static str>;
type Waiting = Pin<Box<dyn Future<Output = Result<u32, LoadError>>>>;
type Sut<const ALONE: bool> = Cache<&'static str, u32, Virtual<ALONE>>;

fn sut<const ALONE: bool>() -> (Sut<ALONE>, Virtual<ALONE>) {
    let world = Virtual::default();
    world.0.spawns.set(true);
    (Cache::builder().runtime(world.clone()).build(), world)
}

/// A get, polled once, and the end of its load.
fn load<const ALONE: bool>(
    cache: &Sut<ALONE>,
    world: &Virtual<ALONE>,
    key: &'static str,
    tags: &'static [&'static str],
) -> (Waiting, Rc<RefCell<Option<Promiser<Said>>>>) {
    let (cache, end) = (cache.clone(), Rc::new(RefCell::new(None)));
    let place = end.clone();
    let load = move |ctx: LoadCtx<u32>| {
        tags.iter().for_each(|tag| ctx.tag(*tag));
        let (promiser, promise) = promised();
        *place.borrow_mut() = Some(promiser);
        promise
    };
    let mut waiting: Waiting = Box::pin(async move { cache.try_get_with(key, load).await });
    assert!(poll_once(&mut waiting).is_none());
    world.0.run_tasks();
    (waiting, end)
}

/// A write, polled once, and its end.
fn write<const ALONE: bool>(
    cache: &Sut<ALONE>,
    world: &Virtual<ALONE>,
    key: &'static str,
) -> (Waiting, Promiser<Said>) {
    let (cache, (promiser, promise)) = (cache.clone(), promised());
    let mut waiting: Waiting = Box::pin(async move { cache.update(key, |_| promise).await });
    assert!(poll_once(&mut waiting).is_none());
    world.0.run_tasks();
    (waiting, promiser)
}

fn end<const ALONE: bool>(world: &Virtual<ALONE>, waiting: &mut Waiting) -> Result<u32, LoadError> {
    world.0.run_tasks();
    poll_once(waiting).expect("settled")
}

fn say(end: &Rc<RefCell<Option<Promiser<Said>>>>, said: Said) {
    end.borrow().as_ref().expect("it began").say(said);
}

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

fn tagged(tags: &[&str]) -> EntryOptions {
    EntryOptions::new().tags(tags.iter().copied())
}

#[test]
fn a_tag_takes_all_that_bear_it_and_nothing_else() {
    let (cache, _) = sut::<false>();
    cache.insert_with("a", 1, tagged(&["red", "round", "red"]));
    cache.insert_with("b", 2, tagged(&["red"]));
    cache.insert_with("c", 3, tagged(&["round"]));
    assert_eq!((cache.remove_by_tag("red"), cache.remove_by_tag("red"), cache.remove_by_tag("none")), (2, 0, 0));
    assert_eq!(cache.iter().collect::<Vec<_>>(), [("c", 3)]);
    cache.insert("c", 4);
    assert_eq!((cache.remove_by_tag("round"), cache.get("c")), (0, Some(4)), "the new value does not bear it");
}

#[test]
fn tags_come_from_the_cache_the_caller_and_the_loader() {
    let world = Virtual::<false>::default();
    let cache: Sut<false> = Cache::builder().tags(["all"]).runtime(world).build();
    for purge in ["all", "call", "load"] {
        let options = CallOptions::new().tags(["call"]);
        let load = |ctx: LoadCtx<u32>| async move {
            ctx.tag("load");
            Ok::<_, &str>(1)
        };
        let mut got = Box::pin(cache.try_get_with_options("key", options, load));
        assert!(poll_once(&mut got).is_some_and(|got| got.is_ok()));
        assert_eq!((cache.remove_by_tag(purge), cache.len()), (1, 0), "{purge}");
    }
}

#[test]
fn a_tag_beats_the_loads_that_turn_out_to_bear_it() {
    for soft in [false, true] {
        let (cache, world) = sut::<false>();
        let (mut red, first) = load(&cache, &world, "red", &["red"]);
        let (mut blue, second) = load(&cache, &world, "blue", &["blue"]);
        match soft {
            true => cache.expire_by_tag("red"),
            false => cache.remove_by_tag("red"),
        };
        let (mut late_red, third) = load(&cache, &world, "red", &["red"]);
        let (mut late_blue, fourth) = load(&cache, &world, "blue", &["blue"]);
        say(&first, Ok(1));
        say(&second, Ok(2));
        let got = [&mut red, &mut blue, &mut late_blue].map(|waiting| end(&world, waiting).ok());
        assert_eq!(got, [Some(1), Some(2), Some(2)], "a load that does not bear it has room for all");
        assert!(fourth.borrow().is_none(), "and is the only one");
        assert!(poll_once(&mut late_red).is_none(), "who asked after the purge loads anew");
        assert_eq!((cache.get("red"), cache.get("blue")), (None, Some(2)));
        say(&third, Ok(3));
        assert_eq!((end(&world, &mut late_red).ok(), cache.get("red")), (Some(3), Some(3)));
        let stats = cache.stats();
        assert_eq!((stats.misses, stats.coalesced, stats.loads), (4, 1, 3), "one of the misses loaded nothing");
    }
}

#[test]
fn expiring_a_tag_begins_the_stale_windows() {
    let world = Virtual::<false>::default();
    world.0.spawns.set(true);
    let cache: Sut<false> = Cache::builder()
        .time_to_live(Ttl::Millis(100))
        .stale_while_revalidate(Ttl::Millis(10))
        .runtime(world.clone())
        .build();
    cache.insert_with("a", 1, tagged(&["red"]));
    cache.insert("b", 2);
    assert_eq!((cache.expire_by_tag("red"), cache.get("a"), cache.get("b")), (1, None, Some(2)));
    let mut stale = Box::pin(cache.get_with("a", |_| async { 5 }));
    assert_eq!(poll_once(&mut stale).and_then(Result::ok), Some(1));
    world.0.run_tasks();
    assert_eq!(cache.get("a"), Some(5));
}

#[test]
fn parts_share_the_bounds_and_have_keys_defaults_and_figures_of_their_own() {
    let world = Virtual::<false>::default();
    let cache: Sut<false> = Cache::builder().max_entries(3).runtime(world).build();
    let posts = cache.namespace("posts", PolicyPatch::new().ttl(Ttl::Millis(50))).expect("room");
    let users = cache.namespace("users", PolicyPatch::new()).expect("room");
    cache.insert("key", 1);
    posts.insert("key", 2);
    users.insert("key", 3);
    assert_eq!((cache.get("key"), posts.get("key"), users.get("key")), (Some(1), Some(2), Some(3)));
    assert_eq!((cache.remaining_ttl("key"), posts.remaining_ttl("key")), (Some(Ttl::Forever), Some(Ttl::Millis(50))));
    assert_eq!((posts.get("none"), posts.stats().hits, posts.stats().misses), (None, 1, 1));
    assert_eq!((cache.stats().hits, cache.len(), posts.len()), (3, 3, 1));
    users.insert("other", 4);
    assert_eq!((cache.get("key"), cache.len(), users.len()), (None, 3, 2), "the oldest of all made room");
    let same = cache.namespace("posts", PolicyPatch::new()).expect("known");
    assert_eq!((same.get("key"), same.stats().hits), (Some(2), 2));
    assert_eq!(posts.iter().collect::<Vec<_>>(), [("key", 2)]);
}

#[test]
fn one_scopes_entries_are_not_found_by_another() {
    let (cache, world) = sut::<false>();
    let (one, two) = (cache.scope("user:1"), cache.scope("user:2"));
    one.insert("key", 1);
    assert_eq!((two.get("key"), cache.get("key"), cache.scope("user:1").get("key")), (None, None, Some(1)));
    let (mut a, first) = load(&one, &world, "cold", &[]);
    let (mut b, second) = load(&two, &world, "cold", &[]);
    say(&first, Ok(1));
    say(&second, Ok(2));
    assert_eq!((end(&world, &mut a).ok(), end(&world, &mut b).ok()), (Some(1), Some(2)));
    // Names that would run together if they were only joined.
    cache.scope("a").scope("b").insert("key", 3);
    let others = [cache.scope("ab"), cache.scope("a").scope("b1:c"), cache.scope("a1:b"), cache.scope("a1:sb")];
    assert!(others.iter().all(|other| other.get("key").is_none()));
    let space = cache.namespace("a", PolicyPatch::new()).expect("room");
    assert_eq!(space.scope("b").get("key"), None, "a namespace is no scope");
}

#[test]
fn clearing_a_part_leaves_the_others_and_beats_its_loads() {
    let (cache, world) = sut::<false>();
    let posts = cache.namespace("posts", PolicyPatch::new()).expect("room");
    let mine = posts.scope("me");
    [&cache, &posts, &mine].iter().for_each(|part| assert!(part.insert("key", 1)));
    let (mut before, first) = load(&mine, &world, "cold", &[]);
    let (mut outside, second) = load(&cache, &world, "cold", &[]);
    posts.clear();
    let (mut after, third) = load(&mine, &world, "cold", &[]);
    for (end, value) in [(&first, 1), (&second, 2), (&third, 3)] {
        say(end, Ok(value));
    }
    let got = [&mut before, &mut outside, &mut after].map(|waiting| end(&world, waiting).ok());
    assert_eq!(got, [Some(1), Some(2), Some(3)]);
    assert_eq!([&cache, &posts, &mine].map(|part| part.get("key")), [Some(1), None, None]);
    assert_eq!([&cache, &posts, &mine].map(|part| part.get("cold")), [Some(2), None, Some(3)]);
    cache.clear();
    assert_eq!((cache.len(), mine.get("cold")), (0, None));
}

#[test]
fn a_tag_purge_reaches_down_and_not_up() {
    let (cache, _) = sut::<false>();
    let posts = cache.namespace("posts", PolicyPatch::new()).expect("room");
    let mine = posts.scope("me");
    let parts = [&cache, &posts, &mine];
    for (purger, left) in [(&mine, 2), (&posts, 1), (&cache, 0)] {
        cache.clear();
        parts.iter().for_each(|part| assert!(part.insert_with("key", 1, tagged(&["red"]))));
        assert_eq!((purger.remove_by_tag("red"), cache.len()), (3 - left, left));
    }
    // A root's tag that looks like a part's.
    cache.insert_with("key", 1, tagged(&["\0n5:poststred"]));
    assert_eq!((posts.remove_by_tag("red"), cache.remove_by_tag("\0n5:poststred")), (0, 1));
}

#[test]
fn figures_are_kept_for_255_namespaces_and_scopes_are_without_number() {
    let (cache, _) = sut::<false>();
    let names: Vec<_> = (0..255).map(|n| n.to_string()).collect();
    assert!(names.iter().all(|name| cache.namespace(name, PolicyPatch::new()).is_ok()));
    let error = cache.namespace("one more", PolicyPatch::new()).expect_err("too many");
    assert_eq!((error.option.as_str(), error.given.as_str()), ("namespace", "one more"));
    assert!(cache.namespace("17", PolicyPatch::new()).is_ok(), "a known one is no new one");
    assert!((0..10_000).all(|n| cache.scope(&n.to_string()).insert("key", n)));
}

#[test]
fn a_page_of_figures_shows_each_namespace_apart_under_its_name() {
    let (cache, _) = sut::<false>();
    let posts = cache.namespace("posts", PolicyPatch::new()).expect("a first one");
    let drafts = posts.namespace("drafts", PolicyPatch::new()).expect("a second one");
    cache.insert("key", 1);
    posts.insert("key", 2);
    assert_eq!((cache.get("key"), posts.get("key"), drafts.get("key")), (Some(1), Some(2), None));
    let page = cache.prometheus("mine");
    for line in [
        r#"nearcache_requests_total{cache="mine",layer="memory",result="hit"} 1"#,
        r#"nearcache_requests_total{cache="mine",layer="memory",namespace="posts",result="hit"} 1"#,
        r#"nearcache_requests_total{cache="mine",layer="memory",namespace="posts/drafts",result="miss"} 1"#,
        r#"nearcache_entries{cache="mine",layer="memory",namespace="posts"} 1"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
    let mut lately = Window::new(1_000);
    let wanted = Thresholds::default().min_hit_rate(0.9).expect("a rate").min_samples(1);
    assert!(posts.health(&wanted, &mut lately).ok);
    assert!(!cache.health(&wanted, &mut Window::new(1_000)).ok, "two hits of three");
}
