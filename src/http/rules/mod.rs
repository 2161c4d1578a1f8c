//! What the RFCs say, a module for each section, as functions of header fields and time.

pub mod forwarding;
pub mod freshness;
pub mod invalidation;
pub mod ranges;
pub mod reuse;
pub mod stale;
pub mod storability;
pub mod validation;
pub mod vary;
