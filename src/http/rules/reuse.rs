//! What a request lets the cache do with what it has stored (RFC 9111 §4, §5.2.1).

use ::http::header::RANGE;
use ::http::{HeaderMap, Method};

use super::freshness::Freshness;
use super::validation as conditional;
use crate::http::fields::CacheControl;
use crate::http::fields::Fwd;

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Serve the stored response, after [`evaluate`](crate::http::evaluate).
    Serve,
    /// Ask the origin.
    MustGoForward(ForwardReason),
    /// The stored response will not do, and the request forbids to ask the origin: answer 504 (§5.2.1.7).
    OnlyIfCached(ForwardReason),
}

/// Why a request is not answered from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForwardReason {
    /// The method is neither GET nor HEAD.
    Method,
    /// It asks for a range.
    Range,
    /// It has an `If-Match` or `If-Unmodified-Since`, which only the origin can judge.
    Precondition,
    /// It says `no-store`, or its `Cache-Control` cannot be read.
    NoStore,
    /// It says `no-cache`.
    NoCache,
    /// Nothing is stored for it.
    Miss,
    /// What is stored is stale.
    Stale,
    /// What is stored is older than its `max-age`.
    MaxAge,
    /// What is stored is not fresh for as long as its `min-fresh` asks.
    MinFresh,
}

/// Whether the response stored for this request, if any, may answer it at `now` (milliseconds since the Unix epoch).
///
/// The first [`ForwardReason`] that applies, in the order of its variants, is the one given.
///
/// - A stale response is never served, whatever `max-stale` says.
/// - `max-age=0` is the reload button and always goes to the origin, also where the stored response's age is 0.
/// - An `Authorization` changes nothing here. What one request with it brought is only stored where the response
///   allows it (§3.5, [`judge`](crate::http::judge)), and such a response may be served to anyone; so may one that was
///   brought without it. An origin that answers differently has to say so with `Vary` or `private`.
/// - `only-if-cached` turns every reason but [`ForwardReason::Method`] into [`Lookup::OnlyIfCached`].
pub fn admits(method: &Method, request_headers: &HeaderMap, stored: Option<&Freshness>, now: u64) -> Lookup {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Lookup::MustGoForward(ForwardReason::Method);
    }
    let control = CacheControl::parse_request(request_headers);
    match obstacle(&control, request_headers, stored, now) {
        None => Lookup::Serve,
        Some(reason) if control.only_if_cached => Lookup::OnlyIfCached(reason),
        Some(reason) => Lookup::MustGoForward(reason),
    }
}

/// Why a stored response may not answer a request without asking the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Obstacle {
    /// It is stale, or has to be validated before every use.
    Stale,
    /// The client wants a fresher one; this one would do otherwise.
    Request(&'static str),
}

/// What stands against answering from a stored response (§4, §5.2.1). `must_validate` is whether its own `no-cache` asks for that.
pub(in crate::http) fn reuse_obstacle(
    control: &CacheControl,
    stored: &Freshness,
    must_validate: bool,
    now: u64,
) -> Option<Obstacle> {
    if must_validate || !stored.is_fresh(now) {
        return Some(Obstacle::Stale);
    }
    if control.no_cache.is_some() {
        return Some(Obstacle::Request("no-cache"));
    }
    let too_old = |max_age: u32| max_age == 0 || stored.age_ms(now) > u64::from(max_age) * 1000;
    if control.max_age.is_some_and(too_old) {
        return Some(Obstacle::Request("max-age"));
    }
    let too_short = |min_fresh: u32| stored.remaining_ms(now) < i64::from(min_fresh) * 1000;
    if control.min_fresh.is_some_and(too_short) {
        return Some(Obstacle::Request("min-fresh"));
    }
    None
}

impl ForwardReason {
    /// A short stable name, fit for the `detail` of a `Cache-Status` (RFC 9211 §2.8).
    pub fn code(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Range => "range",
            Self::Precondition => "precondition",
            Self::NoStore => "no-store",
            Self::NoCache => "no-cache",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::MaxAge => "max-age",
            Self::MinFresh => "min-fresh",
        }
    }

    /// The same in the words of RFC 9211 §2.2. [`Fwd::Miss`] for a miss: a caller that knows whether the target or
    /// only the variant is missing says [`Fwd::UriMiss`] or [`Fwd::VaryMiss`] instead.
    pub fn fwd(self) -> Fwd {
        match self {
            Self::Method => Fwd::Method,
            Self::Range | Self::Precondition => Fwd::Bypass,
            Self::NoStore | Self::NoCache | Self::MaxAge | Self::MinFresh => Fwd::Request,
            Self::Miss => Fwd::Miss,
            Self::Stale => Fwd::Stale,
        }
    }

    /// Whether the origin may be asked with a request that fills the cache, after
    /// [`make_unconditional`](crate::http::make_unconditional). Otherwise the request goes forward alone and as it is, and
    /// its answer reaches nobody else.
    ///
    /// False for every HEAD: its answer has no content to store.
    pub fn may_fill(self, method: &Method) -> bool {
        let whole = match self {
            Self::Method | Self::Range | Self::Precondition | Self::NoStore => false,
            Self::NoCache | Self::Miss | Self::Stale | Self::MaxAge | Self::MinFresh => true,
        };
        whole && *method == Method::GET
    }
}

fn obstacle(
    control: &CacheControl,
    headers: &HeaderMap,
    stored: Option<&Freshness>,
    now: u64,
) -> Option<ForwardReason> {
    if headers.contains_key(RANGE) {
        return Some(ForwardReason::Range);
    }
    if conditional::needs_origin(headers) {
        return Some(ForwardReason::Precondition);
    }
    if control.no_store {
        return Some(ForwardReason::NoStore);
    }
    if control.no_cache.is_some() {
        return Some(ForwardReason::NoCache);
    }
    let Some(stored) = stored else {
        return Some(ForwardReason::Miss);
    };
    if !stored.is_fresh(now) {
        return Some(ForwardReason::Stale);
    }
    let too_old = |max_age: u32| max_age == 0 || stored.age_ms(now) > u64::from(max_age) * 1000;
    if control.max_age.is_some_and(too_old) {
        return Some(ForwardReason::MaxAge);
    }
    let too_short = |min_fresh: u32| stored.remaining_ms(now) < i64::from(min_fresh) * 1000;
    if control.min_fresh.is_some_and(too_short) {
        return Some(ForwardReason::MinFresh);
    }
    None
}
