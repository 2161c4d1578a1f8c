//! Who asks for the same at the same time, and answers that overtake each other.

use nearcache::http::exchange::{Decision, Exchange, Fetch, Progress, Request, ResponseHead};
use nearcache::http::rule::Rule;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::support::map;
use super::world::{Bytes, Reply, World, get, receive, response};

fn start(world: &World, request: Request) -> (Exchange<Bytes>, Box<Fetch<Bytes>>) {
    let mut exchange = Exchange::new(world.rule.clone(), request);
    let found = exchange.key().and_then(|key| world.found(key));
    match exchange.handle_stored(found.as_ref(), world.now()) {
        Decision::Fetch(fetch) => (exchange, fetch),
        other => panic!("{other:?}"),
    }
}

/// An origin that takes so many milliseconds.
fn slow(line: &'static str, after: u64) -> World {
    World::new(Rule::default(), move |_, _| {
        let Reply::Response { status, fields, body, .. } = response(200, &[("cache-control", line)], "body") else {
            unreachable!()
        };
        Reply::Response { status, fields, body, after }
    })
}

// Stale when it comes

#[test]
fn who_waited_for_what_is_stale_when_it_comes_gets_it_within_its_window() {
    // Each of them asked the origin by himself.
    for (line, after) in
        [("max-age=0, stale-while-revalidate=60", 50), ("s-maxage=1, stale-while-revalidate=59", 1_300)]
    {
        let world = slow(line, after);
        let (_, mut fetch) = start(&world, get("/", &[]));
        let mut followers: Vec<_> = (0..20).map(|_| start(&world, get("/", &[])).0).collect();
        let (outcome, _) = world.run(&mut fetch);
        for follower in &mut followers {
            let found = world.found(fetch.key());
            let decision = follower.handle_outcome(&outcome, false, found.as_ref(), world.now());
            let Decision::Answer(answer) = decision else { panic!("{line}: {decision:?}") };
            let got = receive(answer, Vec::new());
            assert!(got.field("cache-status").unwrap().starts_with("nearcache; fwd=uri-miss; collapsed; ttl="));
            assert_eq!((got.status.as_u16(), got.body.as_slice()), (200, &b"body"[..]));
        }
    }
}

#[test]
fn who_waits_for_what_is_stale_when_it_comes_reads_it_as_it_comes_within_its_window() {
    for (line, expected) in [("max-age=0, stale-while-revalidate=60", true), ("no-cache, max-age=60", false)] {
        let world = slow(line, 0);
        let (_, mut fetch) = start(&world, get("/", &[]));
        let (follower, _) = start(&world, get("/", &[]));
        let fields = map(&[("cache-control", line), ("content-length", "4"), ("etag", "\"a\"")]);
        let head = ResponseHead { status: 200, fields, damaged: false };
        let Progress::Read(filling) = fetch.handle_response(head, world.now(), world.now()) else { panic!() };
        assert_eq!(follower.handle_filling(&filling, false, world.now()).is_some(), expected, "{line}");
    }
}

#[test]
fn who_waited_for_what_is_stale_when_it_comes_asks_for_himself_where_its_window_or_he_forbids_it() {
    let cases: [(&str, u64, &[(&str, &str)]); 5] = [
        ("max-age=1", 1_300, &[]),
        ("max-age=0, stale-if-error=60", 0, &[]),
        ("max-age=0, stale-while-revalidate=60, must-revalidate", 0, &[]),
        ("max-age=0, stale-while-revalidate=1", 1_000, &[]),
        ("max-age=0, stale-while-revalidate=60", 5_000, &[("cache-control", "max-age=3")]),
    ];
    for (line, after, fields) in cases {
        let world = slow(line, after);
        let (_, mut fetch) = start(&world, get("/", &[]));
        let (mut follower, _) = start(&world, get("/", fields));
        let (outcome, _) = world.run(&mut fetch);
        let found = world.found(fetch.key());
        let decision = follower.handle_outcome(&outcome, false, found.as_ref(), world.now());
        assert!(matches!(decision, Decision::Fetch(_)), "{line}");
    }
}

// An older answer that comes later (RFC 9111 §4)

const SECONDS: [&str; 3] =
    ["Sat, 21 Nov 2026 00:00:00 GMT", "Sat, 21 Nov 2026 00:00:02 GMT", "Sat, 21 Nov 2026 00:00:04 GMT"];

/// What is stored after two answers have come in this order, with these dates.
fn after_both(first: &[(&'static str, &'static str)], second: &[(&'static str, &'static str)]) -> Vec<u8> {
    let answers = [first.to_vec(), second.to_vec()];
    let mut count = 0;
    let world = World::new(Rule::default(), move |_, _| {
        count += 1;
        let fields = [&answers[count - 1][..], &[("cache-control", "public, max-age=60")]].concat();
        response(200, &fields, ["first", "second"][count - 1])
    });
    world.pass(4_000);
    let alone = [("authorization", "x")];
    let mut trips = [start(&world, get("/", &alone)).1, start(&world, get("/", &alone)).1];
    for trip in &mut trips {
        world.run(trip);
        world.pass(100);
    }
    let got = world.ask(get("/", &[]));
    assert!(got.field("cache-status").unwrap().contains("; hit"));
    got.body
}

#[test]
fn an_older_answer_that_comes_later_does_not_take_the_place_of_a_newer_one() {
    let [zero, two, four] = SECONDS.map(|date| ("date", date));
    assert_eq!(after_both(&[two], &[zero]), b"first");
    assert_eq!(after_both(&[zero], &[two]), b"second");
    assert_eq!(after_both(&[two], &[two]), b"second", "of one second, that which came last");
    assert_eq!(after_both(&[], &[two]), b"first", "without a date, when it came");
    assert_eq!(after_both(&[two], &[]), b"second");
    assert_eq!(
        after_both(&[("date", "Sat, 21 Nov 2126 00:00:00 GMT")], &[four]),
        b"second",
        "no clock of next century"
    );
}

#[test]
fn an_older_answer_takes_the_place_of_what_is_stale_or_an_error() {
    let [zero, two, _] = SECONDS.map(|date| ("date", date));
    for (status, line, passes) in [(200, "max-age=60", 61_000), (404, "max-age=90", 61_000), (200, "no-cache", 0)] {
        let mut count = 0;
        let world = World::new(Rule::default(), move |_, _| {
            count += 1;
            match count {
                1 => response(status, &[two, ("cache-control", line), ("etag", "\"a\"")], "first"),
                _ => response(200, &[zero, ("cache-control", "max-age=600")], "second"),
            }
        });
        world.pass(2_000);
        world.ask(get("/", &[]));
        world.pass(passes);
        world.ask(get("/", &[("cache-control", "no-cache")]));
        assert_eq!(world.ask(get("/", &[])).body, b"second", "{status} {line}");
    }
}

#[test]
fn of_what_varies_in_different_ways_the_newest_by_its_date_answers() {
    let [zero, two, _] = SECONDS.map(|date| ("date", date));
    let world = World::new(Rule::default(), move |head, _| match head.fields.contains_key("x-old") {
        true => response(200, &[("cache-control", "max-age=60, public"), zero, ("vary", "accept")], "older"),
        false => response(200, &[("cache-control", "max-age=60, public"), two], "newer"),
    });
    world.pass(2_000);
    let (_, mut older) = start(&world, get("/", &[("x-old", "1"), ("authorization", "x")]));
    world.ask(get("/", &[]));
    world.run(&mut older);
    assert_eq!(world.ask(get("/", &[])).body, b"newer");
}

#[test]
fn a_304_that_is_older_than_what_is_stored_by_now_changes_nothing() {
    let [zero, two, four] = SECONDS.map(|date| ("date", date));
    let world = World::new(Rule::default(), move |head, _| match head.fields.get("if-none-match") {
        Some(_) => response(304, &[two, ("cache-control", "public, max-age=60"), ("etag", "\"a\"")], ""),
        None if head.fields.contains_key("x-new") => {
            response(200, &[four, ("cache-control", "public, max-age=60"), ("etag", "\"b\"")], "newer")
        }
        None => response(200, &[zero, ("cache-control", "public, max-age=1"), ("etag", "\"a\"")], "older"),
    });
    world.ask(get("/", &[]));
    world.pass(4_000);
    let (_, mut validation) = start(&world, get("/", &[]));
    let mut cold = Exchange::<Bytes>::new(world.rule.clone(), get("/", &[("x-new", "1")]));
    let Decision::Fetch(mut fetch) = cold.handle_stored(None, world.now()) else { panic!() };
    world.run(&mut fetch);
    world.run(&mut validation);
    assert_eq!(world.ask(get("/", &[])).body, b"newer");
}
