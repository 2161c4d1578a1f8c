//! A store below the memories of two worlds, as two isolates have it.

use std::cell::Cell;
use std::rc::Rc;

use nearcache::http::exchange::{Below, Change, Decision, Exchange, FetchHead};
use nearcache::http::rule::Rule;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::numbers::{Random, seed};
use super::support::map;
use super::world::{Bytes, Reply, Tier, World, get, response};

const MINUTE: (&str, &str) = ("cache-control", "max-age=60");

/// Two worlds over one store and one clock, whose origins count together.
fn two(rule: &Rule, origin: fn(u32, &FetchHead) -> Reply) -> ([World; 2], Rc<Cell<u32>>, Tier) {
    let count = Rc::new(Cell::new(0));
    let tier = Tier::default();
    let world = || {
        let count = count.clone();
        let mut world = World::new(rule.clone(), move |head, _| {
            count.set(count.get() + 1);
            origin(count.get(), head)
        });
        world.below = Some(tier.clone());
        world
    };
    let (one, mut other) = (world(), world());
    other.now = one.now.clone();
    ([one, other], count, tier)
}

fn status(world: &World, target: &str, fields: &[(&str, &str)]) -> (String, String) {
    let reception = world.ask(get(target, fields));
    (reception.field("cache-status").unwrap(), String::from_utf8(reception.body).unwrap())
}

#[test]
fn what_one_has_stored_another_finds_below_and_its_age_goes_on() {
    let ([one, other], count, _) =
        two(&Rule::default(), |n, _| response(200, &[MINUTE, ("age", "5")], &format!("{n}")));
    one.ask(get("/", &[]));
    one.pass(10_000);
    let found = other.ask(get("/", &[]));
    assert_eq!((found.body.as_slice(), found.field("age").unwrap().as_str()), (&b"1"[..], "15"));
    assert_eq!(
        found.field("cache-status").unwrap(),
        "nearcache/tier; hit; ttl=45, nearcache; fwd=uri-miss; stored; ttl=45",
        "a member for each layer (RFC 9211 §2)"
    );
    assert_eq!(status(&other, "/", &[]).0, "nearcache; hit; ttl=45", "it is in memory now");
    assert_eq!(count.get(), 1);
}

#[test]
fn each_finds_its_own_variant() {
    let ([one, other], count, tier) = two(&Rule::default(), |_, head| {
        let language = head.fields.get("x-kind").map_or("none", |value| value.to_str().unwrap());
        response(200, &[MINUTE, ("vary", "x-kind")], language)
    });
    for kind in ["a", "b"] {
        one.ask(get("/", &[("x-kind", kind)]));
    }
    for kind in ["a", "b"] {
        let (said, body) = status(&other, "/", &[("x-kind", kind)]);
        assert_eq!(body, kind);
        assert!(said.starts_with("nearcache/tier; hit;"), "{said}");
    }
    assert_eq!((count.get(), tier.borrow().len()), (2, 3), "the newest, and one for each");
    assert_eq!(status(&other, "/", &[("x-kind", "c")]).1, "c");
    assert_eq!(count.get(), 3);
}

#[test]
fn what_is_stale_below_is_validated_and_goes_back_fresh() {
    let ([one, other], count, _) = two(&Rule::default(), |_, head| match head.fields.get("if-none-match") {
        Some(_) => response(304, &[MINUTE, ("etag", "\"a\"")], ""),
        None => response(200, &[MINUTE, ("etag", "\"a\"")], "body"),
    });
    one.ask(get("/", &[]));
    one.pass(61_000);
    let (said, body) = status(&other, "/", &[]);
    assert_eq!((said.as_str(), body.as_str()), ("nearcache; fwd=stale; stored; ttl=60", "body"));
    assert!(other.asked.borrow()[0].fields.contains_key("if-none-match"));
    one.pass(30_000);
    assert_eq!(status(&one, "/", &[]).0, "nearcache/tier; hit; ttl=30, nearcache; fwd=stale; stored; ttl=30");
    assert_eq!(count.get(), 2, "what the other has renewed is found");
}

#[test]
fn a_stale_window_counts_from_below_and_the_refresh_finds_what_another_has_refreshed() {
    let ([one, other], count, _) = two(&Rule::default(), |n, _| {
        response(200, &[("cache-control", "max-age=10, stale-while-revalidate=60")], &format!("{n}"))
    });
    one.ask(get("/", &[]));
    one.pass(15_000);
    let (said, body) = status(&other, "/", &[]);
    assert_eq!(
        (said.as_str(), body.as_str()),
        ("nearcache/tier; hit; ttl=-5, nearcache; fwd=uri-miss; stored; ttl=-5", "1")
    );
    assert_eq!(count.get(), 2, "and it was refreshed behind the answer");
    assert_eq!(status(&one, "/", &[]).1, "1", "stale, and looks below behind its answer");
    assert_eq!((status(&one, "/", &[]).1.as_str(), count.get()), ("2", 2));
}

#[test]
fn an_origin_that_is_away_is_made_up_for_from_below() {
    let ([one, other], ..) = two(&Rule::default(), |n, _| match n {
        1 => response(200, &[("cache-control", "max-age=10, stale-if-error=600")], "good"),
        _ => response(503, &[], "bad"),
    });
    one.ask(get("/", &[]));
    one.pass(60_000);
    assert_eq!(status(&other, "/", &[]).1, "good");
}

#[test]
fn what_may_not_be_shared_is_not_below_nor_what_is_no_whole_fresh_answer() {
    for fields in [
        &[("cache-control", "private, max-age=60")][..],
        &[("cache-control", "no-store")],
        &[MINUTE, ("set-cookie", "a=b")],
        &[MINUTE, ("vary", "*")],
        &[("cache-control", "no-cache"), ("etag", "\"a\"")],
        &[("cache-control", "max-age=0"), ("etag", "\"a\"")],
        &[],
    ] {
        let tier = Tier::default();
        let fields: &'static [_] = fields.to_vec().leak();
        let mut world = World::new(Rule::default(), move |_, _| response(200, fields, "body"));
        world.below = Some(tier.clone());
        world.ask(get("/", &[]));
        assert!(tier.borrow().is_empty(), "{fields:?}");
    }
    let tier = Tier::default();
    let mut world = World::new(Rule::default(), |_, _| {
        response(206, &[MINUTE, ("etag", "\"a\""), ("content-range", "bytes 0-3/10")], "body")
    });
    world.below = Some(tier.clone());
    world.ask(get("/", &[("range", "bytes=0-3")]));
    assert!(tier.borrow().is_empty(), "a part");
    let mut world = World::new(Rule::default(), |_, _| response(200, &[MINUTE], "body"));
    world.below = Some(tier.clone());
    world.ask(get("/", &[("authorization", "me")]));
    assert!(tier.borrow().is_empty(), "with credentials");
}

#[test]
fn who_wants_the_origins_answer_gets_it() {
    let ([one, other], count, _) = two(&Rule::default(), |n, _| response(200, &[MINUTE], &format!("{n}")));
    one.ask(get("/", &[]));
    for (fields, body) in [
        (&[("cache-control", "no-cache")][..], "2"),
        (&[("authorization", "me")], "2"),
        (&[("range", "bytes=0-0")], "2"),
    ] {
        let answer = other.ask(get("/", fields));
        assert_eq!(answer.body, body.as_bytes(), "{fields:?}");
    }
    assert_eq!(count.get(), 2);
}

#[test]
fn names_tell_nothing_of_cookies_and_fields_and_hosts_are_apart() {
    let mut rule = Rule::default();
    rule.key.cookies = vec!["who".to_owned()];
    let ([one, other], count, tier) =
        two(&rule, |n, _| response(200, &[MINUTE, ("vary", "x-secret")], &format!("{n}")));
    one.ask(get("/a?b", &[("cookie", "who=alice"), ("x-secret", "alice's")]));
    for name in tier.borrow().keys() {
        assert!(name.starts_with("example.com/a?b#") && !name.contains("alice"), "{name}");
    }
    assert_eq!(status(&other, "/a?b", &[("cookie", "who=bob"), ("x-secret", "alice's")]).1, "2");
    assert_eq!(status(&other, "/a?b", &[("cookie", "who=alice"), ("x-secret", "alice's")]).1, "1");
    assert_eq!(count.get(), 2);
}

#[test]
fn another_keys_answer_under_this_name_is_nothing() {
    let ([one, other], count, tier) = two(&Rule::default(), |n, _| response(200, &[MINUTE], &format!("{n}")));
    one.ask(get("/a", &[]));
    let kept = tier.borrow()["example.com/a"].clone();
    tier.borrow_mut().insert("example.com/b".to_owned(), kept);
    assert_eq!((status(&other, "/b", &[]).1.as_str(), count.get()), ("2", 2));
}

#[test]
fn broken_bytes_are_nothing_and_never_panic() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    let ([one, other], _, tier) = two(&Rule::default(), |_, _| {
        let fields = [MINUTE, ("vary", "x-kind"), ("cache-tag", "a, b"), ("etag", "\"e\""), ("x", "y")];
        response(200, &fields, "body")
    });
    one.ask(get("/", &[("x-kind", "k")]));
    let (head, body, _) = tier.borrow()["example.com/"].clone();
    let mut exchange: Exchange<Bytes> = Exchange::new(other.rule.clone(), get("/", &[("x-kind", "k")]));
    let Decision::Fetch(fetch) = exchange.handle_stored(None, one.now()) else { panic!("it is not stored") };
    let look = |head: &[u8]| fetch.handle_below(None, head, body.clone(), 4, one.now());
    let Below::Found(change) = look(&head) else { panic!("it is not found") };
    let target = Change::apply(change, None, one.now()).unwrap();
    assert_eq!(target.tags(), ["a", "b"]);
    assert_eq!(target.variants()[0].record.fields["x"], map(&[("x", "y")])["x"]);
    let known = fetch.handle_below(Some(&target), &head, body.clone(), 4, one.now());
    assert!(matches!(known, Below::Nothing), "what is in memory is not taken from below again");
    for end in 0..head.len() {
        assert!(matches!(look(&head[..end]), Below::Nothing), "{end}");
    }
    assert!(matches!(look(&[&head[..], &[0]].concat()), Below::Nothing));
    for _ in 0..20_000 {
        let mut broken = head.clone();
        for _ in 0..=random.below(3) {
            let at = usize::try_from(random.below(head.len() as u64)).unwrap();
            broken[at] = random.below(256) as u8;
        }
        if let Below::Found(change) = look(&broken) {
            Change::apply(change, None, one.now());
        }
    }
}
