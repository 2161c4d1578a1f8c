//! What a tier is.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join_all, try_join_all};

use super::options::TierOptions;

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
/// Futures need not be `Send`, as nothing of a cache is. [`conformance::test`](super::conformance::test) tells whether a tier does what is wanted.
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

    /// How a chain treats it, unless [`Tiers::tier_with`](crate::tiers::Tiers::tier_with) says otherwise.
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

    /// No two have one name. Unless written, [`set`](Self::set) is called for each, all at once.
    async fn set_many(&self, entries: &[TierEntry]) -> Result<(), TierError> {
        all(entries.iter().map(|entry| self.set(entry))).await
    }

    /// Unless written, [`delete`](Self::delete) is called for each, all at once.
    async fn delete_many(&self, names: &[String]) -> Result<(), TierError> {
        all(names.iter().map(|name| self.delete(name))).await
    }

    /// Removes all that the tier has stored; `false` for a tier that can't. Never called by a cache: clearing it marks what is there as
    /// purged.
    async fn clear(&self) -> Result<bool, TierError> {
        Ok(false)
    }

    /// Lets go of what it holds open. Called by [`Tiered::close`](crate::tiers::Tiered::close).
    async fn close(&self) {}
}

/// Ends when all have: what is still on its way may arrive after what is sent next.
async fn all(calls: impl IntoIterator<Item = impl Future<Output = Result<(), TierError>>>) -> Result<(), TierError> {
    join_all(calls).await.into_iter().collect()
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
