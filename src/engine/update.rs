//! Writing through to the source.

use std::cell::OnceCell;
use std::error::Error;
use std::future::Future;
use std::hash::Hash;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use super::cache::Cache;
use super::call::{CallOptions, LoadCtx, Terms};
use super::runtime::Runtime;
use super::shelf::Gone;
use crate::core::{Keep, WriteId};
use crate::error::LoadError;
use crate::time::Ttl;

/// How long after its deadline a write counts as under way whose request may have died.
const GRACE: Ttl = Ttl::Millis(30_000);

impl<K: Hash + Eq + Clone + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// Writes a key through: `write` writes the source, and what it returns is stored. Until then the value that is
    /// there stays, but in a Worker, where a write may die with its request, it goes at once. What loads that begin
    /// meanwhile bring is not stored.
    ///
    /// If `write` fails, takes longer than `hard_timeout` or is dropped midway, nobody knows what the source now has,
    /// and the key is removed. So it is if something else wrote or removed it meanwhile: nobody knows whose came last.
    ///
    /// ```
    /// # use nearcache::Cache;
    /// # futures::executor::block_on(async {
    /// let cache: Cache<&str, u64> = Cache::new_with_max_entries(1_000);
    /// cache.update("stock", async |_| Ok::<_, &str>(5)).await?; // the source has it now, and so has the cache
    /// assert_eq!(cache.get("stock"), Some(5));
    /// assert!(cache.update("stock", async |_| Err("lost connection")).await.is_err());
    /// assert_eq!(cache.get("stock"), None);
    /// # Ok::<_, nearcache::LoadError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`LoadError::Loader`] with `write`'s error; [`LoadError::TimedOut`]; [`LoadError::Full`].
    pub async fn update<F, E>(&self, key: K, write: impl FnOnce(LoadCtx<V>) -> F + 'static) -> Result<V, LoadError>
    where
        F: Future<Output = Result<V, E>> + 'static,
        E: Into<Box<dyn Error + 'static>> + 'static,
    {
        self.update_with_options(key, CallOptions::default(), write).await
    }

    /// [`update`](Self::update), with a lifetime, tags, weight or `hard_timeout` of its own. The other options mean
    /// nothing here.
    ///
    /// # Errors
    /// As there.
    pub async fn update_with_options<F, E>(
        &self,
        key: K,
        options: CallOptions,
        write: impl FnOnce(LoadCtx<V>) -> F + 'static,
    ) -> Result<V, LoadError>
    where
        F: Future<Output = Result<V, E>> + 'static,
        E: Into<Box<dyn Error + 'static>> + 'static,
    {
        let inner = &self.inner;
        let limit = options.hard_timeout.unwrap_or(self.view.defaults.hard_timeout);
        let (id, last) =
            inner.with(|shelf| self.begin_write(shelf, &key, limit)).unwrap_or(Err(LoadError::Reentrant))?;
        let writing = Writing { cache: self.clone(), key: key.clone(), id: Some(id) };
        let terms = Terms::new(options, &self.view.defaults);
        let result = Rc::new(OnceCell::new());
        let task = {
            let result = result.clone();
            async move {
                let ctx = LoadCtx::new(last);
                let written = write(ctx.clone()).await.map_err(|error| LoadError::Loader(Rc::from(error.into())));
                // The guard goes at the end, so that the key goes if the write failed.
                let mut writing = writing;
                if let Ok(value) = &written {
                    writing.store(value, &terms, &ctx);
                }
                drop(writing);
                let _ = result.set(written);
            }
        };
        // Where tasks run alone the write goes on without its caller, so that its fate will be known.
        let mut task = inner.runtime.share(Box::pin(task));
        let mut slept = pin!(async {
            match limit {
                Ttl::Millis(millis) => inner.runtime.sleep(millis).await,
                Ttl::Forever => std::future::pending().await,
            }
        });
        let ended = std::future::poll_fn(|cx| match Pin::new(&mut task).poll(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending => slept.as_mut().poll(cx).map(|()| false),
        });
        let ended = ended.await;
        if let Some(result) = result.get().cloned() {
            return result;
        }
        // Also where the write goes on: its end will find that the key was removed meanwhile.
        self.remove(&key);
        match limit {
            Ttl::Millis(after_millis) if !ended => Err(LoadError::TimedOut { after_millis }),
            _ => Err(LoadError::Lost),
        }
    }

    fn begin_write(
        &self,
        shelf: &mut super::shelf::Shelf<K, V, R>,
        key: &K,
        limit: Ttl,
    ) -> Result<(WriteId, Option<V>), LoadError> {
        let room = self.room.as_ref();
        let hash = shelf.hash(room, key);
        let known = shelf.find_hashed(hash, room, key);
        let (slot, id) = shelf.machine.begin_write(known, self.view.space).ok_or(LoadError::Full)?;
        if known.is_none() {
            shelf.place(slot, room, key.clone(), hash);
        }
        let now = self.inner.now();
        let last = shelf.machine.is_usable(slot, now).then(|| shelf.value(slot).cloned()).flatten();
        if R::RUNS_ALONE {
            // The write may die with its request, and nobody would say so.
            shelf.machine.expect_loss(id, slot, now.after(limit).after(GRACE));
        }
        Ok((id, last))
    }
}

/// A write under way. Dropped before its end is known, it takes the key with it.
struct Writing<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> {
    cache: Cache<K, V, R>,
    key: K,
    id: Option<WriteId>,
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Writing<K, V, R> {
    fn store(&mut self, value: &V, terms: &Terms, ctx: &LoadCtx<V>) {
        let (inner, said) = (&self.cache.inner, &ctx.said);
        if said.skip.get() {
            return;
        }
        let life = terms.life(said, || inner.is_negative(value));
        let weight = said.weight.get().or(terms.weight).unwrap_or_else(|| inner.weigh(Some(&self.key), value));
        let tags = self.cache.tag_names(terms.tags.iter().chain(said.tags.borrow().iter()));
        let keep = Keep { life, weight, tags: &tags, draw: inner.draw_for(&life) };
        let id = self.id.take();
        self.end(id, Some((&keep, value)));
    }

    fn end(&self, id: Option<WriteId>, written: Option<(&Keep<'_>, &V)>) {
        let Some(id) = id else { return };
        let inner = &self.cache.inner;
        let now = inner.now();
        inner.with(|shelf| {
            let slot = shelf.find(self.cache.room.as_ref(), &self.key);
            let stored = shelf.machine.end_write(id, slot, now, written.map(|(keep, _)| keep));
            inner.drain(shelf);
            match (stored, written) {
                (Some(slot), Some((_, value))) => inner.put(shelf, slot, value.clone()),
                (_, written) => {
                    shelf.gone.push(Gone { key: None, value: written.map(|(_, value)| value.clone()), cause: None });
                }
            }
        });
    }
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Drop for Writing<K, V, R> {
    fn drop(&mut self) {
        let id = self.id.take();
        self.end(id, None);
    }
}
