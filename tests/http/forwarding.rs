//! What crosses this hop (RFC 9110 §7.6, RFC 9111 §3.1), and what a write does to what is stored (§4.4).

use super::support::*;
use ::http::{HeaderMap, StatusCode};
use nearcache::http::Vary;
use nearcache::http::rules::forwarding::{add_date, make_unconditional, strip_request, strip_response};
use nearcache::http::rules::invalidation::{invalidates, same_host_target};
use nearcache::http::rules::vary::variant_key;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

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
    assert_eq!(variant_key(&vary, &hidden), variant_key(&vary, &map(&[])));
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

#[test]
fn a_location_names_a_target_on_the_same_host_or_none() {
    let named = |reference: &str| same_host_target("example.com", "/a/b?c", reference);
    let cases = [
        ("/x?y#z", Some("/x?y")),
        ("x", Some("/a/x")),
        ("?y", Some("/a/b?y")),
        ("", Some("/a/b?c")),
        ("https://Example.com/x", Some("/x")),
        ("http://example.com", Some("/")),
        ("//example.com/x", Some("/x")),
        ("https://example.org/x", None),
        ("//example.org/x", None),
        ("https:x", None),
        ("ftp://example.com/x", None),
    ];
    for (reference, expected) in cases {
        assert_eq!(named(reference).as_deref(), expected, "{reference}");
    }
}

#[test]
fn a_port_that_is_the_scheme_s_own_makes_no_other_host() {
    let same = [
        ("e.test:80", "http://e.test/x"),
        ("e.test", "http://e.test:80/x"),
        ("e.test", "https://e.test:443/x"),
        ("e.test", "https://e.test:/x"),
        ("e.test:443", "https://e.test/x"),
        ("e.test:80", "//e.test/x"),
        ("e.test:8080", "http://e.test:8080/x"),
        ("[::1]:80", "http://[::1]/x"),
        ("[::1]", "http://[::1]:80/x"),
    ];
    for (host, reference) in same {
        assert_eq!(same_host_target(host, "/", reference).as_deref(), Some("/x"), "{host} {reference}");
    }
    let other = [
        ("e.test:8080", "http://e.test/x"),
        ("e.test", "http://e.test:8080/x"),
        ("e.test", "https://e.test:80/x"),
        ("e.test", "http://e.test:443/x"),
        ("e.test:80", "http://e.tes:80/x"),
        ("[::1]:80", "http://[::1:80/x"),
    ];
    for (host, reference) in other {
        assert_eq!(same_host_target(host, "/", reference), None, "{host} {reference}");
    }
}
