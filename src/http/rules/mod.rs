//! What the RFCs say, a file for each section.

pub(in crate::http) mod forwarding;
pub(in crate::http) mod freshness;
pub(in crate::http) mod invalidation;
pub(in crate::http) mod ranges;
pub(in crate::http) mod reuse;
pub(in crate::http) mod stale;
pub(in crate::http) mod storability;
pub(in crate::http) mod validation;
pub(in crate::http) mod vary;

pub use freshness::{Freshness, Heuristic};
pub use stale::StaleLimits;
