//! A request's way through the cache.

use std::cell::Cell;
use std::rc::Rc;

use ::http::Method;
use nearcache::http::exchange::{Content, Decision, Exchange, Failure, FetchOutcome, Progress, Request, ResponseHead};
use nearcache::http::rule::{Cookies, Purge, Ranges, Reload, Rule};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::support::map;
use super::world::{Reply, World, get, joined, response};

const MINUTE: (&str, &str) = ("cache-control", "max-age=60");
const TAG: (&str, &str) = ("etag", "\"a\"");

/// A world whose origin answers by a counter and what it is asked.
fn world(mut origin: impl FnMut(u32, &::http::HeaderMap) -> Reply + 'static) -> World {
    with_rule(Rule::default(), move |count, fields| origin(count, fields))
}

fn with_rule(rule: Rule, mut origin: impl FnMut(u32, &::http::HeaderMap) -> Reply + 'static) -> World {
    let mut count = 0;
    World::new(rule, move |head, _| {
        count += 1;
        origin(count, &head.fields)
    })
}

fn calls(world: &World) -> usize {
    world.asked.borrow().len()
}

fn request(method: Method, target: &str, fields: &[(&str, &str)]) -> Request {
    Request { method, ..get(target, fields) }
}

fn gone() -> Reply {
    Reply::Failure(Failure::Unreachable("refused".to_owned()))
}

// Hits and misses

#[test]
fn a_miss_is_stored_and_answers_the_next_with_its_age() {
    let world = world(|_, _| response(200, &[MINUTE, ("x", "1"), ("connection", "x"), ("y", "2")], "body"));
    let miss = world.ask(get("/", &[]));
    assert_eq!(miss.field("cache-status").unwrap(), "nearcache; fwd=uri-miss; stored; ttl=60");
    world.pass(2_500);
    let hit = world.ask(get("/", &[]));
    assert_eq!((hit.status.as_u16(), hit.body.as_slice()), (200, &b"body"[..]));
    assert_eq!(hit.field("cache-status").unwrap(), "nearcache; hit; ttl=57");
    assert_eq!((hit.field("age").unwrap(), hit.field("content-length").unwrap()), ("2".into(), "4".into()));
    assert_eq!(
        (hit.field("x"), hit.field("y").unwrap(), hit.field("via").unwrap()),
        (None, "2".into(), "1.1 nearcache".into())
    );
    assert_eq!(calls(&world), 1);
    assert!(hit.field("date").is_some());
}

#[test]
fn the_origin_is_asked_by_a_get_that_says_where_it_came_by() {
    let world = world(|_, _| response(200, &[MINUTE], "body"));
    let fields =
        [("if-none-match", "\"z\""), ("range", "bytes=0-1"), ("if-match", "x"), ("via", "1.1 a"), ("accept", "b")];
    world.ask(get("/a?b=c", &fields[..1]));
    let asked = world.asked.borrow().first().unwrap().clone();
    assert_eq!((asked.method, asked.target.as_str(), asked.has_client_body), (Method::GET, "/a?b=c", false));
    assert_eq!(asked.fields, map(&[("via", "1.1 nearcache"), ("cdn-loop", "nearcache")]));
    world.ask(get("/b", &fields[3..]));
    let asked = world.asked.borrow().last().unwrap().clone();
    assert_eq!(joined(&asked.fields, "via").unwrap(), "1.1 a, 1.1 nearcache");
}

#[test]
fn a_head_is_answered_from_what_is_stored_and_a_cold_one_fills() {
    let world = world(|_, _| response(200, &[MINUTE, TAG], "body"));
    for cold in [true, false] {
        let head = world.ask(request(Method::HEAD, "/", &[]));
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
        assert_eq!(head.field("content-length").unwrap(), "4", "cold: {cold}");
    }
    assert_eq!(world.ask(get("/", &[])).body, b"body");
    assert_eq!(calls(&world), 1);
}

#[test]
fn only_if_cached_gets_what_is_stored_or_504() {
    let world = world(|_, _| response(200, &[MINUTE], "body"));
    let only = get("/", &[("cache-control", "only-if-cached")]);
    assert_eq!(world.ask(only.clone()).status, 504);
    assert_eq!(calls(&world), 0);
    world.ask(get("/", &[]));
    assert_eq!(world.ask(only.clone()).status, 200);
    world.pass(60_000);
    assert_eq!(world.ask(only).status, 504);
}

// Validation

#[test]
fn a_stale_answer_is_validated_and_freshened_by_a_304() {
    let world = world(|count, fields| match (count, joined(fields, "if-none-match")) {
        (1, None) => response(200, &[MINUTE, TAG, ("x", "1"), ("age", "7"), ("cache-tag", "red")], "body"),
        (2, Some(tag)) if tag == "\"a\"" => {
            response(304, &[("cache-control", "max-age=90"), TAG, ("x", "2"), ("content-length", "0")], "")
        }
        _ => panic!("{count} {fields:?}"),
    });
    world.ask(get("/", &[]));
    world.pass(61_000);
    let freshened = world.ask(get("/", &[]));
    assert_eq!((freshened.status.as_u16(), freshened.body.as_slice()), (200, &b"body"[..]));
    assert_eq!((freshened.field("x").unwrap(), freshened.field("age").unwrap()), ("2".into(), "0".into()));
    assert_eq!(freshened.field("via").unwrap(), "1.1 nearcache", "once");
    world.pass(89_000);
    let hit = world.ask(get("/", &[]));
    assert_eq!(
        (hit.field("cache-status").unwrap(), hit.field("content-length").unwrap()),
        ("nearcache; hit; ttl=1".into(), "4".into())
    );
    let store = world.store.borrow();
    assert_eq!(store.values().next().unwrap().tags(), ["red"], "its tags stay");
}

#[test]
fn what_may_not_be_reused_without_asking_is_asked_for_each_time_and_comes_from_the_store() {
    let world = world(|count, fields| match count {
        1 => response(200, &[("cache-control", "no-cache"), TAG], "body"),
        _ if fields.contains_key("if-none-match") => response(304, &[("cache-control", "no-cache"), TAG], ""),
        _ => panic!("not conditional"),
    });
    for _ in 0..3 {
        assert_eq!(world.ask(get("/", &[])).body, b"body");
    }
    assert_eq!(calls(&world), 3);
}

#[test]
fn a_304_for_something_else_makes_the_cache_ask_for_the_whole() {
    let world = world(|count, fields| match count {
        1 => response(200, &[MINUTE, TAG], "old"),
        2 => response(304, &[MINUTE, ("etag", "\"b\"")], ""),
        _ if fields.contains_key("if-none-match") => panic!("conditional again"),
        _ => response(200, &[MINUTE, ("etag", "\"b\"")], "new"),
    });
    world.ask(get("/", &[]));
    world.pass(60_000);
    assert_eq!(world.ask(get("/", &[])).body, b"new");
    assert_eq!(calls(&world), 3);
}

#[test]
fn an_origin_that_answers_304_to_no_condition_fails() {
    let world = world(|_, _| response(304, &[], ""));
    assert_eq!(world.ask(get("/", &[])).status, 502);
    assert_eq!(calls(&world), 2);
}

#[test]
fn a_client_gets_304_for_what_it_has_also_where_the_cache_had_to_ask_for_the_whole() {
    let world = world(|_, _| response(200, &[MINUTE, TAG], "body"));
    for _ in 0..2 {
        let got = world.ask(get("/", &[("if-none-match", "W/\"a\"")]));
        assert_eq!((got.status.as_u16(), got.body.len(), got.field("etag").unwrap()), (304, 0, "\"a\"".into()));
    }
    assert_eq!(world.ask(get("/", &[("if-none-match", "\"b\"")])).status, 200);
    assert_eq!(calls(&world), 1);
}

#[test]
fn a_variant_that_the_origin_names_answers_the_request_that_did_not_select_it() {
    let world = world(|count, fields| match count {
        1 => response(200, &[MINUTE, TAG, ("vary", "user-agent")], "body"),
        _ => {
            assert_eq!(joined(fields, "if-none-match").unwrap(), "\"a\"");
            response(304, &[MINUTE, TAG, ("vary", "user-agent")], "")
        }
    });
    world.ask(get("/", &[("user-agent", "a")]));
    for agent in ["b", "b", "a"] {
        assert_eq!(world.ask(get("/", &[("user-agent", agent)])).body, b"body", "{agent}");
    }
    assert_eq!(calls(&world), 2);
}

// Variants

#[test]
fn each_variant_is_stored_and_answers_its_own() {
    let world = world(|_, fields| {
        let language = joined(fields, "accept-language").unwrap_or_default();
        response(200, &[MINUTE, ("vary", "accept-language")], &language)
    });
    for _ in 0..2 {
        for language in ["de", "en", "fr;q=0.5, en;q=0.4"] {
            assert_eq!(world.ask(get("/", &[("accept-language", language)])).body, language.as_bytes());
        }
    }
    assert_eq!(calls(&world), 3);
}

#[test]
fn a_target_keeps_as_many_variants_as_the_rule_says_and_the_newest() {
    let rule = Rule { max_variants: 2, ..Rule::default() };
    let world = with_rule(rule, |_, _| response(200, &[MINUTE, ("vary", "x")], "body"));
    for x in ["1", "2", "3", "2", "3"] {
        world.ask(get("/", &[("x", x)]));
    }
    assert_eq!(calls(&world), 3);
    world.ask(get("/", &[("x", "1")]));
    assert_eq!(calls(&world), 4);
}

// Stale answers

#[test]
fn a_stale_answer_is_handed_out_while_it_is_renewed() {
    let swr = [("cache-control", "max-age=60, stale-while-revalidate=30")];
    let world = world(move |count, _| response(200, &swr, &count.to_string()));
    world.ask(get("/", &[]));
    world.pass(70_000);
    let stale = world.ask(get("/", &[]));
    assert_eq!(
        (stale.body.as_slice(), stale.field("cache-status").unwrap()),
        (&b"1"[..], "nearcache; hit; ttl=-10".into())
    );
    assert_eq!(world.ask(get("/", &[])).body, b"2");
    world.pass(91_000);
    assert_eq!(world.ask(get("/", &[])).body, b"3", "the window is over");
}

#[test]
fn what_turns_out_to_be_private_as_it_is_renewed_is_handed_out_no_more() {
    for line in ["private, max-age=60", "no-store", "no-cache, private"] {
        let swr = "max-age=60, stale-while-revalidate=600, stale-if-error=600";
        let world = world(move |count, _| {
            response(200, &[("cache-control", if count == 1 { swr } else { line })], &count.to_string())
        });
        world.ask(get("/", &[]));
        world.pass(70_000);
        assert_eq!(world.ask(get("/", &[])).body, b"1", "it is renewed meanwhile");
        assert_eq!(world.ask(get("/", &[])).body, b"3", "{line}");
    }
    // An origin that fails does not say so.
    let swr = [("cache-control", "max-age=60, stale-while-revalidate=600")];
    let world = world(move |count, _| {
        if count == 1 { response(200, &swr, "1") } else { response(503, &[("cache-control", "no-store")], "down") }
    });
    world.ask(get("/", &[]));
    world.pass(70_000);
    for _ in 0..3 {
        assert_eq!(world.ask(get("/", &[])).body, b"1");
    }
}

#[test]
fn what_is_never_fresh_is_handed_out_while_it_is_renewed_without_a_validator() {
    // As frameworks say it: a second visitor waits for nobody.
    let said = [("cache-control", "max-age=0, stale-while-revalidate=600")];
    let world = world(move |count, _| response(200, &said, &count.to_string()));
    world.ask(get("/", &[]));
    for count in 1..4 {
        world.pass(1_000);
        assert_eq!(world.ask(get("/", &[])).body, count.to_string().into_bytes());
    }
    assert_eq!(calls(&world), 4);
}

#[test]
fn a_stale_answer_stands_in_where_the_origin_is_gone_unless_it_forbids_that() {
    for (line, status) in [
        ("max-age=60", 200),
        ("max-age=60, must-revalidate", 502),
        ("s-maxage=60", 502),
        ("max-age=60, stale-if-error=0", 502),
    ] {
        let world =
            world(move |count, _| if count == 1 { response(200, &[("cache-control", line)], "body") } else { gone() });
        world.ask(get("/", &[]));
        world.pass(61_000);
        let got = world.ask(get("/", &[]));
        assert_eq!(got.status, status, "{line}");
        if status == 200 {
            assert_eq!(got.field("cache-status").unwrap(), "nearcache; fwd=stale; ttl=-1; detail=origin-unreachable");
        }
        world.pass(3_600_000);
        assert_eq!(world.ask(get("/", &[])).status, 502, "nothing is handed out for ever");
    }
}

#[test]
fn what_has_to_be_validated_before_every_use_is_not_handed_out_without_that() {
    // With a lifetime besides, it was a hit, and validated behind the answer.
    const LAST_YEAR: (&str, &str) = ("last-modified", "Fri, 21 Nov 2025 00:00:00 GMT");
    for line in ["no-cache", "no-cache, max-age=60", "no-cache, max-age=60, stale-while-revalidate=60"] {
        for validator in [TAG, LAST_YEAR] {
            let fields = [("cache-control", line), validator];
            let world = world(move |count, fields_asked| match count {
                1 => response(200, &fields, "old"),
                2 => {
                    assert!(["if-none-match", "if-modified-since"].iter().any(|name| fields_asked.contains_key(*name)));
                    response(304, &fields, "")
                }
                3 => response(200, &fields, "new"),
                4 => response(500, &[], "broken"),
                _ => gone(),
            });
            world.ask(get("/", &[]));
            for body in ["old", "new"] {
                let got = world.ask(get("/", &[]));
                assert_eq!(got.body, body.as_bytes(), "{fields:?}");
                assert!(got.field("cache-status").unwrap().contains("fwd=stale"), "{fields:?}");
            }
            assert_eq!(world.ask(get("/", &[])).status, 500, "{fields:?}");
            assert_eq!(world.ask(get("/", &[])).status, 502, "{fields:?}");
            let only = world.ask(get("/", &[("cache-control", "only-if-cached")]));
            assert_eq!((only.status.as_u16(), calls(&world)), (504, 5), "{fields:?}");
        }
    }
}

#[test]
fn the_soft_deadline_hands_out_what_is_stale() {
    let sie = [("cache-control", "max-age=60, stale-if-error=30")];
    let world = world(move |_, _| response(200, &sie, "body"));
    world.ask(get("/", &[]));
    world.pass(70_000);
    let mut exchange = Exchange::new(world.rule.clone(), get("/", &[]));
    let found = world.found(exchange.key().unwrap());
    assert!(matches!(exchange.handle_stored(found.as_ref(), world.now()), Decision::Fetch(_)));
    let answer = exchange.handle_soft_timeout(world.now()).unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(
        joined(&answer.to_fields(), "cache-status").unwrap(),
        "nearcache; fwd=stale; ttl=-10; detail=soft-timeout"
    );
    assert!(exchange.handle_soft_timeout(world.now() + 20_000).is_none(), "the window is over");
    assert_eq!(exchange.handle_overload(world.now() + 20_000).status, 503);
}

// Ranges

#[test]
fn a_range_is_answered_from_what_is_stored_whole() {
    let world = world(|_, _| response(200, &[MINUTE, TAG], "0123456789"));
    world.ask(get("/", &[]));
    let cases = [
        (vec![("range", "bytes=2-4")], 206, "234", Some("bytes 2-4/10")),
        (vec![("range", "bytes=-3")], 206, "789", Some("bytes 7-9/10")),
        (vec![("range", "bytes=8-99")], 206, "89", Some("bytes 8-9/10")),
        (vec![("range", "bytes=10-")], 416, "", Some("bytes */10")),
        (vec![("range", "bytes=0-1,3-4")], 200, "0123456789", None),
        (vec![("range", "bytes=2-4"), ("if-range", "\"a\"")], 206, "234", Some("bytes 2-4/10")),
        (vec![("range", "bytes=2-4"), ("if-range", "\"b\"")], 200, "0123456789", None),
        (vec![("range", "bytes=2-4"), ("if-range", "W/\"a\"")], 200, "0123456789", None),
        (vec![("range", "bytes=2-4"), ("if-none-match", "\"a\"")], 304, "", None),
    ];
    for (fields, status, body, range) in cases {
        let got = world.ask(get("/", &fields));
        assert_eq!((got.status.as_u16(), got.body.as_slice()), (status, body.as_bytes()), "{fields:?}");
        assert_eq!(got.field("content-range").as_deref(), range, "{fields:?}");
    }
    assert_eq!(calls(&world), 1);
}

#[test]
fn a_part_is_stored_and_completed_by_what_is_missing_if_a_strong_tag_says_it_belongs_together() {
    let world = world(|count, fields| match (count, joined(fields, "range").as_deref()) {
        (1, Some("bytes=0-3")) => response(206, &[MINUTE, TAG, ("content-range", "bytes 0-3/10")], "0123"),
        (2, Some("bytes=4-")) => {
            assert_eq!(joined(fields, "if-range").unwrap(), "\"a\"");
            response(206, &[MINUTE, TAG, ("content-range", "bytes 4-9/10"), ("x", "new")], "456789")
        }
        other => panic!("{other:?}"),
    });
    let part = world.ask(get("/", &[("range", "bytes=0-3")]));
    assert_eq!((part.status.as_u16(), part.body.as_slice()), (206, &b"0123"[..]));
    let within = world.ask(get("/", &[("range", "bytes=1-2")]));
    assert_eq!((within.body.as_slice(), within.field("content-range").unwrap()), (&b"12"[..], "bytes 1-2/10".into()));
    let whole = world.ask(get("/", &[]));
    assert_eq!((whole.status.as_u16(), whole.body.as_slice()), (200, &b"0123456789"[..]));
    assert_eq!((whole.field("content-range"), whole.field("content-length").unwrap()), (None, "10".into()));
    assert_eq!(world.ask(get("/", &[("range", "bytes=3-5")])).body, b"345");
    assert_eq!(calls(&world), 2);
}

#[test]
fn what_may_not_be_stored_completes_no_part() {
    // The symptom: who asked for the whole with no-store was sent what was missing, as a 206.
    for (method, whole) in [(Method::GET, &b"0123456789"[..]), (Method::HEAD, b"")] {
        let world = world(|_, fields| match joined(fields, "range").as_deref() {
            Some("bytes=0-3") => response(206, &[MINUTE, TAG, ("content-range", "bytes 0-3/10")], "0123"),
            Some(_) => response(206, &[MINUTE, TAG, ("content-range", "bytes 4-9/10")], "456789"),
            None => response(200, &[MINUTE, TAG], "0123456789"),
        });
        world.ask(get("/", &[("range", "bytes=0-3")]));
        let got = world.ask(request(method, "/", &[("cache-control", "no-store")]));
        assert_eq!((got.status.as_u16(), got.body.as_slice()), (200, whole));
        assert_eq!(joined(&world.asked.borrow()[1].fields, "range"), None);
    }
}

#[test]
fn parts_with_different_tags_are_never_put_together() {
    let world = world(|count, _| match count {
        1 => response(206, &[MINUTE, TAG, ("content-range", "bytes 0-3/10")], "0123"),
        2 => response(206, &[MINUTE, ("etag", "\"b\""), ("content-range", "bytes 4-9/10")], "efghij"),
        _ => response(200, &[MINUTE, ("etag", "\"b\"")], "abcdefghij"),
    });
    world.ask(get("/", &[("range", "bytes=0-3")]));
    assert_eq!(world.ask(get("/", &[])).body, b"abcdefghij");
}

#[test]
fn a_cold_range_asks_for_the_whole_or_passes_where_the_rule_says_so() {
    for (ranges, calls_for_two, asked) in
        [(Ranges::Whole, 1, None), (Ranges::Pass, 2, Some("bytes=0-3")), (Ranges::Part, 1, Some("bytes=0-3"))]
    {
        let world = with_rule(Rule { ranges, ..Rule::default() }, |_, fields| match joined(fields, "range") {
            None => response(200, &[MINUTE, TAG], "0123456789"),
            Some(_) => response(206, &[MINUTE, TAG, ("content-range", "bytes 0-3/10")], "0123"),
        });
        for _ in 0..2 {
            let got = world.ask(get("/", &[("range", "bytes=0-3")]));
            assert_eq!((got.status.as_u16(), got.body.as_slice()), (206, &b"0123"[..]), "{ranges:?}");
        }
        assert_eq!(calls(&world), calls_for_two, "{ranges:?}");
        assert_eq!(joined(&world.asked.borrow()[0].fields, "range").as_deref(), asked);
    }
}

#[test]
fn a_part_that_nobody_asked_for_is_not_stored() {
    let world = world(|_, _| response(206, &[MINUTE, TAG, ("content-range", "bytes 0-3/10")], "0123"));
    world.ask(get("/", &[]));
    world.ask(get("/", &[]));
    assert_eq!(calls(&world), 2);
}

// Writes

#[test]
fn an_unsafe_method_takes_back_all_variants_and_what_it_names() {
    let world = world(|_, fields| match joined(fields, "x-write") {
        None => response(200, &[MINUTE, ("vary", "x")], "body"),
        Some(status) => response(
            status.parse().unwrap(),
            &[("location", "/other"), ("content-location", "https://elsewhere.example/third")],
            "",
        ),
    });
    let fill = |world: &World| {
        for target in ["/", "/other", "/third"] {
            for x in ["1", "2"] {
                world.ask(get(target, &[("x", x)]));
            }
        }
    };
    let stored = |world: &World| -> Vec<String> {
        let mut keys: Vec<String> = world.store.borrow().keys().map(|key| key.as_str().to_owned()).collect();
        keys.sort();
        keys
    };
    fill(&world);
    world.ask(request(Method::POST, "/", &[("x-write", "404")]));
    assert_eq!(stored(&world).len(), 3, "an error changes nothing");
    let asked = world.ask(request(Method::POST, "/", &[("x-write", "201")]));
    assert_eq!(asked.field("cache-status").unwrap(), "nearcache; fwd=method; fwd-status=201; detail=pass");
    assert!(world.asked.borrow().last().unwrap().has_client_body);
    assert_eq!(stored(&world), ["example.com/third"], "another host's is not ours to take back");
}

#[test]
fn a_rule_says_what_else_a_write_purges() {
    let purges = vec![Purge::Target("/feed".into()), Purge::Prefix("/news/".into()), Purge::Tag("red".into())];
    let rule = Rc::new(Rule { purges, ..Rule::default() });
    let mut exchange = Exchange::<()>::new(rule, request(Method::PUT, "/x", &[]));
    let Decision::Fetch(mut fetch) = exchange.handle_stored(None, 0) else { panic!() };
    let head = ResponseHead { status: 204, fields: map(&[]), damaged: false };
    assert!(matches!(fetch.handle_response(head, 0, 0), Progress::Done(FetchOutcome::Unshared(_))));
    let keys: Vec<_> =
        std::iter::from_fn(|| fetch.poll_change()).map(|change| change.key().as_str().to_owned()).collect();
    assert_eq!(keys, ["example.com/x"]);
    let purges: Vec<_> = std::iter::from_fn(|| fetch.poll_purge()).collect();
    let of_host = [Purge::Target("example.com/feed".into()), Purge::Prefix("example.com/news/".into())];
    assert_eq!(purges[..2], of_host, "whatever their keys are by their own rules");
    assert_eq!(purges[2..], [Purge::Tag("red".into())]);
}

// What is not for all

#[test]
fn what_may_not_be_shared_passes_and_is_not_waited_for() {
    let world = world(|count, _| response(200, &[("cache-control", "private, max-age=60")], &count.to_string()));
    let first = world.ask(get("/", &[]));
    assert_eq!(first.field("cache-status").unwrap(), "nearcache; fwd=uri-miss; fwd-status=200; detail=private");
    let mut exchange = Exchange::new(world.rule.clone(), get("/", &[]));
    let found = world.found(exchange.key().unwrap());
    let Decision::Fetch(fetch) = exchange.handle_stored(found.as_ref(), world.now()) else { panic!() };
    assert!(fetch.flight().is_none(), "nobody waits for another's answer");
    assert_eq!(world.ask(get("/", &[])).body, b"2");
}

#[test]
fn a_request_with_credentials_shares_nothing_but_what_the_origin_lets_be_shared() {
    let world = world(|count, fields| {
        assert!(fields.contains_key("authorization"));
        let line = if count < 3 { "max-age=60" } else { "max-age=60, public" };
        response(200, &[("cache-control", line)], &count.to_string())
    });
    let alice = get("/", &[("authorization", "Basic alice")]);
    assert_eq!(world.ask(alice.clone()).body, b"1");
    assert_eq!(world.ask(alice.clone()).body, b"2");
    assert_eq!(world.ask(alice).body, b"3");
    assert_eq!(world.ask(get("/", &[])).body, b"3", "public is for all");
}

#[test]
fn a_request_that_says_no_store_leaves_nothing_but_may_be_answered_from_the_store() {
    let world = world(|count, _| response(200, &[MINUTE], &count.to_string()));
    let no_store = get("/", &[("cache-control", "no-store")]);
    assert_eq!(world.ask(no_store.clone()).body, b"1");
    assert!(world.store.borrow().is_empty());
    world.ask(get("/", &[]));
    assert_eq!(world.ask(no_store).body, b"2");
}

#[test]
fn what_goes_by_is_not_modified_only_by_what_it_says_of_itself() {
    // Its Date stood in for a Last-Modified (RFC 9111 §4.3.2), which is for what is stored: it has been made just now.
    const NOW: &str = "Sat, 21 Nov 2026 00:00:00 GMT";
    let fields = [("cache-control", "no-store"), ("date", NOW)];
    let asked = [("if-modified-since", NOW)];
    for (rule, asked) in [
        (Rule::default(), &asked[..]),
        (Rule { bypass: true, ..Rule::default() }, &asked),
        (Rule { cookies: Cookies::Bypass, ..Rule::default() }, &[asked[0], ("cookie", "a=b")]),
    ] {
        let without = with_rule(rule.clone(), move |_, _| response(200, &fields, "body"));
        let got = without.ask(get("/", asked));
        assert_eq!((got.status.as_u16(), got.body.as_slice()), (200, &b"body"[..]), "{asked:?}");
        let dated = with_rule(rule.clone(), move |_, _| response(200, &[fields[0], ("last-modified", NOW)], "body"));
        assert_eq!(dated.ask(get("/", asked)).status, 304, "{asked:?}");
        let tagged = with_rule(rule, move |_, _| response(200, &[fields[0], TAG], "body"));
        assert_eq!(tagged.ask(get("/", &[asked, &[("if-none-match", "\"a\"")]].concat())).status, 304, "{asked:?}");
    }
}

#[test]
fn only_if_cached_asks_the_origin_for_nothing_that_would_pass() {
    let only = [("cache-control", "only-if-cached"), ("cookie", "a=b")];
    for rule in [Rule { bypass: true, ..Rule::default() }, Rule { cookies: Cookies::Bypass, ..Rule::default() }] {
        let world = with_rule(rule, |_, _| response(200, &[MINUTE], "body"));
        let got = world.ask(get("/", &only));
        assert_eq!((got.status.as_u16(), calls(&world)), (504, 0));
        assert_eq!(got.field("cache-status").unwrap(), "nearcache; detail=bypass");
        assert_eq!(world.ask(request(Method::POST, "/", &only)).status, 200, "a write is for the origin");
    }
}

#[test]
fn a_rule_that_bypasses_neither_looks_nor_stores() {
    let world =
        with_rule(Rule { bypass: true, ..Rule::default() }, |count, _| response(200, &[MINUTE], &count.to_string()));
    world.ask(get("/", &[]));
    assert_eq!(world.ask(get("/", &[("cookie", "a=b")])).body, b"2");
    assert!(world.asked.borrow()[1].fields.contains_key("cookie"));
    assert!(world.store.borrow().is_empty());
}

#[test]
fn cookies_are_forwarded_or_make_a_request_pass_where_the_rule_says_so() {
    let run = |cookies| {
        let world =
            with_rule(Rule { cookies, ..Rule::default() }, |count, _| response(200, &[MINUTE], &count.to_string()));
        for _ in 0..2 {
            world.ask(get("/", &[("cookie", "a=b")]));
        }
        let with = world.asked.borrow().iter().filter(|head| head.fields.contains_key("cookie")).count();
        (calls(&world), with)
    };
    assert_eq!(run(Cookies::Drop), (1, 0));
    assert_eq!(run(Cookies::Forward), (1, 1));
    assert_eq!(run(Cookies::Bypass), (2, 2));
}

#[test]
fn a_variant_by_cookie_is_its_owners() {
    let world = world(|_, fields| {
        let cookie = joined(fields, "cookie").unwrap_or_default();
        response(200, &[MINUTE, ("vary", "cookie")], &cookie)
    });
    for cookie in ["a=1", "a=2", "a=1"] {
        assert_eq!(world.ask(get("/", &[("cookie", cookie)])).body, cookie.as_bytes());
    }
    assert_eq!(world.ask(get("/", &[])).body, b"");
    assert_eq!(calls(&world), 3, "one without, to find out, and one for each");
}

/// Alice got a part of the page of those who are nobody.
#[test]
fn a_part_of_a_variant_by_cookie_is_its_owners() {
    let world = world(|_, fields| {
        let who = joined(fields, "cookie").unwrap_or_else(|| "none".to_owned());
        let said = [MINUTE, ("vary", "cookie"), ("content-range", "bytes 0-3/100")];
        response(206, &said, &who)
    });
    for cookie in ["a=01", "a=02", "a=01"] {
        let got = world.ask(get("/", &[("cookie", cookie), ("range", "bytes=0-3")]));
        assert_eq!((got.status.as_u16(), &got.body[..]), (206, cookie.as_bytes()));
    }
    assert_eq!(world.ask(get("/", &[("range", "bytes=0-3")])).body, b"none");
}

/// Alice got the page of those who are nobody.
#[test]
fn a_variant_by_cookie_that_is_too_long_is_its_owners() {
    for (status, length) in [(200, None), (200, Some("70000")), (503, None)] {
        let world = with_rule(Rule { max_body_bytes: 3, ..Rule::default() }, move |_, fields| {
            let who = joined(fields, "cookie").unwrap_or_else(|| "none".to_owned());
            let mut said = vec![MINUTE, ("vary", "cookie")];
            said.extend(length.map(|length| ("content-length", length)));
            response(status, &said, &who.repeat(70_000 / who.len()))
        });
        for cookie in ["a=01", "a=02", "a=01"] {
            let got = world.ask(get("/", &[("cookie", cookie)]));
            assert_eq!((got.status.as_u16(), &got.body[..4]), (status, cookie.as_bytes()), "{length:?}");
        }
        assert_eq!(&world.ask(get("/", &[])).body[..4], b"none");
    }
}

#[test]
fn a_client_s_reload_is_ignored_where_the_rule_says_so() {
    let world = with_rule(Rule { reload: Reload::Ignore, ..Rule::default() }, |count, _| {
        response(200, &[MINUTE], &count.to_string())
    });
    for line in ["", "no-cache", "max-age=0", "min-fresh=100"] {
        assert_eq!(world.ask(get("/", &[("cache-control", line)])).body, b"1", "{line}");
    }
}

// Sharing

#[test]
fn those_who_ask_for_the_same_share_a_trip_and_those_who_don_t_do_not() {
    let flight = |rule: &Rule, asked: Request| {
        let mut exchange = Exchange::<()>::new(Rc::new(rule.clone()), asked);
        match exchange.handle_stored(None, 0) {
            Decision::Fetch(fetch) => fetch.flight().cloned(),
            other => panic!("{other:?}"),
        }
    };
    let rule = Rule::default();
    let plain = flight(&rule, get("/", &[]));
    assert!(plain.is_some());
    for same in [
        vec![("accept", "x")],
        vec![("cookie", "a=b")],
        vec![("if-none-match", "x")],
        vec![("cache-control", "no-cache")],
    ] {
        assert_eq!(flight(&rule, get("/", &same)), plain, "{same:?}");
    }
    assert_eq!(flight(&rule, request(Method::HEAD, "/", &[])), plain, "a HEAD asks by GET");
    assert_ne!(flight(&rule, get("/", &[("range", "bytes=0-1")])), plain);
    assert_eq!(flight(&rule, get("/", &[("range", "bytes=0-1")])), flight(&rule, get("/", &[("range", "bytes=0-1")])));
    assert_ne!(flight(&rule, get("/?a", &[])), plain);
    for alone in [vec![("authorization", "x")], vec![("if-match", "x")], vec![("cache-control", "no-store")]] {
        assert_eq!(flight(&rule, get("/", &alone)), None, "{alone:?}");
    }
    assert_eq!(flight(&rule, request(Method::POST, "/", &[])), None);
}

#[test]
fn a_follower_gets_what_the_leader_brought_if_it_is_for_it() {
    let world = world(|_, _| response(200, &[MINUTE, ("vary", "x")], "body"));
    let start = |x: &str| {
        let mut exchange = Exchange::new(world.rule.clone(), get("/", &[("x", x)]));
        match exchange.handle_stored(None, world.now()) {
            Decision::Fetch(fetch) => (exchange, fetch),
            other => panic!("{other:?}"),
        }
    };
    let (_, mut leading) = start("1");
    let (mut same, _) = start("1");
    let (mut other, _) = start("2");
    let (outcome, _) = world.run(&mut leading);
    let found = world.found(leading.key());
    let Decision::Answer(answer) = same.handle_outcome(&outcome, false, found.as_ref(), world.now()) else { panic!() };
    assert!(joined(&answer.to_fields(), "cache-status").unwrap().contains("collapsed"));
    let Decision::Fetch(fetch) = other.handle_outcome(&outcome, false, found.as_ref(), world.now()) else { panic!() };
    assert_ne!(fetch.flight(), leading.flight(), "its variant has a trip of its own");
}

#[test]
fn followers_of_what_has_to_be_validated_each_time_ask_for_themselves() {
    let world = world(|_, _| response(200, &[("cache-control", "no-cache"), TAG], "body"));
    let mut follower = Exchange::new(world.rule.clone(), get("/", &[]));
    let Decision::Fetch(mut fetch) = follower.handle_stored(None, world.now()) else { panic!() };
    let (outcome, _) = world.run(&mut fetch);
    let found = world.found(fetch.key());
    let Decision::Fetch(own) = follower.handle_outcome(&outcome, false, found.as_ref(), world.now()) else { panic!() };
    assert!(own.flight().is_none() && own.head().fields.contains_key("if-none-match"));
}

#[test]
fn a_lost_leader_is_followed_by_another_and_at_last_by_a_trip_of_ones_own() {
    let world = world(|_, _| response(200, &[MINUTE], "body"));
    let mut exchange = Exchange::<super::world::Bytes>::new(world.rule.clone(), get("/", &[]));
    let mut decision = exchange.handle_stored(None, world.now());
    let mut shared = 0;
    for _ in 0..10 {
        let Decision::Fetch(fetch) = &decision else { panic!() };
        if fetch.flight().is_none() {
            break;
        }
        shared += 1;
        decision = exchange.handle_lost(None, world.now());
    }
    assert_eq!(shared, 3);
}

// Bodies

#[test]
fn a_body_that_breaks_off_or_is_too_long_is_not_stored() {
    let short = world(|_, _| response(200, &[MINUTE, ("content-length", "10")], "body"));
    assert_eq!(short.ask(get("/", &[])).status, 502);
    assert!(short.store.borrow().is_empty());
    let long = with_rule(Rule { max_body_bytes: 3, ..Rule::default() }, |_, _| response(200, &[MINUTE], "body"));
    let got = long.ask(get("/", &[]));
    assert_eq!((got.status.as_u16(), got.body.as_slice()), (200, &b"body"[..]));
    assert!(got.field("cache-status").unwrap().contains("detail=too-large"));
    assert!(long.store.borrow().values().all(|target| target.variants().is_empty()));
}

#[test]
fn what_is_too_long_to_be_kept_is_as_long_as_the_origin_says() {
    let rule = || Rule { max_body_bytes: 3, ..Rule::default() };
    for (status, fields) in [(200, vec![MINUTE]), (503, vec![])] {
        let body = "b".repeat(70_000);
        let announced = world_of(rule(), status, [&fields[..], &[("content-length", "70000")]].concat(), &body);
        let length = Some("70000".to_owned());
        let got = announced.ask(get("/", &[]));
        assert_eq!(
            (got.status.as_u16(), got.field("content-length"), got.body.len()),
            (status, length.clone(), 70_000)
        );
        let got = announced.ask(request(Method::HEAD, "/", &[]));
        assert_eq!((got.field("content-length"), got.body.len()), (length, 0));
        let unannounced = world_of(rule(), status, fields, &body);
        let got = unannounced.ask(get("/", &[]));
        assert_eq!((got.field("content-length"), got.body.len()), (None, 70_000));
    }
}

fn world_of(rule: Rule, status: u16, fields: Vec<(&'static str, &'static str)>, body: &str) -> World {
    let body = body.to_owned();
    with_rule(rule, move |_, _| response(status, &fields, &body))
}

/// What was asked for whole was answered with what was missing of it, under the range of what was stored.
#[test]
fn what_would_be_too_long_is_not_completed_from_a_stored_part() {
    for total in ["10", "*"] {
        let rule = Rule { max_body_bytes: 8, ..Rule::default() };
        let world = with_rule(rule, move |_, fields| {
            let range = fields.get("range").map(|value| value.to_str().unwrap().to_owned());
            let (start, end) = match range.as_deref() {
                None => return response(200, &[MINUTE, TAG, ("content-length", "10")], "0123456789"),
                Some("bytes=0-2") => (0, 3),
                Some("bytes=3-") => (3, 10),
                other => panic!("{other:?}"),
            };
            let part = format!("bytes {start}-{}/{total}", end - 1);
            response(206, &[MINUTE, TAG, ("content-range", &part)], &"0123456789"[start..end])
        });
        assert_eq!(world.ask(get("/", &[("range", "bytes=0-2")])).body, b"012");
        for _ in 0..2 {
            let got = world.ask(get("/", &[]));
            assert_eq!((got.status.as_u16(), got.field("content-range")), (200, None), "of {total}");
            assert_eq!((got.field("content-length"), got.body.as_slice()), (Some("10".into()), &b"0123456789"[..]));
        }
    }
}

/// Where all that is being read at the same time leaves no room.
#[test]
fn what_was_to_complete_a_part_and_finds_no_room_is_asked_for_whole() {
    let rule = Rc::new(Rule::default());
    let part = map(&[MINUTE, TAG, ("content-range", "bytes 0-2/10")]);
    let rest = map(&[MINUTE, TAG, ("content-range", "bytes 3-9/10")]);
    let mut exchange = Exchange::new(rule.clone(), get("/", &[("range", "bytes=0-2")]));
    let Decision::Fetch(mut fetch) = exchange.handle_stored(None, 0) else { panic!() };
    let Progress::Read(_) = fetch.handle_response(ResponseHead { status: 206, fields: part, damaged: false }, 0, 0)
    else {
        panic!()
    };
    fetch.handle_body(Rc::new(b"012".to_vec()), 3, 0);
    let target = fetch.poll_change().unwrap().apply(None, 0);
    let mut exchange = Exchange::new(rule, get("/", &[]));
    let Decision::Fetch(mut fetch) = exchange.handle_stored(target.as_ref(), 0) else { panic!() };
    assert_eq!(fetch.head().fields.get("range").unwrap(), "bytes=3-");
    let Progress::Read(_) = fetch.handle_response(ResponseHead { status: 206, fields: rest, damaged: false }, 0, 0)
    else {
        panic!()
    };
    let outcome = fetch.handle_too_long(0);
    let Decision::Fetch(own) = exchange.handle_outcome(&outcome, true, target.as_ref(), 0) else { panic!() };
    assert!(own.flight().is_none() && !own.head().fields.contains_key("range"));
}

#[test]
fn an_answer_may_begin_while_its_body_is_read() {
    let rule = Rc::new(Rule::default());
    let mut exchange = Exchange::<()>::new(rule, get("/", &[("range", "bytes=1-2")]));
    let Decision::Fetch(mut fetch) = exchange.handle_stored(None, 0) else { panic!() };
    let fields = map(&[MINUTE, TAG, ("content-length", "4")]);
    let Progress::Read(filling) = fetch.handle_response(ResponseHead { status: 200, fields, damaged: false }, 0, 0)
    else {
        panic!()
    };
    assert_eq!(filling.expected, Some(4));
    let answer = exchange.handle_filling(&filling, true, 0).unwrap();
    assert_eq!((answer.status.as_u16(), answer.content), (206, Content::Filling(1..3)));
}

#[test]
fn the_weight_of_a_target_counts_everything_that_it_holds() {
    let tag = "t".repeat(1_000);
    let fields = [("cache-control", "max-age=60"), ("cache-tag", "x"), ("y", "z")];
    let world = world(move |count, _| {
        if count == 1 { response(200, &fields, "body") } else { response(200, &[MINUTE, ("cache-tag", &tag)], "body") }
    });
    let weight = |target: &str| {
        world.ask(get(target, &[]));
        let key = Exchange::<super::world::Bytes>::new(world.rule.clone(), get(target, &[])).key().unwrap().clone();
        world.found(&key).unwrap().weight(|body| body.len())
    };
    let (small, tagged) = (weight("/a"), weight("/b"));
    assert!(small > 300 && tagged > small + 1_700, "{small} {tagged}");
}

#[test]
fn a_soft_purge_makes_all_variants_stale_and_leaves_their_windows() {
    let swr = [("cache-control", "max-age=60, stale-while-revalidate=30")];
    let count = Rc::new(Cell::new(0));
    let counter = count.clone();
    let world = world(move |n, _| {
        counter.set(n);
        response(200, &swr, &n.to_string())
    });
    world.ask(get("/", &[]));
    world.pass(10_000);
    let (key, target) = world.store.borrow().iter().next().map(|(key, target)| (key.clone(), target.clone())).unwrap();
    world.store.borrow_mut().insert(key, target.soften(world.now()));
    world.pass(1_000);
    let stale = world.ask(get("/", &[]));
    assert_eq!(
        (stale.body.as_slice(), stale.field("cache-status").unwrap()),
        (&b"1"[..], "nearcache; hit; ttl=-1".into())
    );
    assert_eq!(count.get(), 2, "it is renewed behind");
}
