//! A client's conditions against a stored response (RFC 9110 §13, RFC 9111 §4.3.2).

use ::http::header::{
    AGE, CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED, VARY,
};
use ::http::{HeaderMap, HeaderName, StatusCode};

use super::field;

/// How a stored response answers a request that may have conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 304 with the fields of [`not_modified_headers`]: what the client holds is still right.
    NotModified,
    /// The stored response as it is.
    Full,
}

/// Evaluates `If-None-Match`, or where that is absent `If-Modified-Since`, against a stored response that
/// [`admits`](super::admits) let serve.
///
/// - Conditions count only against a stored 200 (RFC 9110 §13.2.1).
/// - Entity tags are compared weakly (§8.8.3.2). What is not a well-formed entity tag matches nothing, on either side.
/// - An `If-Modified-Since` that is no date or stands twice is ignored (§13.1.3). It is compared with
///   `Last-Modified`, or where there is none with `Date` (RFC 9111 §4.3.2).
pub fn evaluate(request_headers: &HeaderMap, status: StatusCode, stored_headers: &HeaderMap) -> Answer {
    let holds = status == StatusCode::OK
        && if request_headers.contains_key(IF_NONE_MATCH) {
            names_stored_tag(request_headers, stored_headers)
        } else {
            unmodified_since(request_headers, stored_headers)
        };
    if holds { Answer::NotModified } else { Answer::Full }
}

/// Whether the request has a condition that only the origin can judge: `If-Match` or `If-Unmodified-Since`
/// (RFC 9111 §4.3.2).
pub fn needs_origin(request_headers: &HeaderMap) -> bool {
    request_headers.contains_key(IF_MATCH) || request_headers.contains_key(IF_UNMODIFIED_SINCE)
}

/// The fields of a stored 200 that a 304 in its place carries (RFC 9110 §15.4.5).
///
/// `Last-Modified` only where there is no `ETag`. Besides what the RFC lists: `Age` and `Cache-Status`, which tell of
/// this response rather than of the content; and those of CORS, because a browser that has stored the answer for one
/// site updates it from this 304 before it checks it for another.
pub fn not_modified_headers(stored_headers: &HeaderMap) -> HeaderMap {
    const CARRIED: [HeaderName; 7] = [AGE, CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, VARY];
    let has_tag = stored_headers.contains_key(ETAG);
    let mut carried = HeaderMap::new();
    for (name, value) in stored_headers {
        let carries = CARRIED.contains(name)
            || (*name == LAST_MODIFIED && !has_tag)
            || *name == "cache-status"
            || name.as_str().starts_with("access-control-");
        if carries {
            // Cannot fail: the map it comes from was not too full either.
            let _ = carried.try_append(name.clone(), value.clone());
        }
    }
    carried
}

fn names_stored_tag(request_headers: &HeaderMap, stored_headers: &HeaderMap) -> bool {
    if field::only(request_headers, &IF_NONE_MATCH).is_some_and(|line| field::trim(line.as_bytes()) == b"*") {
        return true;
    }
    let stored = field::only(stored_headers, &ETAG).and_then(|line| match entity_tag(field::trim(line.as_bytes())) {
        Some((tag, [])) => Some(tag),
        _ => None,
    });
    stored.is_some_and(|stored| {
        let mut lines = request_headers.get_all(IF_NONE_MATCH).into_iter();
        lines.any(|line| lists(line.as_bytes(), stored))
    })
}

/// Whether a list of entity tags has this one. Nothing counts from the first member that is not well-formed on.
fn lists(mut list: &[u8], wanted: &[u8]) -> bool {
    loop {
        list = field::trim(list);
        if let [b',', rest @ ..] = list {
            list = rest;
            continue;
        }
        let Some((tag, rest)) = entity_tag(list) else {
            return false;
        };
        list = field::trim(rest);
        match list {
            [] | [b',', ..] if tag == wanted => return true,
            [b',', ..] => {}
            _ => return false,
        }
    }
}

/// The opaque part of the entity tag that `input` begins with, and what comes after it.
///
/// Lists of them cannot be split like others: a tag may have commas, and a backslash escapes nothing in it.
fn entity_tag(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let opaque = input.strip_prefix(b"W/").unwrap_or(input).strip_prefix(b"\"")?;
    let end = opaque.iter().position(|byte| *byte == b'"')?;
    let (tag, rest) = opaque.split_at_checked(end)?;
    let valid = tag.iter().all(|byte| matches!(byte, 0x21..=0x7e | 0x80..=0xff));
    valid.then_some((tag, rest.get(1..)?))
}

fn unmodified_since(request_headers: &HeaderMap, stored_headers: &HeaderMap) -> bool {
    let since = field::only(request_headers, &IF_MODIFIED_SINCE).and_then(field::date_ms);
    let compared = if stored_headers.contains_key(LAST_MODIFIED) { LAST_MODIFIED } else { DATE };
    let modified = field::only(stored_headers, &compared).and_then(field::date_ms);
    matches!((modified, since), (Some(modified), Some(since)) if modified <= since)
}
