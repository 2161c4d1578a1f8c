//! A cache over tiers, as a program sees it.

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::rc::Rc;

use futures_util::future::join_all;
use serde::Serialize;

use super::driver::Driver;
use super::life::{life_of, place_of};
use super::settings::Settings;
use crate::core::Stats;
use crate::engine::batch::Batched;
use crate::engine::cache::Cache;
use crate::engine::call::{CallOptions, Details, EntryOptions, LoadCtx};
use crate::engine::load::BoxedError;
use crate::engine::runtime::{Local, Runtime};
use crate::engine::update::AfterWrite;
use crate::engine::wrap::Wrapped;
use crate::error::{LoadError, OptionError};
use crate::figures::TierPage;
use crate::options::PolicyPatch;
use crate::tier::{self, BreakerState, Purge, TierFigures};
use crate::tiers::Codec;
use crate::tiers::codec::key_text;

/// A cache with tiers below its memory. Made by [`Tiers::over`](crate::tiers::Tiers::over). A handle: clones share all.
///
/// What is not in memory is read from the tiers, from above, and then loaded; what is loaded is stored in all of them, and what is
/// inserted too. What is removed, expired or purged is so in every tier: here at once, and for others as soon as the tiers have been
/// told, which is tried again until they have. All that is said of a [`Cache`] holds: one load for a key, deadlines, stale windows, hooks,
/// figures.
///
/// Where the cache's runtime can [spawn](crate::Builder::spawner), and in Workers, tiers are written and told of purges behind the answer.
/// Elsewhere each load waits until that is done, and [`flush`](Self::flush) is for what is inserted and removed without one.
pub struct Tiered<K, V, R: Runtime = Local> {
    /// Its loads ask the tiers.
    cache: Cache<K, V, R>,
    driver: Rc<Driver<K, V, R>>,
    place: tier::Place,
}

impl<K, V, R: Runtime> Clone for Tiered<K, V, R> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), driver: self.driver.clone(), place: self.place.clone() }
    }
}

impl<K, V, R: Runtime> fmt::Debug for Tiered<K, V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.driver.stores.iter().map(|store| store.name.as_str()).collect();
        f.debug_struct("Tiered").field("cache", &self.cache).field("tiers", &names).finish_non_exhaustive()
    }
}

/// What happened at a tier.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TierStats {
    /// The tier's name.
    pub name: String,
    /// The figures.
    pub figures: TierFigures,
    /// The circuit breakers for reading and for writing.
    pub reads: BreakerState,
    /// See `reads`.
    pub writes: BreakerState,
    /// Whether the tier has yet to be told of purges, or to delete what it could not be given a newer value of.
    pub owes_purges: bool,
}

impl<K, V, R> Tiered<K, V, R>
where
    K: Hash + Eq + Clone + Serialize + 'static,
    V: Clone + 'static,
    R: Runtime,
{
    pub(super) fn new(cache: Cache<K, V, R>, settings: Settings, codec: Box<dyn Codec<V>>) -> Self {
        let driver = Rc::new(Driver::new(Rc::downgrade(&cache.inner), settings, codec));
        Self::of(cache.above(driver.clone()), driver)
    }

    fn of(cache: Cache<K, V, R>, driver: Rc<Driver<K, V, R>>) -> Self {
        let place = place_of(&cache.handle.place);
        Self { cache, driver, place }
    }

    /// The value, if it is there in memory and fresh. Asks no tier.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.cache.get(key)
    }

    /// As [`Cache::get_with`]: from memory, else from a tier, else by `load`.
    ///
    /// # Errors
    /// As there.
    pub async fn get_with<F>(&self, key: K, load: impl FnOnce(LoadCtx<V>) -> F + 'static) -> Result<V, LoadError>
    where
        F: Future<Output = V> + 'static,
    {
        self.cache.get_with(key, load).await
    }

    /// As [`Cache::try_get_with`]: from memory, else from a tier, else by `load`. What a tier does wrong is no error.
    ///
    /// # Errors
    /// As there.
    pub async fn try_get_with<F, E>(&self, key: K, load: impl FnOnce(LoadCtx<V>) -> F + 'static) -> Result<V, LoadError>
    where
        F: Future<Output = Result<V, E>> + 'static,
        E: Into<BoxedError> + 'static,
    {
        self.cache.try_get_with(key, load).await
    }

    /// As [`Cache::try_get_with_details`]. With [`force_fresh`](CallOptions::force_fresh) no tier is asked.
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
        self.cache.try_get_with_details(key, options, load).await
    }

    /// As [`Cache::try_get_with_retry`]. Each attempt asks the tiers first, where another process may have stored the value.
    ///
    /// # Errors
    /// As there.
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
        self.cache.try_get_with_retry(key, options, load).await
    }

    /// As [`Cache::batched`]: keys that are asked for together are read together, two calls for each tier, and what all tiers lack is one
    /// call of `load`. Its [`cache`](Batched::cache) is the memory alone.
    pub fn batched<F, E>(&self, load: impl Fn(Vec<K>, Vec<LoadCtx<V>>) -> F + 'static) -> Batched<K, V, R>
    where
        F: Future<Output = Vec<Result<V, E>>> + 'static,
        E: Into<BoxedError> + 'static,
    {
        self.cache.batched(load)
    }

    /// As [`Cache::wrap`]. To [`invalidate`](Wrapped::invalidate) there reaches the memory alone; [`remove`](Self::remove) reaches the tiers.
    pub fn wrap<F, T, E>(&self, function: F) -> Wrapped<K, V, F, R>
    where
        F: Fn(K) -> T + 'static,
        T: Future<Output = Result<V, E>> + 'static,
        E: Into<BoxedError> + 'static,
    {
        self.cache.wrap(function)
    }

    /// As [`Cache::insert`], in memory and in all tiers. What loads bring that began before does not take its place.
    pub fn insert(&self, key: K, value: V) -> bool {
        self.insert_with(key, value, EntryOptions::new())
    }

    /// As [`Cache::insert_with`], in memory and in all tiers.
    pub fn insert_with(&self, key: K, value: V, options: EntryOptions) -> bool {
        if !self.cache.inner.needs_weight(options.weight) {
            self.set_below(&key, &value, &options.policy, &options.tags, options.weight);
        }
        self.cache.insert_with(key, value, options)
    }

    fn set_below(&self, key: &K, value: &V, said: &PolicyPatch, tags: &[String], weight: Option<u32>) {
        let Some(key) = key_text(key) else { return };
        let handle = &self.cache.handle;
        let absent = self.cache.inner.is_negative(value);
        let random = || self.cache.inner.random();
        let life = life_of(&handle.policy, said, [&handle.tags, tags], weight, absent, random);
        self.driver.set(&self.place, &key, value, &life);
    }

    /// As [`Cache::remove`], from memory and all tiers: what was loaded before, here or elsewhere, does not come back.
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + Serialize + ?Sized,
    {
        self.purge_key(key);
        self.cache.remove(key)
    }

    /// As [`Cache::expire`], and in the tiers the key is removed.
    pub fn expire<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + Serialize + ?Sized,
    {
        self.purge_key(key);
        self.cache.expire(key)
    }

    fn purge_key<Q: Serialize + ?Sized>(&self, key: &Q) {
        if let Some(key) = key_text(key) {
            self.driver.purge(&self.place, Purge::Key(&key));
        }
    }

    /// As [`Cache::remove_by_tag`], in memory and all tiers. The number is that of the memory.
    pub fn remove_by_tag(&self, tag: &str) -> usize {
        self.driver.purge(&self.place, Purge::Tag(tag));
        self.cache.remove_by_tag(tag)
    }

    /// As [`Cache::expire_by_tag`], and in the tiers what bears the tag is removed. The number is that of the memory.
    pub fn expire_by_tag(&self, tag: &str) -> usize {
        self.driver.purge(&self.place, Purge::Tag(tag));
        self.cache.expire_by_tag(tag)
    }

    /// As [`Cache::clear`], in memory and all tiers. In the tiers that is one mark, whatever there is.
    pub fn clear(&self) {
        self.driver.purge(&self.place, Purge::All);
        self.cache.clear();
    }

    /// As [`Cache::update`]: what was loaded before the write, wherever it lies, is not what the source has, and ends when the write
    /// does.
    ///
    /// # Errors
    /// As there.
    pub async fn update<F, E>(&self, key: K, write: impl FnOnce(LoadCtx<V>) -> F + 'static) -> Result<V, LoadError>
    where
        F: Future<Output = Result<V, E>> + 'static,
        E: Into<BoxedError> + 'static,
    {
        self.update_with_options(key, CallOptions::default(), write).await
    }

    /// As [`Cache::update_with_options`], and in the tiers as [`update`](Self::update).
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
        let written = Written { cache: self.clone(), key: key.clone() };
        let write = move |ctx| async move {
            // However it ends, also if it is dropped.
            let _written = written;
            write(ctx).await
        };
        self.cache.update_with_options(key, options, write).await
    }

    /// As [`Cache::compute`], one after the other in this process. What is stored is so in all tiers, what is removed is so in them.
    ///
    /// # Errors
    /// As there.
    pub async fn compute<F, E>(&self, key: K, compute: impl FnOnce(Option<V>) -> F) -> Result<Option<V>, LoadError>
    where
        F: Future<Output = Result<Option<V>, E>>,
        E: Into<BoxedError>,
    {
        self.compute_with_options(key, CallOptions::default(), compute).await
    }

    /// As [`Cache::compute_with_options`], and in the tiers as [`compute`](Self::compute).
    ///
    /// # Errors
    /// As there.
    pub async fn compute_with_options<F, E>(
        &self,
        key: K,
        options: CallOptions,
        compute: impl FnOnce(Option<V>) -> F,
    ) -> Result<Option<V>, LoadError>
    where
        F: Future<Output = Result<Option<V>, E>>,
        E: Into<BoxedError>,
    {
        let (computed, now_there) = self.cache.compute_and_tell(key.clone(), &options, compute).await?;
        match (now_there, &computed) {
            (AfterWrite::Stored, Some(value)) => {
                self.set_below(&key, value, &options.policy, &options.tags, options.weight);
            }
            // What lies below is older.
            (AfterWrite::Absent, _) => self.purge_key(&key),
            _ => {}
        }
        Ok(computed)
    }

    /// As [`Cache::namespace`], in memory and in the tiers.
    ///
    /// # Errors
    /// As there.
    pub fn namespace(&self, name: &str, patch: PolicyPatch) -> Result<Self, OptionError> {
        Ok(Self::of(self.cache.namespace(name, patch)?, self.driver.clone()))
    }

    /// As [`Cache::scope`], in memory and in the tiers.
    #[must_use]
    pub fn scope(&self, name: &str) -> Self {
        Self::of(self.cache.scope(name), self.driver.clone())
    }

    /// Keys of this handle's namespace, and of those within it, use these tiers only; a namespace within may be given others. Purges
    /// reach all tiers nevertheless.
    ///
    /// # Errors
    /// [`OptionError`] for a name that no tier has.
    pub fn restrict(&self, tiers: &[&str]) -> Result<(), OptionError> {
        let find = |name: &&str| {
            let refused = OptionError {
                option: "tiers".to_owned(),
                given: (*name).to_owned(),
                allowed: "names of tiers of this cache",
            };
            self.driver.stores.iter().position(|store| store.name == *name).ok_or(refused)
        };
        let tiers = tiers.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        self.driver.chain.borrow_mut().restrict(&self.place, tiers);
        Ok(())
    }

    /// The memory: its figures and whatever loads, stores and removes nothing is asked of it. What is removed by it is in
    /// the tiers still: for what somebody else has told the tiers.
    pub fn memory(&self) -> &Cache<K, V, R> {
        &self.cache
    }

    /// As [`Cache::stats`]: what happened in memory.
    pub fn stats(&self) -> Stats {
        self.cache.stats()
    }

    /// What happened at each tier, from above; by a handle of a namespace what was read and promoted there. O(tiers).
    pub fn tier_stats(&self) -> Vec<TierStats> {
        let (now, chain) = (self.driver.now(), self.driver.chain.borrow());
        let namespace = self.place.namespaces();
        let stats = self.driver.stores.iter().enumerate().filter_map(|(tier, store)| {
            let figures = match namespace {
                "" => chain.figures(tier),
                namespace => chain.namespace_figures(tier, namespace),
            };
            let (reads, writes) = chain.breakers(tier, now)?;
            let (name, figures) = (store.name.clone(), figures.cloned().unwrap_or_default());
            Some(TierStats { name, figures, reads, writes, owes_purges: chain.owes(tier) })
        });
        stats.collect()
    }

    /// Adds the tiers' figures to a page for Prometheus, under this name of the cache.
    pub fn add_to_page(&self, page: &mut TierPage, cache: &str) {
        let names: Vec<String> = self.driver.stores.iter().map(|store| store.name.clone()).collect();
        page.add(cache, &names, &self.driver.chain.borrow(), self.driver.now());
    }

    /// Ends when what was to be written and purged has been, or has failed.
    pub async fn flush(&self) {
        self.driver.after_use();
        self.driver.flush().await;
    }

    /// After a [`flush`](Self::flush), closes the tiers.
    pub async fn close(&self) {
        self.flush().await;
        join_all(self.driver.stores.iter().map(|store| store.tier.close())).await;
    }
}

/// A write to the source, until it ends.
struct Written<K, V, R>
where
    K: Hash + Eq + Clone + Serialize + 'static,
    V: Clone + 'static,
    R: Runtime,
{
    cache: Tiered<K, V, R>,
    key: K,
}

impl<K, V, R> Drop for Written<K, V, R>
where
    K: Hash + Eq + Clone + Serialize + 'static,
    V: Clone + 'static,
    R: Runtime,
{
    fn drop(&mut self) {
        self.cache.purge_key(&self.key);
    }
}
