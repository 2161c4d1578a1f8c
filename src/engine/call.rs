//! What a call, an insert and a loader may say, and what a get has to say.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::core::{Age, EntryState};
use crate::options::{PolicyPatch, entry_setters, load_setters};
use crate::time::{Timestamp, Ttl};

/// How one get differs from what its cache does. What is not said is as there; what the loader says by its [`LoadCtx`]
/// wins over both.
///
/// ```
/// use nearcache::CallOptions;
/// use std::time::Duration;
///
/// let options = CallOptions::new().ttl(Duration::from_secs(60)).tags(["posts", "user:7"]).force_fresh();
/// assert_eq!(options.tags, ["posts", "user:7"]);
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// How long this get waits, and how what it loads is kept.
    pub policy: PolicyPatch,
    /// Names by which the value can be purged together with others, besides the cache's and the loader's.
    pub tags: Vec<String>,
    /// What the value counts against `max_bytes`. Wins over the weigher.
    pub weight: Option<u32>,
    /// Load even if a value is there, which stays until the new one comes and if the load fails. A load
    /// already under way will do.
    pub force_fresh: bool,
}

/// How an entry is stored, where that differs from what its cache does.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EntryOptions {
    /// How it is kept.
    pub policy: PolicyPatch,
    /// Names by which it can be purged together with others, besides the cache's.
    pub tags: Vec<String>,
    /// What it counts against `max_bytes`. Wins over the weigher.
    pub weight: Option<u32>,
}

macro_rules! common_setters {
    () => {
        /// Says nothing yet.
        #[must_use]
        pub fn new() -> Self {
            Self::default()
        }

        /// More names by which the value can be purged together with others.
        #[must_use]
        pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
            self.tags.extend(tags.into_iter().map(Into::into));
            self
        }

        /// What the value counts against `max_bytes`. Wins over the weigher.
        #[must_use]
        pub fn weight(mut self, weight: u32) -> Self {
            self.weight = Some(weight);
            self
        }
    };
}

/// Of a call that says nothing: it keeps none of its own while it waits.
pub(super) static NO_OPTIONS: CallOptions =
    CallOptions { policy: PolicyPatch::NONE, tags: Vec::new(), weight: None, force_fresh: false };

impl CallOptions {
    common_setters!();
    entry_setters!(policy);
    load_setters!(policy);

    /// Loads even if a value is there, which stays until the new one comes and if the load fails. A load already under
    /// way will do.
    #[must_use]
    pub fn force_fresh(mut self) -> Self {
        self.force_fresh = true;
        self
    }
}

impl EntryOptions {
    common_setters!();
    entry_setters!(policy);
}

/// What a loader or a writer may say about the value it brings, and may know. Cheap to clone. What it says wins over
/// the caller and the cache.
pub struct LoadCtx<V> {
    said: Rc<LoaderSettings<V>>,
}

impl<V> Clone for LoadCtx<V> {
    fn clone(&self) -> Self {
        Self { said: self.said.clone() }
    }
}

impl<V> fmt::Debug for LoadCtx<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadCtx").field("stale", &self.said.stale.is_some()).finish_non_exhaustive()
    }
}

struct LoaderSettings<V> {
    policy: Cell<PolicyPatch>,
    weight: Cell<Option<u32>>,
    skip: Cell<bool>,
    tags: RefCell<Vec<String>>,
    /// When the value came, if that was before its own load's end: with a batch.
    loaded_at: Cell<Option<Timestamp>>,
    /// How long the value has been stored elsewhere, in milliseconds.
    age: Cell<u64>,
    stale: Option<V>,
    attempt: u32,
    background: bool,
}

impl<V> LoadCtx<V> {
    pub(super) fn new(stale: Option<V>) -> Self {
        Self::of_attempt(stale, 1, false)
    }

    pub(super) fn of_attempt(stale: Option<V>, attempt: u32, background: bool) -> Self {
        Self {
            said: Rc::new(LoaderSettings {
                policy: Cell::default(),
                weight: Cell::default(),
                skip: Cell::default(),
                tags: RefCell::default(),
                loaded_at: Cell::default(),
                age: Cell::default(),
                stale,
                attempt,
                background,
            }),
        }
    }

    /// How long the value stays fresh, in whole milliseconds; zero: it is not stored. Wins over `negative_ttl` too.
    pub fn set_ttl(&self, ttl: impl Into<Ttl>) {
        self.alter(|policy| policy.ttl(ttl));
    }

    /// How long the value may lie unused; zero: it is not stored.
    pub fn set_idle_ttl(&self, ttl: impl Into<Ttl>) {
        self.alter(|policy| policy.idle_ttl(ttl));
    }

    /// How long after its ttl it may be handed out while it is refreshed.
    pub fn set_stale_while_revalidate(&self, window: impl Into<Ttl>) {
        self.alter(|policy| policy.stale_while_revalidate(window));
    }

    /// How long after its ttl it may be handed out where a load fails or is slow.
    pub fn set_stale_if_error(&self, window: impl Into<Ttl>) {
        self.alter(|policy| policy.stale_if_error(window));
    }

    /// XFetch's beta, as [`Builder::refresh_ahead`](super::Builder::refresh_ahead).
    pub fn set_refresh_ahead(&self, beta: f64) {
        self.alter(|policy| policy.refresh_ahead(beta));
    }

    /// The part of the ttl that chance takes off, as [`Builder::jitter`](super::Builder::jitter).
    pub fn set_jitter(&self, part: f64) {
        self.alter(|policy| policy.jitter(part));
    }

    /// For how long the key is not loaded again, if this load fails.
    pub fn set_error_backoff(&self, backoff: impl Into<Ttl>) {
        self.alter(|policy| policy.error_backoff(backoff));
    }

    /// How long the value has been stored elsewhere already, in whole milliseconds: its lifetimes count from then, here and in
    /// tiers. If nothing is left of its ttl it is handed out, and stored for its stale windows. What an
    /// [`update`](super::Cache::update) writes is new, whatever this says.
    pub fn set_age(&self, age: Duration) {
        self.said.age.set(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    }

    /// One more name by which the value can be purged together with others.
    pub fn tag(&self, tag: impl Into<String>) {
        let tag = tag.into();
        if let Ok(mut tags) = self.said.tags.try_borrow_mut() {
            tags.push(tag);
        }
    }

    /// What the value counts against `max_bytes`. Wins over the weigher.
    pub fn set_weight(&self, weight: u32) {
        self.said.weight.set(Some(weight));
    }

    /// Hand the value to those who wait and don't store it.
    pub fn skip(&self) {
        self.said.skip.set(true);
    }

    /// The last good value, if it was still kept when the load began: for a request that asks whether it has
    /// changed (RFC 9110, 13.1). `None` on a first load, and once the value's stale windows are over.
    pub fn stale(&self) -> Option<&V> {
        self.said.stale.as_ref()
    }

    /// The number of this attempt, from 1 on: greater if the load has failed before and is [tried
    /// again](super::Cache::try_get_with_retry).
    pub fn attempt(&self) -> u32 {
        self.said.attempt
    }

    /// Whether nobody waited for the load when it began, since it refreshes a value that was handed out.
    pub fn background(&self) -> bool {
        self.said.background
    }

    pub(super) fn policy(&self) -> PolicyPatch {
        self.said.policy.get()
    }

    pub(super) fn weight(&self) -> Option<u32> {
        self.said.weight.get()
    }

    pub(super) fn is_skipped(&self) -> bool {
        self.said.skip.get()
    }

    pub(super) fn tags(&self) -> Vec<String> {
        self.said.tags.borrow().clone()
    }

    pub(super) fn loaded_at(&self) -> Option<Timestamp> {
        self.said.loaded_at.get()
    }

    pub(super) fn set_loaded_at(&self, at: Timestamp) {
        self.said.loaded_at.set(Some(at));
    }

    pub(super) fn age(&self) -> u64 {
        self.said.age.get()
    }

    /// Says what another one said.
    pub(super) fn adopt(&self, other: &Self) {
        let (said, others) = (&self.said, &other.said);
        if !Rc::ptr_eq(said, others) {
            said.policy.set(others.policy.get());
            said.weight.set(others.weight.get());
            said.skip.set(others.skip.get());
            said.loaded_at.set(others.loaded_at.get());
            said.age.set(others.age.get());
            let tags = others.tags.borrow().clone();
            said.tags.replace(tags);
        }
    }

    fn alter(&self, f: impl FnOnce(PolicyPatch) -> PolicyPatch) {
        self.said.policy.set(f(self.said.policy.get()));
    }
}

/// What there is to know of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryInfo {
    /// What there is of it.
    pub state: EntryState,
    /// Whether a load is under way: its first, or one for a newer value.
    pub loading: bool,
    /// For how long the value has been stored; zero where there is none.
    pub age: Duration,
    /// For how long it is still fresh, or a failure is remembered; zero for a stale one, and where there is neither.
    pub ttl: Ttl,
    /// What it counts against `max_bytes`.
    pub weight: u32,
    /// The names by which it can be purged, in no order that is promised.
    pub tags: Vec<String>,
}

/// A value, and how it was come by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Details<V> {
    /// The value.
    pub value: V,
    /// Where it is from.
    pub status: Status,
    /// For how long it has been stored; zero for one that was just loaded.
    pub age: Duration,
    /// For how long it is still fresh; zero for a stale one and for one that is not stored.
    pub ttl: Ttl,
}

/// Where a value is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// From memory, fresh.
    Hit,
    /// From memory, within `stale_while_revalidate`, or while the key rests after a load that failed.
    Stale,
    /// From a load that this get began.
    Miss,
    /// From a load that somebody else began.
    Coalesced,
    /// The last good value, because the load failed.
    StaleIfError,
    /// The last good value, because the load takes longer than `soft_timeout`.
    StaleOnTimeout,
}

impl Status {
    /// A stable name for programs: the same as in the npm package.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Miss => "miss",
            Self::Coalesced => "coalesced",
            Self::StaleIfError => "stale-if-error",
            Self::StaleOnTimeout => "stale-on-timeout",
        }
    }
}

impl<V> Details<V> {
    pub(super) fn new(value: V, status: Status, age: Option<Age>) -> Self {
        let age = age.unwrap_or(Age { millis: 0, ttl: Ttl::ZERO });
        Self { value, status, age: Duration::from_millis(age.millis), ttl: age.ttl }
    }
}
