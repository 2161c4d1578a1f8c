//! Which responses a shared cache may store (RFC 9111 §3).

use std::fmt;

use ::http::header::{AUTHORIZATION, CONTENT_RANGE, COOKIE, ETAG, LAST_MODIFIED, SET_COOKIE};
use ::http::{HeaderMap, HeaderName, StatusCode};

use super::forwarding::{is_ordinary, is_well_formed};
use super::freshness::{self, Freshness};
use super::stale::{StaleGround, StaleLimits};
use super::vary::Vary;
use crate::http::fields::{CacheControl, ContentRange, ResponseControl, only};
use crate::http::rule::{Cookies, Rule, SetCookie};

/// A response that may be stored, and what for (RFC 9111 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storability {
    /// How long it is fresh.
    pub freshness: Freshness,
    /// How long past that it may be handed out.
    pub limits: StaleLimits,
    /// The request fields that selected it.
    pub vary: Vary,
    /// It has to be validated before every use: `no-cache`, or it was stale when it came and has no stale windows.
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
pub fn storability(
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
    let (lifetime_ms, by_operator) = match lifetime {
        Some(lifetime) => lifetime,
        // Nothing is said, nothing can be inferred, but it can be validated.
        None if validator => (0, false),
        None => return Err(NotStorable::NoFreshness),
    };
    let freshness = Freshness::new(lifetime_ms, response_headers, request_time, response_time);
    let limits = StaleLimits::of_response(control, rule.stale);
    let fresh = freshness.is_fresh(response_time);
    // What is stale when it comes can still be handed out while it is renewed, or where the origin fails (RFC 5861).
    let usable_stale = [StaleGround::Revalidating, StaleGround::Error]
        .into_iter()
        .any(|ground| limits.allow(ground, &freshness, response_time));
    let always_validate = control.no_cache.is_some() || !(fresh || usable_stale);
    if !always_validate || validator {
        if status.as_u16() >= 400 && !tells_of_target(rule, &vary, request_headers, by_operator) {
            return Err(NotStorable::OddRequest);
        }
        return Ok(Storability { freshness, limits, vary, always_validate, part });
    }
    Err(match lifetime_ms {
        _ if control.no_cache.is_some() => NotStorable::NoCache,
        0 => NotStorable::ZeroLifetime,
        _ => NotStorable::AgedOut,
    })
}

/// The operator's `ttl` goes before what the response says, that before the rule's `statusTtl`, and that before what can be
/// inferred. With whether it is the operator's.
fn lifetime(
    rule: &Rule,
    said: &ResponseControl,
    status: StatusCode,
    headers: &HeaderMap,
    response_time: u64,
) -> Option<(u64, bool)> {
    if let Some(ttl_ms) = rule.ttl_ms.filter(|_| takes_ttl(status)) {
        return Some((ttl_ms, true));
    }
    let by_status = || rule.status_ttl_ms.iter().find(|(statuses, _)| statuses.contains(&status.as_u16()));
    let inferred = || freshness::heuristic_lifetime(rule.heuristic, status, &said.control, headers, response_time);
    freshness::explicit_lifetime(said, headers, response_time)
        .map(|lifetime_ms| (lifetime_ms, false))
        .or_else(|| by_status().map(|(_, ttl_ms)| (*ttl_ms, true)))
        .or_else(|| inferred().map(|lifetime_ms| (lifetime_ms, false)))
}

/// Of errors, a lifetime that is meant for whatever a target's responses are is only for those that say that there is nothing.
fn takes_ttl(status: StatusCode) -> bool {
    status.as_u16() < 400 || matches!(status.as_u16(), 404 | 410)
}

/// Whether an error tells of the target, so that others would have met it as well, rather than of something odd about this
/// request, by which somebody could make it everybody's.
///
/// Where the origin's own words make it last, it is taken at them that it varies by no field but those that its `Vary`
/// names (RFC 9110 §12.5.5). What its server can't have read it has not judged, nor does what credentials bring tell of others.
fn tells_of_target(rule: &Rule, vary: &Vary, request_headers: &HeaderMap, by_operator: bool) -> bool {
    // Cookies that are dropped don't reach the origin; those that do are in the key, or the response varies by them.
    let dropped = |name: &HeaderName| rule.cookies == Cookies::Drop && *name == COOKIE;
    let is_shared = |name: &HeaderName| rule.fixes(name) || vary.names().contains(name) || dropped(name);
    match by_operator {
        true => is_ordinary(request_headers, is_shared),
        false => is_well_formed(request_headers, is_shared) && !request_headers.contains_key(AUTHORIZATION),
    }
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
    /// The request said `no-store`.
    RequestNoStore,
    /// 206 that does not say which part it is, or that nobody asked for.
    Partial,
    /// 304: no answer of its own.
    NotModified,
    /// It had fields that can't be read ([`ResponseHead::damaged`](crate::http::exchange::ResponseHead::damaged)).
    Damaged,
    /// A status code that tells of one request or one connection rather than of the target, or that is for one client; and
    /// one that this cache does not know, where the response says `must-understand`.
    Status,
    /// The response said `no-store`, or its `Cache-Control` could not be read.
    NoStore,
    /// The response said `private`, of itself or of some fields.
    Private,
    /// The response said `no-cache`, of itself or of some fields, and has no validator.
    NoCache,
    /// The response sets a cookie.
    SetCookie,
    /// The response's `Vary` matches no other request.
    VaryAny,
    /// The request had cookies because what is stored varies by them, and the response does not say so of itself: it may be
    /// its client's own.
    Cookie,
    /// An error that may be about something unusual in the request: fields that browsers don't send where only the operator says
    /// how long it lasts, and in any case very many bytes, other ones than printable ASCII, or credentials.
    OddRequest,
    /// The request had an `Authorization`, and the response does not allow sharing (§3.5).
    Authorization,
    /// The response says nothing about its freshness, nothing can be inferred, and it has no validator.
    NoFreshness,
    /// The response's lifetime is 0, and it has neither a validator nor a stale window.
    ZeroLifetime,
    /// The response had already outlived its lifetime and its stale windows when it arrived, and has no validator.
    AgedOut,
}

impl NotStorable {
    /// A short stable name, fit for the `detail` of a `Cache-Status` (RFC 9211 §2.8).
    pub fn code(self) -> &'static str {
        match self {
            Self::RequestNoStore => "request-no-store",
            Self::Partial => "partial",
            Self::NotModified => "not-modified",
            Self::Damaged => "damaged",
            Self::Status => "status",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::NoCache => "no-cache",
            Self::SetCookie => "set-cookie",
            Self::VaryAny => "vary-any",
            Self::Cookie => "cookie",
            Self::OddRequest => "odd-request",
            Self::Authorization => "authorization",
            Self::NoFreshness => "no-freshness",
            Self::ZeroLifetime => "zero-lifetime",
            Self::AgedOut => "aged-out",
        }
    }

    /// Whether the response itself forbids to store it, whoever asks.
    pub fn is_of_response(self) -> bool {
        matches!(self, Self::Damaged | Self::NoStore | Self::Private | Self::SetCookie | Self::VaryAny)
    }

    /// Whether the next request for the same target is likely to end the same way, so that the cache does well to
    /// remember for a while not to make requests for it wait for each other (hit-for-miss).
    ///
    /// Not so where this request or this moment was the reason, nor where `status` tells of a passing failure
    /// (5xx, 408, 425, 429): a failing origin is helped by fewer requests at a time, not by more.
    pub fn worth_remembering(self, status: StatusCode) -> bool {
        let passing = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
        match self {
            Self::RequestNoStore | Self::OddRequest => false,
            Self::Partial | Self::NotModified | Self::AgedOut => false,
            Self::Damaged | Self::Status | Self::NoStore | Self::Private | Self::NoCache | Self::SetCookie => !passing,
            Self::VaryAny | Self::Cookie | Self::Authorization | Self::NoFreshness | Self::ZeroLifetime => !passing,
        }
    }
}

impl fmt::Display for NotStorable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the response may not be stored: {}", self.code())
    }
}

impl std::error::Error for NotStorable {}
