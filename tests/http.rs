//! What `nearcache::http` makes of requests and responses, by rule.

#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "http/rules.rs"]
mod rules;
