//! What a cache over tiers does, in virtual time, with tiers that do as they are told.
#![cfg(feature = "tier")]

mod common;
#[path = "tiers/rust/faults.rs"]
mod faults;
#[path = "tiers/rust/kinds.rs"]
mod kinds;
#[path = "tiers/rust/purges.rs"]
mod purges;
#[path = "tiers/rust/random.rs"]
mod random;
#[path = "tiers/rust/sharing.rs"]
mod sharing;
#[path = "tiers/rust/stores.rs"]
mod stores;
#[path = "tiers/rust/support.rs"]
mod support;
