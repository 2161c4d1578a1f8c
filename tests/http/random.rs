//! Random fields: nothing panics, and what is stored is fresh and may be shared.

use super::numbers::{Random, seed};
use super::support::*;
use ::http::{HeaderMap, HeaderValue, StatusCode};
use nearcache::http::rule::Rule;
use nearcache::http::rules::forwarding::{add_date, make_unconditional, strip_request, strip_response};
use nearcache::http::rules::ranges;
use nearcache::http::rules::storability::storability;
use nearcache::http::rules::validation::{evaluate_preconditions, freshened, not_modified_headers};
use nearcache::http::rules::vary::variant_key;
use nearcache::http::{CacheControl, CacheStatus, Fwd, ResponseControl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Draws header fields.
pub struct Fields(Random);

impl Fields {
    pub fn seeded() -> Self {
        println!("SEED={}", seed());
        Self(Random(seed()))
    }

    pub fn next(&mut self) -> u64 {
        self.0.next()
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Up to `most` bytes that a header field may hold.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
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
            "bytes=0-4",
            "bytes 0-4/9",
            "-5",
            "gzip;q=0.5",
            "?1",
            "(",
            ":",
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
            "cdn-cache-control",
            "range",
            "if-range",
            "content-range",
            "accept-encoding",
            "accept-language",
            "cdn-loop",
            "surrogate-key",
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
    let mut random = Fields::seeded();
    let rule = Rule::default();
    let mut stored_ones = 0;
    for _ in 0..30_000 {
        let (request, response) = (random.headers(), random.headers());
        let (sent, arrived, now) = (random.moment(), random.moment(), random.moment());
        let status = *random.pick(&[StatusCode::OK, StatusCode::PARTIAL_CONTENT, StatusCode::NOT_FOUND]);
        if let Ok(stored) = storability(&rule, &request, (status, &response), (sent, arrived)) {
            stored_ones += 1;
            let freshness = stored.freshness;
            let said = ResponseControl::of_response(&response, &rule.targeted).control;
            assert!(freshness.is_fresh(arrived) || stored.always_validate, "{response:?}");
            assert!(freshness.stored_at_ms == arrived, "{response:?}");
            assert!(said.private.is_none() && (!said.no_store || said.must_understand), "{response:?}");
            assert!(said.no_cache.is_none() || stored.always_validate, "{response:?}");
            let end = freshness.stale_at_ms();
            assert!(
                end == u64::MAX || !freshness.is_fresh(arrived) || freshness.is_fresh(now) == (now < end),
                "{freshness:?} {now}"
            );
            let _ = variant_key(&stored.vary, &request);
            let _ = (freshness.age_seconds(now), freshness.ttl_seconds(now));
            let _ = ranges::select(&request, &response, stored.part.as_ref(), random.next());
        }
        let _ = evaluate_preconditions(&request, StatusCode::OK, &response);
        let _ = not_modified_headers(&response);
        let _ = freshened(&response, &request);
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
    let mut random = Fields::seeded();
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
    let mut random = Fields::seeded();
    for _ in 0..2_000 {
        let detail = String::from_utf8_lossy(&random.bytes(20)).into_owned();
        let mut headers = HeaderMap::new();
        CacheStatus::forwarded(Fwd::Miss).detail(detail).ttl(random.next() as i64).append_to(&mut headers);
        let value = headers.get("cache-status").unwrap().to_str().unwrap();
        assert!(value.starts_with("nearcache; fwd=miss; ttl="), "{value}");
    }
}
