//! What a cache over tiers does, in virtual time, with tiers that do as they are told.
#![cfg(feature = "tier")]

mod common;
#[path = "tiers/rust/sharing.rs"]
mod sharing;
#[path = "tiers/rust/support.rs"]
mod support;
