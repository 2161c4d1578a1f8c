//! What a *shared* HTTP cache may do (RFC 9110, 9111, 5861, 8246, 8586, 9211, 9213).
//!
//! [`exchange`] has the sequence, as machines without I/O; [`rule`] what the operator wants. The rest is what they are
//! made of: how fields are read, and what the RFCs say of them, as functions of fields and time.
//!
//! Nothing here reads a clock or does I/O. Every moment is an argument, in milliseconds since the Unix epoch.

pub mod exchange;
mod fields;
pub mod rule;
mod rules;

pub use fields::{
    ByteRange, CacheControl, CacheStatus, ContentRange, EntityTag, Fwd, MaxStale, Qualified, RangeRequest,
    ResponseControl, cache_tags, strip_cache_tags,
};
pub use rules::forwarding::{add_date, make_unconditional, strip_request, strip_response};
pub use rules::invalidation::invalidates;
pub use rules::reuse::{ForwardReason, Lookup, admits};
pub use rules::stale::{StaleWindows, is_origin_error, takes_stale};
pub use rules::storability::{NotStorable, Storable, judge, judge_unsaid};
pub use rules::validation::{Answer, evaluate, needs_origin, not_modified_headers};
pub use rules::vary::{UnmatchableVary, Vary, variant_key};
pub use rules::{Freshness, Heuristic, StaleLimits};
