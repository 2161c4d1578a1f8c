//! What the operator wants of a request: the [`Rule`] that the exchange goes by, and how [`Rules`] are written.

mod conditional;
mod pattern;
mod rules;
mod settings;

use std::ops::RangeInclusive;

use ::http::{HeaderName, HeaderValue};

use super::{Heuristic, StaleLimits};

pub use rules::Rules;
pub use settings::RuleError;

/// Everything that is decided before a request comes. [`Rule::default`] is what a cautious operator wants of an
/// unknown origin. Durations are milliseconds.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Neither look into the store nor store anything.
    pub bypass: bool,
    /// The freshness lifetime of every storable response, whatever it says itself (but for `no-store`, `private` and
    /// `no-cache`). Of errors only that something is not there (404) or there no more (410).
    pub ttl_ms: Option<u64>,
    /// The freshness lifetime of responses that say nothing of it, by status; the first range that has it counts.
    pub status_ttl_ms: Vec<(RangeInclusive<u16>, u64)>,
    /// What to infer from `Last-Modified` (RFC 9111 §4.2.2).
    pub heuristic: Heuristic,
    /// Stale windows of responses that say nothing of them.
    pub stale: StaleLimits,
    /// How long past every other use a response with a validator is kept, so that it can be validated.
    pub keep_ms: u64,
    /// For how long requests for what turned out not to be storable don't wait for each other (hit-for-miss).
    pub uncacheable_ttl_ms: u64,
    /// For how long an origin that failed is not asked again for the same. Its own `Retry-After` counts too.
    pub error_backoff_ms: u64,
    /// The longest `Retry-After` that is heeded.
    pub max_backoff_ms: u64,
    /// What to make of a request that wants a fresh answer though a usable one is stored.
    pub reload: Reload,
    /// What to make of responses that set cookies.
    pub set_cookie: SetCookie,
    /// What to make of the cookies of a request that may bring an answer for all.
    pub cookies: Cookies,
    /// What is in the key besides host and path.
    pub key: KeyRule,
    /// Fields of requests that are dropped before anything looks at them.
    pub dropped_fields: Vec<HeaderName>,
    /// Changes to requests on their way to the origin.
    pub request_fields: FieldEdits,
    /// Changes to responses on their way to clients.
    pub response_fields: FieldEdits,
    /// Tags that everything stored bears.
    pub tags: Vec<String>,
    /// What to ask the origin for where a client wants a range and nothing is stored.
    pub ranges: Ranges,
    /// Whether the origin may send encoded content for the store.
    pub compression: Compression,
    /// What an unsafe request under this rule purges besides its own target, where it succeeds.
    pub purges: Vec<Purge>,
    /// The most bytes of a body that is stored.
    pub max_body_bytes: u64,
    /// The most variants of one target; beyond, the one stored first goes.
    pub max_variants: usize,
    /// Targeted cache-control fields in the order in which they count (RFC 9213 §2.2).
    pub targeted: Vec<HeaderName>,
    /// The origin's scheme, host and path prefix, without a slash at the end; `None`: the driver's.
    pub origin: Option<String>,
    /// How this cache is called in `Via`, `Cache-Status` and `CDN-Loop`: a token.
    pub name: String,
    /// So many times a request may have come by here before; then it is a loop (RFC 8586).
    pub max_hops: usize,
}

impl Rule {
    /// Whether all requests with one key have the same in this field as the origin sees it: it is in the key, or the operator sets
    /// it.
    pub(super) fn fixes(&self, name: &HeaderName) -> bool {
        self.key.fields.contains(name)
            || self.request_fields.set.iter().any(|(set, _)| set == name)
            || (self.key.device && name == "x-device")
    }
}

/// What to make of a client's `no-cache`, `max-age` and `min-fresh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Ask the origin, at most once per target and second; the others get what is stored.
    OncePerSecond,
    /// Answer with what is stored.
    Ignore,
}

/// What to make of a storable response that sets cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetCookie {
    /// It is not stored.
    Refuse,
    /// It is stored without them.
    Drop,
    /// It is stored with them: everybody gets the same.
    Keep,
}

/// What to make of a request's `Cookie`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookies {
    /// The origin is asked without it, as long as the answer may be for all. Where it may not, the origin is asked
    /// again, by itself and with it.
    Drop,
    /// The origin gets it.
    Forward,
    /// A request that has one passes.
    Bypass,
}

/// What to ask the origin for where a client wants a range of what is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// The range.
    Part,
    /// The whole, which is stored.
    Whole,
    /// The range, and nothing is stored.
    Pass,
}

/// Whether the origin is asked for encoded content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As the client's `Accept-Encoding` says; what comes is stored as it is.
    Origin,
    /// Never.
    None,
}

/// What else a successful unsafe request takes out of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purge {
    /// What lies under a path and query on the same host.
    Target(String),
    /// What lies under paths that begin so, on the same host.
    Prefix(String),
    /// What bears a tag.
    Tag(String),
}

/// What makes two requests ask for the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRule {
    /// Whether the host is left out.
    pub any_host: bool,
    /// What becomes of the query.
    pub query: QueryRule,
    /// Request fields whose values are in the key.
    pub fields: Vec<HeaderName>,
    /// Cookies whose values are in the key (and which reach the origin).
    pub cookies: Vec<String>,
    /// Whether the device (`mobile`, `tablet`, `desktop`, by `User-Agent`) is in the key. The origin gets it as
    /// `X-Device`.
    pub device: bool,
}

impl KeyRule {
    /// Whether one target may lie under several keys.
    pub(in crate::http) fn has_parts(&self) -> bool {
        self.device || !self.fields.is_empty() || !self.cookies.is_empty()
    }
}

/// What of a query is in the key. The origin gets the same query as the key has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryRule {
    /// Whether parameters are sorted by name.
    pub sort: bool,
    /// The only parameters that count; `None`: all. `*` at the end stands for anything.
    pub keep: Option<Vec<String>>,
    /// Parameters that don't count. `*` at the end stands for anything.
    pub drop: Vec<String>,
}

/// Fields taken off a message, and fields it is given in place of those it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldEdits {
    /// Taken off, first.
    pub remove: Vec<HeaderName>,
    /// Given.
    pub set: Vec<(HeaderName, HeaderValue)>,
}

/// Fields of requests by which some origins let themselves be told which host, scheme, path, address or method is meant, other than by
/// the request itself: none of it is in the key, and what comes of it would be everybody's.
pub const UNKEYED_FIELDS: [&str; 26] = [
    "base-url",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "front-end-https",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-host",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
    "x-url-scheme",
];

impl Default for Rule {
    fn default() -> Self {
        const MINUTE: u64 = 60_000;
        const DAY: u64 = 24 * 60 * MINUTE;
        Self {
            bypass: false,
            ttl_ms: None,
            status_ttl_ms: Vec::new(),
            heuristic: Heuristic { percent: 10, max_ms: DAY },
            stale: StaleLimits { if_unreachable_ms: 60 * MINUTE, ..StaleLimits::default() },
            keep_ms: 60 * MINUTE,
            uncacheable_ttl_ms: MINUTE,
            error_backoff_ms: 0,
            max_backoff_ms: 5 * MINUTE,
            reload: Reload::OncePerSecond,
            set_cookie: SetCookie::Refuse,
            cookies: Cookies::Drop,
            key: KeyRule::default(),
            dropped_fields: UNKEYED_FIELDS.iter().map(|name| HeaderName::from_static(name)).collect(),
            request_fields: FieldEdits::default(),
            response_fields: FieldEdits::default(),
            tags: Vec::new(),
            ranges: Ranges::Part,
            compression: Compression::Origin,
            purges: Vec::new(),
            max_body_bytes: 2 * 1024 * 1024,
            max_variants: 32,
            targeted: vec![HeaderName::from_static("cdn-cache-control")],
            origin: None,
            name: "nearcache".to_owned(),
            max_hops: 3,
        }
    }
}
