//! How fields are read.

use super::support::*;
use ::http::{HeaderMap, HeaderName, StatusCode};
use nearcache::http::rules::storability::NotStorable;
use nearcache::http::{
    ByteRange, CacheControl, CacheStatus, ContentRange, EntityTag, Fwd, MaxStale, Qualified, RangeRequest,
    ResponseControl, cache_tags, strip_cache_tags,
};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn names(names: &[&str]) -> Option<Qualified> {
    Some(Qualified::Fields(names.iter().map(|name| HeaderName::try_from(*name).unwrap()).collect()))
}

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
}

#[test]
fn this_cache_stands_last_after_those_nearer_to_the_origin() {
    let mut headers = map(&[("cache-status", "origin; hit"), ("cache-status", "middle; fwd=miss")]);
    CacheStatus::hit().append_to(&mut headers);
    let lines: Vec<_> = headers.get_all("cache-status").into_iter().collect();
    assert_eq!(lines, ["origin; hit", "middle; fwd=miss", "nearcache; hit"]);
}

#[test]
fn tags_are_read_from_all_lines_once_each_and_taken_off() {
    let long = "x".repeat(1_025);
    let mut headers =
        map(&[("cache-tag", "red, blue ,,red"), ("Cache-Tag", "a b"), ("cache-tag", &long), ("via", "x")]);
    assert_eq!(cache_tags(&headers), ["red", "blue", "a b"]);
    let many = (0..2_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    assert_eq!(cache_tags(&map(&[("cache-tag", &many)])).len(), 1_000);
    let keys = map(&[("surrogate-key", "red  green"), ("cache-tag", "red")]);
    assert_eq!(cache_tags(&keys), ["red", "green"], "one has spaces, the other commas");
    strip_cache_tags(&mut headers);
    assert_eq!((headers.len(), cache_tags(&headers).len()), (1, 0));
}

// Targeted fields (RFC 9213)

fn targeted(lines: &[&str]) -> Option<CacheControl> {
    let name = HeaderName::from_static("cdn-cache-control");
    CacheControl::parse_targeted(
        &map(&lines.iter().map(|line| ("CDN-Cache-Control", *line)).collect::<Vec<_>>()),
        &name,
    )
}

#[test]
fn a_targeted_field_is_a_dictionary_of_structured_fields() {
    let control =
        targeted(&["max-age=60, foo, no-cache=\"a, b\"", "s-maxage=7;x=1 ,\tmust-revalidate=?1, public=?0"]).unwrap();
    assert_eq!((control.max_age, control.s_maxage), (Some(60), Some(7)));
    assert!(control.must_revalidate && !control.public);
    assert_eq!(control.no_cache, names(&["a", "b"]));
    assert_eq!(targeted(&["max-age=99999999999"]).unwrap().max_age, Some(MAX));
    assert_eq!(targeted(&["max-age=1, max-age=60"]).unwrap().max_age, Some(60), "of a key the last value counts");
    let lists = "x=(a \"b\";q=1.5 ?1);w, y=:aGk=:, z=@1659578233, d=%\"a\", e=-12.345, max-age=1";
    assert_eq!(targeted(&[lists]).unwrap().max_age, Some(1), "what has no use is well-formed all the same");
}

#[test]
fn a_targeted_field_with_anything_wrong_in_it_is_ignored_as_a_whole() {
    let wrong = [
        "max-age=\"60\"",
        "max-age=60.0",
        "max-age=-1",
        "max-age",
        "MaX-aGe=60",
        "max-age =60",
        "max-age= 60",
        "max-age=60, &&&",
        "max-age=60,",
        "max-age=60 no-store",
        "no-store=1",
        "max-age=1000000000000000",
        "x=(a",
        "x=\"a",
        "x=\"\\a\"",
        "x=?2",
        "x=:a",
        "x=1.",
        "x=1.1234",
        "x=%a",
        "\tmax-age=60",
        "",
    ];
    for line in wrong {
        assert_eq!(targeted(&[line]), None, "{line}");
    }
    assert_eq!(targeted(&[]), None);
}

#[test]
fn a_valid_targeted_field_counts_instead_of_cache_control() {
    let name = [HeaderName::from_static("cdn-cache-control")];
    let of = |lines: &[(&str, &str)]| ResponseControl::of_response(&map(lines), &name);
    let both = of(&[("cache-control", "no-store"), ("cdn-cache-control", "max-age=60")]);
    assert!(both.targeted && !both.control.no_store);
    let invalid = of(&[("cache-control", "no-store"), ("cdn-cache-control", "max-age=soon")]);
    assert!(!invalid.targeted && invalid.control.no_store);
    let unnamed = ResponseControl::of_response(&map(&[("cdn-cache-control", "max-age=60")]), &[]);
    assert!(!unnamed.targeted && unnamed.control.max_age.is_none());
}

// Ranges (RFC 9110 §14) and entity tags (§8.8.3)

#[test]
fn a_range_request_is_one_range_of_bytes_or_one_that_the_whole_answers() {
    use ByteRange::{From, FromTo, Last};
    let cases = [
        ("bytes=0-4", Some(FromTo(0, 4))),
        ("Bytes=5-", Some(From(5))),
        ("bytes= -5 ", Some(Last(5))),
        ("bytes=0-4,6-", None),
        ("bytes=4-0", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=a-", None),
        ("bytes=+1-2", None),
        ("bytes=0-9999999999999999999999", None),
        ("lines=0-4", None),
        ("", None),
    ];
    for (value, expected) in cases {
        let expected = expected.map_or(RangeRequest::Other, RangeRequest::One);
        assert_eq!(RangeRequest::parse(value.as_bytes()), expected, "{value}");
    }
    let within = |range: ByteRange| range.within(10);
    assert_eq!((within(FromTo(8, 20)), within(From(9)), within(Last(3))), (Some(8..10), Some(9..10), Some(7..10)));
    assert_eq!((within(FromTo(10, 20)), within(From(10)), within(Last(0))), (None, None, None));
    assert_eq!((within(Last(30)), Last(1).within(0)), (Some(0..10), None));
}

#[test]
fn a_content_range_names_a_part_that_can_be() {
    let parse = |value: &str| ContentRange::parse(value.as_bytes()).map(|range| (range.bytes, range.total));
    assert_eq!(parse("bytes 0-4/10"), Some((0..5, Some(10))));
    assert_eq!(parse("bytes 4-9/*"), Some((4..10, None)));
    for wrong in
        ["bytes */10", "bytes 4-10/10", "bytes 5-4/10", "bytes 0-4", "items 0-4/10", "bytes -4/10", "bytes=0-4/10", ""]
    {
        assert_eq!(parse(wrong), None, "{wrong}");
    }
    for value in ["bytes 0-4/10", "bytes 4-9/*"] {
        assert_eq!(ContentRange::parse(value.as_bytes()).unwrap().to_value(), value);
    }
}

#[test]
fn entity_tags_are_equal_weakly_by_what_they_name_and_strongly_if_both_are_strong() {
    let tag = |value: &'static str| EntityTag::parse(value.as_bytes()).unwrap();
    assert!(tag("W/\"a\"").matches_weakly(&tag("\"a\"")) && !tag("W/\"a\"").matches_strongly(&tag("W/\"a\"")));
    assert!(tag("\"a\"").matches_strongly(&tag(" \"a\" ")) && !tag("\"a\"").matches_weakly(&tag("\"b\"")));
    for wrong in ["a", "\"a", "w/\"a\"", "\"a b\"", "\"a\"b", "W/a", "", "\""] {
        assert_eq!(EntityTag::parse(wrong.as_bytes()), None, "{wrong}");
    }
}
