//! Filling a cache ahead of its use, and keeping chosen keys fresh.

use std::error::Error;
use std::future::Future;
use std::hash::Hash;
use std::rc::Rc;

use futures_util::StreamExt;
use futures_util::future::{AbortHandle, abortable};
use futures_util::stream;

use super::cache::Cache;
use super::call::{CallOptions, LoadCtx};
use super::runtime::Runtime;
use crate::error::{LoadError, OptionError};
use crate::time::Ttl;

/// How far a [warm-up](Cache::warmup) has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Keys that are done with, failed ones included.
    pub done: usize,
    /// Keys whose load failed.
    pub failed: usize,
}

/// What a [warm-up](Cache::warmup) came to.
#[derive(Debug)]
pub struct Warmed<K> {
    /// Keys whose value is there.
    pub loaded: usize,
    /// The others, and why.
    pub failed: Vec<(K, LoadError)>,
}

impl<K: Hash + Eq + Clone + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// Loads what is not there of many keys, each by its own loader, at most `concurrency` (at least one) at a time.
    /// `progress` is called after each. An error is that key's alone.
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
    ) -> Warmed<K>
    where
        L: FnOnce(LoadCtx<V>) -> F + 'static,
        F: Future<Output = Result<V, E>> + 'static,
        E: Into<Box<dyn Error + 'static>> + 'static,
    {
        let gets = items.into_iter().map(|(key, load)| {
            let options = options.clone();
            async move { (key.clone(), self.try_get_with_options(key, options, load).await) }
        });
        let mut gets = stream::iter(gets).buffer_unordered(concurrency.max(1));
        let mut warmed = Warmed { loaded: 0, failed: Vec::new() };
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

    /// Loads these keys anew, one after the other, `every` so often, until the handle is dropped. The first round begins
    /// after the first interval. What fails is tried again in the next round, and a value that is there stays.
    ///
    /// An interval is counted from the end of a round, and is a millisecond at the least. The handle keeps
    /// the cache alive. Not for Workers, where timers end with their request: call `try_get_with_options` with
    /// `force_fresh` from a scheduled handler there.
    ///
    /// # Errors
    /// [`OptionError`] where the runtime [can't](Runtime::can_spawn) run anything in the background.
    pub fn keep_fresh<F, E>(
        &self,
        keys: impl IntoIterator<Item = K>,
        every: impl Into<Ttl>,
        load: impl Fn(K, LoadCtx<V>) -> F + 'static,
    ) -> Result<KeepFresh, OptionError>
    where
        F: Future<Output = Result<V, E>> + 'static,
        E: Into<Box<dyn Error + 'static>> + 'static,
    {
        let runtime = &self.inner.runtime;
        if !runtime.can_spawn() {
            let allowed = "a runtime that can run tasks in the background (Builder::spawner)";
            return Err(OptionError { option: "keep_fresh".to_owned(), given: "none".to_owned(), allowed });
        }
        let (cache, keys, load) = (self.clone(), keys.into_iter().collect::<Vec<K>>(), Rc::new(load));
        let every = every.into();
        let (rounds, handle) = abortable(async move {
            while let Ttl::Millis(millis) = every {
                cache.inner.runtime.sleep(millis.max(1)).await;
                for key in &keys {
                    let (load, wanted) = (load.clone(), key.clone());
                    let options = CallOptions { force_fresh: true, ..CallOptions::default() };
                    // What went wrong is counted, and told to the plugins.
                    let _ = cache.try_get_with_options(key.clone(), options, move |ctx| load(wanted, ctx)).await;
                }
            }
        });
        runtime.spawn(Box::pin(async move {
            let _ = rounds.await;
        }));
        Ok(KeepFresh { handle })
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
