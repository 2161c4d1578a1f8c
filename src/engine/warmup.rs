//! Filling a cache ahead of its use, and keeping chosen keys fresh.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{AbortHandle, abortable};
use futures_util::stream;

use super::cache::Cache;
use super::call::{CallOptions, LoadCtx};
use super::load::BoxedError;
use super::runtime::Runtime;
use crate::error::{LoadError, OptionError};
use crate::options::Priority;
use crate::time::Ttl;

/// How far a [warm-up](Cache::warmup) has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Keys that are done with, failed ones included.
    pub done: usize,
    /// Keys whose load failed.
    pub failed: usize,
}

/// What a [warm-up](Cache::warmup) came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct WarmupResult<K> {
    /// Keys whose value is there.
    pub loaded: usize,
    /// The others, and why.
    pub failed: Vec<(K, LoadError)>,
}

impl<K: Hash + Eq + Clone + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// Loads what is not there of many keys, each by its own loader, at most `concurrency` (at least one) at a time.
    /// `progress` is called after each. An error is that key's alone. Where loads are limited these have a low priority, unless
    /// `options` say otherwise.
    ///
    /// ```
    /// use nearcache::{Cache, CallOptions};
    ///
    /// # futures::executor::block_on(async {
    /// let cache: Cache<u64, u64> = Cache::new_with_max_entries(1_000);
    /// let squares = (0..100_u64).map(|n| (n, async move |_| if n == 13 { Err("unlucky") } else { Ok(n * n) }));
    /// let warmed = cache.warmup(squares, CallOptions::default(), 10, |progress| assert!(progress.done <= 100)).await;
    /// assert_eq!((warmed.loaded, warmed.failed[0].0, cache.get(&7)), (99, 13, Some(49)));
    /// # });
    /// ```
    pub async fn warmup<L, F, E>(
        &self,
        items: impl IntoIterator<Item = (K, L)>,
        options: CallOptions,
        concurrency: usize,
        mut progress: impl FnMut(Progress),
    ) -> WarmupResult<K>
    where
        L: FnOnce(LoadCtx<V>) -> F + 'static,
        F: Future<Output = Result<V, E>> + 'static,
        E: Into<BoxedError> + 'static,
    {
        let mut options = options;
        options.policy.priority.get_or_insert(Priority::Low);
        let gets = items.into_iter().map(|(key, load)| {
            let options = options.clone();
            async move { (key.clone(), self.try_get_with_options(key, options, load).await) }
        });
        let mut gets = stream::iter(gets).buffer_unordered(concurrency.max(1));
        let mut warmed = WarmupResult { loaded: 0, failed: Vec::new() };
        while let Some((key, result)) = gets.next().await {
            match result {
                Ok(_) => warmed.loaded += 1,
                Err(error) => warmed.failed.push((key, error)),
            }
            let failed = warmed.failed.len();
            progress(Progress { done: warmed.loaded + failed, failed });
        }
        warmed
    }

    /// Loads these keys anew, `every` so often, until the handle is dropped, which drops the loads of the round under
    /// way as well. The first round begins after the first interval. What fails is tried again in the next round, and a
    /// value that is there stays. Where loads are limited these have a low priority.
    ///
    /// An interval is counted from the beginning of a round to that of the next, which waits for the end of the one
    /// before. It is a millisecond at the least. The handle keeps the cache alive. Not for Workers, where timers end with
    /// their request: call `try_get_with_options` with `force_fresh` from a scheduled handler there.
    ///
    /// ```
    /// use nearcache::{Cache, KeepFreshOptions, LoadCtx};
    /// use std::time::Duration;
    ///
    /// # fn run(spawn: impl Fn(futures::future::LocalBoxFuture<'static, ()>) + 'static) -> Result<(), nearcache::OptionError> {
    /// let cache: Cache<u64, u64> = Cache::builder().spawner(spawn).build();
    /// let options = KeepFreshOptions::new(Duration::from_secs(60))
    ///     .concurrency(4)
    ///     .on_error(|key, error| eprintln!("{key} could not be refreshed: {error}"));
    /// let handle = cache.keep_fresh([1, 2], options, async |key, _: LoadCtx<u64>| Ok::<_, std::io::Error>(key * key))?;
    /// # drop(handle);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`OptionError`] where the runtime [can't](Runtime::can_spawn) run anything in the background.
    pub fn keep_fresh<F, E>(
        &self,
        keys: impl IntoIterator<Item = K>,
        options: impl Into<KeepFreshOptions<K>>,
        load: impl Fn(K, LoadCtx<V>) -> F + 'static,
    ) -> Result<KeepFresh, OptionError>
    where
        F: Future<Output = Result<V, E>> + 'static,
        E: Into<BoxedError> + 'static,
    {
        let runtime = &self.inner.runtime;
        if !runtime.can_spawn() {
            let allowed = "a runtime that can run tasks in the background (Builder::spawner)";
            return Err(OptionError { option: "keep_fresh".to_owned(), given: "none".to_owned(), allowed });
        }
        let (cache, keys, load) = (self.clone(), keys.into_iter().collect::<Vec<K>>(), Rc::new(load));
        let KeepFreshOptions { every, concurrency, on_error } = options.into();
        let (rounds, handle) = abortable(async move {
            let Ttl::Millis(every) = every else { return };
            let mut wait = every;
            loop {
                cache.inner.runtime.sleep(wait.max(1)).await;
                let began = cache.inner.runtime.now();
                let gets = keys.iter().map(|key| {
                    let (load, wanted) = (load.clone(), key.clone());
                    let options = CallOptions::new().force_fresh().priority(Priority::Low);
                    let get = cache.try_get_with_retry(key.clone(), options, move |ctx| load(wanted.clone(), ctx));
                    async move { (key, get.await) }
                });
                let mut gets = stream::iter(gets).buffer_unordered(concurrency.max(1));
                while let Some((key, result)) = gets.next().await {
                    if let (Err(error), Some(on_error)) = (result, &on_error) {
                        on_error(key, &error);
                    }
                }
                wait = every.saturating_sub(cache.inner.runtime.now().millis_since(began));
            }
        });
        runtime.spawn(Box::pin(async move {
            let _ = rounds.await;
        }));
        Ok(KeepFresh { handle })
    }
}

/// How often [`Cache::keep_fresh`] loads its keys, and how. A [`Duration`] alone will do.
#[non_exhaustive]
#[derive(Clone)]
pub struct KeepFreshOptions<K> {
    /// The time from the beginning of one round to that of the next.
    pub every: Ttl,
    /// The most loads at a time: 10, unless told otherwise, and at least one.
    pub concurrency: usize,
    /// Told of each key that fails.
    pub on_error: Option<OnError<K>>,
}

type OnError<K> = Rc<dyn Fn(&K, &LoadError)>;

impl<K> KeepFreshOptions<K> {
    /// A round each so often.
    #[must_use]
    pub fn new(every: impl Into<Ttl>) -> Self {
        Self { every: every.into(), concurrency: 10, on_error: None }
    }

    /// The most loads at a time.
    #[must_use]
    pub fn concurrency(mut self, most: usize) -> Self {
        self.concurrency = most;
        self
    }

    /// Calls `hook` for each key that fails. Plugins are told as well.
    #[must_use]
    pub fn on_error(mut self, hook: impl Fn(&K, &LoadError) + 'static) -> Self {
        self.on_error = Some(Rc::new(hook));
        self
    }
}

impl<K> From<Ttl> for KeepFreshOptions<K> {
    fn from(every: Ttl) -> Self {
        Self::new(every)
    }
}

impl<K> From<Duration> for KeepFreshOptions<K> {
    fn from(every: Duration) -> Self {
        Self::new(every)
    }
}

impl<K> fmt::Debug for KeepFreshOptions<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { every, concurrency, on_error } = self;
        let options = &mut f.debug_struct("KeepFreshOptions");
        options.field("every", every).field("concurrency", concurrency).field("on_error", &on_error.is_some()).finish()
    }
}

/// Keeps keys fresh until it is dropped. Made by [`Cache::keep_fresh`].
#[derive(Debug)]
#[must_use = "dropping it ends the refreshing"]
pub struct KeepFresh {
    handle: AbortHandle,
}

impl Drop for KeepFresh {
    fn drop(&mut self) {
        self.handle.abort();
    }
}
