//! What a *shared* HTTP cache may do (RFC 9110, 9111, 5861, 8246, 8586, 9211, 9213).
//!
//! [`exchange`] has the sequence, as machines without I/O; [`rule`] what the operator wants. The rest is what they are
//! made of: how fields are read, and what the RFCs say of them, as functions of fields and time.
//!
//! Nothing here reads a clock or does I/O. Every moment is an argument, in milliseconds since the Unix epoch.

pub mod exchange;
mod fields;
pub mod rule;
pub mod rules;

pub use fields::{
    ByteRange, CacheControl, CacheStatus, Coding, ContentRange, EntityTag, Fwd, MaxStale, Qualified, RangeRequest,
    ResponseControl, cache_tags, strip_cache_tags,
};
pub use rules::freshness::{Freshness, Heuristic};
pub use rules::stale::StaleLimits;
pub use rules::vary::Vary;
