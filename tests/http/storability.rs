//! Which responses may be stored (RFC 9111 §3).

use super::support::*;
use ::http::StatusCode;
use nearcache::http::Freshness;
use nearcache::http::rule::{Rule, SetCookie};
use nearcache::http::rules::storability::{NotStorable, Storability, storability};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn verdict(request: &[(&str, &str)], status: u16, response: &[(&str, &str)]) -> Result<Storability, NotStorable> {
    by_rule(&Rule::default(), request, status, response)
}

fn by_rule(
    rule: &Rule,
    request: &[(&str, &str)],
    status: u16,
    response: &[(&str, &str)],
) -> Result<Storability, NotStorable> {
    let status = StatusCode::from_u16(status).unwrap();
    storability(rule, &map(request), (status, &map(response)), (T, T + 20))
}

#[test]
fn a_fresh_response_to_a_plain_get_is_stored_with_its_freshness_and_vary() {
    let stored = verdict(&[], 200, &[DATE, ("cache-control", "max-age=60"), ("vary", "B, a")]).unwrap();
    assert_eq!(stored.freshness, Freshness { lifetime_ms: 60_000, age_at_store_ms: 20, stored_at_ms: T + 20 });
    assert_eq!(stored.vary.names(), ["a", "b"]);
}

#[test]
fn what_is_stale_when_it_comes_is_stored_for_its_stale_windows() {
    for window in ["stale-while-revalidate=600", "stale-if-error=600"] {
        let said = format!("max-age=0, {window}");
        let stored = verdict(&[], 200, &[("cache-control", said.as_str())]).unwrap();
        assert!(!stored.always_validate, "{said}");
        let past = format!("max-age=0, {window}, must-revalidate");
        assert_eq!(verdict(&[], 200, &[("cache-control", past.as_str())]), Err(NotStorable::ZeroLifetime), "{past}");
    }
    let long_ago = [("cache-control", "max-age=0, stale-while-revalidate=600"), ("age", "600")];
    assert_eq!(verdict(&[], 200, &long_ago), Err(NotStorable::ZeroLifetime));
}

#[test]
fn each_obstacle_to_storing_has_its_own_verdict() {
    use NotStorable as No;
    type Case = (&'static [(&'static str, &'static str)], u16, &'static [(&'static str, &'static str)], NotStorable);
    const FRESH: (&str, &str) = ("cache-control", "max-age=60");
    let cases: &[Case] = &[
        (&[("cache-control", "no-store")], 200, &[FRESH], No::RequestNoStore),
        (&[], 206, &[FRESH], No::Partial),
        (&[], 206, &[FRESH, ("content-range", "bytes */9")], No::Partial),
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
        (&[], 401, &[FRESH], No::Status),
        (&[], 200, &[DATE], No::NoFreshness),
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
fn any_final_status_is_stored_with_explicit_freshness_unless_it_is_about_one_request() {
    let refused = [206, 304, 401, 407, 408, 412, 413, 416, 417, 421, 425, 426, 428, 429, 431, 511];
    for status in 100..=999 {
        let got = verdict(&[], status, &[("cache-control", "max-age=60")]);
        let expected = (200..600).contains(&status) && !refused.contains(&status);
        assert_eq!(got.is_ok(), expected, "{status}");
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
    for verdict in [NotStorable::Partial, NotStorable::RequestNoStore, NotStorable::AgedOut] {
        assert!(!verdict.worth_remembering(ok), "{verdict}");
    }
}

#[test]
fn what_is_not_there_may_be_stored_for_a_while_though_it_says_nothing_of_its_freshness() {
    let verdict = |status: u16, lines: &[(&str, &str)], negative_ms| {
        let mut rule = Rule::default();
        if negative_ms > 0 {
            rule.status_ttl_ms = vec![(404..=404, negative_ms), (410..=410, negative_ms)];
        }
        by_rule(&rule, &[], status, lines).map(|storability| storability.freshness.lifetime_ms)
    };
    assert_eq!(verdict(404, &[], 5_000), Ok(5_000));
    assert_eq!(verdict(410, &[], 5_000), Ok(5_000));
    assert_eq!(verdict(404, &[("cache-control", "max-age=60")], 5_000), Ok(60_000), "what it says goes first");
    assert_eq!(verdict(404, &[("cache-control", "no-store")], 5_000), Err(NotStorable::NoStore));
    assert_eq!(verdict(404, &[], 0), Err(NotStorable::NoFreshness));
    assert_eq!(verdict(200, &[], 5_000), Err(NotStorable::NoFreshness));
}

#[test]
fn what_has_a_validator_is_stored_to_be_validated_where_it_can_t_be_reused() {
    let cases: &[&[(&str, &str)]] = &[
        &[("cache-control", "no-cache"), ("etag", "\"a\"")],
        &[("cache-control", "no-cache=\"x\", max-age=60"), ("etag", "W/\"a\"")],
        &[("cache-control", "max-age=0"), ("last-modified", MINUTE_EARLIER)],
        &[("cache-control", "max-age=60"), ("age", "70"), ("etag", "\"a\"")],
        &[("etag", "\"a\"")],
    ];
    for lines in cases {
        assert!(verdict(&[], 200, lines).unwrap().always_validate, "{lines:?}");
        assert!(verdict(&[], 404, lines).is_err(), "only a 200 is validated: {lines:?}");
    }
    let fresh = verdict(&[], 200, &[("cache-control", "max-age=60"), ("etag", "\"a\"")]).unwrap();
    assert!(!fresh.always_validate);
}

#[test]
fn a_part_is_stored_as_the_part_that_it_says_it_is() {
    let part =
        verdict(&[("range", "bytes=0-4")], 206, &[("cache-control", "max-age=60"), ("content-range", "bytes 0-4/10")]);
    assert_eq!(part.unwrap().part.unwrap().bytes, 0..5);
}

#[test]
fn the_operators_ttl_goes_before_what_a_response_says_but_not_before_what_it_forbids() {
    let rule = Rule { ttl_ms: Some(5_000), ..Rule::default() };
    let lifetime =
        |status, line| by_rule(&rule, &[], status, &[("cache-control", line)]).map(|it| it.freshness.lifetime_ms);
    assert_eq!((lifetime(200, "max-age=1"), lifetime(200, "x")), (Ok(5_000), Ok(5_000)));
    assert_eq!(lifetime(200, "max-age=1, private"), Err(NotStorable::Private));
    assert_eq!(lifetime(200, "no-store"), Err(NotStorable::NoStore));
    for error in [400, 403, 405, 414, 451, 501, 503] {
        assert_eq!(lifetime(error, "x"), Err(NotStorable::NoFreshness), "an error is not made to last");
        assert_eq!(lifetime(error, "max-age=1"), Ok(1_000), "the origin may say that it lasts");
    }
    for absent in [404, 410] {
        assert_eq!(lifetime(absent, "x"), Ok(5_000));
    }
}

#[test]
fn an_error_is_stored_where_it_tells_of_the_target_rather_than_of_the_request() {
    let by_status = Rule { status_ttl_ms: vec![(400..=599, 5_000)], ..Rule::default() };
    let large = "x".repeat(5_000);
    let odd = Err(NotStorable::OddRequest);
    let cases = [
        (("accept", "text/html"), Ok(60_000), Ok(5_000)),
        (("x-kind", "1"), Ok(60_000), odd),
        (("x-kind", large.as_str()), odd, odd),
        (("accept-language", large.as_str()), odd, odd),
        (("referer", "\u{e4}"), odd, odd),
        (("authorization", "x"), odd, Err(NotStorable::Authorization)),
    ];
    for (field, said, unsaid) in cases {
        for status in [400, 404, 501] {
            let lifetime =
                |rule, lines: &[_]| by_rule(rule, &[field], status, lines).map(|it| it.freshness.lifetime_ms);
            assert_eq!(lifetime(&by_status, &[("cache-control", "public, max-age=60")]), said, "{status} {field:?}");
            assert_eq!(lifetime(&by_status, &[]), unsaid, "{status} {field:?}");
            let varying = [("vary", "x-kind, accept-language, referer")];
            assert_eq!(lifetime(&by_status, &varying).is_ok(), field.0 != "authorization", "{status} {field:?}");
            assert!(
                field.0 == "authorization"
                    || by_rule(&by_status, &[field], 302, &[("cache-control", "max-age=9")]).is_ok()
            );
        }
    }
}

#[test]
fn a_response_that_sets_cookies_is_stored_where_the_operator_says_so() {
    let lines = [("cache-control", "max-age=60"), ("set-cookie", "a=b")];
    for (set_cookie, stored) in [(SetCookie::Refuse, false), (SetCookie::Drop, true), (SetCookie::Keep, true)] {
        let rule = Rule { set_cookie, ..Rule::default() };
        assert_eq!(by_rule(&rule, &[], 200, &lines).is_ok(), stored, "{set_cookie:?}");
    }
}
