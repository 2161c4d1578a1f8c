//! Which stored response is for which request (RFC 9111 §4.1).

use super::random::Fields;
use super::support::*;
use ::http::{HeaderMap, HeaderValue};
use nearcache::http::Vary;
use nearcache::http::rules::vary::{UnmatchableVary, variant_key};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

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
    let mut random = Fields::seeded();
    for _ in 0..2_000 {
        // Values without commas and outer spaces, because those are brought to one form on purpose.
        let value = |random: &mut Fields| match random.below(4) {
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
