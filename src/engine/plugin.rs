//! Hooks: what a program can be told of.

use std::time::Duration;

use crate::core::{MissCause, RemovalCause, StaleCause};
use crate::error::LoadError;

/// A set of hooks, all of which do nothing unless written. They are called after the operation that they tell of,
/// with nothing borrowed: they may call the cache. What they cause is told as well, eight deep at the most: a hook that
/// is called because of a hook's own doings is one deeper than that. Natively, one that panics is cut short and nothing
/// else happens (unless the program is built with `panic = "abort"`).
///
/// A cache shares them with its [namespaces](super::Cache::namespace) and [scopes](super::Cache::scope); the event's
/// `place` says where its key lies. A cache without plugins pays one branch a get for it; one with plugins clones the
/// keys that it tells of.
pub trait Plugin<K, V> {
    /// A get was answered from memory with a fresh value, or with the error of a load that failed a moment ago.
    fn hit(&self, event: &HitEvent<'_, K>) {
        let _ = event;
    }

    /// A get was answered with a stale value. Those who waited together for one load that failed, or until the same soft
    /// deadline, are told of once.
    fn stale(&self, event: &StaleEvent<'_, K>) {
        let _ = event;
    }

    /// A get found nothing.
    fn miss(&self, event: &MissEvent<'_, K>) {
        let _ = event;
    }

    /// A get joined a load under way.
    fn coalesced(&self, event: &CoalescedEvent<'_, K>) {
        let _ = event;
    }

    /// A load brought a value.
    fn load(&self, event: &LoadEvent<'_, K>) {
        let _ = event;
    }

    /// A load failed. Those who waited got its error, or an older value.
    fn error(&self, event: &ErrorEvent<'_, K>) {
        let _ = event;
    }

    /// A value was stored: inserted, written through, or loaded (then [`load`](Self::load) is told next). If it took the place
    /// of another, [`evict`](Self::evict) is told first.
    fn insert(&self, event: &InsertEvent<'_, K>) {
        let _ = event;
    }

    /// A value left, for whatever cause.
    fn evict(&self, event: &EvictEvent<'_, K, V>) {
        let _ = event;
    }

    /// A value left because its time had passed; [`evict`](Self::evict) is told first.
    fn expire(&self, event: &ExpireEvent<'_, K, V>) {
        let _ = event;
    }

    /// A batch's call ended.
    fn batch(&self, event: &BatchEvent<'_, K>) {
        let _ = event;
    }
}

/// A part of a cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The names of the namespaces on the way there, the outermost first; none for the cache itself.
    pub namespaces: Vec<String>,
    /// The names of the scopes on the way there, the outermost first.
    pub scopes: Vec<String>,
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident $(<$($parameter:ident),+>)? { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        #[non_exhaustive]
        pub struct $name<'a $($(, $parameter)+)?> {
            $($(#[$field_doc])* pub $field: $type,)*
            /// Where the key lies.
            pub place: &'a Place,
        }
    )*};
}

events! {
    /// A get was answered from memory.
    HitEvent<K> {
        /// Its key.
        key: &'a K,
    }
    /// A get was answered with a stale value.
    StaleEvent<K> {
        /// Its key.
        key: &'a K,
        /// Why a stale value would do.
        cause: StaleCause,
    }
    /// A get found nothing.
    MissEvent<K> {
        /// Its key. `None` where it was [`Cache::get`](super::Cache::get) of a key that is not known, by a reference that
        /// may be no `K`.
        key: Option<&'a K>,
        /// Why.
        cause: MissCause,
    }
    /// A get joined a load under way.
    CoalescedEvent<K> {
        /// Its key.
        key: &'a K,
    }
    /// A load brought a value.
    LoadEvent<K> {
        /// Its key.
        key: &'a K,
        /// How long it took, in whole milliseconds.
        duration: Duration,
        /// Nobody waited for it when it began: it refreshed what was handed out.
        background: bool,
    }
    /// A load failed.
    ErrorEvent<K> {
        /// Its key.
        key: &'a K,
        /// What those who waited got, unless they got an older value.
        error: &'a LoadError,
        /// How long it took, in whole milliseconds.
        duration: Duration,
        /// Nobody waited for it when it began.
        background: bool,
    }
    /// A value was stored.
    InsertEvent<K> {
        /// Its key.
        key: &'a K,
    }
    /// A value left.
    EvictEvent<K, V> {
        /// Its key.
        key: &'a K,
        /// What left.
        value: &'a V,
        /// Why.
        cause: RemovalCause,
    }
    /// A value's time had passed. It is told when the value is met, which may be later.
    ExpireEvent<K, V> {
        /// Its key.
        key: &'a K,
        /// What left.
        value: &'a V,
    }
    /// One call loaded several keys.
    BatchEvent<K> {
        /// They.
        keys: &'a [K],
        /// How long the call took, in whole milliseconds.
        duration: Duration,
        /// What is wrong with the call as a whole, if something is.
        error: Option<&'a LoadError>,
    }
}

/// Tells of loads that take long: an example of a plugin, and a useful one.
///
/// ```
/// use nearcache::{Cache, engine::SlowLoads};
/// use std::time::Duration;
///
/// let cache: Cache<String, u64> = Cache::builder()
///     .plugin(SlowLoads::new(Duration::from_millis(500), |key: &String, took| {
///         eprintln!("loading {key} took {took:?}");
///     }))
///     .build();
/// # drop(cache);
/// ```
pub struct SlowLoads<F> {
    limit: Duration,
    tell: F,
}

impl<F> SlowLoads<F> {
    /// Calls `tell` for each load, failed or not, that takes at least `limit`.
    pub fn new(limit: Duration, tell: F) -> Self {
        Self { limit, tell }
    }

    fn check<K>(&self, key: &K, took: Duration)
    where
        F: Fn(&K, Duration),
    {
        if took >= self.limit {
            (self.tell)(key, took);
        }
    }
}

impl<K, V, F: Fn(&K, Duration)> Plugin<K, V> for SlowLoads<F> {
    fn load(&self, event: &LoadEvent<'_, K>) {
        self.check(event.key, event.duration);
    }

    fn error(&self, event: &ErrorEvent<'_, K>) {
        self.check(event.key, event.duration);
    }
}
