//! A near cache: it sits in the memory of the process that asks, in front of a slow, costly or rate-limited origin. However
//! many ask for a key, the origin is asked once, and nobody hangs, gets somebody else's answer, or gets one past its time.
//!
//! **A [`Cache`] is not `Send`**: it is a cheap handle that clones and stays on its thread, as all of a Cloudflare Worker
//! does. What that means for servers of several threads, axum for one, stands [below](#servers-of-several-threads).
//!
//! ```
//! use nearcache::{Cache, LoadCtx};
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
//! Futures and nothing else: no executor of its own, no threads, no `unsafe`. A load is driven by one of those who wait for
//! it. Dropping a get's future leaves the load to the others; with the last of them it is dropped too. What else a cache
//! does, stale values, deadlines, negative caching, refreshing ahead, batches, tags, namespaces, hooks, stands in
//! [`Builder`] and [`Cache`], each with an example.
//!
//! | feature | adds |
//! | --- | --- |
//! | – | the pure [`core`], [`figures`] |
//! | `engine` | by default: [`Cache`] and the [`engine`] behind it |
//! | `adaptive` | by default: the eviction policy that adapts to what is asked, without which it is `Lru` |
//! | `http` | [`http`]: a shared HTTP cache's decisions (RFC 9110, 9111, 5861, 8586, 9211, 9213), and rules by host and path |
//! | `snapshot` | [`Cache::save_snapshot`] and [`Cache::load_snapshot`]: all that a cache holds as bytes, so that a restart starts warm; with serde |
//! | `tier` | [`tiers`]: stores below a cache's memory, with serde; and [`tier`], what a chain of them does next, envelopes, messages of invalidation, snapshots; no I/O |
//! | `workers` | [`workers`]: the runtime for Rust Workers |
//!
//! # Rust Workers
//!
//! With the feature `workers`, a `thread_local!` and `.runtime(Workers)` all requests of an isolate share one cache, and loads
//! outlive the requests that began them: see [`workers`].
//!
//! # Servers of several threads
//!
//! axum and tonic want futures that are `Send`. So give the cache a thread of its own, with tokio's
//! `LocalSet`, and ask it by a channel: `examples/axum` in the repository has such a handle, small, with a test over HTTP.
//! Values must be `Send` then (an `Arc` where a clone is dear), and [`LoadError`] is. One cache asks the origin once for all
//! threads; a cache for each thread is faster, and asks once for each. A server whose threads each have a runtime of their own
//! needs no handle.
//!
//! Natively nothing runs by itself: what is to be refreshed while nobody waits wants a
//! [`spawner`](Builder::spawner), `|task| drop(tokio::task::spawn_local(task))` for one.
//!
//! # Errors
//!
//! A get that brings no value says why by a [`LoadError`]: its loader's own error, the same for all who waited, or a deadline,
//! and a few rarer ones, each with a [`code`](LoadError::code) that stays. It is a `std::error::Error` with its cause as
//! its source, `Send`, `Sync` and cheap to clone, and so goes by `?` into `Box<dyn Error>` and `anyhow::Error`; a
//! loader may fail with what becomes a `Box<dyn Error + Send + Sync>`, `anyhow::Error` and `&str` among them.
//!
//! ```
//! use nearcache::{Cache, LoadError};
//!
//! # futures::executor::block_on(async {
//! let cache: Cache<u32, String> = Cache::new_with_max_entries(100);
//! match cache.try_get_with(7, async |_| "seven".parse::<u8>().map(|n| n.to_string())).await {
//!     Err(LoadError::Loader(cause)) => assert!(cause.is::<std::num::ParseIntError>()),
//!     other => panic!("{other:?}"),
//! }
//! # });
//! ```
//!
//! # Tests of what time does
//!
//! A [`ManualClock`] stands until it is moved, and lifetimes, deadlines and batch windows with it:
//!
//! ```
//! use nearcache::{Cache, LoadError, engine::ManualClock};
//! use std::time::Duration;
//!
//! # futures::executor::block_on(async {
//! let clock = ManualClock::new();
//! let cache: Cache<&str, u32> = Cache::builder().hard_timeout(Duration::from_secs(30)).clock(clock.clone()).build();
//! let hangs = cache.try_get_with("key", async |_| std::future::pending::<Result<_, &str>>().await);
//! let (answer, ()) = futures::join!(hangs, async { clock.advance(Duration::from_secs(30)) });
//! assert!(matches!(answer, Err(LoadError::TimedOut { after_millis: 30_000 })));
//! # });
//! ```

// Nothing that a caller can reach may panic. (Tests may, so this is not in Cargo.toml.)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(not(feature = "engine"), allow(dead_code, unused_imports, reason = "what only the engine calls"))]

pub mod core;
#[cfg(feature = "engine")]
pub mod engine;
pub mod error;
pub mod figures;
#[cfg(feature = "http")]
pub mod http;
#[doc(hidden)]
pub mod numbers;
pub mod options;
#[cfg(feature = "tier")]
pub mod tier;
#[cfg(all(feature = "tier", feature = "engine"))]
pub mod tiers;
pub mod time;
#[cfg(feature = "workers")]
pub mod workers;

pub use crate::core::{EntryState, EvictionPolicy, Histogram, MissCause, RemovalCause, StaleCause, Stats};
#[cfg(feature = "engine")]
pub use crate::engine::{
    Builder, Cache, CallOptions, Details, EntryInfo, EntryOptions, KeepFreshOptions, LoadCtx, ManualClock, Plugin,
    Status,
};
#[cfg(feature = "snapshot")]
pub use crate::engine::{SnapshotFailure, SnapshotFormat, SnapshotOptions};
pub use crate::error::{LoadError, OptionError};
pub use crate::options::{Policy, PolicyPatch};
pub use crate::time::{Timestamp, Ttl};
