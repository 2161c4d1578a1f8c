//! Stores below a cache's memory: Redis, Workers KV, a folder, whatever gets, sets and deletes bytes by name.
//!
//! [`Tiers`] is a chain of them, read in order. [`over`](Tiers::over) puts a cache on top: a load asks the tiers before its
//! loader, what one tier has is copied into those above it, and what the loader brings is stored in all of them. Removing, purging and clearing
//! reach every tier.
//!
//! ```
//! use nearcache::Cache;
//! use nearcache::tiers::{MemoryTier, Tiers};
//! use std::time::Duration;
//!
//! # futures::executor::block_on(async {
//! let shared = MemoryTier::new(); // Redis, say
//! let process = || {
//!     let cache: Cache<String, u64> = Cache::builder().time_to_live(Duration::from_secs(60)).build();
//!     Tiers::new().tier(shared.clone()).over(cache)
//! };
//! let (one, other) = (process()?, process()?);
//! assert_eq!(one.try_get_with("answer".to_owned(), async |_| Ok::<_, &str>(42)).await?, 42);
//! one.flush().await;
//! // Another process finds it below its memory, and asks nobody else.
//! assert_eq!(other.try_get_with("answer".to_owned(), async |_| Err("not asked")).await?, 42);
//! other.remove("answer"); // here, in the tier, and so for everybody
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! A tier that is slow, down, full or returns rubbish costs at most its [`timeout`](TierOptions::timeout), is logged once, is left
//! alone for a while by a circuit breaker, and comes back by itself. Meanwhile the loader answers. What is decided about all
//! this, [`crate::tier`] decides, for the npm package as well: both read and write the same bytes under the same names, so that they can
//! share a store. What a purge means across processes, and what it rests on, is said there.
//!
//! # A tier of one's own
//!
//! [`Tier`] has three methods that must be written. [`conformance`] tells whether they do what is wanted.

pub(crate) mod codec;
pub mod conformance;
#[cfg(not(target_family = "wasm"))]
mod file;
mod memory;
pub(crate) mod options;
mod tier;
#[cfg(feature = "workers")]
pub mod workers;

pub use crate::engine::{TierStats, Tiered, Tiers};
pub use codec::{Bytes, Codec, Json, MessagePack};
#[cfg(not(target_family = "wasm"))]
pub use file::FileTier;
pub use memory::MemoryTier;
pub use options::TierOptions;
pub(crate) use tier::AnyTier;
pub use tier::{Tier, TierEntry, TierError};
