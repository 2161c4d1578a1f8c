//! Purges by URL, whatever the rules put into keys, and what keys tell apart.

use ::http::Method;
use nearcache::http::exchange::{Decision, Exchange, Fetch, Key, Progress, PurgedUrl, Request, ResponseHead};
use nearcache::http::rule::{Purge, Rule, Rules};

use crate::world::{World, get, joined, map, response};

/// The key of a URL under its rule, as a browser with these fields asks for it.
fn key(rules: &Rules, url: &str, fields: &[(&str, &str)]) -> Key {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (host, target) = rest.split_at(rest.find('/').unwrap());
    let request = Request { scheme: scheme.to_owned(), host: host.to_owned(), ..get(target, fields) };
    let exchange = Exchange::<()>::new(rules.resolve(host, target), request);
    exchange.key().unwrap().clone()
}

fn rules(json: &str) -> Rules {
    Rules::from_json(Rule::default(), json).unwrap()
}

#[test]
fn http_and_https_share_no_key_whatever_the_port() {
    // `https://e.test:8443/x` was answered with what `http://e.test:8443/x` had brought.
    let rules = [rules("{}"), rules(r#"{ "defaults": { "key": { "anyHost": true, "device": true } } }"#)];
    for rules in &rules {
        let urls = ["http://e.test/x", "https://e.test/x"];
        let ports = ["http://e.test:8443/x", "https://e.test:8443/x", "https://e.test:80/x", "http://e.test:443/x"];
        for one in urls.iter().chain(&ports) {
            for other in urls.iter().chain(&ports) {
                let scheme = |url: &str| url.split(':').next().unwrap().to_owned();
                let same = key(rules, one, &[]) == key(rules, other, &[]);
                assert!(!same || scheme(one) == scheme(other), "{one} and {other}");
            }
        }
    }
}

#[test]
fn a_purge_by_url_concerns_its_scheme_or_both_of_its_port() {
    let rules = rules("{}");
    let concerned = |purged: &str| -> Vec<&str> {
        let urls = ["http://e.test/x", "https://e.test/x", "http://e.test:8443/x", "https://e.test:8443/x"];
        let purged = PurgedUrl::new(&rules, purged);
        let of = |keys: &[Key; 2], url: &str| keys.contains(&key(&rules, url, &[]));
        let concerned: Vec<_> = urls.into_iter().filter(|url| purged.concerns(&key(&rules, url, &[]))).collect();
        if let Some(keys) = purged.keys() {
            let named: Vec<_> = urls.into_iter().filter(|url| of(&keys, url)).collect();
            assert_eq!(named, concerned, "keys that can be told without looking are those that it concerns");
        }
        concerned
    };
    assert_eq!(concerned("e.test/x"), ["https://e.test/x"]);
    assert_eq!(concerned("e.test:80/x"), ["http://e.test/x"]);
    assert_eq!(concerned("e.test:8443/x"), ["http://e.test:8443/x", "https://e.test:8443/x"]);
    assert_eq!(concerned("/x").len(), 4);
    assert!(concerned("other.test/x").is_empty() && concerned("e.test/y").is_empty());
}

#[test]
fn a_purge_by_the_url_that_was_asked_for_meets_what_its_rule_makes_of_the_query() {
    // With a rule for the query, a purge of the very URL that was asked for was in vain.
    let rules = rules(
        r#"{ "rules": [{ "host": ["a.test", "*.b.test"], "path": "/x", "key": { "query": { "sort": true, "drop": ["utm_*"] } } }] }"#,
    );
    let asked = "/x?b=2&a=1&utm_x=3";
    for (host, as_it_is) in [("a.test", false), ("www.b.test", false), ("c.test", true)] {
        let key = key(&rules, &format!("https://{host}{asked}"), &[]);
        assert_eq!(key.as_str().ends_with(asked), as_it_is);
        for url in [format!("{host}{asked}"), asked.to_owned(), key.as_str().to_owned()] {
            assert!(PurgedUrl::new(&rules, &url).concerns(&key), "{url}, {key:?}");
        }
        assert!(!PurgedUrl::new(&rules, &format!("{host}/x?a=2&b=1")).concerns(&key));
        assert!(!PurgedUrl::new(&rules, "/x?a=2&b=1").concerns(&key));
    }
}

#[test]
fn a_purge_by_url_meets_keys_without_a_host_by_the_name_that_they_have() {
    let rules = rules(r#"{ "rules": [{ "path": "/x", "key": { "anyHost": true } }] }"#);
    let purged = PurgedUrl::new(&rules, "e.test/x");
    assert!(purged.concerns(&key(&rules, "https://e.test/x", &[])));
    // Stores below know it by that name, too: another one marks nothing there.
    assert_eq!(purged.names(), ["/x"]);
    assert_eq!(PurgedUrl::new(&rules, "e.test/y").names(), ["e.test/y"]);
}

/// What a write under a rule of its own purges by URL.
fn purged_by_a_write(rules: &Rules, scheme: &str, fields: &[(&str, &str)]) -> Vec<PurgedUrl> {
    let request = Request { method: Method::POST, scheme: scheme.to_owned(), ..get("/api/x", &[]) };
    let mut exchange = Exchange::<()>::new(rules.resolve("example.com", "/api/x"), request);
    let Decision::Fetch(mut fetch) = exchange.handle_stored(None, 0) else { panic!() };
    let head = ResponseHead { status: 201, fields: map(fields), damaged: false };
    assert!(matches!(fetch.handle_response(head, 0, 0), Progress::Done(_)));
    let urls = |fetch: &mut Fetch<()>| std::iter::from_fn(|| fetch.poll_purge()).collect::<Vec<_>>();
    let url = |purge| match purge {
        Purge::Target(url) => PurgedUrl::new(rules, &url),
        other => panic!("{other:?}"),
    };
    urls(&mut fetch).into_iter().map(url).collect()
}

#[test]
fn a_write_takes_out_targets_under_other_rules_than_its_own() {
    // Their keys were made by the writer's rule, so that those with a device, or without a host, stayed hits.
    let rules = rules(
        r#"{ "rules": [
            { "path": "/feed", "key": { "device": true } },
            { "path": "/page/*", "key": { "anyHost": true } },
            { "path": "/sorted", "key": { "query": { "drop": ["utm_*"] } } },
            { "path": "/api/*", "purges": { "paths": ["/feed", "/page/1", "/sorted"] } }
        ] }"#,
    );
    let phone = [("user-agent", "iPhone")];
    for scheme in ["https", "http"] {
        let purged = purged_by_a_write(&rules, scheme, &[("location", "/feed"), ("content-location", "/page/2")]);
        let is_purged = |target: &str, fields: &[(&str, &str)]| {
            let key = key(&rules, &format!("{scheme}://example.com{target}"), fields);
            purged.iter().any(|purged| purged.concerns(&key))
        };
        for target in ["/feed", "/page/1", "/sorted?utm_a=1", "/page/2"] {
            assert!(is_purged(target, &[]) && is_purged(target, &phone), "{target}");
        }
        assert!(!is_purged("/page/3", &[]) && !is_purged("/sorted?a=1", &[]));
    }
}

#[test]
fn a_write_to_what_has_more_in_its_key_takes_out_all_of_it() {
    let mut rule = Rule::default();
    rule.key.device = true;
    let world = World::new(rule, |head, _| match head.method {
        Method::GET => response(200, &[("cache-control", "max-age=60")], "body"),
        _ => response(204, &[], ""),
    });
    for agent in ["iPhone", "Firefox", "iPad"] {
        world.ask(get("/", &[("user-agent", agent)]));
    }
    assert_eq!(world.store.borrow().len(), 3);
    world.ask(Request { method: Method::PUT, ..get("/", &[("user-agent", "curl")]) });
    assert_eq!(world.store.borrow().len(), 0);
}

#[test]
fn what_came_with_fields_that_are_none_is_nobody_elses() {
    // They were dropped before anything looked at them: `private, x="\x01"`, or a cookie with a control character.
    let fields = || map(&[("cache-control", "max-age=60"), ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT")]);
    let world = World::new(Rule::default(), |_, _| response(200, &[], ""));
    let mut exchange = Exchange::new(world.rule.clone(), get("/", &[]));
    let now = world.now();
    let Decision::Fetch(mut fetch) = exchange.handle_stored(None, now) else { panic!() };
    let head = ResponseHead { status: 200, fields: fields(), damaged: true };
    let Progress::Done(outcome) = fetch.handle_response(head, now, now) else { panic!("it is not to be stored") };
    while let Some(change) = fetch.poll_change() {
        world.apply(change);
    }
    let found = world.found(fetch.key());
    assert!(found.as_ref().unwrap().variants().is_empty());
    let Decision::Answer(answer) = exchange.handle_outcome(&outcome, true, found.as_ref(), now) else { panic!() };
    assert_eq!(
        joined(&answer.to_fields(), "cache-status").unwrap(),
        "nearcache; fwd=uri-miss; fwd-status=200; detail=damaged"
    );
}

#[test]
fn a_304_with_fields_that_are_none_makes_nothing_fresh() {
    // It might have said that it is one client's from now on.
    let old = &[("cache-control", "max-age=1"), ("etag", "\"1\"")];
    let world = World::new(Rule::default(), |_, _| response(200, old, "body"));
    world.ask(get("/", &[]));
    world.pass(10_000);
    let mut exchange = Exchange::new(world.rule.clone(), get("/", &[]));
    let found = exchange.key().and_then(|key| world.found(key));
    let Decision::Fetch(mut fetch) = exchange.handle_stored(found.as_ref(), world.now()) else { panic!() };
    assert!(joined(&fetch.head().fields, "if-none-match").is_some());
    let head = ResponseHead { status: 304, fields: map(&[("etag", "\"1\"")]), damaged: true };
    assert!(matches!(fetch.handle_response(head, world.now(), world.now()), Progress::SendAgain));
    assert_eq!(joined(&fetch.head().fields, "if-none-match"), None);
}
