//! Conditions, the client's and ours (RFC 9110 §13, RFC 9111 §4.3).

use super::support::*;
use ::http::StatusCode;
use nearcache::http::rules::validation::{Precondition, evaluate_preconditions, needs_origin, not_modified_headers};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn answer(request: &[(&str, &str)], stored: &[(&str, &str)]) -> Precondition {
    evaluate_preconditions(&map(request), StatusCode::OK, &map(stored))
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
        let expected = if *matches { Precondition::NotModified } else { Precondition::Full };
        assert_eq!(answer(&request, &[("etag", tag)]), expected, "{lines:?} {tag}");
    }
    assert_eq!(answer(&[("if-none-match", "*")], &[]), Precondition::NotModified);
    assert_eq!(answer(&[("if-none-match", "\"a\"")], &[("etag", "\"a\""), ("etag", "\"a\"")]), Precondition::Full);
}

#[test]
fn if_modified_since_counts_only_without_if_none_match() {
    let since = ("if-modified-since", DATE.1);
    let modified = [("last-modified", DATE.1), ("etag", "\"a\"")];
    assert_eq!(answer(&[since], &modified), Precondition::NotModified);
    assert_eq!(answer(&[since, ("if-none-match", "\"b\"")], &modified), Precondition::Full);
    assert_eq!(answer(&[since, ("if-none-match", "junk")], &modified), Precondition::Full);
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
        let expected = if *matches { Precondition::NotModified } else { Precondition::Full };
        assert_eq!(answer(&request, stored), expected, "{since:?} {stored:?}");
    }
}

#[test]
fn conditions_count_only_against_a_stored_200_or_206() {
    for status in [204, 301, 404, 500] {
        let got = evaluate_preconditions(
            &map(&[("if-none-match", "*")]),
            StatusCode::from_u16(status).unwrap(),
            &map(&[("etag", "\"a\"")]),
        );
        assert_eq!(got, Precondition::Full, "{status}");
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
