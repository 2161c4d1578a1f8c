//! Parts of a cache: handles whose keys are their own, and which share the room of all.

use std::borrow::Cow;
use std::hash::Hash;
use std::rc::{Rc, Weak};

use super::cache::Cache;
#[cfg(feature = "tier")]
use super::call::CallOptions;
use super::inner::Inner;
use super::plugin::Place;
use super::runtime::Runtime;
#[cfg(feature = "tier")]
use super::tiered::{Below, LoadBelow};
use crate::core::{Part, PartitionId, PlainTtl, join_scope};
use crate::error::OptionError;
use crate::options::{EntryPolicy, Policy, PolicyPatch};
use crate::time::Ttl;

/// The partition of a handle that could not be opened, because a key's `Eq` or `Hash` or a value's `Clone` made it while
/// the cache was calling that: such a handle stays closed.
pub(super) const CLOSED: PartitionId = PartitionId(u32::MAX);

/// What a cheap clock's lag is nothing to: it is some milliseconds.
const LONG: Ttl = Ttl::Millis(10_000);

/// Whether a life is so long that it may be counted from a moment ago.
pub(super) fn is_long(policy: &EntryPolicy) -> bool {
    policy.ttl.min(policy.idle_ttl) >= LONG
}

/// What a handle is about, and what it takes where a call says nothing.
pub(super) struct Handle<K, V, R: Runtime> {
    /// Whose partition is released in the end.
    inner: Weak<Inner<K, V, R>>,
    partition: PartitionId,
    pub namespace: u8,
    /// The names of scopes on the way, joined; empty for none.
    pub scope: String,
    pub policy: Policy,
    /// Whether its values live so long that a moment does not matter.
    pub is_long: bool,
    /// How long its values live, if neither they nor anyone says more of them.
    pub plain_ttl: Option<PlainTtl>,
    /// Borne by all that it stores.
    pub tags: Vec<String>,
    pub place: Rc<Place>,
    /// The stores that its loads ask before their loaders.
    #[cfg(feature = "tier")]
    pub below: Option<Rc<dyn Below<K, V>>>,
}

impl<K, V, R: Runtime> Handle<K, V, R> {
    pub fn root(inner: &Rc<Inner<K, V, R>>, policy: Policy, tags: Vec<String>) -> Rc<Self> {
        let (partition, place) = (PartitionId::ROOT, inner.root.clone());
        Rc::new(Self {
            inner: Rc::downgrade(inner),
            partition,
            namespace: 0,
            scope: String::new(),
            policy,
            is_long: is_long(&policy.entry),
            plain_ttl: PlainTtl::of(&policy).filter(|_| tags.is_empty() && inner.takes_values_as_they_are()),
            tags,
            place,
            #[cfg(feature = "tier")]
            below: None,
        })
    }

    pub fn part(&self) -> Part<'_> {
        Part { namespace: self.namespace, scope: &self.scope }
    }

    /// Its own tags and these.
    pub fn with_tags<'a>(&'a self, tags: &'a [String]) -> Cow<'a, [String]> {
        match (self.tags.is_empty(), tags.is_empty()) {
            (true, _) => tags.into(),
            (_, true) => self.tags.as_slice().into(),
            _ => self.tags.iter().chain(tags).cloned().collect(),
        }
    }
}

#[cfg(not(feature = "tier"))]
impl<K, V, R: Runtime> Handle<K, V, R> {
    pub fn has_below(&self) -> bool {
        false
    }
}

#[cfg(feature = "tier")]
impl<K, V, R: Runtime> Handle<K, V, R> {
    /// Whether its loads ask other stores first.
    pub fn has_below(&self) -> bool {
        self.below.is_some()
    }

    /// What those stores need to know of a load.
    pub fn load_below(&self, options: &CallOptions) -> Option<LoadBelow<K, V>> {
        Some(LoadBelow {
            below: self.below.clone()?,
            policy: self.policy.patched(&options.policy),
            tags: self.with_tags(&options.tags).into_owned(),
            weight: options.weight,
            forced: options.force_fresh,
        })
    }
}

impl<K, V, R: Runtime> Drop for Handle<K, V, R> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade()
            && let Ok(mut table) = inner.table.try_borrow_mut()
        {
            table.machine.release_partition(self.partition);
        }
    }
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// A part of the cache with keys, defaults and figures of its own, which shares the bounds with all others. Its
    /// defaults are those of this handle but for what `patch` says. The same name gives the same part, each handle with
    /// the defaults that it was given; a part of a part is another one. Namespaces and [scopes](Self::scope) commute.
    ///
    /// ```
    /// use nearcache::{Cache, options::PolicyPatch};
    /// use std::time::Duration;
    ///
    /// let cache: Cache<u64, String> = Cache::new_with_max_entries(1_000);
    /// let posts = cache.namespace("posts", PolicyPatch::new().error_backoff(Duration::from_millis(500)))?;
    /// posts.insert(1, "hello".to_owned());
    /// assert_eq!(cache.get(&1), None);
    /// # Ok::<_, nearcache::OptionError>(())
    /// ```
    ///
    /// A lookup in it hashes a number too. Weigher, rules, tags of all, plugins and runtime are the cache's.
    ///
    /// # Errors
    /// [`OptionError`] for the 256th name: figures are kept for 255 namespaces. For any number of parts
    /// without figures of their own there is [`scope`](Self::scope).
    pub fn namespace(&self, name: &str, patch: PolicyPatch) -> Result<Self, OptionError> {
        let handle = &self.handle;
        let namespace = self.inner.with(|table| table.machine.namespace(handle.namespace, name)).flatten();
        let refused = || OptionError {
            option: "namespace".to_owned(),
            given: name.to_owned(),
            allowed: "at most 255 different names; use scope() for more",
        };
        let namespace = namespace.ok_or_else(refused)?;
        let mut place = (*handle.place).clone();
        place.namespaces.push(name.to_owned());
        Ok(self.open(namespace, handle.scope.clone(), handle.policy.patched(&patch), place))
    }

    /// A part of the cache with keys of its own, say those of one user: what is stored through one scope is not
    /// found through another, nor through the cache itself. Figures and defaults are those of the handle it is made of.
    /// Costs a few small allocations, and nothing is left of it when its entries and handles are gone.
    ///
    /// Scopes commute with [namespaces](Self::namespace): `cache.scope("u").clear()` reaches what lies in the scope "u"
    /// of every namespace.
    #[must_use]
    pub fn scope(&self, name: &str) -> Self {
        let handle = &self.handle;
        let mut place = (*handle.place).clone();
        place.scopes.push(name.to_owned());
        let scope = join_scope(&handle.scope, name);
        self.open(handle.namespace, scope, handle.policy, place)
    }

    fn open(&self, namespace: u8, scope: String, policy: Policy, place: Place) -> Self {
        let partition = self.inner.with(|table| {
            let partition = table.machine.open_partition(Part { namespace, scope: &scope })?;
            table.machine.retain_partition(partition);
            Some(partition)
        });
        let partition = partition.flatten().unwrap_or(CLOSED);
        let (inner, tags, place) = (Rc::downgrade(&self.inner), self.handle.tags.clone(), Rc::new(place));
        let is_long = is_long(&policy.entry);
        // The short way is that of the cache's own keys.
        let plain_ttl = None;
        #[cfg(feature = "tier")]
        let below = self.handle.below.clone();
        let handle = Handle {
            inner,
            partition,
            namespace,
            scope,
            policy,
            is_long,
            plain_ttl,
            tags,
            place,
            #[cfg(feature = "tier")]
            below,
        };
        let handle = Rc::new(handle);
        Self { inner: self.inner.clone(), partition, handle }
    }

    /// The same part of the cache by a handle, and others made of it, whose loads ask these stores before their loaders.
    #[cfg(feature = "tier")]
    pub(super) fn above(&self, below: Rc<dyn Below<K, V>>) -> Self {
        let Handle { namespace, scope, policy, place, .. } = &*self.handle;
        let mut cache = self.open(*namespace, scope.clone(), *policy, (**place).clone());
        if let Some(handle) = Rc::get_mut(&mut cache.handle) {
            handle.below = Some(below);
        }
        cache
    }

    /// What calls take where they say nothing themselves.
    pub fn policy(&self) -> Policy {
        self.handle.policy
    }

    /// Removes everything in this part and within it, as [`remove`](Self::remove) does; on the cache itself,
    /// everything. Loads under way are superseded. O(n) of the whole cache.
    pub fn clear(&self) {
        self.inner.with(|table| match self.handle.part() {
            Part { namespace: 0, scope: "" } => table.clear(),
            part => table.machine.remove_within(part),
        });
    }

    /// Removes every entry of this part and within it that bears the tag; how many there were. It beats the loads that
    /// began before it as [`remove`](Self::remove) does, if they turn out to bear the tag: what such a load brings is not
    /// stored, and who asked after the purge and joined it asks again.
    ///
    /// O(entries removed).
    ///
    /// ```
    /// # use nearcache::{Cache, EntryOptions};
    /// let cache: Cache<u64, &str> = Cache::new_with_max_entries(1_000);
    /// cache.insert_with(1, "a post", EntryOptions::new().tags(["ann"]));
    /// let of_bob = cache.scope("user:bob");
    /// of_bob.insert(1, "bob's own");
    /// assert_eq!((cache.remove_by_tag("ann"), cache.get(&1), of_bob.get(&1)), (1, None, Some("bob's own")));
    /// ```
    pub fn remove_by_tag(&self, tag: &str) -> usize {
        self.inner.with(|table| table.machine.remove_tag(self.handle.part(), tag)).unwrap_or(0)
    }

    /// As [`remove_by_tag`](Self::remove_by_tag), but ends their freshness, as [`expire`](Self::expire) does; how many
    /// were fresh.
    pub fn expire_by_tag(&self, tag: &str) -> usize {
        let now = self.inner.now();
        self.inner.with(|table| table.machine.expire_tag(self.handle.part(), tag, now)).unwrap_or(0)
    }
}
