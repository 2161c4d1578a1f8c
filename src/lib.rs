//! A near cache for edge workers: however many ask for a key, the origin is asked once, and nobody
//! hangs, gets somebody else's answer, or gets one past its time.
//!
//! ```
//! use nearcache::{Cache, CallOptions, LoadCtx};
//! use std::time::Duration;
//!
//! # futures::executor::block_on(async {
//! let cache: Cache<String, u64> = Cache::builder()
//!     .max_entries(10_000)
//!     .time_to_live(Duration::from_secs(60))
//!     .build();
//!
//! let answer = cache
//!     .try_get_with("question".to_owned(), async |ctx: LoadCtx<u64>| {
//!         ctx.set_ttl(Duration::from_secs(5)); // the loader knows best
//!         Ok::<_, std::io::Error>(42)
//!     })
//!     .await;
//! assert_eq!(answer.ok(), Some(42));
//! assert_eq!(cache.get("question"), Some(42));
//! # });
//! ```
//!
//! | feature | adds |
//! | --- | --- |
//! | – | [`Cache`], [`engine`], the pure [`core`], [`figures`] |
//! | `http` | [`http`]: what a shared HTTP cache may keep and for how long |
//! | `js` | the wasm-bindgen side of the npm package |
//! | `worker` | the caching reverse proxy for Cloudflare Workers |
//!
//! Everything is single-threaded, as a Workers isolate is: a [`Cache`] is a cheap handle that clones
//! and stays on its thread.

// Nothing that a caller can reach may panic. (Tests may, so this is not in Cargo.toml.)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod core;
pub mod engine;
pub mod error;
pub mod figures;
#[cfg(feature = "http")]
pub mod http;
#[cfg(all(feature = "js", target_family = "wasm"))]
mod js;
pub mod options;
pub mod time;
#[cfg(all(feature = "worker", target_family = "wasm"))]
mod worker;

pub use crate::core::{Histogram, RemovalCause, Stats};
pub use crate::engine::{Builder, Cache, CallOptions, EntryOptions, Got, KeepFreshOptions, LoadCtx, Plugin, Status};
pub use crate::error::{LoadError, OptionError};
pub use crate::time::{Timestamp, Ttl};
