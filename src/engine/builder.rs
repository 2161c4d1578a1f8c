//! How a cache is made.

use std::cell::RefCell;
use std::hash::Hash;
use std::rc::Rc;

use super::cache::{Cache, Inner, Listener, Weigher};
use super::runtime::{Local, Runtime};
use super::shelf::Shelf;
use crate::core::{Cause, Machine};
use crate::options::{Defaults, Limits};
use crate::time::Ttl;

/// Options of a [`Cache`]. Every combination is valid.
pub struct Builder<K, V, R = Local> {
    max_entries: u64,
    max_bytes: u64,
    max_entry_bytes: u64,
    defaults: Defaults,
    weigher: Option<Weigher<K, V>>,
    listener: Option<Listener<K, V>>,
    clone_key: Option<fn(&K) -> K>,
    runtime: R,
}

impl<K, V> Default for Builder<K, V> {
    fn default() -> Self {
        Self {
            max_entries: crate::options::DEFAULT_MAX_ENTRIES,
            max_bytes: u64::MAX,
            max_entry_bytes: u64::MAX,
            defaults: Defaults::default(),
            weigher: None,
            listener: None,
            clone_key: None,
            runtime: Local::default(),
        }
    }
}

impl<K, V, R> Builder<K, V, R> {
    /// At most so many entries; 10,000 if nothing is said, 2^30 at the most. With 0 nothing is stored and
    /// loads are still shared.
    #[must_use]
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.max_entries = entries;
        self
    }

    /// At most so many bytes in all entries together, as [`weigher`](Self::weigher) or the caller counts
    /// them (an entry that nobody weighed counts 0). Unbounded if nothing is said.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// A heavier entry is handed out and not stored. As `max_bytes` if nothing is said, 2^32 - 2 at the most.
    #[must_use]
    pub fn max_entry_bytes(mut self, bytes: u64) -> Self {
        self.max_entry_bytes = bytes;
        self
    }

    /// How long an entry may be handed out, in whole milliseconds (the rest is dropped). Without end if
    /// nothing is said; with 0 nothing is stored.
    #[must_use]
    pub fn time_to_live(mut self, ttl: impl Into<Ttl>) -> Self {
        self.defaults.ttl = ttl.into();
        self
    }

    /// How long a get may wait for a load: 30 seconds if nothing is said.
    #[must_use]
    pub fn hard_timeout(mut self, timeout: impl Into<Ttl>) -> Self {
        self.defaults.hard_timeout = timeout.into();
        self
    }

    /// Another runtime than [`Local`].
    pub fn runtime<T: Runtime>(self, runtime: T) -> Builder<K, V, T> {
        Builder {
            max_entries: self.max_entries,
            max_bytes: self.max_bytes,
            max_entry_bytes: self.max_entry_bytes,
            defaults: self.defaults,
            weigher: self.weigher,
            listener: self.listener,
            clone_key: self.clone_key,
            runtime,
        }
    }
}

impl<K: Clone, V, R> Builder<K, V, R> {
    /// What an entry counts against `max_bytes`. Called once for each value, with nothing borrowed: it may
    /// call the cache. The key of a value that is loaded is cloned for it.
    #[must_use]
    pub fn weigher(mut self, weigher: impl Fn(&K, &V) -> u32 + 'static) -> Self {
        self.weigher = Some(Rc::new(weigher));
        self.clone_key = Some(K::clone);
        self
    }

    /// Told of every value that leaves, and why, after the operation that did it, with nothing borrowed:
    /// it may call the cache. Where the key stays (a newer value took the place), it is cloned.
    #[must_use]
    pub fn eviction_listener(mut self, listener: impl Fn(K, V, Cause) + 'static) -> Self {
        self.listener = Some(Rc::new(listener));
        self.clone_key = Some(K::clone);
        self
    }
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Builder<K, V, R> {
    /// The cache, empty. Nothing is allocated ahead.
    pub fn build(self) -> Cache<K, V, R> {
        let limits = Limits::new(self.max_entries, self.max_bytes, self.max_entry_bytes);
        let shelf = RefCell::new(Shelf::new(Machine::new(limits)));
        let Self { defaults, weigher, listener, clone_key, runtime, .. } = self;
        Cache { inner: Rc::new(Inner { shelf, runtime, defaults, weigher, listener, clone_key }) }
    }
}

impl<K: Hash + Eq + 'static, V: Clone + 'static> Cache<K, V> {
    /// A cache of at most so many entries that live until they are displaced.
    pub fn new_with_max_entries(max_entries: u64) -> Self {
        Self::builder().max_entries(max_entries).build()
    }

    /// All other options.
    pub fn builder() -> Builder<K, V> {
        Builder::default()
    }
}
