//! Keys and values of every kind, lifetimes, and what a loader says.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures::future::join;
use nearcache::tiers::{Bytes, Codec, Json, MemoryTier, MessagePack, Tiered};
use nearcache::{CallOptions, EntryOptions, LoadCtx, LoadError, Status, Ttl};
use serde::{Deserialize, Serialize};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{Virtual, poll_once};
use crate::support::{Edge, Isolate, Mood, Moody, millis, secs};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct User {
    name: String,
    age: Option<u8>,
    tags: Vec<(u32, f64)>,
}

fn user() -> User {
    User { name: "ä#".into(), age: None, tags: vec![(7, 0.5)] }
}

#[test]
fn serdes_codecs_read_each_other() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let tiers = || edge.tiers().tier(store.clone());
    let json = || tiers().over(edge.builder().build()).unwrap();
    let pack = || tiers().codec(MessagePack).over(edge.builder().build()).unwrap();
    let a: Tiered<u32, User, _> = json();
    let b: Tiered<u32, User, _> = pack();
    let c: Tiered<u32, User, _> = json();
    let load = async |_| Ok::<_, LoadError>(user());
    let none = async |_| Err::<User, _>("not asked");
    edge.world.run(a.try_get_with(1, load)).unwrap();
    edge.world.run(b.try_get_with(2, load)).unwrap();
    edge.world.settle();
    assert_eq!(edge.world.run(b.try_get_with(1, none)).unwrap(), user());
    assert_eq!(edge.world.run(c.try_get_with(2, none)).unwrap(), user());
}

#[test]
fn what_has_bytes_behind_its_value_is_not_read() {
    for codec in [&Json as &dyn Codec<User>, &MessagePack] {
        let mut bytes = codec.encode(&user()).unwrap();
        assert_eq!(codec.decode(codec.id(), &bytes).unwrap(), user());
        bytes.push(0xc0);
        assert!(codec.decode(codec.id(), &bytes).is_err(), "codec {}", codec.id());
    }
}

#[test]
fn bytes_are_kept_as_they_are_and_another_codecs_are_loaded_anew() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let over = || -> Tiered<String, Rc<[u8]>, _> {
        edge.tiers().tier(store.clone()).codec(Bytes).over(edge.builder().build()).unwrap()
    };
    let (a, b) = (over(), over());
    let bytes: Rc<[u8]> = (0..=255).collect();
    let load = |bytes: &Rc<[u8]>| {
        let bytes = bytes.clone();
        async move |_| Ok::<_, LoadError>(bytes)
    };
    edge.world.run(a.try_get_with("k".into(), load(&bytes))).unwrap();
    edge.world.settle();
    assert_eq!(edge.world.run(b.try_get_with("k".into(), load(&Rc::default()))).unwrap(), bytes);
    assert_eq!(edge.get(&edge.isolate(&store), "k", "loaded"), "loaded");
}

#[test]
fn keys_are_told_apart_whatever_they_are() {
    #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
    #[serde(untagged)]
    enum Key {
        Text(String),
        Number(i64),
        Is(bool),
        None,
        Pair(u8, String),
    }
    use Key::{Is, None as Nothing, Number, Pair, Text};
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let over = || edge.tiers().tier(store.clone()).over(edge.builder().build()).unwrap();
    let (a, b): (Tiered<Key, usize, _>, Tiered<Key, usize, _>) = (over(), over());
    let text = |text: &str| Text(text.to_owned());
    let long = text(&"x".repeat(300));
    let keys =
        [text("1"), Number(1), text("#n1"), Is(true), text("true"), Nothing, text("null"), Pair(1, "a".into()), long];
    for (at, key) in keys.iter().enumerate() {
        edge.world.run(a.try_get_with(key.clone(), async move |_| Ok::<_, LoadError>(at))).unwrap();
    }
    edge.world.settle();
    for (at, key) in keys.iter().enumerate() {
        let got = edge.world.run(b.try_get_with(key.clone(), async |_| Err("not asked")));
        assert_eq!(got.unwrap(), at, "{key:?}");
    }
    assert_eq!(store.len(), keys.len());
}

#[test]
fn what_no_codec_can_write_is_handed_out_and_told_to_the_log() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    type Odd = std::collections::BTreeMap<(u8, u8), u8>;
    let isolate: Tiered<String, Odd, _> = edge.tiers().tier(store.clone()).over(edge.builder().build()).unwrap();
    let odd = Odd::from([((1, 2), 3)]);
    let load = {
        let odd = odd.clone();
        async move |_| Ok::<_, LoadError>(odd)
    };
    assert_eq!(edge.world.run(isolate.try_get_with("k".into(), load)).unwrap(), odd);
    assert_eq!((store.len(), edge.lines.borrow().len()), (0, 1), "{:?}", edge.lines);
}

#[test]
fn signed_envelopes_are_believed_with_a_secret_that_was_rotated_and_others_are_not() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let with = |secrets: &[&str]| -> Isolate {
        let tiers = edge.tiers().tier(store.clone());
        let tiers = secrets.iter().fold(tiers, |tiers, secret| tiers.secret(secret.as_bytes()));
        tiers.over(edge.builder().build()).unwrap()
    };
    let (old, fresh) = ("an old secret of ours", "a new secret of ours");
    edge.get(&with(&[old]), "k", "signed");
    assert_eq!(edge.get(&with(&[fresh, old]), "k", "?"), "signed");
    let strict = with(&[fresh]);
    assert_eq!(edge.get(&strict, "k", "loaded"), "loaded");
    assert_eq!(strict.tier_stats()[0].figures.refused.get("unknown signer"), Some(&1));
    assert_eq!(edge.lines.borrow().iter().filter(|line| line.contains("unknown signer")).count(), 1);
    assert_eq!(edge.get(&with(&[]), "k", "anew"), "anew", "who has no secret can't tell whose it is");
}

#[test]
fn a_stale_value_from_below_answers_at_once_and_is_refreshed_by_the_loader() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let over = || -> Isolate {
        let cache = edge.builder().stale_while_revalidate(secs(60)).build();
        edge.tiers().tier(store.clone()).over(cache).unwrap()
    };
    let (a, b) = (over(), over());
    edge.get(&a, "k", "old");
    edge.world.advance(70_000);
    assert_eq!(edge.get(&b, "k", "new"), "old", "by the first, which stores it stale");
    assert_eq!(edge.get(&b, "k", "new"), "old", "by the second, which refreshes it");
    assert_eq!(edge.get(&b, "k", "newer"), "new");
    assert_eq!(edge.get(&over(), "k", "newest"), "new", "for others too");
}

#[test]
fn a_value_is_refreshed_ahead_of_its_end_by_its_loader_or_by_what_another_has_loaded_since() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let over = || -> Isolate {
        let cache = edge.builder().refresh_ahead(1.0).random(|| 0.5).build();
        edge.tiers().tier(store.clone()).over(cache).unwrap()
    };
    let (a, b) = (over(), over());
    let load = |isolate: &Isolate, value: &'static str| {
        let world = edge.world.clone();
        let slow = async move |_| {
            world.advance(1_000);
            Ok::<_, LoadError>(value.to_owned())
        };
        let options = CallOptions::new().force_fresh();
        edge.world.run(isolate.try_get_with_details("k".into(), options, slow)).unwrap();
        edge.world.settle();
        edge.world.advance(1);
    };
    load(&a, "a's");
    load(&b, "b's");
    // So near its end a value is refreshed.
    edge.world.advance(58_900);
    assert_eq!(edge.get(&a, "k", "not asked"), "a's");
    assert_eq!(edge.get(&a, "k", "not asked"), "b's");
    edge.world.advance(1_000);
    assert_eq!(edge.get(&b, "k", "new"), "b's");
    assert_eq!(edge.get(&b, "k", "not asked"), "new");
}

#[test]
fn what_came_together_does_not_go_together_below_either() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let draw = Rc::new(Cell::new(0.25));
    let over = || -> Isolate {
        let draw = draw.clone();
        let cache = edge.builder().jitter(0.4).random(move || draw.get()).build();
        edge.tiers().tier(store.clone()).over(cache).unwrap()
    };
    let (a, b) = (over(), over());
    a.insert("set".into(), "1".into());
    draw.set(0.75);
    edge.get(&a, "loaded", "1");
    for (key, left) in [("set", 42_000), ("loaded", 54_000)] {
        assert_eq!(edge.get(&b, key, "not asked"), "1");
        assert_eq!(b.memory().remaining_ttl(key), Some(Ttl::Millis(left)), "{key}");
    }
}

#[test]
fn a_stale_value_from_below_stands_in_for_a_load_that_fails() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let over = || -> Isolate {
        let cache = edge.builder().stale_if_error(secs(300)).build();
        edge.tiers().tier(store.clone()).over(cache).unwrap()
    };
    let (a, b, c) = (over(), over(), over());
    edge.get(&a, "k", "old");
    edge.world.advance(70_000);
    let fails = |isolate: &Isolate| edge.world.run(isolate.try_get_with("k".into(), async |_| Err("down")));
    assert_eq!(fails(&b).unwrap(), "old");
    edge.world.advance(300_000);
    assert_eq!(fails(&c).unwrap_err().to_string(), "the loader failed: down");
}

#[test]
fn a_stale_value_from_below_stands_in_for_no_load_that_fails_when_its_time_is_over() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let over = || -> Isolate {
        let cache = edge.builder().stale_if_error(secs(10)).build();
        edge.tiers().tier(store.clone()).over(cache).unwrap()
    };
    let (a, b) = (over(), over());
    edge.get(&a, "k", "old");
    edge.world.advance(65_000);
    let world = edge.world.clone();
    let down = async move |_| {
        world.advance(6_000);
        Err::<String, _>("down")
    };
    let got = edge.world.run(b.try_get_with("k".into(), down));
    assert_eq!(got.unwrap_err().to_string(), "the loader failed: down");
}

#[test]
fn an_origin_that_is_down_is_seen_and_left_alone() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let cache = edge.builder().stale_if_error(secs(300)).error_backoff(secs(10)).build();
    let cache: Isolate = edge.tiers().tier(store).over(cache).unwrap();
    edge.get(&cache, "k", "old");
    edge.world.advance(70_000);
    let calls = Rc::new(Cell::new(0));
    for _ in 0..2 {
        let calls = calls.clone();
        let down = async move |_| {
            calls.set(calls.get() + 1);
            Err::<String, _>("down")
        };
        assert_eq!(edge.world.run(cache.try_get_with("k".into(), down)).unwrap(), "old");
    }
    let stats = cache.stats();
    assert_eq!((calls.get(), stats.load_failures, stats.rescues, stats.stale_hits), (1, 1, 1, 1));
}

#[test]
fn a_batch_reads_each_tier_at_once_and_loads_what_all_tiers_together_lack() {
    let edge = Edge::new();
    let store = Moody::new(&edge.world);
    let over = || -> Tiered<u32, String, Virtual<false>> {
        edge.tiers().tier(store.clone()).over(edge.builder().build()).unwrap()
    };
    let fill = over();
    edge.world.run(fill.try_get_with(1, async |_| Ok::<_, LoadError>("one".to_owned()))).unwrap();
    edge.world.settle();
    let calls = Rc::<RefCell<Vec<Vec<u32>>>>::default();
    let users = over().batched({
        let calls = calls.clone();
        move |keys: Vec<u32>, _| {
            calls.borrow_mut().push(keys.clone());
            async move {
                let load = |key| if key == 3 { Err(format!("no {key}")) } else { Ok(format!("loaded {key}")) };
                keys.into_iter().map(load).collect()
            }
        }
    });
    store.reads.take();
    let got = edge.world.run(users.get_many(1..=1_000));
    let one = |at: usize| got[at].as_ref().map_err(ToString::to_string).cloned();
    assert_eq!((one(0), one(1)), (Ok("one".into()), Ok("loaded 2".into())));
    assert_eq!(one(2), Err("the loader failed: no 3".into()));
    assert_eq!(calls.borrow().iter().map(Vec::len).collect::<Vec<_>>(), [999], "calls of the loader");
    // Values, and the marks of the one that was found.
    assert_eq!(store.reads.take(), [1_000, 2], "reads of the tier");
}

#[test]
fn what_a_loader_says_holds_below_too() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let (a, b) = (edge.isolate(&store), edge.isolate(&store));
    let load = |key: &str, isolate: &Isolate, say: fn(&LoadCtx<String>)| {
        let load = async move |ctx: LoadCtx<String>| {
            say(&ctx);
            Ok::<_, LoadError>("v".to_owned())
        };
        edge.world.run(isolate.try_get_with(key.into(), load)).unwrap();
        edge.world.settle();
    };
    load("skipped", &a, |ctx| ctx.skip());
    load("zero", &a, |ctx| ctx.set_ttl(Ttl::ZERO));
    assert_eq!(store.len(), 0);
    load("k", &a, |ctx| {
        ctx.set_ttl(secs(5));
        ctx.tag("said");
        ctx.set_weight(77);
    });
    load("k", &b, |_| panic!("not asked"));
    let info = b.memory().info("k").unwrap();
    assert_eq!((info.ttl, info.weight, info.tags), (secs(5).into(), 77, vec!["said".to_owned()]));
    edge.world.advance(1);
    b.remove_by_tag("said");
    edge.world.settle();
    edge.world.advance(1);
    assert_eq!(edge.get(&edge.isolate(&store), "k", "new"), "new");
}

#[test]
fn what_a_batch_s_loader_says_is_said_of_a_load_whose_place_an_older_one_came_to_share() {
    let edge = Edge::new();
    let store = Moody::new(&edge.world);
    let (a, b) = (edge.isolate(&store), edge.isolate(&store));
    let users = a.batched(|keys: Vec<String>, ctxs: Vec<LoadCtx<String>>| async move {
        assert_eq!((keys.len(), ctxs.len()), (1, 1));
        ctxs[0].set_ttl(secs(5));
        ctxs[0].set_weight(77);
        ctxs[0].tag("said");
        ctxs[0].set_age(secs(1));
        keys.into_iter().map(Ok::<_, LoadError>).collect()
    });
    let users = users.batch_window(millis(100));
    store.mood.set(Mood::Slow(10));
    let mut older = Box::pin(users.get("k".to_owned()));
    assert!((0..2).all(|_| poll_once(&mut older).is_none()), "it reads what is below, a turn later");
    // The older load goes on for those who wait for it, and comes to the batch later than the newer.
    a.memory().remove("k");
    store.mood.set(Mood::Well);
    let got = edge.world.run(join(users.get("k".to_owned()), older));
    assert!(got.0.is_ok() && got.1.is_ok());
    edge.world.settle();
    assert_eq!(edge.get(&b, "k", "not asked"), "k");
    let [here, elsewhere] = [&a, &b].map(|isolate| isolate.memory().info("k").unwrap());
    assert_eq!((here.ttl, here.age), (secs(4).into(), secs(1)), "what is left of it");
    assert_eq!((elsewhere.ttl, elsewhere.age), (here.ttl, here.age));
    assert_eq!([here.weight, elsewhere.weight], [77, 77]);
    assert_eq!([here.tags, elsewhere.tags], [["said"], ["said"]]);
}

#[test]
fn what_has_lived_elsewhere_ends_below_when_it_ends_here() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let (a, b) = (edge.isolate(&store), edge.isolate(&store));
    let load = |ctx: LoadCtx<String>| async move {
        ctx.set_age(secs(45));
        Ok::<_, LoadError>("old".to_owned())
    };
    edge.world.run(a.try_get_with("k".to_owned(), load)).unwrap();
    edge.world.settle();
    assert_eq!(edge.get(&b, "k", "not asked"), "old");
    let [here, elsewhere] = [&a, &b].map(|isolate| isolate.memory().info("k").unwrap());
    assert_eq!((here.ttl, here.age), (secs(15).into(), secs(45)));
    assert_eq!((elsewhere.ttl, elsewhere.age), (here.ttl, here.age));
    edge.world.advance(15_000);
    assert_eq!(edge.get(&edge.isolate(&store), "k", "new"), "new");
}

#[test]
fn what_is_absent_lives_as_long_below_as_here() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let over = || -> Tiered<String, Option<u32>, Virtual<false>> {
        let cache = edge.builder().negative_ttl(secs(5)).build();
        edge.tiers().tier(store.clone()).over(cache).unwrap()
    };
    let get = |isolate: &Tiered<_, _, _>, value| {
        let load = async move |_| Ok::<_, LoadError>(value);
        let got = edge.world.run(isolate.try_get_with_details("k".to_owned(), CallOptions::new(), load)).unwrap();
        edge.world.settle();
        (got.value, got.ttl)
    };
    assert_eq!(get(&over(), None), (None, secs(5).into()));
    edge.world.advance(2_000);
    assert_eq!(get(&over(), Some(1)), (None, secs(3).into()));
    edge.world.advance(3_000);
    assert_eq!(get(&over(), Some(1)), (Some(1), secs(60).into()));
}

#[test]
fn force_fresh_asks_the_loader_alone_and_what_it_brings_is_shared() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let (a, b) = (edge.isolate(&store), edge.isolate(&store));
    edge.get(&a, "k", "old");
    edge.world.advance(1);
    let load = async |_| Ok::<_, LoadError>("new".to_owned());
    let got = edge.world.run(b.try_get_with_details("k".into(), CallOptions::new().force_fresh(), load)).unwrap();
    assert_eq!((got.value.as_str(), got.status), ("new", Status::Miss));
    edge.world.settle();
    assert_eq!(edge.get(&edge.isolate(&store), "k", "?"), "new");
}

#[test]
fn a_value_is_copied_into_the_tiers_above_the_one_it_was_found_in_with_their_own_ttl() {
    let edge = Edge::new();
    let (upper, lower) = (MemoryTier::new().named("upper"), MemoryTier::new().named("lower"));
    edge.get(&edge.isolate(&lower), "k", "v");
    let over = || -> Isolate {
        let tiers = edge.tiers().tier_with(upper.clone(), |options| options.ttl(secs(10))).tier(lower.clone());
        tiers.over(edge.builder().build()).unwrap()
    };
    let a = over();
    assert_eq!(edge.get(&a, "k", "?"), "v");
    let figures = a.tier_stats().remove(0).figures;
    assert_eq!((figures.misses, figures.promotions, figures.writes), (1, 1, 1));
    let b = over();
    assert_eq!(edge.get(&b, "k", "?"), "v");
    let stats = b.tier_stats();
    assert_eq!((stats[0].figures.hits, stats[1].figures.asked), (1, 0));
}

#[test]
fn what_is_inserted_with_a_life_of_its_own_has_it_elsewhere() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let (a, b) = (edge.isolate(&store), edge.isolate(&store));
    assert!(a.insert_with("k".into(), "v".into(), EntryOptions::new().ttl(secs(5)).tags(["t"]).weight(9)));
    edge.world.settle();
    edge.world.advance(1_000);
    assert_eq!(edge.get(&b, "k", "?"), "v");
    let info = b.memory().info("k").unwrap();
    assert_eq!((info.ttl, info.weight, info.tags), (secs(4).into(), 9, vec!["t".to_owned()]));
}

#[test]
fn values_are_compressed_where_that_is_asked_for_and_pays() {
    let (edge, store) = (Edge::new(), MemoryTier::new().max_bytes(1_000));
    let large = "ab".repeat(10_000);
    let a: Isolate = edge.tiers().tier(store.clone()).compress_from(100).over(edge.builder().build()).unwrap();
    edge.get(&a, "k", &large);
    edge.get(&a, "short", "v");
    let b = edge.isolate(&store);
    assert_eq!(edge.get(&b, "k", "?"), large);
    assert_eq!(edge.get(&b, "short", "?"), "v");
    // Without, it has no room there.
    edge.get(&b, "other", &large);
    assert_eq!(store.len(), 2);
}

#[test]
fn a_value_from_below_that_the_rule_refuses_is_loaded_anew_and_what_a_loader_brings_of_them_is_not_stored() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let strict = || -> Isolate {
        let cache = edge.builder().validate(|value: &String| value != "refused").build();
        edge.tiers().tier(store.clone()).over(cache).unwrap()
    };
    let plain = edge.isolate(&store);
    assert_eq!(edge.get(&plain, "below", "refused"), "refused");
    edge.world.settle();
    assert_eq!(edge.get(&strict(), "below", "anew"), "anew");
    let a = strict();
    let brought = edge.world.run(a.try_get_with("k".into(), async |_| Ok::<_, LoadError>("refused".to_owned())));
    assert!(matches!(brought, Err(LoadError::Invalid)));
    edge.world.settle();
    assert_eq!(edge.get(&edge.isolate(&store), "k", "another's"), "another's");
}

#[test]
fn what_has_an_idle_time_lives_no_longer_than_that_below() {
    let (edge, store) = (Edge::new(), MemoryTier::new());
    let isolate = || -> Isolate {
        let cache = edge.builder().time_to_live(secs(3_600)).time_to_idle(secs(60)).stale_if_error(secs(3_600)).build();
        edge.tiers().tier(store.clone()).over(cache).unwrap()
    };
    assert_eq!(edge.get(&isolate(), "k", "old"), "old");
    edge.world.settle();
    edge.world.advance(59_000);
    assert_eq!(edge.get(&isolate(), "k", "new"), "old");
    edge.world.advance(1_000);
    assert_eq!(edge.get(&isolate(), "k", "new"), "new");
}

#[test]
fn a_value_from_below_whose_weight_nobody_knows_is_loaded_anew_where_it_has_to_be_known() {
    // The symptom: gets failed for as long as it lay there, and their loader was not asked.
    let (edge, store) = (Edge::new(), MemoryTier::new());
    assert_eq!(edge.get(&edge.isolate(&store), "k", "unweighed"), "unweighed");
    let bounded: Isolate = edge.tiers().tier(store.clone()).over(edge.builder().max_bytes(9).build()).unwrap();
    let weighed = async |ctx: LoadCtx<String>| {
        ctx.set_weight(1);
        Ok::<_, LoadError>("weighed".to_owned())
    };
    assert_eq!(edge.world.run(bounded.try_get_with("k".to_owned(), weighed)).unwrap(), "weighed");
    edge.world.settle();
    assert_eq!((bounded.get("k").as_deref(), bounded.memory().weight()), (Some("weighed"), 1));
}
