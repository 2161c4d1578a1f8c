//! What somebody could do with requests or answers to a cache's owner or its other clients, and that it does not work. Each test is named after
//! the attack or the fault; the letters are those of the review that found them.

use std::rc::Rc;

use ::http::{HeaderMap, Method};
use nearcache::http::exchange::{Decision, Exchange, Failure, FetchOutcome, Request};
use nearcache::http::rule::{Rule, UNKEYED_FIELDS};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::world::{Bytes, Reply, World, get, joined, response};

const MINUTE: (&str, &str) = ("cache-control", "max-age=60");

fn world(mut origin: impl FnMut(&HeaderMap, u32) -> Reply + 'static) -> World {
    let mut count = 0;
    World::new(Rule::default(), move |head, _| {
        count += 1;
        origin(&head.fields, count)
    })
}

fn calls(world: &World) -> usize {
    world.asked.borrow().len()
}

fn forced(fields: &[(&'static str, &'static str)]) -> Request {
    let mut all = vec![("cache-control", "no-cache")];
    all.extend(fields);
    get("/", &all)
}

/// An exchange that has to go to the origin, and its trip.
fn start(world: &World, request: Request) -> (Exchange<Bytes>, Box<nearcache::http::exchange::Fetch<Bytes>>) {
    let mut exchange = Exchange::new(world.rule.clone(), request);
    let found = exchange.key().and_then(|key| world.found(key));
    match exchange.handle_stored(found.as_ref(), world.now()) {
        Decision::Fetch(fetch) => (exchange, fetch),
        other => panic!("{other:?}"),
    }
}

fn answered(decision: Decision<Bytes>) -> nearcache::http::exchange::ClientResponse<Bytes> {
    match decision {
        Decision::Answer(answer) => answer,
        other => panic!("{other:?}"),
    }
}

// D1

#[test]
fn d1_a_reload_that_makes_the_origin_fail_throws_nothing_away() {
    let answers: &[(u16, &[(&str, &str)])] = &[
        (400, &[]),
        (403, &[]),
        (404, &[]),
        (429, &[]),
        (500, &[]),
        (200, &[("cache-control", "no-store")]),
        (200, &[("cache-control", "private")]),
        (200, &[("cache-control", "max-age=60"), ("set-cookie", "a=b")]),
        (200, &[("vary", "*")]),
        (200, &[("cache-control", "no-cache"), ("etag", "\"evil\"")]),
        (200, &[("cache-control", "max-age=0"), ("etag", "\"evil\"")]),
        (404, &[("cache-control", "max-age=600")]),
        (503, &[("cache-control", "max-age=600")]),
        (302, &[("location", "/login")]),
    ];
    for (status, fields) in answers {
        let world = world(move |asked, _| match asked.contains_key("x-evil") {
            true => response(*status, fields, "evil"),
            false => response(200, &[MINUTE], "good"),
        });
        world.ask(get("/", &[]));
        for _ in 0..10 {
            world.ask(forced(&[("x-evil", "1")]));
            world.pass(1_000);
        }
        let before = calls(&world);
        for _ in 0..10 {
            let victim = world.ask(get("/", &[]));
            assert_eq!((victim.status.as_u16(), victim.body.as_slice()), (200, &b"good"[..]), "{status} {fields:?}");
        }
        assert_eq!(calls(&world), before, "{status} {fields:?}: every victim is a hit");
    }
}

#[test]
fn d1_reloads_reach_the_origin_once_a_second_for_each_target() {
    let world = world(|_, count| response(200, &[MINUTE], &count.to_string()));
    world.ask(get("/", &[]));
    for line in ["no-cache", "max-age=0", "max-age=0, no-cache", "min-fresh=600"] {
        for _ in 0..50 {
            world.ask(get("/", &[("cache-control", line)]));
            world.pass(5);
        }
    }
    assert_eq!(calls(&world), 2);
    world.pass(1_000);
    assert_eq!(world.ask(forced(&[])).body, b"3");
}

#[test]
fn d1_what_a_reload_brings_and_nobody_else_is_to_have_is_its_own() {
    let world = world(|_, count| match count {
        1 => response(200, &[MINUTE], "good"),
        _ => response(404, &[MINUTE], "evil"),
    });
    world.ask(get("/", &[]));
    let got = world.ask(forced(&[]));
    assert_eq!((got.status.as_u16(), got.body.as_slice()), (404, &b"evil"[..]));
    assert_eq!(got.field("cache-status").unwrap(), "nearcache; fwd=request; fwd-status=404; detail=usable-one-kept");
}

#[test]
fn d1_credentials_and_a_304_throw_nothing_away() {
    let world = world(|asked, _| match asked.contains_key("if-none-match") {
        true => response(304, &[("etag", "\"a\"")], ""),
        false => response(200, &[MINUTE, ("etag", "\"a\"")], "good"),
    });
    world.ask(get("/", &[]));
    assert_eq!(world.ask(forced(&[("authorization", "Basic x")])).body, b"good");
    assert_eq!(calls(&world), 2);
    assert_eq!(world.ask(get("/", &[])).field("via").unwrap(), "1.1 nearcache");
    assert_eq!(calls(&world), 2, "it is still there");
}

// D2

#[test]
fn d2_a_refresh_that_is_refused_leaves_the_stale_answer_where_it_is() {
    let sie = [("cache-control", "max-age=60, stale-if-error=600")];
    for status in [403, 404, 408, 429, 500, 502, 503, 504] {
        let world = world(move |_, count| match count {
            1 => response(200, &sie, "good"),
            2 => response(status, &[], "refused"),
            _ => Reply::Failure(Failure::TimedOut(30_000)),
        });
        world.ask(get("/", &[]));
        world.pass(61_000);
        let first = world.ask(get("/", &[]));
        if status != 403 && status != 404 {
            assert_eq!(first.body, b"good", "{status} is a failure of the moment");
        }
        assert_eq!(world.ask(get("/", &[])).body, b"good", "{status}: it is still there");
    }
}

#[test]
fn d2_retry_after_is_heeded() {
    let world = world(|_, count| match count {
        1 => response(429, &[("retry-after", "7")], "slow down"),
        _ => response(200, &[MINUTE], "good"),
    });
    for (passes, seconds) in [(0, "7"), (0, "7"), (5_000, "2")] {
        world.pass(passes);
        let got = world.ask(get("/", &[]));
        assert_eq!((got.status.as_u16(), got.body.as_slice()), (429, &b"slow down"[..]));
        assert_eq!(got.field("retry-after").unwrap(), seconds);
    }
    assert_eq!(calls(&world), 1);
    world.pass(2_000);
    assert_eq!(world.ask(get("/", &[])).body, b"good");
}

#[test]
fn d2_a_retry_after_of_years_is_not() {
    let rule = Rule::default();
    let most = rule.max_backoff_ms;
    let world = world(|_, count| match count {
        1 => response(503, &[("retry-after", "999999999")], "never again"),
        _ => response(200, &[MINUTE], "good"),
    });
    world.ask(get("/", &[]));
    world.pass(most);
    assert_eq!(world.ask(get("/", &[])).body, b"good");
}

// D7, D8

#[test]
fn d7_a_failure_that_one_request_s_fields_may_have_caused_is_not_everybody_s() {
    let world = world(|asked, _| match asked.contains_key("x-oversized") {
        true => response(503, &[("retry-after", "60")], "evil"),
        false => response(200, &[MINUTE], "good"),
    });
    let (_, mut attack) = start(&world, get("/", &[("x-oversized", "1")]));
    let mut victims: Vec<_> = (0..5).map(|_| start(&world, get("/", &[]))).collect();
    assert!(victims.iter().all(|(_, fetch)| fetch.flight() == attack.flight()), "they wait for the attacker's");
    let (outcome, _) = world.run(&mut attack);
    assert!(matches!(outcome, FetchOutcome::Failed(_)));
    for (victim, _) in &mut victims {
        let key = victim.key().unwrap().clone();
        match victim.handle_outcome(&outcome, false, world.found(&key).as_ref(), world.now()) {
            Decision::Fetch(mut own) => {
                let (outcome, _) = world.run(&mut own);
                let found = world.found(&key);
                let answer = answered(victim.handle_outcome(&outcome, true, found.as_ref(), world.now()));
                assert_eq!(answer.status, 200);
            }
            Decision::Answer(answer) => assert_eq!(answer.status, 200),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(world.ask(get("/", &[])).body, b"good", "and nothing is remembered against those who come later");
}

#[test]
fn d7_an_error_that_one_request_s_fields_may_have_brought_is_not_stored() {
    let nothing = Rule::default;
    let ttl = || Rule { ttl_ms: Some(3_600_000), ..Rule::default() };
    let by_status = || Rule { status_ttl_ms: vec![(400..=599, 10_000)], ..Rule::default() };
    let large = "!".repeat(9_000);
    let odd =
        [("x-odd", large.as_str()), ("x-odd", "1"), ("x-odd", "\u{e4}"), ("accept", large.as_str()), ("range", "x")];
    let said: [(&str, &str); 2] = [MINUTE, ("last-modified", "Fri, 21 Nov 2025 00:00:00 GMT")];
    for (rule, fields) in [(ttl(), &[][..]), (by_status(), &[]), (nothing(), &said[..1]), (nothing(), &said[1..])] {
        for (name, value) in odd {
            for status in [400, 403, 404, 405, 410, 414, 500, 501] {
                if !fields.is_empty() && value.len() == 1 {
                    continue; // The origin says that it lasts, and does not vary by it.
                }
                let fields: Vec<(&'static str, &'static str)> = fields.to_vec();
                let world = World::new(rule.clone(), move |head, _| {
                    let asked = &head.fields;
                    match asked.contains_key("x-odd") || asked.contains_key("range") || asked["accept"].len() > 9 {
                        true => response(status, &fields, "evil"),
                        false => response(200, &[MINUTE], "good"),
                    }
                });
                let got = world.ask(get("/", &[(name, value)]));
                let told = format!("{status} {name} {} {:?}", value.len(), got.field("cache-status"));
                assert_eq!(got.status.as_u16(), status, "{told}");
                assert_eq!(world.ask(get("/", &[("accept", "*/*")])).body, b"good", "{told}");
            }
        }
    }
}

#[test]
fn d7_fields_that_an_error_is_for_alone_don_t_keep_it_from_being_stored() {
    let status_ttl_ms = vec![(404..=404, 10_000)];
    let mut rule = Rule { status_ttl_ms, ..Rule::default() };
    rule.key.fields = vec!["x-version".parse().unwrap()];
    rule.key.cookies = vec!["theme".to_owned()];
    rule.key.device = true;
    rule.request_fields.set = vec![("x-secret".parse().unwrap(), "1".parse().unwrap())];
    rule.error_backoff_ms = 10_000;
    for (status, vary) in [(404, "x-kind"), (503, "accept")] {
        let world = World::new(rule.clone(), move |_, _| response(status, &[("vary", vary)], "none"));
        let kind = if status == 404 { ("x-kind", "1") } else { ("accept", "*/*") };
        for _ in 0..3 {
            let asked = [kind, ("x-version", "2"), ("cookie", "a=b; theme=dark"), ("x-secret", "2"), ("x-device", "3")];
            assert_eq!(world.ask(get("/", &asked)).status.as_u16(), status);
        }
        assert_eq!(calls(&world), 1, "{status}");
    }
}

#[test]
fn d7_victims_try_a_few_times_and_no_more() {
    let world = world(|_, _| response(503, &[], "down"));
    let (mut victim, _) = start(&world, get("/", &[]));
    for _ in 0..10 {
        let (_, mut attack) = start(&world, get("/", &[("x-oversized", "1")]));
        let (outcome, _) = world.run(&mut attack);
        if let Decision::Answer(answer) = victim.handle_outcome(&outcome, false, None, world.now()) {
            return assert_eq!(answer.status, 503);
        }
    }
    panic!("it tries for ever");
}

#[test]
fn d8_followers_get_the_origin_s_error_page_and_when_to_come_again() {
    let world = world(|_, _| response(503, &[("retry-after", "9"), ("content-type", "text/x")], "back soon"));
    let (mut leader, mut fetch) = start(&world, get("/", &[]));
    let (mut follower, _) = start(&world, get("/", &[]));
    let (outcome, _) = world.run(&mut fetch);
    for (exchange, led) in [(&mut leader, true), (&mut follower, false)] {
        let answer = answered(exchange.handle_outcome(&outcome, led, None, world.now()));
        let got = super::world::receive(answer, Vec::new());
        assert_eq!((got.status.as_u16(), got.body.as_slice()), (503, &b"back soon"[..]), "led: {led}");
        assert_eq!(
            (got.field("retry-after").unwrap(), got.field("content-type").unwrap()),
            ("9".into(), "text/x".into())
        );
    }
}

#[test]
fn d8_an_error_page_for_another_variant_is_not_a_follower_s() {
    let world = world(|_, _| response(503, &[("vary", "accept-language")], "bald wieder da"));
    let (_, mut fetch) = start(&world, get("/", &[("accept-language", "de")]));
    let (mut follower, _) = start(&world, get("/", &[("accept-language", "en")]));
    let (outcome, _) = world.run(&mut fetch);
    let answer = answered(follower.handle_outcome(&outcome, false, None, world.now()));
    assert_eq!(answer.status, 503);
    assert_ne!(super::world::receive(answer, Vec::new()).body, b"bald wieder da");
}

#[test]
fn d8_an_error_page_that_is_one_client_s_reaches_nobody_else() {
    for line in ["private", "no-store"] {
        let world = world(move |_, _| response(503, &[("cache-control", line)], "dear Alice"));
        let (_, mut fetch) = start(&world, get("/", &[]));
        let (mut follower, _) = start(&world, get("/", &[]));
        let (outcome, _) = world.run(&mut fetch);
        let found = world.found(fetch.key());
        let decision = follower.handle_outcome(&outcome, false, found.as_ref(), world.now());
        assert!(matches!(decision, Decision::Fetch(_)), "{line}");
    }
}

#[test]
fn d8_an_error_page_that_one_request_s_fields_may_have_brought_reaches_nobody_else_however_many_wait() {
    // Four with keys of their own: the fourth got the third one's page.
    for (status, theirs, words) in [(500, 503, "500"), (429, 503, "429"), (504, 503, "504")] {
        let world = world(move |asked, _| {
            response(status, &[("retry-after", "90")], &format!("dear {}", joined(asked, "x-api-key").unwrap()))
        });
        let clients = ["ann", "bob", "cyd", "dan", "eve"];
        let mut waiting: Vec<_> =
            clients.iter().map(|key| (*key, start(&world, get("/", &[("x-api-key", key)])))).collect();
        let (mut own, mut others) = (0, 0);
        while !waiting.is_empty() {
            let (outcome, body) = world.run(&mut waiting[0].1.1);
            let mut still = Vec::new();
            for (position, (key, (mut exchange, _))) in waiting.into_iter().enumerate() {
                let decision = exchange.handle_outcome(&outcome, position == 0, None, world.now());
                match decision {
                    Decision::Fetch(fetch) => still.push((key, (exchange, fetch))),
                    other => {
                        let got = super::world::receive(answered(other), body.clone());
                        let text = String::from_utf8(got.body.clone()).unwrap();
                        if position == 0 {
                            own += 1;
                            assert_eq!((got.status.as_u16(), text), (status, format!("dear {key}")));
                        } else {
                            others += 1;
                            assert_eq!((got.status.as_u16(), got.field("retry-after")), (theirs, None), "{key}");
                            assert!(text.contains(words) && !text.contains("dear"), "{key}: {text}");
                        }
                    }
                }
            }
            waiting = still;
        }
        assert_eq!((own, others), (3, 2), "each tries three times at most");
    }
}

// D13

#[test]
fn d13_ranges_reloads_and_heads_of_a_cold_target_share_one_trip() {
    let world = world(|_, _| response(200, &[MINUTE], "body"));
    let plain = start(&world, get("/", &[])).1.flight().cloned();
    for fields in [[("cache-control", "no-cache")], [("cache-control", "\"garbled")], [("if-none-match", "\"a\"")]] {
        let flight = start(&world, get("/", &fields)).1.flight().cloned();
        if fields[0].1 != "\"garbled" {
            assert_eq!(flight, plain, "{fields:?}");
        }
    }
    let head = Request { method: Method::HEAD, ..get("/", &[]) };
    assert_eq!(start(&world, head).1.flight().cloned(), plain);
    let ranged = |range| start(&world, get("/", &[("range", range)])).1.flight().cloned();
    assert!(ranged("bytes=0-1").is_some() && ranged("bytes=0-1") == ranged("bytes=0-1"));
}

// D14, D21

#[test]
fn d14_no_unkeyed_field_that_poisons_reaches_the_origin() {
    let world = world(|_, _| response(200, &[MINUTE], "body"));
    let names = [
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-scheme",
        "x-forwarded-port",
        "x-forwarded-for",
        "x-forwarded-prefix",
        "x-forwarded-server",
        "forwarded",
        "x-host",
        "x-original-url",
        "x-rewrite-url",
        "x-original-host",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "true-client-ip",
        "x-real-ip",
        "cookie",
        "proxy-authorization",
    ];
    let fields: Vec<_> = names.iter().map(|name| (*name, "evil")).collect();
    world.ask(get("/", &fields));
    let asked = world.asked.borrow()[0].fields.clone();
    for name in names {
        assert!(!asked.contains_key(name), "{name}");
    }
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(UNKEYED_FIELDS.is_sorted());
}

#[test]
fn d14_a_post_keeps_its_method_override_and_no_forged_host() {
    let world = world(|_, _| response(200, &[], "body"));
    let fields = [("x-http-method-override", "PUT"), ("x-forwarded-host", "evil"), ("cookie", "a=b")];
    world.ask(Request { method: Method::POST, ..get("/", &fields) });
    let asked = world.asked.borrow()[0].fields.clone();
    assert_eq!(joined(&asked, "x-http-method-override").unwrap(), "PUT");
    assert!(asked.contains_key("cookie") && !asked.contains_key("x-forwarded-host"));
}

#[test]
fn d21_the_page_that_a_cookie_brought_is_not_everybody_s() {
    // The origin forgets `private`, and answers by the cookie.
    let world = world(|asked, _| {
        let cookie = joined(asked, "cookie").unwrap_or_else(|| "nobody".to_owned());
        response(200, &[MINUTE], &cookie)
    });
    assert_eq!(world.ask(get("/", &[("cookie", "alice")])).body, b"nobody");
    assert_eq!(world.ask(get("/", &[("cookie", "bob")])).body, b"nobody");
    assert_eq!(calls(&world), 1);
}

#[test]
fn d21_a_client_gets_what_is_its_own_by_its_cookie() {
    let world = world(|asked, _| match joined(asked, "cookie") {
        Some(cookie) => response(200, &[("cache-control", "private")], &cookie),
        None => response(302, &[("location", "/login")], ""),
    });
    for (asked, client) in ["alice", "bob", "alice"].into_iter().enumerate() {
        assert_eq!(world.ask(get("/", &[("cookie", client)])).body, client.as_bytes());
        assert_eq!(calls(&world), asked + 2, "asked without a cookie once, to find out");
    }
}

#[test]
fn d21_a_page_that_was_asked_for_with_a_cookie_is_its_client_s_unless_it_varies_by_it() {
    // What guests get varies by Cookie; for who is logged in the origin forgets that, and `private`.
    let world = world(|asked, _| match joined(asked, "cookie") {
        Some(cookie) if cookie == "theme=dark" => response(200, &[MINUTE, ("vary", "cookie")], &cookie),
        Some(cookie) if asked.contains_key("if-none-match") => response(304, &[MINUTE, ("vary", "accept")], &cookie),
        Some(cookie) => response(200, &[MINUTE], &cookie),
        None => response(200, &[MINUTE, ("vary", "cookie")], "guest"),
    });
    for _ in 0..2 {
        for client in ["alice", "bob", "theme=dark"] {
            assert_eq!(world.ask(get("/", &[])).body, b"guest");
            assert_eq!(world.ask(get("/", &[("cookie", client)])).body, client.as_bytes());
        }
    }
    assert_eq!(calls(&world), 6, "guests and the theme are hits");
    let got = world.ask(get("/", &[("cookie", "alice")]));
    assert_eq!(got.field("cache-status").unwrap(), "nearcache; fwd=vary-miss; fwd-status=200; detail=cookie");
}

#[test]
fn d21_a_304_that_does_not_vary_by_the_cookie_any_more_makes_nobody_s_page_everybody_s() {
    let world = world(|asked, _| match (joined(asked, "cookie"), asked.contains_key("if-none-match")) {
        (Some(cookie), true) if cookie == "alice" => {
            response(304, &[MINUTE, ("vary", "accept"), ("etag", "\"alice\"")], "")
        }
        (Some(cookie), _) => response(200, &[MINUTE, ("vary", "cookie"), ("etag", &format!("\"{cookie}\""))], &cookie),
        (None, _) => response(200, &[MINUTE, ("vary", "cookie")], "guest"),
    });
    let alice = || world.ask(get("/", &[("cookie", "alice")])).body;
    world.ask(get("/", &[]));
    assert_eq!(alice(), b"alice");
    world.pass(61_000);
    assert_eq!(alice(), b"alice");
    assert_eq!(world.ask(get("/", &[])).body, b"guest");
    assert_eq!(world.ask(get("/", &[("cookie", "bob")])).body, b"bob");
}

// D15, D16, D18, D19

#[test]
fn d15_a_targeted_no_store_is_obeyed() {
    let fields = [MINUTE, ("cdn-cache-control", "no-store")];
    let world = world(move |_, _| response(200, &fields, "body"));
    world.ask(get("/", &[]));
    world.ask(get("/", &[]));
    assert_eq!(calls(&world), 2);
}

#[test]
fn d16_a_status_that_cant_be_passed_on_is_502_and_stale_stands_in_for_nothing() {
    for status in [0, 99, 100, 101, 103, 199, 600, 999, 1000, 65_535] {
        let world = world(move |_, _| response(status, &[MINUTE], "odd"));
        let got = world.ask(get("/", &[]));
        assert_eq!(got.status, 502, "{status}");
        assert!(got.field("cache-status").unwrap().contains("detail=origin-status"), "{status}");
        let post = world.ask(Request { method: Method::POST, ..get("/", &[]) });
        assert_eq!(post.status, 502, "{status}");
    }
    for status in [299, 499, 599] {
        let world = world(move |_, _| response(status, &[MINUTE], "odd"));
        for _ in 0..2 {
            assert_eq!(world.ask(get("/", &[])).status, status);
        }
        assert_eq!(calls(&world), 1);
    }
}

#[test]
fn d18_methods_for_caches_and_proxies_are_not_passed_on() {
    let world = world(|_, _| response(200, &[MINUTE], "body"));
    for method in ["TRACE", "TRACK", "CONNECT", "PURGE", "BAN", "purge"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(world.ask(Request { method: method.clone(), ..get("/", &[]) }).status, 405, "{method}");
    }
    assert_eq!(world.ask(get("/", &[("upgrade", "websocket"), ("connection", "upgrade")])).status, 501);
    assert_eq!(calls(&world), 0);
    let search = Method::from_bytes(b"M-SEARCH").unwrap();
    assert_eq!(world.ask(Request { method: search, ..get("/", &[]) }).status, 200);
}

#[test]
fn d19_an_origin_that_leads_back_here_is_a_loop_that_ends() {
    let world = world(|_, _| response(200, &[MINUTE], "body"));
    let mut fields = map_of(&world, &[]);
    let mut hops = 0;
    while hops < 20 {
        let lines: Vec<(String, String)> =
            fields.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        let lines: Vec<(&str, &str)> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let got = world.ask(get(&format!("/{hops}"), &lines));
        if got.status == 508 {
            break;
        }
        fields = world.asked.borrow().last().unwrap().fields.clone();
        hops += 1;
    }
    assert_eq!(hops, 4);
    assert_eq!(joined(&fields, "via").unwrap().matches("nearcache").count(), 4);
    let other = world.ask(get("/other", &[("cdn-loop", "cdn-a, nearcache-eu;v=1, cdn-b")]));
    assert_eq!(other.status, 200, "others' names are others");
}

fn map_of(_: &World, fields: &[(&str, &str)]) -> HeaderMap {
    super::support::map(fields)
}

// Poisoning by what a response says

#[test]
fn a_field_named_in_connection_hides_nothing_from_the_cache() {
    let world = world(|_, _| {
        response(200, &[MINUTE, ("set-cookie", "a=b"), ("connection", "set-cookie, cache-control")], "body")
    });
    for _ in 0..2 {
        assert_eq!(world.ask(get("/", &[])).field("set-cookie"), None);
    }
    assert_eq!(calls(&world), 2);
}

#[test]
fn another_host_has_other_answers() {
    let world = World::new(Rule::default(), |head, _| response(200, &[MINUTE], &head.host));
    for host in ["example.com", "evil.example", "EXAMPLE.com"] {
        let got = world.ask(Request { host: host.to_owned(), ..get("/", &[]) });
        assert_eq!(got.body, host.to_ascii_lowercase().as_bytes());
    }
    assert_eq!(calls(&world), 2);
}

#[test]
fn no_target_reads_as_another_with_something_in_its_key() {
    let mut rule = Rule::default();
    rule.key.cookies = vec!["theme".to_owned()];
    rule.key.device = true;
    let key = |target: &str, cookie: &str| {
        let request = get(target, &[("cookie", cookie)]);
        Exchange::<Bytes>::new(Rc::new(rule.clone()), request).key().unwrap().clone()
    };
    assert_eq!(key("/", "theme=dark; a=1"), key("/", "b=2; theme=dark"));
    assert_ne!(key("/", "theme=dark"), key("/", "theme=light"));
    assert_ne!(key("/", "theme=dark"), key("/", ""));
    assert!(key("/", "theme=dark").as_str().starts_with("example.com/\u{1}"));
}

#[test]
fn more_fields_than_a_map_holds_end_in_an_answer() {
    // D23: HeaderMap::append panics beyond 24,576 names.
    let mut fields = HeaderMap::new();
    for n in 0..24_000 {
        let name = ::http::HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap();
        if fields.try_append(name, ::http::HeaderValue::from_static("1")).is_err() {
            break;
        }
    }
    let answer = fields.clone();
    let world = World::new(Rule::default(), move |_, _| {
        let mut fields = answer.clone();
        let _ = fields.try_append("cache-control", ::http::HeaderValue::from_static("max-age=60"));
        Reply::Response { status: 200, fields, body: b"body".to_vec(), after: 0 }
    });
    let mut request = get("/", &[]);
    request.fields = fields;
    for _ in 0..2 {
        assert_eq!(world.ask(request.clone()).status, 200);
    }
}
