//! What a *shared* HTTP cache may do, as functions of header fields and time.
//!
//! | question | answered by | rule |
//! | --- | --- | --- |
//! | may this request be answered from the store? | [`admits`] | RFC 9111 §4, §5.2.1 |
//! | 304 or the whole stored answer? | [`evaluate`], [`not_modified_headers`] | RFC 9110 §13, §15.4.5 |
//! | may this answer be stored, and for how long? | [`judge`] | RFC 9111 §3, §4.2 |
//! | may a stale answer be handed out? | [`StaleWindows`], [`takes_stale`], [`is_origin_error`] | RFC 5861, RFC 9111 §4.2.4 |
//! | which stored answer is for this request? | [`variant_key`] | RFC 9111 §4.1 |
//! | what may cross this hop? | [`strip_request`], [`strip_response`], [`make_unconditional`] | RFC 9110 §7.6.1 |
//! | does this write make the stored answer wrong? | [`invalidates`] | RFC 9111 §4.4 |
//! | how does the client learn what happened? | [`CacheStatus`], [`Freshness::write_age`] | RFC 9211, RFC 9111 §5.1 |
//!
//! Nothing here reads a clock or does I/O. Every moment is an argument, in milliseconds since the Unix epoch.
//!
//! # The order of calls
//!
//! A request is first passed through [`strip_request`]; what is left is used for everything: [`admits`],
//! [`variant_key`], [`judge`] and the request to the origin. Otherwise a client could name a field in `Connection`, so
//! that the origin does not see it, and have the answer stored for those who do send that field.
//! A response is judged *before* [`strip_response`], so that a `Connection: set-cookie` hides nothing from [`judge`].
//!
//! # A strict first reading
//!
//! Where the RFCs let a cache choose, this module forwards: no heuristic freshness, nothing stale that nobody has
//! allowed, no stored `no-cache` answers, no ranges. What it cannot read, it reads as the more restrictive of the two.

mod cache_control;
mod cache_status;
mod conditional;
mod field;
mod forward;
mod freshness;
mod request;
mod stale;
mod storage;
mod tags;
mod unsafe_methods;
mod vary;

pub use cache_control::{CacheControl, MaxStale, Qualified};
pub use cache_status::{CacheStatus, Fwd};
pub use conditional::{Answer, evaluate, needs_origin, not_modified_headers};
pub use forward::{add_date, make_unconditional, strip_request, strip_response};
pub use freshness::Freshness;
pub use request::{ForwardReason, Lookup, admits};
pub use stale::{StaleWindows, is_origin_error, takes_stale};
pub use storage::{NotStorable, Storable, judge, judge_unsaid};
pub use tags::{cache_tags, strip_cache_tags};
pub use unsafe_methods::invalidates;
pub use vary::{UnmatchableVary, Vary, variant_key};
