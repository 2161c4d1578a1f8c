//! Which responses a shared cache may store (RFC 9111 §3).

use std::fmt;

use ::http::header::{AUTHORIZATION, CONTENT_RANGE, ETAG, LAST_MODIFIED, RANGE, SET_COOKIE};
use ::http::{HeaderMap, Method, StatusCode};

use super::freshness::{self, Freshness};
use super::stale::StaleLimits;
use super::stale::is_failure;
use super::vary::Vary;
use crate::http::fields::{CacheControl, ContentRange, ResponseControl, only};
use crate::http::rule::{Rule, SetCookie};

/// What the cache has to know about a response that it may store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storable {
    /// How long it may be served. At least a millisecond of freshness was left when it arrived.
    pub freshness: Freshness,
    /// The request fields that selected it; with [`variant_key`](crate::http::variant_key) they tell its variant.
    pub vary: Vary,
}

/// A response that may be stored, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) struct Storability {
    pub freshness: Freshness,
    pub limits: StaleLimits,
    pub vary: Vary,
    /// It has to be validated before every use: `no-cache`, or it was stale when it came.
    pub always_validate: bool,
    /// Which part of the whole it is (206).
    pub part: Option<ContentRange>,
}

/// Whether a shared cache may store this response and has a use for it (RFC 9111 §3).
///
/// `request_headers` are those that the origin was sent; `response_headers` are those that it sent, before anything was
/// taken off. The times, in milliseconds since the Unix epoch, are when the request was sent and when the head of the
/// response arrived. That the whole content arrived (§3.3) only the caller can know.
///
/// # Errors
///
/// The first [`NotStorable`] that applies.
pub(in crate::http) fn storability(
    rule: &Rule,
    request_headers: &HeaderMap,
    (status, response_headers): (StatusCode, &HeaderMap),
    (request_time, response_time): (u64, u64),
) -> Result<Storability, NotStorable> {
    if CacheControl::parse_request(request_headers).no_store {
        return Err(NotStorable::RequestNoStore);
    }
    let said = ResponseControl::of_response(response_headers, &rule.targeted);
    let control = &said.control;
    let understood = is_understood(status);
    if control.must_understand && !understood {
        return Err(NotStorable::Status);
    }
    // must-understand lifts no-store where the status is one we know (§5.2.2.3).
    if control.no_store && !control.must_understand {
        return Err(NotStorable::NoStore);
    }
    if control.private.is_some() {
        return Err(NotStorable::Private);
    }
    if response_headers.contains_key(SET_COOKIE) && rule.set_cookie == SetCookie::Refuse {
        return Err(NotStorable::SetCookie);
    }
    let vary = Vary::parse(response_headers).map_err(|_| NotStorable::VaryAny)?;
    let shareable = control.public || control.must_revalidate || control.s_maxage.is_some();
    if request_headers.contains_key(AUTHORIZATION) && !shareable {
        return Err(NotStorable::Authorization);
    }
    let part = part_of(status, response_headers)?;
    let lifetime = lifetime(rule, &said, status, response_headers, response_time);
    let validator = status == StatusCode::OK
        && (response_headers.contains_key(ETAG) || response_headers.contains_key(LAST_MODIFIED));
    let lifetime_ms = match lifetime {
        Some(lifetime_ms) => lifetime_ms,
        // Nothing is said, nothing can be inferred, but it can be validated.
        None if validator => 0,
        None => return Err(NotStorable::NoFreshness),
    };
    let freshness = Freshness::new(lifetime_ms, response_headers, request_time, response_time);
    let limits = StaleLimits::of_response(control, rule.stale);
    let fresh = freshness.is_fresh(response_time);
    let always_validate = control.no_cache.is_some() || !fresh;
    if !always_validate || validator {
        return Ok(Storability { freshness, limits, vary, always_validate, part });
    }
    Err(match lifetime_ms {
        _ if control.no_cache.is_some() => NotStorable::NoCache,
        0 => NotStorable::ZeroLifetime,
        _ => NotStorable::AgedOut,
    })
}

/// What the operator says of the status goes before what the response says, and that before what can be inferred.
fn lifetime(
    rule: &Rule,
    said: &ResponseControl,
    status: StatusCode,
    headers: &HeaderMap,
    response_time: u64,
) -> Option<u64> {
    if rule.ttl_ms.is_some() && !is_failure(status) {
        return rule.ttl_ms;
    }
    let by_status = || rule.status_ttl_ms.iter().find(|(statuses, _)| statuses.contains(&status.as_u16()));
    freshness::explicit_lifetime(said, headers, response_time)
        .or_else(|| by_status().map(|(_, ttl_ms)| *ttl_ms))
        .or_else(|| freshness::heuristic_lifetime(rule.heuristic, status, &said.control, headers, response_time))
}

fn part_of(status: StatusCode, headers: &HeaderMap) -> Result<Option<ContentRange>, NotStorable> {
    match status.as_u16() {
        206 => match only(headers, &CONTENT_RANGE).and_then(|line| ContentRange::parse(line.as_bytes())) {
            Some(part) => Ok(Some(part)),
            None => Err(NotStorable::Partial),
        },
        304 => Err(NotStorable::NotModified),
        // A question to one client, and statuses that RFC 6585 forbids to store.
        401 | 407 | 428 | 429 | 431 | 511 => Err(NotStorable::Status),
        // About one request's connection, conditions or size, not about the target.
        408 | 412 | 413 | 416 | 417 | 421 | 425 | 426 => Err(NotStorable::Status),
        200..=599 => Ok(None),
        _ => Err(NotStorable::Status),
    }
}

/// The statuses whose rules this cache knows (§3, `must-understand`).
fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300..=303 | 307 | 308 | 400 | 403..=406 | 410 | 414 | 451 | 500..=505)
}

/// Why a response may not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotStorable {
    /// The method was not GET. A HEAD may be answered from a stored GET but fills nothing.
    Method,
    /// The request asked for a range.
    Range,
    /// The request said `no-store`.
    RequestNoStore,
    /// 206: only a part.
    Partial,
    /// 304: no answer of its own.
    NotModified,
    /// A status code that is not final, or whose rules this cache does not know, or that is meant for one client.
    Status,
    /// The response said `no-store`, or its `Cache-Control` could not be read.
    NoStore,
    /// The response said `private`, of itself or of some fields.
    Private,
    /// The response said `no-cache`, of itself or of some fields.
    NoCache,
    /// The response sets a cookie.
    SetCookie,
    /// The response's `Vary` matches no other request.
    VaryAny,
    /// The request had an `Authorization`, and the response does not allow sharing (§3.5).
    Authorization,
    /// The response says nothing about its freshness.
    NoFreshness,
    /// The response's lifetime is 0.
    ZeroLifetime,
    /// The response had already outlived its lifetime when it arrived.
    AgedOut,
}

/// Whether a shared cache may store this response, and if so until when and for whom.
///
/// `request_headers` are those that the origin was sent, less the conditions that
/// [`make_unconditional`](crate::http::make_unconditional) takes off; `response_headers` are those that the origin sent,
/// before [`strip_response`](crate::http::strip_response). The times, in milliseconds since the Unix epoch, are when the
/// request was sent and when the response's headers arrived.
///
/// That the whole content arrived (§3.3) only the caller can know: one that breaks off must not be stored either.
///
/// # Errors
///
/// The first [`NotStorable`] that applies, in the order of its variants.
pub fn judge(
    request_method: &Method,
    request_headers: &HeaderMap,
    status: StatusCode,
    response_headers: &HeaderMap,
    request_time: u64,
    response_time: u64,
) -> Result<Storable, NotStorable> {
    judge_unsaid(request_method, request_headers, status, response_headers, (request_time, response_time), 0)
}

/// As [`judge`], of what says nothing about its freshness and is not there (404, 410): that is fresh for so many
/// milliseconds, counted from now (a heuristic, RFC 9111 §4.2.2). 0 stores none. The times are [`judge`]'s two.
///
/// # Errors
///
/// As there.
pub fn judge_unsaid(
    request_method: &Method,
    request_headers: &HeaderMap,
    status: StatusCode,
    response_headers: &HeaderMap,
    (request_time, response_time): (u64, u64),
    negative_ms: u64,
) -> Result<Storable, NotStorable> {
    judge_request(request_method, request_headers)?;
    judge_status(status)?;
    let control = CacheControl::parse(response_headers);
    // The status is one we know, and that is the case in which must-understand lifts no-store (§5.2.2.3).
    if control.no_store && !control.must_understand {
        return Err(NotStorable::NoStore);
    }
    if control.private.is_some() {
        return Err(NotStorable::Private);
    }
    if control.no_cache.is_some() {
        return Err(NotStorable::NoCache);
    }
    if response_headers.contains_key(SET_COOKIE) {
        return Err(NotStorable::SetCookie);
    }
    let vary = Vary::parse(response_headers).map_err(|_| NotStorable::VaryAny)?;
    let shareable = control.public || control.must_revalidate || control.s_maxage.is_some();
    if request_headers.contains_key(AUTHORIZATION) && !shareable {
        return Err(NotStorable::Authorization);
    }
    let negative = (negative_ms > 0 && matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE))
        .then_some(Freshness { lifetime_ms: negative_ms, age_at_store_ms: 0, stored_at_ms: response_time });
    let freshness = Freshness::of_response(&control, response_headers, request_time, response_time)
        .or(negative)
        .ok_or(NotStorable::NoFreshness)?;
    if freshness.lifetime_ms == 0 {
        return Err(NotStorable::ZeroLifetime);
    }
    if !freshness.is_fresh(response_time) {
        return Err(NotStorable::AgedOut);
    }
    Ok(Storable { freshness, vary })
}

impl NotStorable {
    /// A short stable name, fit for the `detail` of a `Cache-Status` (RFC 9211 §2.8).
    pub fn code(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Range => "range",
            Self::RequestNoStore => "request-no-store",
            Self::Partial => "partial",
            Self::NotModified => "not-modified",
            Self::Status => "status",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::NoCache => "no-cache",
            Self::SetCookie => "set-cookie",
            Self::VaryAny => "vary-any",
            Self::Authorization => "authorization",
            Self::NoFreshness => "no-freshness",
            Self::ZeroLifetime => "zero-lifetime",
            Self::AgedOut => "aged-out",
        }
    }

    /// Whether the next request for the same target is likely to end the same way, so that the cache does well to
    /// remember for a while not to make requests for it wait for each other (hit-for-miss).
    ///
    /// Not so where this request or this moment was the reason, nor where `status` tells of a passing failure
    /// (5xx, 408, 425, 429): a failing origin is helped by fewer requests at a time, not by more.
    pub fn worth_remembering(self, status: StatusCode) -> bool {
        let passing = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
        match self {
            Self::Method | Self::Range | Self::RequestNoStore => false,
            Self::Partial | Self::NotModified | Self::AgedOut => false,
            Self::Status | Self::NoStore | Self::Private | Self::NoCache | Self::SetCookie => !passing,
            Self::VaryAny | Self::Authorization | Self::NoFreshness | Self::ZeroLifetime => !passing,
        }
    }
}

impl fmt::Display for NotStorable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the response may not be stored: {}", self.code())
    }
}

impl std::error::Error for NotStorable {}

fn judge_request(method: &Method, headers: &HeaderMap) -> Result<(), NotStorable> {
    if method != Method::GET {
        return Err(NotStorable::Method);
    }
    if headers.contains_key(RANGE) {
        return Err(NotStorable::Range);
    }
    if CacheControl::parse_request(headers).no_store {
        return Err(NotStorable::RequestNoStore);
    }
    Ok(())
}

fn judge_status(status: StatusCode) -> Result<(), NotStorable> {
    match status.as_u16() {
        206 => Err(NotStorable::Partial),
        304 => Err(NotStorable::NotModified),
        200 | 203 | 204 | 300..=303 | 307 | 308 => Ok(()),
        // Left out on purpose: 401 and 407 (a question to one client), 408, 421 and 425 (about one connection), 412,
        // 416 and 417 (about one request's conditions), 428, 429, 431 and 511 (RFC 6585 forbids it).
        400 | 403..=406 | 410 | 414 | 451 | 500..=505 => Ok(()),
        _ => Err(NotStorable::Status),
    }
}
