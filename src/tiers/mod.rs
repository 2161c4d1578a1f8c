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
mod options;
#[cfg(feature = "workers")]
pub mod workers;

use std::error::Error;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, try_join_all};

pub use crate::engine::{TierStats, Tiered};
pub use codec::{Bytes, Codec, Json, MessagePack};
#[cfg(not(target_family = "wasm"))]
pub use file::FileTier;
pub use memory::MemoryTier;
pub(crate) use options::{Settings, Store};
pub use options::{TierOptions, Tiers};

/// Why a tier could not do what it was asked: any error, or a text. Nobody who asks the cache sees it; it counts as a failure.
pub struct TierError(Box<dyn Error>);

impl<E: Into<Box<dyn Error>>> From<E> for TierError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for TierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for TierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Bytes to be kept under a name. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierEntry {
    /// Where.
    pub name: Rc<str>,
    /// What.
    pub bytes: Rc<[u8]>,
    /// After so long the store may drop it; it may keep it longer, and should not drop it earlier. At least 1 ms.
    pub ttl: Duration,
}

/// A store of bytes by name. Names are up to about 500 bytes of UTF-8. An error counts as a failure, and so does what takes
/// longer than [`timeout`](TierOptions::timeout), whose future is dropped then; neither reaches who asked the cache.
///
/// Futures need not be `Send`, as nothing of a cache is. [`conformance::test`] tells whether a tier does what is wanted.
///
/// ```
/// use nearcache::tiers::{Tier, TierEntry, TierError};
/// # struct Client;
/// # impl Client {
/// #     async fn get(&self, _: &str) -> std::io::Result<Option<Vec<u8>>> { Ok(None) }
/// #     async fn set_px(&self, _: &str, _: &[u8], _: u128) -> std::io::Result<()> { Ok(()) }
/// #     async fn del(&self, _: &str) -> std::io::Result<()> { Ok(()) }
/// # }
///
/// struct Redis(Client);
///
/// impl Tier for Redis {
///     fn name(&self) -> &str {
///         "redis"
///     }
///
///     async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, TierError> {
///         Ok(self.0.get(name).await?)
///     }
///
///     async fn set(&self, entry: &TierEntry) -> Result<(), TierError> {
///         Ok(self.0.set_px(&entry.name, &entry.bytes, entry.ttl.as_millis()).await?)
///     }
///
///     async fn delete(&self, name: &str) -> Result<(), TierError> {
///         Ok(self.0.del(name).await?)
///     }
/// }
/// ```
#[expect(async_fn_in_trait, reason = "a cache stays on its thread, and so do its tiers' futures")]
pub trait Tier: 'static {
    /// What it is called in figures and logs; no two of a chain have one name.
    fn name(&self) -> &str;

    /// How a chain treats it, unless [`Tiers::tier_with`] says otherwise.
    fn options(&self) -> TierOptions {
        TierOptions::default()
    }

    /// The bytes as they were stored; `None` if there are none.
    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, TierError>;

    /// Stores bytes, in the place of those that were there.
    async fn set(&self, entry: &TierEntry) -> Result<(), TierError>;

    /// Deletes; what is not there as well.
    async fn delete(&self, name: &str) -> Result<(), TierError>;

    /// As many answers as names, in their order. Unless written, [`get`](Self::get) is called for each, all at once.
    async fn get_many(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, TierError> {
        try_join_all(names.iter().map(|name| self.get(name))).await
    }

    /// Unless written, [`set`](Self::set) is called for each, all at once.
    async fn set_many(&self, entries: &[TierEntry]) -> Result<(), TierError> {
        try_join_all(entries.iter().map(|entry| self.set(entry))).await.map(drop)
    }

    /// Unless written, [`delete`](Self::delete) is called for each, all at once.
    async fn delete_many(&self, names: &[String]) -> Result<(), TierError> {
        try_join_all(names.iter().map(|name| self.delete(name))).await.map(drop)
    }

    /// Removes all that the tier has stored; `false` for a tier that can't. Never called by a cache: clearing it marks what is there as
    /// purged.
    async fn clear(&self) -> Result<bool, TierError> {
        Ok(false)
    }

    /// Lets go of what it holds open. Called by [`Tiered::close`].
    async fn close(&self) {}
}

/// A [`Tier`] whose type a chain need not know.
pub(crate) trait AnyTier {
    fn get_many<'a>(&'a self, names: &'a [String]) -> LocalBoxFuture<'a, Result<Vec<Option<Vec<u8>>>, TierError>>;
    fn set_many<'a>(&'a self, entries: &'a [TierEntry]) -> LocalBoxFuture<'a, Result<(), TierError>>;
    fn delete_many<'a>(&'a self, names: &'a [String]) -> LocalBoxFuture<'a, Result<(), TierError>>;
    fn close(&self) -> LocalBoxFuture<'_, ()>;
}

impl<T: Tier> AnyTier for T {
    fn get_many<'a>(&'a self, names: &'a [String]) -> LocalBoxFuture<'a, Result<Vec<Option<Vec<u8>>>, TierError>> {
        Box::pin(Tier::get_many(self, names))
    }

    fn set_many<'a>(&'a self, entries: &'a [TierEntry]) -> LocalBoxFuture<'a, Result<(), TierError>> {
        Box::pin(Tier::set_many(self, entries))
    }

    fn delete_many<'a>(&'a self, names: &'a [String]) -> LocalBoxFuture<'a, Result<(), TierError>> {
        Box::pin(Tier::delete_many(self, names))
    }

    fn close(&self) -> LocalBoxFuture<'_, ()> {
        Box::pin(Tier::close(self))
    }
}
