//! How a cache is made.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::hash::Hash;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;

use super::cache::Cache;
use super::clock::ManualClock;
use super::handle::Handle;
use super::hash::KeyHasher;
use super::inner::{Inner, RandomSource, Rules, Weigher};
use super::plugin::{Place, Plugin};
use super::purger::Purger;
use super::purging::purging;
use super::runtime::{Local, Runtime};
use super::table::EntryTable;
use crate::core::{EvictionPolicy, Machine, PartitionId, Timers};
use crate::options::{Limits, LoadLimits, Policy, PolicyPatch, Retry};
use crate::time::Ttl;

/// Options of a [`Cache`]. Every combination is valid: a number out of bounds counts as the nearest within.
///
/// ```
/// use nearcache::{Cache, LoadError};
/// use std::time::Duration;
///
/// let cache: Cache<u64, Option<String>> = Cache::builder()
///     .max_entries(10_000)
///     .time_to_live(Duration::from_secs(60))
///     .stale_while_revalidate(Duration::from_secs(30)) // nobody waits for a refresh
///     .stale_if_error(Duration::from_secs(3_600)) // a failure is answered with the last good value
///     .error_backoff(Duration::from_secs(5)) // and the origin is left alone
///     .refresh_ahead(1.0) // XFetch
///     .jitter(0.1)
///     .negative_ttl(Duration::from_secs(10)) // for `None`
///     .soft_timeout(Duration::from_millis(200))
///     .hard_timeout(Duration::from_secs(5))
///     .build();
///
/// # futures::executor::block_on(async {
/// let failing = || cache.try_get_with(7, async |_| Err("down"));
/// assert!(matches!(failing().await, Err(LoadError::Loader(_))));
/// let again = cache.try_get_with(7, async |_| Ok::<_, &str>(Some("not asked".to_owned()))).await;
/// assert_eq!(again.unwrap_err().to_string(), "the loader failed: down");
/// # });
/// ```
pub struct Builder<K, V, R = Local> {
    max_entries: u64,
    max_bytes: u64,
    max_entry_bytes: u64,
    policy: Policy,
    load_limits: LoadLimits,
    eviction: EvictionPolicy,
    purge_stale_every: Ttl,
    tags: Vec<String>,
    weigher: Option<Weigher<K, V>>,
    rules: Rules<V>,
    plugins: Vec<Box<dyn Plugin<K, V>>>,
    told_key: Option<fn(&K) -> K>,
    random: Option<RandomSource>,
    runtime: R,
}

impl<K, V> Default for Builder<K, V> {
    fn default() -> Self {
        Self {
            max_entries: crate::options::DEFAULT_MAX_ENTRIES,
            max_bytes: u64::MAX,
            max_entry_bytes: u64::MAX,
            policy: Policy::DEFAULT,
            load_limits: LoadLimits::new(),
            eviction: EvictionPolicy::DEFAULT,
            purge_stale_every: Ttl::Forever,
            tags: Vec::new(),
            weigher: None,
            rules: Rules::default(),
            plugins: Vec::new(),
            told_key: None,
            random: None,
            runtime: Local::default(),
        }
    }
}

impl<K, V, R> Builder<K, V, R> {
    /// The most entries; 10,000 if nothing is said, 2^30 at the most. With 0 nothing is stored and
    /// loads are still shared.
    #[must_use]
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.max_entries = entries;
        self
    }

    /// The most bytes in all entries together, as [`weigher`](Self::weigher) or the caller counts
    /// them. Unbounded if nothing is said. In a cache with this bound, or that of an entry, a value that nobody weighed is
    /// not stored, and a load that brings one is [`LoadError::UnknownWeight`](crate::LoadError::UnknownWeight).
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

    /// Who makes room for others. If nothing is said, `Adaptive` (by the feature `adaptive`, which is on unless default
    /// features are off): it keeps the right entries more often than LRU, and withstands scans and loops larger than the
    /// cache. [`EvictionPolicy::Lru`] takes 15 bytes an entry less, foreseeably evicts what was used longest ago, and
    /// gives [`iter`](super::Cache::iter) an order. `docs/eviction.md` compares the two.
    #[must_use]
    pub fn eviction(mut self, policy: EvictionPolicy) -> Self {
        self.eviction = policy;
        self
    }

    /// How long an entry is fresh, in whole milliseconds (the rest is dropped). Without end if nothing is said;
    /// with 0 nothing is stored. Unless one of the stale windows below is set, it is gone then.
    ///
    /// At its end an entry is handed out no more, whatever the program did since the last call. So a get of an entry that can
    /// expire reads a clock: on Linux and Android the time as the kernel last brought it up to date, at some 5 ns, and within
    /// 100 ms of the end the exact one, as elsewhere always. A get of an entry that can't expire reads none. An entry that lives
    /// for 10 s or longer may end up to 100 ms early, any other up to 1 ms. While the whole system is suspended, these clocks
    /// stand still on Linux, Android and macOS.
    #[must_use]
    pub fn time_to_live(mut self, ttl: impl Into<Ttl>) -> Self {
        self.policy.entry.ttl = ttl.into();
        self
    }

    /// How long an entry may lie unused, in whole milliseconds: each get that is answered with it, stale or fresh, begins this
    /// time anew; a [peek](super::Cache::peek) or an iteration does not. The entry is gone when this has passed, or its ttl and
    /// the stale windows, whichever comes first: no window makes it longer. Neither `jitter` nor `negative_ttl` is about it.
    /// Without end if nothing is said; with 0 nothing is stored. As `expireAfterAccess` in Caffeine, `time_to_idle` in moka.
    #[must_use]
    pub fn time_to_idle(mut self, ttl: impl Into<Ttl>) -> Self {
        self.policy.entry.idle_ttl = ttl.into();
        self
    }

    /// For how long after its ttl a value is still handed out at once by the gets that load, while one refresh
    /// runs in the background (RFC 5861, 3). Zero if nothing is said. Where the runtime
    /// [can't](Runtime::can_spawn) run anything in the background, the get that begins the refresh waits for it.
    #[must_use]
    pub fn stale_while_revalidate(mut self, window: impl Into<Ttl>) -> Self {
        self.policy.entry.stale_while_revalidate = window.into();
        self
    }

    /// For how long after its ttl a value is handed out instead of a load's error (RFC 5861, 4), and instead of
    /// waiting longer than [`soft_timeout`](Self::soft_timeout). Counted from the end of the ttl, like
    /// `stale_while_revalidate`. Zero if nothing is said.
    #[must_use]
    pub fn stale_if_error(mut self, window: impl Into<Ttl>) -> Self {
        self.policy.entry.stale_if_error = window.into();
        self
    }

    /// Refreshes a loaded value in the background before its ttl ends, at a random moment, the earlier the longer its
    /// load took: XFetch with this beta (Vattani, Chierichetti, Lowenstein, VLDB 2015). 1 is what the paper finds
    /// best, more refreshes earlier, 0 (if nothing is said) never; NaN and less than 0 count as 0. The value is handed
    /// out at once, as fresh. Needs a runtime that [can](Runtime::can_spawn) run things in the background.
    #[must_use]
    pub fn refresh_ahead(mut self, beta: f64) -> Self {
        self.policy.entry.refresh_ahead = beta;
        self
    }

    /// Takes up to this part of each ttl off at random, so that what was stored together does not expire together.
    /// From 0 (if nothing is said) to 1; what lies outside counts as the nearer of them, and NaN as 0.
    #[must_use]
    pub fn jitter(mut self, part: f64) -> Self {
        self.policy.entry.jitter = part;
        self
    }

    /// For how long after a load that failed the key is not loaded again: until then gets are answered with the stale
    /// value if there is one, else with the same error. Zero if nothing is said. An error that is kept takes an entry's
    /// place and weighs nothing.
    #[must_use]
    pub fn error_backoff(mut self, backoff: impl Into<Ttl>) -> Self {
        self.policy.error_backoff = backoff.into();
        self
    }

    /// [`error_backoff`](Self::error_backoff) by rule: for loaders' own errors, which the rule may downcast. Where it
    /// says `None`, and for other failures, the one without a rule is taken.
    #[must_use]
    pub fn error_backoff_by(mut self, rule: impl Fn(&(dyn Error + 'static)) -> Option<Ttl> + 'static) -> Self {
        self.rules.backoff = Some(Box::new(rule));
        self
    }

    /// How a load that fails is tried again, by loaders that can be called again: those of
    /// [`try_get_with_retry`](super::Cache::try_get_with_retry), wrapped functions, batches (key by key) and `keep_fresh`.
    /// Never, if nothing is said. An `error_backoff`, and what stands in by `stale_if_error`, come after the last attempt; a
    /// `soft_timeout` does not wait for it.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.policy.retry = retry;
        self
    }

    /// Which of the loaders' own errors, which the rule may downcast, let a load be tried again; all, if nothing is said.
    #[must_use]
    pub fn retry_if(mut self, rule: impl Fn(&(dyn Error + 'static)) -> bool + 'static) -> Self {
        self.rules.retry = Some(Box::new(rule));
        self
    }

    /// Which values may be handed out. A get that finds one for which the rule says no removes it, and loads anew (the miss's
    /// cause is [`Invalid`](crate::MissCause::Invalid)); so for stale ones. A load that brings such a value has failed with
    /// [`LoadError::Invalid`](crate::LoadError::Invalid), and nothing is stored. What is [peeked](super::Cache::peek) at,
    /// iterated over or inserted is not checked. Every get of a value then makes the cache look twice.
    #[must_use]
    pub fn validate(mut self, rule: impl Fn(&V) -> bool + 'static) -> Self {
        self.rules.validate = Some(Box::new(rule));
        self.policy.entry.checked = true;
        self
    }

    /// How long a value lives that means "nothing there", by your rule. Wins over `time_to_live` and a call's ttl, not over
    /// what is said of the value itself: by its loader, or by `insert_with`.
    #[must_use]
    pub fn negative_ttl_if(mut self, ttl: impl Into<Ttl>, rule: impl Fn(&V) -> bool + 'static) -> Self {
        self.policy.negative_ttl = Some(ttl.into());
        self.rules.is_negative = Some(Box::new(rule));
        self
    }

    /// Tags that every entry bears.
    #[must_use]
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// How long a get waits for a load before it is content with an older value, if one may still be handed out (see
    /// [`stale_if_error`](Self::stale_if_error)). The load goes on, unless nobody else waits and the runtime
    /// [can't](Runtime::can_spawn) run it in the background. Without end if nothing is said.
    #[must_use]
    pub fn soft_timeout(mut self, timeout: impl Into<Ttl>) -> Self {
        self.policy.soft_timeout = timeout.into();
        self
    }

    /// How long a get may wait for a load, and a refresh in the background may run: 30 seconds if nothing is said.
    #[must_use]
    pub fn hard_timeout(mut self, timeout: impl Into<Ttl>) -> Self {
        self.policy.hard_timeout = timeout.into();
        self
    }

    /// The most loads under way at once; unbounded if nothing is said, and 0 counts as 1. The others wait for their turn,
    /// first come first served: what somebody waits for before refreshes in the background and what is asked for with
    /// [`Priority::Low`](crate::options::Priority), as warm-ups and `keep_fresh` do. Deadlines count meanwhile, and a load that
    /// everybody has left is not begun. A purge or a newer value does not concern a load that has not begun.
    ///
    /// A batch's call counts as one load. A load that a load under way asks for needs no place, since the two would wait
    /// for each other. A load that was dropped, or whose last deadline has passed, has left its place.
    #[must_use]
    pub fn max_concurrent_loads(mut self, loads: u32) -> Self {
        self.load_limits = self.load_limits.max_concurrent(loads);
        self
    }

    /// The most loads that begin in any second; unbounded if nothing is said. 0.5 is one in two seconds. The others wait as
    /// with [`max_concurrent_loads`](Self::max_concurrent_loads). A load that is tried again counts each time, and
    /// does not wait for its turn again.
    #[must_use]
    pub fn loads_per_second(mut self, loads: f64) -> Self {
        self.load_limits = self.load_limits.per_second(loads);
        self
    }

    /// The most loads that wait for their turn: 1,000 if nothing is said. Of those that nobody waits for, as many again. What
    /// exceeds it gets a stale value, if there is one that may still be handed out, else
    /// [`LoadError::QueueFull`](crate::LoadError::QueueFull); a refresh is not begun.
    #[must_use]
    pub fn max_queued_loads(mut self, loads: u32) -> Self {
        self.load_limits = self.load_limits.max_queued(loads);
        self
    }

    /// Whether a load goes on though everybody has left, until the `hard_timeout` of the one who began it: then it is there for
    /// the next who asks. Not if nothing is said. Needs a runtime that [can](Runtime::can_spawn) run things in the background.
    /// In Workers loads go on anyway.
    #[must_use]
    pub fn keep_loading(mut self, keep: bool) -> Self {
        self.policy.keep_loading = keep;
        self
    }

    /// Whether entries leave in time by themselves, and how often the cache looks: a value is gone at most this long after the
    /// last moment at which it may be handed out (the end of its ttl, its stale windows or its idle time), and plugins are told.
    /// Never, if nothing is said: then they are met bit by bit while the cache is used. A millisecond at the least.
    ///
    /// It needs a runtime that [can](Runtime::can_spawn) run things in the background, and costs one task, which sleeps until
    /// the next end, and looks at every entry then (some milliseconds for a million, in steps), at most once in each interval.
    /// It ends with the cache. In Workers, where timers end with their request, nothing is done; there
    /// [`purge_stale`](super::Cache::purge_stale) can be called from a scheduled handler.
    ///
    /// ```
    /// use nearcache::Cache;
    /// use std::time::Duration;
    ///
    /// # fn run(spawn: impl Fn(futures::future::LocalBoxFuture<'static, ()>) + 'static) {
    /// let sessions: Cache<u64, String> = Cache::builder()
    ///     .time_to_live(Duration::from_secs(600))
    ///     .purge_stale_every(Duration::from_secs(1))
    ///     .spawner(spawn)
    ///     .build();
    /// # }
    /// ```
    #[must_use]
    pub fn purge_stale_every(mut self, every: impl Into<Ttl>) -> Self {
        self.purge_stale_every = every.into();
        self
    }

    /// Another source of random numbers, at least 0 and below 1, than the [runtime's](Runtime::random): for tests. Keys are
    /// hashed by the first two, so that the same calls evict the same entries; an attacker who knows those can make keys whose
    /// hashes are all the same.
    /// If it calls the cache in turn, that call takes the runtime's.
    #[must_use]
    pub fn random(mut self, random: impl FnMut() -> f64 + 'static) -> Self {
        self.random = Some(RefCell::new(Box::new(random)));
        self
    }

    /// What an entry counts against `max_bytes`. Called once for each value, with nothing borrowed: it may
    /// call the cache. The key of a value that is loaded is cloned for it.
    #[must_use]
    pub fn weigher(mut self, weigher: impl Fn(&K, &V) -> u32 + 'static) -> Self {
        self.weigher = Some(Rc::new(weigher));
        self
    }

    /// Another runtime than [`Local`].
    pub fn runtime<T: Runtime>(self, runtime: T) -> Builder<K, V, T> {
        Builder {
            max_entries: self.max_entries,
            max_bytes: self.max_bytes,
            max_entry_bytes: self.max_entry_bytes,
            policy: self.policy,
            load_limits: self.load_limits,
            tags: self.tags,
            weigher: self.weigher,
            rules: self.rules,
            plugins: self.plugins,
            told_key: self.told_key,
            random: self.random,
            eviction: self.eviction,
            purge_stale_every: self.purge_stale_every,
            runtime,
        }
    }
}

impl<K: Clone, V, R> Builder<K, V, R> {
    /// One more set of hooks. They are called in the order they were given.
    #[must_use]
    pub fn plugin(mut self, plugin: impl Plugin<K, V> + 'static) -> Self {
        self.plugins.push(Box::new(plugin));
        self.told_key = Some(K::clone);
        self
    }
}

impl<K, T: 'static, R> Builder<K, Option<T>, R> {
    /// How long `None` lives, as [`negative_ttl_if`](Self::negative_ttl_if).
    #[must_use]
    pub fn negative_ttl(self, ttl: impl Into<Ttl>) -> Self {
        self.negative_ttl_if(ttl, Option::is_none)
    }
}

impl<K, V> Builder<K, V, Local> {
    /// A clock that is moved by hand, for tests: for lifetimes, and for deadlines and windows too.
    #[must_use]
    pub fn clock(mut self, clock: ManualClock) -> Self {
        self.runtime.set_clock(clock);
        self
    }

    /// How to run what nobody waits for, on the present thread: `|task| { tokio::task::spawn_local(task); }`, say. In
    /// wasm it is there already.
    #[must_use]
    pub fn spawner(mut self, spawn: impl Fn(LocalBoxFuture<'static, ()>) + 'static) -> Self {
        self.runtime.set_spawner(Rc::new(spawn));
        self
    }
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Builder<K, V, R> {
    /// The cache, empty. Nothing is allocated ahead.
    pub fn build(self) -> Cache<K, V, R> {
        let limits = Limits::new(self.max_entries, self.max_bytes, self.max_entry_bytes);
        let Self { policy, tags, eviction, weigher, rules, plugins, told_key, random, runtime, .. } = self;
        let purges = !R::DETACHED && runtime.can_spawn();
        // What makes no sense becomes the nearest that does.
        let policy = policy.patched(&PolicyPatch::default());
        let mut machine = Machine::with_eviction(limits, policy.entry.ttl, Timers::Own, eviction);
        machine.limit_loads(self.load_limits);
        machine.purge_stale_every(if purges { self.purge_stale_every } else { Ttl::Forever });
        let draw = || random.as_ref().map_or_else(|| runtime.random(), |random| random.borrow_mut()());
        let table = RefCell::new(EntryTable::new(machine, told_key, KeyHasher::new(draw)));
        let (hook_depth, root) = (Cell::new(0), Rc::<Place>::default());
        let inner = Rc::new_cyclic(|inner| Inner {
            purger: (purges && self.purge_stale_every != Ttl::Forever).then(|| Purger::new(purging(inner.clone()))),
            table,
            runtime,
            weigher,
            rules,
            plugins,
            hook_depth,
            told_key,
            random,
            computes: RefCell::default(),
            root,
        });
        let handle = Handle::root(&inner, policy, tags);
        let is_plain = !inner.has_plugins();
        Cache { inner, partition: PartitionId::ROOT, handle, is_plain }
    }
}

impl<K: Hash + Eq + 'static, V: Clone + 'static> Cache<K, V> {
    /// A cache of at most `max_entries` entries that live until they are displaced.
    pub fn new_with_max_entries(max_entries: u64) -> Self {
        Self::builder().max_entries(max_entries).build()
    }

    /// All other options.
    pub fn builder() -> Builder<K, V> {
        Builder::default()
    }
}
