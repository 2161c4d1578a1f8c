//! What a call, an insert and a loader may say, and what a get has to say.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::core::Age;
use crate::options::{Defaults, Life};
use crate::time::Ttl;

/// How one get differs from the cache's defaults. What is `None` is as there; what the loader says by its
/// [`LoadCtx`] wins over both.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// How long what is loaded stays fresh.
    pub ttl: Option<Ttl>,
    /// How long after that it may be handed out while it is refreshed.
    pub stale_while_revalidate: Option<Ttl>,
    /// How long after `ttl` it may be handed out where a load fails, or is slower than `soft_timeout`.
    pub stale_if_error: Option<Ttl>,
    /// XFetch's beta, as [`Builder::refresh_ahead`](super::Builder::refresh_ahead).
    pub refresh_ahead: Option<f64>,
    /// The part of the ttl that chance takes off, as [`Builder::jitter`](super::Builder::jitter).
    pub jitter: Option<f64>,
    /// For how long the key is not loaded again if this load fails.
    pub error_backoff: Option<Ttl>,
    /// The ttl of a value that the cache's rule for "nothing there" fits. Wins over `ttl`.
    pub negative_ttl: Option<Ttl>,
    /// Names by which the value can be purged together with others, besides the cache's and the loader's.
    pub tags: Vec<String>,
    /// What the value counts against `max_bytes`. Wins over the weigher.
    pub weight: Option<u32>,
    /// How long this get waits before it is content with an older value, if one may still be handed out. Does not
    /// end the load.
    pub soft_timeout: Option<Ttl>,
    /// How long this get may wait.
    pub hard_timeout: Option<Ttl>,
    /// Load even if a value is there, which stays until the new one comes and if the load fails. A load
    /// already under way will do.
    pub force_fresh: bool,
}

/// What an entry is stored with, where it differs from the cache's defaults.
#[derive(Clone, Debug, Default)]
pub struct EntryOptions {
    /// How long it stays fresh.
    pub ttl: Option<Ttl>,
    /// How long after that it may be handed out while it is refreshed.
    pub stale_while_revalidate: Option<Ttl>,
    /// How long after `ttl` it may be handed out where a load fails, or is slower than `soft_timeout`.
    pub stale_if_error: Option<Ttl>,
    /// The part of the ttl that chance takes off, as [`Builder::jitter`](super::Builder::jitter).
    pub jitter: Option<f64>,
    /// Names by which it can be purged together with others, besides the cache's.
    pub tags: Vec<String>,
    /// What it counts against `max_bytes`.
    pub weight: Option<u32>,
}

/// What a loader or a writer may say about the value it brings, and may know. Cheap to clone. What it says wins over
/// the caller and the cache.
pub struct LoadCtx<V> {
    pub(super) said: Rc<Said<V>>,
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

pub(super) struct Said<V> {
    life: Cell<Override>,
    pub backoff: Cell<Option<Ttl>>,
    pub weight: Cell<Option<u32>>,
    pub skip: Cell<bool>,
    pub tags: RefCell<Vec<String>>,
    stale: Option<V>,
}

impl<V> LoadCtx<V> {
    pub(super) fn new(stale: Option<V>) -> Self {
        Self {
            said: Rc::new(Said {
                life: Cell::default(),
                backoff: Cell::default(),
                weight: Cell::default(),
                skip: Cell::default(),
                tags: RefCell::default(),
                stale,
            }),
        }
    }

    /// How long the value stays fresh, in whole milliseconds; zero: it is not stored. Wins over `negative_ttl` too.
    pub fn set_ttl(&self, ttl: impl Into<Ttl>) {
        self.alter(|life| life.ttl = Some(ttl.into()));
    }

    /// How long after its ttl it may be handed out while it is refreshed.
    pub fn set_stale_while_revalidate(&self, window: impl Into<Ttl>) {
        self.alter(|life| life.stale_while_revalidate = Some(window.into()));
    }

    /// How long after its ttl it may be handed out where a load fails or is slow.
    pub fn set_stale_if_error(&self, window: impl Into<Ttl>) {
        self.alter(|life| life.stale_if_error = Some(window.into()));
    }

    /// XFetch's beta, as [`Builder::refresh_ahead`](super::Builder::refresh_ahead).
    pub fn set_refresh_ahead(&self, beta: f64) {
        self.alter(|life| life.refresh_ahead = Some(beta));
    }

    /// The part of the ttl that chance takes off, as [`Builder::jitter`](super::Builder::jitter).
    pub fn set_jitter(&self, part: f64) {
        self.alter(|life| life.jitter = Some(part));
    }

    /// For how long the key is not loaded again, if this load fails.
    pub fn set_error_backoff(&self, backoff: impl Into<Ttl>) {
        self.said.backoff.set(Some(backoff.into()));
    }

    /// One more name by which the value can be purged together with others.
    pub fn tag(&self, tag: impl Into<String>) {
        if let Ok(mut tags) = self.said.tags.try_borrow_mut() {
            tags.push(tag.into());
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

    /// Says what another one said.
    pub(super) fn adopt(&self, other: &Self) {
        let (said, others) = (&self.said, &other.said);
        if !Rc::ptr_eq(said, others) {
            said.life.set(others.life.get());
            said.backoff.set(others.backoff.get());
            said.weight.set(others.weight.get());
            said.skip.set(others.skip.get());
            let tags = others.tags.borrow().clone();
            said.tags.replace(tags);
        }
    }

    fn alter(&self, f: impl FnOnce(&mut Override)) {
        let mut life = self.said.life.get();
        f(&mut life);
        self.said.life.set(life);
    }
}

/// A value, and how it was come by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got<V> {
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

impl<V> Got<V> {
    pub(super) fn new(value: V, status: Status, age: Option<Age>) -> Self {
        let age = age.unwrap_or(Age { millis: 0, ttl: Ttl::ZERO });
        Self { value, status, age: Duration::from_millis(age.millis), ttl: age.ttl }
    }
}

/// What somebody says about a life, where he says something.
#[derive(Clone, Copy, Debug, Default)]
struct Override {
    ttl: Option<Ttl>,
    stale_while_revalidate: Option<Ttl>,
    stale_if_error: Option<Ttl>,
    refresh_ahead: Option<f64>,
    jitter: Option<f64>,
}

impl Override {
    fn over(&self, life: &Life) -> Life {
        Life {
            ttl: self.ttl.unwrap_or(life.ttl),
            stale_while_revalidate: self.stale_while_revalidate.unwrap_or(life.stale_while_revalidate),
            stale_if_error: self.stale_if_error.unwrap_or(life.stale_if_error),
            refresh_ahead: self.refresh_ahead.unwrap_or(life.refresh_ahead),
            jitter: self.jitter.unwrap_or(life.jitter),
        }
        .bounded()
    }
}

impl EntryOptions {
    pub(super) fn life(&self, defaults: &Life) -> Life {
        Override {
            ttl: self.ttl,
            stale_while_revalidate: self.stale_while_revalidate,
            stale_if_error: self.stale_if_error,
            refresh_ahead: None,
            jitter: self.jitter,
        }
        .over(defaults)
    }
}

/// What the cache and the caller say about what a load brings.
pub(super) struct Terms {
    life: Life,
    negative_ttl: Option<Ttl>,
    pub backoff: Option<Ttl>,
    pub tags: Vec<String>,
    pub weight: Option<u32>,
}

impl Terms {
    pub fn new(options: CallOptions, defaults: &Defaults) -> Self {
        let life = Override {
            ttl: options.ttl,
            stale_while_revalidate: options.stale_while_revalidate,
            stale_if_error: options.stale_if_error,
            refresh_ahead: options.refresh_ahead,
            jitter: options.jitter,
        };
        Self {
            life: life.over(&defaults.life),
            negative_ttl: options.negative_ttl.or(defaults.negative_ttl),
            backoff: options.error_backoff,
            tags: options.tags,
            weight: options.weight,
        }
    }

    /// The life of a value about which the loader said so much.
    pub fn life<V>(&self, said: &Said<V>, is_negative: impl FnOnce() -> bool) -> Life {
        let mut life = self.life;
        if let Some(ttl) = self.negative_ttl
            && is_negative()
        {
            life.ttl = ttl;
        }
        said.life.get().over(&life)
    }
}
