//! What is removed, expired, purged or written reaches the tiers, and nothing late brings it back.

use nearcache::options::PolicyPatch;
use nearcache::tiers::{Codec, MemoryTier};
use nearcache::{CallOptions, EntryOptions, LoadCtx, LoadError};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{poll_once, promised};
use crate::support::{Edge, Isolate, Mood, Moody, millis, secs};

fn tagged(edge: &Edge, isolate: &Isolate, key: &str, value: &str) -> String {
    let (value, options) = (value.to_owned(), CallOptions::new().tags(["t"]));
    let load = async move |_| Ok::<_, LoadError>(value);
    let got = edge.world.run(isolate.try_get_with_details(key.to_owned(), options, load)).unwrap();
    edge.world.settle();
    got.value
}

#[test]
fn each_way_to_purge_reaches_tiers_also_from_an_isolate_that_does_not_hold_the_key() {
    type Purge = fn(&Edge, &Isolate);
    let ways: [(&str, Purge); 7] = [
        ("remove", |_, isolate| _ = isolate.remove("k")),
        ("expire", |_, isolate| _ = isolate.expire("k")),
        ("remove_by_tag", |_, isolate| _ = isolate.remove_by_tag("t")),
        ("expire_by_tag", |_, isolate| _ = isolate.expire_by_tag("t")),
        ("clear", |_, isolate| isolate.clear()),
        ("update", |edge, isolate| {
            _ = edge.world.run(isolate.update("k".into(), async |_| Ok::<_, LoadError>("new".into())));
        }),
        ("a failed update", |edge, isolate| {
            _ = edge.world.run(isolate.update("k".into(), async |_| Err("lost")));
        }),
    ];
    for (what, purge) in ways {
        let (edge, store) = (Edge::new(), MemoryTier::new());
        let [a, b, c] = [(); 3].map(|()| edge.isolate(&store));
        tagged(&edge, &a, "k", "old");
        edge.world.advance(1);
        purge(&edge, &b);
        edge.world.settle();
        edge.world.advance(1);
        assert_eq!(edge.get(&c, "k", "new"), "new", "{what}");
    }
}

#[test]
fn a_load_that_began_before_a_remove_brings_nothing_back_here_or_elsewhere() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let [a, b, c] = [(); 3].map(|()| edge.isolate(&store));
    let (bring, brought) = promised();
    let slow = a.try_get_with("k".into(), async |_| Ok::<_, LoadError>(brought.await));
    let others = async {
        next_turns().await;
        b.remove("k");
        next_turns().await;
        edge.world.advance(1);
        bring.say("old".to_owned());
    };
    let (got, ()) = edge.world.run(async { futures::join!(slow, others) });
    assert_eq!(got.unwrap(), "old", "who asked before");
    edge.world.settle();
    edge.world.advance(1);
    assert_eq!(edge.get(&c, "k", "new"), "new");
}

/// So many that all others have come to wait for something.
async fn next_turns() {
    for _ in 0..10 {
        let mut is_next = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut is_next, true) {
                return std::task::Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
    }
}

#[test]
fn what_was_inserted_is_found_elsewhere_and_no_late_load_takes_its_place() {
    for apart in [0, 1] {
        what_was_inserted_stays(apart);
    }
}

/// The load began so many milliseconds before.
fn what_was_inserted_stays(apart: u64) {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let [a, b] = [(); 2].map(|()| edge.isolate(&store));
    let (bring, brought) = promised();
    let slow = a.try_get_with("k".into(), async |_| Ok::<_, LoadError>(brought.await));
    let insert = async {
        next_turns().await;
        edge.world.advance(apart);
        a.insert_with("k".into(), "inserted".into(), EntryOptions::new().tags(["t"]));
        bring.say("loaded".to_owned());
    };
    let (got, ()) = edge.world.run(async { futures::join!(slow, insert) });
    assert_eq!(got.unwrap(), "loaded");
    edge.world.settle();
    assert_eq!(edge.get(&b, "k", "loaded anew"), "inserted");
    edge.world.advance(1);
    a.remove_by_tag("t");
    edge.world.settle();
    edge.world.advance(1);
    assert_eq!(edge.get(&edge.isolate(&store), "k", "new"), "new");
}

#[test]
fn a_promotion_that_comes_late_brings_nothing_back() {
    let edge = Edge::new();
    let lower = MemoryTier::new();
    edge.get(&edge.isolate(&lower), "k", "old");
    // The upper one is so slow that the copy arrives after the purge.
    let upper = Moody::new(&edge.world);
    let over_both = || {
        let tiers = edge.tiers().tier(upper.clone()).tier(lower.clone());
        tiers.over(edge.builder().build()).unwrap()
    };
    let (a, b, c): (Isolate, Isolate, Isolate) = (over_both(), over_both(), over_both());
    let copied = a.try_get_with("k".into(), async |_| Err("not asked"));
    upper.mood.set(Mood::Slow(100));
    let purge = async {
        next_turns().await;
        edge.world.advance(100);
        next_turns().await;
        edge.world.advance(1);
        upper.mood.set(Mood::Well);
        b.remove("k");
    };
    let (got, ()) = edge.world.run(async { futures::join!(copied, purge) });
    assert_eq!(got.unwrap(), "old");
    edge.world.settle();
    edge.world.advance(200);
    edge.world.settle();
    assert_eq!(a.tier_stats()[0].figures.promotions, 1);
    assert_eq!(edge.get(&c, "k", "new"), "new");
}

#[test]
fn namespaces_and_scopes_are_apart_in_tiers_too_and_are_purged_from_around_them() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let [a, b, c] = [(); 3].map(|()| edge.isolate(&store));
    let part = |isolate: &Isolate| isolate.namespace("shop", PolicyPatch::new()).unwrap().scope("user:1");
    tagged(&edge, &part(&a), "k", "inner");
    tagged(&edge, &a, "k", "outer");
    let other = b.namespace("shop", PolicyPatch::new()).unwrap().scope("user:2");
    assert_eq!(edge.get(&other, "k", "other"), "other");
    assert_eq!(edge.get(&part(&b), "k", "loaded"), "inner");
    edge.world.advance(1);
    b.scope("user:1").remove_by_tag("t");
    edge.world.settle();
    edge.world.advance(1);
    assert_eq!(edge.get(&part(&c), "k", "new"), "new");
    assert_eq!(edge.get(&c, "k", "new"), "outer");
    let read = |isolate: &Isolate| isolate.tier_stats()[0].figures.asked;
    assert_eq!((read(&c), read(&part(&c))), (2, 1), "figures by namespace");
}

#[test]
fn a_namespace_uses_the_tiers_that_it_is_given() {
    let edge = Edge::new();
    let (near, far) = (MemoryTier::new().named("near"), MemoryTier::new().named("far"));
    let isolate = edge.tiers().tier(near.clone()).tier(far.clone()).over(edge.builder().build()).unwrap();
    let shop: Isolate = isolate.namespace("shop", PolicyPatch::new()).unwrap();
    shop.restrict(&["far"]).unwrap();
    edge.get(&shop, "k", "v");
    assert_eq!((near.len(), far.len()), (0, 1));
    let refused = shop.restrict(&["fra"]).unwrap_err();
    assert_eq!((refused.option.as_str(), refused.given.as_str()), ("tiers", "fra"));
}

#[test]
fn where_nothing_can_be_spawned_a_load_writes_before_it_ends_and_flush_does_what_is_owed() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    edge.world.spawns.set(false);
    let [a, b, c] = [(); 3].map(|()| edge.isolate(&store));
    edge.get(&a, "k", "old");
    assert_eq!(store.len(), 1, "written by the load");
    edge.world.advance(1);
    b.remove("k");
    assert_eq!(edge.get(&b, "other", "v"), "v", "the load tells of the purge");
    edge.world.advance(1);
    assert_eq!(edge.get(&c, "k", "new"), "new");
    c.insert("inserted".into(), "v".into());
    edge.world.run(c.flush());
    assert_eq!(edge.get(&a, "inserted", "loaded"), "v");
}

#[test]
fn what_a_handle_of_the_memory_removes_is_in_the_tiers_still() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let a = edge.isolate(&store);
    edge.get(&a, "k", "v");
    a.memory().remove("k");
    assert_eq!(edge.get(&a, "k", "loaded"), "v");
}

#[test]
fn what_is_computed_reaches_tiers_and_what_was_changed_meanwhile_wins_there_too() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let [a, b, c] = [(); 3].map(|()| edge.isolate(&store));
    let compute = |isolate: &Isolate, next: Option<&str>| {
        let next = next.map(str::to_owned);
        edge.world.run(isolate.compute("k".into(), async |_| Ok::<_, LoadError>(next))).unwrap();
        edge.world.settle();
        edge.world.advance(1);
    };
    compute(&a, Some("one"));
    assert_eq!(edge.get(&b, "k", "loaded"), "one");
    compute(&a, None);
    assert_eq!(edge.get(&c, "k", "loaded"), "loaded");
    // Something is inserted while it is computed.
    let computing = a.compute("k".into(), async |_| {
        next_turns().await;
        a.insert("k".into(), "inserted".into());
        Ok::<_, LoadError>(Some("computed".to_owned()))
    });
    assert_eq!(edge.world.run(computing).unwrap().as_deref(), Some("computed"));
    edge.world.settle();
    assert_eq!(edge.get(&edge.isolate(&store), "k", "loaded"), "inserted");
}

#[test]
fn what_is_computed_is_found_below_after_a_restart_with_its_lifetime_and_tags() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let a = edge.isolate(&store);
    let options = CallOptions::new().ttl(secs(20)).tags(["t"]);
    edge.world.run(a.compute_with_options("k".to_owned(), options, async |_| computed("one"))).unwrap();
    edge.world.settle();
    edge.world.advance(5_000);
    let b = edge.isolate(&store);
    assert_eq!(edge.get(&b, "k", "loaded"), "one");
    assert_eq!(b.memory().remaining_ttl("k"), Some(millis(15_000).into()));
    b.remove_by_tag("t");
    edge.world.settle();
    edge.world.advance(1);
    assert_eq!(edge.get(&edge.isolate(&store), "k", "loaded"), "loaded");
}

#[test]
fn what_changes_a_key_wins_over_what_is_computed_meanwhile_in_memory_and_below() {
    type Change = fn(&Isolate);
    let ways: [(&str, Change, &str); 5] = [
        ("remove", |isolate| _ = isolate.remove("k"), "loaded"),
        ("expire", |isolate| _ = isolate.expire("k"), "loaded"),
        ("remove_by_tag", |isolate| _ = isolate.remove_by_tag("t"), "loaded"),
        ("clear", |isolate| isolate.clear(), "loaded"),
        ("insert", |isolate| _ = isolate.insert("k".to_owned(), "inserted".to_owned()), "inserted"),
    ];
    for (what, change, wins) in ways {
        for next in [Some("computed".to_owned()), None] {
            let (edge, store) = (Edge::new(), MemoryTier::new());
            let a = edge.isolate(&store);
            tagged(&edge, &a, "k", "old");
            let options = CallOptions::new().tags(["t"]);
            let computing = a.compute_with_options("k".to_owned(), options, async |_| {
                edge.world.advance(1);
                change(&a);
                edge.world.advance(1);
                Ok::<_, LoadError>(next.clone())
            });
            assert_eq!(edge.world.run(computing).unwrap(), next);
            edge.world.settle();
            edge.world.advance(1);
            assert_eq!(edge.get(&edge.isolate(&store), "k", "loaded"), wins, "below, after {what} and {next:?}");
            assert_eq!(edge.get(&a, "k", "loaded"), wins, "after {what} and {next:?}");
        }
    }
}

#[test]
fn a_computation_that_fails_or_is_dropped_changes_nothing_below() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let a = edge.isolate(&store);
    edge.get(&a, "k", "old");
    let writes = |isolate: &Isolate| isolate.tier_stats()[0].figures.writes;
    let before = writes(&a);
    edge.world.run(a.compute("k".to_owned(), async |_| Err::<Option<String>, _>("thrown"))).unwrap_err();
    let mut dropped = Box::pin(a.compute("k".to_owned(), async |_| {
        next_turns().await;
        computed("late")
    }));
    assert!(poll_once(&mut dropped).is_none());
    drop(dropped);
    edge.world.settle();
    edge.world.advance(1);
    assert_eq!(writes(&a), before);
    assert_eq!((a.get("k").as_deref(), &*edge.get(&edge.isolate(&store), "k", "loaded")), (Some("old"), "old"));
}

#[test]
fn what_is_computed_and_not_stored_leaves_no_older_value_here_or_below() {
    for options in [CallOptions::new().ttl(secs(0)), CallOptions::new().weight(11)] {
        let (edge, store) = (Edge::new(), MemoryTier::new());
        let memory = edge.builder().max_bytes(100).max_entry_bytes(10).weigher(|_: &String, _: &String| 1);
        let a: Isolate = edge.tiers().tier(store.clone()).over(memory.build()).unwrap();
        edge.get(&a, "k", "old");
        edge.world.run(a.compute_with_options("k".to_owned(), options, async |_| computed("new"))).unwrap();
        edge.world.settle();
        edge.world.advance(1);
        assert_eq!(a.get("k"), None);
        assert_eq!(edge.get(&edge.isolate(&store), "k", "loaded"), "loaded");
    }
}

#[test]
fn what_is_inserted_and_no_tier_may_have_leaves_no_older_value_there() {
    // The symptom: the value that it replaced came back from below.
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let isolate = || {
        let tiers = edge.tiers().tier_with(store.clone(), |options| options.max_value_bytes(200));
        tiers.codec(NoBad).over(edge.builder().build()).unwrap()
    };
    let other = |value: &str| edge.get(&isolate(), "k", value);
    let a: Isolate = isolate();
    let (plain, large) = (EntryOptions::new(), "x".repeat(200));
    for (value, options) in [("over", plain.clone().ttl(secs(0))), (&large, plain.clone()), ("bad", plain)] {
        a.insert("k".to_owned(), "old".to_owned());
        edge.world.settle();
        edge.world.advance(1);
        assert_eq!(other("loaded"), "old");
        a.insert_with("k".to_owned(), value.to_owned(), options);
        edge.world.settle();
        edge.world.advance(1);
        assert_eq!(other("loaded"), "loaded", "{value}");
        edge.world.advance(1);
    }
    assert_eq!(a.get("k").as_deref(), Some("bad"), "in memory it is");
}

#[test]
fn what_is_loaded_by_force_and_over_at_once_leaves_no_older_value_below() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let a = edge.isolate(&store);
    assert_eq!(edge.get(&a, "k", "old"), "old");
    edge.world.advance(1);
    let over = async |ctx: LoadCtx<String>| {
        ctx.set_ttl(secs(0));
        Ok::<_, LoadError>("over".to_owned())
    };
    let forced = a.try_get_with_details("k".to_owned(), CallOptions::new().force_fresh(), over);
    assert_eq!(edge.world.run(forced).unwrap().value, "over");
    edge.world.settle();
    edge.world.advance(1);
    assert_eq!(edge.get(&a, "k", "loaded"), "loaded");
}

#[test]
fn what_can_t_be_weighed_changes_nothing_below_either() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let isolate = || -> Isolate { edge.tiers().tier(store.clone()).over(edge.builder().max_bytes(9).build()).unwrap() };
    let a = isolate();
    assert!(a.insert_with("k".to_owned(), "old".to_owned(), EntryOptions::new().weight(1)));
    assert!(!a.insert("k".to_owned(), "of unknown weight".to_owned()));
    edge.world.settle();
    edge.world.advance(1);
    assert_eq!((a.get("k").as_deref(), &*edge.get(&isolate(), "k", "loaded")), (Some("old"), "old"));
}

/// Text that is not bad.
struct NoBad;

impl Codec<String> for NoBad {
    fn id(&self) -> u8 {
        200
    }

    fn encode(&self, value: &String) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        if value == "bad" { Err("it is bad".into()) } else { Ok(value.as_bytes().to_vec()) }
    }

    fn decode(&self, _: u8, bytes: &[u8]) -> Result<String, Box<dyn std::error::Error>> {
        Ok(String::from_utf8(bytes.to_vec())?)
    }
}

fn computed(value: &str) -> Result<Option<String>, LoadError> {
    Ok(Some(value.to_owned()))
}
