//! When a stale response may be handed out (RFC 5861, RFC 9111 §4.2.4).

use super::support::*;
use ::http::StatusCode;
use nearcache::http::rules::stale::{StaleGround, accepts_stale, is_failure};
use nearcache::http::{CacheControl, Freshness, StaleLimits};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn aged(lifetime_ms: u64) -> Freshness {
    Freshness { lifetime_ms, age_at_store_ms: 0, stored_at_ms: T }
}

#[test]
fn stale_windows_are_the_origins_and_else_the_operators() {
    let unsaid = StaleLimits { while_revalidate_ms: 7_000, if_error_ms: 8_000, if_unreachable_ms: 9_000 };
    let limits = |line: &str| StaleLimits::of_response(&control(&[line]), unsaid);
    let windows = |line: &str| (limits(line).while_revalidate_ms, limits(line).if_error_ms);
    let gone = |line: &str| limits(line).if_unreachable_ms;
    assert_eq!((gone("max-age=1"), gone("stale-if-error=60"), gone("stale-if-error=0")), (9_000, 60_000, 0));
    for forbidding in ["must-revalidate", "proxy-revalidate", "s-maxage=1", "no-cache"] {
        assert_eq!(gone(forbidding), 0, "{forbidding}");
    }
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

#[test]
fn stale_windows_are_open_for_their_length_past_the_lifetime() {
    let limits = StaleLimits { while_revalidate_ms: 100, if_error_ms: 300, if_unreachable_ms: 900 };
    for (ground, window) in
        [(StaleGround::Revalidating, 100), (StaleGround::Error, 300), (StaleGround::Unreachable, 900)]
    {
        for (now, open) in [(T, true), (T + 1_000, true), (T + 999 + window, true), (T + 1_000 + window, false)] {
            assert_eq!(limits.allow(ground, &aged(1_000), now), open, "{ground:?} {now}");
        }
        assert!(!StaleLimits::default().allow(ground, &aged(1_000), T + 1_000));
    }
}

#[test]
fn a_request_takes_what_is_stale_unless_it_says_how_young_or_how_little_stale_it_must_be() {
    let takes = |line: &str, past: u64| accepts_stale(&control(&[line]), &aged(10_000), T + 10_000 + past);
    assert!(accepts_stale(&CacheControl::default(), &aged(10_000), T + 60_000));
    assert!(takes("max-stale", 60_000) && takes("max-stale=5", 5_000) && !takes("max-stale=5", 5_001));
    assert!(takes("max-age=15", 5_000) && !takes("max-age=15", 5_001));
    assert!(takes("max-age=0", 60_000) && takes("no-cache", 60_000), "a reload refuses nothing where the origin fails");
    assert!(!takes("min-fresh=0", 0), "fresh is fresh");
}

#[test]
fn six_statuses_are_failures_of_the_moment_for_which_a_stale_answer_may_stand_in() {
    let failures: Vec<u16> =
        (100..600).filter(|code| is_failure(StatusCode::from_u16(*code).expect("a status"))).collect();
    assert_eq!(failures, [408, 429, 500, 502, 503, 504]);
}
