//! What a shared HTTP cache may do: RFC 9110, 9111 and 9211 as functions of header fields and time.
#![allow(clippy::type_complexity)]

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use nearcache::http::{
    Answer, CacheControl, CacheStatus, ForwardReason, Freshness, Fwd, Lookup, MaxStale, NotStorable, Qualified,
    StaleWindows, Storable, UnmatchableVary, Vary, add_date, admits, cache_tags, evaluate, invalidates,
    is_origin_error, judge, judge_unsaid, make_unconditional, needs_origin, not_modified_headers, strip_cache_tags,
    strip_request, strip_response, takes_stale, variant_key,
};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Sun, 06 Nov 1994 08:49:37 GMT, the RFC's own example, in milliseconds.
const T: u64 = 784_111_777_000;
const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
const MINUTE_LATER: &str = "Sun, 06 Nov 1994 08:50:37 GMT";
const MINUTE_EARLIER: &str = "Sun, 06 Nov 1994 08:48:37 GMT";
const MAX: u32 = 1 << 31;

/// A map with these lines, in this order.
fn map(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn control(lines: &[&str]) -> CacheControl {
    CacheControl::parse(&map(&lines.iter().map(|line| ("Cache-Control", *line)).collect::<Vec<_>>()))
}

fn names(names: &[&str]) -> Option<Qualified> {
    Some(Qualified::Fields(names.iter().map(|name| HeaderName::try_from(*name).unwrap()).collect()))
}

// Cache-Control

#[test]
fn directives_are_found_in_any_case_on_any_line_among_unknown_ones() {
    let control = control(&["No-StOrE, x-new, public", "", ",, S-MAXAGE=7 ,\tmust-revalidate", "other=\"a, private\""]);
    assert!(control.no_store && control.public && control.must_revalidate);
    assert_eq!(control.s_maxage, Some(7));
    assert_eq!(control.private, None);
    assert_eq!(CacheControl::parse(&HeaderMap::new()), CacheControl::default());
}

#[test]
fn every_directive_has_its_place() {
    let all = control(&[
        "no-store, no-cache, private, public, must-revalidate, proxy-revalidate, must-understand, immutable",
        "max-age=1, s-maxage=2, stale-while-revalidate=3, stale-if-error=4, max-stale=5, min-fresh=6, only-if-cached",
    ]);
    assert!(all.no_store && all.public && all.must_revalidate && all.proxy_revalidate);
    assert!(all.must_understand && all.immutable && all.only_if_cached);
    assert_eq!((all.no_cache, all.private), (Some(Qualified::Whole), Some(Qualified::Whole)));
    assert_eq!((all.max_age, all.s_maxage), (Some(1), Some(2)));
    assert_eq!((all.stale_while_revalidate, all.stale_if_error), (Some(3), Some(4)));
    assert_eq!((all.max_stale, all.min_fresh), (Some(MaxStale::Seconds(5)), Some(6)));
}

#[test]
fn a_number_is_digits_capped_at_two_to_the_31_and_anything_else_is_zero() {
    let cases = [
        ("max-age=3600", 3600),
        ("max-age=003600", 3600),
        ("max-age=\"3600\"", 3600),
        ("max-age=\"36\\00\"", 3600),
        ("max-age=2147483647", MAX - 1),
        ("max-age=2147483648", MAX),
        ("max-age=2147483649", MAX),
        ("max-age=99999999999999999999999999", MAX),
        ("max-age", 0),
        ("max-age=", 0),
        ("max-age=\"\"", 0),
        ("max-age=-1", 0),
        ("max-age=+1", 0),
        ("max-age=3600.0", 0),
        ("max-age=3600a", 0),
        ("max-age=a3600", 0),
        ("max-age='3600'", 0),
        ("max-age =3600", 0),
        ("max-age= 3600", 0),
        ("max-age=3600; private", 0),
        ("max-age=\"3600", 0),
        ("max-age=\"3600\\\"", 0),
        ("extension=\"max-age=3600\", max-age=1", 1),
        ("max-age=1, extension=\"max-age=3600\"", 1),
        ("max-age=1, extension=\"\\\", max-age=0\"", 1),
    ];
    for (line, expected) in cases {
        let control = control(&[line]);
        assert_eq!(if control.no_store { 0 } else { control.max_age.unwrap() }, expected, "{line}");
    }
    assert_eq!(control(&["min-fresh=soon"]).min_fresh, Some(MAX), "an unreadable demand is never met");
}

#[test]
fn of_a_directive_that_stands_twice_the_stricter_one_counts() {
    for lines in [&["max-age=1800, max-age=1"][..], &["max-age=1, max-age=1800"], &["max-age=1", "max-age=1800"]] {
        assert_eq!(control(lines).max_age, Some(1), "{lines:?}");
    }
    assert_eq!(control(&["max-age=1800, max-age=x"]).max_age, Some(0));
    assert_eq!(control(&["min-fresh=5, min-fresh=50, min-fresh=7"]).min_fresh, Some(50));
    assert_eq!(control(&["max-stale, max-stale=9"]).max_stale, Some(MaxStale::Seconds(9)));
    assert_eq!(control(&["max-stale"]).max_stale, Some(MaxStale::Any));
    assert_eq!(control(&["stale-if-error=9, stale-if-error=3"]).stale_if_error, Some(3));
}

#[test]
fn a_field_list_qualifies_unless_it_is_empty_unreadable_or_beside_a_bare_directive() {
    assert_eq!(control(&["private=\"Set-Cookie, x-user\""]).private, names(&["set-cookie", "x-user"]));
    assert_eq!(control(&["no-cache=a", "no-cache=\"b\""]).no_cache, names(&["a", "b"]));
    for line in
        ["private=\"\"", "private=", "private=\"a b\"", "private=\",\"", "private=a, private", "private, private=a"]
    {
        assert_eq!(control(&[line]).private, Some(Qualified::Whole), "{line}");
    }
}

#[test]
fn what_forbids_counts_with_any_argument_and_what_permits_only_bare() {
    let odd = control(&["no-store=0, must-revalidate=no, public=yes, immutable=1, must-understand=x"]);
    assert!(odd.no_store && odd.must_revalidate);
    assert!(!odd.public && !odd.immutable && !odd.must_understand);
}

#[test]
fn what_has_no_directives_form_may_have_forbidden_anything() {
    let lines = [
        "max-age=60, x=\"oops, public",
        "max-age=60, private; x=1",
        "max-age=60, stale-if-error=1; private",
        "max-age=60, x=a\"b, no-store, c\"d",
        "max-age=60, \"x=1\"",
        "max-age=60, x=\"a\"b",
        "max-age=60, \u{e4}",
        "max-age=60, must-understand, x=\"",
    ];
    for line in lines {
        let control = control(&[line]);
        assert!(control.no_store && !control.must_understand, "{line}");
    }
}

#[test]
fn pragma_counts_in_a_request_without_cache_control() {
    let no_cache = |lines: &[(&str, &str)]| CacheControl::parse_request(&map(lines)).no_cache.is_some();
    assert!(no_cache(&[("pragma", "x, No-Cache")]));
    assert!(!no_cache(&[("pragma", "no-cache"), ("cache-control", "max-age=9")]));
    assert!(!no_cache(&[("pragma", "cache")]));
    assert_eq!(CacheControl::parse(&map(&[("pragma", "no-cache")])).no_cache, None, "never in a response");
}

// Freshness

fn freshness(lines: &[(&str, &str)], request_time: u64, response_time: u64) -> Option<Freshness> {
    let headers = map(lines);
    Freshness::of_response(&CacheControl::parse(&headers), &headers, request_time, response_time)
}

#[test]
fn the_lifetime_is_s_maxage_else_max_age_else_expires_less_date() {
    let expires = ("expires", MINUTE_LATER);
    let cases: &[(&[(&str, &str)], Option<u64>)] = &[
        (&[DATE, expires, ("cache-control", "max-age=10, s-maxage=20")], Some(20_000)),
        (&[DATE, expires, ("cache-control", "s-maxage=5, max-age=10")], Some(5_000)),
        (&[DATE, expires, ("cache-control", "s-maxage=x, max-age=10")], Some(0)),
        (&[DATE, expires, ("cache-control", "max-age=10")], Some(10_000)),
        (&[DATE, expires], Some(60_000)),
        (&[expires], Some(60_000)),
        (&[("date", "yesterday"), expires], Some(60_000)),
        (&[("date", MINUTE_EARLIER), expires], Some(120_000)),
        (&[DATE, ("expires", MINUTE_EARLIER)], Some(0)),
        (&[DATE, ("expires", DATE.1)], Some(0)),
        (&[DATE, expires, expires], Some(0)),
        (&[DATE, ("expires", "0")], Some(0)),
        (&[DATE, ("expires", "")], Some(0)),
        (&[DATE, ("cache-control", "max-age=4294967296")], Some(u64::from(MAX) * 1000)),
        (&[DATE, ("expires", "Fri, 31 Dec 9999 23:59:59 GMT")], Some(u64::from(MAX) * 1000)),
        (&[DATE], None),
        (&[DATE, ("last-modified", MINUTE_EARLIER), ("cache-control", "public, immutable")], None),
    ];
    for (lines, expected) in cases {
        assert_eq!(freshness(lines, T, T).map(|fresh| fresh.lifetime_ms), *expected, "{lines:?}");
    }
}

#[test]
fn a_date_has_one_of_three_forms_and_is_right() {
    let fresh = |expires| freshness(&[DATE, ("expires", expires)], T, T).unwrap().lifetime_ms > 0;
    for good in ["Thu, 18 Aug 2050 02:01:18 GMT", "Thursday, 18-Aug-50 02:01:18 GMT", "Thu Aug 18 02:01:18 2050"] {
        assert!(fresh(good), "{good}");
    }
    let bad = [
        "Thu, 18 Aug 2050 02:01:18 UTC",
        "Thu, 18 Aug 2050 02:01:18 AEST",
        "Thu, 18 Aug 50 02:01:18 GMT",
        "Thu 18 Aug 2050 02:01:18 GMT",
        "Thu, 18  Aug  2050 02:01:18 GMT",
        "Thu, 18-Aug-2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02.01.18 GMT",
        "Thu, 18 Aug 2050 2:01:18 GMT",
        "Mon, 18 Aug 2050 02:01:18 GMT",
        "Thu, 31 Feb 2050 02:01:18 GMT",
        "4070908800",
    ];
    for bad in bad {
        assert!(!fresh(bad), "{bad}");
    }
}

#[test]
fn the_first_age_counts_and_an_invalid_one_is_ignored() {
    let cases: &[(&[&str], u64)] = &[
        (&["7200"], 7200),
        (&["7200, 0"], 7200),
        (&["0, 7200"], 0),
        (&["7200", "0"], 7200),
        (&["0", "7200"], 0),
        (&["2147483649"], u64::from(MAX)),
        (&["99999999999999999999"], u64::from(MAX)),
        (&["abc"], 0),
        (&["-7200"], 0),
        (&["7200.0"], 0),
        (&["7200;foo=bar"], 0),
        (&["\"7200\""], 0),
        (&[""], 0),
        (&[], 0),
    ];
    for (ages, expected) in cases {
        let mut lines = vec![DATE, ("cache-control", "max-age=1")];
        lines.extend(ages.iter().map(|age| ("age", *age)));
        assert_eq!(freshness(&lines, T, T).unwrap().age_at_store_ms, expected * 1000, "{ages:?}");
    }
}

#[test]
fn the_initial_age_is_the_greater_of_the_apparent_and_the_stated_age_with_the_time_on_the_way() {
    let age = |date, age, request_time, response_time| {
        let lines = [("cache-control", "max-age=1"), ("age", age), ("date", date)];
        freshness(&lines, request_time, response_time).unwrap().age_at_store_ms
    };
    assert_eq!(age(DATE.1, "30", T - 250, T), 30_250);
    assert_eq!(age(MINUTE_EARLIER, "30", T - 250, T), 60_000);
    assert_eq!(age(MINUTE_EARLIER, "60", T - 250, T), 60_250);
    assert_eq!(age(MINUTE_LATER, "0", T, T), 0, "the origin's clock is ahead");
    assert_eq!(age("never", "0", T - 40, T), 40);
    assert_eq!(age(DATE.1, "0", T + 500, T), 0, "our clock was set back");
    assert_eq!(age(DATE.1, "0", T + 999, T + 999), 0, "a date means its whole second");
    assert_eq!(age(DATE.1, "0", T + 1000, T + 1000), 1000);
    let twice = [("cache-control", "max-age=1"), DATE, ("date", MINUTE_EARLIER)];
    assert_eq!(freshness(&twice, T, T).unwrap().age_at_store_ms, 60_000, "the earlier of two dates");
}

#[test]
fn age_and_remaining_lifetime_follow_the_clock() {
    let fresh = Freshness { lifetime_ms: 10_000, age_at_store_ms: 2_500, stored_at_ms: T };
    let cases = [
        (T - 9_000, 2, 7_500, 7, true),
        (T, 2, 7_500, 7, true),
        (T + 499, 2, 7_001, 7, true),
        (T + 500, 3, 7_000, 7, true),
        (T + 7_499, 9, 1, 0, true),
        (T + 7_500, 10, 0, 0, false),
        (T + 7_501, 10, -1, -1, false),
        (T + 8_500, 11, -1_000, -1, false),
    ];
    for (now, age, remaining, ttl, is_fresh) in cases {
        let got = (fresh.age_seconds(now), fresh.remaining_ms(now), fresh.ttl_seconds(now), fresh.is_fresh(now));
        assert_eq!(got, (age, remaining, ttl, is_fresh), "{}", now - (T - 9_000));
    }
    assert_eq!(fresh.stale_at_ms(), T + 7_500);
    assert_eq!(fresh.age_seconds(u64::MAX), u64::from(MAX));
    assert!(fresh.remaining_ms(u64::MAX) < 0);
}

#[test]
fn a_served_response_has_one_age_its_own() {
    let fresh = Freshness { lifetime_ms: 10_000, age_at_store_ms: 1_000, stored_at_ms: T };
    let mut headers = map(&[("age", "77"), ("age", "78")]);
    fresh.write_age(T + 1_000, &mut headers);
    assert_eq!(headers, map(&[("age", "2")]));
}

// Storage

fn verdict(request: &[(&str, &str)], status: u16, response: &[(&str, &str)]) -> Result<Storable, NotStorable> {
    judge(&Method::GET, &map(request), StatusCode::from_u16(status).unwrap(), &map(response), T, T + 20)
}

#[test]
fn a_fresh_response_to_a_plain_get_is_stored_with_its_freshness_and_vary() {
    let stored = verdict(&[], 200, &[DATE, ("cache-control", "max-age=60"), ("vary", "B, a")]).unwrap();
    assert_eq!(stored.freshness, Freshness { lifetime_ms: 60_000, age_at_store_ms: 20, stored_at_ms: T + 20 });
    assert_eq!(stored.vary.names(), ["a", "b"]);
}

#[test]
fn each_obstacle_to_storing_has_its_own_verdict() {
    use NotStorable as No;
    type Case = (&'static [(&'static str, &'static str)], u16, &'static [(&'static str, &'static str)], NotStorable);
    const FRESH: (&str, &str) = ("cache-control", "max-age=60");
    let cases: &[Case] = &[
        (&[("range", "bytes=0-")], 200, &[FRESH], No::Range),
        (&[("cache-control", "no-store")], 200, &[FRESH], No::RequestNoStore),
        (&[], 206, &[FRESH], No::Partial),
        (&[], 304, &[FRESH], No::NotModified),
        (&[], 200, &[("cache-control", "max-age=60, no-store")], No::NoStore),
        (&[], 200, &[("cache-control", "max-age=60, private")], No::Private),
        (&[], 200, &[("cache-control", "s-maxage=60, private=\"x\"")], No::Private),
        (&[], 200, &[("cache-control", "max-age=60, no-cache")], No::NoCache),
        (&[], 200, &[("cache-control", "max-age=60, no-cache=\"x\"")], No::NoCache),
        (&[], 200, &[FRESH, ("set-cookie", "a=b")], No::SetCookie),
        (&[], 200, &[FRESH, ("set-cookie", "a=b"), ("connection", "set-cookie")], No::SetCookie),
        (&[], 200, &[FRESH, ("vary", "a"), ("vary", "*")], No::VaryAny),
        (&[("authorization", "x")], 200, &[FRESH], No::Authorization),
        (&[], 200, &[DATE, ("last-modified", MINUTE_EARLIER)], No::NoFreshness),
        (&[], 200, &[("cache-control", "max-age=60, s-maxage=0")], No::ZeroLifetime),
        (&[], 200, &[DATE, ("expires", "-1")], No::ZeroLifetime),
        (&[], 200, &[FRESH, ("age", "60")], No::AgedOut),
        (&[], 200, &[("cache-control", "max-age=2147483648"), ("age", "2147483648")], No::AgedOut),
        (&[], 200, &[DATE, ("cache-control", "max-age=60"), ("date", MINUTE_EARLIER)], No::AgedOut),
    ];
    for (request, status, response, expected) in cases {
        assert_eq!(verdict(request, *status, response), Err(*expected), "{request:?} {response:?}");
    }
    let mut codes: Vec<_> = cases.iter().map(|(.., verdict)| verdict.code()).collect();
    codes.dedup();
    codes.sort_unstable();
    let with_duplicates = codes.len();
    codes.dedup();
    assert_eq!(codes.len(), with_duplicates, "every verdict has its own code");
}

#[test]
fn only_get_fills_the_store() {
    for method in [Method::HEAD, Method::POST, Method::PUT, Method::OPTIONS, Method::from_bytes(b"QUERY").unwrap()] {
        let fresh = map(&[("cache-control", "max-age=60")]);
        assert_eq!(judge(&method, &HeaderMap::new(), StatusCode::OK, &fresh, T, T), Err(NotStorable::Method));
    }
}

#[test]
fn only_final_statuses_whose_rules_are_known_are_stored() {
    let stored = [
        200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 403, 404, 405, 406, 410, 414, 451, 500, 501, 502, 503, 504,
        505,
    ];
    for status in 100..=999 {
        let got = verdict(&[], status, &[("cache-control", "max-age=60")]);
        assert_eq!(got.is_ok(), stored.contains(&status), "{status}");
    }
}

#[test]
fn must_understand_lifts_no_store_for_a_known_status_only() {
    let lines = [("cache-control", "max-age=60, no-store, must-understand")];
    assert!(verdict(&[], 200, &lines).is_ok());
    assert_eq!(verdict(&[], 599, &lines), Err(NotStorable::Status));
    assert_eq!(verdict(&[("cache-control", "no-store")], 200, &lines), Err(NotStorable::RequestNoStore));
}

#[test]
fn an_answer_to_an_authorised_request_is_stored_where_the_origin_says_it_may_be_shared() {
    for (line, shared) in [
        ("max-age=60, public", true),
        ("max-age=60, must-revalidate", true),
        ("s-maxage=60", true),
        ("max-age=60", false),
        ("max-age=60, proxy-revalidate, immutable", false),
    ] {
        let got = verdict(&[("authorization", "Basic eDp5")], 200, &[("cache-control", line)]);
        assert_eq!(got.is_ok(), shared, "{line}");
    }
}

#[test]
fn what_lies_in_the_resource_is_worth_remembering_and_what_lies_in_the_moment_is_not() {
    let ok = StatusCode::OK;
    for verdict in [NotStorable::NoStore, NotStorable::SetCookie, NotStorable::NoFreshness, NotStorable::VaryAny] {
        assert!(verdict.worth_remembering(ok), "{verdict}");
        for passing in [500, 503, 429, 408] {
            assert!(!verdict.worth_remembering(StatusCode::from_u16(passing).unwrap()), "{verdict} {passing}");
        }
    }
    assert!(NotStorable::Status.worth_remembering(StatusCode::UNAUTHORIZED));
    for verdict in [NotStorable::Method, NotStorable::Range, NotStorable::RequestNoStore, NotStorable::AgedOut] {
        assert!(!verdict.worth_remembering(ok), "{verdict}");
    }
}

// Vary

#[test]
fn vary_is_a_sorted_set_of_lower_case_names() {
    let vary = Vary::parse(&map(&[("vary", "Origin ,, accept-encoding"), ("vary", "ORIGIN")])).unwrap();
    assert_eq!(vary.names(), ["accept-encoding", "origin"]);
    assert!(Vary::parse(&HeaderMap::new()).unwrap().is_empty());
    assert!(Vary::parse(&map(&[("vary", " , ")])).unwrap().is_empty());
}

#[test]
fn a_star_or_an_unreadable_member_anywhere_matches_nothing() {
    for lines in
        [&["*"][..], &["*, *"], &["*", "*"], &[", *"], &["", "*"], &["*, Foo"], &["Foo, *"], &["a b"], &["\"a\""]]
    {
        let headers = map(&lines.iter().map(|line| ("vary", *line)).collect::<Vec<_>>());
        assert_eq!(Vary::parse(&headers), Err(UnmatchableVary), "{lines:?}");
    }
}

fn key(vary: &str, request: &[(&str, &str)]) -> Vec<u8> {
    variant_key(&Vary::parse(&map(&[("vary", vary)])).unwrap(), &map(request))
}

#[test]
fn requests_that_differ_only_in_form_share_a_variant() {
    let same: &[(&[(&str, &str)], &[(&str, &str)])] = &[
        (&[("foo", "1, 2")], &[("foo", "1"), ("foo", "2")]),
        (&[("foo", "1,2")], &[("foo", " 1\t, 2 ")]),
        (&[("foo", "1"), ("bar", "2")], &[("bar", "2"), ("foo", "1"), ("other", "3")]),
        (&[], &[("other", "3")]),
    ];
    for (one, other) in same {
        assert_eq!(key("foo, bar", one), key("Bar, FOO", other), "{one:?} {other:?}");
    }
    assert!(key("", &[("foo", "1")]).is_empty());
}

#[test]
fn requests_that_differ_in_meaning_do_not_share_a_variant() {
    let requests: &[&[(&str, &str)]] = &[
        &[],
        &[("foo", "")],
        &[("bar", "")],
        &[("foo", ""), ("bar", "")],
        &[("foo", ""), ("foo", "")],
        &[("foo", "1")],
        &[("bar", "1")],
        &[("foo", "1"), ("foo", "")],
        &[("foo", "1 2")],
        &[("foo", "1, 2")],
        &[("foo", "2, 1")],
        &[("foo", "1"), ("bar", "2")],
        &[("foo", "\"1,2\"")],
        &[("foo", "\"1, 2\"")],
        &[("foo", "\"1 , 2\"")],
        &[("foo", "a")],
        &[("foo", "A")],
        &[("foo", "\u{e4}")],
    ];
    for (at, one) in requests.iter().enumerate() {
        for other in requests.iter().skip(at + 1) {
            assert_ne!(key("foo, bar", one), key("foo, bar", other), "{one:?} {other:?}");
        }
    }
    assert_ne!(key("foo", &[]), key("bar", &[]));
    assert_ne!(key("foo", &[]), key("foo, bar", &[]));
}

/// Reads a key back: for each record the name, and the value or its absence.
fn decoded(mut key: &[u8]) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    fn take<'a>(key: &mut &'a [u8], count: usize) -> &'a [u8] {
        let (head, rest) = key.split_at(count);
        *key = rest;
        head
    }
    fn counted(key: &mut &[u8]) -> Vec<u8> {
        let length = u32::from_be_bytes(take(key, 4).try_into().unwrap());
        take(key, length as usize).to_vec()
    }
    let mut records = Vec::new();
    while !key.is_empty() {
        let name = counted(&mut key);
        let value = (take(&mut key, 1) == [1]).then(|| counted(&mut key));
        records.push((name, value));
    }
    records
}

#[test]
fn every_variant_key_can_be_read_back() {
    let mut random = Random::seeded();
    for _ in 0..2_000 {
        // Values without commas and outer spaces, because those are brought to one form on purpose.
        let value = |random: &mut Random| match random.below(4) {
            0 => None,
            _ => Some(random.bytes(12).into_iter().filter(|byte| !b", \t".contains(byte)).collect::<Vec<_>>()),
        };
        let (a, b) = (value(&mut random), value(&mut random));
        let mut headers = HeaderMap::new();
        for (name, value) in [("a", &a), ("bb", &b)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_bytes(value).unwrap());
            }
        }
        let vary = Vary::parse(&map(&[("vary", "bb, a")])).unwrap();
        assert_eq!(decoded(&variant_key(&vary, &headers)), [(b"a".to_vec(), a), (b"bb".to_vec(), b)]);
    }
}

// Requests

#[test]
fn a_request_is_served_or_goes_forward_for_the_first_reason_that_applies() {
    use ForwardReason as Why;
    // Lifetime 60 s; at `now` 12.5 s old, so fresh for another 47.5 s.
    let stored = Freshness { lifetime_ms: 60_000, age_at_store_ms: 10_000, stored_at_ms: T };
    let now = T + 2_500;
    let cases: &[(&[(&str, &str)], Option<Why>)] = &[
        (&[], None),
        (&[("authorization", "x"), ("cookie", "a=b")], None),
        (&[("if-none-match", "\"x\""), ("if-modified-since", DATE.1)], None),
        (&[("cache-control", "max-age=13")], None),
        (&[("cache-control", "max-age=12")], Some(Why::MaxAge)),
        (&[("cache-control", "max-age=0")], Some(Why::MaxAge)),
        (&[("cache-control", "max-age=soon")], Some(Why::MaxAge)),
        (&[("cache-control", "min-fresh=47")], None),
        (&[("cache-control", "min-fresh=48")], Some(Why::MinFresh)),
        (&[("cache-control", "min-fresh=soon")], Some(Why::MinFresh)),
        (&[("cache-control", "max-stale")], None),
        (&[("cache-control", "no-cache")], Some(Why::NoCache)),
        (&[("pragma", "no-cache")], Some(Why::NoCache)),
        (&[("pragma", "no-cache"), ("cache-control", "max-age=99")], None),
        (&[("cache-control", "no-store")], Some(Why::NoStore)),
        (&[("cache-control", "no-cache, no-store")], Some(Why::NoStore)),
        (&[("range", "bytes=0-0")], Some(Why::Range)),
        (&[("if-match", "*")], Some(Why::Precondition)),
        (&[("if-unmodified-since", DATE.1)], Some(Why::Precondition)),
    ];
    for (request, expected) in cases {
        for method in [Method::GET, Method::HEAD] {
            let lookup = admits(&method, &map(request), Some(&stored), now);
            assert_eq!(lookup, expected.map_or(Lookup::Serve, Lookup::MustGoForward), "{method} {request:?}");
        }
    }
    let plain = HeaderMap::new();
    assert_eq!(admits(&Method::GET, &plain, None, now), Lookup::MustGoForward(Why::Miss));
    assert_eq!(admits(&Method::POST, &plain, Some(&stored), now), Lookup::MustGoForward(Why::Method));
}

#[test]
fn a_stale_response_is_never_served_whatever_the_client_accepts() {
    let stored = Freshness { lifetime_ms: 60_000, age_at_store_ms: 0, stored_at_ms: T };
    let request = map(&[("cache-control", "max-stale=1000")]);
    assert_eq!(admits(&Method::GET, &request, Some(&stored), T + 59_999), Lookup::Serve);
    let stale = Lookup::MustGoForward(ForwardReason::Stale);
    assert_eq!(admits(&Method::GET, &request, Some(&stored), T + 60_000), stale);
}

#[test]
fn max_age_zero_goes_to_the_origin_even_in_the_moment_of_storing() {
    let stored = Freshness { lifetime_ms: 60_000, age_at_store_ms: 0, stored_at_ms: T };
    let request = map(&[("cache-control", "max-age=0")]);
    assert_eq!(admits(&Method::GET, &request, Some(&stored), T), Lookup::MustGoForward(ForwardReason::MaxAge));
}

#[test]
fn only_if_cached_turns_going_forward_into_a_504_but_stops_no_write() {
    let request = map(&[("cache-control", "only-if-cached")]);
    let stored = Freshness { lifetime_ms: 60_000, age_at_store_ms: 0, stored_at_ms: T };
    let lookup = |stored, now| admits(&Method::GET, &request, stored, now);
    assert_eq!(lookup(Some(&stored), T), Lookup::Serve);
    assert_eq!(lookup(Some(&stored), T + 60_000), Lookup::OnlyIfCached(ForwardReason::Stale));
    assert_eq!(lookup(None, T), Lookup::OnlyIfCached(ForwardReason::Miss));
    let write = admits(&Method::PUT, &request, None, T);
    assert_eq!(write, Lookup::MustGoForward(ForwardReason::Method));
}

#[test]
fn only_a_get_that_wants_the_whole_answer_may_fill_the_store() {
    use ForwardReason as Why;
    for reason in [Why::Miss, Why::Stale, Why::NoCache, Why::MaxAge, Why::MinFresh] {
        assert!(reason.may_fill(&Method::GET) && !reason.may_fill(&Method::HEAD), "{reason:?}");
    }
    for reason in [Why::Method, Why::Range, Why::Precondition, Why::NoStore] {
        assert!(!reason.may_fill(&Method::GET), "{reason:?}");
    }
}

// Conditions

fn answer(request: &[(&str, &str)], stored: &[(&str, &str)]) -> Answer {
    evaluate(&map(request), StatusCode::OK, &map(stored))
}

#[test]
fn if_none_match_compares_weakly_with_every_well_formed_member() {
    let cases: &[(&[&str], &str, bool)] = &[
        (&["\"a\""], "\"a\"", true),
        (&["W/\"a\""], "\"a\"", true),
        (&["\"a\""], "W/\"a\"", true),
        (&["W/\"a\""], "W/\"a\"", true),
        (&["\"b\""], "\"a\"", false),
        (&["\"A\""], "\"a\"", false),
        (&["\"a\", \"b\", \"c\""], "\"a\"", true),
        (&["\"b\",\"a\" ,W/\"c\""], "\"a\"", true),
        (&[", ,\"b\", , \"a\","], "\"a\"", true),
        (&["\"b\"", "\"a\""], "\"a\"", true),
        (&["\"a,b\""], "\"a,b\"", true),
        (&["\"a,b\""], "\"a\"", false),
        (&["\"x\\\", \"a\""], "\"a\"", true),
        (&["\"\""], "\"\"", true),
        (&["\"\u{e4}\""], "\"\u{e4}\"", true),
        (&["*"], "\"a\"", true),
        (&[" * "], "\"a\"", true),
        (&["*, \"a\""], "\"a\"", false),
        (&["a"], "a", false),
        (&["\"a\""], "a", false),
        (&["a"], "\"a\"", false),
        (&["w/\"a\""], "w/\"a\"", false),
        (&["\"a b\""], "\"a b\"", false),
        (&["\"a"], "\"a", false),
        (&["\"a\"b"], "\"a\"", false),
        (&[""], "\"a\"", false),
    ];
    for (lines, tag, matches) in cases {
        let request: Vec<_> = lines.iter().map(|line| ("if-none-match", *line)).collect();
        let expected = if *matches { Answer::NotModified } else { Answer::Full };
        assert_eq!(answer(&request, &[("etag", tag)]), expected, "{lines:?} {tag}");
    }
    assert_eq!(answer(&[("if-none-match", "*")], &[]), Answer::NotModified);
    assert_eq!(answer(&[("if-none-match", "\"a\"")], &[("etag", "\"a\""), ("etag", "\"a\"")]), Answer::Full);
}

#[test]
fn if_modified_since_counts_only_without_if_none_match() {
    let since = ("if-modified-since", DATE.1);
    let modified = [("last-modified", DATE.1), ("etag", "\"a\"")];
    assert_eq!(answer(&[since], &modified), Answer::NotModified);
    assert_eq!(answer(&[since, ("if-none-match", "\"b\"")], &modified), Answer::Full);
    assert_eq!(answer(&[since, ("if-none-match", "junk")], &modified), Answer::Full);
}

#[test]
fn if_modified_since_compares_with_last_modified_else_with_date() {
    let cases: &[(&[&str], &[(&str, &str)], bool)] = &[
        (&[DATE.1], &[("last-modified", DATE.1)], true),
        (&[DATE.1], &[("last-modified", MINUTE_EARLIER)], true),
        (&[DATE.1], &[("last-modified", MINUTE_LATER)], false),
        (&[DATE.1], &[DATE], true),
        (&[DATE.1], &[("date", MINUTE_LATER)], false),
        (&[DATE.1], &[DATE, ("last-modified", "junk")], false),
        (&[DATE.1], &[], false),
        (&["junk"], &[("last-modified", DATE.1)], false),
        (&[MINUTE_LATER, MINUTE_LATER], &[("last-modified", DATE.1)], false),
        (&[], &[("last-modified", DATE.1)], false),
    ];
    for (since, stored, matches) in cases {
        let request: Vec<_> = since.iter().map(|line| ("if-modified-since", *line)).collect();
        let expected = if *matches { Answer::NotModified } else { Answer::Full };
        assert_eq!(answer(&request, stored), expected, "{since:?} {stored:?}");
    }
}

#[test]
fn conditions_count_only_against_a_stored_200() {
    for status in [204, 301, 404, 500] {
        let got = evaluate(
            &map(&[("if-none-match", "*")]),
            StatusCode::from_u16(status).unwrap(),
            &map(&[("etag", "\"a\"")]),
        );
        assert_eq!(got, Answer::Full, "{status}");
    }
}

#[test]
fn if_match_and_if_unmodified_since_are_for_the_origin() {
    assert!(needs_origin(&map(&[("if-match", "\"a\"")])) && needs_origin(&map(&[("if-unmodified-since", "x")])));
    assert!(!needs_origin(&map(&[("if-none-match", "\"a\""), ("if-modified-since", "x"), ("if-range", "\"a\"")])));
}

#[test]
fn a_304_carries_what_updates_the_clients_copy_and_nothing_about_content() {
    let stored = map(&[
        DATE,
        ("etag", "\"a\""),
        ("last-modified", DATE.1),
        ("cache-control", "max-age=60"),
        ("cache-control", "public"),
        ("expires", MINUTE_LATER),
        ("vary", "origin"),
        ("content-location", "/x"),
        ("content-type", "text/plain"),
        ("content-length", "3"),
        ("content-encoding", "br"),
        ("access-control-allow-origin", "https://a.example"),
        ("cache-status", "edge; hit"),
        ("x-other", "1"),
    ]);
    let carried = not_modified_headers(&stored);
    let mut expected = stored.clone();
    for name in ["last-modified", "content-type", "content-length", "content-encoding", "x-other"] {
        expected.remove(name);
    }
    assert_eq!(carried, expected);
    let untagged = not_modified_headers(&map(&[("last-modified", DATE.1)]));
    assert_eq!(untagged, map(&[("last-modified", DATE.1)]));
}

// Forwarding

#[test]
fn what_belongs_to_one_hop_stays_on_it() {
    let lines = [
        ("connection", "close, X-Hop"),
        ("connection", ",, x-other, in valid, \"x-kept\""),
        ("x-hop", "1"),
        ("x-hop", "2"),
        ("x-other", "1"),
        ("x-kept", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "trailers"),
        ("trailer", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("proxy-authorization", "x"),
        ("etag", "\"a\""),
    ];
    let mut request = map(&lines);
    strip_request(&mut request);
    assert_eq!(request, map(&[("x-kept", "1"), ("etag", "\"a\"")]));

    let mut response = map(&lines);
    response.extend(map(&[("proxy-authenticate", "Basic"), ("proxy-authentication-info", "x"), ("age", "3")]));
    strip_response(&mut response);
    assert_eq!(response, map(&[("x-kept", "1"), ("etag", "\"a\""), ("age", "3")]));
}

#[test]
fn a_field_hidden_from_the_origin_selects_no_variant() {
    // A client that sends Foo but has it taken off on the way must not fill the variant of those who send Foo.
    let mut hidden = map(&[("foo", "1"), ("connection", "foo")]);
    strip_request(&mut hidden);
    let vary = Vary::parse(&map(&[("vary", "foo")])).unwrap();
    assert_eq!(variant_key(&vary, &hidden), key("foo", &[]));
}

#[test]
fn a_request_that_fills_the_store_asks_for_the_whole_answer() {
    let mut request = map(&[
        ("if-none-match", "\"a\""),
        ("if-none-match", "\"b\""),
        ("if-modified-since", DATE.1),
        ("if-match", "*"),
        ("if-unmodified-since", DATE.1),
        ("if-range", "\"a\""),
        ("range", "bytes=0-0"),
        ("accept", "text/html"),
        ("cache-control", "no-cache"),
    ]);
    make_unconditional(&mut request);
    assert_eq!(request, map(&[("accept", "text/html"), ("cache-control", "no-cache")]));
}

#[test]
fn a_response_without_a_date_gets_the_moment_it_arrived() {
    let mut headers = HeaderMap::new();
    add_date(&mut headers, T + 999);
    assert_eq!(headers, map(&[DATE]));
    add_date(&mut headers, T + 60_000);
    assert_eq!(headers, map(&[DATE]));
    let mut far = HeaderMap::new();
    add_date(&mut far, u64::MAX);
    assert!(far.is_empty());
}

// Writes

#[test]
fn an_answer_without_an_error_to_a_method_not_known_as_safe_invalidates() {
    for (method, status, expected) in [
        ("POST", 200, true),
        ("PUT", 204, true),
        ("DELETE", 303, true),
        ("PATCH", 201, true),
        ("M-SEARCH", 200, true),
        ("get", 200, true),
        ("POST", 400, false),
        ("DELETE", 404, false),
        ("PUT", 500, false),
        ("POST", 100, false),
        ("POST", 600, false),
        ("GET", 200, false),
        ("HEAD", 200, false),
        ("OPTIONS", 200, false),
        ("TRACE", 200, false),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(invalidates(&method.parse().unwrap(), status), expected, "{method} {status}");
    }
}

// Cache-Status

#[test]
fn cache_status_is_a_structured_field() {
    let cases = [
        (CacheStatus::hit().ttl(30), "nearcache; hit; ttl=30"),
        (CacheStatus::hit().ttl(-412), "nearcache; hit; ttl=-412"),
        (CacheStatus::hit().ttl(i64::MIN), "nearcache; hit; ttl=-999999999999999"),
        (
            CacheStatus::forwarded(Fwd::Stale)
                .forward_status(StatusCode::NOT_MODIFIED)
                .stored(true)
                .collapsed(true)
                .ttl(60),
            "nearcache; fwd=stale; fwd-status=304; stored; collapsed; ttl=60",
        ),
        (CacheStatus::forwarded(Fwd::UriMiss).stored(false), "nearcache; fwd=uri-miss"),
        (CacheStatus::hit().stored(true).collapsed(true).forward_status(StatusCode::OK), "nearcache; hit"),
        (CacheStatus::generated().detail("only-if-cached"), "nearcache; detail=only-if-cached"),
        (CacheStatus::hit().detail("*a:/b~"), "nearcache; hit; detail=*a:/b~"),
        (CacheStatus::hit().detail("9lives"), "nearcache; hit; detail=\"9lives\""),
        (CacheStatus::hit().detail(""), "nearcache; hit; detail=\"\""),
        (CacheStatus::hit().detail("a\\ \"b\"\r\nä"), "nearcache; hit; detail=\"a\\\\ \\\"b\\\"???\""),
        (CacheStatus::hit().detail(NotStorable::SetCookie.code()), "nearcache; hit; detail=set-cookie"),
    ];
    for (status, expected) in cases {
        assert_eq!(status.to_string(), expected);
    }
}

#[test]
fn every_reason_to_go_forward_has_a_token() {
    let tokens =
        [Fwd::Bypass, Fwd::Method, Fwd::UriMiss, Fwd::VaryMiss, Fwd::Miss, Fwd::Request, Fwd::Stale, Fwd::Partial]
            .map(Fwd::token);
    assert_eq!(tokens, ["bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"]);
    use ForwardReason as Why;
    let all = [
        Why::Method,
        Why::Range,
        Why::Precondition,
        Why::NoStore,
        Why::NoCache,
        Why::Miss,
        Why::Stale,
        Why::MaxAge,
        Why::MinFresh,
    ];
    let tokens = all.map(|reason| reason.fwd().token());
    let expected = ["method", "bypass", "bypass", "request", "request", "miss", "stale", "request", "request"];
    assert_eq!(tokens, expected);
}

#[test]
fn this_cache_stands_last_after_those_nearer_to_the_origin() {
    let mut headers = map(&[("cache-status", "origin; hit"), ("cache-status", "middle; fwd=miss")]);
    CacheStatus::hit().append_to(&mut headers);
    let lines: Vec<_> = headers.get_all("cache-status").into_iter().collect();
    assert_eq!(lines, ["origin; hit", "middle; fwd=miss", "nearcache; hit"]);
}

// Random input

/// xorshift64*; the seed is printed, so it shows with a failure, and is taken from NEARCACHE_SEED where that is set.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let seed = std::env::var("NEARCACHE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x9111);
        println!("NEARCACHE_SEED={seed}");
        Self(u64::max(seed, 1))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Up to `most` bytes that a header field may hold.
    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let count = self.below(most + 1);
        (0..count).map(|_| self.next() as u8).filter(|byte| *byte == b'\t' || *byte >= b' ' && *byte != 0x7f).collect()
    }

    /// A value that looks like one of the fields read here, more or less.
    fn value(&mut self) -> HeaderValue {
        const PIECES: &[&str] = &[
            "no-store",
            "no-cache",
            "private",
            "max-age",
            "s-maxage",
            "min-fresh",
            "public",
            "=",
            "=",
            ",",
            ",",
            "\"",
            "\\",
            " ",
            "\t",
            "60",
            "99999999999",
            "W/",
            "*",
            ";",
            "foo",
            DATE.1,
            MINUTE_LATER,
            "-",
            "0",
            "only-if-cached",
            "max-age=60",
            "s-maxage=99999999999",
        ];
        let mut value = Vec::new();
        if self.below(4) == 0 {
            value.extend(b"max-age=60,");
        }
        for _ in 0..self.below(8) {
            match self.below(8) {
                0 => value.extend(self.bytes(4)),
                _ => value.extend(self.pick(PIECES).as_bytes()),
            }
        }
        HeaderValue::from_bytes(&value).unwrap()
    }

    fn headers(&mut self) -> HeaderMap {
        const NAMES: &[&str] = &[
            "cache-control",
            "cache-control",
            "expires",
            "date",
            "age",
            "vary",
            "pragma",
            "etag",
            "if-none-match",
            "if-modified-since",
            "last-modified",
            "connection",
            "foo",
            "authorization",
        ];
        let mut headers = HeaderMap::new();
        for _ in 0..self.below(8) {
            let name = *self.pick(NAMES);
            headers.append(name, self.value());
        }
        headers
    }

    fn moment(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => self.next() << 16,
            _ => T + self.next() % 100_000,
        }
    }
}

#[test]
fn whatever_the_header_fields_hold_nothing_panics_and_what_is_stored_is_fresh_and_shareable() {
    let mut random = Random::seeded();
    let mut stored_ones = 0;
    for _ in 0..30_000 {
        let (request, response) = (random.headers(), random.headers());
        let (sent, arrived, now) = (random.moment(), random.moment(), random.moment());
        let verdict = judge(&Method::GET, &request, StatusCode::OK, &response, sent, arrived);
        if let Ok(Storable { freshness, vary }) = &verdict {
            stored_ones += 1;
            let control = CacheControl::parse(&response);
            assert!(freshness.is_fresh(arrived) && freshness.stored_at_ms == arrived, "{response:?}");
            assert!(control.private.is_none() && control.no_cache.is_none() && !control.no_store, "{response:?}");
            let end = freshness.stale_at_ms();
            assert!(end == u64::MAX || freshness.is_fresh(now) == (now < end), "{freshness:?} {now}");
            let lookup = admits(&Method::GET, &request, Some(freshness), now);
            assert!(lookup != Lookup::Serve || freshness.is_fresh(now), "{request:?}");
            let _ = variant_key(vary, &request);
            let _ = (freshness.age_seconds(now), freshness.ttl_seconds(now));
        }
        let _ = admits(&Method::GET, &request, None, now);
        let _ = evaluate(&request, StatusCode::OK, &response);
        let _ = not_modified_headers(&response);
        let (mut request, mut response) = (request, response);
        strip_request(&mut request);
        strip_response(&mut response);
        add_date(&mut response, arrived);
        make_unconditional(&mut request);
    }
    assert!(stored_ones > 100, "the generator reaches the store: {stored_ones}");
}

#[test]
fn an_added_directive_never_makes_a_lifetime_longer_or_lifts_a_ban() {
    let mut random = Random::seeded();
    for _ in 0..10_000 {
        let mut headers = HeaderMap::new();
        headers.append("cache-control", random.value());
        let before = CacheControl::parse(&headers);
        headers.append("cache-control", random.value());
        let after = CacheControl::parse(&headers);
        assert!(after.no_store >= before.no_store, "{headers:?}");
        assert!(after.private.is_some() >= before.private.is_some(), "{headers:?}");
        assert!(after.no_cache.is_some() >= before.no_cache.is_some(), "{headers:?}");
        if let (Some(before), Some(after)) = (before.max_age, after.max_age) {
            assert!(after <= before, "{headers:?}");
        }
        if let Some(before) = before.min_fresh {
            assert!(after.min_fresh >= Some(before), "{headers:?}");
        }
    }
}

#[test]
fn cache_status_is_always_a_valid_field_value() {
    let mut random = Random::seeded();
    for _ in 0..2_000 {
        let detail = String::from_utf8_lossy(&random.bytes(20)).into_owned();
        let mut headers = HeaderMap::new();
        CacheStatus::forwarded(Fwd::Miss).detail(detail).ttl(random.next() as i64).append_to(&mut headers);
        let value = headers.get("cache-status").unwrap().to_str().unwrap();
        assert!(value.starts_with("nearcache; fwd=miss; ttl="), "{value}");
    }
}

// Stale answers

const DEFAULTS: StaleWindows = StaleWindows { while_revalidate_ms: 7_000, if_error_ms: 8_000 };

#[test]
fn stale_windows_are_the_origins_and_else_the_operators() {
    let windows = |line: &str| {
        let StaleWindows { while_revalidate_ms, if_error_ms } = StaleWindows::of_response(&control(&[line]), DEFAULTS);
        (while_revalidate_ms, if_error_ms)
    };
    assert_eq!(windows("max-age=1"), (7_000, 8_000));
    assert_eq!(windows("max-age=1, stale-while-revalidate=2"), (2_000, 8_000));
    assert_eq!(windows("stale-while-revalidate=2, stale-if-error=3"), (2_000, 3_000));
    assert_eq!(windows("stale-while-revalidate=0, stale-if-error=x"), (0, 0), "what is no number allows nothing");
    assert_eq!(windows("s-maxage=1"), (0, 0), "it implies proxy-revalidate");
    assert_eq!(windows("s-maxage=1, stale-while-revalidate=2"), (2_000, 0), "but here the origin wants it");
    for forbidding in ["must-revalidate", "proxy-revalidate"] {
        assert_eq!(windows(&format!("{forbidding}, stale-while-revalidate=2, stale-if-error=3")), (0, 0));
    }
}

fn aged(lifetime_ms: u64) -> Freshness {
    Freshness { lifetime_ms, age_at_store_ms: 0, stored_at_ms: T }
}

#[test]
fn stale_windows_are_open_for_their_length_past_the_lifetime() {
    let windows = StaleWindows { while_revalidate_ms: 100, if_error_ms: 300 };
    for (now, open) in [(T, true), (T + 1_000, true), (T + 1_299, true), (T + 1_300, false)] {
        assert_eq!(windows.are_open(&aged(1_000), now), open, "{now}");
    }
    assert!(!StaleWindows::default().are_open(&aged(1_000), T + 1_000));
}

#[test]
fn a_request_takes_what_is_stale_unless_it_says_how_young_or_how_little_stale_it_must_be() {
    let takes = |line: &str, past: u64| takes_stale(&map(&[("cache-control", line)]), &aged(10_000), T + 10_000 + past);
    assert!(takes_stale(&HeaderMap::new(), &aged(10_000), T + 60_000));
    assert!(takes("max-stale", 60_000) && takes("max-stale=5", 5_000) && !takes("max-stale=5", 5_001));
    assert!(takes("max-age=15", 5_000) && !takes("max-age=15", 5_001) && !takes("max-age=0", 0));
    assert!(!takes("min-fresh=0", 0), "fresh is fresh");
}

#[test]
fn four_statuses_are_errors_for_which_a_stale_answer_may_stand_in() {
    let errors: Vec<u16> =
        (100..600).filter(|code| is_origin_error(StatusCode::from_u16(*code).expect("a status"))).collect();
    assert_eq!(errors, [500, 502, 503, 504]);
}

#[test]
fn what_is_not_there_may_be_stored_for_a_while_though_it_says_nothing_of_its_freshness() {
    let verdict = |status: u16, lines: &[(&str, &str)], negative_ms| {
        let status = StatusCode::from_u16(status).expect("a status");
        judge_unsaid(&Method::GET, &HeaderMap::new(), status, &map(lines), (T, T), negative_ms)
            .map(|storable| storable.freshness.lifetime_ms)
    };
    assert_eq!(verdict(404, &[], 5_000), Ok(5_000));
    assert_eq!(verdict(410, &[], 5_000), Ok(5_000));
    assert_eq!(verdict(404, &[("cache-control", "max-age=60")], 5_000), Ok(60_000), "what it says goes first");
    assert_eq!(verdict(404, &[("cache-control", "no-store")], 5_000), Err(NotStorable::NoStore));
    assert_eq!(verdict(404, &[], 0), Err(NotStorable::NoFreshness));
    assert_eq!(verdict(200, &[], 5_000), Err(NotStorable::NoFreshness));
}

#[test]
fn tags_are_read_from_all_lines_once_each_and_taken_off() {
    let long = "x".repeat(1_025);
    let mut headers =
        map(&[("cache-tag", "red, blue ,,red"), ("Cache-Tag", "a b"), ("cache-tag", &long), ("via", "x")]);
    assert_eq!(cache_tags(&headers), ["red", "blue", "a b"]);
    let many = (0..2_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    assert_eq!(cache_tags(&map(&[("cache-tag", &many)])).len(), 1_000);
    strip_cache_tags(&mut headers);
    assert_eq!((headers.len(), cache_tags(&headers).len()), (1, 0));
}
