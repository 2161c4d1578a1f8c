//! Writing through to the source.

use std::cell::OnceCell;
use std::future::Future;
use std::hash::Hash;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use super::cache::Cache;
use super::call::{CallOptions, LoadCtx};
use super::load::{BoxedError, own_error};
use super::runtime::Runtime;
use super::shared_task::SharedTask;
use super::table::{EntryTable, LeftEntry};
use crate::core::{LoadedValue, Machine, Slot, WriteId, WriteThrough};
use crate::error::LoadError;
use crate::options::Policy;
use crate::time::{Timestamp, Ttl};

impl<K: Hash + Eq + Clone + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// Writes a key through: `write` writes the source, and what it returns is stored. Until then the value that is
    /// there stays, but in a Worker, where a write may die with its request, it goes at once. What loads that begin
    /// meanwhile bring is not stored.
    ///
    /// If `write` fails, takes longer than `hard_timeout` or is dropped midway, nobody knows what the source now has,
    /// and the key is removed. So it is if something else wrote or removed it meanwhile: nobody knows whose came last.
    /// A write whose end nobody tells of is given up half a minute after its deadline, and after a quarter of an hour and
    /// half a minute at the latest.
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
        E: Into<BoxedError> + 'static,
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
        E: Into<BoxedError> + 'static,
    {
        let inner = &self.inner;
        let policy = self.policy_of(&options);
        let begun = self.with(|table| self.begin_write(table, &key, &options, &policy, false));
        let (id, last) = begun.unwrap_or(Err(LoadError::Reentrant))?;
        let writing = Writing { cache: self.clone(), key: key.clone(), weigh: options.weight.is_none(), id: Some(id) };
        let result = Rc::new(OnceCell::new());
        let task = {
            let result = result.clone();
            async move {
                let ctx = LoadCtx::new(last);
                let written = write(ctx.clone()).await.map_err(own_error);
                // It ends with this block, so that the key goes if the write failed.
                let mut writing = writing;
                let known = written.as_ref().is_ok_and(|value| writing.store(value, &ctx));
                drop(writing);
                let _ =
                    result.set(written.and_then(|value| if known { Ok(value) } else { Err(LoadError::UnknownWeight) }));
            }
        };
        let task = SharedTask::new(&inner.runtime, Box::pin(task));
        let mut ended = task.join();
        let mut slept = pin!(async {
            match policy.hard_timeout {
                Ttl::Millis(millis) => inner.runtime.sleep(millis).await,
                Ttl::Forever => std::future::pending().await,
            }
        });
        let in_time = std::future::poll_fn(|cx| match Pin::new(&mut ended).poll(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending => slept.as_mut().poll(cx).map(|()| false),
        })
        .await;
        if let Some(result) = result.get().cloned() {
            return result;
        }
        if !R::DETACHED {
            task.end();
        }
        // Also where the write goes on by itself: its end will find that the key was removed meanwhile.
        let now = inner.now();
        self.with(|table| {
            if let Some(slot) = table.find(self.partition, &key) {
                table.machine.write_left(slot, now);
            }
        });
        match policy.hard_timeout {
            Ttl::Millis(after_millis) if !in_time => Err(LoadError::TimedOut { after_millis }),
            _ => Err(LoadError::Lost),
        }
    }

    /// Brings the value that was there too: where it `computes` a fresh one, else the last good one.
    pub(super) fn begin_write(
        &self,
        table: &mut EntryTable<K, V, R>,
        key: &K,
        options: &CallOptions,
        policy: &Policy,
        computes: bool,
    ) -> Result<(WriteId, Option<V>), LoadError> {
        let now = self.inner.now();
        let hash = table.hash(self.partition, key);
        let known = table.find_hashed(hash, key);
        let last = match computes {
            true => {
                let fresh = known.filter(|slot| table.machine.is_fresh(*slot, now));
                fresh.and_then(|slot| table.value(slot)).cloned()
            }
            false => known.and_then(|slot| table.last_good(slot, now)),
        };
        let write = WriteThrough {
            hash: Some(hash.0),
            slot: known,
            partition: self.partition,
            now,
            policy,
            tags: &self.handle.with_tags(&options.tags),
            weight: options.weight,
            may_vanish: R::DETACHED && !computes,
            computes,
        };
        let begun = table.machine.begin_write(&write);
        table.drain();
        let (slot, id) = begun.ok_or(LoadError::Full)?;
        if known.is_none() {
            table.place(slot, self.partition, &self.handle.place, key.clone(), hash);
        }
        Ok((id, last))
    }
}

/// What there is under a key after a write of it.
pub(super) enum AfterWrite {
    /// What it brought.
    Stored,
    /// Nothing: the key was taken out meanwhile, or what it brought is none, is too heavy or is over at once.
    Absent,
    /// Something that came meanwhile.
    Overtaken,
}

/// [`Machine::end_write`] or [`Machine::end_compute`].
pub(super) type EndWrite = fn(&mut Machine, WriteId, Option<Slot>, Timestamp, Option<&LoadedValue<'_>>) -> Option<Slot>;

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// Ends what [`begin_write`](Self::begin_write) began: with what it brought and its value, if there is to be one, or with
    /// `None` where it failed.
    pub(super) fn end_write(
        &self,
        key: &K,
        id: WriteId,
        end: EndWrite,
        brought: Option<(&LoadedValue<'_>, Option<V>)>,
    ) -> AfterWrite {
        let (brought, value) = brought.unzip();
        let now = brought.map_or_else(|| self.inner.now_or_earliest(), |brought| brought.now);
        let now_there = self.with(|table| {
            let slot = table.find(self.partition, key);
            let stored = end(&mut table.machine, id, slot, now, brought);
            table.drain();
            match (stored, value.flatten()) {
                (Some(slot), Some(value)) => {
                    table.put(slot, value);
                    AfterWrite::Stored
                }
                // What is dropped is the user's, so that nothing is borrowed then.
                (_, value) => {
                    table.left.entries.push(LeftEntry::silent(None, value));
                    match table.find(self.partition, key) {
                        None => AfterWrite::Absent,
                        Some(_) => AfterWrite::Overtaken,
                    }
                }
            }
        });
        now_there.unwrap_or(AfterWrite::Overtaken)
    }
}

/// A write under way. Dropped before its end is known, it takes the key with it.
struct Writing<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> {
    cache: Cache<K, V, R>,
    key: K,
    /// The caller gave no weight.
    weigh: bool,
    id: Option<WriteId>,
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Writing<K, V, R> {
    /// `false` if the cache is bounded by weight, and nobody knows the value's: then the key goes.
    fn store(&mut self, value: &V, ctx: &LoadCtx<V>) -> bool {
        let inner = &self.cache.inner;
        let by_weigher = || self.weigh.then(|| inner.weigh(&self.key, value)).flatten();
        let written = LoadedValue {
            now: inner.now(),
            said: &ctx.policy(),
            tags: &ctx.tags(),
            weight: ctx.weight().or_else(by_weigher),
            absent: inner.is_negative(value),
            skip: ctx.is_skipped(),
            random: inner.random(),
            age: 0,
        };
        let weighs = self.weigh && !written.skip && self.cache.limits().weighs();
        let is_known = written.weight.is_some() || !weighs;
        self.end(is_known.then(|| (&written, Some(value.clone()))));
        is_known
    }

    fn end(&mut self, written: Option<(&LoadedValue<'_>, Option<V>)>) {
        if let Some(id) = self.id.take() {
            self.cache.end_write(&self.key, id, Machine::end_write, written);
        }
    }
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Drop for Writing<K, V, R> {
    fn drop(&mut self) {
        self.end(None);
    }
}
