//! Hooks: what a program can be told of.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::cache::Inner;
use super::runtime::Runtime;
use crate::core::Cause;
use crate::error::LoadError;

/// A set of hooks, all of which do nothing unless written. They are called after the operation that they tell of,
/// with nothing borrowed: they may call the cache. Natively, one that panics is cut short and nothing else happens
/// (unless the program is built with `panic = "abort"`).
///
/// They share a cache with its [namespaces](super::Cache::namespace), and see the keys without them. A cache without
/// plugins pays one branch a get for it; one with plugins clones the keys that it tells of.
pub trait Plugin<K, V> {
    /// A get was answered from memory with a fresh value, or with the error of a load that failed a moment ago.
    fn hit(&self, key: &K) {
        let _ = key;
    }

    /// A get was answered from memory with a stale value.
    fn stale(&self, key: &K) {
        let _ = key;
    }

    /// A get found nothing. `None` where it was [`Cache::get`](super::Cache::get), which may not have a `K`.
    fn miss(&self, key: Option<&K>) {
        let _ = key;
    }

    /// A load brought a value, after so long.
    fn load(&self, key: &K, took: Duration) {
        let _ = (key, took);
    }

    /// A load failed, after so long. Those who waited got this error, or an older value.
    fn error(&self, key: &K, error: &LoadError, took: Duration) {
        let _ = (key, error, took);
    }

    /// A value left, for whatever cause.
    fn evict(&self, key: &K, value: &V, cause: Cause) {
        let _ = (key, value, cause);
    }

    /// A value left because its time had passed; [`evict`](Self::evict) is told too.
    fn expire(&self, key: &K) {
        let _ = key;
    }

    /// One call loaded so many keys, and took so long.
    fn batch(&self, keys: usize, took: Duration) {
        let _ = (keys, took);
    }
}

/// Tells of loads that take long: an example of a plugin, and a useful one.
///
/// ```
/// use nearcache::{Cache, engine::SlowLoads};
/// use std::time::Duration;
///
/// let cache: Cache<String, u64> = Cache::builder()
///     .plugin(SlowLoads::new(Duration::from_millis(500), |key: &String, took| {
///         eprintln!("loading {key} took {took:?}");
///     }))
///     .build();
/// # drop(cache);
/// ```
pub struct SlowLoads<F> {
    limit: Duration,
    tell: F,
}

impl<F> SlowLoads<F> {
    /// Calls `tell` for each load, failed or not, that takes at least `limit`.
    pub fn new(limit: Duration, tell: F) -> Self {
        Self { limit, tell }
    }

    fn check<K>(&self, key: &K, took: Duration)
    where
        F: Fn(&K, Duration),
    {
        if took >= self.limit {
            (self.tell)(key, took);
        }
    }
}

impl<K, V, F: Fn(&K, Duration)> Plugin<K, V> for SlowLoads<F> {
    fn load(&self, key: &K, took: Duration) {
        self.check(key, took);
    }

    fn error(&self, key: &K, _: &LoadError, took: Duration) {
        self.check(key, took);
    }
}

impl<K, V, R: Runtime> Inner<K, V, R> {
    #[inline]
    pub fn has_plugins(&self) -> bool {
        !self.plugins.is_empty()
    }

    /// Calls a hook of every plugin. Nothing may be borrowed.
    #[inline]
    pub fn tell(&self, hook: impl Fn(&dyn Plugin<K, V>)) {
        for plugin in &self.plugins {
            // What a hook leaves half done is its own.
            let _ = catch_unwind(AssertUnwindSafe(|| hook(&**plugin)));
        }
    }

    /// As [`tell`](Self::tell), of something about a key.
    #[inline]
    pub fn tell_of(&self, key: Option<&K>, hook: impl Fn(&dyn Plugin<K, V>, &K)) {
        if let Some(key) = key
            && self.has_plugins()
        {
            self.tell(|plugin| hook(plugin, key));
        }
    }
}
