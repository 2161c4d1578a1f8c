//! How long a response is fresh, and how old it is (RFC 9111 §4.2).

use super::support::*;
use ::http::StatusCode;
use nearcache::http::rules::freshness::{explicit_lifetime, heuristic_lifetime};
use nearcache::http::{CacheControl, Freshness, Heuristic, ResponseControl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn freshness(lines: &[(&str, &str)], request_time: u64, response_time: u64) -> Option<Freshness> {
    let headers = map(lines);
    let said = ResponseControl::of_response(&headers, &[]);
    let lifetime_ms = explicit_lifetime(&said, &headers, response_time)?;
    Some(Freshness::new(lifetime_ms, &headers, request_time, response_time))
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
fn a_date_has_one_of_three_forms_whatever_its_case_and_its_weekday() {
    let fresh = |expires| freshness(&[DATE, ("expires", expires)], T, T).unwrap().lifetime_ms > 0;
    let good = [
        "Thu, 18 Aug 2050 02:01:18 GMT",
        "Thursday, 18-Aug-50 02:01:18 GMT",
        "Thu Aug 18 02:01:18 2050",
        "Thu Aug  8 02:01:18 2050",
        "THU, 18 AUG 2050 02:01:18 gmt",
        "Mon, 18 Aug 2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:60 GMT",
        "Tue, 29 Feb 2000 00:00:00 GMT",
    ];
    for good in good {
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
        "Thu, 31 Feb 2050 02:01:18 GMT",
        "Thu, 29 Feb 2100 02:01:18 GMT",
        "Thu, 18 Aug 2050 24:01:18 GMT",
        "Thx, 18 Aug 2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:18",
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
fn dates_are_the_moments_that_they_name() {
    // As the httpdate crate writes them, day by day and second by second over the centuries.
    let moments = (0..4_000_u64).map(|n| n * 86_400 * 40 + n * 7_919 % 86_400);
    for seconds in moments.filter(|seconds| *seconds > T / 1000 && *seconds < 253_402_300_800) {
        let expires = httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds));
        let lifetime_ms = freshness(&[DATE, ("expires", &expires)], T, T).unwrap().lifetime_ms;
        assert_eq!(lifetime_ms, (seconds * 1000 - T).min(u64::from(MAX) * 1000), "{expires}");
    }
}

#[test]
fn freshness_is_inferred_from_last_modified_where_status_or_public_allows_it() {
    let inferred = |status: u16, lines: &[(&str, &str)], percent, max_ms| {
        let (heuristic, headers) = (Heuristic { percent, max_ms }, map(lines));
        let control = CacheControl::parse(&headers);
        heuristic_lifetime(heuristic, StatusCode::from_u16(status).unwrap(), &control, &headers, T)
    };
    let modified = ("last-modified", MINUTE_EARLIER);
    assert_eq!(inferred(200, &[DATE, modified], 10, 86_400_000), Some(6_000));
    assert_eq!(inferred(200, &[modified], 50, 86_400_000), Some(30_000), "without a Date the arrival counts");
    assert_eq!(inferred(200, &[DATE, modified], 10, 5_000), Some(5_000), "no longer than the most");
    assert_eq!(inferred(200, &[DATE, modified], 0, 86_400_000), None, "switched off");
    assert_eq!(inferred(200, &[DATE, ("last-modified", MINUTE_LATER)], 10, 86_400_000), None, "it is from the future");
    assert_eq!(inferred(200, &[DATE], 10, 86_400_000), None);
    let allowed = [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501];
    for status in 200..600 {
        assert_eq!(inferred(status, &[DATE, modified], 10, 9_000).is_some(), allowed.contains(&status), "{status}");
    }
    assert_eq!(inferred(599, &[DATE, modified, ("cache-control", "public")], 10, 9_000), Some(6_000));
}
