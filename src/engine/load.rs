//! Gets that load what is not there, and share the load.

use std::borrow::Borrow;
use std::error::Error;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use futures_util::future::{FutureExt, Map, MapErr, TryFutureExt};

use super::cache::Cache;
use super::call::{CallOptions, Details, LoadCtx, NO_OPTIONS, Status};
use super::loader::{Loader, Once, Repeated};
use super::lookup::{Lookup, LookupRequest};
use super::runtime::Runtime;
use super::table::LoadResult;
use super::waiter::WaitOutcome;
use crate::core::{Counted, Who};
use crate::error::LoadError;

/// An error of a user's own, of any kind that becomes a box.
pub(super) type BoxedError = Box<dyn Error + Send + Sync>;

impl<K, V, R> Cache<K, V, R>
where
    K: Hash + Eq + Clone + 'static,
    V: Clone + 'static,
    R: Runtime,
{
    /// The value, or what `load` brings, which is then stored. Those who ask for the key meanwhile wait for
    /// the same load.
    ///
    /// # Errors
    /// As [`try_get_with`](Self::try_get_with), but for the loader's own.
    pub async fn get_with<F>(&self, key: K, load: impl FnOnce(LoadCtx<V>) -> F + 'static) -> Result<V, LoadError>
    where
        F: Future<Output = V> + 'static,
    {
        self.fetch(&key, &NO_OPTIONS, false, once(infallible(load))).await.map(|got| got.value)
    }

    /// [`get_with`](Self::get_with) by a reference to the key, of which an owned one is made only on a miss.
    ///
    /// ```
    /// # use nearcache::Cache;
    /// # futures::executor::block_on(async {
    /// let cache: Cache<String, usize> = Cache::new_with_max_entries(1_000);
    /// assert_eq!(cache.get_with_ref("four", async |_| 4).await?, 4);
    /// # Ok::<_, nearcache::LoadError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As there.
    pub async fn get_with_ref<Q, F>(
        &self,
        key: &Q,
        load: impl FnOnce(LoadCtx<V>) -> F + 'static,
    ) -> Result<V, LoadError>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + Hash + Eq + ?Sized,
        F: Future<Output = V> + 'static,
    {
        self.fetch(key, &NO_OPTIONS, false, once(infallible(load))).await.map(|got| got.value)
    }

    /// The value, or what `load` brings. An error goes to everyone who waits, and nothing is stored: the
    /// next get loads anew, unless [`error_backoff`](super::Builder::error_backoff) is set.
    ///
    /// One of those who wait for a load drives it, and when that one is dropped, another. So the load survives the one
    /// who began it; when the last of them is dropped, so is the load. If its loader panics, the panic is that of the one
    /// who drives, and the others ask again. The loader may call the cache, but to ask for its own key, or for one whose
    /// load waits for it, is an error.
    ///
    /// A stale value is handed out within [`stale_while_revalidate`](super::Builder::stale_while_revalidate), and
    /// within [`stale_if_error`](super::Builder::stale_if_error) if the load fails or is slow.
    ///
    /// # Errors
    /// [`LoadError::Loader`] with the loader's error; [`LoadError::TimedOut`] when `hard_timeout` passes
    /// first; [`LoadError::Recursive`] in a loader that asks for its own key; [`LoadError::UnknownWeight`];
    /// [`LoadError::Full`].
    pub async fn try_get_with<F, E>(&self, key: K, load: impl FnOnce(LoadCtx<V>) -> F + 'static) -> Result<V, LoadError>
    where
        F: Future<Output = Result<V, E>> + 'static,
        E: Into<BoxedError> + 'static,
    {
        self.fetch(&key, &NO_OPTIONS, false, once(fallible(load))).await.map(|got| got.value)
    }

    /// [`try_get_with`](Self::try_get_with) by a reference to the key, of which an owned one is made only on a miss.
    ///
    /// # Errors
    /// As there.
    pub async fn try_get_with_ref<Q, F, E>(
        &self,
        key: &Q,
        load: impl FnOnce(LoadCtx<V>) -> F + 'static,
    ) -> Result<V, LoadError>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + Hash + Eq + ?Sized,
        F: Future<Output = Result<V, E>> + 'static,
        E: Into<BoxedError> + 'static,
    {
        self.fetch(key, &NO_OPTIONS, false, once(fallible(load))).await.map(|got| got.value)
    }

    /// [`try_get_with`](Self::try_get_with), with options of its own.
    ///
    /// # Errors
    /// As there.
    pub async fn try_get_with_options<F, E>(
        &self,
        key: K,
        options: CallOptions,
        load: impl FnOnce(LoadCtx<V>) -> F + 'static,
    ) -> Result<V, LoadError>
    where
        F: Future<Output = Result<V, E>> + 'static,
        E: Into<BoxedError> + 'static,
    {
        self.fetch(&key, &options, false, once(fallible(load))).await.map(|got| got.value)
    }

    /// [`try_get_with_options`](Self::try_get_with_options), and how the value was come by.
    ///
    /// ```
    /// use nearcache::{Cache, CallOptions, Status};
    /// use std::time::Duration;
    ///
    /// # futures::executor::block_on(async {
    /// let cache: Cache<&str, u64> = Cache::new_with_max_entries(1_000);
    /// let options = CallOptions::new().ttl(Duration::from_secs(60));
    /// let get = || cache.try_get_with_details("answer", options.clone(), async |_| Ok::<_, &str>(42));
    /// assert_eq!(get().await?.status, Status::Miss);
    /// let got = get().await?;
    /// assert_eq!((got.value, got.status), (42, Status::Hit));
    /// # Ok::<_, nearcache::LoadError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As there.
    pub async fn try_get_with_details<F, E>(
        &self,
        key: K,
        options: CallOptions,
        load: impl FnOnce(LoadCtx<V>) -> F + 'static,
    ) -> Result<Details<V>, LoadError>
    where
        F: Future<Output = Result<V, E>> + 'static,
        E: Into<BoxedError> + 'static,
    {
        self.fetch(&key, &options, true, once(fallible(load))).await
    }

    /// [`try_get_with_details`](Self::try_get_with_details) by a loader that can be called again: if it fails, it is tried
    /// again as [`retry`](super::Builder::retry) says, while somebody waits whose deadline comes later than the next attempt.
    /// Those who wait for the load go on waiting, and who asks for the key meanwhile joins them. When the key is removed or
    /// written, or everybody has left, it is not tried any more. Only the last error counts as a failed load.
    ///
    /// ```
    /// use nearcache::{Cache, CallOptions, LoadCtx, options::Retry};
    /// use std::time::Duration;
    ///
    /// # futures::executor::block_on(async {
    /// let cache: Cache<&str, u32> = Cache::new_with_max_entries(1_000);
    /// let options = CallOptions::new().retry(Retry::new(3).delay(Duration::from_millis(1)));
    /// let fails_twice = async |ctx: LoadCtx<u32>| if ctx.attempt() < 3 { Err("busy") } else { Ok(7) };
    /// assert_eq!(cache.try_get_with_retry("key", options, fails_twice).await?.value, 7);
    /// assert_eq!((cache.stats().retries, cache.stats().load_failures), (2, 0));
    /// # Ok::<_, nearcache::LoadError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As there, by the last attempt.
    pub async fn try_get_with_retry<F, E>(
        &self,
        key: K,
        options: CallOptions,
        load: impl FnMut(LoadCtx<V>) -> F + 'static,
    ) -> Result<Details<V>, LoadError>
    where
        F: Future<Output = Result<V, E>> + 'static,
        E: Into<BoxedError> + 'static,
    {
        self.fetch(&key, &options, true, Some(repeated(load))).await
    }

    /// All of the above. `details`: whether age and ttl are wanted. `load` is there: it is taken out when it is spent.
    pub(super) async fn fetch<Q>(
        &self,
        key: &Q,
        options: &CallOptions,
        details: bool,
        mut load: Option<impl Loader<V>>,
    ) -> Result<Details<V>, LoadError>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + Hash + Eq + ?Sized,
    {
        if !details
            && !options.force_fresh
            && let Some(value) = self.hit(key)
        {
            return Ok(Details::new(value, Status::Hit, None));
        }
        let batched = load.as_ref().is_some_and(|load| load.is_batched());
        let mut asked = LookupRequest { options, details, batched, asked_at: self.inner.now(), again: None };
        loop {
            if load.is_none() && self.inner.now() < self.deadlines(&asked).hard {
                // The loader is spent, and what it began is gone.
                return Err(LoadError::Lost);
            }
            let (found, event) = self.lookup(key, &asked);
            let (mut waiter, counted) = match found {
                Lookup::Answered(result) => {
                    self.notify(key, event);
                    return result;
                }
                Lookup::Join(wait, asker, in_flight) => {
                    (self.waiter(wait, Who::Caller(asker), &in_flight), Counted::Coalesced)
                }
                Lookup::Start(start) => {
                    let Some(load) = load.take() else { return Err(LoadError::Lost) };
                    let (waiter, handed_out) = self.start(key, start, &asked, load);
                    if let Some(got) = handed_out {
                        waiter.wait_in_background(self.deadlines(&asked).hard);
                        self.notify(key, event);
                        return Ok(got);
                    }
                    self.keep_loading(&waiter, &asked);
                    (waiter, Counted::Miss)
                }
            };
            // Now that the load can be joined: a hook may ask for the very key.
            self.notify(key, event);
            let (deadlines, id, brought) = (self.deadlines(&asked), waiter.id(), waiter.brought.clone());
            match waiter.wait(&deadlines, || self.soften(key, id, &brought)).await {
                WaitOutcome::Brought(LoadResult { value, stale, age }) => {
                    let status = match counted {
                        _ if stale => Status::StaleIfError,
                        Counted::Miss => Status::Miss,
                        Counted::Coalesced => Status::Coalesced,
                    };
                    return value.map(|value| Details::new(value, status, age));
                }
                WaitOutcome::Soft((got, held)) => {
                    if held {
                        waiter.wait_in_background(deadlines.hard);
                    }
                    return Ok(got);
                }
                WaitOutcome::TimedOut => return Err(self.timed_out(&asked)),
                WaitOutcome::AskAgain | WaitOutcome::Lost => asked.again = Some(counted),
            }
        }
    }
}

fn once<L>(load: L) -> Option<Once<L>> {
    Some(Once::new(load))
}

/// A user's own loader that can be called again.
pub(super) fn repeated<V, F, E>(mut load: impl FnMut(LoadCtx<V>) -> F + 'static) -> impl Loader<V>
where
    V: 'static,
    F: Future<Output = Result<V, E>> + 'static,
    E: Into<BoxedError> + 'static,
{
    Repeated::<_, false>(move |ctx| load(ctx).map_err(own_error as fn(E) -> LoadError))
}

fn infallible<V, F: Future<Output = V>>(
    load: impl FnOnce(LoadCtx<V>) -> F + 'static,
) -> impl FnOnce(LoadCtx<V>) -> Map<F, Succeed<V>> + 'static {
    |ctx| load(ctx).map(Ok as Succeed<V>)
}

type Succeed<V> = fn(V) -> Result<V, LoadError>;

/// What a loader's own error becomes.
fn fallible<V, F, E>(
    load: impl FnOnce(LoadCtx<V>) -> F + 'static,
) -> impl FnOnce(LoadCtx<V>) -> MapErr<F, fn(E) -> LoadError> + 'static
where
    F: Future<Output = Result<V, E>>,
    E: Into<BoxedError>,
{
    |ctx| load(ctx).map_err(own_error as fn(E) -> LoadError)
}

/// What a user's own error becomes.
pub(super) fn own_error<E: Into<BoxedError>>(error: E) -> LoadError {
    LoadError::Loader(Arc::from(error.into()))
}
