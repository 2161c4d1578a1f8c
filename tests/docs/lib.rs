//! The Rust examples of the documents: `cargo test --doc -p docs-examples` runs them. Each document that has some is named
//! here, which tests/docs/examples.mjs looks after.

#[doc = include_str!("../../README.md")]
pub mod repository {}
#[doc = include_str!("../../src/README.md")]
pub mod crate_readme {}
#[doc = include_str!("../../docs/errors.md")]
pub mod errors {}
#[doc = include_str!("../../docs/guides/batching.md")]
pub mod batching {}
#[doc = include_str!("../../docs/guides/testing.md")]
pub mod testing {}
#[doc = include_str!("../../docs/guides/migrating.md")]
pub mod migrating {}
#[doc = include_str!("../../docs/guides/eviction.md")]
pub mod eviction {}
#[doc = include_str!("../../docs/guides/invalidation.md")]
pub mod invalidation {}
#[doc = include_str!("../../docs/guides/snapshots.md")]
pub mod snapshots {}
#[doc = include_str!("../../docs/tiers.md")]
pub mod tiers {}
