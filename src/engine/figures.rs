//! A cache's figures, as they are shown and judged.

use std::hash::Hash;

use super::cache::Cache;
use super::runtime::Runtime;
use crate::figures::{self, Advice, Evidence, Health, Thresholds, Window};

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// A page for Prometheus (text format 0.0.4, [`CONTENT_TYPE`](figures::CONTENT_TYPE)) of the whole cache, each
    /// [namespace](Self::namespace) apart, under this name.
    pub fn prometheus(&self, name: &str) -> String {
        let page = self.inner.with(|table| figures::page(&table.machine, name));
        page.unwrap_or_default()
    }

    /// What choosing whom to evict takes of memory, in bytes, in all parts of the cache together: what is known of entries,
    /// of keys that are gone and may come back (ghosts), and of the sample by which the policy adapts. O(1).
    pub fn eviction_bytes(&self) -> usize {
        self.inner.with(|table| table.machine.eviction_bytes()).unwrap_or(0)
    }

    /// What to change about this cache, by what happened in it so far, and why: nothing where the figures don't speak for it.
    /// Begins with the first call to estimate what more room would bring, and says nothing of that until some thousand gets
    /// later: so call it now and then, as [`stats`](Self::stats). About the whole cache and the root's defaults. With
    /// [`EvictionPolicy::Lru`](crate::core::EvictionPolicy::Lru) nothing is said of room.
    ///
    /// ```
    /// use nearcache::Cache;
    ///
    /// let cache: Cache<u64, String> = Cache::new_with_max_entries(1_000);
    /// for advice in cache.advise() {
    ///     println!("{}: {} instead of {}: {advice}", advice.lever.as_str(), advice.suggested, advice.present);
    /// }
    /// ```
    pub fn advise(&self) -> Vec<Advice> {
        let policy = self.handle.policy;
        let evidence = self.inner.with(|table| Evidence {
            stats: table.machine.stats(),
            limits: *table.machine.limits(),
            entries: table.machine.len() as u64,
            weight: table.machine.weight(),
            policy,
            hit_rates_by_room: table.machine.hit_rates_by_room(),
            batches: table.machine.batch_trials().copied(),
        });
        evidence.map_or_else(Vec::new, |evidence| figures::advise(&evidence))
    }

    /// Whether all has been well lately, by [`stats`](Self::stats) of this handle. The window is the caller's to keep.
    ///
    /// ```
    /// use nearcache::{Cache, figures::{Thresholds, Window}};
    ///
    /// let cache: Cache<u64, String> = Cache::new_with_max_entries(1_000);
    /// let mut lately = Window::new(60_000);
    /// let wanted = Thresholds::default().min_hit_rate(0.5)?.max_error_rate(0.05)?.max_latency(2_000);
    /// assert!(cache.health(&wanted, &mut lately).ok);
    /// # Ok::<_, nearcache::OptionError>(())
    /// ```
    pub fn health(&self, thresholds: &Thresholds, lately: &mut Window) -> Health {
        figures::health(&lately.recent(self.inner.now(), &self.stats()), thresholds)
    }
}
