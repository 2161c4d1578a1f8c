//! Bodies that are too long for memory, and lie in a store of their own.

use std::cell::Cell;
use std::rc::Rc;

use nearcache::http::exchange::{ClientResponse, Content, Decision, Exchange, FetchHead, Manifest};
use nearcache::http::rule::Rule;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::numbers::{Random, seed};
use super::world::{Apart, Bytes, Reply, Tier, World, get, response};

const MINUTE: (&str, &str) = ("cache-control", "max-age=60");
const BODY: &str = "a long body";
const LENGTH: (&str, &str) = ("content-length", "11");
const TAG: (&str, &str) = ("etag", "\"a\"");

/// Worlds whose memories take ten bytes of a body, over one tier and one store for longer ones.
fn two(origin: fn(u32, &FetchHead) -> Reply) -> ([World; 2], Rc<Cell<u32>>, Tier, Apart) {
    let (count, tier, apart) = (Rc::new(Cell::new(0)), Tier::default(), Apart::default());
    let world = || {
        let count = count.clone();
        let mut world = World::new(Rule { max_body_bytes: 10, ..Rule::default() }, move |head, _| {
            count.set(count.get() + 1);
            origin(count.get(), head)
        });
        world.below = Some(tier.clone());
        world.apart = Some(apart.clone());
        world
    };
    let (one, mut other) = (world(), world());
    other.now = one.now.clone();
    ([one, other], count, tier, apart)
}

fn status(world: &World, fields: &[(&str, &str)]) -> (String, String) {
    let reception = world.ask(get("/", fields));
    (reception.field("cache-status").unwrap(), String::from_utf8(reception.body).unwrap())
}

#[test]
fn it_goes_by_and_is_answered_from_its_store_then_with_its_age_here_and_elsewhere() {
    let ([one, other], count, ..) = two(|_, _| response(200, &[MINUTE, LENGTH, TAG], BODY));
    assert_eq!(
        status(&one, &[]),
        ("nearcache; fwd=uri-miss; fwd-status=200; detail=stored-apart".to_owned(), BODY.to_owned())
    );
    one.pass(10_000);
    let hit = one.ask(get("/", &[]));
    assert_eq!(hit.field("cache-status").unwrap(), "nearcache; hit; ttl=50; detail=apart");
    assert_eq!((hit.field("age").unwrap().as_str(), hit.field("content-length").unwrap().as_str()), ("10", "11"));
    assert_eq!(hit.body, BODY.as_bytes());
    let (said, body) = status(&other, &[]);
    assert_eq!(said, "nearcache/tier; hit; ttl=50, nearcache; fwd=uri-miss; stored; ttl=50; detail=apart");
    assert_eq!((body.as_str(), count.get()), (BODY, 1));
}

#[test]
fn what_varies_by_cookies_goes_to_nobody_who_has_some_and_lies_apart_for_those_who_have_none() {
    let ([one, other], ..) = two(|_, head| {
        let body = if head.fields.contains_key("cookie") { "alice's own" } else { BODY };
        response(200, &[MINUTE, LENGTH, ("vary", "cookie")], body)
    });
    for (world, cookie, wanted) in [
        (&one, Some("alice"), "alice's own"),
        (&other, None, BODY),
        (&other, None, BODY),
        (&other, Some("alice"), "alice's own"),
    ] {
        let fields: Vec<_> = cookie.map(|cookie| ("cookie", cookie)).into_iter().collect();
        let (said, body) = status(world, &fields);
        assert_eq!(body, wanted, "{cookie:?}: {said}");
    }
    assert!(status(&other, &[]).0.contains("hit"));
}

#[test]
fn conditions_and_ranges_are_answered_by_what_is_known_of_it() {
    let ([one, _], count, ..) = two(|_, _| response(200, &[MINUTE, LENGTH, TAG], BODY));
    one.ask(get("/", &[]));
    let unchanged = one.ask(get("/", &[("if-none-match", "\"a\"")]));
    assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));
    let part = one.ask(get("/", &[("range", "bytes=2-5")]));
    assert_eq!((part.status.as_u16(), part.body.as_slice()), (206, &b"long"[..]));
    assert_eq!(part.field("content-range").unwrap(), "bytes 2-5/11");
    let last = one.ask(get("/", &[("range", "bytes=-4")]));
    assert_eq!(last.body, b"body");
    assert_eq!(one.ask(get("/", &[("range", "bytes=11-")])).status.as_u16(), 416);
    assert_eq!(count.get(), 1);
}

#[test]
fn a_304_keeps_the_body_and_what_is_said_of_it_goes_below_anew() {
    let ([one, other], count, _, apart) = two(|_, head| match head.fields.get("if-none-match") {
        Some(_) => response(304, &[MINUTE, TAG], ""),
        None => response(200, &[MINUTE, LENGTH, TAG], BODY),
    });
    one.ask(get("/", &[]));
    one.pass(61_000);
    assert_eq!(status(&one, &[]).1, BODY);
    assert_eq!((status(&other, &[]).1.as_str(), count.get(), apart.borrow().len()), (BODY, 2, 1));
}

#[test]
fn a_body_that_is_gone_comes_from_the_origin_not_from_below_again() {
    let ([one, other], count, _, apart) = two(|_, _| response(200, &[MINUTE, LENGTH], BODY));
    one.ask(get("/", &[]));
    apart.borrow_mut().clear();
    for world in [&one, &other] {
        assert_eq!(status(world, &[]).1, BODY);
        assert_eq!(status(world, &[]).0.split("; ").nth(1), Some("hit"), "it is stored again");
        apart.borrow_mut().clear();
    }
    assert_eq!(count.get(), 3);
}

#[test]
fn a_body_that_is_gone_where_the_origin_is_gone_too_is_an_error_and_no_circle() {
    let ([one, _], _, _, apart) = two(|n, _| match n {
        1 => response(200, &[("cache-control", "max-age=10, stale-if-error=600"), LENGTH], BODY),
        _ => response(503, &[], "bad"),
    });
    one.ask(get("/", &[]));
    one.pass(20_000);
    assert_eq!(status(&one, &[]).1, BODY, "it stands in");
    apart.borrow_mut().clear();
    assert_eq!(one.ask(get("/", &[])).status.as_u16(), 503);
}

#[test]
fn of_unknown_length_or_not_to_be_shared_or_a_part_it_is_not_stored() {
    for (status, fields) in [
        (200, &[MINUTE][..]),
        (200, &[LENGTH, ("cache-control", "private, max-age=60")]),
        (200, &[LENGTH, ("cache-control", "no-cache"), TAG]),
        (206, &[LENGTH, MINUTE, TAG, ("content-range", "bytes 0-10/20")]),
    ] {
        let (tier, apart) = (Tier::default(), Apart::default());
        let fields: &'static [_] = fields.to_vec().leak();
        let rule = Rule { max_body_bytes: 10, ..Rule::default() };
        let mut world = World::new(rule, move |_, _| response(status, fields, BODY));
        world.below = Some(tier.clone());
        world.apart = Some(apart.clone());
        let range = if status == 206 { &[("range", "bytes=0-10")][..] } else { &[] };
        assert_eq!(world.ask(get("/", range)).body, BODY.as_bytes());
        assert!(apart.borrow().is_empty() && tier.borrow().is_empty(), "{fields:?}");
    }
}

#[test]
fn another_body_than_was_announced_is_not_stored() {
    let ([one, _], ..) = two(|_, _| response(200, &[MINUTE, LENGTH], BODY));
    let mut exchange: Exchange<Bytes> = Exchange::new(one.rule.clone(), get("/", &[]));
    let Decision::Fetch(mut fetch) = exchange.handle_stored(None, one.now()) else { panic!("it is stored") };
    let mut head =
        nearcache::http::exchange::ResponseHead { status: 200, fields: ::http::HeaderMap::new(), damaged: false };
    for (name, value) in [MINUTE, LENGTH] {
        head.fields.insert(name, ::http::HeaderValue::from_static(value));
    }
    fetch.handle_response(head, one.now(), one.now());
    assert!(fetch.begin_apart(one.now()).is_some());
    let manifest = Manifest::new("n".to_owned(), 10, vec![0; 16]).unwrap();
    assert!(!fetch.handle_apart(manifest, Bytes::default()));
}

#[test]
fn parts_are_read_whole_with_their_digests() {
    const PART: u64 = Manifest::PART_BYTES;
    let digests: Vec<u8> = (0..3).flat_map(|part| [part; Manifest::DIGEST_BYTES]).collect();
    let manifest = Manifest::new("n".to_owned(), 2 * PART + 5, digests.clone()).unwrap();
    for (bytes, read, parts) in [
        (0..1, 0..PART, 0..1),
        (0..PART, 0..PART, 0..1),
        (PART - 1..PART + 1, 0..2 * PART, 0..2),
        (PART..2 * PART + 5, PART..2 * PART + 5, 1..3),
        (2 * PART..2 * PART + 1, 2 * PART..2 * PART + 5, 2..3),
    ] {
        let got = manifest.parts(&bytes);
        let digests = &digests[parts.start * Manifest::DIGEST_BYTES..parts.end * Manifest::DIGEST_BYTES];
        assert_eq!((got.bytes, got.digests), (read, digests), "{bytes:?}");
    }
    for (name, length, digests) in [("n", 0, 0), ("", 1, 16), ("n", 1, 15), ("n", 1, 32), ("n", PART + 1, 16)] {
        assert_eq!(Manifest::new(name.to_owned(), length, vec![0; digests]), None, "{length} with {digests}");
    }
    assert_eq!(Manifest::new("n".to_owned(), u64::MAX, vec![0; 16]), None);
}

#[test]
fn broken_bytes_of_a_head_never_panic_and_never_promise_another_length() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    let ([one, other], _, tier, apart) = two(|_, _| response(200, &[MINUTE, LENGTH], BODY));
    one.ask(get("/", &[]));
    let (head, body, until) = tier.borrow()["example.com/"].clone();
    assert!(body.is_empty(), "it does not lie there, too");
    for _ in 0..20_000 {
        let mut broken = head.clone();
        for _ in 0..=random.below(3) {
            let at = usize::try_from(random.below(head.len() as u64)).unwrap();
            broken[at] = random.below(256) as u8;
        }
        let mut exchange: Exchange<Bytes> = Exchange::new(other.rule.clone(), get("/", &[("range", "bytes=0-5")]));
        let Decision::Fetch(fetch) = exchange.handle_stored(None, one.now()) else { panic!("it is stored") };
        let found = fetch.handle_below(None, &broken, Bytes::default(), 0, one.now());
        let nearcache::http::exchange::Below::Found(change) = found else { continue };
        let target = change.apply(None, one.now());
        let decision = exchange.handle_below(target.as_ref(), "tier", true, one.now());
        if let Decision::Answer(ClientResponse { content: Content::Apart(manifest, bytes), .. }) = decision {
            let parts = manifest.parts(&bytes);
            assert!(parts.bytes.end <= manifest.length() && !parts.digests.is_empty());
        }
    }
    // What lies apart does not lie here as well.
    tier.borrow_mut().insert("example.com/".to_owned(), (head, Rc::new(b"here".to_vec()), until));
    apart.borrow_mut().clear();
    assert_eq!(status(&other, &[]).1, BODY);
}
