//! What crosses this hop: fields that end here (RFC 9110 §7.6.1, RFC 9111 §3.1), and what a request that fills the
//! cache may not ask.

use std::time::{Duration, UNIX_EPOCH};

use ::http::header::{
    CONNECTION, DATE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, RANGE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use ::http::{HeaderMap, HeaderName, HeaderValue};

use crate::http::fields as field;

/// Takes off a client's request what was meant for this hop only. To be called before anything else looks at the
/// request (see the [module](super)).
///
/// That is: what `Connection` names, `Connection` itself, the fields that are known to be hop-by-hop, and
/// `Proxy-Authorization`.
pub fn strip_request(request_headers: &mut HeaderMap) {
    strip(request_headers);
    request_headers.remove(PROXY_AUTHORIZATION);
}

/// Takes off the origin's response what was meant for this hop only, so that the rest may be stored and passed on. To
/// be called after [`storability`](super::storability::storability).
///
/// That is: what `Connection` names, `Connection` itself, the fields that are known to be hop-by-hop, and the `Proxy-`
/// fields that RFC 9111 §3.1 names.
pub fn strip_response(response_headers: &mut HeaderMap) {
    strip(response_headers);
    response_headers.remove(PROXY_AUTHENTICATE);
    response_headers.remove(PROXY_AUTHORIZATION);
    response_headers.remove("proxy-authentication-info");
}

/// Takes off a request what would make the origin send less than the whole answer: conditions and ranges.
///
/// What this request brings is shared, and the others did not set those conditions. The client's own are evaluated
/// afterwards, with [`evaluate_preconditions`](super::validation::evaluate_preconditions).
pub fn make_unconditional(request_headers: &mut HeaderMap) {
    for name in [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE] {
        request_headers.remove(name);
    }
}

/// Gives a response without a `Date` the moment it arrived, in milliseconds since the Unix epoch, as RFC 9110 §6.6.1
/// asks of whoever stores it or passes it on. Leaves it without where no `Date` can say it (after the year 9999).
pub fn add_date(response_headers: &mut HeaderMap, response_time: u64) {
    const YEAR_10000: u64 = 253_402_300_800;
    let seconds = response_time / 1000;
    if seconds >= YEAR_10000 || response_headers.contains_key(DATE) {
        return;
    }
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    if let Ok(date) = HeaderValue::try_from(date) {
        // Fails only where the map is full, and then the field's absence is the lesser harm.
        let _ = response_headers.try_insert(DATE, date);
    }
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<_> =
        field::list(headers, &CONNECTION).filter_map(|option| HeaderName::from_bytes(option).ok()).collect();
    for name in named {
        headers.remove(name);
    }
    // Trailer is here because trailers are not passed on.
    for name in [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
}

/// Fields by which a client can ask some frameworks for another method than the one in the request line: on a GET, what
/// comes of it would be everybody's.
const METHOD_OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// Whether a field would make another method of a GET or HEAD.
pub fn overrides_method(name: &HeaderName) -> bool {
    METHOD_OVERRIDES.contains(&name.as_str())
}

/// How often a message came by a cache of this name, as its `CDN-Loop` has it (RFC 8586).
pub fn hops(request_headers: &HeaderMap, name: &str) -> usize {
    let members = field::list(request_headers, &CDN_LOOP);
    let ids = members.map(|member| field::trim(member.split(|byte| *byte == b';').next().unwrap_or_default()));
    ids.filter(|id| id.eq_ignore_ascii_case(name.as_bytes())).count()
}

/// Says on a request that it came by here: `Via` (RFC 9110 §7.6.3) and `CDN-Loop` (RFC 8586).
pub fn sign_request(request_headers: &mut HeaderMap, name: &str) {
    add_via(request_headers, name);
    if let Ok(name) = HeaderValue::try_from(name) {
        let _ = request_headers.try_append(CDN_LOOP.clone(), name);
    }
}

/// Says on a message that it came by here (RFC 9110 §7.6.3). Which version of HTTP it came by nobody here knows: 1.1.
pub fn add_via(headers: &mut HeaderMap, name: &str) {
    if let Ok(via) = HeaderValue::try_from(format!("1.1 {name}")) {
        // Fails only where the map is full, and then the field's absence is the lesser harm.
        let _ = headers.try_append(VIA, via);
    }
}

/// Takes back what [`add_via`] has added.
pub fn remove_via(headers: &mut HeaderMap, name: &str) {
    let mut lines: Vec<HeaderValue> = headers.get_all(VIA).iter().cloned().collect();
    if lines.last().is_some_and(|last| last.as_bytes() == format!("1.1 {name}").as_bytes()) {
        lines.pop();
        headers.remove(VIA);
        for line in lines {
            let _ = headers.try_append(VIA, line);
        }
    }
}

static CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// Whether a request that made the origin fail had nothing unusual in it, so that another would have failed as well: no fields
/// but those that every browser sends, and [well-formed](is_well_formed). What `is_shared` of its fields is left out.
pub fn is_ordinary(request_headers: &HeaderMap, is_shared: impl Fn(&HeaderName) -> bool) -> bool {
    const ORDINARY: [&str; 16] = [
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "cdn-loop",
        "dnt",
        "host",
        "if-modified-since",
        "if-none-match",
        "origin",
        "pragma",
        "priority",
        "referer",
        "upgrade-insecure-requests",
        "user-agent",
        "via",
    ];
    // `cf-` is what Cloudflare says of every request.
    let known =
        |name: &str| ORDINARY.contains(&name) || ["sec-", "accept-ch", "cf-"].iter().any(|own| name.starts_with(own));
    is_well_formed(request_headers, &is_shared)
        && request_headers.keys().all(|name| is_shared(name) || known(name.as_str()))
}

/// Whether a request is one that servers read whatever they make of it: in plain ASCII, and not much of it. What `is_shared` of its
/// fields is left out.
pub fn is_well_formed(request_headers: &HeaderMap, is_shared: impl Fn(&HeaderName) -> bool) -> bool {
    const MAX_BYTES: usize = 4_096;
    let own = || request_headers.iter().filter(|(name, _)| !is_shared(name));
    own().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>() <= MAX_BYTES
        && own().all(|(_, value)| value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~')))
}
