//! Rules without code.

use nearcache::http::exchange::Exchange;
use nearcache::http::rule::{Compression, Cookies, Purge, Ranges, Reload, Rule, Rules, SetCookie};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::world::get;

fn rules(json: &str) -> Rules {
    Rules::from_json(Rule::default(), json).unwrap_or_else(|error| panic!("{error}"))
}

fn wrong(json: &str) -> String {
    Rules::from_json(Rule::default(), json)
        .map(|rules| panic!("{rules:?}"))
        .map_err(|error| error.to_string())
        .unwrap_err()
}

#[test]
fn everything_that_a_rule_can_say_is_read() {
    let rule = rules(
        r#"{ "rules": [{
            "bypass": true, "compression": "none", "cookies": "forward", "errorBackoff": "2s", "ttl": "1.5h",
            "heuristic": { "percent": 20, "max": "1h" }, "keep": 5, "maxBackoff": "1m", "maxBodyBytes": 9, "maxVariants": 3,
            "key": { "anyHost": true, "query": { "sort": true, "keep": ["a*"], "drop": ["ab"] }, "fields": ["X-Country"], "cookies": ["c"], "device": true },
            "origin": "https://origin.example/base/", "purges": { "tags": ["red"], "paths": ["/x", "/y/*"] }, "ranges": "whole", "reload": "ignore",
            "request": { "remove": ["a"], "set": { "b": "c" } }, "response": { "set": { "d": "e" } }, "setCookie": "drop", "dropFields": [],
            "staleIfError": "1m", "staleIfUnreachable": "2m", "staleWhileRevalidate": "3m", "statusTtl": { "4xx": "1s", "404": "9s", "500-503": 7 },
            "tags": ["t"], "uncacheableTtl": "8s"
        }] }"#,
    )
    .resolve("a.example", "/");
    assert!(
        rule.bypass && rule.key.any_host && rule.key.device && rule.key.query.sort && rule.dropped_fields.is_empty()
    );
    assert_eq!((rule.compression, rule.cookies), (Compression::None, Cookies::Forward));
    assert_eq!((rule.ranges, rule.reload, rule.set_cookie), (Ranges::Whole, Reload::Ignore, SetCookie::Drop));
    assert_eq!(
        (rule.ttl_ms, rule.error_backoff_ms, rule.keep_ms, rule.max_backoff_ms),
        (Some(5_400_000), 2_000, 5, 60_000)
    );
    assert_eq!((rule.heuristic.percent, rule.heuristic.max_ms), (20, 3_600_000));
    assert_eq!((rule.max_body_bytes, rule.max_variants, rule.uncacheable_ttl_ms), (9, 3, 8_000));
    assert_eq!(
        (rule.stale.if_error_ms, rule.stale.if_unreachable_ms, rule.stale.while_revalidate_ms),
        (60_000, 120_000, 180_000)
    );
    assert_eq!(rule.key.query.keep.as_deref().unwrap(), ["a*"]);
    assert_eq!((rule.key.fields[0].as_str(), rule.key.cookies[0].as_str()), ("x-country", "c"));
    assert_eq!(rule.origin.as_deref(), Some("https://origin.example/base"));
    assert_eq!(rule.purges, [Purge::Tag("red".into()), Purge::Target("/x".into()), Purge::Prefix("/y/".into())]);
    assert_eq!(
        (rule.request_fields.remove.len(), rule.request_fields.set.len(), rule.response_fields.set.len()),
        (1, 1, 1)
    );
    let ttl = |status: u16| rule.status_ttl_ms.iter().find(|(range, _)| range.contains(&status)).map(|(_, ttl)| *ttl);
    assert_eq!((ttl(404), ttl(410), ttl(502), ttl(504)), (Some(9_000), Some(1_000), Some(7), None));
    assert_eq!(rule.tags, ["t"]);
}

#[test]
fn a_request_goes_by_the_defaults_and_all_rules_that_match_one_over_the_other() {
    let rules = rules(
        r#"{
            "defaults": { "ttl": "1s", "tags": ["all"] },
            "rules": [
                { "path": "/assets/*", "ttl": "1d", "tags": ["assets"] },
                { "host": ["*.example.com", "Example.com"], "path": ["/assets/private/*", "*.html"], "bypass": true },
                { "host": "example.org", "ttl": null }
            ]
        }"#,
    );
    let of = |host, target| {
        let rule = rules.resolve(host, target);
        (rule.ttl_ms, rule.bypass, rule.tags.len())
    };
    assert_eq!(of("example.com", "/"), (Some(1_000), false, 1));
    assert_eq!(of("example.com", "/assets/a.css"), (Some(86_400_000), false, 2));
    assert_eq!(of("EXAMPLE.COM", "/assets/private/a"), (Some(86_400_000), true, 2));
    assert_eq!(of("a.example.com", "/a.html?x"), (Some(1_000), true, 1));
    assert_eq!(of("a.example.com", "/a?x.html"), (Some(1_000), false, 1), "a query is no path");
    assert_eq!(of("example.org", "/"), (None, false, 1));
    let (once, again) = (rules.resolve("a", "/assets/1"), rules.resolve("b", "/assets/2"));
    assert!(std::rc::Rc::ptr_eq(&once, &again), "what matches the same is put together once");
}

#[test]
fn patterns_match_with_stars_for_anything() {
    let matches = |pattern: &str, path: &str| {
        let rules = rules(&format!(r#"{{ "rules": [{{ "path": {pattern:?}, "bypass": true }}] }}"#));
        rules.resolve("example.com", path).bypass
    };
    for (pattern, path) in [
        ("/", "/"),
        ("/*", "/"),
        ("*", "/a/b"),
        ("/a*c", "/abc"),
        ("/a*b*c", "/a1b2b3c"),
        ("*.css", "/x.css"),
        ("/a**b", "/ab"),
    ] {
        assert!(matches(pattern, path), "{pattern} {path}");
    }
    for (pattern, path) in
        [("/", "/a"), ("/a", "/A"), ("/a*c", "/a"), ("/aa*aa", "/aaa"), ("/a*b*c", "/acb"), ("*.css", "/x.css2")]
    {
        assert!(!matches(pattern, path), "{pattern} {path}");
    }
    let long = format!("/{}", "a".repeat(5_000));
    assert!(!matches(&format!("/{}b", "*a".repeat(200)), &long), "in time");
}

#[test]
fn a_name_that_is_not_known_is_refused_with_the_one_that_was_meant() {
    assert_eq!(wrong(r#"{ "rule": [] }"#), "rule is not known; did you mean rules?");
    assert_eq!(
        wrong(r#"{ "defaults": { "staleIfErorr": 1 } }"#),
        "defaults.staleIfErorr is not known; did you mean staleIfError?"
    );
    // What is like none of them is told all.
    assert!(
        wrong(r#"{ "defaults": { "path": "/" } }"#).starts_with("defaults.path is not known; known are bypass, com")
    );
    assert!(
        wrong(r#"{ "rules": [{ "swr": 1 }] }"#).contains("rules[0].swr is not known; known are host, path, bypass")
    );
    assert_eq!(
        wrong(r#"{ "rules": [{}, { "key": { "querry": {} } }] }"#),
        "rules[1].key.querry is not known; did you mean query?"
    );
    assert_eq!(
        wrong(r#"{ "rules": [{ "heuristic": { "perzent": 1 } }] }"#),
        "rules[0].heuristic.perzent is not known; did you mean percent?"
    );
}

#[test]
fn a_value_that_won_t_do_is_named_with_its_path_and_what_is_allowed() {
    let cases = [
        (r#"[]"#, "the rules"),
        (r#"{ "rules": {} }"#, "rules"),
        (r#"{ "rules": [1] }"#, "rules[0]"),
        (r#"{ "rules": [{ "ttl": "5 minutes" }] }"#, "rules[0].ttl"),
        (r#"{ "rules": [{ "ttl": -1 }] }"#, "rules[0].ttl"),
        (r#"{ "rules": [{ "ttl": 1e300 }] }"#, "rules[0].ttl"),
        (r#"{ "rules": [{ "bypass": "yes" }] }"#, "rules[0].bypass"),
        (r#"{ "rules": [{ "path": "assets" }] }"#, "rules[0].path"),
        (r#"{ "rules": [{ "path": [""] }] }"#, "rules[0].path[0]"),
        (r#"{ "rules": [{ "host": 5 }] }"#, "rules[0].host"),
        (r#"{ "rules": [{ "statusTtl": { "40x": "1s" } }] }"#, "rules[0].statusTtl.40x"),
        (r#"{ "rules": [{ "statusTtl": { "404": "soon" } }] }"#, "rules[0].statusTtl.404"),
        (r#"{ "rules": [{ "statusTtl": { "100": "1s" } }] }"#, "rules[0].statusTtl.100"),
        (r#"{ "rules": [{ "tags": ["a", "ä"] }] }"#, "rules[0].tags[1]"),
        (r#"{ "rules": [{ "key": { "fields": ["a b"] } }] }"#, "rules[0].key.fields[0]"),
        (r#"{ "rules": [{ "key": { "query": { "drop": ["*a"] } } }] }"#, "rules[0].key.query.drop[0]"),
        (r#"{ "rules": [{ "request": { "set": { "a": "b\n" } } }] }"#, "rules[0].request.set.a"),
        (r#"{ "rules": [{ "ranges": "parts" }] }"#, "rules[0].ranges"),
        (r#"{ "rules": [{ "heuristic": true }] }"#, "rules[0].heuristic"),
        (r#"{ "rules": [{ "maxVariants": 2000 }] }"#, "rules[0].maxVariants"),
        (r#"{ "rules": [{ "maxVariants": 0 }] }"#, "rules[0].maxVariants"),
        (r#"{ "rules": [{ "purges": { "paths": ["x"] } }] }"#, "rules[0].purges.paths[0]"),
        (r#"{ "rules": [{ "origin": "ftp://x" }] }"#, "rules[0].origin"),
    ];
    for (json, path) in cases {
        let error = wrong(json);
        assert!(error.contains(path), "{json}: {error}");
    }
    assert!(wrong("{").starts_with("the rules are no JSON"));
    let secret = wrong(r#"{ "rules": [{ "origin": "https://me:hunter2@x" }] }"#);
    assert!(!secret.contains("hunter2"), "{secret}");
}

#[test]
fn the_query_is_sorted_kept_and_dropped_for_key_and_origin_alike() {
    let target = |query: &str, target: &str| {
        let rule = rules(&format!(r#"{{ "defaults": {{ "key": {{ "query": {query} }} }} }}"#)).resolve("x", "/");
        let exchange = Exchange::<()>::new(rule, get(target, &[]));
        exchange.key().unwrap().as_str().strip_prefix("example.com").unwrap().to_owned()
    };
    assert_eq!(target("{}", "/?b=1&a=2"), "/?b=1&a=2");
    assert_eq!(target(r#"{ "sort": true }"#, "/?b=1&a=2&a=1&c"), "/?a=2&a=1&b=1&c");
    assert_eq!(target(r#"{ "drop": ["utm_*", "fbclid"] }"#, "/?utm_source=x&a=1&fbclid=y&utm=2"), "/?a=1&utm=2");
    assert_eq!(target(r#"{ "drop": ["*"] }"#, "/a?utm_source=x"), "/a");
    assert_eq!(target(r#"{ "keep": ["a"] }"#, "/a?b=1&a=1&ab=2"), "/a?a=1");
    assert_eq!(target(r#"{ "keep": [] }"#, "/a?b=1"), "/a");
}

#[test]
fn what_is_in_the_key_may_reach_the_origin() {
    let rule = rules(r#"{ "defaults": { "key": { "fields": ["X-Forwarded-Proto"] } } }"#).resolve("x", "/");
    let key = |proto: &str| {
        let exchange = Exchange::<()>::new(rule.clone(), get("/", &[("x-forwarded-proto", proto)]));
        exchange.key().unwrap().clone()
    };
    assert_ne!(key("http"), key("https"));
}
