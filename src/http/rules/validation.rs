//! A client's conditions against a stored response (RFC 9110 §13, RFC 9111 §4.3.2).

use ::http::header::{
    AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, DATE, ETAG, EXPIRES,
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED, VARY,
};
use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::http::fields::{self as field, EntityTag};

/// How a stored response answers a request that may have conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// 304 with the fields of [`not_modified_headers`]: what the client holds is still right.
    NotModified,
    /// The stored response as it is.
    Full,
}

/// Evaluates `If-None-Match`, or where that is absent `If-Modified-Since`, against a stored response that
/// may be reused.
///
/// - Conditions count only against a stored 200 or a part of one (RFC 9110 §13.2.1).
/// - Entity tags are compared weakly (§8.8.3.2). What is not a well-formed entity tag matches nothing, on either side.
/// - An `If-Modified-Since` that is no date or stands twice is ignored (§13.1.3). It is compared with
///   `Last-Modified`, or where there is none with `Date` (RFC 9111 §4.3.2).
pub fn evaluate_preconditions(
    request_headers: &HeaderMap,
    status: StatusCode,
    stored_headers: &HeaderMap,
) -> Precondition {
    let holds = matches!(status.as_u16(), 200 | 206)
        && if request_headers.contains_key(IF_NONE_MATCH) {
            names_stored_tag(request_headers, stored_headers)
        } else {
            unmodified_since(request_headers, stored_headers)
        };
    if holds { Precondition::NotModified } else { Precondition::Full }
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
    let stored = field::only(stored_headers, &ETAG).and_then(|line| EntityTag::parse(line.as_bytes()));
    stored.is_some_and(|stored| {
        let mut lines = request_headers.get_all(IF_NONE_MATCH).into_iter();
        lines.any(|line| field::entity_tags(line.as_bytes()).any(|tag| tag.matches_weakly(&stored)))
    })
}

fn unmodified_since(request_headers: &HeaderMap, stored_headers: &HeaderMap) -> bool {
    let since = field::only(request_headers, &IF_MODIFIED_SINCE).and_then(field::date_ms);
    let compared = if stored_headers.contains_key(LAST_MODIFIED) { LAST_MODIFIED } else { DATE };
    let modified = field::only(stored_headers, &compared).and_then(field::date_ms);
    matches!((modified, since), (Some(modified), Some(since)) if modified <= since)
}

/// What a request has to carry so that the origin can answer that a stored response is still right (RFC 9111 §4.3.1):
/// its own validators, of `selected`, and the entity tags of `others`, any of which the origin may name.
pub fn conditions<'a>(
    selected: Option<&'a HeaderMap>,
    others: impl Iterator<Item = &'a HeaderMap>,
) -> Vec<(HeaderName, HeaderValue)> {
    const MAX_TAGS: usize = 8;
    let mut tags: Vec<&[u8]> = Vec::new();
    for headers in selected.into_iter().chain(others) {
        let tag = field::only(headers, &ETAG).map(|line| field::trim(line.as_bytes()));
        if let Some(tag) = tag.filter(|tag| EntityTag::parse(tag).is_some() && !tags.contains(tag)) {
            tags.push(tag);
        }
    }
    tags.truncate(MAX_TAGS);
    let mut conditions = Vec::new();
    if let Some(tags) = HeaderValue::from_bytes(&tags.join(&b", "[..])).ok().filter(|_| !tags.is_empty()) {
        conditions.push((IF_NONE_MATCH, tags));
    }
    if let Some(modified) = selected.and_then(|headers| field::only(headers, &LAST_MODIFIED)) {
        conditions.push((IF_MODIFIED_SINCE, modified.clone()));
    }
    conditions
}

/// Which of the stored responses a 304 is about (RFC 9111 §4.3.4). `selected` is the one that the request selected and
/// whose validators it carried.
pub enum Nominated {
    /// Those with this entity tag.
    Tagged,
    /// The selected one.
    Selected,
    /// None: the 304 names a validator that is not the stored one's.
    None,
}

/// Whether a 304 with these fields is about a stored response.
pub fn nominates(not_modified: &HeaderMap, stored: &HeaderMap) -> Nominated {
    let tag = |headers| field::only(headers, &ETAG).and_then(|line: &HeaderValue| EntityTag::parse(line.as_bytes()));
    if let Some(said) = tag(not_modified) {
        return match tag(stored) {
            Some(stored) if stored.matches_weakly(&said) => Nominated::Tagged,
            _ => Nominated::None,
        };
    }
    match (field::only(not_modified, &LAST_MODIFIED), field::only(stored, &LAST_MODIFIED)) {
        (Some(said), Some(stored)) if field::date_ms(said) != field::date_ms(stored) => Nominated::None,
        _ => Nominated::Selected,
    }
}

/// A stored response's fields after a 304 (RFC 9111 §3.2): those of the 304 go in place of those of the same name, but
/// for the ones that belong to the stored content. `Age` and `Date` are the 304's or none.
pub fn freshened(stored: &HeaderMap, not_modified: &HeaderMap) -> HeaderMap {
    const OF_CONTENT: [HeaderName; 4] = [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE, ETAG];
    let mut fields = stored.clone();
    fields.remove(AGE);
    fields.remove(DATE);
    for name in not_modified.keys().filter(|name| !OF_CONTENT.contains(name)) {
        fields.remove(name);
        for value in not_modified.get_all(name) {
            // Fails only where the map is full, and then the field's absence is the lesser harm.
            let _ = fields.try_append(name.clone(), value.clone());
        }
    }
    fields
}
