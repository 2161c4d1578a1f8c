//! A function with a cache in front of it.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::rc::Rc;

use super::cache::Cache;
use super::call::{CallOptions, Details};
use super::load::{BoxedError, repeated};
use super::loader::Loader;
use super::runtime::{Local, Runtime};
use crate::error::LoadError;

/// An async function with a cache in front of it. Made by [`Cache::wrap`]. A handle: clones share both.
pub struct Wrapped<K, V, F, R: Runtime = Local> {
    cache: Cache<K, V, R>,
    function: Rc<F>,
    options: CallOptions,
}

impl<K, V, F, R: Runtime> Clone for Wrapped<K, V, F, R> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), function: self.function.clone(), options: self.options.clone() }
    }
}

impl<K, V, F, R: Runtime> fmt::Debug for Wrapped<K, V, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wrapped").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// Puts the cache in front of an async function of its keys. Functions that share a cache need keys that differ;
    /// [`namespace`](Self::namespace) and [`scope`](Self::scope) see to that.
    ///
    /// ```
    /// # use nearcache::Cache;
    /// # futures::executor::block_on(async {
    /// async fn user(id: u64) -> Result<String, std::io::Error> {
    ///     Ok(format!("user {id}"))
    /// }
    /// let cache: Cache<u64, String> = Cache::new_with_max_entries(1_000);
    /// let user = cache.wrap(user);
    /// assert_eq!(user.call(7).await?, "user 7"); // asks the function
    /// assert_eq!(user.call(7).await?, "user 7"); // does not
    /// # Ok::<_, nearcache::LoadError>(()) }).unwrap();
    /// ```
    pub fn wrap<F, T, E>(&self, function: F) -> Wrapped<K, V, F, R>
    where
        F: Fn(K) -> T + 'static,
        T: Future<Output = Result<V, E>> + 'static,
        E: Into<BoxedError> + 'static,
    {
        Wrapped { cache: self.clone(), function: Rc::new(function), options: CallOptions::default() }
    }
}

impl<K, V, F, T, E, R> Wrapped<K, V, F, R>
where
    K: Hash + Eq + Clone + 'static,
    V: Clone + 'static,
    F: Fn(K) -> T + 'static,
    T: Future<Output = Result<V, E>> + 'static,
    E: Into<BoxedError> + 'static,
    R: Runtime,
{
    /// What each call is made with.
    #[must_use]
    pub fn with_options(mut self, options: CallOptions) -> Self {
        self.options = options;
        self
    }

    /// The function's value for this key, from memory if it is there.
    ///
    /// # Errors
    /// As [`Cache::try_get_with`].
    pub async fn call(&self, key: K) -> Result<V, LoadError> {
        self.cache.fetch(&key, &self.options, false, Some(self.loader(&key))).await.map(|got| got.value)
    }

    /// [`call`](Self::call), and how the value was come by.
    ///
    /// # Errors
    /// As there.
    pub async fn call_with_details(&self, key: K) -> Result<Details<V>, LoadError> {
        self.cache.fetch(&key, &self.options, true, Some(self.loader(&key))).await
    }

    /// Asks the function even if a value is there, which the new one replaces.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn refresh(&self, key: K) -> Result<V, LoadError> {
        let options = self.options.clone().force_fresh();
        self.cache.fetch(&key, &options, false, Some(self.loader(&key))).await.map(|got| got.value)
    }

    /// Forgets a key; the value that was there, if it was fresh.
    pub fn invalidate(&self, key: &K) -> Option<V> {
        self.cache.remove(key)
    }

    /// Asks the function, past the cache, which stays as it is.
    ///
    /// # Errors
    /// The function's own.
    pub async fn bypass(&self, key: K) -> Result<V, E> {
        (self.function)(key).await
    }

    fn loader(&self, key: &K) -> impl Loader<V> {
        let (function, key) = (self.function.clone(), key.clone());
        repeated(move |_| function(key.clone()))
    }
}
