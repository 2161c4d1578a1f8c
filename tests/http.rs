//! What `nearcache::http` makes of requests and responses, by rule.

#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::type_complexity)]

#[path = "http/apart.rs"]
mod apart;
#[path = "http/attacks.rs"]
mod attacks;
#[path = "http/below.rs"]
mod below;
#[path = "http/exchange.rs"]
mod exchange;
#[path = "http/fields.rs"]
mod fields;
#[path = "http/forwarding.rs"]
mod forwarding;
#[path = "http/freshness.rs"]
mod freshness;
#[path = "common/random.rs"]
mod numbers;
#[path = "http/overtaking.rs"]
mod overtaking;
#[path = "http/purges.rs"]
mod purges;
#[path = "http/random.rs"]
mod random;
#[path = "http/rule.rs"]
mod rule;
#[path = "http/stale.rs"]
mod stale;
#[path = "http/storability.rs"]
mod storability;
#[path = "http/storm.rs"]
mod storm;
#[path = "http/support.rs"]
mod support;
#[path = "http/validation.rs"]
mod validation;
#[path = "http/vary.rs"]
mod vary;
#[path = "http/world.rs"]
mod world;
