//! One call for many keys.
//!
//! A batch is a way to load a key: each key has its flight, so that all that holds for loads (sharing, stale windows,
//! backoff, deadlines) holds here too, and a flight's loader does nothing but take a place in the open batch and
//! wait for its part.

use std::future::Future;
use std::hash::Hash;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;

use super::batching::{Batching, Load, Turn};
use super::cache::Cache;
use super::call::{CallOptions, Details, LoadCtx, NO_OPTIONS};
use super::load::{BoxedError, own_error};
use super::loader::Repeated;
use super::runtime::{Local, Runtime};
use crate::error::LoadError;

/// A cache whose loads are made many at a time. Made by [`Cache::batched`]. A handle: clones share the open batch.
pub struct Batched<K, V, R: Runtime = Local> {
    batching: Rc<Batching<K, V, R>>,
}

impl<K, V, R: Runtime> Clone for Batched<K, V, R> {
    fn clone(&self) -> Self {
        Self { batching: self.batching.clone() }
    }
}

impl<K: Hash + Eq + Clone + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// A view of the cache that loads missing keys together: all that are asked for in one turn go into one call of
    /// `load`. It is given the keys, no two of them equal, and a [`LoadCtx`] for each, and brings a result for each, in
    /// the same order. One key's error is that key's alone.
    ///
    /// A turn is what an executor does before it polls the same get again: on it, gets made side by side, or by
    /// tasks that are ready at the same time, go together. In Workers that keeps requests apart, since each
    /// request's turns are its own; a [window in milliseconds](Batched::batch_window) mixes them.
    ///
    /// A batch that is lost, with its request or by a panic, is called again for the keys that are still wanted: each key
    /// is tried in at most 10 batches. Should the loader ask, through its own batch, for a key that it was given, that is
    /// [`LoadError::Recursive`].
    ///
    /// ```
    /// # use nearcache::Cache;
    /// # futures::executor::block_on(async {
    /// let cache: Cache<u64, String> = Cache::new_with_max_entries(1_000);
    /// let users = cache.batched(|ids: Vec<u64>, _| async move {
    ///     ids.iter().map(|id| Ok::<_, std::io::Error>(format!("user {id}"))).collect()
    /// });
    /// let found = users.get_many([1, 2, 3]).await; // one call
    /// assert_eq!(found[2].as_deref().ok(), Some("user 3"));
    /// # });
    /// ```
    pub fn batched<F, E>(&self, load: impl Fn(Vec<K>, Vec<LoadCtx<V>>) -> F + 'static) -> Batched<K, V, R>
    where
        F: Future<Output = Vec<Result<V, E>>> + 'static,
        E: Into<BoxedError> + 'static,
    {
        let load: Load<K, V> = Box::new(move |keys, ctxs| {
            let results = load(keys, ctxs);
            Box::pin(async move { results.await.into_iter().map(|result| result.map_err(own_error)).collect() })
        });
        Batched { batching: Rc::new(Batching::new(self.clone(), load)) }
    }
}

impl<K: Hash + Eq + Clone + 'static, V: Clone + 'static, R: Runtime> Batched<K, V, R> {
    /// The most keys in a call; one at the least. Without bound if nothing is said.
    #[must_use]
    pub fn max_batch_size(self, keys: usize) -> Self {
        self.batching.set_max_batch_size(keys);
        self
    }

    /// How long to wait for more keys, in whole milliseconds, instead of the end of the turn. Zero is the end of the
    /// turn. In Workers such a batch is run by the request that opened it, and has other requests' keys too; should that
    /// request end before the call does, the keys of the others go into a batch of their own. There it lasts the whole
    /// window, even if it is full before.
    #[must_use]
    pub fn batch_window(self, window: Duration) -> Self {
        self.batching.set_window(window);
        self
    }

    /// The value, or what the next batch brings. A value that is there does not wait for a batch.
    ///
    /// # Errors
    /// As [`Cache::try_get_with`]; [`LoadError::Batch`] if the batch brings another number of results than it
    /// was given keys.
    pub async fn get(&self, key: K) -> Result<V, LoadError> {
        self.in_turn(self.fetch(key, &NO_OPTIONS, false)).await.map(|got| got.value)
    }

    /// [`get`](Self::get), with options of its own, and how the value was come by.
    ///
    /// # Errors
    /// As there.
    pub async fn get_with_details(&self, key: K, options: CallOptions) -> Result<Details<V>, LoadError> {
        self.in_turn(self.fetch(key, &options, true)).await
    }

    /// The values of many keys, in their order. What is missing is loaded by one call, or as few as
    /// [`max_batch_size`](Self::max_batch_size) allows.
    pub async fn get_many(&self, keys: impl IntoIterator<Item = K>) -> Vec<Result<V, LoadError>> {
        let gets = keys.into_iter().map(|key| self.fetch(key, &NO_OPTIONS, false));
        let results = self.in_turn(join_all(gets)).await;
        results.into_iter().map(|result| result.map(|got| got.value)).collect()
    }

    /// The cache, for everything that loads nothing.
    pub fn cache(&self) -> &Cache<K, V, R> {
        self.batching.cache()
    }

    async fn fetch(&self, key: K, options: &CallOptions, details: bool) -> Result<Details<V>, LoadError> {
        let (batching, wanted) = (self.batching.clone(), key.clone());
        let load = move |ctx| {
            let (batching, wanted) = (batching.clone(), wanted.clone());
            async move { batching.load_one(wanted, ctx).await }
        };
        self.batching.cache().fetch(&key, options, details, Some(Repeated::<_, true>(load))).await
    }

    /// Drives gets, and closes the batch that they went into when they are polled again: then everybody whose turn it
    /// was has been polled.
    async fn in_turn<T>(&self, gets: impl Future<Output = T>) -> T {
        let batching = &self.batching;
        let mut gets = pin!(gets);
        let mut turn: Option<Turn<K, V, R>> = None;
        let mut is_first = batching.is_by_turn();
        std::future::poll_fn(|cx| {
            drop(turn.take());
            if !std::mem::take(&mut is_first) {
                return gets.as_mut().poll(cx);
            }
            let polled;
            (polled, turn) = batching.attend(|| gets.as_mut().poll(cx));
            if turn.is_some() {
                cx.waker().wake_by_ref();
            }
            polled
        })
        .await
    }
}
